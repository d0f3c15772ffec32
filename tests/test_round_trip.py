"""What goes in as OTLP comes out of /api/export as OTLP, equal in meaning, in every field of the three signals.

"Equal in meaning" is `otlp_meaning.py`; that it sees every field is `test_otlp_meaning.py`. Each example has a tenant of its
own, so one store and one service serve them all.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from corpus import RECEIVED_UNIX_NANO, log_requests, trace_requests
from corpus_metrics import metrics_requests
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from otlp_meaning import difference, meaning
from sonde.ingest.config import IngestConfig
from sonde.ingest.decode import decode
from sonde.ingest.dimensions import Announcer, Told
from sonde.ingest.inserts import as_insert
from sonde.ingest.limits import Limits
from sonde.ingest.scan import scan
from sonde.ingest.service import IngestService
from sonde.ingest.signals import Signal
from sonde.ingest.spool import SpoolWriter
from sonde.ingest.writer import Writer
from sonde.query.otlp_json import to_line
from sonde.storage.migrate import migrate
from sonde.storage.retention import FOR_EVER
from sonde.storage.store import Store, open_store
from stored import Served
from test_otlp_meaning import CHOICES, applied, changes, whole

REQUESTS: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
STRATEGIES: dict[Signal, st.SearchStrategy[Any]] = {
    Signal.TRACES: trace_requests(),
    Signal.METRICS: metrics_requests(),
    Signal.LOGS: log_requests(),
}
EVERY_TIME = {"start": "0", "end": str(2**63 - 1)}
LIMITS = Limits()
SIGNALS = pytest.mark.parametrize("signal", list(Signal))


@dataclass
class Trip:
    """A store, the way in to it, and the way out."""

    store: Store
    client: httpx.Client
    announcer: Announcer = field(default_factory=Announcer)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def tenant(self) -> str:
        return f"t{next(self.numbers)}"

    def send(
        self, signal: Signal, requests: Sequence[Message], tenant: str, received: int = RECEIVED_UNIX_NANO
    ) -> None:
        """Scan, decode, announce, encode and insert, as the writer does; nothing may be refused. A nanosecond apart."""
        bodies = [request.SerializeToString() for request in requests]
        times = [received + number for number in range(len(bodies))]
        scans = [scan(signal, body, LIMITS, at) for body, at in zip(bodies, times, strict=True)]
        assert [each.rejected_total for each in scans] == [0] * len(bodies)
        decoded = decode(signal, bodies, times, LIMITS)
        assert decoded.records == sum(each.records for each in scans)
        for table, block, rows, suffix in self.announcer.announce(tenant, decoded, received):
            self.insert(table, block, rows, tenant, suffix)
        for part in decoded.blocks:
            self.insert(part.table, part.block, part.rows, tenant, "rows")
        self.announcer.mark(tenant, Told.of(decoded), received)

    def insert(self, table: str, block: Any, rows: int, tenant: str, suffix: str) -> None:
        made = as_insert(table, block, rows, tenant, f"{tenant}/{next(self.numbers)}/{table}/{suffix}")
        self.store.insert_block(made.table, made.block, made.columns, token=made.token)

    def export(self, signal: Signal, tenant: str, format: str) -> bytes:
        parameters = EVERY_TIME | {"signal": str(signal), "format": format}
        answer = self.client.get("/api/export", params=parameters, headers={"X-Sonde-Tenant": tenant})
        assert answer.status_code == 200, answer.text
        return answer.content

    def check(self, signal: Signal, sent: Sequence[Message], tenant: str) -> None:
        """Both formats of the export mean what was sent."""
        protobuf = REQUESTS[signal].FromString(self.export(signal, tenant, "protobuf"))
        assert_equal(sent, [protobuf])
        lines = self.export(signal, tenant, "json").splitlines()
        assert_equal(sent, [from_json(signal, line) for line in lines], nan_bits=False)

    def round_trip(self, signal: Signal, sent: Sequence[Message]) -> None:
        tenant = self.tenant()
        self.send(signal, sent, tenant)
        self.check(signal, sent, tenant)


def assert_equal(sent: Sequence[Message], got: Sequence[Message], nan_bits: bool = True) -> None:
    before, after = meaning(sent, nan_bits=nan_bits), meaning(got, nan_bits=nan_bits)
    assert before == after, difference(before, after)


def from_json(signal: Signal, line: bytes) -> Message:
    """A request from OTLP/JSON by protobuf's own parser, which wants base64 where OTLP has hex."""
    message: Message = json_format.ParseDict(base64_ids(json.loads(line)), REQUESTS[signal]())
    return message


