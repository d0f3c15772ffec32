"""The store behind SQL and PromQL: one embedded engine a process, started when a question first needs it."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sonde.storage.compatibility import compatibility_views
from sonde.storage.ddl import render, table_template
from sonde.storage.errors import StoreLocked
from sonde.storage.quoting import identifier
from sonde.storage.rollups import ALL_TABLES, VIEWS
from sonde.storage.schema import TABLES, table
from sonde.storage.store import Store, open_store
from sonde.testing.row_binary import rows_of
from sonde.testing.rows import SliceRows
from sonde.testing.slices import Slice
from sonde.testing.zeros import Zeros

FSYNC = re.compile(r"(fsync_after_insert|fsync_part_directory) = 1")
FORGETFUL = {"fsync_metadata": 0}
"""Tables of tests need not outlive a power cut."""
# The last of them forbids to set any other.
QUESTION = {"max_execution_time": 60, "max_memory_usage": 1 << 30, "max_result_rows": 1_000_000, "readonly": 1}


SHARED_MEMORY = "/dev/shm"
LEAST_FREE_BYTES = 512 << 20


@dataclass
class Stored:
    """What the tables have of a slice."""

    rows: SliceRows
    zeros: Zeros
    batches: int = 0


class Engine:
    """Tables in a database of their own, and beside it one of views that show a single tenant: the test that asks.

    `url`: a store that is there already; empty for one in a folder that goes with this process. Not thread-safe.
    """

    def __init__(self, url: str = "") -> None:
        self._folder = None if url else tempfile.TemporaryDirectory(prefix="sonde-testing-", dir=quick_folder())
        name = f"sonde_testing_{os.getpid()}_{uuid.uuid4().hex[:8]}"
        self.store = opened(url or f"chdb://{self._folder.name if self._folder else ''}/store", name, FORGETFUL)
        self._views = f"{name}_views"
        for statement in (*table_statements(name), *view_statements(name, self._views)):
            self.store.command(statement)
        self._asking = opened(self.store.url if self.store.embedded else url, self._views, QUESTION)
        self._shown = ""
        self._tokens = itertools.count()
        self._stored: dict[str, Stored] = {}

    def sql(self, own: Slice, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows that a SELECT over the test's views gives. StoreRefused: the engine's own words on what is wrong with it."""
        self.store_new(own)
        if self._shown != own.tenant:
            asking = f"{identifier(self._views)}.`asking`"
            self.store.command(f"TRUNCATE TABLE {asking}")
            self.store.command(f"INSERT INTO {asking} SELECT {{tenant:String}}", {"tenant": own.tenant})
            self._shown = own.tenant
        return self._asking.rows(sql, parameters)

    def store_new(self, own: Slice) -> None:
        """Have in the tables all that the slice holds by now."""
        own.collect()
        own.flush()
        stored = self._stored.setdefault(own.tenant, Stored(SliceRows(own.tenant), Zeros(own.started_unix_nano)))
        batches = own.batches[stored.batches :]
        stored.batches += len(batches)
        found: dict[str, list[dict[str, Any]]] = {}
        for batch in stored.zeros.before(batches):
            for name, rows in stored.rows.of(batch):
                found.setdefault(name, []).extend(rows)
        own.refused = stored.rows.refused
        for name in sorted(found, key=[each.name for each in TABLES].index):  # what others refer to comes first
            insert_rows(self.store, name, found[name], token=f"{own.tenant}-{next(self._tokens)}")

    def close(self) -> None:
        self._asking.close()
        for name in (self._views, self.store.database):
            self.store.command(f"DROP DATABASE IF EXISTS {identifier(name)}")
        self.store.close()
        if self._folder is not None:
            self._folder.cleanup()


def quick_folder() -> str | None:
    """A folder in memory where there is one with room, for an insert is a dozen small files a table: half of its time on a disk."""
    try:
        has_room = os.access(SHARED_MEMORY, os.W_OK) and shutil.disk_usage(SHARED_MEMORY).free > LEAST_FREE_BYTES
    except OSError:
        return None
    return SHARED_MEMORY if has_room else None


def insert_rows(store: Store, name: str, rows: Sequence[Mapping[str, Any]], *, token: str) -> None:
    body, columns = rows_of(table(name), rows)
    store.insert_file(name, body, columns, fmt="RowBinary", token=token)


def table_statements(database: str) -> list[str]:
    """The declared tables; those that materialized views would fill are plain views here, which make the same rows when asked.

    A test inserts a few rows at a time and seldom looks at rollups: planning those views took nine tenths of each insert.
    """
    filled: dict[str, list[str]] = {}
    for view in VIEWS:
        filled.setdefault(view.target, []).append(f"SELECT * FROM ({view.select})")
    templates = [
        f"CREATE VIEW {{{{table {each.name}}}}} AS {' UNION ALL '.join(filled[each.name])}"
        if each.name in filled
        else FSYNC.sub(r"\1 = 0", table_template(each))
        for each in sorted(ALL_TABLES, key=lambda each: each.name in filled)
    ]
    return [render(template, database, None) for template in templates]


def view_statements(database: str, views: str) -> list[str]:
    """A view of each table, and those of the OpenTelemetry exporter's shape over them, that show the tenant in `asking`."""
    shown = identifier(views)
    statements = [f"CREATE DATABASE {shown}", f"CREATE TABLE {shown}.`asking` (`tenant` String) ENGINE = Memory"]
    for each in ALL_TABLES:
        if any(column.name == "tenant" for column in each.columns):
            name = identifier(each.name)
            statements.append(
                f"CREATE VIEW {shown}.{name} AS SELECT * FROM {identifier(database)}.{name} "
                f"WHERE tenant = (SELECT any(tenant) FROM {shown}.`asking`)"
            )
    return [*statements, *(render(template, views, None) for template in compatibility_views())]


def opened(url: str, database: str, settings: Mapping[str, Any]) -> Store:
    """The store at `url`; where this process has another embedded one open, that one, for there can't be two."""
    try:
        return open_store(url, database=database, settings=settings)
    except StoreLocked as locked:
        other = re.search(r"has the embedded store (.*?) open and can't open", str(locked))
        if other is None:
            raise
        return open_store(f"chdb://{other[1]}", database=database, settings=settings)
