"""Summaries from rollups are those of the samples, whatever came late, twice, or not at all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sent import T0_MS, counter, exponential, gauge, histogram, point, send, summary
from sonde.query.filters import Filter
from sonde.query.prometheus.metrics import Part
from sonde.query.prometheus.points import Budget, Chosen
from sonde.query.prometheus.strands import Strand
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.summaries import FLAT
from sonde.query.rollups import reading
from sonde.storage.store import Store
from windows_of import FIVE_MINUTES, HOUR, VALUES, assert_same, build_all, of_samples, stored

BEGIN = T0_MS // HOUR * HOUR
"""A full hour."""
ENDED = BEGIN + 6 * HOUR
STALE = {"flags": 1}


def at(hours: float, **fields: Any) -> Any:
    """A point so many hours after `BEGIN`."""
    return point((BEGIN - T0_MS) / 1000 + hours * 3600, **fields)


def minutes(first: float, last: float, value: Any, **fields: Any) -> list[Any]:
    """A point at every minute from `first` to `last`, both in hours; `value(i)` is that of the i-th."""
    count = round((last - first) * 60) + 1
    return [at(first + index / 60, asDouble=spelled(value(index)), **fields) for index in range(count)]


def spelled(value: float) -> float | str:
    """As OTLP/JSON has it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


