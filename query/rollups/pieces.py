"""Points as the series that are summarised, and their summaries as rows of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sonde.query.prometheus import classic
from sonde.query.prometheus.points import Budget, Points
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.summaries import Summaries
from sonde.query.promql.values import Samples
from sonde.query.rollups.kinds import NUMBERS, Kind
from sonde.storage.columns import Column, Constant, Interned, Lists, Strings

Ids = NDArray[np.uint64]

FIELDS = {
    "count": "counts",
    "first_time": "first_times",
    "first": "firsts",
    "last_time": "last_times",
    "last": "lasts",
    "sum": "sums",
    "min": "minima",
    "max": "maxima",
    "lost": "losses",
    "first_start": "first_starts",
    "last_start": "last_starts",
    "stale_time": "stale_times",
    "overlaps": "overlaps",
}
"""Columns of the tables, and what `Summaries` calls them."""
EXTREMES = ("sum", "min", "max")
"""Of numbers only."""
ARRAYS = ("first", "last", "lost")
"""Of histograms they have a value for each bucket."""
BUCKETS, SUM = "buckets", "sum"
"""What `part` says. The last of the buckets holds all values: it is the count, too."""
ANY = Budget(2**62)


@dataclass(frozen=True, slots=True)
class Series:
    """Stored series."""

    ids: Ids
    """(n,) ascending."""
    metrics: Sequence[str]
    """(n,) the names of their metrics, as sent."""


@dataclass(frozen=True, slots=True)
class Piece:
    """How summaries of some samples become rows."""

    block: Callable[[str, Series, Summaries, int], dict[str, Column]]
    """Of the tenant, n series, their summaries and a version."""


def pieces(kind: Kind, points: Points) -> Iterator[tuple[Piece, Samples]]:
    """The samples to summarise, without the labels of their series; of buckets all of one bound, then those of the next."""
    labels = LabelTable.empty(len(points.offsets) - 1)
    if kind.name == NUMBERS.name:
        yield Piece(number_rows), classic.column_series(points, labels, "value")
        return
    yield Piece(sum_rows), classic.column_series(points, labels, "sum")
    for samples in classic.buckets(points, labels, lambda edges: [True] * len(edges), ANY):
        column = samples.labels.column("le")
        yield Piece(bucket_rows([float(text) for text in column.values[1:-1]])), samples


def number_rows(tenant: str, series: Series, summaries: Summaries, version: int) -> dict[str, Column]:
    """Rows of a table of numbers."""
    rows = len(summaries.ends)
    return {
        **head(tenant, series, summaries.offsets, ""),
        "end_time": (summaries.ends // 1000).astype(np.uint32),
        "version": Constant(version.to_bytes(8, "little"), rows),
        **columns(summaries, rows),
    }


def sum_rows(tenant: str, series: Series, summaries: Summaries, version: int) -> dict[str, Column]:
    return histogram_rows(tenant, series, summaries, version, SUM, [])


def bucket_rows(bounds: Sequence[float]) -> Callable[[str, Series, Summaries, int], dict[str, Column]]:
    return lambda tenant, series, summaries, version: histogram_rows(
        tenant, series, summaries, version, BUCKETS, bounds
    )


def histogram_rows(
    tenant: str, series: Series, summaries: Summaries, version: int, part: str, bounds: Sequence[float]
) -> dict[str, Column]:
    """Rows of a table of histograms: `summaries` are of n series for each bucket, whose windows are the same but for values."""
    offsets = summaries.offsets[: len(series.ids) + 1]
    rows, width = int(offsets[-1]), len(bounds) + 1
    made: dict[str, Column] = {
        **head(tenant, series, offsets, part),
        "end_time": (summaries.ends[:rows] // 1000).astype(np.uint32),
        "bounds": lists(np.tile(np.array(bounds, np.float64), rows), len(bounds), rows),
        "version": Constant(version.to_bytes(8, "little"), rows),
    }
    for name, column in columns(summaries, rows).items():
        if name in ARRAYS:
            by_bucket = getattr(summaries, FIELDS[name]).reshape(width, rows)
            made[name] = lists(np.ascontiguousarray(by_bucket.T).ravel(), width, rows)
        elif name not in EXTREMES:
            made[name] = column
    return made


def lists(items: NDArray[np.float64], width: int, rows: int) -> Lists:
    """A list of `width` items in every row."""
    return Lists(np.arange(1, rows + 1, dtype=np.uint64) * np.uint64(width), items)


def head(tenant: str, series: Series, offsets: NDArray[np.int64], part: str) -> dict[str, Column]:
    counts, rows = np.diff(offsets), int(offsets[-1])
    metrics = Interned(strings(series.metrics), np.repeat(np.arange(len(series.metrics)), counts))
    return {
        "tenant": Constant(tenant.encode(), rows),
        "metric": metrics,
        **({"part": Constant(part.encode(), rows)} if part else {}),
        "series_id": np.repeat(series.ids, counts),
    }


def columns(summaries: Summaries, rows: int) -> dict[str, Column]:
    """The first rows of all that a summary says."""
    made: dict[str, Column] = {name: getattr(summaries, field)[:rows] for name, field in FIELDS.items()}
    return made | {
        "count": summaries.counts[:rows].astype(np.uint32),
        "overlaps": summaries.overlaps[:rows].astype(np.uint8),
    }


def strings(texts: Sequence[str]) -> Strings:
    encoded = [text.encode() for text in texts]
    lengths = np.array([len(text) for text in encoded], np.int64)
    return Strings(np.frombuffer(b"".join(encoded), np.uint8), np.cumsum(lengths) - lengths, lengths)
