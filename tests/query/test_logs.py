"""GET /api/logs on the real engine."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from httpx import Client
from sonde.query import filters
from sonde.query.filters import Filter
from sonde.storage.store import Store
from stored import SECOND, T0, insert, log, put, resource

Filled = Callable[[str, Callable[[Store], None]], str]
RANGE = {"start": str(T0), "end": str(T0 + 3600 * SECOND)}
TRACE, SPAN = b"\x05" * 16, b"\x06" * 8

LOGS = {
    "started": log(event_name=b"started", severity_number=9, body=b"listening on port 8080"),
    "refused": log(
        event_name=b"refused",
        time=T0 + 1,
        severity_number=17,
        severity_text=b"ERROR",
        body=b"the connection was refused by payment-7: [111]",
        trace_id=TRACE,
        span_id=SPAN,
        attributes_int=[(b"attempt", 3)],
    ),
    "web": log(event_name=b"web", time=T0 + 2, service_name=b"web", severity_number=13, body=b"slow; reconnection"),
    "map": log(event_name=b"map", time=T0 + 3, severity_number=0, body=b'{"refused":1}', body_type=6),
    "none": log(event_name=b"none", time=T0 + 4, severity_number=22, body=b"", body_type=0),
    "umlaut": log(event_name=b"umlaut", time=T0 + 5, severity_number=5, body="Größe 100% über_alles".encode()),
}


def fill(store: Store) -> None:
    put(store, "logs", *LOGS.values(), tenant="logs")


def found(client: Client, tenant: str, **parameters: Any) -> list[str]:
    answer = client.get("/api/logs", params=RANGE | parameters, headers={"X-Sonde-Tenant": tenant})
    assert answer.status_code == 200, answer.text
    return [each["event_name"] for each in answer.json()["logs"]]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "umlaut none map web refused started"),
        ({"service": "web"}, "web"),
        ({"severity": "warn"}, "none web refused"),
        ({"severity": "ERROR"}, "none refused"),
        ({"severity": "18"}, "none"),
        ({"severity": "fatal2"}, "none"),
        ({"severity": "0"}, "umlaut none map web refused started"),
        ({"body": "refused"}, "map refused"),
        ({"body": "was refused by"}, "refused"),
        ({"body": "connection"}, "web refused"),
        ({"body": " connection "}, "refused"),
        ({"body": "nection was ref"}, "refused"),
        ({"body": "Connection"}, ""),
        ({"body": "payment-7: [111]"}, "refused"),
        ({"body": "100%"}, "umlaut"),
        ({"body": "%"}, "umlaut"),
        ({"body": "_alles"}, "umlaut"),
        ({"body": "röß"}, "umlaut"),
        ({"body": ["refused", "payment"]}, "refused"),
        ({"words": "refused"}, "map refused"),
        ({"words": "payment refused"}, "refused"),
        ({"words": "refuse"}, ""),
        ({"words": ["connection", "111"]}, "refused"),
        ({"words": "über"}, "umlaut"),
        ({"words": "ber"}, ""),
        ({"body": "öße 100% "}, "umlaut"),
        ({"trace_id": TRACE.hex()}, "refused"),
        ({"span_id": SPAN.hex()}, "refused"),
        ({"span_id": "07" * 8}, ""),
        ({"attr": "attempt>=3"}, "refused"),
        ({"attr": "resource.service.name=cart"}, "umlaut none map web refused started"),
        ({"event_name": "web"}, "web"),
        ({"body": "'; DROP TABLE logs; --"}, ""),
        ({"limit": "2"}, "umlaut none"),
    ],
)
def test_filters_narrow_the_answer(
    shared_client: Client, filled: Filled, parameters: dict[str, Any], expected: str
) -> None:
    tenant = filled("logs", fill)
    assert found(shared_client, tenant, **parameters) == expected.split()


@pytest.mark.parametrize(
    "condition", [*filters.body_contains(["nection was ref"]), *filters.body_words(["was refused"])]
)
def test_the_text_index_leaves_most_of_the_bodies_unread(store: Store, condition: Filter) -> None:
    bodies = (b"connection was refused" if number == 5 else b"all is well" for number in range(60_000))
    put(store, "logs", *(log(body=body) for body in bodies))
    plan = store.rows(f"EXPLAIN indexes = 1 SELECT body FROM logs WHERE {condition.clause}", condition.params)
    text = "\n".join(line["explain"] for line in plan)
    assert re.search(r"Granules: 1/\d", text), text


def test_a_record_comes_with_everything_it_has(client: Client, store: Store) -> None:
    put(store, "logs", LOGS["refused"] | {"observed_time": T0 + 7, "flags": 1, "dropped_attributes_count": 4})
    page = client.get("/api/logs", params=RANGE).json()
    assert page["logs"] == [
        {
            "time": "2026-02-02T02:40:00.000000001Z",
            "time_unix_nano": str(T0 + 1),
            "observed_time_unix_nano": str(T0 + 7),
            "severity_number": 17,
            "severity_text": "ERROR",
            "event_name": "refused",
            "body": "the connection was refused by payment-7: [111]",
            "trace_id": TRACE.hex(),
            "span_id": SPAN.hex(),
            "flags": 1,
            "service_name": "cart",
            "attributes": {"attempt": 3},
            "dropped_attributes_count": 4,
            "resource_id": "00000000000000ab",
            "scope_id": "00000000000000cd",
        }
    ]


def test_bodies_and_missing_things_are_told_apart(shared_client: Client, filled: Filled) -> None:
    tenant = filled("logs", fill)
    logs = shared_client.get("/api/logs", params=RANGE, headers={"X-Sonde-Tenant": tenant}).json()["logs"]
    bodies = {each["event_name"]: each["body"] for each in logs}
    assert bodies["map"] == {"refused": 1}
    assert bodies["none"] is None
    assert all(each["trace_id"] is None for each in logs if each["event_name"] != "refused")


def test_a_time_the_record_did_not_have_is_not_made_up(client: Client, store: Store) -> None:
    put(store, "logs", log(time_source=1, observed_time=T0), log(time_source=2, time=T0 + 1))
    received, observed = client.get("/api/logs", params=RANGE).json()["logs"]
    assert (observed["time_unix_nano"], observed["observed_time_unix_nano"]) == ("0", str(T0))
    assert (received["time_unix_nano"], received["observed_time_unix_nano"]) == ("0", "0")
    assert received["time"] == "2026-02-02T02:40:00.000000001Z"


def test_identical_records_are_all_given_out_page_by_page(client: Client, store: Store) -> None:
    put(store, "logs", *[log()] * 7, log(body=b"another"))
    given: dict[str, Any] = RANGE | {"limit": 3}
    bodies = []
    while True:
        page = client.get("/api/logs", params=given).json()
        bodies += [each["body"] for each in page["logs"]]
        if page["next_cursor"] is None:
            break
        given["cursor"] = page["next_cursor"]
    assert sorted(bodies) == ["added to cart"] * 7 + ["another"]


def test_telemetry_text_is_only_text(client: Client, store: Store) -> None:
    insert(store, "resources", resource(attributes_string=[(b"<b>", b"</script>")]))
    put(store, "logs", log(body=b"<script>alert(1)</script>"))
    answer = client.get("/api/logs", params=RANGE)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["logs"][0]["body"] == "<script>alert(1)</script>"
