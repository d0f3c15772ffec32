"""Points of many series as arrays, by series and time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sonde.query import filters
from sonde.query.errors import TOO_MANY_ROWS, clickhouse_code
from sonde.query.filters import Filter
from sonde.query.prometheus import kernels
from sonde.query.prometheus.resources import MOST_IN_TEXT
from sonde.query.promql import windows
from sonde.query.promql.errors import TooManySamples
from sonde.query.reader import Reader
from sonde.query.times import MAX_NANO, TimeRange
from sonde.storage.errors import StoreRefused
from sonde.storage.native_blocks import ListColumn, joined

Ints = NDArray[np.int64]

STALE = windows.STALE.view(np.float64)
"""Prometheus' stale marker."""
NANO = 1_000_000
FEW_LEFT_OUT = 1.3
"""Reading a third more rows costs less than looking each of them up among the ids."""
NUMBERS = "points_number"
HEAD = ("series_id", "time AS nano", "start_time AS start_nano")
IS_STALE = "bitTest(flags, 0)"
STALE_VALUE = f"reinterpretAsFloat64({windows.STALE:#x})"


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
            f"one selector has more than {self.max_samples} (promql_max_samples)"
        )


@dataclass(frozen=True, slots=True)
class Chosen:
    """Stored series whose points are asked for."""

    ids: NDArray[np.uint64]
    """Ascending."""
    condition: Filter
    """Over `metric` and `series_id`: holds for all of `ids`, and for others."""
    breadth: int
    """For how many series it holds."""
    metrics: tuple[str, ...] = ()
    """Whose points the condition holds for, where it holds for all of theirs."""

    def statements(self) -> list[tuple[Filter, int]]:
        """Conditions that together hold for all ids, and for how many series each holds.

        The ids too, unless they are a good part of all that the condition holds for.
        """
        count = len(self.ids)
        if FEW_LEFT_OUT * count >= self.breadth or (count > MOST_IN_TEXT and 4 * count > self.breadth):
            return [(self.condition, self.breadth)]
        parts = [self.ids[begin : begin + MOST_IN_TEXT] for begin in range(0, len(self.ids), MOST_IN_TEXT)]
        return [
            (
                Filter(
                    f"{self.condition.clause} AND series_id IN {{ids:Array(UInt64)}}",
                    {**self.condition.params, "ids": part.tolist()},
                ),
                len(part),
            )
            for part in parts
        ]


def fetch(
    reader: Reader,
    table: str,
    expressions: Sequence[str],
    chosen: Chosen,
    window: Window,
    budget: Budget,
    where: str = "1",
) -> Points:
    """The points of the series in the window; `expressions` are `SQL AS name`, or names."""
    if reader.held_points is not None:
        found = reader.held_points.fetch(reader, table, expressions, chosen, window, budget, where)
        if found is not None:
            return found
    blocks = list(read(reader, table, expressions, chosen, window, budget, where))
    count = len(chosen.ids)
    counts = np.zeros(count, np.int64)
    for block in blocks:
        counts += block.runs.counts(count)
    offsets = np.concatenate(([0], np.cumsum(counts)))
    budget.check(int(offsets[-1]))
    names = [expression.rpartition(" AS ")[2] for expression in expressions]
    if not offsets[-1]:
        return no_points(offsets, names)
    if len(names) == 1 and all(is_plain(block.columns[names[0]]) for block in blocks):
        return placed(blocks, names[0], offsets)
    return ordered(blocks, ("nano", "start_nano", *names), offsets)


def no_points(offsets: Ints, names: Sequence[str]) -> Points:
    nothing = np.zeros(0, np.int64)
    return Points(offsets, nothing, nothing, dict.fromkeys(names, nothing))


class Runs(NamedTuple):
    """Rows of one series that stand together: run i is the rows `begins[i]` to `begins[i + 1]`, of the series `codes[i]`."""

    begins: Ints
    """(r + 1,)"""
    codes: Ints
    """(r,) index into the ids; -1 for a series that was not asked for."""

    def counts(self, size: int) -> Ints:
        """(size,) rows of each series."""
        asked = self.codes >= 0
        rows = np.bincount(self.codes[asked], np.diff(self.begins)[asked], size)
        return rows.astype(np.int64)


