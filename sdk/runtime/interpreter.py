"""Metrics of the running interpreter: its process, its garbage collector, its event loops, its lock. Over OpenTelemetry's API.

Four times a second one thread looks at what can't be read later. It only notes what it sees: what there is to record, and all that
is read, waits until metrics are collected.
"""

from __future__ import annotations

import contextlib
import os
import threading

from opentelemetry.context import attach
from opentelemetry.metrics import Histogram, Meter, MeterProvider
from sonde.sdk.runtime import process
from sonde.sdk.runtime.event_loop import EventLoops
from sonde.sdk.runtime.garbage import Garbage
from sonde.sdk.runtime.gil import GilWait, has_gil
from sonde.sdk.runtime.readings import NOWHERE, Noted, register, telling

SCOPE = "sonde.sdk.runtime_metrics"
THREAD = "sonde-runtime"
WAIT_BOUNDARIES = (0.0001, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)


class RuntimeMetrics:
    """Observes this process, and those it is forked to, from `start` until `stop`. Once a process."""

    def __init__(self, provider: MeterProvider, version: str | None = None) -> None:
        meter = provider.get_meter(SCOPE, version)
        self._garbage, self._loops = Garbage(meter), EventLoops(meter)
        self._gil_waits = Noted(gil_wait(meter))
        self._stopped = True
        first, *others = process.MEASURES
        register(meter, (telling(self._tell, first), *others, *self._garbage.measures()))

    def start(self) -> None:
        self._stopped = False
        self._garbage.start()
        self._loops.start()
        self._start_thread()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin_in_child)

    def stop(self) -> None:
        """What was noted until now comes with the next collection; a thread that sleeps is not waited for."""
        self._stopped = True
        self._garbage.stop()
        self._loops.stop()

    def _begin_in_child(self) -> None:
        for noted in (self._gil_waits, self._loops.delays):
            noted.forget()
        self._garbage.begin_in_child()
        if not self._stopped:
            self._start_thread()

    def _start_thread(self) -> None:
        # None can be started while the interpreter ends.
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=self._run, name=THREAD, daemon=True).start()

    def _run(self) -> None:
        # Nothing measured here belongs to the trace in which a process was forked.
        attach(NOWHERE)
        gil = GilWait()
        while not self._stopped:
            waited = gil.sample()
            if waited is not None and has_gil():
                self._gil_waits.note(waited)
            self._garbage.tell()

    def _tell(self) -> None:
        self._garbage.tell()
        self._gil_waits.tell()
        self._loops.delays.tell()


def gil_wait(meter: Meter) -> Histogram:
    return meter.create_histogram(
        "sonde.cpython.gil.wait",
        unit="s",
        description="How long a thread that could run waited for the interpreter, estimated four times a second.",
        explicit_bucket_boundaries_advisory=WAIT_BOUNDARIES,
    )
