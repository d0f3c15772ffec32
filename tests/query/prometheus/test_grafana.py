"""The requests that Grafana's Prometheus data source sends, as it sends them: variables, panels, exemplars, probes.

Source: packages/grafana-prometheus and pkg/promlib of https://github.com/grafana/grafana
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from httpx import Client
from prometheus_rows import END, START, TENANT, fill
from sonde.storage.store import Store

Filled = Callable[[str, Callable[[Store], None]], str]
V1 = "/prometheus/api/v1"
SHOWN = {"start": f"{START}", "end": f"{END}"}
EXACT = {"start": f"{START}.123", "end": f"{END}.999"}
METHODS = ["GET", "POST"]
REQUESTS = "http_server_requests_total"
SCOPE = {"otel_scope_name": "tests", "otel_scope_version": "1.0"}
MAIL = {"__name__": "queue_size", "job": "cart", "queue": "mail", **SCOPE}


def row(label: str, *values: tuple[float, str]) -> dict[str, Any]:
    return {"metric": {"http_method": label}, "values": [list(pair) for pair in values]}


CASES: list[tuple[str, list[str], str, dict[str, Any], Any]] = [
    ("health check", METHODS, "query", {"query": "1+1", "time": "4"}, {"resultType": "scalar", "result": [4, "2"]}),
    ("label_values(job)", ["GET"], "label/job/values", SHOWN, ["cart"]),
    ("label_values(job), newer", ["GET"], "label/job/values", {**SHOWN, "limit": "40000"}, ["cart"]),
    (
        "label_values(metric, label)",
        ["GET"],
        "label/http_method/values",
        {**SHOWN, "match[]": REQUESTS},
        ["GET", "POST"],
    ),
    (
        "label_values(metric{filter}, label)",
        ["GET"],
        "label/queue/values",
        {**EXACT, "match[]": 'queue_size{job=~"cart|shop",queue!=""}'},
        ["mail"],
    ),
    ("label_values of another metric", ["GET"], "label/queue/values", {**SHOWN, "match[]": REQUESTS}, []),
    (
        "label_values(metric, label) of old",
        METHODS,
        "series",
        {**SHOWN, "match[]": "queue_size"},
        [MAIL],
    ),
    ("label_names(metric)", METHODS, "labels", {**SHOWN, "match[]": "queue_size"}, sorted(MAIL)),
    (
        "metrics(queue.*)",
        ["GET"],
        "label/__name__/values",
        {**SHOWN, "match[]": '{__name__=~"queue.*"}'},
        ["queue_size"],
    ),
    (
        "query_result",
        METHODS,
        "query",
        {"query": "topk(1, queue_size)", "time": f"{END}.5"},
        {
            "resultType": "vector",
            "result": [{"metric": MAIL, "value": [END + 0.5, "40.5"]}],
        },
    ),
    (
        "panel, $__rate_interval of 1m0s",
        METHODS,
        "query_range",
        {
            "query": f"sum by (http_method) (rate({REQUESTS}[1m0s]))",
            "start": f"{END - 15}.000",
            "end": f"{END}.000",
            "step": "15",
        },
        {
            "resultType": "matrix",
            "result": [row("GET", (END - 15, "2"), (END, "2")), row("POST", (END - 15, "1"), (END, "1"))],
        },
    ),
    (
        "panel, a step of half a second and an $__interval in ms",
        METHODS,
        "query_range",
        {"query": "sum(max_over_time(queue_size[500ms]))", "start": END, "end": END + 1, "step": "0.5"},
        {"resultType": "matrix", "result": [{"metric": {}, "values": [[END, "40.5"]]}]},
    ),
    (
        "table, format and instant",
        METHODS,
        "query",
        {"query": "sort_desc(sum by (http_method) (rate(http_server_requests_total[1m15s])))", "time": END},
        {
            "resultType": "vector",
            "result": [
                {"metric": {"http_method": "GET"}, "value": [END, "2"]},
                {"metric": {"http_method": "POST"}, "value": [END, "1"]},
            ],
        },
    ),
    (
        "annotations, $__range_s",
        METHODS,
        "query_range",
        {"query": "changes(queue_size[600s]) > 100", **SHOWN, "step": "60"},
        {"resultType": "matrix", "result": []},
    ),
    ("rules of alerting", ["GET"], "rules", {"type": "alert"}, {"groups": []}),
    ("rules of recording", ["GET"], "rules", {"type": "record", "exclude_alerts": "true"}, {"groups": []}),
    ("alerts", ["GET"], "alerts", {}, {"alerts": []}),
    (
        "metadata of a metric",
        ["GET"],
        "metadata",
        {"metric": "queue_size", "limit_per_metric": "1"},
        {"queue_size": [{"type": "gauge", "help": "waiting", "unit": ""}]},
    ),
    ("autocompletion", METHODS, "format_query", {"query": "sum(a)"}, "sum(a)"),
]


@pytest.fixture
def tenant(filled: Filled) -> dict[str, str]:
    return {"X-Sonde-Tenant": filled(TENANT, fill)}


def asked(client: Client, method: str, path: str, fields: Any, headers: dict[str, str]) -> Any:
    given: dict[str, Any] = {"params": fields} if method == "GET" else {"data": fields}
    answer = client.request(method, f"{V1}/{path}", **given, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["status"] == "success"
    return body["data"]


@pytest.mark.parametrize(
    ("method", "path", "fields", "expected"),
    [
        pytest.param(method, path, fields, expected, id=f"{name} {method}")
        for name, methods, path, fields, expected in CASES
        for method in methods
    ],
)
def test_what_grafana_asks_for(
    shared_client: Client, tenant: dict[str, str], method: str, path: str, fields: Any, expected: Any
) -> None:
    assert asked(shared_client, method, path, fields, tenant) == expected


def test_the_probe_that_decides_what_may_be_asked_for(shared_client: Client, tenant: dict[str, str]) -> None:
    found = asked(shared_client, "GET", "status/buildinfo", {}, tenant)
    assert found.keys() == {"version", "revision", "branch", "buildUser", "buildDate", "goVersion"}
    assert int(found["version"].split(".")[0]) >= 3
    assert "features" not in found, "with them it would be taken for a Mimir"


@pytest.mark.parametrize("method", METHODS)
def test_exemplars_of_a_panel(shared_client: Client, tenant: dict[str, str], method: str) -> None:
    fields = {"query": f"sum by (http_method) (rate({REQUESTS}[$__rate_interval]))".replace("$__rate_interval", "1m0s")}
    (found,) = asked(shared_client, method, "query_exemplars", fields | EXACT, tenant)
    assert found["seriesLabels"]["http_method"] == "GET"
    assert [exemplar["labels"]["trace_id"] for exemplar in found["exemplars"]] == ["01" * 16]


@pytest.mark.parametrize("method", METHODS)
def test_a_heatmap_s_panel(shared_client: Client, tenant: dict[str, str], method: str) -> None:
    query = "sum by (le) (increase(http_server_duration_seconds_bucket[1m0s]))"
    found = asked(shared_client, method, "query_range", {"query": query, **SHOWN, "step": "60"}, tenant)
    assert [series["metric"]["le"] for series in found["result"]] == ["+Inf", "0.1", "1"]


@pytest.mark.parametrize("method", METHODS)
def test_a_query_that_cannot_be_read_comes_back_with_its_place(
    shared_client: Client, tenant: dict[str, str], method: str
) -> None:
    given = (
        {"params": {"query": "sum(rate(a[$__interval]))"}}
        if method == "GET"
        else {"data": {"query": "sum(rate(a[$__interval]))"}}
    )
    answer = shared_client.request(method, f"{V1}/query", **given, headers=tenant)
    assert answer.status_code == 400
    assert answer.json()["errorType"] == "bad_data"
    assert "1:12: parse error" in answer.json()["error"]
