"""Series of metrics asked for lately, held in memory: finding them anew is most of what a small query takes.

What is held is what the store has, at any moment: before each query the parts of the tables `series` and `metrics` are looked
at (`parts.py`), which is one cheap statement. Of a part that is new its rows are read, and a metric that got a series which is
not held is read anew when it is next asked for. Where the parts can't be told nothing is held.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sonde.query.parts import Parts, SeenParts, parts_now
from sonde.query.prometheus.metrics import Names, View, all_metrics
from sonde.query.prometheus.series import MOST_NAMES, Ids, Origins, StoredSeries, labels_of, read_named
from sonde.query.promql.labels import LabelTable
from sonde.query.reader import Reader

MOST_TENANTS = 100
"""Whose series are held; those of the tenant that asked longest ago go first."""
SERIES = "series"
WHOLE = "all"
"""The one partition of that table."""


@dataclass(slots=True)
class Held:
    """All series of some metrics."""

    series: StoredSeries
    origins: Origins
    labels: dict[View, LabelTable] = field(default_factory=dict)

    def labels_in(self, view: View) -> LabelTable:
        if view not in self.labels:
            self.labels[view] = labels_of(self.series, view, self.origins)
        return self.labels[view]


class HeldSeries:
    """What one query service holds, of all tenants together at most `most_series`. Thread-safe."""

    def __init__(self, most_series: int) -> None:
        self._most = most_series
        self._lock = threading.Lock()
        self._tenants: OrderedDict[str, TenantSeries] = OrderedDict()

    def of(self, reader: Reader) -> TenantSeries | None:
        """The reader's tenant as the store is now; None where that can't be told."""
        parts = reader.parts()
        if not parts.of(SERIES, WHOLE):
            return None
        with self._lock:
            tenant = self._tenants.setdefault(reader.tenant, TenantSeries(self._most))
            self._tenants.move_to_end(reader.tenant)
            while len(self._tenants) > MOST_TENANTS:
                self._tenants.popitem(last=False)
        tenant.refresh(reader, parts)
        self._shrink()
        return tenant

    def _shrink(self) -> None:
        with self._lock:
            total = sum(tenant.size for tenant in self._tenants.values())
            for tenant in list(self._tenants.values()):
                if total <= self._most:
                    return
                total -= tenant.shrink(total - self._most)


class TenantSeries:
    """What is held of one tenant."""

    def __init__(self, most_series: int) -> None:
        self._most = most_series
        self._lock = threading.RLock()
        self._series, self._metrics = SeenParts(SERIES), SeenParts("metrics")
        self._names = Names.of([])
        self._held: OrderedDict[tuple[str, ...], Held] = OrderedDict()
        self._too_many: set[tuple[str, ...]] = set()

    @property
    def size(self) -> int:
        with self._lock:
            return sum(len(held.series) for held in self._held.values())

    @property
    def names(self) -> Names:
        """Of all metrics of the tenant."""
        return self._names

    def refresh(self, reader: Reader, parts: Parts) -> None:
        """Bring what is held to what these parts of the tables have."""
        with self._lock:
            if self._metrics.change(WHOLE, parts) != []:
                self._names = Names.of(all_metrics(reader))
            new = self._series.change(WHOLE, parts)
            if new is None:
                self._held.clear()
            elif new and self._held:
                self._add(reader, new)

    def _add(self, reader: Reader, parts: list[str]) -> None:
        """Of the metrics held, forget those that have a series in these parts which is not held."""
        seen = dict(seen_in(reader, parts, sorted({name for names in self._held for name in names})))
        if not parts_now(reader).of(SERIES, WHOLE).issuperset(parts):
            # Merged meanwhile, so not read.
            self._held.clear()
        for names in [names for names in self._held if not seen.keys().isdisjoint(names)]:
            series = self._held[names].series
            ids, last_seen = (np.concatenate(each) for each in zip(*(seen[n] for n in names if n in seen), strict=True))
            place = np.minimum(np.searchsorted(series.ids, ids), len(series) - 1)
            if len(series) and (series.ids[place] == ids).all():
                np.maximum.at(series.last_seen, place, last_seen)
            else:
                del self._held[names]

    def metrics(self, reader: Reader, names: Iterable[str]) -> Held | None:
        """All series of these metrics; None where they are too many to be held."""
        key = tuple(sorted(names))
        if len(key) > MOST_NAMES or key in self._too_many:
            return None
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
            series = read_named(reader, key, self._most)
            if series is None:
                self._too_many.add(key)
                return None
            held = Held(series, Origins.of(reader, series))
            if held.origins.complete(series):
                self._held[key] = held
            return held

    def shrink(self, series: int) -> int:
        """Forget at least so many series, if there are as many, asked for longest ago first; how many were."""
        gone = 0
        with self._lock:
            while self._held and gone < series:
                gone += len(self._held.popitem(last=False)[1].series)
        return gone


def seen_in(reader: Reader, parts: list[str], names: list[str]) -> Iterator[tuple[str, tuple[Ids, NDArray[np.int64]]]]:
    """By metric: the series that these parts have of it, and when each was last seen, ns."""
    sql = """
        SELECT name, groupArray(series_id) AS ids, groupArray(toUnixTimestamp64Nano(last_seen)) AS seen
        FROM series
        WHERE tenant = {tenant:String}
          AND _part IN {parts:Array(String)}
          AND name IN {names:Array(String)}
        GROUP BY name
    """
    for row in reader.rows(sql, {"parts": parts, "names": names}):
        yield row["name"], (np.array(row["ids"], np.uint64), np.array(row["seen"], np.int64))
