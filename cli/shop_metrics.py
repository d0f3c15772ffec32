"""What the shop and its fleet measure: every metric kind of OTLP, both temporalities, exemplars that lead to traces.

Field numbers (metrics.proto). Metric: name 1, description 2, unit 3, gauge 5, sum 7, histogram 9, exponential_histogram 10,
summary 11; each kind: data_points 1, aggregation_temporality 2 (1 delta, 2 cumulative), is_monotonic 3.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from sonde.cli.fleet import Container, Fleet
from sonde.cli.otlp_wire import (
    Value,
    attributes,
    chunk,
    double,
    fixed64,
    number,
    packed_double,
    packed_fixed64,
    packed_varint,
    text,
    zigzag,
)
from sonde.cli.shop import Step
from sonde.cli.shop_traces import Batch

DELTA, CUMULATIVE = 1, 2
SECONDS_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
EXPONENTIAL_SCALE = 3
HOST_SCOPE = text(1, "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetrics") + text(
    2, "0.120.0"
)
CONTAINER_SCOPE = text(1, "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/kubeletstats") + text(
    2, "0.120.0"
)
SHOP_SCOPE = text(1, "shop.metrics") + text(2, "1.0.0")
GO_SCOPE = text(1, "go.opentelemetry.io/contrib/bridges/prometheus") + text(2, "0.60.0")


@dataclass(slots=True)
class Durations:
    """Requests of one replica at one operation: `counts` ever since it started, `fresh` since the last report."""

    layer: str
    operation: str
    resource: bytes
    started: int
    counts: list[int] = field(default_factory=lambda: [0] * (len(SECONDS_BOUNDS) + 1))
    total: float = 0.0
    smallest: float = math.inf
    largest: float = 0.0
    failed: int = 0
    fresh: list[float] = field(default_factory=list)
    exemplar: tuple[float, bytes, int] = (0.0, b"", 0)

    def observe(self, seconds: float, failed: bool, context: bytes, at: int) -> None:
        self.counts[bisect_left(SECONDS_BOUNDS, seconds)] += 1
        self.total += seconds
        self.smallest, self.largest = min(self.smallest, seconds), max(self.largest, seconds)
        self.failed += failed
        self.fresh.append(seconds)
        if seconds >= self.exemplar[0]:
            self.exemplar = (seconds, context, at)


@dataclass(slots=True)
class Meters:
    """Counts what the walker serves, and reports it together with the fleet's own gauges and counters."""

    fleet: Fleet
    rng: Random
    batch: Batch
    started: int
    durations: dict[tuple[str, str], Durations] = field(default_factory=dict)
    orders: int = 0
    counters: dict[tuple[str, str], int] = field(default_factory=dict)
    last_report: int = 0

    def served(self, container: Container, step: Step, seconds: float, failed: bool, context: bytes, end: int) -> None:
        """One request. `context` is trace id and span id, 24 bytes, for the exemplar."""
        key = (container.pod, step.name)
        found = self.durations.get(key)
        if found is None:
            found = Durations(step.layer, step.name, container.resource, container.started_unix_nano)
            self.durations[key] = found
        found.observe(seconds, failed, context, end)
        self.orders += step.name == "shop.Checkout/PlaceOrder" and not failed

    def report(self, now: int) -> None:
        """Adds every metric as of `now` (Unix ns) to the batch."""
        since = self.last_report or self.started
        self.report_services(since, now)
        self.report_orders(since, now)
        self.report_runtime(now)
        self.report_servers(now)
        self.report_containers(now)
        self.last_report = now

    def report_services(self, since: int, now: int) -> None:
        running = {container.pod for container in self.fleet.containers()}
        for key, item in list(self.durations.items()):
            if key[0] not in running:
                del self.durations[key]  # its pod was replaced by a deployment
                continue
            if item.layer == "rpc":
                if item.fresh:
                    self.add(item.resource, SHOP_SCOPE, exponential("rpc.server.duration", item, since, now))
            else:
                name = "http.server.request.duration" if item.layer == "web" else "messaging.process.duration"
                self.add(item.resource, SHOP_SCOPE, explicit(name, item, now))
            point = number_point(labels(item), now, item.failed, start=item.started)
            self.add(item.resource, SHOP_SCOPE, total("shop.requests.failed", "{request}", [point], CUMULATIVE))
            item.fresh.clear()
            item.exemplar = (0.0, b"", 0)

    def report_orders(self, since: int, now: int) -> None:
        """A business counter with delta temporality, as StatsD-like sources send."""
        resource = self.fleet.by_service["checkout"][0].resource
        point = number_point({"currency": "EUR", "channel": "web"}, now, self.orders, start=since)
        self.add(resource, SHOP_SCOPE, total("shop.orders.placed", "{order}", [point], DELTA))
        self.orders = 0

    def report_runtime(self, now: int) -> None:
        """Go's collector pauses as a summary, the way a Prometheus bridge reports them."""
        for service in ("gateway", "payment", "shipping"):
            for container in self.fleet.by_service[service]:
                cycles = self.grow(container.pod, "gc", 3)
                quantiles = [(q, 2e-5 * (1 + 9 * q) * self.rng.uniform(0.8, 1.2)) for q in (0.0, 0.25, 0.5, 0.75, 1.0)]
                self.add(container.resource, GO_SCOPE, summary(cycles, quantiles, container.started_unix_nano, now))

    def report_servers(self, now: int) -> None:
        for server in self.fleet.servers:
            busy = 0.3 + 0.2 * math.sin(now / 6e11 + hash_of(server.name)) + self.rng.uniform(0, 0.1)
            cpu = [number_point({"cpu.mode": mode}, now, share) for mode, share in split_cpu(busy)]
            memory = [
                number_point({"system.memory.state": state}, now, int(share * 2**36), start=self.started)
                for state, share in (("used", 0.5 + busy / 4), ("cached", 0.3), ("free", 0.2 - busy / 4))
            ]
            network = [
                number_point(
                    {"network.interface.name": "eth0", "network.io.direction": way},
                    now,
                    self.grow(server.name, way, 40_000_000),
                    start=self.started,
                )
                for way in ("receive", "transmit")
            ]
            self.add(server.resource, HOST_SCOPE, gauge("system.cpu.utilization", "1", cpu), len(cpu))
            self.add(
                server.resource,
                HOST_SCOPE,
                total("system.memory.usage", "By", memory, CUMULATIVE, monotonic=False),
                len(memory),
            )
            self.add(server.resource, HOST_SCOPE, total("system.network.io", "By", network, CUMULATIVE), len(network))

    def report_containers(self, now: int) -> None:
        shop = ((container.pod, container.resource) for container in self.fleet.containers())
        for pod, resource in (*shop, *self.fleet.others):
            cpu = number_point({}, now, self.grow(pod, "cpu", 4_000) / 1_000, start=self.started)
            memory = number_point({}, now, 2**28 + self.rng.randrange(2**26))
            self.add(resource, CONTAINER_SCOPE, total("container.cpu.time", "s", [cpu], CUMULATIVE))
            self.add(resource, CONTAINER_SCOPE, gauge("container.memory.working_set", "By", [memory]))

    def grow(self, owner: str, what: str, at_most: int) -> int:
        """The next value of a cumulative counter."""
        value = self.counters.get((owner, what), 0) + self.rng.randrange(at_most + 1)
        self.counters[owner, what] = value
        return value

    def add(self, resource: bytes, scope: bytes, metric: bytes, points: int = 1) -> None:
        self.batch.add(resource, scope, metric, points)


