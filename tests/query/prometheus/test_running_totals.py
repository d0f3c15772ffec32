"""Deltas are counters that begin at midnight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sent import T0_MS, counter, exponential, found, histogram, point, send
from sonde.storage.store import Store

MIDNIGHT = 86_400 - 9_600
"""Of the day after, in seconds after T0."""


def deltas(*points: tuple[float, float | None, float]) -> Any:
    """A counter sent as (time, start, value)."""
    return counter("x", *(point(time, start, asDouble=float(value)) for time, start, value in points), delta=True)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        pytest.param([(10, 0, 1), (20, 10, 2), (30, 20, 3)], {0: 0, 10: 1, 20: 3, 30: 6}, id="contiguous"),
        pytest.param([(10, None, 1), (20, None, 2)], {10: 1, 20: 3}, id="starts unset"),
        pytest.param([(10, 0, 1), (40, 30, 2)], {0: 0, 10: 1, 30: 1, 40: 3}, id="a gap"),
        pytest.param([(10, 10, 1), (20, 5, 2)], {10: 1, 20: 3}, id="starts that say nothing"),
        pytest.param(
            [(MIDNIGHT - 10, MIDNIGHT - 20, 5), (MIDNIGHT, MIDNIGHT - 10, 1), (MIDNIGHT + 10, MIDNIGHT, 7)],
            {MIDNIGHT - 20: 0, MIDNIGHT - 10: 5, MIDNIGHT: 1, MIDNIGHT + 10: 8},
            id="a point at midnight is the new day's first",
        ),
        pytest.param(
            [(MIDNIGHT - 10, None, 5), (MIDNIGHT + 10, MIDNIGHT - 10, 7)],
            {MIDNIGHT - 10: 5, MIDNIGHT: 0, MIDNIGHT + 10: 7},
            id="a reset that would not show",
        ),
        pytest.param(
            [(MIDNIGHT - 10, None, 5), (MIDNIGHT + 100, None, 7)],
            {MIDNIGHT - 10: 5, MIDNIGHT: 0, MIDNIGHT + 100: 7},
            id="a reset without starts",
        ),
    ],
)
def test_a_delta_sum_is_the_total_since_midnight(store: Store, points: Any, expected: dict[float, float]) -> None:
    send(store, "t", deltas(*points))
    assert found(store, "t", "x_total", T0_MS, T0_MS + 2 * 86_400_000) == {"x_total": expected}


def test_what_a_sample_is_does_not_depend_on_the_window(store: Store) -> None:
    times = np.arange(-9_000, 200_000, 977).tolist()
    send(store, "t", deltas(*((time, time - 977, index % 7) for index, time in enumerate(times))), received=200_000)
    (whole,) = found(store, "t", "x_total", T0_MS - 9_600_000, T0_MS + 10**9).values()
    for start, end in [(0, 5_000), (3_000, 80_000), (76_000, 90_000), (100_000, 200_000)]:
        (part,) = found(store, "t", "x_total", T0_MS + start * 1000, T0_MS + end * 1000).values()
        assert part == {time: value for time, value in whole.items() if start <= time <= end}


def test_no_value_recorded_leaves_a_total_as_it_is(store: Store) -> None:
    points = [point(10, 0, asInt=1), point(20, 10, flags=1), point(30, 20, asInt=2)]
    send(store, "t", counter("x", *points, delta=True))
    assert found(store, "t", "x_total") == {"x_total": {0: 0, 10: 1, 20: "stale", 30: 3}}


def test_a_delta_histogram_is_the_total_of_each_bucket(store: Store) -> None:
    def at(seconds: int, *counts: int) -> Any:
        return point(
            seconds, seconds - 10, count=sum(counts), sum=float(sum(counts)), bucketCounts=counts, explicitBounds=[1]
        )

    send(store, "t", histogram("x", at(10, 1, 2), at(20, 3, 0), delta=True))
    assert found(store, "t", "x_bucket") == {
        "x_bucket le=1": {0: 0, 10: 1, 20: 4},
        "x_bucket le=+Inf": {0: 0, 10: 3, 20: 6},
    }
    assert found(store, "t", "x_count") == {"x_count": {0: 0, 10: 3, 20: 6}}
    assert found(store, "t", "x_sum") == {"x_sum": {0: 0, 10: 3, 20: 6}}


def test_a_delta_exponential_histogram_is_the_total_of_each_bucket(store: Store) -> None:
    def at(seconds: int, scale: int, offset: int, *counts: int, **fields: Any) -> Any:
        positive = {"offset": offset, "bucketCounts": counts}
        return point(seconds, seconds - 10, count=sum(counts), sum=1, scale=scale, positive=positive, **fields)

    points = [at(10, 1, 0, 1, 2, 3), at(20, 0, 0, 5, 1), point(25, flags=1), at(MIDNIGHT + 5, 2, 0, 1)]
    send(store, "t", exponential("x", *points, temporality=1))
    (values,) = found(store, "t", "x", T0_MS, T0_MS + 86_400_000).values()
    assert values[25] == "stale"
    totals = {time: value for time, value in values.items() if value != "stale"}
    # At scale 0: OTLP's buckets 0, 1, 2 of scale 1 are within Prometheus' 1, 1, 2.
    found_buckets = {
        time: (
            total.schema,
            {int(i): float(c) for i, c in zip(total.positive_indices, total.positive_counts, strict=True) if c},
        )
        for time, total in totals.items()
    }
    assert found_buckets == {10: (0, {1: 3, 2: 3}), 20: (0, {1: 8, 2: 4}), MIDNIGHT + 5: (2, {1: 1})}
    assert [total.count for total in totals.values()] == [6, 12, 1]
