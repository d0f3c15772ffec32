"""Range functions over histograms, beside a plain twin that walks through one window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from histogram_strategies import alike, mixable, unhurried
from histogram_text import minus, objects, parse_histogram, plus
from hypothesis import given
from hypothesis import strategies as st
from sonde.query.promql import histogram_windows
from sonde.query.promql.annotations import Annotations
from sonde.query.promql.context import Context
from sonde.query.promql.histogram import CounterReset, Histogram
from sonde.query.promql.histogram_resets import is_reset
from sonde.query.promql.kernels import find_windows
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.limits import Budget, Limits
from sonde.query.promql.selection import Query
from sonde.query.promql.syntax import Call, Modifier, Number
from sonde.query.promql.values import Samples, Vector
from sonde.query.promql.windows import Windows

MINUTE = 60_000


class Nothing:
    """A source of no samples: the windows are given."""

    def select(self, matchers: object, start_ms: int, end_ms: int) -> Samples:
        raise AssertionError("nothing is selected here")


def context_of(function: str, steps: Sequence[int]) -> Context:
    query = Query(Nothing(), 0, 0, 0, 300_000, MINUTE, Annotations(), Budget(Limits()), frozenset())
    return Context(Call(function, (Number(0.0),)), np.array(steps), query)


def windows_of(
    series: Sequence[Sequence[tuple[int, Histogram | float]]],
    steps: Sequence[int],
    range_ms: int,
    *,
    starts: Sequence[int] | None = None,
    modifier: Modifier | None = None,
) -> Windows:
    """Series named `h` of (time, histogram or float)."""
    flat = [sample for samples in series for sample in samples]
    histograms = [value if isinstance(value, Histogram) else None for _, value in flat]
    samples = Samples(
        LabelTable.of([{"__name__": "h", "n": str(number)} for number in range(len(series))]),
        np.cumsum([0, *map(len, series)]),
        np.array([time for time, _ in flat], np.int64),
        np.array([0.0 if isinstance(value, Histogram) else value for _, value in flat]),
        objects(histograms),
        None if starts is None else np.array(starts, np.int64),
    )
    before = 5 * MINUTE if modifier else 0
    behind = 5 * MINUTE if modifier is Modifier.SMOOTHED else 0
    ends = np.array(steps, np.int64)
    first = np.empty((len(series), len(steps)), np.int64)
    end = np.empty_like(first)
    find_windows(samples.times, samples.offsets, ends - range_ms - before, ends + behind, first, end)
    return Windows(samples, first, end, ends, range_ms, modifier)


def at(vector: Vector, row: int = 0, step: int = 0) -> Histogram | None:
    assert vector.histograms is not None
    found: Histogram | None = vector.histograms[row, step]
    assert vector.present[row, step] == (found is not None)
    return found


def texts(context: Context) -> list[str]:
    return context.annotations.warnings("f(h)", 0) + context.annotations.infos("f(h)", 0)


def plain_increase(samples: Sequence[tuple[int, Histogram]], start: int, end: int) -> tuple[Histogram, float] | None:
    """The increase over the samples of one window, and what it is multiplied by to be one over the whole range."""
    if len(samples) < 2:
        return None
    (first_ms, first), (last_ms, last) = samples[0], samples[-1]
    histograms = [histogram for _, histogram in samples]
    # Of a first sample right before a reset nothing is taken off, but its successor's layout counts.
    total = minus(last, scaled(histograms[1], 0.0) if is_reset(histograms[1], first) else first)
    for place, (earlier, later) in enumerate(pairwise(histograms)):
        if place and is_reset(later, earlier):
            total = plus(total, earlier)
    sampled, distance = last_ms - first_ms, (last_ms - first_ms) / (len(samples) - 1)
    to_start = first_ms - start if first_ms - start < 1.1 * distance else distance / 2
    to_end = end - last_ms if end - last_ms < 1.1 * distance else distance / 2
    if total.count > 0:
        to_start = min(to_start, sampled * first.count / total.count)
    return total, (sampled + to_start + to_end) / sampled


def roughly_equal(left: Histogram, right: Histogram) -> bool:
    def numbers(one: Histogram) -> dict[object, float]:
        positive = zip(one.positive_indices.tolist(), one.positive_counts.tolist(), strict=True)
        negative = zip(one.negative_indices.tolist(), one.negative_counts.tolist(), strict=True)
        buckets: dict[object, float] = {("+", index): count for index, count in positive if abs(count) > 1e-9}
        buckets |= {("-", index): count for index, count in negative if abs(count) > 1e-9}
        return buckets | {"count": one.count, "sum": one.sum, "zero": one.zero_count}

    return left.schema == right.schema and numbers(left) == pytest.approx(numbers(right), rel=1e-9, abs=1e-9)


@st.composite
def growing(draw: st.DrawFn) -> list[tuple[int, Histogram]]:
    """A counter's samples at times of their own, which falls now and then."""
    histograms = draw(st.one_of(alike(6), mixable(6)))
    samples: list[tuple[int, Histogram]] = []
    time, now = 0, histograms[0]
    for histogram in histograms:
        time += draw(st.integers(1, 3)) * MINUTE
        now = plus(now, histogram) if draw(st.integers(0, 3)) else histogram
        samples.append((time, now))
    return samples


