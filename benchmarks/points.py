"""Data points of every kind from request bytes to Native bytes on one core, and what new series cost.

    python -m benchmarks.points [--requests 40] [--rounds 7] [--series 1000000]

Cases are made of 512 points a request: `numbers` is the payload all benchmarks share, `sparse` the same with a metric for each
point (as an SDK exports gauges), the others are histograms (15 buckets), exponential histograms (2 x 40 buckets), summaries
(5 quantiles), and sums whose points have an exemplar each. `C parser` and `twin` are as in `benchmarks.decode`.

The announcer is measured on points that are all of new series, then once more when it knows them all.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from sonde.ingest.decode import warm
from sonde.ingest.dimensions import Announcer
from sonde.ingest.signals import Signal

from benchmarks import payload
from benchmarks.decode import check, commit, cpu_seconds, decoded, decoded_slowly, encoded, framed, parsed, scanned
from benchmarks.payload import AT_UNIX_NANO, RECORDS_PER_REQUEST, SCHEMA_URL, attribute, resource, resources, scopes

POINTS_PER_SCOPE = RECORDS_PER_REQUEST // payload.RESOURCES_PER_REQUEST // payload.SCOPES_PER_RESOURCE
TWIN_REQUESTS = 2
BUCKETS, BOUNDS = 15, [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]


def head(rng: random.Random, number: int) -> dict[str, Any]:
    return {
        "time_unix_nano": AT_UNIX_NANO + rng.randrange(10**9),
        "start_time_unix_nano": AT_UNIX_NANO,
        "attributes": [
            attribute("http.request.method", payload.METHODS[number % len(payload.METHODS)]),
            attribute("http.route", f"/api/{payload.NOUNS[number % len(payload.NOUNS)]}/{number}"),
            attribute("http.response.status_code", payload.STATUS_CODES[number % len(payload.STATUS_CODES)]),
        ],
    }


def histogram(rng: random.Random, number: int) -> pb.Metric:
    counts = [rng.randrange(1000) for _ in range(BUCKETS)]
    point = pb.HistogramDataPoint(
        **head(rng, number),
        count=sum(counts),
        sum=rng.uniform(0, 1000),
        min=0.001,
        max=9.5,
        bucket_counts=counts,
        explicit_bounds=BOUNDS,
    )
    return pb.Metric(name="http.server.duration", unit="s", histogram=pb.Histogram(data_points=[point]))


def exponential_histogram(rng: random.Random, number: int) -> pb.Metric:
    buckets = [
        pb.ExponentialHistogramDataPoint.Buckets(offset=-20, bucket_counts=[rng.randrange(1000) for _ in range(40)])
        for _ in range(2)
    ]
    point = pb.ExponentialHistogramDataPoint(
        **head(rng, number), count=20_000, sum=rng.uniform(0, 1000), scale=3, positive=buckets[0], negative=buckets[1]
    )
    return pb.Metric(name="queue.delay", exponential_histogram=pb.ExponentialHistogram(data_points=[point]))


def summary(rng: random.Random, number: int) -> pb.Metric:
    quantiles = [
        pb.SummaryDataPoint.ValueAtQuantile(quantile=q, value=rng.uniform(0, 10)) for q in (0.5, 0.75, 0.9, 0.95, 0.99)
    ]
    point = pb.SummaryDataPoint(**head(rng, number), count=1000, sum=rng.uniform(0, 1000), quantile_values=quantiles)
    return pb.Metric(name="go.gc.duration", summary=pb.Summary(data_points=[point]))


def exemplified(rng: random.Random, number: int) -> pb.Metric:
    exemplar = pb.Exemplar(
        time_unix_nano=AT_UNIX_NANO,
        as_double=rng.uniform(0, 10),
        trace_id=rng.randbytes(16),
        span_id=rng.randbytes(8),
        filtered_attributes=[attribute("user.id", rng.randrange(10**6))],
    )
    point = pb.NumberDataPoint(**head(rng, number), as_int=rng.randrange(10**6), exemplars=[exemplar])
    return pb.Metric(name="http.server.requests", sum=pb.Sum(data_points=[point], is_monotonic=True))


def sparse(rng: random.Random, number: int) -> pb.Metric:
    point = pb.NumberDataPoint(**head(rng, number), as_double=rng.uniform(0, 100))
    name = f"system.{payload.NOUNS[number % len(payload.NOUNS)]}.usage"
    return pb.Metric(name=name, unit="1", description="As it is now.", gauge=pb.Gauge(data_points=[point]))


def requests_of(make: Callable[[random.Random, int], pb.Metric]) -> Callable[[int], list[bytes]]:
    """Requests of one metric a point, but points of one name are gathered in one metric unless `make` is `sparse`."""

    def requests(count: int) -> list[bytes]:
        rng = random.Random(1)
        return [request(rng) for _ in range(count)]

    def request(rng: random.Random) -> bytes:
        whole = ExportMetricsServiceRequest()
        for service, sender in resources(rng):
            into = whole.resource_metrics.add(resource=sender, schema_url=SCHEMA_URL)
            for scope in scopes(service):
                made = [make(rng, number) for number in range(POINTS_PER_SCOPE)]
                into.scope_metrics.add(scope=scope, metrics=made if make is sparse else [gathered(made)])
        return whole.SerializeToString()

    return requests


def gathered(metrics: list[pb.Metric]) -> pb.Metric:
    """One metric with the points of all of them: protobuf merges."""
    whole = pb.Metric()
    for metric in metrics:
        whole.MergeFrom(metric)
    return whole


CASES: dict[str, Callable[[int], list[bytes]]] = {
    "numbers": payload.number_requests,
    "sparse": requests_of(sparse),
    "histograms": requests_of(histogram),
    "exponential histograms": requests_of(exponential_histogram),
    "summaries": requests_of(summary),
    "exemplars": requests_of(exemplified),
}


def measure(make: Callable[[int], list[bytes]], requests: int, rounds: int) -> dict[str, float]:
    """Points a second of CPU, by step; `bytes` a point."""
    bodies = make(requests)
    few = bodies[:TWIN_REQUESTS]
    check(Signal.METRICS, few)
    points, few_points = scanned(Signal.METRICS, bodies), scanned(Signal.METRICS, few)
    frames = framed(Signal.METRICS, bodies)
    found = decoded(Signal.METRICS, bodies, frames)
    steps: dict[str, tuple[Callable[[], Any], int]] = {
        "scan": (lambda: scanned(Signal.METRICS, bodies), points),
        "decode": (lambda: decoded(Signal.METRICS, bodies, frames), points),
        "encode": (lambda: encoded(found), points),
        "C parser": (lambda: parsed(Signal.METRICS, bodies), points),
        "twin": (lambda: encoded(decoded_slowly(Signal.METRICS, few)), few_points),
    }
    least = dict.fromkeys(steps, float("inf"))
    for _ in range(rounds):
        for step, (work, count) in steps.items():
            least[step] = min(least[step], cpu_seconds(work) / count)
    least["scan+decode+encode"] = least["scan"] + least["decode"] + least["encode"]
    return {step: 1 / seconds for step, seconds in least.items()} | {"bytes": sum(map(len, bodies)) / points}


def series_request(first: int, count: int) -> bytes:
    """One gauge with a point of each of `count` new series."""
    request = ExportMetricsServiceRequest()
    into = request.resource_metrics.add(resource=resource("catalog", 1)).scope_metrics.add()
    metric = into.metrics.add(name="cache.size", unit="By")
    for number in range(first, first + count):
        metric.gauge.data_points.add(
            time_unix_nano=AT_UNIX_NANO,
            as_int=number,
            attributes=[
                attribute("customer", f"c-{number}"),
                attribute("region", "eu"),
                attribute("shard", number % 64),
            ],
        )
    return request.SerializeToString()


def measure_series(series: int, batch: int = 100_000) -> dict[str, float]:
    """Announcing `series` new series, a batch after another: series a second, and what the set of them takes."""
    announcer = Announcer()
    received = AT_UNIX_NANO + 10**9
    seconds = {"new": 0.0, "mark": 0.0, "known": 0.0}
    for first in range(0, series, batch):
        bodies = [series_request(first, batch)]
        found = decoded(Signal.METRICS, bodies, framed(Signal.METRICS, bodies))
        began = time.thread_time()
        told = sum(rows for name, _, rows, _ in announcer.announce("t", found, received) if name == "series")
        seconds["new"] += time.thread_time() - began
        assert told == batch == len(np.unique(found.series.ids))
        seconds["mark"] += cpu_seconds(lambda found=found: announcer.mark("t", found, received))
        began = time.thread_time()
        assert announcer.announce("t", found, received) == []
        seconds["known"] += time.thread_time() - began
    return {what: series / taken for what, taken in seconds.items()} | {"bytes_per_series": announcer.nbytes / series}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=40, help="requests of 512 points")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--series", type=int, default=1_000_000, help="new series to announce")
    args = parser.parse_args()
    warm(lambda what, step, steps: print(f"  compiling {what} ({step + 1}/{steps})", flush=True))
    cases = {}
    for name, make in CASES.items():
        speed = measure(make, args.requests, args.rounds)
        print(f"{name}: {speed['bytes']:.0f} bytes a point")
        for step in ("scan", "decode", "encode", "scan+decode+encode", "C parser", "twin"):
            print(f"  {step:20} {speed[step] / 1e6:8.3f} M/s")
        whole = speed["scan+decode+encode"]
        cases[name] = {
            "points_per_second": {step: round(value) for step, value in speed.items() if step != "bytes"},
            "bytes_per_point": round(speed["bytes"]),
            "speed_to_c_parser": round(whole / speed["C parser"], 2),
            "speed_to_twin": round(whole / speed["twin"], 1),
        }
    announced = measure_series(args.series)
    print(
        f"series: {announced['new'] / 1e6:.2f} M/s new, {announced['known'] / 1e6:.1f} M/s known, "
        f"{announced['bytes_per_series']:.1f} bytes each"
    )
    machine = {"machine": platform.machine(), "cpu": platform.processor(), "python": platform.python_version()}
    series = {what: round(value, 1) for what, value in announced.items()}
    print(json.dumps({"benchmark": "points", **machine, "commit": commit(), "cases": cases, "series": series}))


if __name__ == "__main__":
    main()
