"""The exporters of opentelemetry-exporter-otlp, by sonde's settings: for comparison, and for what only they can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from sonde.sdk.pipeline import Pipeline, preferences
from sonde.sdk.sending import Destination
from sonde.sdk.settings import Queue, Settings


def pipeline(settings: Settings, wanted: Mapping[str, Destination]) -> Pipeline:
    found = Pipeline(None)
    for name, to in wanted.items():
        made = exporter(name, to, preferences(settings) if name == "metrics" else {})
        if name == "traces":
            found.spans.append(BatchSpanProcessor(made, **batching(settings.spans_queue)))
        elif name == "logs":
            found.logs.append(BatchLogRecordProcessor(made, **batching(settings.logs_queue)))
        else:
            found.metrics.append(made)
    return found


def batching(queue: Queue) -> dict[str, Any]:
    return {
        "max_queue_size": queue.records,
        "max_export_batch_size": min(queue.batch, queue.records),
        "schedule_delay_millis": queue.delay_seconds * 1000,
    }


def exporter(name: str, to: Destination, more: Mapping[str, Any]) -> Any:
    if to.protocol == "grpc":
        return grpc_exporter(name, to, more)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    kinds: dict[str, Any] = {"traces": OTLPSpanExporter, "metrics": OTLPMetricExporter, "logs": OTLPLogExporter}
    return kinds[name](
        endpoint=to.url,
        headers=dict(to.headers),
        timeout=to.timeout_seconds,
        compression=Compression(to.compression),
        certificate_file=to.certificate,
        client_certificate_file=to.client_certificate,
        client_key_file=to.client_key,
        **more,
    )


def grpc_exporter(name: str, to: Destination, more: Mapping[str, Any]) -> Any:
    """Certificates it reads from the variables by itself."""
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    kinds: dict[str, Any] = {"traces": OTLPSpanExporter, "metrics": OTLPMetricExporter, "logs": OTLPLogExporter}
    return kinds[name](
        endpoint=to.url,
        insecure=to.url.startswith("http://"),
        headers=dict(to.headers),
        timeout=to.timeout_seconds,
        compression=grpc.Compression.Gzip if to.compression == "gzip" else grpc.Compression.NoCompression,
        **more,
    )