def base64_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [base64_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(inner)).decode()
        if key in ("traceId", "spanId", "parentSpanId")
        else base64_ids(inner)
        for key, inner in value.items()
    }


@pytest.fixture(scope="module")
def trip(engine: Store) -> Iterator[Trip]:
    store = open_store(engine.url, database="t_round_trip")
    migrate(store, retention=FOR_EVER)
    with Served(store) as client:
        yield Trip(store, client)
    engine.command("DROP DATABASE IF EXISTS t_round_trip SYNC")
    store.close()


PATIENCE = 120.0
"""Seconds that a test waits for what must come about, on a machine however busy."""
thorough = settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
few = settings(thorough, max_examples=8)


@SIGNALS
@thorough
@given(data=st.data())
def test_what_goes_in_comes_out_equal(trip: Trip, signal: Signal, data: st.DataObject) -> None:
    trip.round_trip(signal, [data.draw(STRATEGIES[signal])])


@SIGNALS
@few
@given(data=st.data())
def test_requests_stored_together_come_out_equal(trip: Trip, signal: Signal, data: st.DataObject) -> None:
    trip.round_trip(signal, data.draw(st.lists(STRATEGIES[signal], min_size=2, max_size=5)))


@pytest.mark.slow
@SIGNALS
@pytest.mark.parametrize("choice", range(CHOICES))
def test_every_field_comes_out_whatever_it_is_changed_to(trip: Trip, signal: Signal, choice: int) -> None:
    """A message with every field set, and beside it one for each single change of it that is not refused."""
    request = whole(REQUESTS[signal], choice)
    variants = [request, *(applied(change, request) for _, change in changes(request))]
    kept = [
        variant
        for variant in variants
        if not scan(signal, variant.SerializeToString(), LIMITS, RECEIVED_UNIX_NANO).rejected_total
    ]
    assert len(kept) > 0.9 * len(variants)
    trip.round_trip(signal, kept)


def log(**fields: Any) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add(**fields)
    return request


def span(**fields: Any) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    ids = {"trace_id": b"\x01" * 16, "span_id": b"\x02" * 8, "start_time_unix_nano": RECEIVED_UNIX_NANO}
    request.resource_spans.add().scope_spans.add().spans.add(**ids | fields)
    return request


def point(kind: str = "gauge", **fields: Any) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    getattr(metric, kind).data_points.add(**{"time_unix_nano": RECEIVED_UNIX_NANO} | fields)
    return request


def double(bits: int) -> float:
    (value,) = struct.unpack("<d", struct.pack("<Q", bits))
    return float(value)


def nested(depth: int) -> AnyValue:
    """AnyValues `depth` deep, arrays and kvlists in turn."""
    value = AnyValue(string_value="end")
    for level in range(depth - 1):
        if level % 2:
            value = AnyValue(array_value={"values": [value]})
        else:
            value = AnyValue(kvlist_value={"values": [{"key": "k", "value": value}]})
    return value


def attribute(key: str, **value: Any) -> dict[str, Any]:
    return {"key": key, "value": AnyValue(**value)}


