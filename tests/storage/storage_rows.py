"""Small blocks for the storage tests."""

from __future__ import annotations

from typing import Any

from sonde.storage.columns import Block
from sonde.storage.native import encode_block
from sonde.storage.schema import LOGS, POINTS_NUMBER, SPANS, Table, table
from sonde.storage.store import Store

from benchmarks import columns, log_columns

AT = columns.AT_UNIX_NANO


def insert(store: Store, into: Table, block: Block, rows: int, token: str) -> int:
    return store.insert_block(into.name, encode_block(into, block, rows), list(block), token=token)


def insert_spans(store: Store, rows: int, token: str, **shape: Any) -> Block:
    block = columns.spans(rows, **shape)
    insert(store, SPANS, block, rows, token)
    return block


def insert_logs(store: Store, rows: int, token: str, **shape: Any) -> Block:
    block = log_columns.logs(rows, **shape)
    insert(store, LOGS, block, rows, token)
    return block


def insert_points(store: Store, rows: int, token: str, **shape: Any) -> Block:
    block = log_columns.number_points(rows, **shape)
    insert(store, POINTS_NUMBER, block, rows, token)
    return block


def count(store: Store, name: str, what: str = "count()") -> int:
    return int(store.rows(f"SELECT {what} AS n FROM {name}")[0]["n"])


def column_names(name: str) -> list[str]:
    return [column.name for column in table(name).columns]
