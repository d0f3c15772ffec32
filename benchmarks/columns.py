"""Seeded columns for the storage benchmarks: what the decode kernels make of `payload.py`'s kind of telemetry, by the million.

Made with numpy in bulk, so that ten million spans take seconds. The shape follows `payload.py` (a dozen services, 240
operations, 12 attributes a span, about 520 bytes of OTLP), and goes further in one thing that a store can feel: spans
form traces, each of eight spans, two in each of four services, with real parents.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sonde.storage.columns import Block, Constant, Lists, Maps, Strings

AT_UNIX_NANO = 1_767_225_600_000_000_000
SERVICES = (
    "storefront",
    "catalog",
    "search",
    "cart",
    "checkout",
    "payment",
    "shipping",
    "inventory",
    "recommendation",
    "accounts",
    "notification",
    "ledger",
)
NOUNS = (
    "products",
    "orders",
    "customers",
    "baskets",
    "invoices",
    "addresses",
    "reviews",
    "vouchers",
    "stock",
    "sessions",
)
SUFFIXES = ("", "/{id}", "/{id}/items", "/{id}/history")
METHODS = ("GET", "GET", "GET", "POST", "PUT", "DELETE")
STATUS_CODES = (200, 200, 200, 200, 200, 201, 204, 304, 400, 404, 500, 503)
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:147.0) Gecko/20100101 Firefox/147.0",
    "python-httpx/0.28.1",
    "okhttp/5.3.2",
    "Go-http-client/2.0",
)
SPANS_A_TRACE = 8
SPAN_GAP_NANO = 20_000
"""Mean time between two spans: 50 000 a second."""

Array = np.ndarray[Any, Any]


class Pool:
    """One buffer that holds every text once."""

    def __init__(self) -> None:
        self.bytes = bytearray()
        self.places: dict[bytes, int] = {}

    def strings(self, texts: list[str], picked: Array) -> tuple[Array, Array]:
        """Starts and lengths of `texts[i]` for each i of `picked`."""
        places = np.array([self.place(text.encode()) for text in texts], np.int64)
        lengths = np.array([len(text.encode()) for text in texts], np.int64)
        return places[picked], lengths[picked]

    def place(self, text: bytes) -> int:
        if text not in self.places:
            self.places[text] = len(self.bytes)
            self.bytes += text
        return self.places[text]

    def buffer(self) -> Array:
        return np.frombuffer(bytes(self.bytes), np.uint8)


def cumulative(rows: int, each: int) -> Array:
    return np.arange(1, rows + 1, dtype=np.uint64) * np.uint64(each)


def nothing() -> Strings:
    return Strings(np.zeros(0, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64))


def empty_maps(rows: int) -> Maps:
    return Maps(np.zeros(rows, np.uint64), nothing(), nothing())


def spans(rows: int, *, seed: int = 1, at_unix_nano: int = AT_UNIX_NANO) -> Block:
    """`rows` spans in the order of their arrival, every column of table `spans`."""
    rng = np.random.default_rng(seed)
    pool = Pool()
    trace = np.arange(rows) // SPANS_A_TRACE
    visited = rng.integers(0, len(SERVICES), (rows // SPANS_A_TRACE + 1, SPANS_A_TRACE // 2)).repeat(2, axis=1)
    service = visited[trace, np.arange(rows) % SPANS_A_TRACE]
    noun, suffix = rng.integers(0, len(NOUNS), rows), rng.integers(0, len(SUFFIXES), rows)
    method = rng.integers(0, len(METHODS), rows)
    code = rng.choice(STATUS_CODES, rows)
    start = at_unix_nano + np.arange(rows) * SPAN_GAP_NANO + rng.integers(0, 1_000_000, rows)
    trace_ids = rng.integers(0, 256, (rows // SPANS_A_TRACE + 1, 16), np.uint8)[trace]
    span_ids = rng.integers(0, 256, (rows, 8), np.uint8)
    parents = span_ids[np.maximum(np.arange(rows) - 1 - rng.integers(0, 2, rows), trace * SPANS_A_TRACE)]
    parents[np.arange(rows) % SPANS_A_TRACE == 0] = 0

    operations = [f"{m} /api/{n}{s}" for m in METHODS for n in NOUNS for s in SUFFIXES]
    operation = (method * len(NOUNS) + noun) * len(SUFFIXES) + suffix
    routes = [f"/api/{n}{s}" for n in NOUNS for s in SUFFIXES]
    route = noun * len(SUFFIXES) + suffix
    ids = rng.integers(0, 100_000, rows)
    paths, path = np.unique(route * 100_000 + np.where(suffix == 0, 0, ids), return_inverse=True)
    path_texts = [routes[p // 100_000].replace("{id}", str(p % 100_000)) for p in paths.tolist()]
    addresses = [f"10.{a}.{b}.{c}" for a in range(4) for b in range(64) for c in range(256)]
    string_values = {
        "http.request.method": (list(METHODS), method),
        "http.route": (routes, route),
        "url.path": (path_texts, path),
        "server.address": ([f"{name}.shop.svc" for name in SERVICES], service),
        "network.protocol.version": (["1.1", "2"], rng.integers(0, 2, rows)),
        "user_agent.original": (list(AGENTS), rng.integers(0, len(AGENTS), rows)),
        "client.address": (addresses, rng.integers(0, len(addresses), rows)),
    }
    int_values = {
        "http.response.status_code": code,
        "server.port": np.full(rows, 8080),
        "thread.id": 139_000_000_000_000 + rng.integers(0, 64, rows) * 8_392_704,
    }
    failed = code >= 500
    scope, resource = service * 2 + rng.integers(0, 2, rows), service * 3 + trace % 3
    resource_ids = rng.integers(0, 1 << 63, 64).astype(np.uint64)
    scope_ids = rng.integers(0, 1 << 63, 64).astype(np.uint64)
    messages = pool.strings(["", "upstream request failed"], failed.astype(np.int64))
    names = pool.strings(operations, operation)
    service_names = pool.strings(list(SERVICES), service)
    strings = mixed(pool, {key: pool.strings(*value) for key, value in string_values.items()}, rows)
    keys_int, keys_double, keys_bool, events = (
        key_column(pool, tuple(int_values), rows),
        key_column(pool, ("app.cart.total",), rows),
        key_column(pool, ("app.cache.hit",), rows),
        exceptions(pool, rng, failed, start),
    )
    buffer = pool.buffer()

    def text(slices: tuple[Array, Array]) -> Strings:
        return Strings(buffer, *slices)

    return {
        "tenant": Constant(b"default", rows),
        "time": start,
        "time_source": np.zeros(rows, np.uint8),
        "duration_nano": rng.lognormal(16, 1.5, rows).astype(np.int64),
        "trace_id": trace_ids,
        "span_id": span_ids,
        "parent_span_id": parents,
        "trace_state": Constant(b"", rows),
        "flags": np.full(rows, 0x101, np.uint32),
        "service_name": text(service_names),
        "name": text(names),
        "kind": rng.integers(1, 4, rows).astype(np.int32),
        "status_code": np.where(failed, 2, 0).astype(np.int32),
        "status_message": text(messages),
        "resource_id": resource_ids[resource],
        "scope_id": scope_ids[scope],
        "attributes_string": Maps(cumulative(rows, len(string_values)), text(strings[0]), text(strings[1])),
        "attributes_int": Maps(
            cumulative(rows, len(int_values)), text(keys_int), np.stack(list(int_values.values()), 1).reshape(-1)
        ),
        "attributes_double": Maps(cumulative(rows, 1), text(keys_double), rng.uniform(1, 500, rows).round(2)),
        "attributes_bool": Maps(cumulative(rows, 1), text(keys_bool), (rng.random(rows) < 0.7).astype(np.uint8)),
        "attributes_json": empty_maps(rows),
        "dropped_attributes_count": np.zeros(rows, np.uint32),
        **{name: lists(buffer, value) for name, value in events.items()},
        "dropped_events_count": np.zeros(rows, np.uint32),
        "links.trace_id": Lists(np.zeros(rows, np.uint64), np.zeros((0, 16), np.uint8)),
        "links.span_id": Lists(np.zeros(rows, np.uint64), np.zeros((0, 8), np.uint8)),
        "links.trace_state": Lists(np.zeros(rows, np.uint64), nothing()),
        "links.flags": Lists(np.zeros(rows, np.uint64), np.zeros(0, np.uint32)),
        "links.attributes_string": Lists(np.zeros(rows, np.uint64), empty_maps(0)),
        "links.attributes_json": Lists(np.zeros(rows, np.uint64), empty_maps(0)),
        "links.dropped_attributes_count": Lists(np.zeros(rows, np.uint64), np.zeros(0, np.uint32)),
        "dropped_links_count": np.zeros(rows, np.uint32),
    }


def key_column(pool: Pool, keys: tuple[str, ...], rows: int) -> tuple[Array, Array]:
    """The same keys in each of `rows` rows."""
    return pool.strings(list(keys), np.tile(np.arange(len(keys)), rows))


def mixed(
    pool: Pool, values: dict[str, tuple[Array, Array]], rows: int
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Keys and values of maps that have every key of `values` in each row."""
    starts = np.stack([value[0] for value in values.values()], 1).reshape(-1)
    lengths = np.stack([value[1] for value in values.values()], 1).reshape(-1)
    return key_column(pool, tuple(values), rows), (starts, lengths)


