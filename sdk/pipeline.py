"""The way of each signal from the providers out of the process: sonde's exporter, OpenTelemetry's own, or the console."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.trace import SpanProcessor
from sonde.sdk.exporting import Exporter
from sonde.sdk.lane import Bounds
from sonde.sdk.sending import Destination, Send, Signal, sender
from sonde.sdk.settings import SIGNALS, Queue, Settings


@dataclass(frozen=True)
class Pipeline:
    """What the providers are given. `exporter` is sonde's own, where something goes through it."""

    exporter: Exporter | None
    spans: list[SpanProcessor] = field(default_factory=list)
    logs: list[LogRecordProcessor] = field(default_factory=list)
    metrics: list[MetricExporter] = field(default_factory=list)


def destination(settings: Settings, signal: str) -> Destination:
    """SdkError where the endpoint is no URL."""
    route = settings.routes[signal]
    return Destination(
        url=settings.url(signal),
        signal=Signal(signal),
        protocol=settings.protocol(signal),
        headers=route.headers,
        compression="gzip" if route.compression == "gzip" else "none",
        timeout_seconds=route.timeout_seconds,
        certificate=route.certificate,
        client_certificate=route.client_certificate,
        client_key=route.client_key,
    )


def build(settings: Settings) -> Pipeline:
    """SdkError where a destination can't be one."""
    wanted = {name: destination(settings, name) for name in SIGNALS if "otlp" in settings.exporters(name)}
    if settings.exporter == "opentelemetry":
        from sonde.sdk import official

        found = official.pipeline(settings, wanted)
    else:
        found = own(settings, wanted)
    return with_console(settings, found)


def own(settings: Settings, wanted: dict[str, Destination]) -> Pipeline:
    if not wanted:
        return Pipeline(None)
    bounds = {Signal.TRACES: bounds_of(settings.spans_queue), Signal.LOGS: bounds_of(settings.logs_queue)}
    exporter = Exporter({to.signal: sending_to(to) for to in wanted.values()}, bounds)
    return Pipeline(
        exporter,
        [exporter.span_processor()] if "traces" in wanted else [],
        [exporter.log_processor()] if "logs" in wanted else [],
        [exporter.metric_exporter(**preferences(settings))] if "metrics" in wanted else [],
    )


def sending_to(to: Destination) -> Callable[[], Send]:
    return lambda: sender(to)


def bounds_of(queue: Queue) -> Bounds:
    return Bounds(records=queue.records, batch=min(queue.batch, queue.records), delay_seconds=queue.delay_seconds)


def preferences(settings: Settings) -> dict[str, Any]:
    """Of a metric exporter: temporality and aggregation by kind of instrument.
    https://opentelemetry.io/docs/specs/otel/metrics/sdk_exporters/otlp/"""
    from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
    from opentelemetry.sdk.metrics.export import AggregationTemporality
    from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

    delta = {
        "cumulative": (),
        "delta": (Counter, Histogram, ObservableCounter),
        "lowmemory": (Counter, Histogram),
    }[settings.temporality]
    found: dict[str, Any] = {"preferred_temporality": dict.fromkeys(delta, AggregationTemporality.DELTA)}
    if settings.histograms == "base2_exponential_bucket_histogram":
        found["preferred_aggregation"] = {Histogram: ExponentialBucketHistogramAggregation()}
    return found


def with_console(settings: Settings, pipeline: Pipeline) -> Pipeline:
    if "console" in settings.exporters("traces"):
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

        pipeline.spans.append(SimpleSpanProcessor(ConsoleSpanExporter()))
    if "console" in settings.exporters("logs"):
        from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor

        pipeline.logs.append(SimpleLogRecordProcessor(ConsoleLogRecordExporter()))
    if "console" in settings.exporters("metrics"):
        from opentelemetry.sdk.metrics.export import ConsoleMetricExporter

        pipeline.metrics.append(ConsoleMetricExporter())
    return pipeline