def hash_of(name: str) -> int:
    """A small number that is the same in every run."""
    return sum(name.encode())


def split_cpu(busy: float) -> Iterable[tuple[str, float]]:
    return (("user", busy * 0.75), ("system", busy * 0.25), ("idle", 1.0 - busy))


def metric(name: str, unit: str, kind: int, data: bytes, description: str = "") -> bytes:
    return text(1, name) + (text(2, description) if description else b"") + text(3, unit) + chunk(kind, data)


def gauge(name: str, unit: str, points: Sequence[bytes]) -> bytes:
    return metric(name, unit, 5, b"".join(chunk(1, point) for point in points))


def total(name: str, unit: str, points: Sequence[bytes], temporality: int, monotonic: bool = True) -> bytes:
    """A Sum."""
    data = b"".join(chunk(1, point) for point in points) + number(2, temporality)
    return metric(name, unit, 7, data + (number(3, 1) if monotonic else b""))


def number_point(values: dict[str, Value], now: int, value: float, start: int = 0) -> bytes:
    """NumberDataPoint: attributes 7, start 2, time 3, as_double 4, as_int 6."""
    times = (fixed64(2, start) if start else b"") + fixed64(3, now)
    return attributes(7, values) + times + (fixed64(6, value) if isinstance(value, int) else double(4, value))