@pytest.fixture(params=[FIVE_MINUTES, HOUR], ids=["5m", "1h"])
def width(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def check(store: Store, selector: str, width: int, tenant: str = "t", after: int = BEGIN, end: int = ENDED) -> None:
    expected = of_samples(store, tenant, selector, width, after, end)
    assert len(expected.ends)
    assert_same(stored(store, tenant, selector, width, after, end), expected)


SERIES = {
    "a counter": minutes(0, 5, lambda i: 3.0 * i),
    "a counter that is reset": minutes(0, 5, lambda i: float(i % 7)),
    "a reset at the hour": minutes(0, 5, lambda i: float(i % 60)),
    "a gauge": minutes(0, 5, lambda i: math.sin(i)),
    "nothing a number": minutes(0, 5, lambda i: math.nan if i % 3 else 1.0),
    "infinities": minutes(0, 5, lambda i: (math.inf, 1.0, -math.inf)[i % 3]),
    "a few": [at(0.5, asDouble=1.0), at(2.5, asDouble=2.0), at(2.501, asDouble=1.5)],
    "on the edges": [at(hour, asDouble=float(hour)) for hour in range(6)],
    "just after the edges": [at(hour + 0.0005 / 3600, asDouble=float(hour)) for hour in range(6)],
    "ended": [*minutes(0, 1.5, lambda i: float(i)), at(1.6, **STALE)],
    "ended and begun again": [
        *minutes(0, 1.5, lambda i: float(i)),
        at(1.51, **STALE),
        *minutes(1.55, 4, lambda i: float(i)),
    ],
    "a marker alone in its window": [at(0.5, asDouble=1.0), at(3.5, **STALE)],
    "without a value": [at(0.5, asDouble=1.0), at(0.6), at(0.7, asDouble=2.0)],
    "twice in a millisecond": [at(0.5, asDouble=1.0), at(0.5 + 0.0000001 / 3600, asDouble=2.0), at(0.7, asDouble=2.0)],
    "with a start": minutes(0, 5, lambda i: float(i), start=-3600),
    "restarted": [
        *minutes(0, 2.5, lambda i: float(i), start=-3600),
        *minutes(2.6, 5, lambda i: 200.0 + i, start=2.55 * 3600),
    ],
}


@pytest.mark.parametrize("points", SERIES.values(), ids=SERIES.keys())
def test_rollups_say_what_the_samples_say(store: Store, points: list[Any], width: int) -> None:
    send(store, "t", counter("x", *points))
    assert build_all(store, "t", BEGIN - HOUR, ENDED).hours
    check(store, "x_total", width)


def test_what_is_not_built_yet_is_made_of_points(store: Store, width: int) -> None:
    send(store, "t", counter("x", *minutes(0, 5.5, lambda i: float(i % 100))))
    build_all(store, "t", BEGIN - HOUR, BEGIN + 4 * HOUR)
    check(store, "x_total", width)
    store.command(f"TRUNCATE TABLE points_number_{'5m' if width == FIVE_MINUTES else '1h'}")
    found = stored(store, "t", "x_total", width, BEGIN, ENDED)
    assert found is not None
    assert found.ends.min() > BEGIN + 4 * HOUR, "the hours that are built were read from the rollups"


def test_late_points_count_at_once_and_after_the_next_build(store: Store, width: int) -> None:
    send(store, "t", counter("x", *minutes(0, 5, lambda i: float(i))))
    build_all(store, "t", BEGIN - HOUR, ENDED)
    send(store, "t", counter("x", at(2.505, asDouble=1.0)), gauge("new", at(1.2, asDouble=4.0)))
    check(store, "x_total", width)
    check(store, "new", width)
    assert build_all(store, "t", BEGIN - HOUR, ENDED).hours == 2
    assert build_all(store, "t", BEGIN - HOUR, ENDED).hours == 0
    check(store, "x_total", width)
    check(store, "new", width)


def test_an_hour_built_again_is_as_it_was(store: Store, width: int) -> None:
    send(store, "t", counter("x", *minutes(0, 5, lambda i: float(i))))
    first = build_all(store, "t", BEGIN - HOUR, ENDED)
    again = build_all(store, "t", BEGIN - HOUR, ENDED, again=True)
    assert (again.hours, again.points, again.windows) == (first.hours, first.points, first.windows)
    check(store, "x_total", width)


def test_tenants_are_kept_apart(store: Store, width: int) -> None:
    send(store, "t", gauge("x", *minutes(0, 5, lambda i: 1.0)))
    send(store, "u", gauge("x", *minutes(0, 5, lambda i: 2.0)))
    for tenant in ("t", "u"):
        build_all(store, tenant, BEGIN - HOUR, ENDED)
    for tenant in ("t", "u"):
        check(store, "x", width, tenant)


def test_series_with_the_same_labels_follow_one_another(store: Store, width: int) -> None:
    """As they do where an attribute that is no label changes with a new version of a service."""
    for version, begin, end in (("1", 0, 2.5), ("2", 2.52, 5)):
        resource = {"service.name": "shop", "service.instance.id": "a", "service.version": version}
        send(store, "t", counter("x", *minutes(begin, end, lambda i: float(i))), resource=resource)
    build_all(store, "t", BEGIN - HOUR, ENDED)
    check(store, "x_total", width)


def test_series_with_the_same_labels_at_the_same_time_are_left_to_the_samples(store: Store, width: int) -> None:
    for version in ("1", "2"):
        resource = {"service.name": "shop", "service.instance.id": "a", "service.version": version}
        send(store, "t", gauge("x", *minutes(0, 5, lambda i: float(i))), resource=resource)
    build_all(store, "t", BEGIN - HOUR, ENDED)
    assert stored(store, "t", "x", width, BEGIN, ENDED) is None


def test_a_selector_of_several_metrics_has_them_all(store: Store, width: int) -> None:
    for name in ("x", "y"):
        send(store, "t", gauge(name, *(at(0.25 * index, asDouble=1.0, labels={"n": index}) for index in range(20))))
    build_all(store, "t", BEGIN - HOUR, ENDED)
    check(store, '{__name__=~"x|y", n=~"[5-9]"}', width)


def test_deltas_are_left_to_the_samples(store: Store, width: int) -> None:
    send(
        store, "t", counter("x", *minutes(0, 5, lambda i: 1.0), delta=True), counter("y", *minutes(0, 5, lambda i: 1.0))
    )
    build_all(store, "t", BEGIN - HOUR, ENDED)
    assert stored(store, "t", "x_total", width, BEGIN, ENDED) is None
    assert store.rows("SELECT uniq(series_id) AS series FROM points_number_5m") == [{"series": 1}]


def test_target_info_is_left_to_the_samples(store: Store, width: int) -> None:
    send(store, "t", gauge("x", at(1, asDouble=1.0)))
    build_all(store, "t", BEGIN - HOUR, ENDED)
    assert stored(store, "t", '{__name__=~".+"}', width, BEGIN, ENDED) is None


def test_where_little_is_built_the_samples_are_read(store: Store, width: int) -> None:
    send(store, "t", gauge("x", *minutes(0, 5, lambda i: 1.0)))
    assert stored(store, "t", "x", width, BEGIN, ENDED) is None
    build_all(store, "t", BEGIN - HOUR, BEGIN + HOUR)
    assert stored(store, "t", "x", width, BEGIN, ENDED) is None


def test_more_windows_than_samples_are_allowed_are_left_to_the_samples(store: Store, width: int) -> None:
    send(store, "t", gauge("x", *minutes(0, 5, lambda i: 1.0)))
    build_all(store, "t", BEGIN - HOUR, ENDED)
    assert stored(store, "t", "x", width, BEGIN, ENDED) is not None
    assert stored(store, "t", "x", width, BEGIN, ENDED, max_samples=48) is None


def test_a_metric_that_is_not_there_has_no_windows(store: Store, width: int) -> None:
    send(store, "t", gauge("x", *minutes(0, 5, lambda i: 1.0)))
    build_all(store, "t", BEGIN - HOUR, ENDED)
    found = stored(store, "t", "nothing", width, BEGIN, ENDED)
    assert found is not None
    assert found.labels.size == 0
    assert all(len(getattr(found, name)) == 0 for name in FLAT)


def histograms(first: float, last: float, bounds: list[float], counts: Any, **fields: Any) -> list[Any]:
    """A point at every minute; `counts(i)` are those of the buckets of the i-th."""
    made = []
    for index in range(round((last - first) * 60) + 1):
        buckets = counts(index)
        values = {
            "count": sum(buckets),
            "bucketCounts": buckets,
            "explicitBounds": bounds,
            "sum": float(sum(buckets) * 2),
        }
        made.append(at(first + index / 60, **(values | fields)))
    return made


def without(points: list[Any], name: str, every: int) -> list[Any]:
    """The points, of which every so many lack a field."""
    return [
        {key: value for key, value in one.items() if key != name or index % every} for index, one in enumerate(points)
    ]


HISTOGRAMS = {
    "counts that grow": histograms(0, 5, [0.1, 1.0], lambda i: [i, 2 * i, i // 3]),
    "counts that are reset": histograms(0, 5, [0.1, 1.0], lambda i: [i % 50, i % 70, i % 60]),
    "with a start": histograms(0, 5, [0.1], lambda i: [i, i], startTimeUnixNano=(BEGIN - HOUR) * 10**6),
    "bounds that change within an hour": [
        *histograms(0, 2.5, [0.1, 1.0], lambda i: [i, 2 * i, i]),
        *histograms(2.6, 5, [0.1, 0.5, 1.0], lambda i: [i, i, i, i]),
    ],
    "no buckets": histograms(0, 5, [], lambda i: [i]),
    "not even a count of all": histograms(0, 5, [], lambda i: [], count=3),
    "sums left out": without(histograms(0, 5, [1.0], lambda i: [i, i]), "sum", 3),
    "ended": [*histograms(0, 1.5, [1.0], lambda i: [i, i]), at(1.6, **STALE)],
    "a marker first": [at(0.4, **STALE), *histograms(0.5, 1.5, [1.0], lambda i: [i, i])],
}


@pytest.mark.parametrize("selector", ["x_bucket", 'x_bucket{le=~"1|.Inf"}', "x_count", "x_sum", '{__name__=~"x_.*"}'])
@pytest.mark.parametrize("points", HISTOGRAMS.values(), ids=HISTOGRAMS.keys())
def test_rollups_of_histograms_say_what_their_series_say(
    store: Store, points: list[Any], width: int, selector: str
) -> None:
    send(store, "t", histogram("x", *points))
    assert build_all(store, "t", BEGIN - HOUR, BEGIN + 4 * HOUR).hours
    expected = of_samples(store, "t", selector, width, BEGIN, ENDED)
    assert_same(stored(store, "t", selector, width, BEGIN, ENDED, values=False), expected, but=VALUES)
    assert stored(store, "t", selector, width, BEGIN, ENDED) is None


def test_buckets_that_take_turns_are_left_to_the_samples(store: Store, width: int) -> None:
    fine = histograms(0, 4, [0.5, 1.0], lambda i: [i, i, i])
    coarse = histograms(0, 4, [1.0], lambda i: [i, i])
    send(store, "t", histogram("x", *(pair[index % 2] for index, pair in enumerate(zip(fine, coarse, strict=True)))))
    build_all(store, "t", BEGIN - HOUR, ENDED)
    assert stored(store, "t", "x_bucket", width, BEGIN, ENDED, values=False) is None
    selector = 'x_bucket{le="0.5"}'
    expected = of_samples(store, "t", selector, width, BEGIN, ENDED)
    assert_same(stored(store, "t", selector, width, BEGIN, ENDED, values=False), expected, but=VALUES)


def test_windows_built_again_with_other_buckets_are_the_newer_ones(store: Store, width: int) -> None:
    """Of two points in one millisecond the later counts: where it has other buckets, those before are gone."""
    send(store, "t", histogram("x", *histograms(0, 4, [1.0], lambda i: [i, i])))
    build_all(store, "t", BEGIN - HOUR, ENDED)
    later = 100 / 3.6e12
    send(store, "t", histogram("x", *histograms(later, 4 + later, [2.0], lambda i: [i, 2 * i])))
    build_all(store, "t", BEGIN - HOUR, ENDED)
    for selector in ("x_bucket", "x_count", "x_sum"):
        expected = of_samples(store, "t", selector, width, BEGIN, ENDED)
        assert_same(stored(store, "t", selector, width, BEGIN, ENDED, values=False), expected, but=VALUES)


def test_native_histograms_and_summaries_are_left_to_the_samples(store: Store, width: int) -> None:
    quantiles = [{"quantile": 0.5, "value": 1.0}]
    send(store, "t", exponential("x", *(at(hour, count=1, sum=1.0) for hour in range(5))))
    send(store, "t", summary("y", *(at(hour, count=1, sum=1.0, quantileValues=quantiles) for hour in range(5))))
    send(store, "t", histogram("z", *histograms(0, 4, [1.0], lambda i: [1, 1]), delta=True))
    build_all(store, "t", BEGIN - HOUR, ENDED)
    for selector in ("x", "y", "y_count", "z_bucket", "z_count"):
        assert stored(store, "t", selector, width, BEGIN, ENDED, values=False) is None
    assert store.rows("SELECT count() AS n FROM points_histogram_5m") == [{"n": 0}]


@pytest.mark.parametrize(
    ("age_hours", "hours", "series", "expected"),
    [(24, 12, 50, True), (24, 24, 50, False), (25, 12, 50, False), (700, 1, 1, False), (2, 2, 0, True)],
)
def test_a_few_series_of_the_last_day_are_read_from_their_points(
    age_hours: int, hours: int, series: int, expected: bool
) -> None:
    now, begin = ENDED, ENDED - age_hours * HOUR
    asked = reading.Asked((), HOUR, begin, begin + hours * HOUR, False, Budget(1))
    ids = Chosen(np.arange(series, dtype=np.uint64), Filter("1", {}), series)
    strand = Strand(Part.VALUE, "points_number", False, ids, LabelTable.empty(series), [])
    assert reading.is_little([strand], asked, now) == expected


def test_a_rebuild_that_breaks_off_between_two_layouts_of_buckets_changes_no_answer(store: Store, width: int) -> None:
    send(store, "t", histogram("x", *histograms(0, 0.4, [1.0], lambda i: [i, i])))
    send(store, "t", histogram("x", *histograms(0.5, 4, [2.0], lambda i: [i, i])))
    build_all(store, "t", BEGIN - HOUR, ENDED)
    for table in ("points_histogram_5m", "points_histogram_1h"):
        store.command(
            f"INSERT INTO {table} SELECT * REPLACE (version + 1 AS version) FROM {table} WHERE bounds = [1.0]"
        )
    for selector in ("x_bucket", "x_count", "x_sum"):
        expected = of_samples(store, "t", selector, width, BEGIN, ENDED)
        assert_same(stored(store, "t", selector, width, BEGIN, ENDED, values=False), expected, but=VALUES)
