"""Each kernel of the evaluation beside a plain twin, over random samples with NaN, infinities, gaps and resets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from sonde.query.promql import group_kernels, kernels, rate_kernels
from sonde.query.promql.counter_resets import before, resets
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.values import Samples

SEEDS = range(8)
SPECIAL = np.array([math.nan, math.inf, -math.inf, 0.0, 1.0, 1e300, -1e300])


class Drawn:
    """Samples of a few series, windows over them, and the samples of each window."""

    def __init__(self, seed: int, *, special: bool = True, counter: bool = False) -> None:
        random = np.random.default_rng(seed)
        counts = random.integers(0, 12, size=5)
        self.offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        times = [np.sort(random.choice(np.arange(0, 100_000, 500), count, replace=False)) for count in counts]
        self.times = np.concatenate(times).astype(np.int64)
        self.values = random.normal(size=len(self.times)) * 10
        if counter:
            self.values = np.abs(np.cumsum(self.values)) % 23
        if special:
            chosen = random.random(len(self.times)) < 0.2
            self.values[chosen] = random.choice(SPECIAL, np.count_nonzero(chosen))
        self.ends = np.arange(-10_000, 130_000, 7_000)
        self.range_ms = int(random.integers(1_000, 60_000))
        self.first = np.empty((5, len(self.ends)), np.int64)
        self.end = np.empty_like(self.first)
        kernels.find_windows(self.times, self.offsets, self.ends - self.range_ms, self.ends, self.first, self.end)

    def windows(self) -> list[tuple[int, int, np.ndarray, np.ndarray]]:
        """(series, step, times, values) of each."""
        return [
            (
                series,
                step,
                *(flat[self.first[series, step] : self.end[series, step]] for flat in (self.times, self.values)),
            )
            for series in range(5)
            for step in range(len(self.ends))
        ]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_window_holds_what_lies_after_its_start_and_not_after_its_end(seed: int) -> None:
    drawn = Drawn(seed)
    for series, step, times, _ in drawn.windows():
        mine = drawn.times[drawn.offsets[series] : drawn.offsets[series + 1]]
        stop = drawn.ends[step]
        assert list(times) == [time for time in mine if stop - drawn.range_ms < time <= stop]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_last_sample_is_found_unless_it_is_stale_or_too_old(seed: int) -> None:
    drawn = Drawn(seed)
    stale = np.random.default_rng(seed).random(len(drawn.times)) < 0.3
    index = np.empty(drawn.first.shape, np.int64)
    kernels.find_last(drawn.times, stale, drawn.offsets, drawn.ends, drawn.range_ms, index)
    for series, step, times, _ in drawn.windows():
        last = drawn.end[series, step] - 1
        assert index[series, step] == (last if len(times) and not stale[last] else -1)


def welford(values: np.ndarray) -> float:
    return float(np.mean((values - np.mean(values)) ** 2))


def median_deviation(values: np.ndarray) -> float:
    return float(np.median(np.abs(values - np.median(values))))


OF_FINITE: list[tuple[object, Callable[[np.ndarray], float]]] = [
    (kernels.sum_windows, math.fsum),
    (kernels.mean_windows, lambda values: math.fsum(values) / len(values)),
    (kernels.variance_windows, welford),
    (kernels.median_deviation_windows, median_deviation),
]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("kernel", "twin"), OF_FINITE)
def test_statistics_agree_with_their_definitions(kernel: Callable[..., None], twin: Callable, seed: int) -> None:
    drawn = Drawn(seed, special=False)
    out = np.zeros(drawn.first.shape)
    kernel(drawn.values, drawn.first, drawn.end, out)
    for series, step, _, values in drawn.windows():
        if len(values):
            assert out[series, step] == pytest.approx(twin(values), rel=1e-12, abs=1e-12)


def test_a_sum_keeps_what_is_small_beside_what_is_large() -> None:
    out = np.zeros((1, 1))
    kernels.sum_windows(np.array([1.0, 1e100, 1.0, -1e100]), np.array([[0]]), np.array([[4]]), out)
    assert out[0, 0] == 2.0


def test_a_mean_does_not_overflow_where_its_sum_does() -> None:
    out = np.zeros((1, 1))
    kernels.mean_windows(np.array([1.5e308, 1.7e308, 1.6e308]), np.array([[0]]), np.array([[3]]), out)
    assert out[0, 0] == pytest.approx(1.6e308)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_an_extreme_is_nan_only_where_nothing_else_is(seed: int, largest: bool, last: bool) -> None:
    drawn = Drawn(seed)
    out = np.empty(drawn.first.shape, np.int64)
    kernels.extreme_windows(drawn.values, drawn.first, drawn.end, largest, last, out)
    for series, step, _, values in drawn.windows():
        at = out[series, step]
        if not len(values):
            assert at == -1
            continue
        numbers = [value for value in values if not math.isnan(value)]
        if not numbers:
            assert math.isnan(drawn.values[at])
            continue
        best = max(numbers) if largest else min(numbers)
        places = np.flatnonzero(values == best)
        assert at - drawn.first[series, step] == places[-1 if last else 0]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_quantile_lies_between_its_two_neighbours(seed: int) -> None:
    drawn = Drawn(seed, special=False)
    quantiles = np.linspace(0, 1, len(drawn.ends))
    out = np.zeros(drawn.first.shape)
    kernels.quantile_windows(drawn.values, drawn.first, drawn.end, quantiles, out)
    for series, step, _, values in drawn.windows():
        expected = np.quantile(values, quantiles[step]) if len(values) else math.nan
        assert out[series, step] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("quantile", "expected"), [(-0.1, -math.inf), (1.1, math.inf), (math.nan, math.nan), (0, math.nan)]
)
def test_a_quantile_of_nothing_that_is_one(quantile: float, expected: float) -> None:
    """NaN sorts first, so the lowest quantile of values with NaN among them is NaN."""
    out = np.zeros((1, 1))
    values = np.array([3.0, math.nan, 1.0])
    kernels.quantile_windows(values, np.array([[0]]), np.array([[3]]), np.array([quantile]), out)
    assert out[0, 0] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_line_is_the_one_of_least_squares(seed: int) -> None:
    drawn = Drawn(seed, special=False)
    slopes, predicted = np.zeros(drawn.first.shape), np.zeros(drawn.first.shape)
    now, ahead = drawn.ends.astype(np.int64), np.full(len(drawn.ends), 60.0)
    kernels.slope_windows(drawn.times, drawn.values, drawn.first, drawn.end, slopes)
    kernels.prediction_windows(drawn.times, drawn.values, drawn.first, drawn.end, now, ahead, predicted)
    for series, step, times, values in drawn.windows():
        if len(values) >= 2:
            slope, at_now = np.polyfit((times - now[step]) / 1000, values, 1)
            assert slopes[series, step] == pytest.approx(slope, rel=1e-6, abs=1e-9)
            assert predicted[series, step] == pytest.approx(at_now + 60 * slope, rel=1e-6, abs=1e-6)


def extrapolated(times: np.ndarray, values: np.ndarray, start: int, stop: int, *, counter: bool) -> float | None:
    """The increase over a window, written down as Prometheus' documentation has it."""
    if len(values) < 2:
        return None
    increase = values[-1] - values[0]
    if counter:
        increase += sum(earlier for earlier, later in itertools.pairwise(values) if later < earlier)
    interval = (times[-1] - times[0]) / 1000
    gap = interval / (len(values) - 1)
    at_start, at_end = (times[0] - start) / 1000, (stop - times[-1]) / 1000
    at_start = gap / 2 if at_start >= 1.1 * gap else at_start
    at_end = gap / 2 if at_end >= 1.1 * gap else at_end
    if counter and increase > 0 and values[0] >= 0:
        at_start = min(at_start, interval * values[0] / increase)
    return increase * (interval + at_start + at_end) / interval


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("counter", [True, False])
def test_an_increase_is_extrapolated_and_corrected_for_resets(seed: int, counter: bool) -> None:
    drawn = Drawn(seed, special=False, counter=True)
    samples = Samples(LabelTable.empty(5), drawn.offsets, drawn.times, drawn.values)
    marks = resets(samples) if counter else np.zeros(len(drawn.times), bool)
    out, present = np.zeros(drawn.first.shape), np.zeros(drawn.first.shape, bool)
    windows = drawn.first, drawn.end, drawn.ends, drawn.range_ms
    none = np.zeros(0, np.int64)
    rate_kernels.increase_windows(
        drawn.times, drawn.values, none, marks, before(marks), *windows, counter, out, present
    )
    for series, step, times, values in drawn.windows():
        stop = int(drawn.ends[step])
        expected = extrapolated(times, values, stop - drawn.range_ms, stop, counter=counter)
        assert present[series, step] == (expected is not None)
        if expected is not None:
            assert out[series, step] == pytest.approx(expected, rel=1e-9, abs=1e-9)


