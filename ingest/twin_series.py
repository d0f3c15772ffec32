"""The slow twins of `point_series.py`, `point_cut.py` and `series_table.py`: the same from protobuf classes and a dict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from sonde.ingest import fingerprint
from sonde.ingest.series_table import OVER_METRIC, OVER_TENANT
from sonde.ingest.twin_metrics import TYPE_OF


def series_slowly(body: bytes) -> list[tuple[int, int]]:
    """(series_id, hash of the metric's name) of each data point, in wire order."""
    return [(series, fingerprint.text_hash_slowly(metric.name)) for metric, series in _points(body)]


def _points(body: bytes) -> Iterator[tuple[Any, int]]:
    for parent in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        resource_id = fingerprint.resource_id_slowly(parent.resource, parent.schema_url)
        for scope_metrics in parent.scope_metrics:
            scope_id = fingerprint.scope_id_slowly(scope_metrics.scope, scope_metrics.schema_url)
            for metric in scope_metrics.metrics:
                if (kind := metric.WhichOneof("data")) is None:
                    continue
                data = getattr(metric, kind)
                temporality = getattr(data, "aggregation_temporality", 0)
                is_monotonic = getattr(data, "is_monotonic", False)
                identity = fingerprint.metric_id_slowly(
                    resource_id, scope_id, metric, TYPE_OF[kind], temporality, is_monotonic
                )
                for point in data.data_points:
                    yield metric, fingerprint.series_id_slowly(identity, point.attributes)


def without_points_slowly(body: bytes, cut: Sequence[int]) -> ExportMetricsServiceRequest:
    """`body` without the data points at which `cut` is not 0, nor what held points and holds none any more."""
    request = ExportMetricsServiceRequest.FromString(body)
    verdicts = iter(cut)

    def of_metric(metric: Any) -> tuple[int, int]:
        kind = metric.WhichOneof("data")
        points = getattr(metric, kind).data_points if kind else []
        before = len(points)
        for place in [place for place in range(before) if next(verdicts) != 0][::-1]:
            del points[place]
        return before, len(points)

    def of_scope(scope_metrics: Any) -> tuple[int, int]:
        return _without_emptied(scope_metrics.metrics, of_metric)

    def of_resource(resource_metrics: Any) -> tuple[int, int]:
        return _without_emptied(resource_metrics.scope_metrics, of_scope)

    _without_emptied(request.resource_metrics, of_resource)
    return request


def _without_emptied(messages: Any, cut: Callable[[Any], tuple[int, int]]) -> tuple[int, int]:
    """Cut in each message and drop the emptied ones: how many points there were, and how many there are."""
    counts = [cut(message) for message in messages]
    for place in reversed(range(len(counts))):
        before, after = counts[place]
        if before and not after:
            del messages[place]
    return sum(before for before, _ in counts), sum(after for _, after in counts)


@dataclass
class SlowSeries:
    """What `TenantSeries.judge` is, as a dict of when each series was seen last; stale ones go at once."""

    of_tenant: int
    of_metric: int
    window_seconds: int
    seen: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By series_id: the metric's name hash, and the second."""

    def judge(self, points: Iterable[tuple[int, int]], now: int) -> list[int]:
        """OVER_* or 0 for each (series_id, hash of the metric's name)."""
        self.seen = {series: each for series, each in self.seen.items() if now - each[1] <= self.window_seconds}
        return [self._judge(series, name, now) for series, name in points]

    def _judge(self, series: int, name: int, now: int) -> int:
        if series not in self.seen:
            of_metric = sum(1 for metric, _ in self.seen.values() if metric == name)
            if self.of_metric and of_metric >= self.of_metric:
                return OVER_METRIC
            if self.of_tenant and len(self.seen) >= self.of_tenant:
                return OVER_TENANT
        self.seen[series] = (name, now)
        return 0
