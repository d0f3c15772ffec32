"""Seeded OTLP requests for the benchmarks: the same bytes in every run on every machine.

Shape of the data: a dozen services on a few hosts, some hundred operations, random ids, and attribute sets of strings, ints,
doubles and bools in the proportions of an instrumented web shop. A span is about 520 bytes with 12 attributes, a log
record about 300 bytes; a metrics request holds gauge and sum points of recurring series.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric, NumberDataPoint
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

RECORDS_PER_REQUEST = 512
RESOURCES_PER_REQUEST = 4
SCOPES_PER_RESOURCE = 2
AT_UNIX_NANO = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z: where the telemetry starts when the caller names no other time."""

SERVICES = (
    "storefront",
    "catalog",
    "search",
    "cart",
    "checkout",
    "payment",
    "shipping",
    "inventory",
    "recommendation",
    "accounts",
    "notification",
    "ledger",
)
NOUNS = (
    "products",
    "orders",
    "customers",
    "baskets",
    "invoices",
    "addresses",
    "reviews",
    "vouchers",
    "stock",
    "sessions",
)
SUFFIXES = ("", "/{id}", "/{id}/items", "/{id}/history")
METHODS = ("GET", "GET", "GET", "POST", "PUT", "DELETE")
STATUS_CODES = (200, 200, 200, 200, 200, 201, 204, 304, 400, 404, 500, 503)
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:147.0) Gecko/20100101 Firefox/147.0",
    "python-httpx/0.28.1",
    "okhttp/5.3.2",
    "Go-http-client/2.0",
)
SCHEMA_URL = "https://opentelemetry.io/schemas/1.38.0"
MESSAGES = (
    "order {} accepted for customer {} in {} ms",
    "could not reserve stock for item {}: only {} left, retrying in {} ms",
    "GET /api/products/{} answered {} bytes in {} ms",
    "cache miss for key product:{}:{} (age {} s)",
    "payment {} declined by the bank with code {} after {} attempts",
)
SEVERITIES = ((9, "INFO"), (9, "INFO"), (9, "INFO"), (5, "DEBUG"), (13, "WARN"), (17, "ERROR"))


def attribute(key: str, value: str | bool | int | float) -> KeyValue:
    """A KeyValue whose AnyValue has the type of `value`."""
    if isinstance(value, str):
        return KeyValue(key=key, value=AnyValue(string_value=value))
    if isinstance(value, bool):
        return KeyValue(key=key, value=AnyValue(bool_value=value))
    if isinstance(value, int):
        return KeyValue(key=key, value=AnyValue(int_value=value))
    return KeyValue(key=key, value=AnyValue(double_value=value))


def resource(service: str, instance: int) -> Resource:
    host = f"node-{instance % 6}.eu-west-1.internal"
    return Resource(
        attributes=[
            attribute("service.name", service),
            attribute("service.namespace", "shop"),
            attribute("service.version", f"2.{len(service)}.{instance}"),
            attribute("service.instance.id", f"{service}-{instance:04d}"),
            attribute("deployment.environment.name", "production"),
            attribute("host.name", host),
            attribute("process.pid", 1000 + instance),
            attribute("telemetry.sdk.language", "python"),
            attribute("telemetry.sdk.name", "opentelemetry"),
            attribute("telemetry.sdk.version", "1.38.0"),
        ]
    )


def resources(rng: random.Random) -> Iterator[tuple[str, Resource]]:
    """The senders of one request: RESOURCES_PER_REQUEST of the services, each on one of three instances."""
    for service in rng.sample(SERVICES, RESOURCES_PER_REQUEST):
        yield service, resource(service, rng.randrange(3))


def scopes(service: str) -> Iterator[InstrumentationScope]:
    for number in range(SCOPES_PER_RESOURCE):
        yield InstrumentationScope(name=f"shop.{service}.{('http', 'db')[number % 2]}", version="1.4.0")


def trace_requests(
    requests: int, *, seed: int = 1, at_unix_nano: int = AT_UNIX_NANO, records: int = RECORDS_PER_REQUEST
) -> list[bytes]:
    """`requests` serialized ExportTraceServiceRequests of `records` spans each, one millisecond apart from `at_unix_nano`."""
    rng = random.Random(seed)
    return [_trace_request(rng, at_unix_nano + i * 1_000_000, records) for i in range(requests)]