NOW = RECEIVED_UNIX_NANO
TRACE_CASES = {
    "no times at all": span(start_time_unix_nano=0),
    "an end alone": span(start_time_unix_nano=0, end_time_unix_nano=NOW),
    "a start alone": span(),
    "an end before its start": span(end_time_unix_nano=5),
    "the longest span": span(start_time_unix_nano=1, end_time_unix_nano=2**64 - 1),
    "an end beyond signed range": span(end_time_unix_nano=2**63),
    "events at every edge of time": span(events=[{"time_unix_nano": t} for t in (0, 1, 2**63 - 1, 2**63, 2**64 - 1)]),
    "enums without names": span(kind=-(2**31), status={"code": 2**31 - 1}),
    "a status of defaults": span(status={}),
    "keys that repeat, in one type and in several": span(
        attributes=[attribute("k", int_value=1), attribute("k", int_value=2), attribute("k", string_value="1")] * 2
    ),
    "an empty key and a value that is unset": span(attributes=[{"key": ""}, {"key": "", "value": AnyValue()}]),
    "a key by index": span(attributes=[{"key": "a", "key_strindex": 5, "value": AnyValue(int_value=1)}]),
    "a root that says so with zeros": span(parent_span_id=bytes(8)),
    "text of every kind": span(name="\x00\x7f\u0080\u2028\U0001f600\U0010ffff", trace_state='"\\/'),
}
METRIC_CASES = {
    "a stale marker": point(as_double=double(0x7FF0_0000_0000_0002)),
    "NaNs are told apart": point(as_double=double(0xFFF8_0000_0000_0001)),
    "minus zero": point(as_double=-0.0),
    "the least double": point(as_double=5e-324),
    "the largest int": point(as_int=2**63 - 1),
    "the smallest int": point(as_int=-(2**63)),
    "an int that is no double": point(as_int=2**53 + 1),
    "an int that rounds up to 2^63": point(as_int=2**63 - 512),
    "no value": point(flags=1),
    "int zero": point(as_int=0),
    "double zero": point(as_double=0.0),
    "no time": point(time_unix_nano=0, start_time_unix_nano=2**64 - 1),
    "a histogram without anything": point("histogram"),
    "a histogram of zeros": point("histogram", sum=0.0, min=0.0, max=0.0, bucket_counts=[0], explicit_bounds=[]),
    "a histogram of NaNs": point(
        "histogram", sum=double(0x7FF8_0000_0000_0007), min=-0.0, explicit_bounds=[float("inf")]
    ),
    "an exponential histogram of extremes": point(
        "exponential_histogram",
        scale=-(2**31),
        positive={"offset": 2**31 - 1, "bucket_counts": [2**64 - 1, 0]},
        negative={"offset": -(2**31)},
        zero_threshold=-0.0,
        zero_count=2**64 - 1,
    ),
    "a summary with a quantile of NaN": point(
        "summary", sum=-0.0, quantile_values=[{"quantile": double(0x7FF8_0000_0000_0003), "value": -0.0}, {}]
    ),
    "exemplars that are empty": point("sum", exemplars=[{}, {}, {"as_double": -0.0}, {"as_int": 0}]),
    "exemplar times beyond signed range": point("histogram", exemplars=[{"time_unix_nano": 2**64 - 1, "as_int": 5}]),
}
LOG_CASES = {
    "no times at all": log(),
    "an observed time alone": log(observed_time_unix_nano=NOW),
    "an observed time beyond signed range": log(time_unix_nano=NOW, observed_time_unix_nano=2**64 - 1),
    "a body that is empty text": log(body=AnyValue(string_value="")),
    "a body that is unset": log(body=AnyValue()),
    "a body that looks like JSON": log(body=AnyValue(string_value='{"$bytes":"AQ=="}')),
    "a kvlist that looks like ours": log(
        body=AnyValue(
            kvlist_value={"values": [attribute("$bytes", string_value="AQ=="), attribute("$$", bool_value=True)]}
        )
    ),
    "a kvlist of repeated keys in order": log(
        body=AnyValue(kvlist_value={"values": [attribute(k, int_value=n) for n, k in enumerate("baab")]})
    ),
    "doubles that are whole": log(
        body=AnyValue(array_value={"values": [AnyValue(double_value=d) for d in (1.0, 1e22, -0.0)]})
    ),
    "numbers JSON has no spelling for": log(
        body=AnyValue(array_value={"values": [AnyValue(double_value=float(d)) for d in ("nan", "inf", "-inf")]})
    ),
    "ints beyond 2^53 in JSON": log(
        body=AnyValue(array_value={"values": [AnyValue(int_value=n) for n in (2**63 - 1, -(2**63))]})
    ),
    "as deep as is allowed": log(body=nested(32), attributes=[{"key": "deep", "value": nested(32)}]),
    "only half of a trace context": log(span_id=b"\x01" * 8),
}
CASES = [
    pytest.param(signal, request, id=f"{signal}: {name}")
    for signal, cases in ((Signal.TRACES, TRACE_CASES), (Signal.METRICS, METRIC_CASES), (Signal.LOGS, LOG_CASES))
    for name, request in cases.items()
]


@pytest.mark.parametrize(("signal", "request_sent"), CASES)
def test_the_edges_come_out_equal(trip: Trip, signal: Signal, request_sent: Message) -> None:
    trip.round_trip(signal, [request_sent])


