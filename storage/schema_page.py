"""`docs/schema.md`, made from the declaration: `python -m sonde.storage.schema_page > docs/schema.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from sonde.storage.compatibility import VIEWS as COMPATIBILITY_VIEWS
from sonde.storage.rollups import ROLLUPS, VIEWS
from sonde.storage.schema import TABLES, Table

HEAD = """# The schema

Made from `storage/schema.py`, `storage/rollups.py` and `storage/compatibility.py` by `python -m sonde.storage.schema_page`; a
test says when it is out of date. Times are UTC, in nanoseconds where the type is `DateTime64(9)`. Why it is as it is:
[decisions/storage.md](decisions/storage.md) and [decisions/rollups.md](decisions/rollups.md).

Every table begins with `tenant`, and every query should begin with it too. On a cluster each table `x` is a Distributed
table over `x_local` on the shards.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, "## Rows\n", *map(table_section, TABLES), "## Rollups\n", *map(table_section, ROLLUPS)]
    return "\n".join([*parts, *view_sections()])


def table_section(table: Table) -> str:
    return "\n".join([f"### `{table.name}`\n", f"{table.comment}\n", *facts(table), *columns(table), ""])


def facts(table: Table) -> Iterator[str]:
    yield f"* {table.engine}, sorted by `({', '.join(table.order_by)})`" + (
        f", partitioned by `{table.partition_by}`" if table.partition_by else ""
    )
    if table.retention:
        yield f"* kept for the retention of {table.retention}, counted from `{table.ttl_column}`"
    for index in table.indexes:
        yield f"* index `{index.name}`: `{index.expression}`, `{index.type}`"
    yield f"* on a cluster, sharded by `{table.sharding_key}`"
    yield ""


def columns(table: Table) -> Iterator[str]:
    yield "| column | type | |"
    yield "|---|---|---|"
    for column in table.columns:
        yield f"| `{column.name}` | `{column.type}` | {column.comment} |"


def view_sections() -> Iterator[str]:
    yield "## What fills the rollups\n"
    for view in VIEWS:
        yield f"### `{view.name}`: from `{view.source}` into `{view.target}`\n\n```sql\n{plain(view.select)}\n```\n"
    yield "## Views for others' dashboards\n"
    yield "Shaped like the tables of the OpenTelemetry Collector's ClickHouse exporter; see `storage/compatibility.py`.\n"
    for name, select in COMPATIBILITY_VIEWS.items():
        yield f"### `{name}`\n\n```sql\n{plain(select)}\n```\n"


def plain(select: str) -> str:
    return select.replace("{{table ", "").replace("}}", "")


if __name__ == "__main__":
    sys.stdout.write(page())
