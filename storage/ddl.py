"""SQL that creates the declared tables, on one server or on a cluster.

Statements are first made as templates, the form in which migrations are frozen. A template holds what depends on where
it runs in double braces:

| placeholder                 | one server             | cluster `c`                                                     |
|-----------------------------|------------------------|------------------------------------------------------------------|
| `{{table spans}}`           | `` `db`.`spans` ``     | `` `db`.`spans_local` ``, the shard's own part                   |
| `{{view otel_logs}}`        | `` `db`.`otel_logs` `` | `` `db`.`otel_logs` ``, over all shards                           |
| `{{on_cluster}}`            |                        | `` ON CLUSTER `c` ``                                             |
| `{{engine MergeTree spans}}`| `MergeTree`            | `ReplicatedMergeTree('/clickhouse/tables/{shard}/db/spans', ...)` |
| `{{database}}`              | `` `db` ``             | `` `db` ``                                                       |

On a cluster every table `x` is `x_local` on each shard and a Distributed table `x` over them, created by the statement
`{{distributed x key}}`, which is nothing on one server; `{{undistributed x}}` drops that one again.
"""

from __future__ import annotations

import re

from sonde.storage.compatibility import compatibility_views
from sonde.storage.quoting import identifier, literal
from sonde.storage.rollups import ALL_TABLES, VIEWS, View
from sonde.storage.schema import Column, Table

PLACEHOLDER = re.compile(r"\{\{(\w+) ?(.*?)\}\}")


def create_statements(database: str, *, cluster: str | None = None) -> list[str]:
    """Every CREATE of the declared schema, in an order that works on an empty database. No TTL: see `retention.py`."""
    return [rendered for template in templates() if (rendered := render(template, database, cluster))]


def templates() -> list[str]:
    """The declared schema as templates."""
    made = []
    for table in ALL_TABLES:
        made.append(table_template(table))
        made.append(f"{{{{distributed {table.name} {table.sharding_key}}}}}")
    return [*made, *(view_template(view) for view in VIEWS), *compatibility_views()]


def view_template(view: View) -> str:
    """CREATE MATERIALIZED VIEW of one view; on a cluster it works within each shard."""
    return (
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS {{{{table {view.name}}}}}{{{{on_cluster}}}}\n"
        f"TO {{{{table {view.target}}}}}\nAS {view.select}"
    )


def table_template(table: Table) -> str:
    """CREATE TABLE of one table."""
    lines = [column_line(column) for column in table.columns]
    lines += [
        f"INDEX {index.name} {index.expression} TYPE {index.type} GRANULARITY {index.granularity}"
        for index in table.indexes
    ]
    body = ",\n".join(f"    {line}" for line in lines)
    parts = [
        f"CREATE TABLE IF NOT EXISTS {{{{table {table.name}}}}}{{{{on_cluster}}}}\n(\n{body}\n)",
        f"ENGINE = {{{{engine {table.engine} {table.name}}}}}",
        f"PARTITION BY {table.partition_by}" if table.partition_by else "",
        f"ORDER BY ({', '.join(table.order_by)})",
        f"SETTINGS {', '.join(f'{name} = {value}' for name, value in table.all_settings)}",
        f"COMMENT {literal(table.comment)}",
    ]
    return "\n".join(part for part in parts if part)


def column_line(column: Column) -> str:
    codec = f" CODEC({column.codec})" if column.codec else ""
    return f"{identifier(column.name)} {column.type} COMMENT {literal(column.comment)}{codec}"


def render(template: str, database: str, cluster: str | None) -> str:
    """A template's SQL for one server, or for `cluster`. Empty where there is nothing to do."""

    def place(match: re.Match[str]) -> str:
        kind, rest = match[1], match[2]
        if kind == "table":
            return table_name(rest, database, cluster)
        if kind == "view":
            return f"{identifier(database)}.{identifier(rest)}"
        if kind == "database":
            return identifier(database)
        if kind == "on_cluster":
            return f" ON CLUSTER {identifier(cluster)}" if cluster else ""
        if kind == "engine":
            engine, _, name = rest.partition(" ")
            return replicated(engine, database, name) if cluster else engine
        if kind == "distributed":
            name, _, key = rest.partition(" ")
            return distributed(name, key, database, cluster) if cluster else ""
        if kind == "undistributed":
            return undistributed(rest, database, cluster) if cluster else ""
        raise ValueError(f"no placeholder is called {match[0]}")

    return PLACEHOLDER.sub(place, template).strip()


def table_name(table: str, database: str, cluster: str | None) -> str:
    """The table that holds rows: on a cluster the shard's own."""
    return f"{identifier(database)}.{identifier(table + '_local' if cluster else table)}"


def replicated(engine: str, database: str, table: str) -> str:
    path = f"/clickhouse/tables/{{shard}}/{database}/{table}"
    name, _, arguments = engine.partition("(")
    given = [literal(path), "'{replica}'", *filter(None, [arguments.removesuffix(")")])]
    return f"Replicated{name}({', '.join(given)})"


def distributed(table: str, key: str, database: str, cluster: str) -> str:
    """The table over all shards. Rows are sharded by what is read together."""
    here = f"{identifier(database)}.{identifier(table)}"
    return (
        f"CREATE TABLE IF NOT EXISTS {here} ON CLUSTER {identifier(cluster)}\n"
        f"AS {table_name(table, database, cluster)}\n"
        f"ENGINE = Distributed({literal(cluster)}, {literal(database)}, {literal(table + '_local')}, {key})"
    )


def undistributed(table: str, database: str, cluster: str) -> str:
    return f"DROP TABLE IF EXISTS {identifier(database)}.{identifier(table)} ON CLUSTER {identifier(cluster)} SYNC"
