"""What the encoders write is what opentelemetry-exporter-otlp writes, field by field."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as reference_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics as reference_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as reference_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext
from sdk_shapes import log_records, metrics_data, plain_attributes, spans
from sonde.sdk.otlp import attributes as attributes_module
from sonde.sdk.otlp.attributes import DEEPEST, any_value, encoder
from sonde.sdk.otlp.logs import encode_logs
from sonde.sdk.otlp.metrics import encode_metrics, points_in
from sonde.sdk.otlp.spans import encode_spans


def records_by_origin(request: Message, outer: str, inner: str, records: str) -> dict[bytes, list[bytes]]:
    """Records, in order, by what stands about their resource and scope: equal origins may be said once or more."""
    found: dict[bytes, list[bytes]] = {}
    for of_resource in getattr(request, outer):
        for of_scope in getattr(of_resource, inner):
            origin = b"|".join(
                (
                    of_resource.resource.SerializeToString(deterministic=True),
                    of_resource.schema_url.encode(),
                    of_scope.scope.SerializeToString(deterministic=True),
                    of_scope.schema_url.encode(),
                )
            )
            wanted = [record.SerializeToString(deterministic=True) for record in getattr(of_scope, records)]
            found.setdefault(origin, []).extend(wanted)
    return {origin: sorted(wanted) for origin, wanted in found.items() if wanted}


@given(st.lists(spans, max_size=6))
def test_spans_are_what_the_reference_writes(found: list[ReadableSpan]) -> None:
    ours = ExportTraceServiceRequest.FromString(encode_spans(found))
    wanted = reference_spans(found)
    # The reference leaves out the trace state of links.
    for of_resource in ours.resource_spans:
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                for link in span.links:
                    link.ClearField("trace_state")
    layout = "resource_spans", "scope_spans", "spans"
    assert records_by_origin(ours, *layout) == records_by_origin(wanted, *layout)


@given(st.lists(log_records(), max_size=6))
def test_log_records_are_what_the_reference_writes(found: list[ReadableLogRecord]) -> None:
    ours = ExportLogsServiceRequest.FromString(encode_logs(found))
    layout = "resource_logs", "scope_logs", "log_records"
    assert records_by_origin(ours, *layout) == records_by_origin(reference_logs(found), *layout)


@given(metrics_data)
def test_metrics_are_what_the_reference_writes(found: MetricsData) -> None:
    ours = ExportMetricsServiceRequest.FromString(encode_metrics(found))
    layout = "resource_metrics", "scope_metrics", "metrics"
    wanted = reference_metrics(found)
    for of_resource in wanted.resource_metrics:
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                for point in metric.gauge.data_points:
                    point.ClearField("start_time_unix_nano")
    for of_resource in ours.resource_metrics:
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                for point in metric.gauge.data_points:
                    point.ClearField("start_time_unix_nano")
    assert records_by_origin(ours, *layout) == records_by_origin(wanted, *layout)
    assert points_in(found) == sum(
        len(getattr(metric, metric.WhichOneof("data")).data_points)
        for of_resource in ours.resource_metrics
        for of_scope in of_resource.scope_metrics
        for metric in of_scope.metrics
    )


@given(st.lists(plain_attributes, min_size=2, max_size=20))
def test_a_fragment_found_again_is_the_one_first_written(found: list[dict[str, Any]]) -> None:
    encode, fresh = encoder(9), encoder
    for attributes in found + found:
        assert encode(attributes) == fresh(9)(attributes)


@pytest.mark.parametrize("values", [(True, 1, 1.0), (1.0, 1, True), (0, False, 0.0), ("1", 1, b"1")])
def test_values_that_python_holds_equal_keep_their_types(values: tuple[Any, ...]) -> None:
    encode = encoder(1)
    assert len({encode({"k": value}) for value in values}) == 3
    assert [encode({"k": value}) for value in values] == [encoder(1)({"k": value}) for value in values]


def test_a_cache_of_fragments_is_bounded_and_right_after_it_began_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes_module, "LARGEST_CACHED", 10)
    monkeypatch.setattr(attributes_module, "VALUES_OF_A_KEY", 3)
    encode = encoder(9)
    found = [{f"key.{number % 7}": number % 13, "id": f"value {number}"} for number in range(200)]
    assert [encode(attributes) for attributes in found] == [encoder(9)(attributes) for attributes in found]
    caches = next(cell.cell_contents for cell in encode.__closure__ or () if isinstance(cell.cell_contents, dict))
    assert len(caches) <= 10


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (2**63, AnyValue(string_value=str(2**63))),
        (-(2**80), AnyValue(string_value=str(-(2**80)))),
        (object, AnyValue(string_value=str(object))),
        ("lone \ud800 surrogate", AnyValue(string_value="lone ? surrogate")),
        (math.inf, AnyValue(double_value=math.inf)),
        (bytearray(b"\x00"), AnyValue(bytes_value=b"\x00")),
        (range(2), AnyValue(array_value={"values": [{"int_value": 0}, {"int_value": 1}]})),
        ({1: 2}, AnyValue(kvlist_value={"values": [{"key": "1", "value": {"int_value": 2}}]})),
    ],
)
def test_what_otlp_has_no_word_for_is_sent_as_the_nearest(value: Any, wanted: AnyValue) -> None:
    assert AnyValue.FromString(any_value(value)) == wanted


def test_nan_stays_nan() -> None:
    assert math.isnan(AnyValue.FromString(any_value(math.nan)).double_value)


def test_what_nests_too_deep_is_cut_off_there() -> None:
    deep: list[Any] = []
    deep.append(deep)
    found = AnyValue.FromString(any_value(deep))
    levels = 0
    while found.HasField("array_value"):
        (found,) = found.array_value.values
        levels += 1
    assert levels == DEEPEST
    assert found.string_value == "..."


def test_spans_without_a_scope_and_of_another_resource_are_told_apart() -> None:
    context = SpanContext(1, 2, is_remote=False)
    one, other = Resource({"service.name": "a"}), Resource({"service.name": "b"})
    found = encode_spans([ReadableSpan("x", context, resource=resource) for resource in (one, other, one)])
    request = ExportTraceServiceRequest.FromString(found)
    counts = {
        of_resource.resource.attributes[0].value.string_value: len(of_resource.scope_spans[0].spans)
        for of_resource in request.resource_spans
    }
    assert counts == {"a": 2, "b": 1}


def test_nothing_is_an_empty_request() -> None:
    assert encode_spans([]) == encode_logs([]) == encode_metrics(MetricsData([])) == b""
