"""`counter`, `histogram` and `gauge`, and `event` where no span is: what reaches providers of OpenTelemetry's."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import _logs, metrics, trace
from opentelemetry.metrics import _internal
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from sonde.sdk import counter, event, gauge, histogram, instruments


def points(reader: InMemoryMetricReader) -> dict[str, Any]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: (metric, list(metric.data.data_points))
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


@pytest.fixture
def proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a program that has set no provider yet."""
    monkeypatch.setattr(instruments, "_made", {})
    monkeypatch.setattr(_internal, "_METER_PROVIDER", None)
    monkeypatch.setattr(_internal, "_PROXY_METER_PROVIDER", _internal._ProxyMeterProvider())
    monkeypatch.setattr(_internal, "_METER_PROVIDER_SET_ONCE", _internal.Once())


@pytest.mark.usefixtures("proxies")
def test_instruments_of_before_there_was_a_provider_work_when_there_is_one() -> None:
    orders = counter("orders", "{order}", "orders taken")
    orders.add(1)  # nobody listens
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    orders.add(2, {"country": "de"})
    counter("orders").add(3, {"country": "de"})
    histogram("order.size", unit="{item}").record(4)
    gauge("stock").set(7)
    gauge("stock").set(5)
    found = points(reader)
    metric, (told,) = found["orders"]
    assert (metric.unit, metric.description, told.value, dict(told.attributes)) == (
        "{order}",
        "orders taken",
        5,
        {"country": "de"},
    )
    assert found["order.size"][1][0].sum == 4
    assert found["stock"][1][0].value == 5


def test_the_same_name_is_the_same_instrument() -> None:
    assert counter("sold") is counter("sold")
    assert histogram("sold") is not counter("sold")


def test_an_event_without_a_span_is_a_log_record_of_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider = InMemoryLogRecordExporter(), LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    monkeypatch.setattr(_logs._internal, "_LOGGER_PROVIDER", provider)
    assert trace.get_current_span() is trace.INVALID_SPAN
    event("deployed", {"version": "1.4"})
    (told,) = exporter.get_finished_logs()
    assert told.log_record.event_name == "deployed"
    assert dict(told.log_record.attributes or {}) == {"version": "1.4"}
