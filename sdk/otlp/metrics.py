"""Metrics as an ExportMetricsServiceRequest: opentelemetry/proto/metrics/v1/metrics.proto.

message Metric {
  string name = 1;  string description = 2;  string unit = 3;
  oneof data { Gauge gauge = 5; Sum sum = 7; Histogram histogram = 9; ExponentialHistogram exponential_histogram = 10; }
}
message Gauge { repeated NumberDataPoint data_points = 1; }
message Sum { repeated NumberDataPoint data_points = 1; AggregationTemporality ... = 2; bool is_monotonic = 3; }
message Histogram, ExponentialHistogram { repeated ... data_points = 1; AggregationTemporality aggregation_temporality = 2; }
message NumberDataPoint {
  fixed64 start_time_unix_nano = 2;  fixed64 time_unix_nano = 3;  double as_double = 4;  repeated Exemplar exemplars = 5;
  sfixed64 as_int = 6;  repeated KeyValue attributes = 7;
}
message HistogramDataPoint {
  fixed64 start_time_unix_nano = 2;  fixed64 time_unix_nano = 3;  fixed64 count = 4;  double sum = 5;
  repeated fixed64 bucket_counts = 6;  repeated double explicit_bounds = 7;  repeated Exemplar exemplars = 8;
  repeated KeyValue attributes = 9;  double min = 11;  double max = 12;
}
message ExponentialHistogramDataPoint {
  repeated KeyValue attributes = 1;  fixed64 start_time_unix_nano = 2;  fixed64 time_unix_nano = 3;  fixed64 count = 4;
  double sum = 5;  sint32 scale = 6;  fixed64 zero_count = 7;  Buckets positive = 8;  Buckets negative = 9;
  uint32 flags = 10;  repeated Exemplar exemplars = 11;  double min = 12;  double max = 13;
}
message Buckets { sint32 offset = 1; repeated uint64 bucket_counts = 2; }
message Exemplar {
  fixed64 time_unix_nano = 2;  double as_double = 3;  bytes span_id = 4;  bytes trace_id = 5;  sfixed64 as_int = 6;
  repeated KeyValue filtered_attributes = 7;
}
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    Sum,
)
from sonde.sdk.otlp.attributes import encoder, items
from sonde.sdk.otlp.origin import Request
from sonde.sdk.otlp.wire import delimited, double, fixed64, sfixed64, signed, text, unsigned, varint

METRIC = b"\x12"
"""Tag of ScopeMetrics.metrics."""
NAME, DESCRIPTION, UNIT = b"\x0a", b"\x12", b"\x1a"
GAUGE, SUM, HISTOGRAM, EXPONENTIAL_HISTOGRAM = b"\x2a", b"\x3a", b"\x4a", b"\x52"
DATA_POINT, TEMPORALITY, MONOTONIC = b"\x0a", b"\x10", b"\x18\x01"

TIMES = struct.Struct("<cQcQ").pack
"""start_time_unix_nano and time_unix_nano, fields 2 and 3 of every kind of point."""

of_number, of_histogram, of_exponential, of_exemplar = encoder(7), encoder(9), encoder(1), encoder(7)


def encode_metrics(data: MetricsData) -> bytes:
    """An ExportMetricsServiceRequest of one collection. TypeError where a metric is of a kind that OTLP has not."""
    request = Request()
    for of_resource in data.resource_metrics:
        for of_scope in of_resource.scope_metrics:
            records = request.records(of_resource.resource, of_scope.scope)
            records.extend([delimited(METRIC, metric_fields(metric)) for metric in of_scope.metrics])
    return request.encode()


def points_in(data: MetricsData) -> int:
    """Points of a collection, all metrics together."""
    return sum(
        len(metric.data.data_points)
        for of_resource in data.resource_metrics
        for of_scope in of_resource.scope_metrics
        for metric in of_scope.metrics
    )


def metric_fields(metric: Metric) -> bytes:
    """The body of a Metric."""
    head = text(NAME, metric.name) + text(DESCRIPTION, metric.description) + text(UNIT, metric.unit)
    return head + data_field(metric.data)


def data_field(data: Gauge | Sum | Histogram | ExponentialHistogram) -> bytes:
    if isinstance(data, Gauge):
        return delimited(GAUGE, points(number(point) for point in data.data_points))
    if isinstance(data, Sum):
        monotonic = MONOTONIC if data.is_monotonic else b""
        return delimited(SUM, points(number(point) for point in data.data_points) + temporality(data) + monotonic)
    if isinstance(data, Histogram):
        return delimited(HISTOGRAM, points(histogram(point) for point in data.data_points) + temporality(data))
    if isinstance(data, ExponentialHistogram):
        found = points(exponential_histogram(point) for point in data.data_points)
        return delimited(EXPONENTIAL_HISTOGRAM, found + temporality(data))
    raise TypeError(f"a metric of {type(data).__name__} can't be sent as OTLP")


def points(found: Iterable[bytes]) -> bytes:
    return b"".join([delimited(DATA_POINT, point) for point in found])


def temporality(data: Sum | Histogram | ExponentialHistogram) -> bytes:
    return unsigned(TEMPORALITY, int(data.aggregation_temporality))


def times(point: Any) -> bytes:
    return TIMES(b"\x11", point.start_time_unix_nano or 0, b"\x19", point.time_unix_nano or 0)


def as_value(double_tag: bytes, int_tag: bytes, value: float) -> bytes:
    """An int that fits stays one; a larger one is the nearest double."""
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return int_tag + sfixed64(value)
    return double_tag + double(value)


def number(point: NumberDataPoint) -> bytes:
    return b"".join(
        (
            times(point),
            as_value(b"\x21", b"\x31", point.value),
            of_number(items(point.attributes)),
            exemplars(b"\x2a", point.exemplars),
        )
    )


def optional(double_tag: bytes, value: float | None) -> bytes:
    return b"" if value is None else double_tag + double(value)


def histogram(point: HistogramDataPoint) -> bytes:
    counts, bounds = point.bucket_counts, point.explicit_bounds
    return b"".join(
        (
            times(point),
            b"\x21" + fixed64(point.count),
            optional(b"\x29", point.sum),
            delimited(b"\x32", struct.pack(f"<{len(counts)}Q", *counts)) if counts else b"",
            delimited(b"\x3a", struct.pack(f"<{len(bounds)}d", *bounds)) if bounds else b"",
            exemplars(b"\x42", point.exemplars),
            of_histogram(items(point.attributes)),
            optional(b"\x59", point.min) + optional(b"\x61", point.max),
        )
    )


def exponential_histogram(point: ExponentialHistogramDataPoint) -> bytes:
    return b"".join(
        (
            of_exponential(items(point.attributes)),
            times(point),
            b"\x21" + fixed64(point.count),
            optional(b"\x29", point.sum),
            b"\x30" + zigzag(point.scale),
            b"\x39" + fixed64(point.zero_count),
            buckets(b"\x42", point.positive.offset, point.positive.bucket_counts),
            buckets(b"\x4a", point.negative.offset, point.negative.bucket_counts),
            unsigned(b"\x50", point.flags),
            exemplars(b"\x5a", point.exemplars),
            optional(b"\x61", point.min) + optional(b"\x69", point.max),
        )
    )


def zigzag(value: int) -> bytes:
    """A sint32: small where the number is small, whatever its sign."""
    return signed((value << 1) ^ (value >> 31))


def buckets(tag: bytes, offset: int, counts: Sequence[int]) -> bytes:
    if not counts:
        return b""
    packed = b"".join([varint(count) for count in counts])
    return delimited(tag, b"\x08" + zigzag(offset) + delimited(b"\x12", packed))


def exemplars(tag: bytes, found: Sequence[Exemplar]) -> bytes:
    return b"".join([delimited(tag, exemplar(one)) for one in found]) if found else b""


def exemplar(one: Exemplar) -> bytes:
    ids = b""
    if one.span_id is not None and one.trace_id is not None:
        ids = b"\x22\x08" + one.span_id.to_bytes(8, "big") + b"\x2a\x10" + one.trace_id.to_bytes(16, "big")
    attributes = of_exemplar(items(one.filtered_attributes))
    return b"\x11" + fixed64(one.time_unix_nano) + as_value(b"\x19", b"\x31", one.value) + ids + attributes
