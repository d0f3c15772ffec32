"""The Prometheus API over a ClickHouse that is asked over HTTP: the answers are those of the embedded engine."""

from __future__ import annotations

from typing import Any

from prometheus_rows import END, START, STEP, TENANT, fill
from sonde.query.config import QueryConfig
from sonde.storage.store import Store
from stored import Served

V1 = "/prometheus/api/v1"
RANGE = {"start": START, "end": END, "step": STEP}
QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("query", {"query": '{job="cart"}', "time": END}),
    ("query", {"query": "queue_size[5m]", "time": END}),
    ("query", {"query": "nothing", "time": END}),
    ("query_range", {"query": "sum by (http_method) (rate(http_server_requests_total[1m]))", **RANGE}),
    ("query_range", {"query": "rpc_size_bytes", **RANGE}),
    ("query_range", {"query": "histogram_quantile(0.5, rate(http_server_duration_seconds_bucket[2m]))", **RANGE}),
    ("query_range", {"query": "max_over_time(rate(http_server_requests_total[1m])[5m:30s]) or target_info", **RANGE}),
    ("query_exemplars", {"query": "http_server_requests_total", **RANGE}),
    ("series", {"match[]": '{job="cart"}', **RANGE}),
    ("labels", {}),
    ("labels", {"match[]": "queue_size"}),
    ("label/http_method/values", {}),
    ("label/__name__/values", {}),
    ("label/le/values", {"match[]": "http_server_duration_seconds_bucket", **RANGE}),
    ("metadata", {}),
]


def answers(store: Store) -> list[Any]:
    fill(store)
    with Served(store, QueryConfig(query_tenant=TENANT)) as client:
        found = [client.get(f"{V1}/{path}", params=fields) for path, fields in QUESTIONS]
    return [(answer.status_code, in_order(answer.json())) for answer in found]


def in_order(body: Any) -> Any:
    """The order of series is the engine's."""
    if isinstance(body["data"], dict) and "result" in body["data"]:
        body["data"]["result"].sort(key=lambda row: sorted(row["metric"].items()))
    elif body["data"] and isinstance(body["data"], list) and isinstance(body["data"][0], dict):
        body["data"].sort(key=lambda row: sorted(row.get("seriesLabels", row).items()))
    return body


def test_answers_over_http_are_those_of_the_embedded_engine(store: Store, http_store: Store) -> None:
    embedded, over_http = answers(store), answers(http_store)
    for asked, ours, theirs in zip(QUESTIONS, over_http, embedded, strict=True):
        assert ours == theirs, asked
        assert ours[0] == 200, asked
    empty = [asked for asked, (_, body) in zip(QUESTIONS, embedded, strict=True) if not body["data"]]
    assert empty == []


def test_a_query_that_reads_too_much_is_refused_over_http_in_the_same_words(store: Store, http_store: Store) -> None:
    told = []
    for each in (store, http_store):
        fill(each)
        with Served(each, QueryConfig(query_tenant=TENANT, promql_max_samples=100)) as client:
            answer = client.get(f"{V1}/query", params={"query": '{job="cart"}[10m]', "time": END})
            told.append((answer.status_code, answer.json()))
    assert told[0] == told[1]
    assert told[1][0] == 422
    assert "promql_max_samples allows 100" in told[1][1]["error"]
