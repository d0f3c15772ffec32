"""OTLP/JSON: held against protobuf's own JSON mapping, but for the two things that OTLP spells otherwise."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from conformance import path_of
from corpus import log_requests, trace_requests
from corpus_metrics import metrics_requests
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sonde.query.otlp_json import to_line, to_object
from test_otlp_meaning import CHOICES, whole

REQUESTS = (ExportTraceServiceRequest, ExportMetricsServiceRequest, ExportLogsServiceRequest)
FILES = {
    "trace.json": ExportTraceServiceRequest,
    "metrics.json": ExportMetricsServiceRequest,
    "logs.json": ExportLogsServiceRequest,
    "events.json": ExportLogsServiceRequest,
}


def ids(value: Any, change: Any) -> Any:
    """`value` with every id changed."""
    if isinstance(value, list):
        return [ids(item, change) for item in value]
    if not isinstance(value, dict):
        return value
    names = ("traceId", "spanId", "parentSpanId")
    return {key: change(inner) if key in names else ids(inner, change) for key, inner in value.items()}


def by_protobuf(request: Message) -> Any:
    found = json_format.MessageToDict(request, use_integers_for_enums=True)
    return ids(found, lambda text: base64.b64decode(text).hex())


@settings(deadline=None, max_examples=200)
@given(st.one_of(trace_requests(), metrics_requests(), log_requests()))
def test_it_is_what_protobuf_writes(request: Message) -> None:
    assert to_object(request) == by_protobuf(request)
    json.loads(to_line(request))


@pytest.mark.parametrize("choice", range(CHOICES))
@pytest.mark.parametrize("make", REQUESTS)
def test_every_field_is_what_protobuf_writes(make: type[Message], choice: int) -> None:
    request = whole(make, choice)
    assert to_object(request) == by_protobuf(request)


@pytest.mark.parametrize("name", FILES)
def test_the_specification_s_examples_are_written_as_they_stand(name: str) -> None:
    example = json.loads(path_of(f"otlp/{name}").read_text())
    request = json_format.ParseDict(
        ids(example, lambda text: base64.b64encode(bytes.fromhex(text)).decode()),
        FILES[name](),
        ignore_unknown_fields=True,
    )
    assert comparable(to_object(request)) == comparable(example)


def comparable(value: Any) -> Any:
    """Without what is at its default (the examples write some out), ids in lower case, numbers by value."""
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, dict):
        found = {key: comparable(inner) for key, inner in value.items()}
        return {key: inner for key, inner in found.items() if inner not in ("", "0", 0, False, [], {}, 0.0)}
    if isinstance(value, str):
        return value.lower()
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
