"""Whether the live tables are what this version declares: each difference as a finding, with what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sonde.storage.compatibility import VIEWS as COMPATIBILITY_VIEWS
from sonde.storage.ddl import render
from sonde.storage.retention import Retention, live_ttl, ttl
from sonde.storage.rollups import ALL_TABLES, VIEWS
from sonde.storage.schema import Column, Table
from sonde.storage.store import Store


@dataclass(frozen=True, slots=True)
class Finding:
    """`table` differs: `problem` and `advice` are sentences."""

    table: str
    problem: str
    advice: str


def differences(store: Store, retention: Retention, cluster: str | None = None) -> list[Finding]:
    """Every difference between the live tables and the declaration; empty where there is none. See `migrate.verify`."""
    findings: list[Finding] = []
    for table in ALL_TABLES:
        findings += verify_table(store, table, retention, "_local" if cluster else "")
    return [*findings, *verify_views(store, cluster)]


def verify_table(store: Store, table: Table, retention: Retention, suffix: str) -> Iterator[Finding]:
    name = table.name + suffix
    sql = """
        SELECT engine, engine_full AS full, sorting_key, partition_key FROM system.tables
        WHERE database = currentDatabase() AND name = {table:String}
    """
    found = store.rows(sql, {"table": name})
    if not found:
        yield Finding(name, "The table is missing.", "Restore it, or start with a new --database.")
        return
    live = found[0]
    for what, declared, actual in (
        ("engine", ("Replicated" if suffix else "") + table.engine.partition("(")[0], live["engine"]),
        ("sorting key", ", ".join(table.order_by), live["sorting_key"]),
        ("partition key", table.partition_by, live["partition_key"]),
    ):
        if declared != actual:
            yield differs(name, what, declared, actual)
    yield from verify_columns(store, table, name)
    yield from verify_indexes(store, table, name)
    for setting, value in table.all_settings:
        if not re.search(rf"\b{setting} = {re.escape(value)}(,|$)", live["full"]):
            yield Finding(
                name,
                f"Setting {setting} is not {value}.",
                f"ALTER TABLE {name} MODIFY SETTING {setting} = {value}.",
            )
    wanted = ttl(table, retention.days(table))
    if (kept := live_ttl(store, name)) != wanted:
        yield Finding(
            name,
            f"Rows are kept by TTL {kept or '(none)'}, the configuration says {wanted or '(none)'}.",
            "Run `sonde migrate`, or change the retention settings.",
        )


def verify_columns(store: Store, table: Table, name: str) -> Iterator[Finding]:
    sql = """
        SELECT name, type, compression_codec AS codec FROM system.columns
        WHERE database = currentDatabase() AND table = {table:String}
    """
    live = {row["name"]: row for row in store.rows(sql, {"table": name})}
    for column in table.columns:
        if column.name not in live:
            yield Finding(name, f"Column {column.name} is missing.", "Restore it, or start with a new --database.")
            continue
        row = live.pop(column.name)
        if row["type"] != column.type:
            yield differs(name, f"type of column {column.name}", column.type, row["type"])
        if row["codec"] != codec(column):
            yield differs(name, f"codec of column {column.name}", codec(column), row["codec"])
    for extra in live:
        yield Finding(name, f"Column {extra} is not sonde's.", "Leave it if it has a default; otherwise drop it.")


def codec(column: Column) -> str:
    """As system.columns spells it."""
    return f"CODEC({column.codec})" if column.codec else ""


def verify_indexes(store: Store, table: Table, name: str) -> Iterator[Finding]:
    sql = """
        SELECT name, type_full AS type, expr FROM system.data_skipping_indices
        WHERE database = currentDatabase() AND table = {table:String}
    """
    live = {row["name"]: (row["type"], row["expr"]) for row in store.rows(sql, {"table": name})}
    for index in table.indexes:
        if live.get(index.name) != (index.type, index.expression):
            yield differs(name, f"index {index.name}", f"{index.expression} {index.type}", str(live.get(index.name)))


def verify_views(store: Store, cluster: str | None) -> Iterator[Finding]:
    """The materialized views, and those for others' dashboards: each by its SELECT, as the engine spells it."""
    sql = "SELECT name, as_select FROM system.tables WHERE database = currentDatabase() AND as_select != ''"
    live = {row["name"]: row["as_select"] for row in store.rows(sql)}
    declared = {view.name + ("_local" if cluster else ""): view.select for view in VIEWS}
    declared |= {name: select.replace("{{table ", "{{view ") for name, select in COMPATIBILITY_VIEWS.items()}
    for name, select in declared.items():
        spelled = store.rows(
            "SELECT formatQuerySingleLine({sql:String}) AS sql", {"sql": render(select, store.database, cluster)}
        )[0]["sql"]
        if name not in live:
            yield Finding(name, "The view is missing.", "Create it again from docs/schema.md.")
        elif live[name] != spelled:
            yield Finding(name, "The view is not the declared one.", "Drop it and create it again from docs/schema.md.")


def differs(table: str, what: str, declared: str, actual: str) -> Finding:
    return Finding(
        table,
        f"The {what} is {actual or '(none)'}, declared is {declared or '(none)'}.",
        "It was changed by hand: change it back, or start with a new --database.",
    )
