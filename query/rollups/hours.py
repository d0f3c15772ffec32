"""Which hours of points are summarised, and which of those summaries still hold.

Hour `k` is `((k - 1) h, k h]` since the epoch, left-open as the windows are. `point_hours` says how many points it has got,
`rollup_hours` how many it had when it was summarised: it is *built* while both say the same. Hours whose points are gone by
retention stay as they were summarised.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sonde.query.rollups.kinds import Kind

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
NEVER = -1
"""In `Hours.built`: this hour was not summarised yet."""

Ints = NDArray[np.int64]
Rows = Callable[[str, Mapping[str, Any]], list[dict[str, Any]]]
"""Asks the store: `Store.rows`, or `Reader.rows`."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of one tenant and kind that have points or are summarised."""

    hours: Ints
    """(h,) their numbers, ascending."""
    points: Ints
    """(h,) points they have got."""
    built: Ints
    """(h,) points they had when they were summarised, or `NEVER`."""

    @property
    def current(self) -> NDArray[np.bool_]:
        """(h,) whether the summaries hold for all points there are."""
        return self.built == self.points


@dataclass(frozen=True, slots=True)
class Kept:
    """From which time on the rows of the tables of a kind are certainly there, in ms; 0 where they are kept for ever."""

    points_ms: int
    windows_ms: Mapping[int, int]
    """By width in ms."""

    def gone(self, hours: Ints) -> NDArray[np.bool_]:
        """Which hours' points retention may have removed, all or some of them."""
        return hours * HOUR_MS <= self.points_ms


def read_hours(rows: Rows, tenant: str, kind: Kind, after_ms: int, end_ms: int) -> Hours:
    """The hours that reach into `(after_ms, end_ms]`."""
    sql = f"""
        SELECT hour, max(got) AS points, max(had) AS built
        FROM (
            SELECT intDiv(toUnixTimestamp(end_time), 3600) AS hour, toInt64(sum(points)) AS got, toInt64({NEVER}) AS had
            FROM point_hours
            WHERE tenant = {{tenant:String}} AND source = {{source:String}}
              AND end_time > toDateTime64({{after:Int64}}, 0, 'UTC') AND end_time < toDateTime64({{end:Int64}}, 0, 'UTC')
            GROUP BY hour
            UNION ALL
            SELECT intDiv(toUnixTimestamp(end_time), 3600) AS hour, toInt64(0) AS got, toInt64(argMax(points, version)) AS had
            FROM rollup_hours
            WHERE tenant = {{tenant:String}} AND kind = {{kind:String}}
              AND end_time > toDateTime64({{after:Int64}}, 0, 'UTC') AND end_time < toDateTime64({{end:Int64}}, 0, 'UTC')
            GROUP BY hour
        )
        GROUP BY hour
        ORDER BY hour
    """
    found = rows(
        sql,
        {
            "tenant": tenant,
            "source": kind.source,
            "kind": kind.name,
            "after": max(after_ms, 0) // 1000,
            "end": min(-(-end_ms // HOUR_MS) + 1, LAST_HOUR) * 3600,
        },
    )
    return Hours(*(np.array([row[name] for row in found], np.int64) for name in ("hour", "points", "built")))


LAST_HOUR = 2**32 // 3600
"""Windows end within the 32 bits of a DateTime: later points are never summarised."""


def read_kept(rows: Rows, kind: Kind, now_ms: int | None = None) -> Kept:
    """What the tables' TTL keeps. An hour is added for clocks that differ."""
    now_ms = round(time.time() * 1000) if now_ms is None else now_ms
    names = [kind.source, *(table.name for table in kind.tables.values())]
    sql = """
        SELECT trimRight(replaceRegexpOne(name, '_local$', '')) AS table, engine_full AS full
        FROM system.tables
        WHERE database = currentDatabase() AND name IN {tables:Array(String)}
    """
    found = rows(sql, {"tables": [*names, *(f"{name}_local" for name in names)]})
    since = dict.fromkeys(names, 0)
    for row in found:
        if match := re.search(r" TTL .*?toIntervalDay\((\d+)\)", row["full"]):
            since[row["table"]] = now_ms - int(match[1]) * DAY_MS + HOUR_MS
    return Kept(since[kind.source], {width: since[table.name] for width, table in kind.tables.items()})


def tenants(rows: Rows, kind: Kind) -> list[str]:
    """All that have points of the kind."""
    sql = "SELECT DISTINCT tenant FROM point_hours WHERE source = {source:String} ORDER BY tenant"
    return [row["tenant"] for row in rows(sql, {"source": kind.source})]


def due(hours: Hours, kept: Kept, before_ms: int, *, again: bool = False) -> Ints:
    """Which hours are to be summarised: those that ended before then whose points came or changed since, or all (`again`).

    Never one whose points may be gone, unless it was not summarised at all.
    """
    wanted = (hours.points > 0) & (hours.hours * HOUR_MS <= before_ms)
    if not again:
        wanted &= ~hours.current
    return hours.hours[wanted & (~kept.gone(hours.hours) | (hours.built == NEVER))]


def runs(hours: Ints) -> Iterator[tuple[int, int]]:
    """Ascending hours as runs of consecutive ones: `(first, last)`."""
    if len(hours):
        breaks = np.flatnonzero(np.diff(hours) != 1) + 1
        for part in np.split(hours, breaks):
            yield int(part[0]), int(part[-1])