def labels(item: Durations) -> dict[str, Value]:
    """The attributes of an operation's points, by its layer's semantic conventions."""
    if item.layer == "web":
        method, _, route = item.operation.partition(" ")
        return {"http.request.method": method, "http.route": route}
    if item.layer == "rpc":
        service, _, method = item.operation.partition("/")
        return {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
    return {"messaging.system": "kafka", "messaging.destination.name": item.operation.rpartition(" ")[2]}


def exemplar(item: Durations) -> bytes:
    """Exemplar: time 2, as_double 3, span_id 4, trace_id 5."""
    seconds, context, at = item.exemplar
    return fixed64(2, at) + double(3, seconds) + chunk(4, context[16:]) + chunk(5, context[:16])


def explicit(name: str, item: Durations, now: int) -> bytes:
    """A cumulative Histogram. Its point: attributes 9, start 2, time 3, count 4, sum 5, bucket_counts 6, explicit_bounds 7,
    exemplars 8, min 11, max 12."""
    point = (
        attributes(9, labels(item))
        + fixed64(2, item.started)
        + fixed64(3, now)
        + fixed64(4, sum(item.counts))
        + double(5, item.total)
        + packed_fixed64(6, item.counts)
        + packed_double(7, SECONDS_BOUNDS)
        + (chunk(8, exemplar(item)) if item.exemplar[1] else b"")
        + double(11, item.smallest)
        + double(12, item.largest)
    )
    return metric(name, "s", 9, chunk(1, point) + number(2, CUMULATIVE), "Duration of what the service handled")


def exponential(name: str, item: Durations, since: int, now: int) -> bytes:
    """A delta ExponentialHistogram of what is fresh. Its point: attributes 1, start 2, time 3, count 4, sum 5, scale 6,
    zero_count 7, positive 8 (offset 1, bucket_counts 2), exemplars 11, min 12, max 13."""
    indices = [math.ceil(math.log2(seconds) * 2**EXPONENTIAL_SCALE) - 1 for seconds in item.fresh]
    offset = min(indices)
    counts = [0] * (max(indices) - offset + 1)
    for index in indices:
        counts[index - offset] += 1
    point = (
        attributes(1, labels(item))
        + fixed64(2, since)
        + fixed64(3, now)
        + fixed64(4, len(item.fresh))
        + double(5, sum(item.fresh))
        + zigzag(6, EXPONENTIAL_SCALE)
        + fixed64(7, 0)
        + chunk(8, zigzag(1, offset) + packed_varint(2, counts))
        + (chunk(11, exemplar(item)) if item.exemplar[1] else b"")
        + double(12, min(item.fresh))
        + double(13, max(item.fresh))
    )
    return metric(name, "s", 10, chunk(1, point) + number(2, DELTA), "Duration of incoming calls")


def summary(cycles: int, quantiles: Sequence[tuple[float, float]], start: int, now: int) -> bytes:
    """A Summary. Its point: start 2, time 3, count 4, sum 5, quantile_values 6 (quantile 1, value 2)."""
    values = b"".join(chunk(6, double(1, quantile) + double(2, value)) for quantile, value in quantiles)
    point = fixed64(2, start) + fixed64(3, now) + fixed64(4, cycles) + double(5, cycles * 5e-5) + values
    return metric("go_gc_duration_seconds", "s", 11, chunk(1, point), "Pauses of the garbage collector")