def _trace_request(rng: random.Random, at: int, records: int) -> bytes:
    request = ExportTraceServiceRequest()
    for service, sender in resources(rng):
        into = request.resource_spans.add(resource=sender, schema_url=SCHEMA_URL)
        for scope in scopes(service):
            spans = [_span(rng, service, at) for _ in range(records // RESOURCES_PER_REQUEST // SCOPES_PER_RESOURCE)]
            into.scope_spans.add(scope=scope, spans=spans)
    return request.SerializeToString()


def _span(rng: random.Random, service: str, at: int) -> Span:
    method, noun, suffix = rng.choice(METHODS), rng.choice(NOUNS), rng.choice(SUFFIXES)
    route, code = f"/api/{noun}{suffix}", rng.choice(STATUS_CODES)
    start = at + rng.randrange(1_000_000)
    span = Span(
        trace_id=rng.randbytes(16),
        span_id=rng.randbytes(8),
        parent_span_id=rng.randbytes(8) if rng.random() < 0.9 else b"",
        flags=0x101,
        name=f"{method} {route}",
        kind=rng.choice((Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_INTERNAL)),
        start_time_unix_nano=start,
        end_time_unix_nano=start + int(rng.lognormvariate(16, 1.5)),
        attributes=[
            attribute("http.request.method", method),
            attribute("http.route", route),
            attribute("url.path", route.replace("{id}", str(rng.randrange(100_000)))),
            attribute("http.response.status_code", code),
            attribute("server.address", f"{service}.shop.svc"),
            attribute("server.port", 8080),
            attribute("network.protocol.version", "1.1"),
            attribute("user_agent.original", rng.choice(AGENTS)),
            attribute("client.address", f"10.{rng.randrange(4)}.{rng.randrange(256)}.{rng.randrange(256)}"),
            attribute("thread.id", rng.randrange(139_000_000_000_000, 140_000_000_000_000)),
            attribute("app.cart.total", round(rng.uniform(1, 500), 2)),
            attribute("app.cache.hit", rng.random() < 0.7),
        ],
    )
    if code >= 500:
        span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message="upstream request failed"))
        span.events.add(
            time_unix_nano=start + 1_000,
            name="exception",
            attributes=[
                attribute("exception.type", "shop.errors.UpstreamUnavailable"),
                attribute("exception.message", f"no answer from {rng.choice(SERVICES)} within 2000 ms"),
                attribute("retry.count", rng.randrange(4)),
            ],
        )
    if rng.random() < 0.02:
        span.links.add(
            trace_id=rng.randbytes(16), span_id=rng.randbytes(8), attributes=[attribute("link.kind", "batch")]
        )
    return span


def log_requests(
    requests: int, *, seed: int = 1, at_unix_nano: int = AT_UNIX_NANO, records: int = RECORDS_PER_REQUEST
) -> list[bytes]:
    """`requests` serialized ExportLogsServiceRequests of `records` log records each."""
    rng = random.Random(seed)
    return [_log_request(rng, at_unix_nano + i * 1_000_000, records) for i in range(requests)]


def _log_request(rng: random.Random, at: int, records: int) -> bytes:
    request = ExportLogsServiceRequest()
    for service, sender in resources(rng):
        into = request.resource_logs.add(resource=sender, schema_url=SCHEMA_URL)
        for scope in scopes(service):
            share = records // RESOURCES_PER_REQUEST // SCOPES_PER_RESOURCE
            into.scope_logs.add(scope=scope, log_records=[_log_record(rng, service, at) for _ in range(share)])
    return request.SerializeToString()


def _log_record(rng: random.Random, service: str, at: int) -> LogRecord:
    number, text = rng.choice(SEVERITIES)
    time = at + rng.randrange(1_000_000)
    traced = rng.random() < 0.8
    body = rng.choice(MESSAGES).format(rng.randrange(1_000_000), rng.randrange(1_000_000), rng.randrange(5_000))
    return LogRecord(
        time_unix_nano=time,
        observed_time_unix_nano=time + 1_000,
        severity_number=number,
        severity_text=text,
        body=AnyValue(string_value=body),
        attributes=[
            attribute("code.file.path", f"/srv/{service}/{rng.choice(NOUNS)}.py"),
            attribute("code.line.number", rng.randrange(1, 900)),
            attribute("code.function.name", f"handle_{rng.choice(NOUNS)}"),
            attribute("thread.name", f"worker-{rng.randrange(16)}"),
            attribute("logger.name", f"shop.{service}.{rng.choice(NOUNS)}"),
        ],
        flags=1 if traced else 0,
        trace_id=rng.randbytes(16) if traced else b"",
        span_id=rng.randbytes(8) if traced else b"",
    )


def number_requests(
    requests: int, *, seed: int = 1, at_unix_nano: int = AT_UNIX_NANO, records: int = RECORDS_PER_REQUEST
) -> list[bytes]:
    """`requests` serialized ExportMetricsServiceRequests of `records` gauge and sum points, one collection 15 s after another."""
    rng = random.Random(seed)
    return [_number_request(rng, at_unix_nano, i, records) for i in range(requests)]


def _number_request(rng: random.Random, start: int, collection: int, records: int) -> bytes:
    request = ExportMetricsServiceRequest()
    share = records // RESOURCES_PER_REQUEST // SCOPES_PER_RESOURCE
    for service, sender in resources(rng):
        into = request.resource_metrics.add(resource=sender, schema_url=SCHEMA_URL)
        for scope in scopes(service):
            into.scope_metrics.add(scope=scope, metrics=_metrics(rng, start, collection, share))
    return request.SerializeToString()


def _metrics(rng: random.Random, start: int, collection: int, points: int) -> list[Metric]:
    """Half of the points in a counter by route and status, half in a gauge by pool."""
    requests = Metric(name="http.server.requests", unit="{request}", description="Requests answered.")
    requests.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    requests.sum.is_monotonic = True
    usage = Metric(name="db.client.connections.usage", unit="{connection}", description="Connections in use.")
    for i in range(points):
        point = NumberDataPoint(time_unix_nano=start + collection * 15_000_000_000, start_time_unix_nano=start)
        if i % 2:
            point.as_int = collection * 100 + rng.randrange(100)
            point.attributes.extend(
                (
                    attribute("http.request.method", METHODS[i % len(METHODS)]),
                    attribute("http.route", f"/api/{NOUNS[i % len(NOUNS)]}{SUFFIXES[i % len(SUFFIXES)]}"),
                    attribute("http.response.status_code", STATUS_CODES[i % len(STATUS_CODES)]),
                )
            )
            requests.sum.data_points.append(point)
        else:
            point.as_double = round(rng.uniform(0, 64), 3)
            point.attributes.extend(
                (attribute("pool.name", f"pool-{i}"), attribute("state", ("idle", "used")[i // 2 % 2]))
            )
            usage.gauge.data_points.append(point)
    return [requests, usage]
