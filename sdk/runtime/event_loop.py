"""How late asyncio's loops are: what is due waits while a callback, or another thread, keeps the loop from it.

Each loop that runs has a timer of ours, which says how late it is and sets itself again; a callback that blocks for longer than
the timer's period is never missed. Timers don't keep a loop running, and this one is gone when the loop stops.
"""

from __future__ import annotations

import functools
import sys
import time
from contextvars import Context
from types import ModuleType
from typing import Any

from opentelemetry.metrics import Meter
from sonde.sdk.imports import when_imported
from sonde.sdk.runtime.readings import Noted

PERIOD_SECONDS = 0.25
DELAY_BOUNDARIES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class EventLoops:
    """Watches asyncio's and uvloop's loops that begin to run after `start`, and the one that `start` is called in."""

    def __init__(self, meter: Meter) -> None:
        self.delays = Noted(
            meter.create_histogram(
                "sonde.asyncio.eventloop.delay",
                unit="s",
                description="How much later than due a timer of an event loop was called, four times a second.",
                explicit_bucket_boundaries_advisory=DELAY_BOUNDARIES,
            )
        )
        self.stopped = False

    def start(self) -> None:
        when_imported("asyncio.base_events", lambda module: self._watch(module, "BaseEventLoop"))
        when_imported("uvloop", lambda module: self._watch(module, "Loop"))
        events = sys.modules.get("asyncio.events")
        if events is not None and (loop := events._get_running_loop()) is not None:
            Probe(loop, self).set()

    def stop(self) -> None:
        self.stopped = True

    def _watch(self, module: ModuleType, name: str) -> None:
        kind = getattr(module, name)
        run_forever = kind.run_forever

        @functools.wraps(run_forever)
        def run_watched(loop: Any) -> Any:
            if self.stopped or loop.is_running() or loop.is_closed():
                return run_forever(loop)
            probe = Probe(loop, self)
            probe.set()
            try:
                return run_forever(loop)
            finally:
                probe.cancel()

        kind.run_forever = run_watched


class Probe:
    """The timer of one loop."""

    def __init__(self, loop: Any, loops: EventLoops) -> None:
        self._loop, self._loops = loop, loops
        self._context = Context()
        self._due = 0.0
        self._timer: Any = None

    def set(self) -> None:
        self._due = time.monotonic() + PERIOD_SECONDS
        self._timer = self._loop.call_later(PERIOD_SECONDS, self._ring, context=self._context)

    def cancel(self) -> None:
        self._timer.cancel()

    def _ring(self) -> None:
        if self._loops.stopped:
            return
        # Loops round to their clock's resolution, and may be early by as much.
        self._loops.delays.note(max(0.0, time.monotonic() - self._due))
        self.set()
