"""GET /api/export on the real engine. That whole messages come out as they went in is tests/test_round_trip.py."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from httpx import Client, RemoteProtocolError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sonde.query.config import QueryConfig
from sonde.query.export import BATCH
from sonde.storage.store import Store
from stored import RESOURCE, SCOPE, SECOND, T0, Served, insert, log, put, resource, scope, span

Filled = Callable[[str, Callable[[Store], None]], str]
RANGE = {"start": str(T0), "end": str(T0 + 3600 * SECOND)}
REQUESTS: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}


def fill(store: Store) -> None:
    tenant = b"export"
    put(
        store,
        "spans",
        *(span(name=b"%d" % n, time=T0 + n, trace_id=b"%16d" % n) for n in range(3 * BATCH + 5)),
        tenant="export",
    )
    insert(store, "resources", resource(tenant=tenant, resource_id=7, service_name=b"web", schema_url=b"r/1"))
    insert(store, "scopes", scope(tenant=tenant, scope_id=8, schema_url=b"s/1"))
    web = {"tenant": tenant, "service_name": b"web", "resource_id": 7, "scope_id": 8, "time": T0 + 20 * SECOND}
    insert(store, "spans", span(name=b"web", **web))
    insert(store, "logs", log(tenant=tenant), log(body=b"web", **web))
    ids = {"tenant": tenant, "resource_id": RESOURCE, "scope_id": SCOPE, "type": 7}
    insert(
        store,
        "series",
        *(ids | {"series_id": n, "name": b"requests", "attributes_int": [(b"n", n)]} for n in range(1, 60)),
        ids | {"series_id": 99, "name": b"web", "service_name": b"web", "resource_id": 7},
    )
    insert(
        store,
        "points_number",
        *(
            {"tenant": tenant, "series_id": n, "time": T0 + t, "value": n + t / 1000, "value_type": 1}
            for n in (*range(1, 60), 99)
            for t in range(70)
        ),
    )
    insert(
        store,
        "exemplars",
        *(
            {
                "tenant": tenant,
                "series_id": n,
                "point_time": T0 + t,
                "time": n * 1000 + t,
                "value_type": 2,
                "value": 1.0,
            }
            for n in (1, 59, 99, 1234)
            for t in (0, 69, 69, 500)
        ),
    )


@pytest.fixture
def tenant(filled: Filled) -> dict[str, str]:
    return {"X-Sonde-Tenant": filled("export", fill)}


def exported(client: Client, tenant: dict[str, str], signal: str, **parameters: str) -> Any:
    """The whole export as one message: what is concatenated is one message."""
    asked = RANGE | {"signal": signal, "format": "protobuf"} | parameters
    answer = client.get("/api/export", params=asked, headers=tenant)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-protobuf"
    return REQUESTS[signal].FromString(answer.content)


def lines(client: Client, tenant: dict[str, str], signal: str, **parameters: str) -> list[Any]:
    answer = client.get("/api/export", params=RANGE | {"signal": signal} | parameters, headers=tenant)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_concatenated_requests_are_one_request(shared_client: Client, tenant: dict[str, str]) -> None:
    request = exported(shared_client, tenant, "traces")
    spans = [s for r in request.resource_spans for c in r.scope_spans for s in c.spans]
    assert sorted(s.name for s in spans) == sorted([*map(str, range(3 * BATCH + 5)), "web"])
    urls = {(r.schema_url, c.schema_url) for r in request.resource_spans for c in r.scope_spans}
    assert urls == {("", ""), ("r/1", "s/1")}


def test_json_is_one_request_a_line(shared_client: Client, tenant: dict[str, str]) -> None:
    found = lines(shared_client, tenant, "traces")
    assert len(found) > 3
    spans = [s for line in found for r in line["resourceSpans"] for c in r["scopeSpans"] for s in c["spans"]]
    assert len(spans) == 3 * BATCH + 6
    assert max(len(c["spans"]) for line in found for r in line["resourceSpans"] for c in r["scopeSpans"]) <= BATCH
    assert {len(s["traceId"]) for s in spans} == {32}


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_a_service_may_be_exported_alone(shared_client: Client, tenant: dict[str, str], signal: str) -> None:
    (only,) = lines(shared_client, tenant, signal, service="web")
    (found,) = next(iter(only.values()))
    assert found["schemaUrl"] == "r/1"
    assert lines(shared_client, tenant, signal, service="nobody") == []


def test_the_range_bounds_the_export(shared_client: Client, tenant: dict[str, str]) -> None:
    request = exported(shared_client, tenant, "traces", start=str(T0 + 10), end=str(T0 + 13))
    assert [s.name for s in request.resource_spans[0].scope_spans[0].spans] == ["10", "11", "12"]


def test_every_point_comes_once_with_its_own_exemplars(shared_client: Client, tenant: dict[str, str]) -> None:
    request = exported(shared_client, tenant, "metrics")
    seen = {}
    for scope_metrics in (c for r in request.resource_metrics for c in r.scope_metrics):
        for metric in scope_metrics.metrics:
            for point in metric.sum.data_points:
                number = point.attributes[0].value.int_value if point.attributes else 99
                seen[number, point.time_unix_nano - T0] = [e.time_unix_nano for e in point.exemplars]
                assert point.as_double == number + (point.time_unix_nano - T0) / 1000
    assert len(seen) == 60 * 70
    assert {key: times for key, times in seen.items() if times} == {
        (n, t): times for n in (1, 59, 99) for t, times in ((0, [n * 1000]), (69, [n * 1000 + 69] * 2))
    }


def test_series_of_one_metric_share_its_message(shared_client: Client, tenant: dict[str, str]) -> None:
    found = lines(shared_client, tenant, "metrics", end=str(T0 + 3))
    metrics = [m for line in found for r in line["resourceMetrics"] for c in r["scopeMetrics"] for m in c["metrics"]]
    assert sorted((m["name"], len(m["sum"]["dataPoints"])) for m in metrics) == [("requests", 59 * 3), ("web", 3)]


@pytest.mark.parametrize("format", ["json", "protobuf"])
@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_an_empty_range_is_an_empty_export(shared_client: Client, signal: str, format: str) -> None:
    asked = RANGE | {"signal": signal, "format": format}
    answer = shared_client.get("/api/export", params=asked, headers={"X-Sonde-Tenant": "nobody"})
    assert answer.status_code == 200
    assert answer.content == b""


@pytest.mark.parametrize(
    ("parameters", "parameter"),
    [
        ({"signal": "profiles"}, "signal"),
        ({}, "signal"),
        ({"signal": "logs", "format": "xml"}, "format"),
        ({"signal": "logs", "start": "x"}, "start"),
        ({"signal": "logs", "limit": "5"}, "limit"),
    ],
)
def test_what_can_not_be_read_is_refused_by_name(
    shared_client: Client, parameters: dict[str, str], parameter: str
) -> None:
    answer = shared_client.get("/api/export", params=parameters)
    assert answer.status_code == 400
    assert answer.json()["error"]["parameter"] == parameter


def test_a_reader_that_leaves_frees_its_place(store: Store) -> None:
    put(store, "spans", *(span(time=T0 + n, attributes_string=[(b"k", b"x" * 2000)]) for n in range(8_000)))
    with Served(store, QueryConfig(query_max_concurrent=1)) as client:
        for _ in range(2):
            with client.stream("GET", "/api/export", params=RANGE | {"signal": "traces"}) as answer:
                assert answer.status_code == 200
                next(answer.iter_raw(1000))
                busy = client.get("/api/export", params=RANGE | {"signal": "traces"})
                assert busy.status_code == 503
                assert busy.json()["error"]["code"] == "busy"
            deadline = time.monotonic() + 120
            while client.get("/api/export", params=RANGE | {"signal": "logs"}).status_code == 503:
                assert time.monotonic() < deadline
                time.sleep(0.05)


def test_an_export_that_fails_on_its_way_breaks_off(store: Store) -> None:
    """A part must never look whole: here the last series is not known."""
    put(store, "series", {"series_id": 1, "resource_id": RESOURCE, "scope_id": SCOPE, "type": 5})
    insert(store, "points_number", *({"series_id": 1, "time": T0 + n} for n in range(3 * BATCH)))
    insert(store, "points_number", {"series_id": 2, "time": T0})
    with Served(store) as client, pytest.raises(RemoteProtocolError, match="incomplete"):
        client.get("/api/export", params=RANGE | {"signal": "metrics"})


def test_exports_run_side_by_side(shared_client: Client, tenant: dict[str, str]) -> None:
    sizes: list[int] = []

    def run() -> None:
        sizes.append(len(exported(shared_client, tenant, "traces").SerializeToString()))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sizes) == 4
    assert len(set(sizes)) == 1