def test_entities_and_schema_urls_keep_resources_apart(trip: Trip) -> None:
    request = ExportLogsServiceRequest()
    for entity in (
        {},
        {"type": "host"},
        {"type": "host", "id_keys": ["a", "b"]},
        {"type": "host", "id_keys": ["b", "a"]},
    ):
        for url in ("", "https://example.org/1"):
            resource_logs = request.resource_logs.add(resource={"entity_refs": [entity]}, schema_url=url)
            for inner in ("", "https://example.org/2"):
                resource_logs.scope_logs.add(schema_url=inner).log_records.add(severity_text=f"{entity}{url}{inner}")
    trip.round_trip(Signal.LOGS, [request])


@SIGNALS
@few
@given(data=st.data())
def test_an_export_can_be_sent_in_again(trip: Trip, signal: Signal, data: st.DataObject) -> None:
    """What comes out is a request as it stands, and goes round a second time unchanged."""
    sent = data.draw(st.lists(STRATEGIES[signal], max_size=3))
    first, second = trip.tenant(), trip.tenant()
    trip.send(signal, sent, first)
    again = REQUESTS[signal].FromString(trip.export(signal, first, "protobuf"))
    trip.send(signal, [again], second)
    trip.check(signal, sent, second)


@SIGNALS
@few
@given(data=st.data())
def test_by_way_of_spool_and_writer(
    trip: Trip, signal: Signal, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The real writer, several tenants in one spool."""
    folder = tmp_path_factory.mktemp("spool")
    spool = SpoolWriter(folder, segment_age_seconds=60)
    sent = {trip.tenant(): data.draw(st.lists(STRATEGIES[signal], min_size=1, max_size=3)) for _ in range(2)}
    for tenant, requests in sent.items():
        for number, request in enumerate(requests):
            body, received = request.SerializeToString(), RECEIVED_UNIX_NANO + number
            records = scan(signal, body, LIMITS, received).records
            spool.append(tenant, signal, body, received_unix_nano=received, records=records).result(PATIENCE)
    spool.close()
    writer = Writer(folder, trip.store, resend_window_seconds=0)
    writer.start()
    assert writer.stop(drain_seconds=PATIENCE)
    for tenant, requests in sent.items():
        trip.check(signal, requests, tenant)


@pytest.fixture(scope="module")
def service(trip: Trip, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IngestService]:
    """The whole way in, over HTTP."""
    folder: Path = tmp_path_factory.mktemp("service")
    config = IngestConfig(
        otlp_grpc="127.0.0.1:0",
        otlp_http="127.0.0.1:0",
        spool=str(folder),
        spool_min_free_bytes=0,
        trust_tenant_header=True,
        max_future_seconds=10 * 365 * 86_400,
        stop_timeout_seconds=PATIENCE,
    )
    service = IngestService(config, trip.store, retention=FOR_EVER)
    service.start()
    yield service
    assert service.stop()


def to_protobuf(request: Message) -> tuple[bytes, dict[str, str]]:
    return request.SerializeToString(), {"Content-Type": "application/x-protobuf"}


def to_gzip(request: Message) -> tuple[bytes, dict[str, str]]:
    body, headers = to_protobuf(request)
    return gzip.compress(body), headers | {"Content-Encoding": "gzip"}


def to_json(request: Message) -> tuple[bytes, dict[str, str]]:
    return to_line(request), {"Content-Type": "application/json"}  # type: ignore[arg-type]


@SIGNALS
@pytest.mark.parametrize("encode", [to_protobuf, to_gzip, to_json])
@settings(few, max_examples=3)
@given(data=st.data())
def test_by_way_of_http(trip: Trip, service: IngestService, signal: Signal, encode: Any, data: st.DataObject) -> None:
    tenant = trip.tenant()
    request = data.draw(STRATEGIES[signal])
    body, headers = encode(request)
    answer = httpx.post(
        f"http://{service.http_address}/v1/{signal}",
        content=body,
        headers=headers | {"X-Sonde-Tenant": tenant},
        trust_env=False,
        timeout=PATIENCE,
    )
    assert answer.status_code == 200, answer.text
    sent = meaning([request], nan_bits=encode is not to_json)
    deadline = time.monotonic() + PATIENCE
    while True:
        got = REQUESTS[signal].FromString(trip.export(signal, tenant, "protobuf"))
        if meaning([got], nan_bits=encode is not to_json) == sent:
            return
        assert time.monotonic() < deadline, difference(sent, meaning([got], nan_bits=encode is not to_json))
        time.sleep(0.02)
