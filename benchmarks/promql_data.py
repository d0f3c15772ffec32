"""Seeded metrics for `promql`: counters, gauges and classic histograms, once as arrays, then as OTLP and as remote write.

Names and labels are chosen so that every server sees the same series: units and types become the suffixes that
`Kind.prometheus` has, attributes are plain label names, and the one resource attribute is the label `job`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

from benchmarks.payload import attribute

Labels = dict[str, str]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

JOB = "shop"
SERVICES = 20
CODES = ("200", "201", "304", "404", "500")
ROUTES = tuple(
    f"/api/{noun}"
    for noun in ["products", "orders", "customers", "baskets", "invoices", "stock", "users", "search", "cart", "pay"]
)
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
PARTS_OF_A_HISTOGRAM = len(BOUNDS) + 3
"""Series of Prometheus that one histogram is: its buckets, `_count` and `_sum`."""
POINTS_PER_REQUEST = 1_000
SERIES_PER_WRITE = 2_000
SLICE_SECONDS = 600
"""A remote write covers so much time of its series: Prometheus takes nothing older than an hour before its newest sample."""
RESETS = 0.05
"""Share of the counters that start again once."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """n series of one metric with s samples each."""

    name: str
    unit: str
    prometheus: str
    kind: str
    """`sum`, `gauge` or `histogram`."""
    labels: list[Labels]
    times_ms: Ints
    """(n, s)"""
    values: Floats
    """(n, s); of a histogram (n, s, buckets), the observations of each bucket alone."""
    sums: Floats | None = None
    """(n, s) of a histogram."""

    def prometheus_series(self) -> Iterator[tuple[Labels, Floats, Ints]]:
        """Labels with `__name__`, values and times of each series of Prometheus."""
        for labels, times, values, row in zip(
            self.labels, self.times_ms, self.values, range(len(self.labels)), strict=True
        ):
            if self.sums is None:
                yield {"__name__": self.prometheus, **labels}, values, times
                continue
            below = np.cumsum(values, axis=1)
            for bucket, bound in enumerate((*BOUNDS, np.inf)):
                le = "+Inf" if bound == np.inf else f"{bound:g}"
                yield {"__name__": f"{self.prometheus}_bucket", **labels, "le": le}, below[:, bucket], times
            yield {"__name__": f"{self.prometheus}_count", **labels}, below[:, -1], times
            yield {"__name__": f"{self.prometheus}_sum", **labels}, self.sums[row], times


def make(series: int, samples: int, every_seconds: int, end_ms: int, seed: int) -> list[Metrics]:
    """About `series` series as Prometheus counts them, the newest samples within `every_seconds` before `end_ms`."""
    rng = np.random.default_rng(seed)
    counters, histograms = series * 4 // 10, max(SERVICES, series * 4 // 10 // PARTS_OF_A_HISTOGRAM)
    by_code = [
        labels(i % SERVICES, i // 1000, route=ROUTES[i // 100 % 10], code=CODES[i // 20 % 5]) for i in range(counters)
    ]
    by_route = [labels(i % SERVICES, i // 200, route=ROUTES[i // 20 % 10]) for i in range(histograms)]
    builds = [
        labels(i % SERVICES, i // SERVICES, version=f"1.{i % 7}") for i in range((counters // 1000 + 1) * SERVICES)
    ]
    gauges = series - counters - histograms * PARTS_OF_A_HISTOGRAM - len(builds)
    by_instance = [labels(i % SERVICES, i // SERVICES) for i in range(max(SERVICES, gauges))]

    def times(n: int) -> Ints:
        """Every series has its place within the interval, as targets of a scrape have."""
        last = end_ms - rng.integers(1, every_seconds * 1000, (n, 1))
        return last - np.arange(samples)[::-1] * every_seconds * 1000

    def counted(*shape: int) -> Floats:
        """From far above zero on: near it Prometheus 2 and 3 extrapolate half-filled windows differently."""
        each = (shape[0], 1, *shape[2:])
        rates = np.broadcast_to(rng.gamma(2.0, 10.0, each), shape)
        return (rng.integers(100_000, 1_000_000, each) + np.cumsum(rng.poisson(rates), axis=1)).astype(np.float64)

    requests = counted(counters, samples)
    for row in rng.choice(counters, int(counters * RESETS), replace=False):
        at = rng.integers(1, samples)
        requests[row, at:] -= requests[row, at - 1]
    used = 2e8 + np.cumsum(rng.normal(0, 1e6, (len(by_instance), samples)), axis=1)
    observed = counted(histograms, samples, len(BOUNDS) + 1)
    seconds = observed @ np.array([*BOUNDS, 10.0])
    return [
        Metrics(
            "http.server.requests", "{request}", "http_server_requests_total", "sum", by_code, times(counters), requests
        ),
        Metrics(
            "process.memory.usage", "By", "process_memory_usage_bytes", "gauge", by_instance, times(len(used)), used
        ),
        Metrics("build.info", "", "build_info", "gauge", builds, times(len(builds)), np.ones((len(builds), samples))),
        Metrics(
            *("http.server.request.duration", "s", "http_server_request_duration_seconds", "histogram", by_route),
            *(times(histograms), observed, seconds),
        ),
    ]


def labels(service: int, instance: int, **others: str) -> Labels:
    return {"service": f"service-{service:02d}", "instance": f"10.0.{service}.{instance}:8080", **others}


def otlp_requests(metrics: list[Metrics]) -> Iterator[bytes]:
    """ExportMetricsServiceRequests in the order of time, a sample of up to POINTS_PER_REQUEST series in each."""
    templates = [
        (each, first, Template(each, slice(first, first + POINTS_PER_REQUEST)))
        for each in metrics
        for first in range(0, len(each.labels), POINTS_PER_REQUEST)
    ]
    for sample in range(metrics[0].times_ms.shape[1]):
        for _, _, template in templates:
            yield template.at(sample)


class Template:
    """The request of some series of a metric; from sample to sample only numbers of fixed width change."""

    MARK = 0x0102030405060708
    POINT = re.compile(b"\x19" + re.escape(struct.pack("<Q", MARK)))
    """`time_unix_nano`, which the values follow, each after its tag (opentelemetry/proto/metrics/v1/metrics.proto)."""

    def __init__(self, metrics: Metrics, rows: slice) -> None:
        self.times = metrics.times_ms[rows] * 1_000_000
        self.values = metrics.values[rows]
        self.sums = None if metrics.sums is None else metrics.sums[rows]
        self.bytes = np.frombuffer(bytearray(self._request(metrics, metrics.labels[rows])), np.uint8)
        self.points = np.array([found.start() for found in self.POINT.finditer(self.bytes.tobytes())])
        assert len(self.points) == len(self.times)

    def _request(self, metrics: Metrics, labels: list[Labels]) -> bytes:
        request = ExportMetricsServiceRequest()
        resource = request.resource_metrics.add()
        resource.resource.attributes.append(attribute("service.name", JOB))
        metric: Metric = resource.scope_metrics.add().metrics.add(name=metrics.name, unit=metrics.unit)
        data = getattr(metric, metrics.kind)
        if metrics.kind != "gauge":
            data.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        if metrics.kind == "sum":
            data.is_monotonic = True
        numbers = {"as_double": 1.0} if self.sums is None else histogram_point()
        for each in labels:
            attributes = [attribute(*item) for item in each.items()]
            data.data_points.add(time_unix_nano=self.MARK, attributes=attributes, **numbers)
        return request.SerializeToString()

    def at(self, sample: int) -> bytes:
        self._put(1, self.times[:, sample].astype("<i8"))
        if self.sums is None:
            self._put(10, self.values[:, sample].astype("<f8"))
        else:
            counts = self.values[:, sample].astype("<i8")
            self._put(10, counts.sum(axis=1))
            self._put(19, self.sums[:, sample].astype("<f8"))
            self._put(29, counts)
        return self.bytes.tobytes()

    def _put(self, offset: int, numbers: NDArray[np.generic]) -> None:
        """Write the numbers of each point at this distance from its start."""
        raw = np.ascontiguousarray(numbers).view(np.uint8).reshape(len(self.points), -1)
        self.bytes[(self.points + offset)[:, None] + np.arange(raw.shape[1])] = raw


def histogram_point() -> dict[str, object]:
    return {"count": 1, "sum": 1.0, "bucket_counts": [0] * (len(BOUNDS) + 1), "explicit_bounds": BOUNDS}


def remote_writes(metrics: list[Metrics], every_seconds: int) -> Iterator[bytes]:
    """Remote-write 1.0 bodies (prometheus.WriteRequest in snappy's block format) of the same samples, in the order of time."""
    series = [
        (
            b"".join(
                field(1, field(1, name.encode()) + field(2, value.encode())) for name, value in sorted(found.items())
            ),
            *rest,
        )
        for each in metrics
        for found, *rest in with_job(each)
    ]
    width = max(1, SLICE_SECONDS // every_seconds)
    for begin in range(0, series[0][1].shape[0], width):
        for first in range(0, len(series), SERIES_PER_WRITE):
            yield literal_snappy(
                b"".join(
                    field(1, head + samples(values[begin : begin + width], times[begin : begin + width]))
                    for head, values, times in series[first : first + SERIES_PER_WRITE]
                )
            )


def with_job(metrics: Metrics) -> Iterator[tuple[Labels, Floats, Ints]]:
    for found, values, times in metrics.prometheus_series():
        yield {**found, "job": JOB}, values, times


def samples(values: Floats, times_ms: Ints) -> bytes:
    """`repeated Sample samples = 2` with value = 1 and timestamp = 2, whose varint has six bytes between 2004 and 2109."""
    rows = np.empty((len(values), 18), np.uint8)
    rows[:, :3] = (0x12, 16, 0x09)
    rows[:, 3:11] = np.ascontiguousarray(values, "<f8").view(np.uint8).reshape(-1, 8)
    rows[:, 11] = 0x10
    rows[:, 12:] = (times_ms[:, None] >> np.arange(0, 42, 7)) & 0x7F
    rows[:, 12:17] |= 0x80
    return rows.tobytes()


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def literal_snappy(content: bytes) -> bytes:
    """Snappy's block format with the whole content as one literal: nothing is compressed, nothing needs a package."""
    return varint(len(content)) + b"\xfc" + struct.pack("<I", len(content) - 1) + content
