"""Strategies for metrics requests of every field, small enough to shrink well."""

from __future__ import annotations

from typing import Any

from corpus import (
    attribute_sets,
    doubles,
    far_times,
    fields,
    i32,
    i64,
    near_times,
    odd_ids,
    resources,
    schema_urls,
    scopes,
    span_ids,
    texts,
    trace_ids,
    u32,
    u64,
)
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

bucket_counts = st.lists(u64, max_size=6)
wide_ints = st.sampled_from([2**53 + 1, 2**63 - 513, 2**63 - 512]) | i64


def one_value(chosen: dict[str, Any]) -> dict[str, Any]:
    """At most one member of the oneof `value`."""
    return {key: value for key, value in chosen.items() if not (key == "as_int" and "as_double" in chosen)}


def exemplars(hostile: bool) -> st.SearchStrategy[list[pb.Exemplar]]:
    ids = odd_ids if hostile else st.just(b"")
    chosen = st.fixed_dictionaries(
        {},
        optional={
            "filtered_attributes": attribute_sets,
            "time_unix_nano": u64,
            "as_double": doubles,
            "as_int": wide_ints,
            "span_id": span_ids | st.just(bytes(8)) | ids,
            "trace_id": trace_ids | st.just(bytes(16)) | ids,
        },
    )
    return st.lists(chosen.map(lambda each: pb.Exemplar(**one_value(each))), max_size=3)


def times(hostile: bool) -> dict[str, st.SearchStrategy[int]]:
    return {"time_unix_nano": far_times if hostile else near_times | st.just(0)}


head = {"attributes": attribute_sets, "start_time_unix_nano": u64, "flags": u32}
optional_summary = {"sum": doubles, "min": doubles, "max": doubles}


def number_points(hostile: bool = False) -> st.SearchStrategy[pb.NumberDataPoint]:
    maybe = {**head, "as_double": doubles, "as_int": wide_ints, "exemplars": exemplars(hostile)}
    return st.fixed_dictionaries(times(hostile), optional=maybe).map(
        lambda chosen: pb.NumberDataPoint(**one_value(chosen))
    )


def histogram_points(hostile: bool = False) -> st.SearchStrategy[pb.HistogramDataPoint]:
    return fields(
        pb.HistogramDataPoint,
        times(hostile),
        **head,
        **optional_summary,
        count=u64,
        bucket_counts=bucket_counts,
        explicit_bounds=st.lists(doubles, max_size=5),
        exemplars=exemplars(hostile),
    )


buckets = fields(pb.ExponentialHistogramDataPoint.Buckets, offset=i32, bucket_counts=bucket_counts)


def exponential_histogram_points(hostile: bool = False) -> st.SearchStrategy[pb.ExponentialHistogramDataPoint]:
    return fields(
        pb.ExponentialHistogramDataPoint,
        times(hostile),
        **head,
        **optional_summary,
        count=u64,
        scale=i32,
        zero_count=u64,
        zero_threshold=doubles,
        positive=buckets,
        negative=buckets,
        exemplars=exemplars(hostile),
    )


quantiles = fields(pb.SummaryDataPoint.ValueAtQuantile, quantile=doubles, value=doubles)


def summary_points(hostile: bool = False) -> st.SearchStrategy[pb.SummaryDataPoint]:
    return fields(
        pb.SummaryDataPoint,
        times(hostile),
        **head,
        count=u64,
        sum=doubles,
        quantile_values=st.lists(quantiles, max_size=4),
    )


def metrics(hostile: bool = False) -> st.SearchStrategy[pb.Metric]:
    """Metrics of every kind, and now and then one without data."""
    temporality = {"aggregation_temporality": st.sampled_from([0, 1, 2, 7, -1])}

    def few(points: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.lists(points, max_size=3)

    data = {
        "gauge": fields(pb.Gauge, data_points=few(number_points(hostile))),
        "sum": fields(pb.Sum, data_points=few(number_points(hostile)), is_monotonic=st.booleans(), **temporality),
        "histogram": fields(pb.Histogram, data_points=few(histogram_points(hostile)), **temporality),
        "exponential_histogram": fields(
            pb.ExponentialHistogram, data_points=few(exponential_histogram_points(hostile)), **temporality
        ),
        "summary": fields(pb.Summary, data_points=few(summary_points(hostile))),
    }
    kinds = [strategy.map(lambda made, kind=kind: {kind: made}) for kind, strategy in data.items()]
    texts_and_metadata = st.fixed_dictionaries(
        {}, optional={"name": texts, "description": texts, "unit": texts, "metadata": attribute_sets}
    )
    return st.builds(lambda texts, made: pb.Metric(**texts, **made), texts_and_metadata, st.one_of(st.just({}), *kinds))


def metrics_requests(hostile: bool = False) -> st.SearchStrategy[ExportMetricsServiceRequest]:
    scope_metrics = fields(
        pb.ScopeMetrics, scope=scopes, metrics=st.lists(metrics(hostile), max_size=3), schema_url=schema_urls
    )
    resource_metrics = fields(
        pb.ResourceMetrics,
        resource=resources,
        scope_metrics=st.lists(scope_metrics, max_size=2),
        schema_url=schema_urls,
    )
    return fields(ExportMetricsServiceRequest, resource_metrics=st.lists(resource_metrics, max_size=3))
