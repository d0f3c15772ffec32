"""How long rows are kept: declared per signal in days, applied as TTL, verified against the live tables."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sonde.storage.ddl import render
from sonde.storage.rollups import ALL_TABLES
from sonde.storage.schema import Table
from sonde.storage.store import Store


@dataclass(frozen=True, slots=True)
class Retention:
    """Days that rows of each signal are kept; 0 keeps them for ever."""

    traces_days: int = 14
    logs_days: int = 30
    metrics_days: int = 90
    rollups_5m_days: int = 180
    rollups_1h_days: int = 730

    def days(self, table: Table) -> int:
        """Days that rows of `table` are kept; 0 for ever."""
        signals = {"traces": self.traces_days, "logs": self.logs_days, "metrics": self.metrics_days}
        rollups = {"rollups_5m": self.rollups_5m_days, "rollups_1h": self.rollups_1h_days}
        longest = {
            "longest": longest_of(signals.values()),
            "longest of metrics": longest_of([self.metrics_days, *rollups.values()]),
        }
        return {**signals, **rollups, **longest, "": 0}[table.retention]


FOR_EVER = Retention(0, 0, 0, 0, 0)


def longest_of(days: Collection[int]) -> int:
    """The longest of some retentions, where 0 is for ever."""
    return max(days) if all(days) else 0


def ttl(table: Table, days: int) -> str:
    """The TTL expression for `days`, as the engine prints it back; empty for none."""
    if not days:
        return ""
    when = table.ttl_column if table.column(table.ttl_column).type == "Date" else f"toDateTime({table.ttl_column})"
    return f"{when} + toIntervalDay({days})"


def live_ttl(store: Store, table: str) -> str:
    """The table's TTL as the engine has it now; empty for none."""
    sql = "SELECT engine_full AS full FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"
    for row in store.rows(sql, {"table": table}):
        if found := re.search(r" TTL (.*?)(?: SETTINGS |$)", row["full"]):
            return found[1]
    return ""


def changes(store: Store, retention: Retention, cluster: str | None = None) -> Iterator[str]:
    """The ALTERs that bring the live tables to `retention`; none where they are there already."""
    on_cluster = "{{on_cluster}}"
    for table in ALL_TABLES:
        if not table.retention:
            continue
        wanted = ttl(table, retention.days(table))
        if live_ttl(store, table.name + ("_local" if cluster else "")) == wanted:
            continue
        change = f"MODIFY TTL {wanted}" if wanted else "REMOVE TTL"
        yield render(f"ALTER TABLE {{{{table {table.name}}}}}{on_cluster} {change}", store.database, cluster)


def apply(store: Store, retention: Retention, cluster: str | None = None) -> list[str]:
    """Bring the live tables to `retention`; returns the statements that were needed.

    What is already too old goes with the next merges: `materialize_ttl_after_modify` would rewrite every part at once.
    """
    applied = list(changes(store, retention, cluster))
    for statement in applied:
        store.command(statement, settings={"materialize_ttl_after_modify": 0})
    return applied
