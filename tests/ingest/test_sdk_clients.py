"""The official OpenTelemetry SDK and its exporters against a real service on the real engine: what was said is in the tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.trace import Link, SpanKind, StatusCode
from sonde.ingest.addresses import Address, CannotListen, bind
from sonde.ingest.config import IngestConfig
from sonde.ingest.errors import SpoolFull
from sonde.ingest.service import IngestService
from sonde.storage.retention import FOR_EVER
from sonde.storage.store import Store

PATIENCE = 120.0
"""Seconds that a client, and a test, wait for what must come about, on a machine however busy."""
RESOURCE = Resource({"service.name": "shop", "service.version": "1.2.3", "host.cpus": 8, "tags": ("a", "b")})


@contextmanager
def serving(path: Path, store: Store, **settings: Any) -> Iterator[IngestService]:
    values: dict[str, Any] = {"otlp_grpc": "127.0.0.1:0", "otlp_http": "127.0.0.1:0", "spool": str(path / "spool")}
    values |= {"spool_min_free_bytes": 0, "stop_timeout_seconds": PATIENCE}
    service = IngestService(IngestConfig(**{**values, **settings}), store, retention=FOR_EVER)
    service.start()
    try:
        yield service
    finally:
        assert service.stop(), "something is left in the spool"
    ledger = service.ledger()
    assert ledger.balanced, ledger.as_dict()


@dataclass(frozen=True)
class Client:
    """How exporters are made for one protocol and compression."""

    protocol: str
    compressed: bool = False
    token: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"} if self.token else {}

    def make(self, service: IngestService, over_grpc: Any, over_http: Any, path: str) -> Any:
        if self.protocol == "grpc":
            compression = grpc.Compression.Gzip if self.compressed else grpc.Compression.NoCompression
            endpoint = f"http://{service.grpc_address}"
            return over_grpc(
                endpoint=endpoint, insecure=True, compression=compression, headers=self.headers, timeout=PATIENCE
            )
        compression = Compression.Gzip if self.compressed else Compression.NoCompression
        endpoint = f"http://{service.http_address}{path}"
        return over_http(endpoint=endpoint, compression=compression, headers=self.headers, timeout=PATIENCE)

    def spans(self, service: IngestService) -> Any:
        return self.make(service, GrpcSpans, HttpSpans, "/v1/traces")

    def metrics(self, service: IngestService) -> Any:
        return self.make(service, GrpcMetrics, HttpMetrics, "/v1/metrics")

    def logs(self, service: IngestService) -> Any:
        return self.make(service, GrpcLogs, HttpLogs, "/v1/logs")


CLIENTS = [Client("grpc"), Client("grpc", compressed=True), Client("http"), Client("http", compressed=True)]
every_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda c: c.protocol + ("+gzip" if c.compressed else ""))


def eventually(store: Store, sql: str, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """The rows of `sql`, once they are `enough`: what was acknowledged can soon be queried."""
    deadline = time.monotonic() + PATIENCE
    while True:
        rows = store.rows(sql)
        if enough(rows):
            return rows
        assert time.monotonic() < deadline, f"not in the store in time: {rows}"
        time.sleep(0.05)


def at_least(count: int) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda rows: len(rows) >= count


@every_client
def test_spans_of_the_sdk_are_stored_as_they_were(client: Client, tmp_path: Path, store: Store) -> None:
    with serving(tmp_path, store) as service:
        provider = TracerProvider(resource=RESOURCE, span_limits=SpanLimits(max_events=2))
        provider.add_span_processor(SimpleSpanProcessor(client.spans(service)))
        tracer = provider.get_tracer("shop.http", "0.9", schema_url="https://opentelemetry.io/schemas/1.38.0")
        attributes = {"http.route": "/cart", "retries": 3, "ratio": 0.5, "cached": True, "ids": [1, 2, 3]}
        with tracer.start_as_current_span("GET /cart", kind=SpanKind.SERVER, attributes=attributes) as parent:
            link = Link(parent.get_span_context(), {"why": "batch"})
            with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT, links=[link]) as child:
                for number in range(3):  # one too many
                    child.add_event("row", {"number": number})
                child.set_status(StatusCode.ERROR, "gone")
        provider.shutdown()
        server, select = eventually(store, "SELECT * FROM spans ORDER BY time", at_least(2))
    context = parent.get_span_context()
    assert isinstance(parent, ReadableSpan)
    assert isinstance(child, ReadableSpan)
    assert server["name"] == "GET /cart"
    assert server["kind"] == 2
    assert server["trace_id"] == context.trace_id.to_bytes(16, "big")
    assert server["span_id"] == context.span_id.to_bytes(8, "big")
    assert server["parent_span_id"] == bytes(8)
    assert server["time"] == parent.start_time
    assert server["time"] + server["duration_nano"] == parent.end_time
    assert server["attributes_string"] == {"http.route": "/cart"}
    assert server["attributes_int"] == {"retries": 3}
    assert server["attributes_double"] == {"ratio": 0.5}
    assert server["attributes_bool"] == {"cached": True}
    assert server["attributes_json"] == {"ids": "[1,2,3]"}
    assert select["name"] == "SELECT"
    assert select["parent_span_id"] == server["span_id"]
    assert (select["status_code"], select["status_message"]) == (2, "gone")
    assert select["events.name"] == ["row", "row"]
    assert select["events.time"] == [event.timestamp for event in child.events]
    assert select["events.attributes_json"] == [{"number": "1"}, {"number": "2"}]
    assert select["dropped_events_count"] == 1
    assert select["links.span_id"] == [server["span_id"]]
    assert select["links.attributes_string"] == [{"why": "batch"}]
    resources = store.rows("SELECT DISTINCT service_name, service_version, resource_id, attributes_json FROM resources")
    assert resources == [
        {
            "service_name": "shop",
            "service_version": "1.2.3",
            "resource_id": server["resource_id"],
            "attributes_json": {"tags": '["a","b"]'},
        }
    ]
    scopes = store.rows("SELECT DISTINCT scope_id, name, version, schema_url FROM scopes")
    url = "https://opentelemetry.io/schemas/1.38.0"
    assert scopes == [{"scope_id": server["scope_id"], "name": "shop.http", "version": "0.9", "schema_url": url}]


@every_client
def test_log_records_of_the_sdk_are_stored_as_they_were(client: Client, tmp_path: Path, store: Store) -> None:
    with serving(tmp_path, store) as service:
        provider = LoggerProvider(resource=RESOURCE)
        provider.add_log_record_processor(SimpleLogRecordProcessor(client.logs(service)))
        logger = provider.get_logger("shop.cart", "0.9")
        span = trace.NonRecordingSpan(trace.SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=trace.TraceFlags(1)))
        logger.emit(
            LogRecord(
                timestamp=1_700_000_000_000_000_001,
                observed_timestamp=1_700_000_000_000_000_002,
                context=trace.set_span_in_context(span),
                severity_text="WARNING",
                severity_number=SeverityNumber.WARN,
                body="cart is full",
                attributes={"items": 100, "user": "ünal"},
            )
        )
        logger.emit(LogRecord(timestamp=1_700_000_000_000_000_003, body={"a": [1, None]}, event_name="cart.filled"))
        provider.shutdown()
        text, event = eventually(store, "SELECT * FROM logs ORDER BY time", at_least(2))
    assert (text["time"], text["observed_time"]) == (1_700_000_000_000_000_001, 1_700_000_000_000_000_002)
    assert (text["severity_number"], text["severity_text"]) == (13, "WARNING")
    assert (text["body"], text["body_type"]) == ("cart is full", 1)
    assert text["trace_id"] == (0xABC).to_bytes(16, "big")
    assert text["span_id"] == (0xDEF).to_bytes(8, "big")
    assert text["flags"] == 1
    assert text["attributes_int"] == {"items": 100}
    assert text["attributes_string"] == {"user": "ünal"}
    assert (event["body"], event["body_type"]) == ('{"a":[1,null]}', 6)
    assert event["event_name"] == "cart.filled"
    assert event["trace_id"] == bytes(16)


def observe(options: CallbackOptions) -> list[Observation]:
    return [Observation(36.6, {"sensor": "a"})]


def record_all_kinds(provider: MeterProvider) -> None:
    """Every instrument that the SDK has; `sizes` becomes an exponential histogram by a view."""
    meter = provider.get_meter("shop.metrics", "0.9")
    meter.create_counter("orders", "{order}", "Orders taken.").add(3, {"channel": "web"})
    meter.create_up_down_counter("queue").add(-2)
    meter.create_observable_gauge("temperature", [observe], "Cel")
    meter.create_gauge("load").set(0.25)
    latency = meter.create_histogram("latency", "s", explicit_bucket_boundaries_advisory=[0.1, 1.0])
    sizes = meter.create_histogram("sizes", "By")
    for value in (0.05, 0.5, 5.0):
        latency.record(value, {"route": "/cart"})
        sizes.record(value * 1000)


@every_client
def test_every_kind_of_metric_of_the_sdk_is_stored_as_it_was(client: Client, tmp_path: Path, store: Store) -> None:
    with serving(tmp_path, store) as service:
        reader = PeriodicExportingMetricReader(
            client.metrics(service), export_interval_millis=3_600_000, export_timeout_millis=120_000
        )
        provider = MeterProvider(
            [reader],
            resource=RESOURCE,
            exemplar_filter=AlwaysOnExemplarFilter(),
            views=[View(instrument_name="sizes", aggregation=ExponentialBucketHistogramAggregation())],
        )
        span = trace.NonRecordingSpan(trace.SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=trace.TraceFlags(1)))
        with trace.use_span(span):
            record_all_kinds(provider)
        provider.shutdown()
        eventually(store, "SELECT 1 FROM points_number", at_least(4))
        eventually(store, "SELECT 1 FROM points_histogram", at_least(1))
        eventually(store, "SELECT 1 FROM points_exponential_histogram", at_least(1))
        eventually(store, "SELECT 1 FROM exemplars", at_least(5))
    numbers = {row["name"]: row for row in store.rows(POINTS.format(table="points_number"))}
    assert {name: row["value"] for name, row in numbers.items()} == {
        "orders": 3,
        "queue": -2,
        "temperature": 36.6,
        "load": 0.25,
    }
    orders = numbers["orders"]
    assert (orders["type"], orders["temporality"], orders["is_monotonic"]) == (7, 2, True)
    assert (orders["unit"], orders["description"], orders["value_type"]) == ("{order}", "Orders taken.", 2)
    assert orders["attributes_string"] == {"channel": "web"}
    assert 0 < orders["start_time"] <= orders["time"]
    assert numbers["queue"]["is_monotonic"] is False
    assert (numbers["temperature"]["type"], numbers["temperature"]["value_type"]) == (5, 1)
    (latency,) = store.rows(POINTS.format(table="points_histogram"))
    assert (latency["name"], latency["unit"]) == ("latency", "s")
    assert (latency["count"], latency["sum"], latency["min"], latency["max"]) == (3, 5.55, 0.05, 5.0)
    assert (latency["explicit_bounds"], latency["bucket_counts"]) == ([0.1, 1.0], [1, 1, 1])
    (sizes,) = store.rows(POINTS.format(table="points_exponential_histogram"))
    assert (sizes["name"], sizes["count"], sizes["sum"]) == ("sizes", 3, 5550.0)
    assert sum(sizes["positive_bucket_counts"]) == 3
    exemplars = store.rows("SELECT * FROM exemplars")
    assert {row["trace_id"] for row in exemplars} >= {(0xABC).to_bytes(16, "big")}
    assert {row["value"] for row in exemplars if row["series_id"] == latency["series_id"]} == {0.05, 0.5, 5.0}


POINTS = "SELECT * FROM {table} AS points INNER JOIN series USING (tenant, series_id)"


def test_a_batching_client_is_stored_soon_after_its_flush(tmp_path: Path, store: Store) -> None:
    with serving(tmp_path, store) as service:
        provider = TracerProvider(resource=RESOURCE)
        provider.add_span_processor(BatchSpanProcessor(Client("grpc").spans(service), max_export_batch_size=100))
        tracer = provider.get_tracer("shop")
        for number in range(1_000):
            tracer.start_span(f"span-{number}").end()
        assert provider.force_flush(int(PATIENCE * 1000))
        eventually(store, "SELECT 1 FROM spans", at_least(1_000))
        provider.shutdown()
        ledger = service.ledger()
    assert ledger.balanced
    names = store.rows("SELECT uniqExact(name) AS names, count() AS spans FROM spans")
    assert names == [{"names": 1_000, "spans": 1_000}]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_client_with_a_token_writes_to_its_tenant(protocol: str, tmp_path: Path, store: Store) -> None:
    with serving(tmp_path, store, tokens=("acme=correct-horse",)) as service:
        for token, result in (
            ("correct-horse", SpanExportResult.SUCCESS),
            ("wrong-secret", SpanExportResult.FAILURE),
        ):
            exporter = Client(protocol, token=token).spans(service)
            assert exporter.export([ended_span(token)]) is result
            exporter.shutdown()
        rows = eventually(store, "SELECT tenant, name FROM spans", at_least(1))
    assert rows == [{"tenant": "acme", "name": "correct-horse"}]


def ended_span(name: str) -> ReadableSpan:
    span = TracerProvider(resource=RESOURCE).get_tracer("shop").start_span(name)
    span.end()
    assert isinstance(span, ReadableSpan)
    return span


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_client_waits_out_a_spool_that_is_full(
    protocol: str, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, store) as service:
        refusals = iter([SpoolFull("the spool is full", retry_after_seconds=0.3)])
        admit = service._spool._space.admit  # type: ignore[union-attr]

        def once_full(size: int) -> None:
            for refusal in refusals:
                raise refusal
            admit(size)

        monkeypatch.setattr(service._spool._space, "admit", once_full)  # type: ignore[union-attr]
        exporter = Client(protocol).spans(service)
        assert exporter.export([ended_span("patient")]) is SpanExportResult.SUCCESS
        exporter.shutdown()
        eventually(store, "SELECT name FROM spans", at_least(1))


def test_several_receiver_processes_feed_one_store(tmp_path: Path, store: Store) -> None:
    with serving(tmp_path, store, receivers=2) as service:
        for number in range(20):
            client = CLIENTS[number % len(CLIENTS)]
            exporter = client.spans(service)
            assert exporter.export([ended_span(f"span-{number}")]) is SpanExportResult.SUCCESS
            exporter.shutdown()
        rows = eventually(store, "SELECT name FROM spans", at_least(20))
    assert len({row["name"] for row in rows}) == 20
    assert store.rows("SELECT count() AS spans FROM spans") == [{"spans": 20}]


def test_what_was_acknowledged_before_a_stop_is_stored_by_it(tmp_path: Path, store: Store) -> None:
    with serving(tmp_path, store, segment_age_seconds=60.0) as service:
        exporter = Client("http").spans(service)
        assert exporter.export([ended_span("last")]) is SpanExportResult.SUCCESS
        exporter.shutdown()
        assert store.rows("SELECT name FROM spans") == []
    assert store.rows("SELECT name FROM spans") == [{"name": "last"}]


def test_a_port_that_is_taken_stops_the_start_and_leaves_nothing_behind(tmp_path: Path, store: Store) -> None:
    with bind(Address("127.0.0.1", 0), "x") as taken:
        taken.listen()
        for setting in ("otlp_grpc", "otlp_http"):
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            with (
                pytest.raises(CannotListen, match=f"{address}.*{setting}"),
                serving(tmp_path, store, **{setting: address}),
            ):
                pass
    with serving(tmp_path, store):  # neither the spool nor a port is held
        pass
