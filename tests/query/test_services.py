"""GET /api/services and GET /api/operations on the real engine."""

from __future__ import annotations

from typing import Any

import pytest
from httpx import Client
from sonde.storage.store import Store
from stored import SECOND, T0, insert, log, put, span

MINUTE = 60 * SECOND
RANGE = {"start": str(T0), "end": str(T0 + 60 * MINUTE)}


def fill(store: Store) -> None:
    put(
        store,
        "spans",
        span(time=T0, duration_nano=1_000_000),
        span(time=T0 + 10 * MINUTE, duration_nano=3_000_000, status_code=2),
        span(time=T0 + 5 * MINUTE, kind=3),
        span(time=T0 + 20 * MINUTE, service_name=b"web", name=b"GET /"),
        span(time=T0 + 120 * MINUTE, service_name=b"later"),
    )
    insert(store, "spans", span(tenant=b"other", service_name=b"theirs"))
    put(store, "logs", log(time=T0 + 30 * MINUTE), log(service_name=b"batch", time=T0 + MINUTE), log(service_name=b""))


def test_services_have_spans_errors_and_logs(client: Client, store: Store) -> None:
    fill(store)
    services = client.get("/api/services", params=RANGE).json()["services"]
    assert [(s["name"], s["span_count"], s["error_count"], s["log_count"]) for s in services] == [
        ("", 0, 0, 1),
        ("batch", 0, 0, 1),
        ("cart", 3, 1, 1),
        ("web", 1, 0, 0),
    ]
    cart: dict[str, Any] = services[2]
    assert cart["error_rate"] == 1 / 3
    assert cart["last_seen"] == "2026-02-02T03:10:00.000000000Z", "its newest log, to the minute"


def test_operations_are_told_apart_by_name_and_kind(client: Client, store: Store) -> None:
    fill(store)
    operations = client.get("/api/operations", params=RANGE | {"service": "cart"}).json()["operations"]
    assert [(o["service"], o["name"], o["kind"], o["span_count"], o["error_count"]) for o in operations] == [
        ("cart", "GET /cart", "server", 2, 1),
        ("cart", "GET /cart", "client", 1, 0),
    ]
    assert operations[0]["mean_duration_nano"] == 2_000_000
    assert operations[0]["p50_duration_nano"] == pytest.approx(2_000_000, rel=0.5)
    assert operations[0]["p99_duration_nano"] == pytest.approx(3_000_000, rel=1 / 32)
    assert len(client.get("/api/operations", params=RANGE).json()["operations"]) == 3
    assert len(client.get("/api/operations", params=RANGE | {"limit": "2"}).json()["operations"]) == 2


def test_nothing_is_an_empty_list(client: Client) -> None:
    assert client.get("/api/services").json() == {"services": []}
    assert client.get("/api/operations").json() == {"operations": []}
