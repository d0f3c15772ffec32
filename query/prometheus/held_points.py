"""Points of metrics asked for lately, held in memory: reading them anew is most of what a query takes.

What is held is a *slab*: all points of one metric in one hour. It is what the store has, at any moment: before slabs are used,
the parts of their days are looked at (`parts.py`), which is one cheap statement, and rows of new ones are laid beside the slab.
Rows may be there twice, where a slab was read after their part came but before it was seen: of equal points one is answered.
Only points that are one float are held: those of the table of numbers.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sonde.query import filters
from sonde.query.errors import TOO_MANY_ROWS, clickhouse_code
from sonde.query.filters import Filter
from sonde.query.parts import SeenParts, parts_now
from sonde.query.prometheus import kernels
from sonde.query.prometheus.points import Budget, Chosen, Points, Window, runs_of, single_times
from sonde.query.reader import Reader
from sonde.query.times import MAX_NANO, TimeRange
from sonde.storage.errors import StoreRefused
from sonde.storage.native_blocks import NativeBlock

Ids = NDArray[np.uint64]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

HOUR_NANO = 3_600_000_000_000
DAY_HOURS = 24
LAST_DAY = date(2149, 6, 6).toordinal()
"""Of those that partitions are told apart by."""
EPOCH = date(1970, 1, 1).toordinal()
MOST_HOURS = 25
"""A query over more of them reads the store."""
MOST_METRICS = 16
MOST_TENANTS = 100
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
    nano: Ints
    start_nano: Ints
    values: Floats

    def __len__(self) -> int:
        return len(self.nano)

    @classmethod
    def of(cls, rows: Sequence[tuple[Ids, Ints, Ints, Floats]]) -> Slab:
        """Of rows in any order: series, times, starts and values of each piece. Of equal times the last one."""
        series, *columns = (np.concatenate(each) for each in zip(*rows, strict=True))
        ids = np.unique(series)
        runs = runs_of(series, ids) if len(series) else None
        counts = runs.counts(len(ids)) if runs else np.zeros(0, np.int64)
        offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        nano, start_nano = np.empty(len(series), np.int64), np.empty(len(series), np.int64)
        values = np.empty(len(series))
        if runs:
            kernels.place_runs(*runs, *columns, offsets[:-1].copy(), nano, start_nano, values)
            kernels.sort_rows(nano, start_nano, values, offsets)
        single = np.append(nano[1:] != nano[:-1], np.ones(min(1, len(nano)), bool))
        single[offsets[1:] - 1] = True
        if not single.all():
            nano, start_nano, values = nano[single], start_nano[single], values[single]
            offsets = np.concatenate(([0], np.cumsum(single)))[offsets]
        return cls(ids, offsets, nano, start_nano, values)

    def rows(self) -> tuple[Ids, Ints, Ints, Floats]:
        return np.repeat(self.ids, np.diff(self.offsets)), self.nano, self.start_nano, self.values


class HeldPoints:
    """What one query service holds, of all tenants together about `most_points`. Thread-safe."""

    def __init__(self, most_points: int) -> None:
        self._most = most_points
        self._lock = threading.Lock()
        self._tenants: OrderedDict[str, TenantPoints] = OrderedDict()

    def of(self, tenant: str) -> TenantPoints:
        with self._lock:
            found = self._tenants.setdefault(tenant, TenantPoints(self._most))
            self._tenants.move_to_end(tenant)
            while len(self._tenants) > MOST_TENANTS:
                self._tenants.popitem(last=False)
            total = sum(each.size for each in self._tenants.values())
            for each in list(self._tenants.values()):
                if total <= self._most:
                    break
                total -= each.shrink(total - self._most)
            return found


class TenantPoints:
    """What is held of one tenant."""

    def __init__(self, most_points: int) -> None:
        self._most = most_points
        self._lock = threading.RLock()
        self._parts = SeenParts()
        self._slabs: OrderedDict[Key, list[Slab]] = OrderedDict()
        self._an_hour: dict[str, int] = {}
        """Points that a metric had in the hour that was read of it last."""
        self.size = 0

    def fetch(
        self, reader: Reader, table: str, expression: str, where: str, chosen: Chosen, window: Window, budget: Budget
    ) -> Points | None:
        """The points of the series in the window; None where the store has to be asked."""
        hours = range(window.range.start_nano // HOUR_NANO, -(-window.range.end_nano // HOUR_NANO))
        if not chosen.metrics or len(chosen.metrics) > MOST_METRICS or not 0 < len(hours) <= MOST_HOURS:
            return None
        keys = [Key(metric, hour) for metric in chosen.metrics for hour in hours]
        source = Source(reader, table, expression, where)
        with self._lock:
            if not (self.refresh(source, hours) and all(self._load(source, m, hours) for m in chosen.metrics)):
                return None
            slabs = [slab for key in keys for slab in self._slabs[key]]
        return gathered(slabs, chosen.ids, window.range, budget, expression.rpartition(" AS ")[2])

    def refresh(self, source: Source, hours: range) -> bool:
        """Bring what is held of the days of these hours to what the store has; whether that can be told."""
        days = {day_of(hour) for hour in hours}
        now = source.reader.parts().get(source.table)
        if not now or None in days:
            return False
        for day in filter(None, days):
            new = self._parts.change(day, now.get(day, frozenset()))
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
        if not parts_now(source.reader).get(source.table, {}).get(day, frozenset()).issuperset(parts):
            # Merged meanwhile, so not read.
            self._forget(day)

    def _load(self, source: Source, metric: str, hours: range) -> bool:
        """Read what is missing; whether all is held now. The newest hour first: it tells how much the others will be."""
        missing = [hour for hour in hours if Key(metric, hour) not in self._slabs]
        while missing:
            if self._an_hour.get(metric, 0) * len(hours) > self._most // 2:
                return False
            first = missing[-1] if metric not in self._an_hour else missing[0]
            found = source.hours_of(metric, first, missing[-1] + 1, self._most // 2)
            if found is None:
                self._an_hour[metric] = self._most
                return False
            for hour in range(first, missing[-1] + 1):
                self._put(Key(metric, hour), found.get(hour, EMPTY))
            missing = [hour for hour in missing if hour < first]
        for hour in hours:
            self._slabs.move_to_end(Key(metric, hour))
        return True

    def _set(self, key: Key, slabs: list[Slab]) -> None:
        self.size += sum(map(len, slabs)) - sum(map(len, self._slabs.get(key, ())))
        self._slabs[key] = slabs

    def _put(self, key: Key, slab: Slab) -> None:
        self._set(key, [slab])
        if len(self._an_hour) > 10_000:
            self._an_hour.clear()
        self._an_hour[key.metric] = max(len(slab), self._an_hour.get(key.metric, 0) // 2)

    def _forget(self, day: str) -> None:
        for key in [key for key in self._slabs if day_of(key.hour) == day]:
            self.size -= sum(map(len, self._slabs.pop(key)))

    def shrink(self, points: int) -> int:
        """Forget at least so many points, if there are as many, asked for longest ago first; how many were."""
        with self._lock:
            before = self.size
            while self._slabs and before - self.size < points:
                self.size -= sum(map(len, self._slabs.popitem(last=False)[1]))
            return before - self.size


@dataclass(frozen=True, slots=True)
class Source:
    """The table that slabs are of, and what is read of its rows."""

    reader: Reader
    table: str
    expression: str
    """`SQL AS name`, a float."""
    where: str

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
        name = self.expression.rpartition(" AS ")[2]
        sql = f"""
            SELECT metric, series_id, time AS nano, start_time AS start_nano, {self.expression}
            FROM {self.table}
            PREWHERE tenant = {{tenant:String}}
              AND {where}
            WHERE {self.where}
        """
        found: dict[Key, list[tuple[Ids, Ints, Ints, Floats]]] = {}
        for block in self.reader.blocks(sql, params, most_rows=most):
            for key, rows in pieces(block):
                columns = (block[each][rows].copy() for each in ("series_id", "nano", "start_nano", name))
                found.setdefault(key, []).append(tuple(columns))
        for key, rows_of_key in found.items():
            yield key, Slab.of(rows_of_key)


def day_of(hour: int) -> str | None:
    """The partition of points of that hour; None where there is none of its own."""
    day = EPOCH + hour // DAY_HOURS
    return date.fromordinal(day).strftime("%Y%m%d") if day <= LAST_DAY else None


def pieces(block: NativeBlock) -> Iterator[tuple[Key, slice]]:
    """Which rows of a block stand together that are of one metric and hour."""
    codes, hours = block["metric"].codes, block["nano"] // HOUR_NANO
    begins = np.flatnonzero((codes[1:] != codes[:-1]) | (hours[1:] != hours[:-1])) + 1
    bounds = [0, *begins.tolist(), len(hours)]
    for begin, end in pairwise(bounds):
        yield Key(block["metric"].values[codes[begin]], int(hours[begin])), slice(begin, end)


def merged(slabs: list[Slab]) -> list[Slab]:
    """The same points in few slabs: the largest as it is until the others together are half of it, then in one."""
    large, *small = sorted(slabs, key=len, reverse=True)
    if 2 * sum(map(len, small)) >= len(large):
        return [Slab.of([slab.rows() for slab in slabs])]
    return slabs if len(slabs) <= SLABS_A_KEY else [large, Slab.of([slab.rows() for slab in small])]


def gathered(slabs: Sequence[Slab], ids: Ids, range: TimeRange, budget: Budget, name: str) -> Points:
    """The points of `ids` (ascending) in the range, of slabs in the order of their times."""
    counts = np.zeros(len(ids), np.int64)
    slices = []
    for slab in slabs:
        first, end = np.zeros(len(ids), np.int64), np.zeros(len(ids), np.int64)
        kernels.find_slices(slab.ids, slab.offsets, slab.nano, ids, range.start_nano, range.end_nano, first, end)
        slices.append((slab, first, end))
        counts += end - first
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    budget.check(int(offsets[-1]))
    times, starts, values = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.int64), np.empty(offsets[-1])
    place = offsets[:-1].copy()
    for slab, first, end in slices:
        kernels.copy_slices(first, end, slab.nano, slab.start_nano, slab.values, place, times, starts, values)
    return single_times(times, starts, values, offsets, name)


EMPTY = Slab.of([(np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))])
