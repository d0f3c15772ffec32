"""What of a transcoded request the scan kept, in the terms of who sent it: samples, histograms and exemplars of series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from sonde.ingest.limits import Limits, Reason
from sonde.ingest.remote_write import Transcoded
from sonde.ingest.remote_write_refusals import Refusals, SeriesRefused
from sonde.ingest.scan import WHAT_TO_DO, Scan, walk
from sonde.ingest.signals import Signal
from sonde.ingest.tally import NO_REASON
from sonde.storage.columns import U8


@dataclass(frozen=True, slots=True)
class Written:
    """What is kept of a request. `refused` says what is not, and why; empty where everything is."""

    samples: int = 0
    histograms: int = 0
    exemplars: int = 0
    refused: str = ""


def kept(made: Transcoded, found: Scan, over: U8 | None, limits: Limits, received_unix_nano: int) -> Written:
    """What is written of `made`, of which `found` was kept, but not the points that are of series too many, where `over` is not
    0; what was refused is added to its refusals."""
    if not found.rejected_total:
        return Written(made.samples, made.histograms, made.exemplars, explain(made.refusals))
    verdicts = np.zeros(found.records, np.uint8)
    walk(
        Signal.METRICS,
        np.frombuffer(made.body, np.uint8),
        [len(made.body)],
        [received_unix_nano],
        limits,
        verdicts,
    )
    if over is not None:
        verdicts[over != 0] = Reason.TOO_MANY_SERIES
    samples = histograms = exemplars = 0
    for (metric, point, is_histogram), verdict in zip(points_of(made.body), verdicts.tolist(), strict=True):
        if verdict != NO_REASON:
            made.refusals.add(labels_of(metric, point), judged(Reason(verdict)), 1)
            continue
        exemplars += len(point.exemplars)
        if is_histogram:
            histograms += 1
        elif point.WhichOneof("value") or point.flags:
            samples += 1
    return Written(samples, histograms, exemplars, explain(made.refusals, found.too_many_series))


def explain(refusals: Refusals, too_many_series: str = "") -> str:
    """The text of a partial success; empty where it is none."""
    if not refusals:
        return ""
    head = f"{refusals.records} samples were refused and are not to be sent again; every other was kept."
    series = [f"{Reason.TOO_MANY_SERIES.label}: {too_many_series}."] if too_many_series else []
    return "\n".join([head, *series, refusals.explain()])


def judged(reason: Reason) -> SeriesRefused:
    return SeriesRefused(reason, f"{reason.label} ({WHAT_TO_DO[reason]})")


def points_of(body: bytes) -> Iterator[tuple[Any, Any, bool]]:
    """(Metric, point, whether it is a histogram's) of a request of ours, in the order of the wire."""
    for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                data = str(metric.WhichOneof("data"))
                for point in getattr(metric, data).data_points:
                    yield metric, point, data not in ("gauge", "sum")


def labels_of(metric: Any, point: Any) -> list[tuple[bytes, bytes]]:
    """The labels that the series had."""
    attributes = [(each.key.encode(), each.value.string_value.encode()) for each in point.attributes]
    return [(b"__name__", metric.name.encode()), *attributes]