class Cells:
    """Values of 12 series at 6 steps, some absent, in 3 groups."""

    def __init__(self, seed: int, *, special: bool = False) -> None:
        random = np.random.default_rng(seed)
        self.values = random.integers(-5, 5, size=(12, 6)) + random.choice([0.0, 0.5], size=(12, 6))
        if special:
            chosen = random.random((12, 6)) < 0.3
            self.values[chosen] = random.choice(SPECIAL, np.count_nonzero(chosen))
        self.present = random.random((12, 6)) < 0.7
        self.ids = random.integers(0, 3, size=12)
        self.order = np.argsort(self.ids, kind="stable")
        self.starts = np.searchsorted(self.ids[self.order], np.arange(4))
        self.shape = 3, 6

    def groups(self) -> list[tuple[int, int, np.ndarray]]:
        """(group, step, the series that are there)."""
        return [
            (group, step, np.flatnonzero((self.ids == group) & self.present[:, step]))
            for group in range(3)
            for step in range(6)
        ]


@pytest.mark.parametrize("seed", SEEDS)
def test_groups_are_aggregated_over_what_is_present(seed: int) -> None:
    cells = Cells(seed)
    counts, seen = np.zeros(cells.shape, np.int64), np.zeros(cells.shape, np.int64)
    total, lost = np.zeros(cells.shape), np.zeros(cells.shape)
    mean, squares = np.zeros(cells.shape), np.zeros(cells.shape)
    highest = np.full(cells.shape, np.nan)
    middle = np.zeros(cells.shape)
    group_kernels.count_groups(cells.present, cells.ids, counts)
    group_kernels.sum_groups(cells.values, cells.present, cells.ids, total, lost)
    group_kernels.variance_groups(cells.values, cells.present, cells.ids, seen, mean, squares)
    group_kernels.extreme_groups(cells.values, cells.present, cells.ids, True, highest)
    group_kernels.quantile_groups(cells.values, cells.present, cells.order, cells.starts, np.full(6, 0.5), middle)
    for group, step, series in cells.groups():
        values = cells.values[series, step]
        assert counts[group, step] == seen[group, step] == len(values)
        assert total[group, step] + lost[group, step] == pytest.approx(math.fsum(values))
        if len(values):
            assert squares[group, step] / len(values) == pytest.approx(np.var(values), abs=1e-12)
            assert highest[group, step] == values.max()
            assert middle[group, step] == pytest.approx(np.median(values))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("largest", [True, False])
def test_the_best_of_a_group_are_those_a_stable_sort_puts_first(seed: int, largest: bool) -> None:
    cells = Cells(seed, special=True)
    most = np.arange(6) % 4
    chosen = np.zeros((6, 12), bool)
    by_step = np.ascontiguousarray(cells.values.T), np.ascontiguousarray(cells.present.T)
    group_kernels.select_groups(*by_step, cells.order, cells.starts, most, largest, chosen)

    def key(step: int) -> Callable[[int], tuple[bool, float]]:
        def of(series: int) -> tuple[bool, float]:
            value = cells.values[series, step]
            return math.isnan(value), 0.0 if math.isnan(value) else -value if largest else value

        return of

    for group, step, series in cells.groups():
        expected = sorted(series.tolist(), key=key(step))[: most[step]]
        found = [one for one in np.flatnonzero(chosen[step]) if cells.ids[one] == group]
        assert sorted(expected) == found
