"""What tracing may cost: the functions that cost more than they tell are found while the program runs.

Paid for are calls shorter than the minimum, whether they became spans or not; longer ones can't cost much beside their own time.
What a call that is not told costs is measured once in this process, on a function that does nothing; what the span of a short
call costs is measured each time. In `WINDOW_SECONDS` of the process's CPU time a share of them may be spent, the budget. When it
is exceeded, functions are let go of until what the others have spent is half of it: first those that spent most for each span
they told.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter_ns, process_time_ns
from types import FunctionType
from typing import Any

from sonde.sdk.wrapping.site import TOLD_EVERY, Site

WINDOW_SECONDS = 10.0
EXPORT_FACTOR = 3
"""To encode and send a span takes twice the time that it takes to make it, in another thread (benchmarks/README.md, `sdk_span`)."""


@dataclass(frozen=True)
class Verdict:
    """A function that is no longer traced, why, and how many of its calls told nothing and were spans until then."""

    name: str
    reason: str
    dropped: int
    kept: int

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


class Budget:
    """`share` of the CPU time, 0 to 1; `sites` gives all that are traced, and `let_go` is called with verdicts."""

    def __init__(
        self,
        share: float,
        sites: Callable[[], Iterable[Site]],
        let_go: Callable[[list[tuple[Site, Verdict]]], None],
        cost_ns: Callable[[], float],
        cpu_ns: Callable[[], int] = process_time_ns,
    ) -> None:
        self.allowance_ns = share * WINDOW_SECONDS * 1e9
        self._sites, self._let_go, self._cpu_ns, self._measure = sites, let_go, cpu_ns, cost_ns
        self._cost_ns = 0.0
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        """In a forked child too, which has a CPU time of its own, and maybe another thread's lock."""
        self._looking = threading.Lock()
        self._fill(self._cpu_ns())

    def _fill(self, now: int) -> None:
        self._began_ns, self._spent_ns = now, 0.0
        for site in self._sites():
            site.spent_ns = site.told = 0

    def pay_for_dropped(self, site: Site) -> None:
        if not self._cost_ns:
            self._cost_ns = self._measure()
        self._pay(site, TOLD_EVERY * self._cost_ns)

    def pay_for_kept(self, site: Site, took_ns: int) -> None:
        self._pay(site, EXPORT_FACTOR * took_ns)

    def look_at_depth(self, sites: list[Site]) -> None:
        """Functions that call themselves, directly or through others, are let go of: a level takes three frames of the stack, and
        may end in a RecursionError where it did not."""
        often = [site for site, times in Counter(sites).items() if times > 1 and site.is_traced]
        reason = f"calls itself, {len(sites)} deep"
        self._let_go([(site, Verdict(site.name, reason, site.dropped, site.kept)) for site in often])

    def _pay(self, site: Site, cost_ns: float) -> None:
        if not site.is_traced:
            return  # a call that goes on while it was let go of
        site.spent_ns += cost_ns
        self._spent_ns += cost_ns
        if self._spent_ns > self.allowance_ns and self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()

    def _look(self) -> None:
        """More is spent than may be in a window: in this one, or since one that is over by now."""
        now = self._cpu_ns()
        passed = now - self._began_ns
        if passed >= WINDOW_SECONDS * 1e9:
            self._fill(now)
            return
        sites = [site for site in self._sites() if site.is_traced]
        self._let_go(self._too_dear(sites, passed / 1e9))
        self._spent_ns = sum(site.spent_ns for site in sites if site.is_traced)

    def _too_dear(self, sites: list[Site], passed_seconds: float) -> list[tuple[Site, Verdict]]:
        left = sum(site.spent_ns for site in sites)
        found = []
        for site in sorted(sites, key=lambda one: one.spent_ns / (1 + one.told), reverse=True):
            if left <= self.allowance_ns / 2:
                break
            left -= site.spent_ns
            calls = f"{site.dropped} calls told nothing, {site.kept} were spans"
            calls += f", resumed {site.resumed} times" if site.resumed else ""
            cost = f"{site.spent_ns / 1e9:.2g} of {passed_seconds:.2g} s of CPU time"
            verdict = Verdict(site.name, f"costs more than it tells: {calls}, {cost}", site.dropped, site.kept)
            found.append((site, verdict))
        return found


def least_ns(function: Callable[[], Any], calls: int = 250, rounds: int = 6) -> float:
    """What a call takes in a quick moment."""
    least = float("inf")
    for _ in range(rounds):
        began = perf_counter_ns()
        for _ in range(calls):
            function()
        least = min(least, (perf_counter_ns() - began) / calls)
    return least


class Unpaid:
    """The purse of a function that is measured."""

    def pay_for_dropped(self, site: Site) -> None: ...

    def pay_for_kept(self, site: Site, took_ns: int) -> None: ...

    def look_at_depth(self, sites: list[Site]) -> None: ...


def cost_of_a_dropped_call_ns(put_around: Callable[[FunctionType, Site], object]) -> float:
    """Beyond that of the call itself; `put_around` traces a function."""

    def nothing() -> None: ...

    bare = least_ns(nothing)
    function: Any = nothing
    put_around(function, Site(function, 1 << 62, 1 << 62, Unpaid()))
    return max(1.0, least_ns(nothing) - bare)
