"""Exponential histograms, and explicit ones that came from Prometheus, as native histogram samples.

Source: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ ("Exponential Histograms") and
https://prometheus.io/docs/specs/native_histograms/. OTLP's bucket i begins at base ** i, Prometheus' ends there: one more.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sonde.query.prometheus.metrics import DELTA, Metric
from sonde.query.prometheus.points import STALE, Points
from sonde.query.prometheus.running_totals import DAY_MS
from sonde.query.promql.histogram import CUSTOM_SCHEMA, MAXIMUM_SCHEMA, CounterReset, Histogram, no_counts
from sonde.query.promql.histogram_block import Block, FlatBuckets, block_of, is_sparse, together
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.values import Ints, Samples

Counts = NDArray[np.float64]
FLOAT64 = "float64"
"""`prometheus.counts` of a metric whose counts are the bits of doubles."""


def exponential(points: Points, labels: LabelTable, metrics: list[Metric]) -> Samples:
    """One series of each: `metrics` are those of the series.

    `points` have `count`, `sum`, `scale`, `zero_count`, `zero_threshold`, `stale`, and for both signs offset and counts.
    """
    return samples_of(points, labels, metrics, exponential_histograms)


def custom(points: Points, labels: LabelTable, metrics: list[Metric]) -> Samples:
    """The same of explicit histograms: `points` have `count`, `sum`, `bucket_counts`, `explicit_bounds`, `stale`."""
    return samples_of(points, labels, metrics, custom_histograms)


def samples_of(points: Points, labels: LabelTable, metrics: list[Metric], read: Any) -> Samples:
    histograms = np.full(len(points), None, object)
    values = np.where(points.columns["stale"] != 0, STALE, np.nan)
    starts = points.starts.copy()
    for series, metric in enumerate(metrics):
        rows = range(points.offsets[series], points.offsets[series + 1])
        found = read(points, rows, metric)
        if metric.temporality == DELTA:
            found = accumulated(points, rows, found)
            starts[rows.start : rows.stop] = points.times[rows.start : rows.stop] // DAY_MS * DAY_MS
        histograms[rows.start : rows.stop] = found
    return Samples(labels, points.offsets, points.times, values, histograms, starts)


def exponential_histograms(points: Points, rows: range, metric: Metric) -> list[Histogram | None]:
    """The samples of one series; None for a stale marker."""
    columns = points.columns
    found: list[Histogram | None] = [None] * len(rows)
    for members in alike(
        points, rows, *(columns[name][rows.start : rows.stop] for name in ("scale", "zero_threshold"))
    ):
        for part, block in exponential_blocks(columns, members, metric):
            fill(found, block, part - rows.start, metric)
    return found


def exponential_blocks(columns: dict[str, Any], members: Ints, metric: Metric) -> Iterator[tuple[Ints, Block]]:
    """Rows of one scale and zero threshold as blocks, in parts where too few of them have the same buckets."""
    scale = int(columns["scale"][members[0]])
    drop = max(0, scale - MAXIMUM_SCHEMA)
    negative, positive = (side(columns, sign, members, drop, metric) for sign in ("negative", "positive"))
    if is_sparse(len(members), negative, positive):
        for part in np.array_split(members, 2):
            yield from exponential_blocks(columns, part, metric)
        return
    heads = heads_of(columns, members, number(columns["zero_count"][members], metric), metric)
    threshold = float(columns["zero_threshold"][members[0]])
    yield members, block_of(scale - drop, threshold, no_counts(), heads, negative, positive)


def custom_histograms(points: Points, rows: range, metric: Metric) -> list[Histogram | None]:
    columns = points.columns
    found: list[Histogram | None] = [None] * len(rows)
    known: dict[bytes, int] = {}
    bounds = [item(columns["explicit_bounds"], row) for row in rows]
    codes = np.fromiter((known.setdefault(one.tobytes(), len(known)) for one in bounds), np.int64, len(rows))
    for members in alike(points, rows, codes):
        places, within, items = flat(columns["bucket_counts"], members)
        positive = populated(places, within, number(items, metric))
        nothing = FlatBuckets(places[:0], within[:0], no_counts())
        heads = heads_of(columns, members, np.zeros(len(members)), metric)
        values = bounds[int(members[0]) - rows.start]
        fill(found, block_of(CUSTOM_SCHEMA, 0.0, values, heads, nothing, positive), members - rows.start, metric)
    return found


def alike(points: Points, rows: range, *keys: NDArray[Any]) -> Iterator[Ints]:
    """The rows of a series that are no stale markers, in groups of equal keys; each of `keys` is as long as `rows`."""
    live = np.flatnonzero(points.columns["stale"][rows.start : rows.stop] == 0)
    code = np.zeros(len(live), np.int64)
    for key in keys:
        _, own = np.unique(key[live], return_inverse=True)
        _, code = np.unique(code * (len(live) + 1) + own, return_inverse=True)
    for group in range(int(code.max(initial=-1)) + 1):
        yield live[code == group] + rows.start


def fill(found: list[Histogram | None], block: Block, places: Ints, metric: Metric) -> None:
    hint = hint_of(metric)
    for row, place in enumerate(places.tolist()):
        found[place] = block.histogram(row, hint)


def heads_of(columns: dict[str, Any], members: Ints, zero_counts: Counts, metric: Metric) -> Counts:
    """(m, 3) count, sum and zero count; a sum that was left out is 0."""
    sums = np.ma.filled(columns["sum"][members], 0.0)
    return np.stack([number(columns["count"][members], metric), sums, zero_counts], axis=1)


def hint_of(metric: Metric) -> CounterReset:
    """A gauge histogram of Prometheus is kept with unspecified temporality."""
    return CounterReset.GAUGE if metric.verbatim and metric.temporality == 0 else CounterReset.UNKNOWN


def side(columns: dict[str, Any], sign: str, members: Ints, drop: int, metric: Metric) -> FlatBuckets:
    """One side's buckets that hold anything, with `drop` less of scale: 2 ** drop buckets become one."""
    places, within, items = flat(columns[f"{sign}_counts"], members)
    # Bucket i ends at base ** i: those that end within a wider one belong to it, its own end included.
    indices = -(-(within + columns[f"{sign}_offset"][members].astype(np.int64)[places] + 1) >> drop)
    return populated(places, indices, number(items, metric))


