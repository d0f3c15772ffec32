"""Which hours of points are summarised, and which of those summaries still hold.

Hour `k` is `((k - 1) h, k h]` since the epoch, left-open as the windows are. `point_hours` says how many points it has got,
`rollup_hours` how many it had when it was summarised: it is *built* while both say the same. Hours whose points are gone by
retention stay as they were summarised.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sonde.query import filters
from sonde.query.filters import Filter
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
    built_at: Ints
    """(h,) ms, when that was."""

    @property
    def current(self) -> NDArray[np.bool_]:
        """(h,) whether the summaries hold for all points there are."""
        same: NDArray[np.bool_] = self.built == self.points
        return same


@dataclass(frozen=True, slots=True)
class Kept:
    """From which time on the rows of the tables of a kind are certainly there, in ms; 0 where they are kept for ever."""

    points_ms: int
    windows_ms: Mapping[int, int]
    """By width in ms."""

    def gone(self, hours: Ints) -> NDArray[np.bool_]:
        """Which hours' points retention may have removed, all or some of them."""
        return hours * HOUR_MS <= self.points_ms


LAST_HOUR = 2**32 // 3600
"""Windows end within the 32 bits of a DateTime: later points are never summarised."""


def read_hours(rows: Rows, tenant: str, kind: Kind, after_ms: int, end_ms: int) -> Hours:
    """The hours of a tenant that reach into `(after_ms, end_ms]`.

    By two statements, for queries wait for it: 20 ms where the one that joins them takes 33.
    """
    within, params = filters.join([filters.equals("tenant", tenant), *between(after_ms, end_ms)])
    got = rows(
        f"""
        SELECT intDiv(toUnixTimestamp(end_time), 3600) AS hour, toInt64(sum(points)) AS points
        FROM point_hours
        WHERE source = {{source:String}}
          AND {within}
        GROUP BY hour
        """,
        {"source": kind.source, **params},
    )
    had = rows(
        f"""
        SELECT intDiv(toUnixTimestamp(end_time), 3600) AS hour,
            toInt64(argMax(points, version)) AS built, toInt64(max(version)) AS built_at
        FROM rollup_hours
        WHERE kind = {{kind:String}}
          AND {within}
        GROUP BY hour
        """,
        {"kind": kind.name, **params},
    )
    nothing = {"points": 0, "built": NEVER, "built_at": 0}
    known: dict[int, dict[str, Any]] = {}
    for row in (*got, *had):
        known[row["hour"]] = known.get(row["hour"], nothing) | row
    return hours_of([known[hour] for hour in sorted(known)])


def hours_by_tenant(
    rows: Rows, kind: Kind, after_ms: int, end_ms: int, *, tenant: str | None = None, outdated: bool = False
) -> dict[str, Hours]:
    """The hours that reach into `(after_ms, end_ms]`, of one tenant or of all; only those `outdated` that are to be summarised."""
    within, params = filters.join([filters.equals("tenant", tenant), *between(after_ms, end_ms)])
    sql = f"""
        SELECT tenant, hour, max(got) AS points, max(had) AS built, max(had_at) AS built_at
        FROM (
            SELECT tenant, intDiv(toUnixTimestamp(end_time), 3600) AS hour,
                toInt64(sum(points)) AS got, toInt64({NEVER}) AS had, toInt64(0) AS had_at
            FROM point_hours
            WHERE source = {{source:String}}
              AND {within}
            GROUP BY tenant, hour
            UNION ALL
            SELECT tenant, intDiv(toUnixTimestamp(end_time), 3600) AS hour,
                toInt64(0) AS got, toInt64(argMax(points, version)) AS had, toInt64(max(version)) AS had_at
            FROM rollup_hours
            WHERE kind = {{kind:String}}
              AND {within}
            GROUP BY tenant, hour
        )
        GROUP BY tenant, hour
        HAVING {"points > 0 AND built != points" if outdated else "1"}
        ORDER BY tenant, hour
    """
    found = rows(sql, {"source": kind.source, "kind": kind.name, **params})
    return {name: hours_of(list(group)) for name, group in groupby(found, lambda row: row["tenant"])}


def between(after_ms: int, end_ms: int) -> list[Filter]:
    """That an hour reaches into `(after_ms, end_ms]`."""
    return [
        Filter("end_time > toDateTime64({after:Int64}, 0, 'UTC')", {"after": max(after_ms, 0) // 1000}),
        Filter("end_time <= toDateTime64({last:Int64}, 0, 'UTC')", {"last": last_hour(end_ms) * 3600}),
    ]


def last_hour(end_ms: int) -> int:
    """The hour that holds this time."""
    return min(-(-end_ms // HOUR_MS), LAST_HOUR)


def hours_of(found: Sequence[dict[str, Any]]) -> Hours:
    columns = {
        name: np.array([row[name] for row in found], np.int64) for name in ("hour", "points", "built", "built_at")
    }
    return Hours(columns["hour"], columns["points"], columns["built"], columns["built_at"] // 1_000_000)


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


def due(hours: Hours, kept: Kept, *, again: bool = False) -> Ints:
    """Which of the hours are to be summarised: whose points came or changed since, or all (`again`).

    Never one whose points may be gone, unless it was not summarised at all.
    """
    wanted = (hours.points > 0) & (again | ~hours.current)
    found: Ints = hours.hours[wanted & (~kept.gone(hours.hours) | (hours.built == NEVER))]
    return found


def runs(hours: Ints) -> Iterator[tuple[int, int]]:
    """Ascending hours as runs of consecutive ones: `(first, last)`."""
    if len(hours):
        breaks = np.flatnonzero(np.diff(hours) != 1) + 1
        for part in np.split(hours, breaks):
            yield int(part[0]), int(part[-1])
