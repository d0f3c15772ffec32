"""Questions to a test's telemetry, and assertions on it: asked of this very test's."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest
from books import Author, shelves
from opentelemetry import metrics, trace
from sonde.storage.errors import StoreRefused
from sonde.testing.choosing import FilterError
from sonde.testing.telemetry import Telemetry
from sqlalchemy import select
from sqlalchemy.orm import selectinload

tracer = trace.get_tracer("shop")
meter = metrics.get_meter("shop")
orders = meter.create_counter("orders", unit="1")
seconds = meter.create_histogram("order.duration", unit="s")
log = logging.getLogger("shop")


def checkout(items: int = 2, *, fails: bool = False) -> None:
    with tracer.start_as_current_span("checkout", attributes={"user.id": "u1", "items": items}):
        for item in range(items):
            with tracer.start_as_current_span(
                "SELECT",
                kind=trace.SpanKind.CLIENT,
                attributes={"db.query.text": f"SELECT * FROM items WHERE id = {item}"},
            ):
                pass
        log.warning("stock of %d items is low", items)
        orders.add(items, {"country": "NL"})
        seconds.record(0.2)
        if fails:
            raise ValueError("out of stock")


# ---- spans, traces, logs ----


def test_spans_are_chosen_by_values_expressions_functions_and_presence(telemetry: Telemetry) -> None:
    checkout(3)
    assert [span.name for span in telemetry.spans()] == ["checkout", "SELECT", "SELECT", "SELECT"]
    assert len(telemetry.spans(name="SELECT", kind="client")) == 3
    assert len(telemetry.spans(name=re.compile("^check"))) == 1
    assert len(telemetry.spans(attributes={"items": lambda items: items > 2})) == 1
    assert len(telemetry.spans(attributes={"user.id": ...})) == 1
    assert telemetry.spans(lambda span: span.duration > 3600) == []
    assert telemetry.span(name="checkout").attributes["items"] == 3


def test_a_text_as_filter_says_which_forms_there_are(telemetry: Telemetry) -> None:
    with pytest.raises(FilterError, match=r"TraceQL and LogQL are not there yet.*spans\(name=.*telemetry\.sql"):
        telemetry.spans('{ name = "checkout" }')  # type: ignore[arg-type]


def test_a_trace_is_a_tree(telemetry: Telemetry) -> None:
    checkout(2)
    trace = telemetry.trace("checkout")
    first, second = trace.children(trace.root)
    assert trace.parent(first) == trace.root
    assert trace.ancestors(second) == [trace.root]
    assert 0 < trace.self_time(trace.root) <= trace.root.duration - first.duration - second.duration + 1e-9
    assert trace.find("checkout") == trace.root
    assert [log.body for log in trace.logs_of(trace.root)] == ["stock of 2 items is low"]
    with pytest.raises(AssertionError, match="2 spans of this trace are 'SELECT'"):
        trace.find("SELECT")


def test_logs_have_the_spans_they_were_written_in(telemetry: Telemetry) -> None:
    checkout()
    try:
        {}["gone"]
    except KeyError:
        log.exception("lost", extra={"order": 7})
    low, lost = telemetry.logs()
    assert (low.severity, low.span_id) == ("WARN", telemetry.span(name="checkout").span_id)
    assert (lost.severity, lost.trace_id, lost.attributes["order"]) == ("ERROR", "", 7)
    assert lost.attributes["exception.type"] == "KeyError"
    assert telemetry.logs(severity="WARN", scope="shop") == [low]


def test_async_code_and_threads_tell_of_the_test_they_run_in(telemetry: Telemetry) -> None:
    async def both() -> None:
        await asyncio.gather(asyncio.to_thread(checkout, 1), asyncio.to_thread(checkout, 0))

    asyncio.run(both())
    assert sorted(len(trace.spans) for trace in telemetry.traces()) == [1, 2]


def test_a_span_that_ends_on_another_thread_can_be_waited_for(telemetry: Telemetry) -> None:
    go = threading.Event()

    def late() -> None:
        with tracer.start_as_current_span("late"):
            go.wait()

    thread = threading.Thread(target=late)
    thread.start()
    assert telemetry.wait_until(lambda: "not ended yet: late" in telemetry.draw())
    assert telemetry.spans() == []
    go.set()
    assert telemetry.wait_until(lambda: telemetry.spans(name="late"))
    thread.join()
    with pytest.raises(AssertionError, match=r"not within 0\.01 s"):
        telemetry.wait_until(lambda: telemetry.spans(name="never"), timeout=0.01)


# ---- metrics, SQL, PromQL ----


def test_points_are_this_tests_alone(telemetry: Telemetry) -> None:
    orders.add(3, {"country": "NL"})
    (point,) = telemetry.points(name="orders")
    assert (point.value, point.kind, dict(point.attributes)) == (3, "sum", {"country": "NL"})
    orders.add(4, {"country": "NL"})
    assert [point.value for point in telemetry.points(name="orders")] == [7]


def test_promql_counts_from_the_tests_start(telemetry: Telemetry) -> None:
    checkout(2)
    assert telemetry.metrics("increase(orders_total[5m])").value == 2
    checkout(3)
    assert telemetry.metrics("increase(orders_total[5m])").value == 5
    (series,) = telemetry.metrics("sum by (country) (orders_total)")
    assert (series.labels, series.value) == ({"country": "NL"}, 5.0)
    assert telemetry.metrics("histogram_quantile(0.5, rate(order_duration_seconds_bucket[1m]))").value == 2.5
    with pytest.raises(AssertionError, match="no_such_metric has 0 series"):
        assert telemetry.metrics("no_such_metric").value


def test_sql_sees_this_test_alone_and_changes_nothing(telemetry: Telemetry) -> None:
    checkout(2)
    sql = "SELECT name, count() AS spans FROM spans WHERE name != {but:String} GROUP BY name"
    assert telemetry.sql(sql, but="checkout") == [{"name": "SELECT", "spans": 2}]
    assert telemetry.sql("SELECT Body FROM otel_logs") == [{"Body": "stock of 2 items is low"}]
    assert telemetry.sql("SELECT name FROM metrics ORDER BY name") == [{"name": "order.duration"}, {"name": "orders"}]
    for refused in ("DROP TABLE spans", "INSERT INTO asking VALUES ('x')", "SELECT * FROM file('/etc/hostname')"):
        with pytest.raises(StoreRefused):
            telemetry.sql(refused)


# ---- from outside ----

PROGRAM = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
import sys
if sys.argv[1] == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
with provider.get_tracer("program").start_as_current_span("work"):
    pass
provider.shutdown()
"""


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_subprocess_sends_here(telemetry: Telemetry, protocol: str) -> None:
    environ = telemetry.environ if protocol == "http" else telemetry.grpc_environ
    environ["OTEL_SERVICE_NAME"] = "program"
    subprocess.run([sys.executable, "-c", PROGRAM, protocol], env=environ, check=True, timeout=60)
    assert telemetry.span(name="work").service == "program"
    assert telemetry.sql("SELECT service_name FROM spans") == [{"service_name": "program"}]


