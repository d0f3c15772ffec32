"""Points of metrics asked for lately, held in memory: reading them anew is most of what a query takes.

What is held is a *slab*: all points of one metric in one hour. It is what the store has, at any moment: before slabs are used,
the parts of their days are looked at (`parts.py`), which is one cheap statement, and rows of new ones are laid beside the slab.
Rows may be there twice, where a slab was read after their part came but before it was seen: of equal points one is answered.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sonde.query import filters
from sonde.query.errors import TOO_MANY_ROWS, clickhouse_code
from sonde.query.filters import Filter
from sonde.query.parts import SeenParts, parts_now
from sonde.query.prometheus import kernels
from sonde.query.prometheus.points import (
    HEAD,
    NUMBERS,
    Block,
    Budget,
    Chosen,
    Points,
    Runs,
    Window,
    is_plain,
    no_points,
    ordered,
    single_times,
    taken,
)
from sonde.query.reader import Reader
from sonde.query.times import MAX_NANO, TimeRange
from sonde.storage.errors import StoreRefused
from sonde.storage.native_blocks import Dictionary, ListColumn, joined

Ids = NDArray[np.uint64]
Ints = NDArray[np.int64]

HOUR_NANO = 3_600_000_000_000
DAY_HOURS = 24
LAST_DAY = date(2149, 6, 6).toordinal()
"""Of those that partitions are told apart by."""
EPOCH = date(1970, 1, 1).toordinal()
MOST_HOURS = 31 * DAY_HOURS + 1
"""A query over more of them reads the store."""
MOST_METRICS = 16
MOST_TABLES = 300
"""Of all tenants together; those that were asked for longest ago go first."""
SLABS_A_KEY = 8
"""Slabs of one metric and hour; more are made one."""


class Key(NamedTuple):
    metric: str
    hour: int
    """Since 1970."""


@dataclass(frozen=True, slots=True)
class Slab:
    """m points of n series, by series and time; no time twice."""

    ids: Ids
    """(n,), ascending."""
    offsets: Ints
    """(n + 1,)"""
    columns: dict[str, Any]
    """`nano` and what else was read, (m,) each."""
    size: int
    """In points that are one float: of 24 bytes."""

    def __len__(self) -> int:
        return len(self.columns["nano"])

    @classmethod
    def of(cls, pieces: Sequence[dict[str, Any]]) -> Slab:
        """Of rows in any order, which have `series_id` too. Of equal times the last one."""
        columns = {name: joined([piece[name] for piece in pieces]) for name in pieces[0]}
        series = columns.pop("series_id")
        ids, codes = np.unique(series, return_inverse=True)
        offsets = np.concatenate(([0], np.cumsum(np.bincount(codes, minlength=len(ids))))).astype(np.int64)
        order = kernels.rows_by_code(codes.astype(np.int64), offsets)
        nano = columns["nano"][order]
        kernels.sort_within(nano, offsets, order)
        single = np.ones(len(nano), bool)
        kernels.mark_last_of_time(nano, offsets, single)
        if not single.all():
            order = order[single]
            offsets = np.concatenate(([0], np.cumsum(single)))[offsets]
        columns = {name: taken(column, order) for name, column in columns.items()}
        return cls(ids, offsets, columns, sum(map(words, columns.values())) // 3)

    def piece(self) -> dict[str, Any]:
        return {"series_id": np.repeat(self.ids, np.diff(self.offsets)), **self.columns}


def words(column: Any) -> int:
    """How many times 8 bytes it takes."""
    if isinstance(column, ListColumn):
        return len(column) + words(column.items)
    return -(-int(column.nbytes) // 8)


class HeldPoints:
    """What one query service holds, of all tenants together about `most_points`. Thread-safe."""

    def __init__(self, most_points: int) -> None:
        self._most = most_points
        self._lock = threading.Lock()
        self._tables: OrderedDict[tuple[str, str, tuple[str, ...]], TablePoints] = OrderedDict()

    def fetch(
        self,
        reader: Reader,
        table: str,
        expressions: Sequence[str],
        chosen: Chosen,
        window: Window,
        budget: Budget,
        where: str,
    ) -> Points | None:
        """What `points.fetch` gives; None where the store has to be asked."""
        source = Source(reader, table, tuple(expressions), where)
        return self._of(source).fetch(source, chosen, window, budget)

    def _of(self, source: Source) -> TablePoints:
        key = (source.reader.tenant, source.table, source.expressions)
        with self._lock:
            found = self._tables.setdefault(key, TablePoints(source.table, self._most))
            self._tables.move_to_end(key)
            while len(self._tables) > MOST_TABLES:
                self._tables.popitem(last=False)
            total = sum(each.size for each in self._tables.values())
            for each in list(self._tables.values()):
                if total <= self._most:
                    break
                total -= each.shrink(total - self._most)
            return found


class TablePoints:
    """What is held of some columns of one tenant's points."""

    def __init__(self, table: str, most_points: int) -> None:
        self._most = most_points
        self._lock = threading.RLock()
        self._parts = SeenParts(table)
        self._slabs: OrderedDict[Key, list[Slab]] = OrderedDict()
        self._an_hour: dict[str, int] = {}
        """How much a metric had in the hour that was read of it last."""
        self.size = 0

    def fetch(self, source: Source, chosen: Chosen, window: Window, budget: Budget) -> Points | None:
        """The points of the series in the window; None where the store has to be asked."""
        hours = range(window.range.start_nano // HOUR_NANO, -(-window.range.end_nano // HOUR_NANO))
        if not chosen.metrics or len(chosen.metrics) > MOST_METRICS or not 0 < len(hours) <= MOST_HOURS:
            return None
        keys = [Key(metric, hour) for metric in chosen.metrics for hour in hours]
        with self._lock:
            if not (self.refresh(source, hours) and all(self._load(source, m, hours) for m in chosen.metrics)):
                return None
            slabs = [slab for key in keys for slab in self._slabs[key]]
        return gathered(slabs, source.names, chosen.ids, window.range, budget)

    def refresh(self, source: Source, hours: range) -> bool:
        """Bring what is held of the days of these hours to what the store has; whether that can be told."""
        days = {day_of(hour) for hour in hours}
        now = source.reader.parts()
        if None in days or source.table not in now.names:
            return False
        for day in filter(None, days):
            new = self._parts.change(day, now)
            if new is None:
                self._forget(day)
            elif new:
                self._add(source, day, new)
        return True

    def _add(self, source: Source, day: str, parts: Sequence[str]) -> None:
        """Lay the rows of new parts beside the slabs of their day."""
        held = {key for key in self._slabs if day_of(key.hour) == day}
        if not held:
            return
        for key, slab in source.rows_of_parts(parts, sorted({key.metric for key in held})):
            if key in held:
                self._set(key, merged([*self._slabs[key], slab]))
        if not parts_now(source.reader).of(source.table, day).issuperset(parts):
            # Merged meanwhile, so not read.
            self._forget(day)

    def _load(self, source: Source, metric: str, hours: range) -> bool:
        """Read what is missing; whether all is held now. The newest hour first: it tells how much the others will be."""
        missing = [hour for hour in hours if Key(metric, hour) not in self._slabs]
        while missing:
            if self._an_hour.get(metric, 0) * len(hours) > self._most // 2:
                return False
            first = missing[-1] if metric not in self._an_hour else missing[0]
            found = source.hours_of(metric, first, missing[-1] + 1, self._most // source.weight // 2)
            if found is None:
                self._an_hour[metric] = self._most
                return False
            for hour in range(first, missing[-1] + 1):
                self._put(Key(metric, hour), found.get(hour, source.empty))
            missing = [hour for hour in missing if hour < first]
        for hour in hours:
            self._slabs.move_to_end(Key(metric, hour))
        return True

    def _set(self, key: Key, slabs: list[Slab]) -> None:
        self.size += size_of(slabs) - size_of(self._slabs.get(key, []))
        self._slabs[key] = slabs

    def _put(self, key: Key, slab: Slab) -> None:
        self._set(key, [slab])
        if len(self._an_hour) > 10_000:
            self._an_hour.clear()
        self._an_hour[key.metric] = max(slab.size, self._an_hour.get(key.metric, 0) // 2)

    def _forget(self, day: str) -> None:
        for key in [key for key in self._slabs if day_of(key.hour) == day]:
            self.size -= size_of(self._slabs.pop(key))

    def shrink(self, points: int) -> int:
        """Forget at least so many points, if there are as many, asked for longest ago first; how many were."""
        with self._lock:
            before = self.size
            while self._slabs and before - self.size < points:
                self.size -= size_of(self._slabs.popitem(last=False)[1])
            return before - self.size


@dataclass(frozen=True)
class Source:
    """The table that slabs are of, and what is read of its rows."""

    reader: Reader
    table: str
    expressions: tuple[str, ...]
    """`SQL AS name`, or names."""
    where: str

    @cached_property
    def names(self) -> list[str]:
        return [expression.rpartition(" AS ")[2] for expression in self.expressions]

    @property
    def weight(self) -> int:
        """About how many times as large as a number a point is."""
        return 1 if self.table == NUMBERS else 8

    @property
    def empty(self) -> Slab:
        """Of no series: no column of it is looked at but the times."""
        nothing = np.zeros(0, np.int64)
        return Slab(np.zeros(0, np.uint64), np.zeros(1, np.int64), {"nano": nothing}, 0)

    def hours_of(self, metric: str, first: int, end: int, most: int) -> dict[int, Slab] | None:
        """The slabs of the hours from `first` to before `end` that have points; None where there are more than `most`."""
        range = TimeRange(first * HOUR_NANO, min(end * HOUR_NANO, MAX_NANO))
        where, params = filters.join([filters.equals("metric", metric), filters.between(range)])
        try:
            return {key.hour: slab for key, slab in self._slabs(where, params, most)}
        except StoreRefused as error:
            if clickhouse_code(error) == TOO_MANY_ROWS:
                return None
            raise

    def rows_of_parts(self, parts: Sequence[str], metrics: Sequence[str]) -> Iterator[tuple[Key, Slab]]:
        """What these parts have of the metrics, by metric and hour."""
        found = Filter("_part IN {parts:Array(String)}", {"parts": list(parts)})
        where, params = filters.join([found, Filter("metric IN {metrics:Array(String)}", {"metrics": list(metrics)})])
        return self._slabs(where, params, 0)

    def _slabs(self, where: str, params: dict[str, object], most: int) -> Iterator[tuple[Key, Slab]]:
        sql = f"""
            SELECT metric, {", ".join((*HEAD, *self.expressions))}
            FROM {self.table}
            PREWHERE tenant = {{tenant:String}}
              AND {where}
            WHERE {self.where}
        """
        found: dict[Key, list[dict[str, Any]]] = {}
        for block in self.reader.blocks(sql, params, most_rows=most):
            metrics = block.pop("metric")
            for key, rows in pieces(metrics, block["nano"]):
                found.setdefault(key, []).append({name: taken(column, rows) for name, column in block.items()})
        for key, pieces_of_key in found.items():
            yield key, Slab.of(pieces_of_key)


def day_of(hour: int) -> str | None:
    """The partition of points of that hour; None where there is none of its own."""
    day = EPOCH + hour // DAY_HOURS
    return date.fromordinal(day).strftime("%Y%m%d") if day <= LAST_DAY else None


def pieces(metrics: Dictionary, nano: Ints) -> Iterator[tuple[Key, Ints]]:
    """Which rows of a block stand together that are of one metric and hour."""
    codes, hours = metrics.codes, nano // HOUR_NANO
    begins = np.flatnonzero((codes[1:] != codes[:-1]) | (hours[1:] != hours[:-1])) + 1
    for begin, end in pairwise([0, *begins.tolist(), len(hours)]):
        yield Key(metrics.values[codes[begin]], int(hours[begin])), np.arange(begin, end)


def size_of(slabs: Iterable[Slab]) -> int:
    return sum(slab.size for slab in slabs)


def merged(slabs: list[Slab]) -> list[Slab]:
    """The same points in few slabs: the largest as it is until the others together are half of it, then in one."""
    full = [slab for slab in slabs if len(slab)]
    if not full:
        return slabs[:1]
    large, *small = sorted(full, key=len, reverse=True)
    if 2 * sum(map(len, small)) >= len(large):
        return [Slab.of([slab.piece() for slab in (large, *small)])] if small else [large]
    return [large, *small] if len(small) < SLABS_A_KEY else [large, Slab.of([slab.piece() for slab in small])]


def gathered(slabs: Sequence[Slab], names: Sequence[str], ids: Ids, range: TimeRange, budget: Budget) -> Points:
    """The points of `ids` (ascending) in the range."""
    counts = np.zeros(len(ids), np.int64)
    slices = []
    for slab in filter(len, slabs):
        first, end = np.zeros(len(ids), np.int64), np.zeros(len(ids), np.int64)
        times = slab.columns["nano"]
        kernels.find_slices(slab.ids, slab.offsets, times, ids, range.start_nano, range.end_nano, first, end)
        slices.append((slab, first, end))
        counts += end - first
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    budget.check(int(offsets[-1]))
    if not offsets[-1]:
        return no_points(offsets, names)
    if len(names) == 1 and all(is_plain(slab.columns[names[0]]) for slab, _, _ in slices):
        times, starts, values = (np.empty(offsets[-1], kind) for kind in (np.int64, np.int64, np.float64))
        place = offsets[:-1].copy()
        for slab, first, end in slices:
            held = (slab.columns[name] for name in ("nano", "start_nano", names[0]))
            kernels.copy_slices(first, end, *held, place, times, starts, values)
        return single_times(times, starts, values, offsets, names[0])
    blocks = [block_of(slab, first, end) for slab, first, end in slices if (end > first).any()]
    return ordered(blocks, ("nano", "start_nano", *names), offsets)


def block_of(slab: Slab, first: Ints, end: Ints) -> Block:
    """The rows `first` to `end` of each series."""
    ends = np.cumsum(end - first)
    rows = np.arange(ends[-1]) + np.repeat(first - (ends - (end - first)), end - first)
    columns = {name: taken(column, rows) for name, column in slab.columns.items()}
    return Block(Runs(np.concatenate(([0], ends)), np.arange(len(first))), columns)
