"""Expressions over summaries of windows give what they give over samples."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from memory_source import source_of
from sonde.query.promql import ranges
from sonde.query.promql.evaluate import Result, evaluate
from sonde.query.promql.labels import LabelTable, labels_text
from sonde.query.promql.limits import Limits
from sonde.query.promql.parser import parse
from sonde.query.promql.regex import matched_rows
from sonde.query.promql.summary_functions import OF_VALUES, SUMMARISED
from sonde.query.promql.summary_widths import Use
from sonde.query.promql.syntax import Matcher
from sonde.query.promql.values import Samples, Scalar, Vector
from sonde.query.promql.windows import STALE
from summarising import FIVE_MINUTES, HOUR, Summarising

BEGIN = 1_770_000_000_000 // HOUR * HOUR
END = BEGIN + 48 * HOUR
DAY = 24 * HOUR
MINUTE = 60_000


@dataclass(frozen=True)
class Source:
    samples: Samples

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Samples:
        accepted = np.ones(self.samples.labels.size, bool)
        for matcher in matchers:
            accepted &= matched_rows(self.samples.labels.column(matcher.name), matcher)
        inside = np.repeat(accepted, np.diff(self.samples.offsets))
        inside &= (self.samples.times >= start_ms) & (self.samples.times <= end_ms)
        counts = np.diff(np.concatenate(([0], np.cumsum(inside)))[self.samples.offsets])
        some = counts > 0
        assert self.samples.start_times is not None
        return Samples(
            self.samples.labels.take(some),
            np.concatenate(([0], np.cumsum(counts[some]))).astype(np.int64),
            *(self.samples.times[inside], self.samples.values[inside], None, self.samples.start_times[inside]),
        )


Series = tuple[dict[str, str], np.ndarray, np.ndarray, np.ndarray]


def scraped(random: np.random.Generator, first: float = -30, last: float = 48, every: int = MINUTE) -> np.ndarray:
    """Times from so many hours after `BEGIN` on, with jitter, and some scrapes missed."""
    times = np.arange(BEGIN + int(first * HOUR), BEGIN + int(last * HOUR), every) + 7_000
    times += random.integers(0, 50, len(times))
    return times[random.random(len(times)) > 0.02]


def counted(random: np.random.Generator, times: np.ndarray, resets: int) -> np.ndarray:
    values = np.cumsum(random.integers(0, 50, len(times))).astype(np.float64)
    for at in random.integers(0, len(times), resets):
        values[at:] -= values[at]
    return values


def some_series() -> Iterator[Series]:
    random = np.random.default_rng(7)
    for number in range(6):
        times = scraped(random, first=-30 + 9 * number, last=48 - 4 * number)
        labels = {"__name__": "c_total", "i": str(number), "job": "ab"[number % 2]}
        yield labels, times, counted(random, times, 30 * number), np.zeros(len(times), np.int64)
    for number in range(4):
        times = scraped(random, every=(1, 7, 60, 150)[number] * MINUTE)
        values = random.normal(0, 10.0**number, len(times))
        yield {"__name__": "g", "i": str(number), "job": "ab"[number % 2]}, times, values, np.zeros_like(times)
    for number, odd in enumerate(([np.nan], [np.inf], [-np.inf], [np.nan, np.inf, -np.inf, 1.0, 0.0, -0.0])):
        times = scraped(random)
        values = random.normal(0, 1, len(times))
        values[random.random(len(times)) < 0.1] = odd[0]
        if len(odd) > 1:
            values = random.choice(odd, len(times))
        yield {"__name__": "odd", "i": str(number)}, times, values, np.zeros_like(times)
    for number in range(3):
        times = scraped(random)
        values = counted(random, times, 3)
        ended = np.sin(np.arange(len(times)) / (40 + 100 * number)) > 0.9
        values[ended] = STALE.view(np.float64)
        yield {"__name__": "ended", "i": str(number)}, times, values, np.zeros_like(times)
    for number in range(3):
        times = scraped(random, first=-2, every=(1, 20, 90)[number] * MINUTE)
        values = counted(random, times, 0)
        begun = np.sort(random.choice(times, 8)) - (30_000, 0, 600_000)[number]
        starts = begun[np.maximum(np.searchsorted(begun, times, side="left") - 1, 0)]
        yield {"__name__": "begun_total", "i": str(number)}, times, values, np.where(starts < times, starts, 0)
    times = scraped(random)
    growth = random.poisson(3.0, (4, len(times))).cumsum(axis=0).cumsum(axis=1).astype(np.float64)
    for bound, values in zip(("0.1", "1", "10", "+Inf"), growth, strict=True):
        yield {"__name__": "h_bucket", "le": bound, "job": "a"}, times, values, np.zeros_like(times)
    times = np.arange(BEGIN, END, FIVE_MINUTES)
    yield {"__name__": "edges_total"}, times, counted(random, times, 5), np.zeros_like(times)
    yield {"__name__": "past_edges"}, times + 1, counted(random, times, 5), np.zeros_like(times)


@pytest.fixture(scope="module")
def source() -> Source:
    series = [({**labels, "of": labels["__name__"]}, *rest) for labels, *rest in some_series()]
    series.sort(key=lambda one: labels_text(one[0]))
    offsets = np.concatenate(([0], np.cumsum([len(times) for _, times, _, _ in series])))
    columns = (np.concatenate([one[at] for one in series]) for at in (1, 2, 3))
    times, values, starts = columns
    return Source(
        Samples(LabelTable.of([one[0] for one in series]), offsets.astype(np.int64), times, values, None, starts)
    )


SELECTORS = ("c_total", "g", "odd", "ended", "begun_total", "edges_total", "past_edges", '{__name__=~".+"}')
TABLE = [
    *(f"{function}({selector}[{{range}}])" for function in sorted(SUMMARISED) for selector in SELECTORS),
    *SELECTORS,
    *(f"timestamp({selector})" for selector in SELECTORS),
    *(f"start_timestamp({selector})" for selector in SELECTORS),
    "sum by (job) (rate(c_total[{range}]))",
    "sum by (__name__) (increase(c_total[{range}]))",
    "topk(2, rate(c_total[{range}]))",
    "quantile by (job) (0.5, g)",
    "count(c_total) by (job)",
    "count_values('v', count_over_time(g[{range}]))",
    "rate(c_total[{range}]) / on (i) group_left avg_over_time(g[{range}])",
    "rate(c_total[{range}]) > 20 or g",
    "c_total - c_total offset 1h",
    "rate(c_total[{range}] offset 1h)",
    "rate(c_total[{range}] offset -2h)",
    "(rate((c_total)[{range}:5m] offset 1h))",
    "c_total @ end()",
    "avg_over_time(g[{range}] @ start())",
    "rate(c_total[{range}] @ 1770019200)",
    "c_total / scalar(sum(rate(c_total[{range}] @ end())))",
    "max_over_time(rate(c_total[{range}])[6h:1h])",
    "max_over_time(rate(c_total[{range}])[2h:5m])",
    "avg_over_time(c_total[6h:1h] offset 1h)",
    "min_over_time(sum(g)[3h:1h] @ end())",
    "histogram_quantile(0.9, sum by (le) (rate(h_bucket[{range}])))",
    "histogram_quantile(0.5, h_bucket)",
    "absent(c_total{i='9'})",
    "absent_over_time(c_total{i='5'}[{range}])",
    "label_replace(rate(c_total[{range}]), 'k', '$1', 'i', '(.)')",
    "sort_desc(sum by (i) (rate(c_total[{range}])))",
    "-rate(c_total[{range}])",
    "changes(g[{range}]) + count_over_time(g[{range}])",
    "last_over_time(nothing[{range}])",
]


def asked(text: str, source: object, use: Use, step_ms: int, start: int, end: int, lookback: int, most: int) -> Result:
    return evaluate(
        parse(text),
        source,  # type: ignore[arg-type]
        start_ms=start,
        end_ms=end,
        step_ms=step_ms,
        lookback_ms=lookback,
        counting=True,
        use=use,
        limits=Limits(most),
    )


def both(
    text: str,
    source: object,
    *,
    step_ms: int,
    start: int = BEGIN,
    end: int = END,
    lookback: int = FIVE_MINUTES,
    use: Use = Use.EXACT,
    most: int = 50_000_000,
) -> Summarising:
    """Compares both ways; returns the source that was asked."""
    summarising = Summarising(source)  # type: ignore[arg-type]
    given = (step_ms, start, end, lookback, most)
    same(asked(text, summarising, use, *given), asked(text, source, Use.OFF, *given), text)
    return summarising


def same(found: Result, expected: Result, text: str) -> None:
    here, there = found.value, expected.value
    if isinstance(there, Scalar):
        assert isinstance(here, Scalar)
        np.testing.assert_allclose(here.values, there.values, rtol=1e-11)
        return
    assert isinstance(here, Vector)
    assert isinstance(there, Vector)
    assert here.labels.rows() == there.labels.rows()
    np.testing.assert_array_equal(here.present, there.present)
    here_values, there_values = (np.where(one.present, one.values, 0.0) for one in (here, there))
    if ADDED.search(text):
        np.testing.assert_allclose(here_values, there_values, rtol=1e-11, atol=1e-9)
    else:
        np.testing.assert_array_equal(here_values, there_values)
    assert found.annotations.warnings(text) == expected.annotations.warnings(text)
    assert found.annotations.infos(text) == expected.annotations.infos(text)
    np.testing.assert_array_equal(found.queryable, expected.queryable)


ADDED = re.compile(r"\b(rate|increase|avg_over_time|sum_over_time)\(")
"""Functions whose floats are added in another order; all else is equal to the bit."""
GRIDS = [(HOUR, "1h", HOUR), (HOUR, "6h", HOUR), (15 * MINUTE, "30m", FIVE_MINUTES), (DAY, "1d", HOUR)]


@pytest.mark.parametrize("text", TABLE)
def test_an_expression_over_summaries_gives_what_it_gives_over_samples(text: str, source: Source) -> None:
    for step, range_text, width in GRIDS:
        asked = both(text.replace("{range}", range_text), source, step_ms=step)
        assert asked.widths
        assert set(asked.widths) == {width} or "@" in text or ":" in text


@pytest.mark.parametrize("lookback", [1, MINUTE, 90 * MINUTE, 5 * HOUR])
@pytest.mark.parametrize("text", ["c_total", "ended", "g", "timestamp(ended offset 1h)", "past_edges"])
def test_an_instant_looks_back_as_far_as_it_does_over_samples(text: str, lookback: int, source: Source) -> None:
    for step in (HOUR, FIVE_MINUTES):
        assert both(text, source, step_ms=step, lookback=lookback).widths == [step]


@pytest.mark.parametrize(
    "text",
    [
        "irate(c_total[1h])",
        "deriv(g[1h])",
        "quantile_over_time(0.5, g[1h])",
        "changes(g[1h])",
        "rate(c_total[1h] anchored)",
        "g smoothed",
        "rate(c_total[1h7s])",
        "rate(c_total[1h] offset 7s)",
        "rate(c_total[1h] @ 1770019207)",
        "g offset 1m",
    ],
)
def test_what_summaries_do_not_tell_is_looked_up_in_the_samples(text: str, source: Source) -> None:
    asked = both(text, source, step_ms=HOUR)
    assert asked.widths == []
    assert asked.selected


@pytest.mark.parametrize(("step", "start"), [(MINUTE, BEGIN), (HOUR, BEGIN + 1), (HOUR + 1, BEGIN), (0, BEGIN)])
def test_a_grid_beside_the_edges_of_windows_looks_at_samples(step: int, start: int, source: Source) -> None:
    for text in ("rate(c_total[1h])", "c_total"):
        end = start if not step else BEGIN + 3 * HOUR
        assert both(text, source, step_ms=step, start=start, end=end).widths == []


def test_a_grid_half_an_hour_off_is_made_of_windows_of_five_minutes(source: Source) -> None:
    assert both("rate(c_total[1h])", source, step_ms=HOUR, start=BEGIN + 30 * MINUTE).widths == [FIVE_MINUTES]


def test_a_subquery_of_an_instant_query_has_a_grid_too(source: Source) -> None:
    asked = both("max_over_time(rate(c_total[1h])[1d:1h])", source, step_ms=0, start=END - 7, end=END - 7)
    assert asked.widths == [HOUR]


def test_series_some_at_a_time_give_the_same(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "PART_CELLS", 60)
    for function in sorted(SUMMARISED):
        both(f"{function}({{__name__=~'.+_total'}}[1h])", source, step_ms=HOUR)


def test_a_budget_that_the_summaries_exceed_is_tried_with_the_samples() -> None:
    source = source_of("x 1+1x20", interval_ms=HOUR)
    asked = both("x", source, step_ms=HOUR, start=0, end=20 * HOUR, most=100)
    assert asked.widths == [HOUR]
    assert asked.selected == 1


def test_native_histograms_are_looked_up_in_the_samples() -> None:
    source = source_of("x {{schema:0 count:1 sum:1 buckets:[1]}}x20", interval_ms=HOUR)
    assert both("rate(x[2h])", source, step_ms=HOUR, start=0, end=20 * HOUR).selected == 1


def test_every_function_that_needs_values_is_one_of_summaries() -> None:
    assert set(SUMMARISED) >= OF_VALUES