def test_the_endpoint_takes_json_and_gzip_and_refuses_what_is_no_otlp(telemetry: Telemetry) -> None:
    record = {"timeUnixNano": "1770000000000000000", "severityNumber": 9, "body": {"stringValue": "hello"}}
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert post(f"{telemetry.endpoint}/v1/logs", gzip.compress(body), headers) == 200
    assert [log.body for log in telemetry.logs()] == ["hello"]
    assert post(f"{telemetry.endpoint}/v1/logs", b"{", {"Content-Type": "application/json"}) == 400
    assert post(f"{telemetry.endpoint}/v1/other", b"", {}) == 404
    elsewhere = telemetry.endpoint.rpartition("/")[0]
    assert post(f"{elsewhere}/v1/logs", body, {"Content-Type": "application/json"}) == 200
    assert post(f"{elsewhere}/test-0/v1/logs", body, {"Content-Type": "application/json"}) == 404
    assert len(telemetry.logs()) == 2


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, body, headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return refusal.code


def test_what_the_store_refuses_is_named_in_the_report(telemetry: Telemetry) -> None:
    span = {"traceId": "ab", "spanId": "1234567812345678", "name": "odd", "startTimeUnixNano": "1770000000000000000"}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    assert post(f"{telemetry.endpoint}/v1/traces", body, {"Content-Type": "application/json"}) == 200
    assert telemetry.span(name="odd").trace_id == "ab"
    assert telemetry.sql("SELECT name FROM spans") == []
    assert "not stored, for SQL and PromQL: 1 of invalid_trace_id" in telemetry.draw()


