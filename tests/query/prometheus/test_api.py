"""Prometheus' HTTP API over the real engine, asked as Grafana asks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from httpx import Client, Response
from prometheus_rows import END, START, STEP, STEPS, TENANT, fill
from sonde.query.config import QueryConfig
from sonde.storage.store import Store
from stored import Served

Filled = Callable[[str, Callable[[Store], None]], str]
V1 = "/prometheus/api/v1"
TOO_FINE = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
MANY_TO_MANY = "http_server_requests_total * on(job) http_server_requests_total"


@pytest.fixture
def tenant(filled: Filled) -> dict[str, str]:
    return {"X-Sonde-Tenant": filled(TENANT, fill)}


class Asked:
    """GET and POST give the same answer; every test asks with both."""

    def __init__(self, client: Client, tenant: dict[str, str]) -> None:
        self.client = client
        self.tenant = tenant

    def raw(self, path: str, **fields: Any) -> Response:
        got = self.client.get(f"{V1}/{path}", params=fields, headers=self.tenant)
        if path.startswith(("label/", "metadata", "status/", "targets", "rules", "alerts")):
            return got
        posted = self.client.post(f"{V1}/{path}", data=fields, headers=self.tenant)
        assert (posted.status_code, posted.json()) == (got.status_code, got.json())
        return got

    def data(self, path: str, **fields: Any) -> Any:
        answer = self.raw(path, **fields)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        body = answer.json()
        assert body["status"] == "success"
        return body["data"]


@pytest.fixture
def ask(shared_client: Client, tenant: dict[str, str]) -> Asked:
    return Asked(shared_client, tenant)


def test_an_instant_vector(ask: Asked) -> None:
    data = ask.data("query", query="sum by (http_method) (rate(http_server_requests_total[5m]))", time=END)
    assert data == {
        "resultType": "vector",
        "result": [
            {"metric": {"http_method": "GET"}, "value": [END, "2"]},
            {"metric": {"http_method": "POST"}, "value": [END, "1"]},
        ],
    }


@pytest.mark.parametrize("name", ["queue_size", '{"queue.size"}'])
def test_a_metric_goes_by_both_of_its_names(ask: Asked, name: str) -> None:
    (found,) = ask.data("query", query=name, time=START)["result"]
    assert found["value"] == [START, "0.5"]
    assert found["metric"]["__name__"] == name.strip('{"}')
    assert found["metric"]["job"] == "cart"
    assert found["metric"]["queue"] == "mail"


def test_a_range(ask: Asked) -> None:
    data = ask.data("query_range", query="queue_size * 2", start=START, end=END, step=STEP)
    assert data["resultType"] == "matrix"
    (found,) = data["result"]
    assert found["values"] == [[START + step * STEP, f"{2 * step + 1}"] for step in range(STEPS)]


def test_a_large_answer_is_sent_in_pieces(ask: Asked) -> None:
    steps = 11_000
    fields = {"query": '{job="cart"}', "start": START, "end": START + steps, "step": 1, "lookback_delta": "1y"}
    answer = ask.client.get(f"{V1}/query_range", params=fields, headers=ask.tenant)
    assert answer.headers["transfer-encoding"] == "chunked"
    found = answer.json()["data"]["result"]
    floats = [series for series in found if "values" in series]
    assert {len(series["values"]) for series in floats} == {steps + 1}
    assert {len(series["histograms"]) for series in found if "histograms" in series} == {steps + 1}
    assert len(floats) >= 5


def test_grafana_s_own_spelling_of_a_range(ask: Asked) -> None:
    """Its times are seconds with a fraction, its step a number, its interval variable a duration."""
    fields = {
        "query": "sum(increase(http_server_requests_total[1m0s]))",
        "start": f"{END}.000",
        "end": f"{END}.500",
        "step": "15",
    }
    assert ask.data("query_range", **fields)["result"] == [{"metric": {}, "values": [[END, "180"]]}]


def test_its_health_check(ask: Asked) -> None:
    assert ask.data("query", query="1+1", time="4") == {"resultType": "scalar", "result": [4, "2"]}


def test_a_string(ask: Asked) -> None:
    assert ask.data("query", query='"é"', time="0") == {"resultType": "string", "result": [0, "é"]}


def test_a_range_vector_in_an_instant_query(ask: Asked) -> None:
    data = ask.data("query", query="queue_size[31s]", time=END)
    assert data["resultType"] == "matrix"
    assert [value for _, value in data["result"][0]["values"]] == ["38.5", "39.5", "40.5"]


def test_a_classic_histogram(ask: Asked) -> None:
    query = "histogram_quantile(0.5, rate(http_server_duration_seconds_bucket[5m]))"
    (found,) = ask.data("query", query=query, time=END)["result"]
    assert float(found["value"][1]) == pytest.approx(0.55)


def test_a_native_histogram(ask: Asked) -> None:
    (found,) = ask.data("query", query="rpc_size_bytes", time=END)["result"]
    last = STEPS - 1
    assert found["histogram"] == [
        END,
        {
            "count": f"{3 * last}",
            "sum": f"{9 * last}",
            "buckets": [[0, "1", "2", f"{last}"], [0, "2", "4", f"{2 * last}"]],
        },
    ]
    (ranged,) = ask.data("query_range", query="rpc_size_bytes", start=END, end=END, step=1)["result"]
    assert ranged["histograms"] == [found["histogram"]]
    assert "values" not in ranged


def test_warnings_and_infos_come_with_the_answer(ask: Asked) -> None:
    body = ask.raw("query", query="rate(queue_size[5m])", time=END).json()
    assert any("metric might not be a counter" in info for info in body["infos"])
    warned = ask.raw("query", query="quantile(7, queue_size)", time=END).json()
    assert warned["warnings"] == ["PromQL warning: quantile value should be between 0 and 1, got 7 (1:10)"]


def test_a_limit_cuts_off_and_says_so(ask: Asked) -> None:
    body = ask.raw("query", query="http_server_requests_total", time=END, limit=1).json()
    assert len(body["data"]["result"]) == 1
    assert body["warnings"] == ["results truncated due to limit"]
    assert "warnings" not in ask.raw("query", query="http_server_requests_total", time=END, limit=2).json()


@pytest.mark.parametrize("stats", ["true", "all"])
def test_statistics_are_given_where_they_are_asked_for(ask: Asked, stats: str) -> None:
    fields = {"query": "rate(queue_size[1m])", "start": END - 30, "end": END, "step": 30, "stats": stats}
    found = ask.client.get(f"{V1}/query_range", params=fields, headers=ask.tenant).json()["data"]["stats"]
    samples, timings = found["samples"], found["timings"]
    per_step = [[END - 30, 4], [END, 4]] if stats == "all" else None
    assert samples.pop("totalQueryableSamplesPerStep", None) == per_step
    assert samples.pop("peakSamples") > 6
    assert samples == {"totalQueryableSamples": 8, "samplesRead": 6}
    assert timings["execTotalTime"] == timings["execQueueTime"] + timings["evalTotalTime"]
    assert "stats" not in ask.data("query", query="queue_size", time=END)


def test_how_far_back_is_looked_can_be_said(ask: Asked) -> None:
    assert ask.data("query", query="queue_size", time=END + 200)["result"]
    assert not ask.data("query", query="queue_size", time=END + 200, lookback_delta="100s")["result"]


@pytest.mark.parametrize(
    ("path", "fields", "status", "kind", "message"),
    [
        ("query", {"query": "a b"}, 400, "bad_data", 'invalid parameter "query": 1:3: parse error: unexpected'),
        ("query", {"query": "1", "time": "x"}, 400, "bad_data", "invalid parameter \"time\": invalid time value for 'time'"),
        ("query_range", {"query": "1", "start": "0"}, 400, "bad_data", 'invalid parameter "end": cannot parse ""'),
        ("query_range", {"query": "1", "start": "0", "end": "11001", "step": "1"}, 400, "bad_data", TOO_FINE),
        ("query", {"query": MANY_TO_MANY, "time": END}, 422, "execution", "many-to-many matching not allowed"),
        ("format_query", {"query": "("}, 400, "bad_data", 'invalid parameter "query": 1:2: parse error: unclosed left parenthesis'),
        ("series", {}, 400, "bad_data", "no match[] parameter provided"),
        ("series", {"match[]": "{}"}, 400, "bad_data", "match[] must contain at least one non-empty matcher"),
        ("query_exemplars", {"query": "a", "start": "2", "end": "1"}, 400, "bad_data", "end timestamp must not be before start"),
        ("label//values", {}, 400, "bad_data", 'invalid label name: ""'),
        ("query_exemplars", {"query": "a{"}, 400, "bad_data", "1:3: parse error: unexpected end of input inside braces"),
    ],
)  # fmt: skip
def test_errors_have_prometheus_shape(
    ask: Asked, path: str, fields: dict[str, Any], status: int, kind: str, message: str
) -> None:
    answer = ask.raw(path, **fields)
    assert answer.status_code == status
    body = answer.json()
    assert body.keys() == {"status", "errorType", "error"}
    assert (body["status"], body["errorType"]) == ("error", kind)
    assert message in body["error"]


def test_a_query_that_is_too_large_is_refused_with_the_limit_s_name(
    shared_store: Store, tenant: dict[str, str]
) -> None:
    with Served(shared_store, QueryConfig(promql_max_samples=100)) as client:
        fields = {"query": "queue_size", "start": START, "end": END, "step": 1}
        answer = client.get(f"{V1}/query_range", params=fields, headers=tenant)
    assert answer.status_code == 422
    assert answer.json()["errorType"] == "execution"
    assert "too many samples" in answer.json()["error"]
    assert "promql_max_samples" in answer.json()["error"]


def test_a_query_whose_time_is_over_is_told_so(ask: Asked) -> None:
    answer = ask.raw("query", query="queue_size", timeout="0.000001")
    assert answer.status_code == 503
    assert answer.json()["errorType"] == "timeout"


def test_a_form_has_a_length(shared_store: Store) -> None:
    with Served(shared_store, QueryConfig(promql_max_body=50)) as client:
        answer = client.post(f"{V1}/query", data={"query": "1" * 100})
    assert answer.status_code == 400
    assert "promql_max_body" in answer.json()["error"]


def test_a_body_that_is_no_form_is_refused(shared_client: Client) -> None:
    answer = shared_client.post(f"{V1}/query", json={"query": "1"})
    assert answer.status_code == 400
    assert "application/x-www-form-urlencoded" in answer.json()["error"]


def test_the_body_s_parameters_stand_before_the_query_string_s(shared_client: Client) -> None:
    answer = shared_client.post(f"{V1}/query?query=1&time=9", data={"query": "2"})
    assert answer.json()["data"] == {"resultType": "scalar", "result": [9, "2"]}


@pytest.mark.parametrize(("method", "mode"), [("POST", "cors"), ("POST", "navigate"), ("GET", "cors")])
def test_another_site_s_page_may_not_ask(shared_client: Client, method: str, mode: str) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode, "Origin": "https://evil.example"}
    answer = shared_client.request(method, f"{V1}/query", params={"query": "1"}, headers=headers)
    assert answer.status_code == 403


def test_series(ask: Asked) -> None:
    found = ask.data("series", **{"match[]": ["queue_size", 'http_server_requests_total{http_method="GET"}']})
    assert sorted(labels["__name__"] for labels in found) == ["http_server_requests_total", "queue_size"]
    assert ask.data("series", **{"match[]": "queue_size"}, start=END + 86_400 * 40, end=END + 86_400 * 41) == []
    assert len(ask.data("series", **{"match[]": '{job="cart"}'}, limit=2)) == 2


@pytest.mark.parametrize(
    ("path", "fields"), [("series", {"match[]": "queue_size"}), ("labels", {}), ("label/a/values", {})]
)
def test_a_range_of_the_catalogue_may_end_before_it_starts(ask: Asked, path: str, fields: dict[str, Any]) -> None:
    assert isinstance(ask.data(path, **fields, start=END, end=START), list)


def test_label_names(ask: Asked) -> None:
    names = ask.data("labels")
    assert names == sorted(names)
    assert {"__name__", "http_method", "job", "le", "queue"} <= set(names)
    assert "queue" not in ask.data("labels", **{"match[]": "http_server_requests_total"})
    assert ask.raw("labels", limit=1).json()["warnings"] == ["results truncated due to limit"]


def test_label_values(ask: Asked) -> None:
    assert ask.data("label/http_method/values") == ["GET", "POST"]
    assert ask.data("label/http_method/values", **{"match[]": 'http_server_requests_total{http_method!="GET"}'}) == [
        "POST"
    ]
    assert "http_server_duration_seconds_bucket" in ask.data("label/__name__/values")
    assert ask.data("label/job/values") == ["cart"]
    assert ask.data("label/nothing/values") == []


def test_metadata(ask: Asked) -> None:
    found = ask.data("metadata")
    assert found["queue_size"] == [{"type": "gauge", "help": "waiting", "unit": ""}]
    assert found["http_server_requests_total"][0]["type"] == "counter"
    assert found["http_server_duration_seconds"][0]["type"] == "histogram"
    assert ask.data("metadata", metric="queue_size").keys() == {"queue_size"}
    assert len(ask.data("metadata", limit="2")) == 2


def test_exemplars(ask: Asked) -> None:
    query = "sum(rate(http_server_requests_total[5m]))"
    (found,) = ask.data("query_exemplars", query=query, start=START, end=END)
    assert found["seriesLabels"]["http_method"] == "GET"
    (exemplar,) = found["exemplars"]
    assert exemplar["value"] == "1"
    assert exemplar["timestamp"] == START + 59
    assert exemplar["labels"]["trace_id"] == "01" * 16
    assert ask.data("query_exemplars", query=query, start=END, end=END + 1) == []
    assert ask.data("query_exemplars", query="1", start=START, end=END) == []


def test_what_is_about_the_language_alone(ask: Asked) -> None:
    assert ask.data("format_query", query="sum(a)by(b)") == "sum by (b) (a)"
    assert ask.data("parse_query", query="-1") == {"type": "numberLiteral", "val": "-1"}
    assert ask.data("parse_query", query=r'"\xff"') == {"type": "stringLiteral", "val": "�"}


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("status/buildinfo", "version"),
        ("status/runtimeinfo", "startTime"),
        ("status/flags", "query.lookback-delta"),
        ("status/config", "yaml"),
        ("status/tsdb", "headStats"),
        ("targets", "activeTargets"),
        ("rules", "groups"),
        ("alerts", "alerts"),
    ],
)
def test_what_a_server_says_of_itself(ask: Asked, path: str, key: str) -> None:
    assert key in ask.data(path)


@pytest.mark.parametrize("path", ["", "/", "/-/healthy", "/-/ready"])
def test_it_says_that_it_lives(shared_client: Client, path: str) -> None:
    assert shared_client.get(f"/prometheus{path}").status_code == 200


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (r'{"\xff"="a"}', 0),
        (r'queue_size{queue="\xff"}', 0),
        (r'queue_size{queue!="\xff"}', 1),
        (r'queue_size{queue=~"(a+)+$"}', 0),
        ("queue_size offset 290y", 0),
        ("queue_size @ 9e15", 0),
        ("queue_size[290y]", 1),
    ],
)
def test_odd_questions_have_answers_too(ask: Asked, query: str, count: int) -> None:
    assert len(ask.data("query", query=query, time=END)["result"]) == count


@pytest.mark.parametrize("time", ["-1e12", "0", "1e12", "9007199254740.99"])
def test_any_time_can_be_asked_for(ask: Asked, time: str) -> None:
    assert ask.data("query", query="queue_size", time=time)["result"] == []
    assert ask.data("query_range", query="queue_size", start=time, end=time, step="1h")["result"] == []


def test_bytes_that_are_no_text_are_answered_as_go_answers_them(ask: Asked) -> None:
    (found,) = ask.data("query", query=r'label_replace(queue_size, "a", "\xff$1", "queue", "(.*)")', time=END)["result"]
    assert found["metric"]["a"] == "�mail"


def test_an_unreachable_store_is_unavailable(http_store: Store, gate: Any) -> None:
    with Served(http_store) as client:
        gate.shut()
        answer = client.get(f"{V1}/query", params={"query": "up"})
    assert answer.status_code == 503
    assert answer.json()["errorType"] == "unavailable"
