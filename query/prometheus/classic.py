"""Explicit-bucket histograms and summaries as the float series that Prometheus knows them as.

Source: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ ("Histograms", "Summaries").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sonde.query.prometheus.points import STALE, Budget, Points, taken
from sonde.query.promql.float_text import plain
from sonde.query.promql.labels import LabelColumn, LabelTable, values_of
from sonde.query.promql.values import Floats, Samples
from sonde.storage.native_blocks import ListColumn

Ints = NDArray[np.int64]
Accepts = Callable[[Sequence[str]], Sequence[bool]]
"""Which values of the label that is made here the matchers accept."""


def column_series(points: Points, labels: LabelTable, name: str) -> Samples:
    """One series of each: a column of the points; what is NULL is no sample."""
    column = points.columns[name]
    if not isinstance(column, np.ma.MaskedArray):
        return Samples(labels, points.offsets, points.times, column.astype(np.float64, copy=False), None, points.starts)
    there = ~np.ma.getmaskarray(column)
    offsets = np.concatenate(([0], np.cumsum(there)))[points.offsets]
    values = np.ma.getdata(column)[there].astype(np.float64)
    return Samples(labels, offsets, points.times[there], values, None, points.starts[there])


def buckets(points: Points, labels: LabelTable, accepts: Accepts, budget: Budget) -> Iterator[Samples]:
    """The `_bucket` series: `points` have `count`, `stale`, `bucket_counts` and `explicit_bounds`.

    Counts are cumulative over the buckets, and the last one is the point's own count. One answer for each layout of bounds.
    """
    for rows, bounds, width in layouts(points, "explicit_bounds", "bucket_counts"):
        bounds = bounds[:width]
        edges = [*(plain(bound) for bound in bounds), "+Inf"]
        shown = np.flatnonzero(accepts(edges))
        budget.check(len(shown) * len(rows))
        matrix = np.full((len(rows), len(edges)), STALE)
        real = points.columns["stale"][rows] == 0
        counts = taken(points.columns["bucket_counts"], rows[real]).items.reshape(np.count_nonzero(real), width)
        matrix[real, :-1] = np.cumsum(counts[:, : len(bounds)], axis=1, dtype=np.float64)
        matrix[real, -1] = points.columns["count"][rows[real]]
        yield spread(points, labels, rows, matrix[:, shown], "le", [edges[index] for index in shown])


def quantiles(points: Points, labels: LabelTable, accepts: Accepts, budget: Budget) -> Iterator[Samples]:
    """The quantiles of summaries: `points` have `quantile`, `quantile_value` and `stale`."""
    for rows, levels, width in layouts(points, "quantile", "quantile_value"):
        texts = [plain(level) for level in levels]
        shown = np.flatnonzero(accepts(texts))
        budget.check(len(shown) * len(rows))
        matrix = np.full((len(rows), width), STALE)
        real = points.columns["stale"][rows] == 0
        matrix[real] = taken(points.columns["quantile_value"], rows[real]).items.reshape(np.count_nonzero(real), width)
        yield spread(points, labels, rows, matrix[:, shown], "quantile", [texts[index] for index in shown])


def layouts(points: Points, name: str, beside: str) -> Iterator[tuple[Ints, Floats, int]]:
    """For each distinct list in the column `name`: its rows, the list, and how many items these rows have in `beside`.

    A stale marker has neither, and goes with the layout of the point before it.
    """
    if not len(points):
        return
    lists: ListColumn = points.columns[name]
    lengths, widths = sizes(lists), sizes(points.columns[beside])
    same = np.zeros(len(points), bool)
    same[1:] = (lengths[1:] == lengths[:-1]) & (widths[1:] == widths[:-1])
    same = same_items(lists, lengths, same)
    first_of_series = np.zeros(len(points) + 1, bool)
    first_of_series[points.offsets] = True
    same |= (points.columns["stale"] != 0) & ~first_of_series[:-1]
    firsts = np.flatnonzero(~same)
    known: dict[tuple[bytes, int], int] = {}
    code_of_run = np.empty(len(firsts), np.int64)
    for run, row in enumerate(firsts):
        items = lists.items[lists.ends[row] - lengths[row] : lists.ends[row]]
        code_of_run[run] = known.setdefault((items.tobytes(), int(widths[row])), len(known))
    code = np.repeat(code_of_run, np.diff(firsts, append=len(points)))
    for (items, width), each in known.items():
        yield np.flatnonzero(code == each), np.frombuffer(items, np.float64), width


def sizes(lists: ListColumn) -> Ints:
    return np.diff(lists.ends, prepend=0)


def same_items(lists: ListColumn, lengths: Ints, candidates: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of `candidates` have the same items as the row before, given that they have as many."""
    rows = np.flatnonzero(candidates)
    counts = lengths[rows]
    ends = np.cumsum(counts)
    within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
    begins = lists.ends - lengths
    here = lists.items[np.repeat(begins[rows], counts) + within]
    before = lists.items[np.repeat(begins[rows - 1], counts) + within]
    same = candidates.copy()
    same[np.repeat(rows, counts)[here != before]] = False
    return same


def spread(points: Points, labels: LabelTable, rows: Ints, matrix: Floats, name: str, texts: Sequence[str]) -> Samples:
    """A matrix of (rows x texts) as a series for each text and series of the points: all of the first text, then the next."""
    count, series = len(texts), labels.size
    offsets = np.searchsorted(rows, points.offsets)
    starts = np.repeat(np.arange(count) * len(rows), series)
    table = labels.take(np.tile(np.arange(series), count))
    column = LabelColumn(np.repeat(np.arange(1, count + 1, dtype=np.int32), series), values_of(["", *texts]))
    return Samples(
        table.with_column(name, column),
        np.append(starts + np.tile(offsets[:-1], count), count * len(rows)),
        np.tile(points.times[rows], count),
        np.ascontiguousarray(matrix.T, np.float64).ravel(),
        None,
        np.tile(points.starts[rows], count),
    )