# ---- assertions ----


def test_errors_are_told_unless_allowed(telemetry: Telemetry) -> None:
    telemetry.assert_no_errors()
    with pytest.raises(ValueError, match="out of stock"):
        checkout(fails=True)
    log.error("gave up")
    with pytest.raises(AssertionError) as told:
        telemetry.assert_no_errors()
    assert str(told.value).splitlines() == [
        "2 errors in this test's telemetry:",
        "  span 'checkout': ValueError: out of stock",
        "  log ERROR shop: gave up",
    ]
    with pytest.raises(AssertionError, match="1 errors"):
        telemetry.assert_no_errors(allow="gave up")
    telemetry.assert_no_errors(allow=["gave up", re.compile("out of .*")])


def test_repeated_queries_are_told_with_statement_and_parent(telemetry: Telemetry) -> None:
    checkout(2)
    telemetry.no_n_plus_one()
    checkout(4)
    with pytest.raises(
        AssertionError, match=r"(?s)4 times under 'checkout', .* ms in all:\n.*FROM items WHERE id = \?"
    ):
        telemetry.no_n_plus_one()
    telemetry.no_n_plus_one(allow="FROM items")
    telemetry.no_n_plus_one(least=5)


def test_budgets_of_spans_and_durations(telemetry: Telemetry) -> None:
    checkout(3)
    telemetry.max_spans("SELECT", 3)
    with pytest.raises(AssertionError, match="3 spans are name='SELECT', more than 2"):
        telemetry.max_spans("SELECT", 2)
    assert 0 < telemetry.p50("SELECT") <= telemetry.p95("SELECT") <= telemetry.p99("SELECT") < 3600
    with pytest.raises(AssertionError, match="no span is name='gone'"):
        telemetry.p95("gone")


def test_too_many_series_are_told_with_the_label_that_makes_them(telemetry: Telemetry) -> None:
    for user in range(7):
        orders.add(1, {"user": str(user), "country": "NL"})
    telemetry.max_new_series(7)
    with pytest.raises(
        AssertionError, match=r"7 series, more than 5:\n  orders: 7 series: user has 7 values \(0, 1, 2, \.\.\.\)"
    ):
        telemetry.max_new_series(5)


def test_a_shape_asks_for_spans_below_each_other(telemetry: Telemetry) -> None:
    checkout(2)
    assert telemetry.assert_trace("checkout\n  SEL*\n  SELECT").root.name == "checkout"
    with pytest.raises(AssertionError, match="no trace has the shape\n  checkout\n    SELECT\n      SELECT"):
        telemetry.assert_trace("checkout\n  SELECT\n    SELECT")
    with pytest.raises(AssertionError, match="no trace has the shape"):
        telemetry.assert_trace("checkout\n  SELECT\n  SELECT\n  SELECT")


def test_a_golden_trace_holds_whatever_ids_times_and_ports_are(telemetry: Telemetry) -> None:
    with tracer.start_as_current_span(
        "GET /", attributes={"server.port": id(telemetry) % 65536, "url.full": "http://localhost:4711/"}
    ):
        checkout(1)
    assert telemetry.matches_golden("page")


# ---- libraries ----


@pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")
def test_a_fastapi_app_under_its_test_client(telemetry: Telemetry) -> None:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    app = FastAPI()

    @app.get("/checkout/{items}")
    def route(items: int) -> dict[str, int]:
        checkout(items)
        return {"items": items}

    FastAPIInstrumentor.instrument_app(app)
    assert TestClient(app).get("/checkout/2").json() == {"items": 2}
    telemetry.assert_trace("GET /checkout/{items}\n  checkout\n    SELECT\n    SELECT")
    assert telemetry.span(kind="server").attributes["http.route"] == "/checkout/{items}"


def test_lazy_loading_is_n_plus_one(telemetry: Telemetry) -> None:
    with shelves() as session:
        with tracer.start_as_current_span("eager"):
            for author in session.scalars(select(Author).options(selectinload(Author.books))):
                assert author.books
        telemetry.no_n_plus_one()
        session.expire_all()
        with tracer.start_as_current_span("lazy"):
            for author in session.scalars(select(Author)):
                assert author.books
        with pytest.raises(AssertionError, match=r"(?s)4 times under 'lazy'.* FROM books WHERE \? = books\.author_id"):
            telemetry.no_n_plus_one()
