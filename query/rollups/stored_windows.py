"""Summaries of windows as rows of the store, there and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sonde.query import filters
from sonde.query.filters import Filter
from sonde.query.prometheus import kernels
from sonde.query.prometheus.points import Chosen, Runs, runs_of
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.summaries import MEASURES, Summaries, empty
from sonde.query.reader import Reader
from sonde.storage.columns import Column, Constant, Interned, Strings
from sonde.storage.native_blocks import NativeBlock, joined
from sonde.storage.schema import Table

Ids = NDArray[np.uint64]
Ints = NDArray[np.int64]

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


@dataclass(frozen=True, slots=True)
class Series:
    """Stored series."""

    ids: Ids
    """(n,) ascending."""
    metrics: Sequence[str]
    """(n,) the names of their metrics, as sent."""


def as_block(tenant: str, series: Series, summaries: Summaries, version: int) -> dict[str, Column]:
    """Rows for the table of that width, of n series."""
    rows = len(summaries.ends)
    counts = np.diff(summaries.offsets)
    return {
        "tenant": Constant(tenant.encode(), rows),
        "metric": Interned(strings(series.metrics), np.repeat(np.arange(len(series.metrics)), counts)),
        "series_id": np.repeat(series.ids, counts),
        "end_time": (summaries.ends // 1000).astype(np.uint32),
        "version": Constant(version.to_bytes(8, "little"), rows),
        **{name: getattr(summaries, field) for name, field in FIELDS.items()},
        "count": summaries.counts.astype(np.uint32),
        "overlaps": summaries.overlaps.astype(np.uint8),
    }


def strings(texts: Sequence[str]) -> Strings:
    encoded = [text.encode() for text in texts]
    lengths = np.array([len(text) for text in encoded], np.int64)
    return Strings(np.frombuffer(b"".join(encoded), np.uint8), np.cumsum(lengths) - lengths, lengths)


class TooManyWindows(Exception):
    """There are more than was allowed."""


def read_windows(
    reader: Reader, table: Table, width_ms: int, chosen: Chosen, after_ms: int, end_ms: int, most: int
) -> Summaries:
    """The windows of the chosen series (n, without labels) that end in `(after_ms, end_ms]`. `TooManyWindows` than `most`."""
    blocks: list[NativeBlock] = []
    runs: list[Runs] = []
    rows = 0
    for block in _blocks(reader, table, chosen, after_ms, end_ms):
        runs.append(runs_of(block.pop("series_id"), chosen.ids))
        blocks.append(block)
        rows += len(block["end"])
        if rows > most:
            raise TooManyWindows
    return ordered(LabelTable.empty(len(chosen.ids)), width_ms, blocks, runs)


def _blocks(reader: Reader, table: Table, chosen: Chosen, after_ms: int, end_ms: int) -> Iterator[NativeBlock]:
    inside = Filter(
        "end_time > toDateTime({after:UInt32}, 'UTC') AND end_time <= toDateTime({end:UInt32}, 'UTC')",
        {"after": seconds(after_ms), "end": seconds(end_ms)},
    )
    for wanted, _ in chosen.statements():
        clause, params = filters.join([wanted, inside])
        sql = f"""
            SELECT series_id, toUnixTimestamp(end_time) AS end, version, {", ".join(FIELDS)}
            FROM {table.name}
            PREWHERE tenant = {{tenant:String}}
              AND {clause}
        """
        with closing(reader.blocks(sql, params)) as blocks:
            yield from blocks


def seconds(ms: int) -> int:
    """As far as a DateTime goes."""
    return min(max(ms // 1000, 0), 2**32 - 1)


def ordered(labels: LabelTable, width_ms: int, blocks: Sequence[NativeBlock], runs: Sequence[Runs]) -> Summaries:
    """By series and end; of windows that stand several times the newest."""
    if not blocks:
        return nothing(labels, width_ms)
    codes = np.concatenate([np.repeat(each.codes, np.diff(each.begins)) for each in runs])
    columns = {name: joined([block[name] for block in blocks]) for name in blocks[0]}
    asked = np.flatnonzero(codes >= 0)
    offsets = np.concatenate(([0], np.cumsum(np.bincount(codes[asked], minlength=labels.size)))).astype(np.int64)
    order = asked[kernels.rows_by_code(codes[asked], offsets)]
    # One key for both, in the order of which the newest comes last.
    versions, rank = np.unique(columns.pop("version"), return_inverse=True)
    ends = columns.pop("end").astype(np.int64)
    keys = (ends * len(versions) + rank)[order]
    kernels.sort_within(keys, offsets, order)
    ends = ends[order]
    newest = np.ones(len(order), bool)
    kernels.mark_last_of_time(ends, offsets, newest)
    if not newest.all():
        ends, order = ends[newest], order[newest]
        offsets = np.concatenate(([0], np.cumsum(newest)))[offsets]
    return made(labels, width_ms, offsets, ends * 1000, {name: columns[name][order] for name in FIELDS})


def nothing(labels: LabelTable, width_ms: int) -> Summaries:
    return empty(labels, width_ms, np.zeros(labels.size + 1, np.int64))


def made(labels: LabelTable, width_ms: int, offsets: Ints, ends: Ints, columns: dict[str, Any]) -> Summaries:
    found = {FIELDS[name]: column for name, column in columns.items()}
    fields = {
        name: column.astype(np.float64 if name in MEASURES else np.int64, copy=False) for name, column in found.items()
    }
    return Summaries(labels, width_ms, offsets, ends, **fields)
