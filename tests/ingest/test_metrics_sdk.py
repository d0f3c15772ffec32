"""Metrics as real senders write them: the official SDK's encoder for every kind it has, and the specification's example."""

from __future__ import annotations

import json
from typing import Any

import pytest
from columns import tables_of
from conformance import path_of
from google.protobuf import json_format
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from sonde.ingest.decode import decode
from sonde.ingest.limits import Limits
from sonde.ingest.signals import Signal
from test_metrics_decode import assert_same


def usage(_options: CallbackOptions) -> list[Observation]:
    return [Observation(3, {"pool": "a"}), Observation(2.5, {"pool": "b"})]


@pytest.fixture
def exported() -> bytes:
    """What the official SDK sends of every instrument."""
    reader = InMemoryMetricReader()
    provider = MeterProvider(
        metric_readers=[reader],
        resource=Resource.create({"service.name": "shop"}),
        views=[View(instrument_name="sizes", aggregation=ExponentialBucketHistogramAggregation())],
    )
    meter = provider.get_meter("shop", "1.0", attributes={"kind": "test"})
    meter.create_counter("requests", unit="{request}", description="Requests.").add(
        5, {"ok": True, "codes": [200, 201]}
    )
    meter.create_up_down_counter("inflight").add(-2, {"n": 7})
    meter.create_gauge("temperature").set(21.5)
    meter.create_observable_gauge("usage", [usage])
    for value in (0.1, 3.0, 700.0):
        meter.create_histogram("durations", unit="ms").record(value, {"route": "/"})
        meter.create_histogram("sizes").record(value)
    data = reader.get_metrics_data()
    assert data is not None
    provider.shutdown()
    return bytes(encode_metrics(data).SerializeToString())


def test_what_the_sdk_exports_is_decoded_whole(exported: bytes) -> None:
    request = ExportMetricsServiceRequest.FromString(exported)
    received = request.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0].time_unix_nano + 10**9
    assert_same([exported], Limits(), [received])
    decoded = decode(Signal.METRICS, [exported], [received], Limits())
    tables = tables_of(decoded)
    assert len(tables["points_number"]["value"]) == 5
    assert tables["points_histogram"]["count"] == [3]
    assert sum(tables["points_histogram"]["bucket_counts"][0]) == 3
    assert sum(tables["points_exponential_histogram"]["positive_bucket_counts"][0]) == 3
    assert len(set(decoded.series.ids.tolist())) == 7


def test_the_example_of_the_specification_is_decoded_whole() -> None:
    document: dict[str, Any] = json.loads(path_of("otlp/metrics.json").read_text())
    body = json_format.ParseDict(document, ExportMetricsServiceRequest()).SerializeToString()
    received = 1_544_712_660_300_000_000
    assert_same([body], Limits(), [received])
    tables = tables_of(decode(Signal.METRICS, [body], [received], Limits()))
    assert set(tables) == {"points_number", "points_histogram", "points_exponential_histogram"}
