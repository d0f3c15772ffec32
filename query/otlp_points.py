"""Rows of `series`, the `points_*` tables and `exemplars` back into metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)
from sonde.query.otlp import MASK, NO_SPAN, NO_TRACE, OWN_TIME, Origins, Tree, add_attributes, add_small_attributes
from sonde.query.reader import Row

Point: TypeAlias = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint

KINDS = {5: "gauge", 7: "sum", 9: "histogram", 10: "exponential_histogram", 11: "summary"}
"""`series.type`, the Metric's field number, to the field's name."""
TABLES = {
    "points_number": (5, 7),
    "points_histogram": (9,),
    "points_exponential_histogram": (10,),
    "points_summary": (11,),
}
"""Which types of series have their points in which table."""
DOUBLE, INT = 1, 2
"""Values of `value_type`."""


@dataclass(frozen=True, slots=True)
class Series:
    """A series, with the messages its points need."""

    resource_id: int
    scope_id: int
    identity: tuple[Any, ...]
    """What makes two series of one resource and scope the same metric."""
    metric: Metric
    """Without points."""
    type: int
    attributes: NumberDataPoint
    """Holds the attributes of every point, whatever its kind: KeyValues are copied from here."""


def series_of(row: Row) -> Series:
    """A row of `series`, selected by `select_list`."""
    kind = KINDS[row["type"]]
    metric = Metric(name=row["name"], description=row["description"], unit=row["unit"])
    add_small_attributes(metric.metadata, row["metadata_string_pairs"], row["metadata_json_pairs"])
    data = getattr(metric, kind)
    data.SetInParent()
    if kind in ("sum", "histogram", "exponential_histogram"):
        data.aggregation_temporality = row["temporality"]
    if kind == "sum":
        data.is_monotonic = bool(row["is_monotonic"])
    attributes = NumberDataPoint()
    add_attributes(attributes.attributes, row)
    metadata = (tuple(sorted(row["metadata_string_pairs"])), tuple(sorted(row["metadata_json_pairs"])))
    named = (row["name"], row["description"], row["unit"], row["type"], row["temporality"], bool(row["is_monotonic"]))
    return Series(row["resource_id"], row["scope_id"], (*named, metadata), metric, row["type"], attributes)


def metrics_request(
    rows: Iterable[tuple[Row, list[Row]]], series: Mapping[int, Series], resources: Origins, scopes: Origins
) -> ExportMetricsServiceRequest:
    """Rows of one `points_*` table, each with its exemplars, as metrics under their resources and scopes."""
    request = ExportMetricsServiceRequest()
    tree = Tree(request.resource_metrics, "scope_metrics", resources, scopes)
    metrics: dict[tuple[Any, ...], Metric] = {}
    for row, exemplars in rows:
        found = series[row["series_id"]]
        key = (found.resource_id, found.scope_id, *found.identity)
        metric = metrics.get(key)
        if metric is None:
            metric = metrics[key] = tree.scope(found.resource_id, found.scope_id).metrics.add()
            metric.CopyFrom(found.metric)
        point = getattr(metric, KINDS[found.type]).data_points.add()
        point.attributes.extend(found.attributes.attributes)
        fill_point(point, row)
        for exemplar in exemplars:
            fill_exemplar(point.exemplars.add(), exemplar)
    return request


def fill_point(point: Point, row: Row) -> None:
    """Every field of the point but its attributes and exemplars."""
    point.start_time_unix_nano = row["start_time"] & MASK
    if row["time_source"] == OWN_TIME:
        point.time_unix_nano = row["time"] & MASK
    point.flags = row["flags"]
    if isinstance(point, NumberDataPoint):
        fill_value(point, row)
        return
    point.count = row["count"]
    if isinstance(point, SummaryDataPoint):
        point.sum = row["sum"]
        for quantile, value in zip(row["quantile_values.quantile"], row["quantile_values.value"], strict=True):
            point.quantile_values.add(quantile=quantile, value=value)
        return
    for name in ("sum", "min", "max"):
        if row[name] is not None:
            setattr(point, name, row[name])
    if isinstance(point, HistogramDataPoint):
        point.bucket_counts.extend(row["bucket_counts"])
        point.explicit_bounds.extend(row["explicit_bounds"])
    else:
        fill_exponential(point, row)


def fill_exponential(point: ExponentialHistogramDataPoint, row: Row) -> None:
    point.scale = row["scale"]
    point.zero_count = row["zero_count"]
    point.zero_threshold = row["zero_threshold"]
    for name, buckets in (("positive", point.positive), ("negative", point.negative)):
        buckets.offset = row[f"{name}_offset"]
        buckets.bucket_counts.extend(row[f"{name}_bucket_counts"])


def fill_value(target: NumberDataPoint | Exemplar, row: Row) -> None:
    """`as_double`, `as_int` or neither."""
    if row["value_type"] == DOUBLE:
        target.as_double = row["value"]
    elif row["value_type"] == INT:
        target.as_int = exact_int(row["value"], row["value_remainder"])


def exact_int(value: float, remainder: int) -> int:
    """The int that is kept as its nearest double and the difference to that, mod 2^64."""
    return (int(value) + remainder + 2**63) % 2**64 - 2**63


def fill_exemplar(exemplar: Exemplar, row: Row) -> None:
    """A row of `exemplars`, selected by `select_list`."""
    exemplar.time_unix_nano = row["time"] & MASK
    fill_value(exemplar, row)
    if row["trace_id"] != NO_TRACE:
        exemplar.trace_id = row["trace_id"]
    if row["span_id"] != NO_SPAN:
        exemplar.span_id = row["span_id"]
    add_small_attributes(
        exemplar.filtered_attributes, row["filtered_attributes_string_pairs"], row["filtered_attributes_json_pairs"]
    )