@unhurried
@given(st.lists(growing(), min_size=1, max_size=3), st.integers(2, 9), st.integers(0, 50_000))
def test_an_increase_is_that_of_the_twin(series: list[list[tuple[int, Histogram]]], minutes: int, shift: int) -> None:
    steps = [step * MINUTE + shift for step in (3, 6, 9, 12, 20)]
    found = histogram_windows.increase(windows_of(series, steps, minutes * MINUTE), context_of("increase", steps))
    for row, samples in enumerate(series):
        for column, end in enumerate(steps):
            start = end - minutes * MINUTE
            plain = plain_increase([sample for sample in samples if start < sample[0] <= end], start, end)
            got = at(found, row, column)
            if plain is None:
                assert got is None
                continue
            assert got is not None
            assert got.counter_reset_hint is CounterReset.GAUGE
            assert roughly_equal(got, scaled(*plain))


def scaled(histogram: Histogram, factor: float) -> Histogram:
    return Histogram(
        histogram.schema,
        histogram.zero_threshold,
        histogram.zero_count * factor,
        histogram.count * factor,
        histogram.sum * factor,
        histogram.positive_indices,
        histogram.positive_counts * factor,
        histogram.negative_indices,
        histogram.negative_counts * factor,
        histogram.custom_values,
    )


@unhurried
@given(growing())
def test_a_rate_is_the_increase_by_the_second(samples: list[tuple[int, Histogram]]) -> None:
    windows = windows_of([samples], [8 * MINUTE], 10 * MINUTE)
    rate = at(histogram_windows.rate(windows, context_of("rate", [8 * MINUTE])))
    increase = at(histogram_windows.increase(windows, context_of("increase", [8 * MINUTE])))
    assert (rate is None) == (increase is None)
    assert rate is None or increase is None or roughly_equal(rate, scaled(increase, 1 / 600))


@unhurried
@given(mixable(4))
def test_a_sum_over_time_is_that_of_the_windows_samples(four: list[Histogram]) -> None:
    samples: list[tuple[int, Histogram | float]] = [(minute * MINUTE, one) for minute, one in enumerate(four, start=1)]
    steps = [MINUTE, 3 * MINUTE, 4 * MINUTE, 9 * MINUTE]
    windows = windows_of([samples], steps, 2 * MINUTE)
    total = histogram_windows.sum_over_time(windows, context_of("sum_over_time", steps))
    mean = histogram_windows.avg_over_time(windows, context_of("avg_over_time", steps))
    assert [at(total, 0, step) for step in range(4)] == [four[0], plus(*four[1:3]), plus(*four[2:4]), None]
    assert at(mean, 0, 2) == scaled(plus(*four[2:4]), 0.5)


COUNTER = ["{{count:2 buckets:[2]}}", "{{count:5 buckets:[5]}}"]
GAUGE = ["{{count:2 buckets:[2] counter_reset_hint:gauge}}", "{{count:5 buckets:[5] counter_reset_hint:gauge}}"]
MIXED = ["{{count:2 buckets:[2]}}", "{{schema:-53 count:5 custom_values:[5] buckets:[5]}}", "{{count:5 buckets:[5]}}"]
BOUNDS = [
    "{{schema:-53 count:2 custom_values:[5 7] buckets:[2]}}",
    "{{schema:-53 count:3 custom_values:[5] buckets:[3]}}",
]
NOT_COUNTER = 'PromQL warning: this native histogram metric is not a counter: "h" (1:1)'
NOT_GAUGE = 'PromQL warning: this native histogram metric is not a gauge: "h" (1:1)'
MIX = (
    "PromQL warning: vector contains a mix of histograms with exponential and custom buckets schemas "
    'for metric name "h" (1:1)'
)
RECONCILED = "PromQL info: mismatched custom buckets were reconciled during {} (1:1)"

