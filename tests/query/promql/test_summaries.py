"""Summaries of windows beside what the samples in each say one by one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.summaries import FLAT, Summaries, coarser, latest, series_of, summarize, where
from sonde.query.promql.values import Samples
from sonde.query.promql.windows import STALE

Sample = tuple[int, float, int]
"""Time, value (the marker's NaN for a stale one) and start."""
WIDTH = 10
MARKER = float(STALE.view(np.float64))
ADDED = ("sums", "losses")


def is_stale(value: float) -> bool:
    return bool(np.float64(value).view(np.int64) == STALE)


def restarted(sample: Sample, before: Sample) -> bool:
    (time, _, start), (time_before, _, start_before) = sample, before
    if start == 0 or start >= time:
        return False
    return start > time_before or (start == time_before and 0 != start_before < time_before)


def twin(series: Sequence[Sample], width: int) -> Iterator[dict[str, Any]]:
    """The windows of one series, in order."""
    for end in sorted({-(-time // width) * width for time, _, _ in series}):
        inside = [sample for sample in series if end - width < sample[0] <= end]
        real = [sample for sample in inside if not is_stale(sample[1])]
        markers = [time for time, value, _ in inside if is_stale(value)]
        if not real:
            yield {"ends": end, "counts": 0, "stale_times": markers[-1]}
            continue
        pairs = list(zip(real[1:], real, strict=False))
        numbers = [value for _, value, _ in real if not math.isnan(value)]
        yield {
            "ends": end,
            "counts": len(real),
            "first_times": real[0][0],
            "firsts": real[0][1],
            "first_starts": real[0][2],
            "last_times": real[-1][0],
            "lasts": real[-1][1],
            "last_starts": real[-1][2],
            "stale_times": markers[-1] if markers and markers[-1] > real[-1][0] else 0,
            "sums": sum(value for _, value, _ in real),
            "minima": min(numbers, default=math.nan),
            "maxima": max(numbers, default=math.nan),
            "losses": sum(old[1] for new, old in pairs if new[1] < old[1] or restarted(new, old)),
            "overlaps": int(any(0 != new[2] < old[0] and new[2] != old[2] for new, old in pairs)),
        }


VALUES = st.sampled_from([0.0, 1.0, 2.5, 3.0, 1e9, math.nan, math.inf, -math.inf, MARKER])
SERIES = st.lists(
    st.lists(
        st.tuples(st.integers(1, 100), VALUES, st.integers(0, 100)), max_size=20, unique_by=lambda sample: sample[0]
    ).map(sorted),
    max_size=3,
)


def samples_of(series: Sequence[Sequence[Sample]]) -> Samples:
    flat = [sample for one in series for sample in one]
    offsets = np.cumsum([0, *map(len, series)]).astype(np.int64)
    columns = (np.array([sample[at] for sample in flat], kind) for at, kind in enumerate((np.int64, float, np.int64)))
    times, values, starts = columns
    return Samples(LabelTable.empty(len(series)), offsets, times, values, None, starts)


def assert_same(found: Summaries, series: Sequence[Sequence[Sample]], width: int) -> None:
    assert found.width_ms == width
    for number, one in enumerate(series):
        rows = range(found.offsets[number], found.offsets[number + 1])
        expected = list(twin(one, width))
        assert len(rows) == len(expected)
        for row, fields in zip(rows, expected, strict=True):
            for name, value in fields.items():
                here = getattr(found, name)[row]
                if name in ADDED:
                    np.testing.assert_allclose(here, value, rtol=1e-12)
                else:
                    np.testing.assert_array_equal(here, value, name)


@given(SERIES)
def test_a_summary_says_what_the_samples_of_its_window_come_to(series: list[list[Sample]]) -> None:
    assert_same(summarize(samples_of(series), WIDTH), series, WIDTH)


@given(SERIES)
def test_wider_windows_of_narrow_ones_are_those_of_the_samples(series: list[list[Sample]]) -> None:
    assert_same(coarser(summarize(samples_of(series), WIDTH), 5 * WIDTH), series, 5 * WIDTH)


@given(SERIES)
def test_the_latest_of_each_window_is_what_an_instant_at_its_end_finds(series: list[list[Sample]]) -> None:
    found = latest(summarize(samples_of(series), WIDTH))
    expected = [
        max(sample for sample in one if end - WIDTH < sample[0] <= end)
        for one in series
        for end in sorted({-(-time // WIDTH) * WIDTH for time, _, _ in one})
    ]
    np.testing.assert_array_equal(found.times, [time for time, _, _ in expected])
    np.testing.assert_array_equal(
        found.values.view(np.int64), np.array([value for _, value, _ in expected]).view(np.int64)
    )


@given(SERIES)
def test_some_windows_and_some_series_are_what_they_were(series: list[list[Sample]]) -> None:
    found = summarize(samples_of(series), WIDTH)
    assert_same(series_of(found, slice(1, len(series))) if series else found, series[1:], WIDTH)
    late = [[sample for sample in one if sample[0] > 5 * WIDTH] for one in series]
    assert_same(where(found, found.ends > 5 * WIDTH), late, WIDTH)


def test_there_may_be_no_series() -> None:
    found = coarser(summarize(samples_of([]), WIDTH), 5 * WIDTH)
    assert all(len(getattr(found, name)) == 0 for name in FLAT)
    assert len(latest(found).times) == 0
