"""The shop: what the demo writes is valid OTLP of the kinds it promises, and its bad deployment shows."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from threading import Event

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from sonde.cli.demo import Generator, Plan, Sender, build
from sonde.cli.fleet import CONTAINERS, JOBS, SERVERS, SERVICES, Fleet
from sonde.cli.otlp_client import Answer
from sonde.cli.scenario import SECOND
from sonde.cli.shop_traces import Batch

START = 1_767_600_000 * SECOND
CLASSES = {
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}


@dataclass
class Kept:
    """Stands where the OTLP client stands, and keeps every request parsed by the official classes."""

    requests: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    trouble: str = ""

    def send(self, signal: str, body: bytes) -> Answer:
        self.requests[signal].append(body)
        return Answer(0, "")

    def close(self) -> None: ...

    def merged(self, signal: str) -> object:
        return CLASSES[signal].FromString(b"".join(self.requests[signal]))

    def spans(self) -> Iterator[tuple[dict[str, object], Span]]:
        for group in self.merged("traces").resource_spans:  # type: ignore[attr-defined]
            resource = plain(group.resource.attributes)
            for scope in group.scope_spans:
                yield from ((resource, span) for span in scope.spans)

    def metrics(self) -> Iterator[Metric]:
        for group in self.merged("metrics").resource_metrics:  # type: ignore[attr-defined]
            for scope in group.scope_metrics:
                yield from scope.metrics


def plain(attributes: list[KeyValue]) -> dict[str, object]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in attributes}


def generate(seconds: int, seed: int = 7) -> tuple[Kept, Generator]:
    """The telemetry of `seconds` of the shop's time at 200 spans/s."""
    kept = Kept()
    sender = Sender(kept)  # type: ignore[arg-type]
    generator = build(sender, 200, seed, START, seconds * SECOND)
    with contextlib.closing(sender):
        generator.advance(START + seconds * SECOND)
        generator.flush()
    assert sender.failure is None
    return kept, generator


@pytest.fixture(scope="module")
def run() -> Kept:
    return generate(300)[0]


def test_the_fleet_has_the_size_that_is_promised() -> None:
    fleet = Fleet.build(Random(1), START)
    assert (len(fleet.servers), len(fleet.jobs), len(SERVICES)) == (SERVERS, JOBS, 13)
    assert len(list(fleet.containers())) + len(fleet.others) == CONTAINERS


def test_the_rate_is_what_was_asked_for(run: Kept) -> None:
    assert len(list(run.spans())) == pytest.approx(300 * 200, rel=0.02)


def test_traces_are_whole_trees_over_several_services(run: Kept) -> None:
    traces: dict[bytes, list[tuple[dict[str, object], Span]]] = defaultdict(list)
    for resource, span in run.spans():
        assert len(span.trace_id) == 16
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        traces[span.trace_id].append((resource, span))
    journeys = 0
    for spans in traces.values():
        ids = {span.span_id for _, span in spans}
        roots = [span for _, span in spans if not span.parent_span_id]
        assert len(roots) == 1
        assert all(span.parent_span_id in ids for _, span in spans if span.parent_span_id)
        services = {resource["service.name"] for resource, _ in spans}
        journeys += 10 <= len(spans) <= 45 and len(services) >= 4
    assert journeys > len(traces) / 2


def test_consumers_link_back_to_the_producer_that_set_them_off(run: Kept) -> None:
    spans = [span for _, span in run.spans()]
    producers = {(span.trace_id, span.span_id) for span in spans if span.kind == Span.SPAN_KIND_PRODUCER}
    consumers = [span for span in spans if span.kind == Span.SPAN_KIND_CONSUMER]
    assert consumers
    assert all((span.links[0].trace_id, span.links[0].span_id) in producers for span in consumers)


