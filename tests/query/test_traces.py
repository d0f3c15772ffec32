"""GET /api/traces/{trace_id} on the real engine."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format
from httpx import Client
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sonde.query.config import QueryConfig
from sonde.storage.store import Store
from stored import SECOND, T0, Served, insert, put, span

TRACE = bytes(range(1, 17))
PATH = f"/api/traces/{TRACE.hex()}"
ROOT, CHILD, LEAF = b"\x01" * 8, b"\x02" * 8, b"\x03" * 8


def put_trace(store: Store) -> None:
    put(
        store,
        "spans",
        span(trace_id=TRACE, span_id=LEAF, parent_span_id=CHILD, name=b"leaf", time=T0 + 2, service_name=b"db"),
        span(trace_id=TRACE, span_id=ROOT, name=b"root", time=T0),
        # A day later: a trace is found whole, whenever its spans were.
        span(
            trace_id=TRACE, span_id=b"\x04" * 8, parent_span_id=b"\x09" * 8, name=b"orphan", time=T0 + 90_000 * SECOND
        ),
        span(trace_id=TRACE, span_id=CHILD, parent_span_id=ROOT, name=b"child", time=T0 + 1, status_code=2),
        span(trace_id=b"\x07" * 16, name=b"another trace"),
    )


def test_a_trace_is_read_as_otlp_json(client: Client, store: Store) -> None:
    put_trace(store)
    answer = client.get(PATH)
    assert answer.headers["content-type"] == "application/json"
    (resource_spans,) = answer.json()["resourceSpans"]
    assert resource_spans["resource"] == {
        "attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}],
    }
    (scope_spans,) = resource_spans["scopeSpans"]
    assert scope_spans["scope"] == {"name": "tests", "version": "1.0"}
    assert [each["name"] for each in scope_spans["spans"]] == ["root", "child", "leaf", "orphan"]
    child: dict[str, Any] = scope_spans["spans"][1]
    assert child == {
        "traceId": TRACE.hex(),
        "spanId": CHILD.hex(),
        "parentSpanId": ROOT.hex(),
        "name": "child",
        "kind": 2,
        "startTimeUnixNano": str(T0 + 1),
        "endTimeUnixNano": str(T0 + 1 + SECOND),
        "status": {"code": 2},
    }


def test_the_otlp_answer_is_a_request_that_protobuf_reads(client: Client, store: Store) -> None:
    put_trace(store)
    text = client.get(PATH).text
    for id in (
        TRACE,
        ROOT,
        CHILD,
        LEAF,
    ):  # protobuf's own JSON wants base64 where OTLP has hex; any base64 will do here
        text = text.replace(id.hex(), "AAAA")
    assert len(json_format.Parse(text, ExportTraceServiceRequest()).resource_spans) == 1


def test_a_flat_trace_is_in_tree_order(client: Client, store: Store) -> None:
    put_trace(store)
    trace = client.get(PATH, params={"format": "flat"}).json()
    assert trace["trace_id"] == TRACE.hex()
    assert [(each["name"], each["depth"], each["is_orphan"]) for each in trace["spans"]] == [
        ("root", 0, False),
        ("child", 1, False),
        ("leaf", 2, False),
        ("orphan", 0, True),
    ]
    assert trace["resources"]["00000000000000ab"]["attributes"] == {"service.name": "cart"}


def test_the_id_may_be_in_capitals(client: Client, store: Store) -> None:
    put_trace(store)
    assert client.get(PATH.upper().replace("/API/TRACES", "/api/traces")).status_code == 200


def test_a_trace_that_is_not_stored_is_404_with_a_hint(client: Client, store: Store) -> None:
    insert(store, "spans", span(trace_id=TRACE, tenant=b"other"))
    answer = client.get(PATH)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert "retention" in answer.json()["error"]["hint"]


@pytest.mark.parametrize("id", ["xyz", "1" * 31, "1" * 33, "%27%20OR%201", "g" * 32])
def test_what_is_no_id_is_refused(shared_client: Client, id: str) -> None:
    answer = shared_client.get(f"/api/traces/{id}")
    assert answer.status_code == 400
    assert answer.json()["error"]["parameter"] == "trace_id"


def test_a_trace_too_large_to_hold_says_how_to_read_it(store: Store) -> None:
    put_trace(store)
    with Served(store, QueryConfig(query_max_trace_spans=3)) as client:
        answer = client.get(PATH)
    assert answer.status_code == 422
    assert "query_max_trace_spans" in answer.json()["error"]["message"]
    assert "/api/spans" in answer.json()["error"]["hint"]
