"""The same questions of a store behind HTTP: parameters, streams and errors go another way there."""

from __future__ import annotations

from typing import Any

from clickhouse_http import Gate
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sonde.query.config import QueryConfig
from sonde.storage.store import Store
from stored import RESOURCE, SCOPE, SECOND, T0, Served, insert, log, put, span

RANGE = {"start": str(T0), "end": str(T0 + 3600 * SECOND)}
ODD = "it's {x:Int8} 100% \\n \t\n naïve 漢字 \U0001f600"


def test_questions_are_answered_as_by_the_embedded_store(http_store: Store) -> None:
    put(
        http_store,
        "spans",
        *(span(name=b"%d" % n, time=T0 + n // 2, attributes_int=[(b"n", n)]) for n in range(7)),
        span(name=b"odd", time=T0 + 10, attributes_string=[(b"k", ODD.encode())], attributes_bool=[(b"b", 1)]),
    )
    put(http_store, "logs", log(body=ODD.encode()))
    with Served(http_store) as client:

        def names(**asked: Any) -> list[str]:
            answer = client.get("/api/spans", params=RANGE | asked)
            assert answer.status_code == 200, answer.text
            return [each["name"] for each in answer.json()["spans"]]

        assert names(attr=["n>=3", "n<5"]) == ["4", "3"]
        assert names(attr="k=" + ODD) == ["odd"]
        assert names(attr="b=true") == ["odd"]
        assert names(attr="k~100% .n") == ["odd"]
        assert names(attr="resource.service.name=cart", name="odd") == ["odd"]
        assert len(client.get("/api/logs", params=RANGE | {"body": ODD[2:30]}).json()["logs"]) == 1
        assert len(client.get(f"/api/traces/{'01' * 16}", params={"format": "flat"}).json()["spans"]) == 8
        assert [each["span_count"] for each in client.get("/api/services", params=RANGE).json()["services"]] == [8]
        seen: list[str] = []
        asked: dict[str, Any] = RANGE | {"limit": 3}
        while "cursor" not in asked or asked["cursor"]:
            page = client.get("/api/spans", params=asked).json()
            seen += [each["name"] for each in page["spans"]]
            asked["cursor"] = page["next_cursor"]
        assert sorted(seen) == sorted([*map(str, range(7)), "odd"])
        assert client.get("/readyz").json() == {"status": "ready"}


def test_exports_stream(http_store: Store) -> None:
    put(http_store, "spans", *(span(name=b"%d" % n, time=T0 + n) for n in range(30_000)))
    put(http_store, "series", {"series_id": 1, "resource_id": RESOURCE, "scope_id": SCOPE, "type": 5})
    insert(http_store, "points_number", *({"series_id": 1, "time": T0 + n, "value_type": 2} for n in range(3)))
    insert(http_store, "exemplars", {"series_id": 1, "point_time": T0 + 1, "time": 7, "value_type": 1})
    with Served(http_store) as client:
        found = client.get("/api/export", params=RANGE | {"signal": "traces", "format": "protobuf"})
        request = ExportTraceServiceRequest.FromString(found.content)
        spans = {s.name for r in request.resource_spans for c in r.scope_spans for s in c.spans}
        assert len(spans) == 30_000
        (line,) = client.get("/api/export", params=RANGE | {"signal": "metrics"}).text.splitlines()
        assert line.count('"exemplars"') == 1
        assert line.count('"timeUnixNano"') == 4


def test_a_question_over_a_limit_is_told_which(http_store: Store) -> None:
    put(http_store, "spans", *(span(time=T0 + n) for n in range(20_000)))
    with Served(http_store, QueryConfig(query_max_rows_read=5)) as client:
        answer = client.get("/api/spans", params=RANGE | {"attr": "a~y$"})
        assert answer.status_code == 422
        assert "query_max_rows_read" in answer.json()["error"]["message"]
        answer = client.get("/api/spans", params=RANGE | {"attr": "a~("})
    assert answer.status_code in (400, 422)


def test_a_server_that_goes_away_is_unavailable_and_comes_back(http_store: Store, gate: Gate) -> None:
    with Served(http_store) as client:
        assert client.get("/readyz").status_code == 200
        gate.shut()
        for path in ("/readyz", "/api/spans", "/api/export?signal=logs", "/api/services"):
            answer = client.get(path)
            assert answer.status_code == 503, path
            assert answer.json()["error"]["code"] == "store_unavailable"
            assert "password" not in answer.text
        assert client.get("/healthz").status_code == 200
        gate.open()
        assert client.get("/readyz").status_code == 200
        assert client.get("/api/spans").status_code == 200