TOLD: list[tuple[Callable[[Windows, Context], Vector], list[str], list[str]]] = [
    (histogram_windows.rate, COUNTER, []),
    (histogram_windows.rate, GAUGE, [NOT_COUNTER]),
    (histogram_windows.increase, MIXED, [MIX]),
    (histogram_windows.delta, COUNTER, [NOT_GAUGE]),
    (histogram_windows.delta, GAUGE, []),
    (histogram_windows.increase, BOUNDS, [RECONCILED.format("subtraction")]),
    (histogram_windows.sum_over_time, BOUNDS, [RECONCILED.format("aggregation")]),
    (histogram_windows.avg_over_time, MIXED, [MIX]),
    (
        histogram_windows.sum_over_time,
        ["{{counter_reset_hint:reset}}", "{{counter_reset_hint:not_reset}}"],
        ["PromQL warning: conflicting counter resets during histogram aggregation (1:1)"],
    ),
]


@pytest.mark.parametrize(("function", "histograms", "told"), TOLD)
def test_what_does_not_fit_is_told(
    function: Callable[[Windows, Context], Vector], histograms: list[str], told: list[str]
) -> None:
    samples: list[tuple[int, Histogram | float]] = [
        (minute * MINUTE, parse_histogram(text)) for minute, text in enumerate(histograms, start=1)
    ]
    context = context_of("f", [5 * MINUTE])
    function(windows_of([samples], [5 * MINUTE], 5 * MINUTE), context)
    assert texts(context) == told


def test_a_counter_that_started_within_the_window_counts_from_zero() -> None:
    samples: list[tuple[int, Histogram | float]] = [
        (4 * MINUTE, parse_histogram("{{count:6 buckets:[6]}}")),
        (6 * MINUTE, parse_histogram("{{count:10 buckets:[10]}}")),
    ]
    steps = [6 * MINUTE]
    windows = windows_of([samples], steps, 5 * MINUTE, starts=[2 * MINUTE, 2 * MINUTE])
    found = at(histogram_windows.increase(windows, context_of("increase", steps)))
    assert found == parse_histogram("{{count:10 buckets:[10]}}")


@pytest.mark.parametrize(
    ("modifier", "end", "expected"),
    [
        (Modifier.ANCHORED, 7.5, "{{count:2 buckets:[2]}}"),
        (Modifier.SMOOTHED, 7.5, "{{count:5 buckets:[5]}}"),
        (Modifier.ANCHORED, 5.0, "{{count:4 buckets:[4]}}"),
    ],
)
def test_edges_are_samples_or_lie_between_them(modifier: Modifier, end: float, expected: str) -> None:
    """Samples at 2, 4, 6 and 8 minutes, 2 more each minute, reset behind 4 minutes; a range of 3.5 minutes."""
    counts = [4, 8, 2, 6]
    samples: list[tuple[int, Histogram | float]] = [
        (minute * 2 * MINUTE, parse_histogram(f"{{{{count:{count} buckets:[{count}]}}}}"))
        for minute, count in enumerate(counts, start=1)
    ]
    steps = [int(end * MINUTE)]
    windows = windows_of([samples], steps, int(3.5 * MINUTE), modifier=modifier)
    found = at(histogram_windows.increase(windows, context_of("increase", steps)))
    assert found == parse_histogram(expected)


def test_resets_and_changes_count_floats_and_histograms_alike() -> None:
    one, two = parse_histogram("{{count:1}}"), parse_histogram("{{count:2}}")
    samples: list[tuple[int, Histogram | float]] = list(enumerate([1.0, 1.0, 0.5, one, one, two, one, 3.0], start=1))
    windows = windows_of([samples, [(1, two), (2, one)]], [10], 10)
    reset, changed = histogram_windows.was_reset(windows.samples), histogram_windows.changed(windows.samples)
    assert reset[1:8].tolist() == [False, True, True, False, False, True, True]
    assert changed[1:8].tolist() == [False, True, True, False, True, True, True]
    assert (reset[9], changed[9]) == (True, True)
