"""Metrics of the official SDK, sent over OTLP to `sonde serve`, asked for as from a Prometheus server."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from prometheus_api_client import PrometheusConnect
from running import Running, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("prometheus")) as running:
        send(running.urls["http"])
        yield running


def send(url: str) -> None:
    """A counter, a gauge and two histograms, exported twice."""
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics"), export_interval_millis=math.inf)
    provider = MeterProvider(
        metric_readers=[reader],
        resource=Resource.create({"service.name": "shop", "service.instance.id": "one"}),
        views=[View(instrument_name="order.size", aggregation=ExponentialBucketHistogramAggregation())],
    )
    meter = provider.get_meter("shop.orders", "2.1")
    orders = meter.create_counter("orders.placed", unit="{order}", description="Orders.")
    temperature = meter.create_gauge("oven.temperature", unit="Cel")
    duration = meter.create_histogram("http.server.request.duration", unit="s")
    size = meter.create_histogram("order.size")
    for _ in range(2):
        orders.add(3, {"kind": "cake", "vip": True})
        orders.add(1, {"kind": "pie", "vip": False})
        temperature.set(180.5)
        for value in (0.02, 0.3, 4.0):
            duration.record(value, {"http.route": "/orders"})
            size.record(value)
        assert provider.force_flush()
    provider.shutdown()


@pytest.fixture
def prometheus(server: Running) -> Iterator[PrometheusConnect]:
    client = PrometheusConnect(url=f"{server.urls['query'].rstrip('/')}/prometheus")
    deadline = time.monotonic() + 120
    while "order_size" not in client.all_metrics():
        assert time.monotonic() < deadline, server.output
        time.sleep(0.05)
    yield client
    client._session.close()


def by_label(found: list[dict[str, Any]], label: str) -> dict[str, str]:
    return {series["metric"].get(label, ""): series["value"][1] for series in found}


def test_a_counter_has_its_suffixes_and_labels(prometheus: PrometheusConnect) -> None:
    found = prometheus.custom_query("orders_placed_total")
    assert by_label(found, "kind") == {"cake": "6", "pie": "2"}
    assert by_label(found, "vip") == {"true": "6", "false": "2"}
    assert {series["metric"]["job"] for series in found} == {"shop"}
    assert {series["metric"]["instance"] for series in found} == {"one"}


def test_a_gauge_goes_by_both_names(prometheus: PrometheusConnect) -> None:
    for name in ("oven_temperature_celsius", '{"oven.temperature"}'):
        (found,) = prometheus.custom_query(name)
        assert found["value"][1] == "180.5"


def test_a_histogram_has_quantiles(prometheus: PrometheusConnect) -> None:
    buckets = "http_server_request_duration_seconds_bucket"
    assert by_label(prometheus.custom_query(f'{buckets}{{le="+Inf"}}'), "http_route") == {"/orders": "6"}
    (found,) = prometheus.custom_query(f"histogram_quantile(1, sum by (le) ({buckets}))")
    assert float(found["value"][1]) == 5


def test_an_exponential_histogram_is_a_native_one(prometheus: PrometheusConnect) -> None:
    (found,) = prometheus.custom_query("order_size")
    assert found["histogram"][1]["count"] == "6"
    (total,) = prometheus.custom_query("histogram_sum(order_size)")
    assert float(total["value"][1]) == pytest.approx(8.64)
