"""The garbage collector: what it collected, how long the program stood still for it, and in which trace.

A collection may begin at any allocation, within whatever lock the thread holds. So its callback only adds up and notes; the notes
become measurements in a thread that holds none. Young collections take microseconds and may be thousands a second: of those only
the sum is kept, and pauses are told one by one from a millisecond on.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from opentelemetry.context import Context, get_current
from opentelemetry.metrics import Meter
from sonde.sdk.runtime.readings import NOWHERE, Measure, Reading

LONG_SECONDS = 0.001
MOST_KEPT = 4096
"""More than that many long pauses there can't be in the time between two looks."""
PAUSE_BOUNDARIES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
GENERATION = "cpython.gc.generation"


class Pause(NamedTuple):
    seconds: float
    generation: int
    context: Context
    """That of the thread in which the collection happened to begin."""


class Garbage:
    """Listens to the collector between `start` and `stop`. Sums are those of this process: a forked child's begin at nothing."""

    def __init__(self, meter: Meter, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._pauses = meter.create_histogram(
            "sonde.cpython.gc.pause",
            unit="s",
            description="How long the program stood still for garbage collections that took a millisecond or more.",
            explicit_bucket_boundaries_advisory=PAUSE_BOUNDARIES,
        )
        self._generations = len(gc.get_stats())
        self._before = [dict.fromkeys(stats, 0) for stats in gc.get_stats()]
        self._forget()

    def _forget(self) -> None:
        self._began: float | None = None
        self._seconds = [0.0] * self._generations
        self._long: deque[Pause] = deque(maxlen=MOST_KEPT)

    def start(self) -> None:
        gc.callbacks.append(self._hear)

    def stop(self) -> None:
        with contextlib.suppress(ValueError):
            gc.callbacks.remove(self._hear)

    def begin_in_child(self) -> None:
        self._before = gc.get_stats()
        self._forget()

    def _hear(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._began = self._clock()
            return
        if self._began is None:
            return
        seconds, generation = self._clock() - self._began, info["generation"]
        self._began = None
        self._seconds[generation] += seconds
        if seconds >= LONG_SECONDS:
            self._long.append(Pause(seconds, generation, get_current()))

    def tell(self) -> None:
        """Records the long pauses that were noted until now. Not to be called within a collection, see above."""
        with contextlib.suppress(IndexError):  # another thread tells them too
            for _ in range(len(self._long)):
                pause = self._long.popleft()
                self._pauses.record(pause.seconds, {GENERATION: pause.generation}, pause.context or NOWHERE)

    def measures(self) -> Iterable[Measure]:
        since = "inside a generation since interpreter start."
        return (
            Measure(
                "cpython.gc.collections",
                "counter",
                "{collection}",
                "The number of times a generation was collected since interpreter start.",
                lambda: self._counted("collections"),
            ),
            Measure(
                "cpython.gc.collected_objects",
                "counter",
                "{object}",
                f"The total number of objects collected {since}",
                lambda: self._counted("collected"),
            ),
            Measure(
                "cpython.gc.uncollectable_objects",
                "counter",
                "{object}",
                f"The total number of objects which were found to be uncollectable {since}",
                lambda: self._counted("uncollectable"),
            ),
            Measure(
                "sonde.cpython.gc.time",
                "counter",
                "s",
                "How long the program stood still for all garbage collections of a generation.",
                lambda: [(seconds, {GENERATION: generation}) for generation, seconds in enumerate(self._seconds)],
            ),
        )

    def _counted(self, what: str) -> Iterable[Reading]:
        for generation, (now, before) in enumerate(zip(gc.get_stats(), self._before, strict=True)):
            yield now[what] - before[what], {GENERATION: generation}
