"""Rows put straight into the tables, for tests of what a question finds: no ingest stands between."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Mapping
from typing import Any

import httpx
import uvicorn
from sonde.ingest.rows import block_of_rows
from sonde.query.app import create_app
from sonde.query.config import QueryConfig
from sonde.storage import schema
from sonde.storage.native import encode_block
from sonde.storage.store import Store

T0 = 1_770_000_000_000_000_000
"""2026-02-02T02:40:00Z."""
SECOND = 10**9
RESOURCE, SCOPE = 0xAB, 0xCD

Row = dict[str, Any]
_tokens = itertools.count()


def empty(type: str) -> Any:
    """What a column of that ClickHouse type holds where a test does not care."""
    if type.startswith(("Map(", "Array(")):
        return ()
    if type.startswith("Nullable("):
        return None
    if type.startswith("FixedString("):
        return bytes(int(type[12:-1]))
    if type.startswith(("String", "LowCardinality")):
        return b""
    return 0


def row_of(table: schema.Table, values: Mapping[str, Any]) -> Row:
    known = {column.name for column in table.columns}
    assert values.keys() <= known, values.keys() - known
    row = {column.name: values.get(column.name, empty(column.type)) for column in table.columns}
    row["tenant"] = row["tenant"] or b"default"
    return row


def insert(store: Store, table: str, *rows: Mapping[str, Any]) -> None:
    """Columns that a row leaves out are zero or empty; the tenant is `default`."""
    full = [row_of(schema.table(table), row) for row in rows]
    block = block_of_rows(schema.table(table), full)
    encoded = encode_block(schema.table(table), block, len(full))
    store.insert_block(table, encoded, list(block), token=f"test-{next(_tokens)}")


def span(**values: Any) -> Row:
    """A span of service cart, a second long, at T0."""
    head = {"service_name": b"cart", "name": b"GET /cart", "time": T0, "duration_nano": SECOND, "kind": 2}
    ids = {"trace_id": b"\x01" * 16, "span_id": b"\x02" * 8, "resource_id": RESOURCE, "scope_id": SCOPE}
    return head | ids | values


def log(**values: Any) -> Row:
    head = {"service_name": b"cart", "time": T0, "severity_number": 9, "body": b"added to cart", "body_type": 1}
    return head | {"resource_id": RESOURCE, "scope_id": SCOPE} | values


def resource(**values: Any) -> Row:
    head = {"resource_id": RESOURCE, "service_name": b"cart", "attributes_string": [(b"service.name", b"cart")]}
    return head | values


def scope(**values: Any) -> Row:
    return {"scope_id": SCOPE, "name": b"tests", "version": b"1.0"} | values


def put(store: Store, table: str, *rows: Row, tenant: str = "default") -> None:
    """The rows, with the resource and scope that they name unless told otherwise."""
    insert(store, "resources", resource(tenant=tenant.encode()))
    insert(store, "scopes", scope(tenant=tenant.encode()))
    insert(store, table, *(row | {"tenant": tenant.encode()} for row in rows))


class Served:
    """A query service on a free port of this machine, and an HTTP client of it."""

    def __init__(self, store: Store, config: QueryConfig | None = None, **given: Any) -> None:
        app = create_app(store, config=config, **given)
        settings = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off", access_log=False)
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> httpx.Client:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.001)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
        return self.client

    def __exit__(self, *exception: object) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join()
