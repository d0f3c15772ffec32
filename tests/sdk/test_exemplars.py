"""Measurements made within spans carry their traces along, through the provider and our encoder."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import Histogram
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from sonde.sdk.errors import SdkError
from sonde.sdk.meter import MeterProvider
from sonde.sdk.otlp.metrics import encode_metrics
from sonde.sdk.sampling import exemplar_filter
from sonde.sdk.settings import read_settings
from sonde.sdk.tracer import TracerProvider


def measured(filter: str = "", sampler: Sampler = ALWAYS_ON, exponential: bool = False) -> tuple[Any, dict[str, Any]]:
    """A span in which a counter, an up-down counter and a histogram were told something, and what of each was sent."""
    settings = read_settings({"OTEL_METRICS_EXEMPLAR_FILTER": filter})
    preferred = {Histogram: ExponentialBucketHistogramAggregation()} if exponential else None
    reader = InMemoryMetricReader(preferred_aggregation=preferred)
    provider = MeterProvider([reader], exemplar_filter=exemplar_filter(settings), shutdown_on_exit=False)
    meter = provider.get_meter("test")
    sold, queue, took = (
        meter.create_counter("sold"),
        meter.create_up_down_counter("queue"),
        meter.create_histogram("took"),
    )
    with TracerProvider(sampler=sampler).get_tracer("test").start_as_current_span("sells") as span:
        sold.add(2, {"thing": "tea"})
        queue.add(-1)
        took.record(0.25)
    data = reader.get_metrics_data()
    assert data is not None
    request = ExportMetricsServiceRequest.FromString(encode_metrics(data))
    metrics = request.resource_metrics[0].scope_metrics[0].metrics
    return span.get_span_context(), {metric.name: getattr(metric, metric.WhichOneof("data")) for metric in metrics}


@pytest.mark.parametrize("exponential", [False, True])
def test_a_measurement_in_a_sampled_span_is_sent_with_its_trace(exponential: bool) -> None:
    span, sent = measured(exponential=exponential)
    values = {}
    for name, data in sent.items():
        (exemplar,) = data.data_points[0].exemplars
        assert int.from_bytes(exemplar.trace_id, "big") == span.trace_id
        assert int.from_bytes(exemplar.span_id, "big") == span.span_id
        values[name] = getattr(exemplar, exemplar.WhichOneof("value"))
    assert values == {"sold": 2, "queue": -1, "took": 0.25}


@pytest.mark.parametrize(("filter", "count"), [("", 0), ("trace_based", 0), ("always_off", 0), ("always_on", 1)])
def test_one_in_a_span_that_is_not_sampled_only_where_all_are_wanted(filter: str, count: int) -> None:
    _, sent = measured(filter, ALWAYS_OFF)
    assert {name: len(data.data_points[0].exemplars) for name, data in sent.items()} == dict.fromkeys(sent, count)


def test_none_is_sent_where_none_is_wanted() -> None:
    _, sent = measured("always_off")
    assert all(not data.data_points[0].exemplars for data in sent.values())


def test_a_filter_that_is_none_is_met_with_a_sentence() -> None:
    with pytest.raises(SdkError, match="write one of trace_based, always_on, always_off"):
        read_settings({"OTEL_METRICS_EXEMPLAR_FILTER": "sampled"})
