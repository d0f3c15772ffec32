"""The slow twin of `metrics.py`: the same points from the official protobuf classes, one Python object at a time.

It says what the kernels must give. It is far too slow for use (some 20 k points/s) and reads like the specification.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from sonde.ingest import fingerprint
from sonde.ingest.decoded import Decoded, DecodedBlock
from sonde.ingest.limits import Limits, Reason
from sonde.ingest.rows import block_of_rows
from sonde.ingest.twin import (
    NO_SPAN,
    NO_TRACE,
    Row,
    as_sent,
    attribute_row,
    attributes_reason,
    first_reason,
    resource_reason,
    resource_service_name,
    scope_reason,
    small_attribute_row,
    texts_reason,
    time_reason,
)
from sonde.storage.columns import Block
from sonde.storage.schema import table

Number: TypeAlias = pb.NumberDataPoint | pb.Exemplar
Point: TypeAlias = pb.NumberDataPoint | pb.HistogramDataPoint | pb.ExponentialHistogramDataPoint | pb.SummaryDataPoint

TABLE_OF = {
    "gauge": "points_number",
    "sum": "points_number",
    "histogram": "points_histogram",
    "exponential_histogram": "points_exponential_histogram",
    "summary": "points_summary",
}
TYPE_OF = {"gauge": 5, "sum": 7, "histogram": 9, "exponential_histogram": 10, "summary": 11}


@dataclass
class SlowPoints:
    """What a batch of requests holds, as rows by table.

    `rows`: the row tables, in wire order (exemplars in the order of their points).
    `resources`, `scopes`: as in `Decoded`.
    `series`: one row a distinct series of the kept points, by series_id, in the order of first appearance; its keys are
    the columns of `series` without tenant, first_seen and last_seen.
    `verdicts`: for every data point in wire order, why it was refused, or None.
    """

    rows: dict[str, list[Row]] = field(default_factory=dict)
    resources: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    scopes: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    series: dict[int, Row] = field(default_factory=dict)
    verdicts: list[Reason | None] = field(default_factory=list)


def decode_metrics_slowly(
    bodies: Sequence[bytes], received_unix_nano: Sequence[int], limits: Limits
) -> tuple[Decoded, Block]:
    """What `decode.decode` gives for metrics, and the block of `series` that `SeriesOfBatch` gives for every series of it."""
    slow = points_slowly(bodies, received_unix_nano, limits)
    decoded = Decoded(slow.verdicts.count(None), resources=slow.resources, scopes=slow.scopes)
    for name in (*dict.fromkeys(TABLE_OF.values()), "exemplars"):
        if rows := slow.rows.get(name):
            decoded.blocks.append(DecodedBlock(name, block_of_rows(table(name), rows), len(rows)))
    return decoded, block_of_rows(table("series"), list(slow.series.values()))


def points_slowly(bodies: Sequence[bytes], received_unix_nano: Sequence[int], limits: Limits) -> SlowPoints:
    """Every data point of `bodies`, judged and turned into rows. DecodeError (protobuf's) where a body is malformed."""
    slow = SlowPoints()
    for body, received in zip(bodies, received_unix_nano, strict=True):
        for parent in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scope_metrics in parent.scope_metrics:
                add_scope_metrics(slow, parent, scope_metrics, received, limits)
    return slow


def add_scope_metrics(
    slow: SlowPoints, parent: pb.ResourceMetrics, scope_metrics: pb.ScopeMetrics, received: int, limits: Limits
) -> None:
    resource_id = fingerprint.resource_id_slowly(parent.resource, parent.schema_url)
    scope_id = fingerprint.scope_id_slowly(scope_metrics.scope, scope_metrics.schema_url)
    head = {
        "resource_id": resource_id,
        "scope_id": scope_id,
        "service_name": resource_service_name(parent.resource),
    }
    above = [
        resource_reason(parent.resource, parent.schema_url, limits),
        scope_reason(scope_metrics.scope, scope_metrics.schema_url, limits),
    ]
    kept = slow.verdicts.count(None)
    for metric in scope_metrics.metrics:
        add_metric(slow, metric, head, above, received, limits)
    if slow.verdicts.count(None) > kept:
        slow.resources[resource_id] = as_sent(parent.resource, parent.schema_url)
        slow.scopes[scope_id] = as_sent(scope_metrics.scope, scope_metrics.schema_url)


def add_metric(
    slow: SlowPoints, metric: pb.Metric, head: Row, inherited: list[Reason | None], received: int, limits: Limits
) -> None:
    kind = metric.WhichOneof("data")
    if kind is None:
        return
    data = getattr(metric, kind)
    temporality = getattr(data, "aggregation_temporality", 0)
    is_monotonic = getattr(data, "is_monotonic", False)
    identity = fingerprint.metric_id_slowly(
        head["resource_id"], head["scope_id"], metric, TYPE_OF[kind], temporality, is_monotonic
    )
    above = [
        *inherited,
        attributes_reason(metric.metadata, limits),
        texts_reason((metric.name, metric.description, metric.unit), limits),
    ]
    for point in data.data_points:
        verdict = first_reason([*above, *point_reasons(point, received, limits)])
        slow.verdicts.append(verdict)
        if verdict is not None:
            continue
        series_id = fingerprint.series_id_slowly(identity, point.attributes)
        if series_id not in slow.series:
            slow.series[series_id] = {
                "series_id": series_id,
                **head,
                "name": metric.name.encode(),
                "description": metric.description.encode(),
                "unit": metric.unit.encode(),
                "type": TYPE_OF[kind],
                "temporality": temporality,
                "is_monotonic": is_monotonic,
                **small_attribute_row("metadata", metric.metadata),
                **attribute_row("attributes", point.attributes),
            }
        row = {
            "metric": metric.name.encode(),
            "series_id": series_id,
            "time": point.time_unix_nano or received,
            "time_source": 0 if point.time_unix_nano else 2,
            "start_time": point.start_time_unix_nano,
            **POINT_COLUMNS[TABLE_OF[kind]](point),
            "flags": point.flags,
        }
        slow.rows.setdefault(TABLE_OF[kind], []).append(row)
        for exemplar in getattr(point, "exemplars", ()):
            slow.rows.setdefault("exemplars", []).append(exemplar_row(exemplar, row))


def number_columns(point: Number) -> Row:
    kind = point.WhichOneof("value")
    if kind is None:
        return {"value": 0.0, "value_remainder": 0, "value_type": 0}
    if kind == "as_double":
        return {"value": point.as_double, "value_remainder": 0, "value_type": 1}
    nearest = float(point.as_int)
    return {"value": nearest, "value_remainder": point.as_int - int(nearest), "value_type": 2}


def optional(message: Any, *names: str) -> Row:
    return {name: getattr(message, name) if message.HasField(name) else None for name in names}


def histogram_columns(point: pb.HistogramDataPoint) -> Row:
    return {
        "count": point.count,
        **optional(point, "sum", "min", "max"),
        "bucket_counts": list(point.bucket_counts),
        "explicit_bounds": list(point.explicit_bounds),
    }


def exponential_histogram_columns(point: pb.ExponentialHistogramDataPoint) -> Row:
    return {
        "count": point.count,
        **optional(point, "sum", "min", "max"),
        "scale": point.scale,
        "zero_count": point.zero_count,
        "zero_threshold": point.zero_threshold,
        "positive_offset": point.positive.offset,
        "positive_bucket_counts": list(point.positive.bucket_counts),
        "negative_offset": point.negative.offset,
        "negative_bucket_counts": list(point.negative.bucket_counts),
    }


def summary_columns(point: pb.SummaryDataPoint) -> Row:
    return {
        "count": point.count,
        "sum": point.sum,
        "quantile_values.quantile": [each.quantile for each in point.quantile_values],
        "quantile_values.value": [each.value for each in point.quantile_values],
    }


POINT_COLUMNS: dict[str, Any] = {
    "points_number": number_columns,
    "points_histogram": histogram_columns,
    "points_exponential_histogram": exponential_histogram_columns,
    "points_summary": summary_columns,
}


def exemplar_row(exemplar: pb.Exemplar, point: Row) -> Row:
    return {
        "metric": point["metric"],
        "series_id": point["series_id"],
        "point_time": point["time"],
        "start_time": point["start_time"],
        "time": exemplar.time_unix_nano,
        **number_columns(exemplar),
        "trace_id": exemplar.trace_id or NO_TRACE,
        "span_id": exemplar.span_id or NO_SPAN,
        **small_attribute_row("filtered_attributes", exemplar.filtered_attributes),
    }


def point_reasons(point: Point, received: int, limits: Limits) -> Iterator[Reason | None]:
    """Every reason to refuse `point` for what itself holds."""
    yield time_reason(point.time_unix_nano, received, limits)
    yield attributes_reason(point.attributes, limits)
    exemplars = getattr(point, "exemplars", ())
    for exemplar in exemplars:
        if len(exemplar.trace_id) not in (0, 16) or len(exemplar.span_id) not in (0, 8):
            yield Reason.INVALID_EXEMPLAR
        yield attributes_reason(exemplar.filtered_attributes, limits)
    if len(exemplars) > limits.max_exemplars:
        yield Reason.TOO_MANY_EXEMPLARS
    if max(bucket_lengths(point)) > limits.max_buckets:
        yield Reason.TOO_MANY_BUCKETS


def bucket_lengths(point: Point) -> Iterable[int]:
    match point:
        case pb.HistogramDataPoint():
            return len(point.bucket_counts), len(point.explicit_bounds)
        case pb.ExponentialHistogramDataPoint():
            return len(point.positive.bucket_counts), len(point.negative.bucket_counts)
        case pb.SummaryDataPoint():
            return (len(point.quantile_values),)
    return (0,)