def test_errors_carry_exception_events_and_are_logged_in_their_trace(run: Kept) -> None:
    broken = [span for _, span in run.spans() for event in span.events if event.name == "exception"]
    assert broken
    assert all(span.status.code == 2 for span in broken)
    for span in broken:
        message = str(plain(span.events[0].attributes)["exception.message"])
        took = (span.end_time_unix_nano - span.start_time_unix_nano) // 1_000_000
        assert message.endswith(f"deadline exceeded after {took} ms")
    logged = set()
    for group in run.merged("logs").resource_logs:  # type: ignore[attr-defined]
        for scope in group.scope_logs:
            logged |= {
                record.span_id for record in scope.log_records if "exception.stacktrace" in plain(record.attributes)
            }
    assert {span.span_id for span in broken} == logged


def test_all_five_metric_kinds_both_temporalities_and_exemplars_are_sent(run: Kept) -> None:
    metrics = list(run.metrics())
    kinds = Counter(metric.WhichOneof("data") for metric in metrics)
    assert set(kinds) == {"gauge", "sum", "histogram", "exponential_histogram", "summary"}
    assert {metric.sum.aggregation_temporality for metric in metrics if metric.HasField("sum")} == {1, 2}
    trace_ids = {span.trace_id for _, span in run.spans()}
    exemplars = [
        exemplar for metric in metrics for point in metric.histogram.data_points for exemplar in point.exemplars
    ]
    assert exemplars
    assert all(exemplar.trace_id in trace_ids for exemplar in exemplars)


def test_histograms_add_up(run: Kept) -> None:
    for metric in run.metrics():
        for point in metric.histogram.data_points:
            assert sum(point.bucket_counts) == point.count
            assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
        for exponential in metric.exponential_histogram.data_points:
            assert sum(exponential.positive.bucket_counts) + exponential.zero_count == exponential.count


def test_the_bad_version_of_checkout_fails_more_and_is_slower_and_is_rolled_back(run: Kept) -> None:
    durations: dict[str, list[int]] = defaultdict(list)
    errors: Counter[str] = Counter()
    latest: dict[str, int] = defaultdict(int)
    for resource, span in run.spans():
        if span.name == "shop.Checkout/PlaceOrder" and span.kind == Span.SPAN_KIND_SERVER:
            version = str(resource["service.version"])
            durations[version].append(span.end_time_unix_nano - span.start_time_unix_nano)
            errors[version] += span.status.code == 2
            latest[version] = max(latest[version], span.end_time_unix_nano)
    assert set(durations) == {"2.4.0", "2.4.1"}
    share = {version: errors[version] / len(found) for version, found in durations.items()}
    assert share["2.4.1"] > 0.15 > 0.1 > share["2.4.0"]
    assert latest["2.4.1"] < latest["2.4.0"]


def test_the_same_seed_makes_the_same_shop() -> None:
    assert generate(2, seed=3)[0].requests["traces"] == generate(2, seed=3)[0].requests["traces"]
    assert generate(2, seed=3)[0].requests["traces"] != generate(2, seed=4)[0].requests["traces"]


def test_a_run_with_an_end_puts_the_bad_deployment_in_its_middle() -> None:
    assert Plan(500, 0, 60 * SECOND, 1).period == 60 * SECOND
    assert Plan(500, 3_600 * SECOND, 0, 1).period == 3_600 * SECOND
    assert Plan(500, 0, None, 1).period == 20 * 60 * SECOND


def test_a_demo_whose_receiver_takes_nothing_goes_on_reporting() -> None:
    taken = Event()

    class Stuck(Kept):
        def send(self, signal: str, body: bytes) -> Answer:
            assert taken.wait(60), "the demo stands still and says nothing"
            return Answer(0, "")

    sender = Sender(Stuck(), waiting=taken.set)  # type: ignore[arg-type]
    batch = Batch()
    with contextlib.closing(sender):
        for _ in range(20):
            batch.add(b"", b"", b"")
            sender.submit("logs", batch)
    assert sender.failure is None
    assert sender.tallies["logs"].accepted == 20
