"""Finding things: a trace by its id, and spans by their attributes, among N spans.

    python -m benchmarks.lookup [--spans 2000000] [--folder DIR]

`sonde` is what the query service does, from its parameters to plain rows; `plain` the SQL one would write first: one
statement that selects the same columns with the same conditions, for a trace without its rollup and skip index. Both run on
the same store in the same process, in turn; the median round is told. `http` is the whole request to a running service.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import uvicorn
from sonde.ingest.rows import block_of_rows
from sonde.query import filters, newest, traces
from sonde.query.app import create_app
from sonde.query.config import QueryConfig
from sonde.query.parameters import attribute_filters
from sonde.query.reader import Gate, Reader, Row, select_list
from sonde.query.spans import SpanParameters
from sonde.query.times import TimeRange
from sonde.storage import schema
from sonde.storage.migrate import migrate
from sonde.storage.native import encode_block
from sonde.storage.retention import FOR_EVER
from sonde.storage.store import Store, open_store

from benchmarks import columns

BLOCK = 250_000
ROUNDS = 7
TRACES = 20
LIMIT = 100
SEARCHES: dict[str, dict[str, Any]] = {
    "newest 100 spans": {},
    "service and errors": {"service": "cart", "status": "error"},
    "int attribute, common": {"attr": ["http.response.status_code>=500"]},
    "string attribute, 1 in 65 536": {"attr": ["client.address=10.3.63.255"]},
    "string attribute, nowhere": {"attr": ["client.address=192.168.0.1"]},
    "pattern, 1 in 700": {"attr": ["url.path~^/api/orders/77[0-9]+/items$"]},
    "resource attribute": {"attr": ["resource.k8s.pod.name=pod-7"]},
    "two attributes and a duration": {
        "attr": ["http.route=/api/orders/{id}", "app.cache.hit=false"],
        "min_duration": "1s",
    },
}


@dataclass(frozen=True, slots=True)
class Filled:
    store: Store
    range: TimeRange
    trace_ids: list[bytes]


def fill(store: Store, spans: int) -> Filled:
    """`spans` spans in blocks as the writer makes them, and the resources and scopes that they name."""
    migrate(store, retention=FOR_EVER)
    trace_ids: list[bytes] = []
    at = columns.AT_UNIX_NANO
    for number in range(0, spans, BLOCK):
        rows = min(BLOCK, spans - number)
        block = columns.spans(rows, seed=number, at_unix_nano=at)
        at += rows * columns.SPAN_GAP_NANO
        insert(store, schema.SPANS, block, rows, number)
        trace_ids += [bytes(block["trace_id"][row]) for row in range(0, rows, rows // 3)]  # type: ignore[index]
        origins(store, block, number)
    store.command("OPTIMIZE TABLE trace_ranges FINAL")
    return Filled(store, TimeRange(columns.AT_UNIX_NANO, at), trace_ids)


def insert(store: Store, table: schema.Table, block: Any, rows: int, number: int) -> None:
    ordered = {column.name: block[column.name] for column in table.columns if column.name in block}
    store.insert_block(table.name, encode_block(table, ordered, rows), list(ordered), token=f"{table.name}-{number}")


def origins(store: Store, block: Any, number: int) -> None:
    """Resources with a pod name each, and scopes."""
    for table, id in ((schema.RESOURCES, "resource_id"), (schema.SCOPES, "scope_id")):
        rows: list[Row] = [
            {"tenant": b"default", id: int(value), "attributes_string": [(b"k8s.pod.name", b"pod-%d" % place)]}
            for place, value in enumerate(np.unique(block[id]))
        ]
        insert(store, table, block_of_rows(table, rows), len(rows), number)


def reader_of(store: Store) -> Reader:
    config = QueryConfig(query_max_memory_mib=8192)
    return Reader(store, "default", config, Gate(8, 60), Gate(8, 60))


def conditions(reader: Reader, asked: dict[str, Any]) -> list[filters.Filter | None]:
    return [
        filters.equals("service_name", asked.get("service")),
        filters.status(asked.get("status")),
        filters.duration(asked.get("min_duration"), None),
        *attribute_filters(asked.get("attr", ()), reader),
    ]


def search(reader: Reader, filled: Filled, asked: dict[str, Any]) -> list[Row]:
    found = newest.Search(schema.SPANS, conditions(reader, asked), filled.range, LIMIT, "")
    return list(newest.find(reader, found)[0])


def search_plainly(reader: Reader, filled: Filled, asked: dict[str, Any]) -> list[Row]:
    where, params = filters.join([filters.between(filled.range), *conditions(reader, asked)])
    sql = f"""
        SELECT {select_list(schema.SPANS)}
        FROM spans
        WHERE tenant = {{tenant:String}} AND {where}
        ORDER BY time DESC
        LIMIT {LIMIT}
    """
    return reader.rows(sql, params)


def trace_plainly(store: Store, trace_id: bytes) -> list[Row]:
    sql = f"SELECT {select_list(schema.SPANS)} FROM spans WHERE tenant = 'default' AND trace_id = unhex({{id:String}})"
    return store.rows(sql, {"id": trace_id.hex()}, settings={"use_skip_indexes": 0})


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(name: str, sonde: Callable[[int], object], plain: Callable[[int], object], rounds: int) -> dict[str, Any]:
    """Both in turn, `rounds` times; the argument is the round."""
    sonde(0), plain(0)
    pairs = [(seconds(lambda r=r: sonde(r)), seconds(lambda r=r: plain(r))) for r in range(rounds)]  # type: ignore[misc]
    ours, theirs = (statistics.median(times) * 1e3 for times in zip(*pairs, strict=True))
    worst = max(pair[0] for pair in pairs) * 1e3
    print(
        f"{name:32} {ours:9.1f} ms   worst {worst:8.1f} ms   plain {theirs:9.1f} ms   {theirs / ours:6.1f} x",
        flush=True,
    )
    return {"case": name, "sonde_ms": round(ours, 2), "worst_ms": round(worst, 2), "plain_ms": round(theirs, 2)}


def key(rows: list[Row]) -> list[Any]:
    return sorted((row["time"], row["span_id"]) for row in rows)


def run(filled: Filled) -> list[dict[str, Any]]:
    reader = reader_of(filled.store)
    ids = filled.trace_ids
    for trace_id in ids[:3]:
        assert key(traces.trace_rows(reader, trace_id)) == key(trace_plainly(filled.store, trace_id))
    cases = [
        compare(
            "trace by id",
            lambda r: traces.trace_rows(reader, ids[r * 7 % len(ids)]),
            lambda r: trace_plainly(filled.store, ids[r * 7 % len(ids)]),
            TRACES,
        )
    ]
    for name, asked in SEARCHES.items():
        ours, plain = search(reader, filled, asked), search_plainly(reader, filled, asked)
        assert [row["time"] for row in ours] == [row["time"] for row in plain], name
        case = compare(
            name,
            lambda r, asked=asked: search(reader, filled, asked),  # type: ignore[misc]
            lambda r, asked=asked: search_plainly(reader, filled, asked),  # type: ignore[misc]
            ROUNDS,
        )
        cases.append(case | {"rows": len(ours)})
    return cases


def over_http(filled: Filled) -> dict[str, float]:
    """Whole requests to a running service: median ms."""
    app = create_app(filled.store, config=QueryConfig(query_max_memory_mib=8192))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    times: dict[str, list[float]] = {"trace": [], "flat trace": [], "newest 100 spans": []}
    whole = {"start": str(filled.range.start_nano), "end": str(filled.range.end_nano)}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        for number in range(TRACES):
            path = f"/api/traces/{filled.trace_ids[number % len(filled.trace_ids)].hex()}"
            times["trace"].append(seconds(lambda path=path: client.get(path).raise_for_status()))  # type: ignore[misc]
            times["flat trace"].append(seconds(lambda path=path: client.get(path, params={"format": "flat"})))  # type: ignore[misc]
            times["newest 100 spans"].append(seconds(lambda: client.get("/api/spans", params=whole).raise_for_status()))
    server.should_exit = True
    thread.join()
    return {name: round(statistics.median(found) * 1e3, 2) for name, found in times.items()}


def machine() -> dict[str, Any]:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "commit": commit}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--spans", type=int, default=2_000_000)
    parser.add_argument("--folder", help="where the store is made, and removed again")
    options = parser.parse_args()
    assert set(SpanParameters.model_fields) >= {"attr", "service", "status", "min_duration"}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, open_store(f"chdb://{folder}/store") as store:
        started = time.perf_counter()
        filled = fill(store, options.spans)
        print(f"{options.spans:,} spans stored in {time.perf_counter() - started:.0f} s", flush=True)
        cases = run(filled)
        http = over_http(filled)
    print("over HTTP: " + ", ".join(f"{name} {ms} ms" for name, ms in http.items()))
    print(json.dumps({"benchmark": "lookup", **machine(), "spans": options.spans, "cases": cases, "http_ms": http}))


if __name__ == "__main__":
    main()
