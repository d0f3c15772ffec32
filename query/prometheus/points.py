"""Points of many series as arrays, by series and time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sonde.query import filters
from sonde.query.errors import clickhouse_code
from sonde.query.filters import Filter
from sonde.query.prometheus import kernels
from sonde.query.prometheus.resources import MOST_IN_TEXT
from sonde.query.promql.errors import TooManySamples
from sonde.query.reader import Reader
from sonde.query.times import MAX_NANO, TimeRange
from sonde.storage.errors import StoreRefused
from sonde.storage.native_blocks import ListColumn, joined

Ints = NDArray[np.int64]

STALE = np.uint64(0x7FF0000000000002).view(np.float64)
"""Prometheus' stale marker."""
NANO = 1_000_000
TOO_MANY_ROWS = 396
HEAD = ("series_id", "time AS nano", "start_time AS start_nano")
IS_STALE = "bitTest(flags, 0)"
STALE_VALUE = "reinterpretAsFloat64(0x7FF0000000000002)"


@dataclass(frozen=True, slots=True)
class Points:
    """Points of n series: those of series i are `offsets[i]` to `offsets[i + 1]`; by time, no millisecond twice."""

    offsets: Ints
    times: Ints
    """(m,) ms"""
    starts: Ints
    """(m,) ms, 0 where unset"""
    columns: dict[str, Any]
    """What else was asked for, each an array of (m,) or a `ListColumn`."""

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class Window:
    start_ms: int
    end_ms: int
    """Inclusive."""

    @property
    def range(self) -> TimeRange:
        clipped = (min(max(0, nano), MAX_NANO) for nano in (self.start_ms * NANO, (self.end_ms + 1) * NANO))
        return TimeRange(*clipped)


@dataclass(frozen=True, slots=True)
class Budget:
    """How many samples one selector may fetch."""

    max_samples: int

    def check(self, samples: int) -> None:
        if samples > self.max_samples:
            raise self.exceeded()

    def exceeded(self) -> TooManySamples:
        return TooManySamples(
            "query processing would load too many samples into memory in query execution: "
            f"one selector has more than {self.max_samples} (query_max_samples)"
        )


def fetch(
    reader: Reader,
    table: str,
    expressions: Sequence[str],
    ids: NDArray[np.uint64],
    condition: Filter,
    window: Window,
    budget: Budget,
    where: str = "1",
) -> Points:
    """The points of the series `ids` (ascending) in the window; `expressions` are `SQL AS name`.

    `condition` is one over `series_id` that holds for all of `ids`, and not for many more.
    """
    blocks: list[dict[str, Any]] = []
    for wanted in conditions_of(ids, condition):
        blocks += read(reader, table, expressions, ids, wanted, window, budget, where)
    names = [expression.rpartition(" AS ")[2] for expression in expressions]
    if not blocks:
        nothing = np.zeros(0, np.int64)
        return Points(np.zeros(len(ids) + 1, np.int64), nothing, nothing, dict.fromkeys(names, nothing))
    budget.check(sum(len(block["code"]) for block in blocks))
    columns = {name: joined([block[name] for block in blocks]) for name in ("code", "nano", "start_nano", *names)}
    return in_order(columns.pop("code"), columns, len(ids))


def conditions_of(ids: NDArray[np.uint64], condition: Filter) -> list[Filter]:
    """`condition` alone where it is about as narrow as the ids, or the ids where they are few."""
    if len(ids) > MOST_IN_TEXT:
        return [condition]
    return [Filter("series_id IN {ids:Array(UInt64)}", {"ids": ids.tolist()})] if len(ids) else []


def read(
    reader: Reader,
    table: str,
    expressions: Sequence[str],
    ids: NDArray[np.uint64],
    wanted: Filter,
    window: Window,
    budget: Budget,
    where: str,
) -> Iterator[dict[str, Any]]:
    """Blocks of rows, `code` instead of `series_id`: the index into `ids`."""
    clause, params = filters.join([wanted, filters.between(window.range), Filter(where, {})])
    sql = f"""
        SELECT {", ".join((*HEAD, *expressions))}
        FROM {table}
        PREWHERE tenant = {{tenant:String}}
          AND {clause}
    """
    try:
        with closing(reader.blocks(sql, params, most_rows=budget.max_samples)) as blocks:
            for block in blocks:
                found = coded(block.pop("series_id"), ids)
                yield kept({**block, "code": found})
    except StoreRefused as error:
        if clickhouse_code(error) == TOO_MANY_ROWS:
            raise budget.exceeded() from error
        raise


def coded(series_ids: NDArray[np.uint64], ids: NDArray[np.uint64]) -> Ints:
    """The index of each in `ids`, or -1. Rows of a series stand together, so only their first ones are looked up."""
    begins = np.concatenate(([0], np.flatnonzero(series_ids[1:] != series_ids[:-1]) + 1))
    first = series_ids[begins]
    place = np.minimum(np.searchsorted(ids, first), len(ids) - 1)
    code = np.where(ids[place] == first, place, -1)
    return np.repeat(code, np.diff(begins, append=len(series_ids)))


def kept(block: dict[str, Any]) -> dict[str, Any]:
    """The rows of wanted series."""
    wanted = block["code"] >= 0
    if wanted.all():
        return block
    rows = np.flatnonzero(wanted)
    return {name: taken(column, rows) for name, column in block.items()}


def taken(column: Any, rows: Ints) -> Any:
    """These rows of a column."""
    if not isinstance(column, ListColumn):
        return column[rows]
    lengths = np.diff(column.ends, prepend=0)[rows]
    ends = np.cumsum(lengths)
    begins = column.ends[rows] - lengths
    items = np.arange(ends[-1] if len(ends) else 0) + np.repeat(begins - (ends - lengths), lengths)
    return ListColumn(ends, column.items[items])


def in_order(codes: Ints, columns: dict[str, Any], count: int) -> Points:
    """By series and time; of a millisecond that a series has twice, the later point."""
    offsets = np.concatenate(([0], np.cumsum(np.bincount(codes, minlength=count)))).astype(np.int64)
    order = kernels.rows_by_code(codes, offsets)
    times = columns.pop("nano")[order]
    kernels.sort_within(times, offsets, order)
    times //= NANO
    single = np.ones(len(times), bool)
    kernels.mark_last_of_time(times, offsets, single)
    if not single.all():
        times, order = times[single], order[single]
        offsets = np.concatenate(([0], np.cumsum(single)))[offsets]
    starts = np.maximum(columns.pop("start_nano")[order] // NANO, 0)
    return Points(offsets, times, starts, {name: taken(column, order) for name, column in columns.items()})
