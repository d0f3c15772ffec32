"""The zero at which a counter begins: without it nothing has increased in a test that measured once.

A cumulative series says when it began (`start_time_unix_nano`). One that began within the test was 0 when the test did, so a
point is put there, as Prometheus does with start timestamps where it is told to. `rate` and `increase` then see what the test did,
exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sonde.testing.records import MILLISECOND
from sonde.testing.slices import METRICS, Batch

CUMULATIVE = 2


@dataclass
class Zeros:
    """Of the test that began at `started_unix_nano`: a millisecond before it, for PromQL knows nothing finer."""

    started_unix_nano: int
    _seen: set[tuple[bytes, bytes, str, bytes]] = field(default_factory=set)

    def before(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches, each of metrics after one with the zeros of the series that it names first."""
        for batch in batches:
            if batch.signal == METRICS:
                zeros = self.of(batch.message)
                if zeros.resource_metrics:
                    yield Batch(METRICS, zeros, batch.received_unix_nano)
            yield batch

    def of(self, message: Any) -> Any:
        """A request with the zeros of its counters and histograms that began within the test and were not there before."""
        found = type(message)()
        for top in message.resource_metrics:
            for below in top.scope_metrics:
                for metric in below.metrics:
                    self._add(found, top, below, metric)
        return found

    def _add(self, found: Any, top: Any, below: Any, metric: Any) -> None:
        kind = metric.WhichOneof("data")
        data = getattr(metric, kind) if kind else None
        if data is None or not is_counting(kind, data):
            return
        fresh = [point for point in data.data_points if self._is_fresh(top, below, metric, point)]
        if not fresh:
            return
        own_top = found.resource_metrics.add(schema_url=top.schema_url)
        own_top.resource.CopyFrom(top.resource)
        own_below = own_top.scope_metrics.add(schema_url=below.schema_url)
        own_below.scope.CopyFrom(below.scope)
        own = own_below.metrics.add(name=metric.name, description=metric.description, unit=metric.unit)
        own.metadata.extend(metric.metadata)
        own_data = getattr(own, kind)
        own_data.aggregation_temporality = data.aggregation_temporality
        if kind == "sum":
            own_data.is_monotonic = data.is_monotonic
        for point in fresh:
            self._put(own_data.data_points.add(), kind, point)

    def _is_fresh(self, top: Any, below: Any, metric: Any, point: Any) -> bool:
        attributes = b"".join(sorted(each.SerializeToString() for each in point.attributes))
        key = (top.resource.SerializeToString(), below.scope.SerializeToString(), metric.name, attributes)
        is_new = key not in self._seen
        self._seen.add(key)
        return is_new and point.start_time_unix_nano >= self.started_unix_nano

    def _put(self, zero: Any, kind: str, point: Any) -> None:
        zero.attributes.extend(point.attributes)
        zero.time_unix_nano = self.started_unix_nano - MILLISECOND
        zero.start_time_unix_nano = zero.time_unix_nano
        if kind == "sum":
            name = point.WhichOneof("value") or "as_double"
            setattr(zero, name, 0)
            return
        zero.sum = 0.0
        if kind == "histogram":
            zero.explicit_bounds.extend(point.explicit_bounds)
            zero.bucket_counts.extend([0] * len(point.bucket_counts))
        else:
            zero.scale = point.scale
            zero.zero_threshold = point.zero_threshold


def is_counting(kind: str, data: Any) -> bool:
    """Whether it only grows, from a beginning that is told."""
    if kind not in ("sum", "histogram", "exponential_histogram") or data.aggregation_temporality != CUMULATIVE:
        return False
    return kind != "sum" or bool(data.is_monotonic)