class Block(NamedTuple):
    runs: Runs
    columns: dict[str, Any]


def read(
    reader: Reader,
    table: str,
    expressions: Sequence[str],
    chosen: Chosen,
    window: Window,
    budget: Budget,
    where: str,
) -> Iterator[Block]:
    """The rows as they come. `TooManySamples` before they are many more than allowed."""
    for wanted, breadth in chosen.statements():
        clause, params = filters.join([wanted, filters.between(window.range), Filter(where, {})])
        sql = f"""
            SELECT {", ".join((*HEAD, *expressions))}
            FROM {table}
            PREWHERE tenant = {{tenant:String}}
              AND {clause}
        """
        most = budget.max_samples * max(1, breadth // len(chosen.ids))
        try:
            with closing(reader.blocks(sql, params, most_rows=most)) as blocks:
                for block in blocks:
                    yield Block(runs_of(block.pop("series_id"), chosen.ids), block)
        except StoreRefused as error:
            if clickhouse_code(error) == TOO_MANY_ROWS:
                raise budget.exceeded() from error
            raise


def runs_of(series_ids: NDArray[np.uint64], ids: NDArray[np.uint64]) -> Runs:
    """Where the series of a column of ids change, and which of `ids` (ascending) they are."""
    begins = np.concatenate(([0], np.flatnonzero(series_ids[1:] != series_ids[:-1]) + 1))
    first = series_ids[begins]
    place = np.minimum(np.searchsorted(ids, first), len(ids) - 1)
    return Runs(np.append(begins, len(series_ids)), np.where(ids[place] == first, place, -1))


def is_plain(column: Any) -> bool:
    return isinstance(column, np.ndarray) and not isinstance(column, np.ma.MaskedArray) and column.dtype == np.float64


def placed(blocks: Sequence[Block], name: str, offsets: Ints) -> Points:
    """Points of one float each, written straight to where they belong: 22 ns a point, `ordered` takes 35 and twice the memory."""
    times, starts, values = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.int64), np.empty(offsets[-1])
    place = offsets[:-1].copy()
    # Blocks of one part of the table are of one time, and parts follow one another: oldest first, little is left to sort.
    for runs, columns in sorted(blocks, key=lambda block: int(block.columns["nano"].min())):
        # Arrays cut out of the answer lie at any address: copies are of one type to the compiler, and quicker to read.
        given = (columns[each].copy() for each in ("nano", "start_nano", name))
        kernels.place_runs(*runs, *given, place, times, starts, values)
    return single_times(times, starts, values, offsets, name)


def single_times(times: Ints, starts: Ints, values: Any, offsets: Ints, name: str) -> Points:
    """Points, ns, of series that are in no order each: sorted, of a millisecond the last one. The arrays are written to."""
    single = kernels.sort_points(times, starts, values, offsets, NANO)
    if not single.all():
        times, starts, values = times[single], starts[single], values[single]
        offsets = np.concatenate(([0], np.cumsum(single)))[offsets]
    return Points(offsets, times, starts, {name: values})


def taken(column: Any, rows: Ints) -> Any:
    """These rows of a column."""
    if not isinstance(column, ListColumn):
        return column[rows]
    lengths = np.diff(column.ends, prepend=0)[rows]
    ends = np.cumsum(lengths)
    begins = column.ends[rows] - lengths
    items = np.arange(ends[-1] if len(ends) else 0) + np.repeat(begins - (ends - lengths), lengths)
    return ListColumn(ends, column.items[items])


def ordered(blocks: Sequence[Block], names: Sequence[str], offsets: Ints) -> Points:
    """By series and time; of a millisecond that a series has twice, the later point."""
    codes = np.concatenate([np.repeat(block.runs.codes, np.diff(block.runs.begins)) for block in blocks])
    columns = {name: joined([block.columns[name] for block in blocks]) for name in names}
    asked = np.flatnonzero(codes >= 0)
    order = asked[kernels.rows_by_code(codes[asked], offsets)]
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
