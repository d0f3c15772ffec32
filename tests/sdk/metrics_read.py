"""What a MeterProvider of OpenTelemetry's SDK has collected, for tests to look at."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from sonde.sdk.meter import MeterProvider


class Metered:
    """A provider, and what is collected from it."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.meter = self.provider.get_meter("test")

    def metrics(self) -> dict[str, Any]:
        """The metrics of a collection made now, by name."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: metric
            for of_resource in (data.resource_metrics if data is not None else [])
            for of_scope in of_resource.scope_metrics
            for metric in of_scope.metrics
        }

    def points(self, name: str) -> list[Any]:
        """The points of a metric in a collection made now; none where it has none."""
        found = self.metrics()
        return list(found[name].data.data_points) if name in found else []

    def values(self, name: str) -> dict[Any, Any]:
        """Values by the value of the only attribute, by "" where there is none."""
        return {next(iter((point.attributes or {}).values()), ""): point.value for point in self.points(name)}
