"""How long a thread that could run waits for the interpreter, estimated by a thread that sleeps.

A thread that wakes up late was late for one of four reasons: its timer, the kernel had no CPU for it, something kept the whole
machine, or another thread had the GIL. The least delay ever seen is taken for the timer's, and the kernel says how long the thread
waited for a CPU (/proc/thread-self/schedstat). What is left is mostly the GIL, and rather too little than too much: a wait for a
CPU just before it slept is taken off as well. A container that is held back by its CPU quota, or a virtual machine by its
neighbours, can look the same; where the kernel keeps no such account, so does a busy machine.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

SLEEP_SECONDS = 0.25
PRECISION_SECONDS = 1e-4
"""What is less than that is the timer's own unsteadiness."""
SCHEDULE = "/proc/thread-self/schedstat"
"""Three numbers: nanoseconds on a CPU, nanoseconds waited for one, how often."""

# Kept from before a library such as gevent puts its own in their places.
sleep, clock = time.sleep, time.perf_counter


def has_gil() -> bool:
    """False in an interpreter of free threads."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def queued_seconds() -> float:
    """How long this thread has waited for a CPU so far. 0 where the kernel does not say."""
    try:
        file = os.open(SCHEDULE, os.O_RDONLY)
    except OSError:
        return 0.0
    try:
        return int(os.read(file, 80).split()[1]) / 1e9
    finally:
        os.close(file)


class GilWait:
    """To be used by one thread only. Keeps no file open: a program that becomes a daemon closes what it does not know."""

    def __init__(
        self,
        sleep: Callable[[float], None] = sleep,
        clock: Callable[[], float] = clock,
        queued: Callable[[], float] = queued_seconds,
    ) -> None:
        self._sleep, self._clock, self._queued = sleep, clock, queued
        self._least: float | None = None

    def sample(self) -> float | None:
        """Sleeps, and gives the seconds that the thread then waited for the interpreter. The first sample shows only what a
        timer costs here, and is None."""
        # To read the kernel's account gives the GIL away, and so stands outside of what is timed.
        queued, began = self._queued(), self._clock()
        self._sleep(SLEEP_SECONDS)
        late = self._clock() - began - SLEEP_SECONDS
        queued = max(0.0, self._queued() - queued)
        known, self._least = self._least, late if self._least is None else min(late, self._least)
        if known is None:
            return None
        waited = late - self._least - queued
        return waited if waited > PRECISION_SECONDS else 0.0
