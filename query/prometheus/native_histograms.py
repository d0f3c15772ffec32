"""Exponential histograms, and explicit ones that came from Prometheus, as native histogram samples.

Source: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ ("Exponential Histograms") and
https://prometheus.io/docs/specs/native_histograms/. OTLP's bucket i begins at base ** i, Prometheus' ends there: one more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sonde.query.prometheus.metrics import DELTA, Metric
from sonde.query.prometheus.points import STALE, Points
from sonde.query.prometheus.running_totals import DAY_MS
from sonde.query.promql.histogram import CUSTOM_SCHEMA, MAXIMUM_SCHEMA, CounterReset, Histogram
from sonde.query.promql.histogram_block import Block, together
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.values import Samples

Counts = NDArray[np.float64]
FLOAT64 = "float64"
"""`prometheus.counts` of a metric whose counts are the bits of doubles."""


@dataclass(frozen=True, slots=True)
class Sparse:
    """Buckets that hold anything: Prometheus' indexes, ascending, and counts."""

    indices: NDArray[np.int32]
    counts: Counts

    def at_scale(self, drop: int) -> Sparse:
        """The same with `drop` less of scale: 2 ** drop buckets become one."""
        if drop == 0 or not len(self.indices):
            return self
        # Bucket i ends at base ** i: those that end within a wider one belong to it, its own end included.
        merged, place = np.unique(-(-self.indices.astype(np.int64) >> drop), return_inverse=True)
        return Sparse(merged.astype(np.int32), np.bincount(place, self.counts).astype(np.float64))


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
        histograms[rows.start : rows.stop] = list(found)
    return Samples(labels, points.offsets, points.times, values, histograms, starts)


def exponential_histograms(points: Points, rows: range, metric: Metric) -> Iterator[Histogram | None]:
    """The samples of one series; None for a stale marker."""
    columns = points.columns
    hint = hint_of(metric)
    for row in rows:
        if columns["stale"][row]:
            yield None
            continue
        scale = int(columns["scale"][row])
        drop = max(0, scale - MAXIMUM_SCHEMA)
        positive = side(columns, "positive", row, metric).at_scale(drop)
        negative = side(columns, "negative", row, metric).at_scale(drop)
        yield Histogram(
            scale - drop,
            float(columns["zero_threshold"][row]),
            float(number(columns["zero_count"][row], metric)),
            float(number(columns["count"][row], metric)),
            sum_of(columns, row),
            positive.indices,
            positive.counts,
            negative.indices,
            negative.counts,
            counter_reset_hint=hint,
        )


def custom_histograms(points: Points, rows: range, metric: Metric) -> Iterator[Histogram | None]:
    columns = points.columns
    for row in rows:
        if columns["stale"][row]:
            yield None
            continue
        counts = number(item(columns["bucket_counts"], row), metric)
        filled = np.flatnonzero(counts)
        yield Histogram(
            CUSTOM_SCHEMA,
            count=float(number(columns["count"][row], metric)),
            sum=sum_of(columns, row),
            positive_indices=filled.astype(np.int32),
            positive_counts=counts[filled],
            custom_values=item(columns["explicit_bounds"], row),
            counter_reset_hint=hint_of(metric),
        )


def hint_of(metric: Metric) -> CounterReset:
    """A gauge histogram of Prometheus is kept with unspecified temporality."""
    return CounterReset.GAUGE if metric.verbatim and metric.temporality == 0 else CounterReset.UNKNOWN


def side(columns: dict[str, Any], sign: str, row: int, metric: Metric) -> Sparse:
    counts = number(item(columns[f"{sign}_counts"], row), metric)
    filled = np.flatnonzero(counts)
    return Sparse((filled + int(columns[f"{sign}_offset"][row]) + 1).astype(np.int32), counts[filled])


def item(lists: Any, row: int) -> NDArray[Any]:
    items: NDArray[Any] = lists.items[(lists.ends[row - 1] if row else 0) : lists.ends[row]]
    return items


def number(counts: Any, metric: Metric) -> Any:
    """Counts as doubles: of a float histogram they are stored as its bits."""
    return counts.view(np.float64) if metric.prometheus_counts == FLOAT64 else counts.astype(np.float64)


def sum_of(columns: dict[str, Any], row: int) -> float:
    found = columns["sum"][row]
    return 0.0 if found is np.ma.masked else float(found)


def accumulated(points: Points, rows: range, deltas: Iterator[Histogram | None]) -> Iterator[Histogram | None]:
    """Running totals since midnight (`running_totals.py`), those of a day in the layout that its points have in common."""
    for _, day in groupby(zip(rows, deltas, strict=True), lambda pair: points.times[pair[0]] // DAY_MS):
        found = [histogram for _, histogram in day]
        counted = [histogram for histogram in found if histogram is not None]
        block = together(counted) if counted else None
        totals = iter(range(len(counted)))
        if block is not None:
            block = Block(block.layout, np.cumsum(block.numbers, axis=0))
        for histogram in found:
            yield None if histogram is None or block is None else block.histogram(next(totals), CounterReset.UNKNOWN)