def flat(lists: Any, members: Ints) -> tuple[Ints, Ints, NDArray[Any]]:
    """All items of some rows' lists: the place of their row among these, their index in the list, the items."""
    ends = lists.ends.astype(np.int64, copy=False)
    starts = np.where(members > 0, ends[members - 1], 0)
    lengths = ends[members] - starts
    places = np.repeat(np.arange(len(members)), lengths)
    within = np.arange(len(places)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return places, within, lists.items[starts[places] + within]


def populated(places: Ints, indices: Ints, counts: Counts) -> FlatBuckets:
    filled = counts != 0
    return FlatBuckets(places[filled], indices[filled], counts[filled])


def item(lists: Any, row: int) -> NDArray[Any]:
    items: NDArray[Any] = lists.items[(lists.ends[row - 1] if row else 0) : lists.ends[row]]
    return items


def number(counts: Any, metric: Metric) -> Any:
    """Counts as doubles: of a float histogram they are stored as its bits."""
    return counts.view(np.float64) if metric.prometheus_counts == FLOAT64 else counts.astype(np.float64)


def accumulated(points: Points, rows: range, deltas: list[Histogram | None]) -> list[Histogram | None]:
    """Running totals since midnight (`running_totals.py`), those of a day in the layout that its points have in common."""
    totalled: list[Histogram | None] = []
    for _, day in groupby(zip(rows, deltas, strict=True), lambda pair: points.times[pair[0]] // DAY_MS):
        found = [histogram for _, histogram in day]
        counted = [histogram for histogram in found if histogram is not None]
        totals: Iterator[Histogram] = iter(())
        if counted:
            block = together(counted)
            running = Block(block.layout, np.cumsum(block.numbers, axis=0))
            totals = (running.histogram(row, CounterReset.UNKNOWN) for row in range(len(counted)))
        totalled += [None if histogram is None else next(totals) for histogram in found]
    return totalled
