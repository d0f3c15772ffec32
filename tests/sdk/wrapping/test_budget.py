"""Which functions are let go of, by what they cost and told; the clock and the costs are the test's own."""

from __future__ import annotations

from typing import Any

from sonde.sdk.wrapping.budget import EXPORT_FACTOR, WINDOW_SECONDS, Budget, Verdict, cost_of_a_dropped_call_ns
from sonde.sdk.wrapping.site import TOLD_EVERY, Site

SECOND, MILLISECOND, MICROSECOND = 1_000_000_000, 1_000_000, 1_000
SHORT = MILLISECOND


class Run:
    """A process with traced functions a, b and c, a budget of 1 % and calls that cost a microsecond."""

    def __init__(self, share: float = 0.01) -> None:
        self.now = 5 * SECOND
        self.let_go: list[Verdict] = []
        self.sites: list[Site] = []
        self.budget = Budget(share, lambda: self.sites, self.note, lambda: MICROSECOND, lambda: self.now)
        self.sites = [self.site(name) for name in "abc"]

    def site(self, name: str) -> Site:
        def function() -> None: ...

        function.__qualname__, function.__module__ = name, "shop"
        return Site(function, SHORT, SHORT, self.budget)  # type: ignore[arg-type]

    def note(self, found: list[tuple[Site, Verdict]]) -> None:
        for site, verdict in found:
            site.is_traced = False
            self.let_go.append(verdict)

    def drop(self, name: str, thousands: int) -> None:
        """So many times 1 024 calls too short to be told: each time about a millisecond."""
        site = self.sites["abc".index(name)]
        for _ in range(thousands):
            site.dropped += TOLD_EVERY
            site.purse.pay_for_dropped(site)

    def keep(self, name: str, calls: int, lasted_ns: int, took_ns: int) -> None:
        for _ in range(calls):
            self.sites["abc".index(name)].count_kept(lasted_ns, took_ns)

    def gone(self) -> list[str]:
        return [verdict.name for verdict in self.let_go]


ALLOWED = round(WINDOW_SECONDS * 0.01 * SECOND / (TOLD_EVERY * MICROSECOND))
"""Thousands of calls that a budget of 1 % pays for."""


def test_within_the_budget_nothing_is_let_go_of() -> None:
    run = Run()
    run.drop("a", ALLOWED - 1)
    assert run.gone() == []


def test_the_function_that_spends_most_and_tells_nothing_goes_and_the_others_stay() -> None:
    run = Run()
    run.drop("b", 10)
    run.now += SECOND
    run.drop("a", ALLOWED)
    (verdict,) = run.let_go
    assert verdict.name == "shop.a"
    assert verdict.kept == 0
    calls = f"{verdict.dropped} calls told nothing, 0 were spans, {verdict.dropped / 1e6:.2g} of 1 s of CPU time"
    assert str(verdict) == f"shop.a (costs more than it tells: {calls})"


def test_what_tells_more_for_what_it_spends_stays_longer() -> None:
    """One spends most, and is told now and then."""
    run = Run()
    run.drop("a", ALLOWED * 45 // 100)
    run.keep("a", 500, 5 * MILLISECOND, 10 * MICROSECOND)
    run.drop("b", ALLOWED * 30 // 100)
    run.drop("c", ALLOWED * 30 // 100)
    assert run.gone() == ["shop.b", "shop.c"]


def test_functions_go_until_the_others_have_spent_half_of_the_budget() -> None:
    run = Run()
    for _ in range(ALLOWED // 3 + 1):
        for name in "abc":
            run.drop(name, 1)
    assert len(run.gone()) == 2


def test_calls_that_took_long_enough_are_not_paid_for() -> None:
    run = Run()
    run.keep("a", 100_000, SHORT, 20 * MICROSECOND)
    assert run.gone() == []


def test_short_calls_that_are_told_are_paid_for_with_their_export() -> None:
    run = Run()
    enough = round(WINDOW_SECONDS * 0.01 * SECOND / (EXPORT_FACTOR * 10 * MICROSECOND))
    run.keep("a", enough - 1, SHORT - 1, 10 * MICROSECOND)
    assert run.gone() == []
    run.keep("a", 2, SHORT - 1, 10 * MICROSECOND)
    assert run.gone() == ["shop.a"]


def test_what_was_spent_in_a_window_that_is_over_does_not_count() -> None:
    run = Run()
    for _ in range(5):
        run.drop("a", ALLOWED // 2)
        run.now += round(WINDOW_SECONDS * SECOND)
    assert run.gone() == []
    run.drop("a", 2 * ALLOWED)
    assert run.gone() == ["shop.a"]


def test_a_budget_of_all_never_lets_go() -> None:
    run = Run(share=1.0)
    run.drop("a", 50 * ALLOWED)
    assert run.gone() == []


def test_a_forked_child_begins_anew() -> None:
    run = Run()
    run.drop("a", ALLOWED - 1)
    run.now = 0
    run.budget._looking.acquire()  # by a thread that the child does not have
    run.budget._begin()
    run.drop("a", ALLOWED - 1)
    assert run.gone() == []
    run.drop("a", 2)
    assert run.gone() == ["shop.a"]


def test_the_cost_of_a_call_is_measured_on_one_that_does_nothing() -> None:
    def put_around(function: Any, site: Site) -> None:
        def other() -> None:
            for _ in range(100):
                pass

        function.__code__ = other.__code__

    assert cost_of_a_dropped_call_ns(put_around) > 100