def exceptions(pool: Pool, rng: Any, failed: Array, start: Array) -> dict[str, Any]:
    """One exception event for each failed span."""
    ends = np.cumsum(failed).astype(np.uint64)
    count = int(ends[-1]) if len(ends) else 0
    said = [f"no answer from {service} within 2000 ms" for service in SERVICES]
    types = pool.strings(["shop.errors.UpstreamUnavailable"], np.zeros(count, np.int64))
    texts = pool.strings(said, rng.integers(0, len(said), count))
    keys, values = mixed(pool, {"exception.type": types, "exception.message": texts}, count)
    retries = pool.strings(["0", "1", "2", "3"], rng.integers(0, 4, count))
    return {
        "events.time": (ends, start[failed] + 1_000),
        "events.name": (ends, pool.strings(["exception"], np.zeros(count, np.int64))),
        "events.attributes_string": (ends, (2, keys, values)),
        "events.attributes_json": (ends, (1, key_column(pool, ("retry.count",), count), retries)),
        "events.dropped_attributes_count": (ends, np.zeros(count, np.uint32)),
    }


def lists(buffer: Array, value: Any) -> Lists:
    """A nested column from what `exceptions` says of it."""
    ends, inner = value
    if isinstance(inner, np.ndarray):
        return Lists(ends, inner)
    if len(inner) == 2:
        return Lists(ends, Strings(buffer, *inner))
    each, keys, values = inner
    return Lists(ends, Maps(cumulative(len(keys[0]) // each, each), Strings(buffer, *keys), Strings(buffer, *values)))
