"""Remote write from bytes to the spool's bytes on one core, beside the official protobuf classes; and at the door, over HTTP.

    python -m benchmarks.remote_write [--series 2000] [--requests 20] [--rounds 5]

A request is `series` samples, one a series, with nine labels besides the name, as a scrape of a few pods sends them. `known` is
the steady state: the labels came before. `new` is the first time. `naive` parses with protobuf classes made from descriptors and
builds the OTLP request from the official ones. Times are CPU time of this thread, the least of all rounds; in `door`, of
this process, receivers, spool and client together, until the answer.
"""

from __future__ import annotations

import argparse
import http.client
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from sonde.ingest.config import IngestConfig
from sonde.ingest.limits import Limits
from sonde.ingest.receivers import Receivers, open_door, open_spool
from sonde.ingest.remote_write import Transcoder, Version
from sonde.ingest.scan import scan
from sonde.ingest.signals import Signal
from sonde.ingest.snappy import decompress_block

sys.path[:0] = [str(Path(__file__).parent.parent / "tests" / "ingest")]
from remote_write_messages import (  # noqa: E402
    HEADERS_1,
    HEADERS_2,
    NOW_MS,
    ONE,
    TWO,
    WRITE,
    Symbols,
    compressed,
    request_1,
    series_1,
)

from benchmarks.decode import commit  # noqa: E402

HEADERS = {Version.V1: HEADERS_1, Version.V2: HEADERS_2}
FAMILY = (3, "Time until a request was answered.", "seconds")


def labels(number: int) -> dict[str, str]:
    pod = f"checkout-7d9f8b6c5-{number // 12:05x}"
    return {
        "__name__": "http_request_duration_seconds_bucket",
        "cluster": "eu-west-1",
        "instance": f"10.0.{number // 3000}.{number // 12 % 250}:9090",
        "job": "shop",
        "le": str(number % 12),
        "method": "GET",
        "namespace": "production",
        "pod": pod,
        "route": "/api/v1/items/{id}",
        "status": "200",
    }


def requests_of(version: Version, series: int, requests: int) -> list[bytes]:
    """Requests a second apart, all of the same series."""
    if version == Version.V1:
        made = [series_1(labels(number), [(number + 0.5, 0)]) for number in range(series)]
        for_all: Callable[[], bytes] = lambda: request_1(*made)  # noqa: E731
    else:
        symbols = Symbols()
        made = [symbols.series(labels(number), [(number + 0.5, 0)], FAMILY) for number in range(series)]
        for_all = lambda: symbols.request(*made)  # noqa: E731
    bodies = []
    for request in range(requests):
        for each in made:
            each.samples[0].timestamp = NOW_MS + 1_000 * request
        bodies.append(for_all())
    return bodies


def naive(version: Version, body: bytes) -> bytes:
    """What one would write first."""
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    sent = (ONE["WriteRequest"] if version == Version.V1 else TWO["Request"]).FromString(body)
    for series in sent.timeseries:
        if version == Version.V1:
            pairs = [(label.name, label.value) for label in series.labels]
            help = unit = ""
        else:
            texts = [sent.symbols[ref] for ref in series.labels_refs]
            pairs = list(zip(texts[::2], texts[1::2], strict=True))
            help, unit = sent.symbols[series.metadata.help_ref], sent.symbols[series.metadata.unit_ref]
        metric = scope.metrics.add(description=help, unit=unit)
        known = "unknown" if version == Version.V1 else "histogram"
        metric.metadata.add(key="prometheus.type").value.string_value = known
        for sample in series.samples:
            point = metric.gauge.data_points.add(time_unix_nano=sample.timestamp * 10**6, as_double=sample.value)
            for name, value in pairs:
                if name == "__name__":
                    metric.name = value
                else:
                    point.attributes.add(key=name).value.string_value = value
    return bytes(request.SerializeToString())


def check(version: Version, body: bytes, folder: Path) -> None:
    """The transcoder and the naive way mean the same, whether or not the labels are known, before anything is timed."""
    transcoder = Transcoder(folder)
    expected = ExportMetricsServiceRequest.FromString(naive(version, body))
    for _ in range(2):
        made = transcoder.transcode(version, "default", body, 160)
        assert ExportMetricsServiceRequest.FromString(made.body) == expected


def cpu_seconds(work: Callable[[], Any]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def measure(version: Version, series: int, requests: int, rounds: int, folder: Path) -> dict[str, float]:
    """Microseconds of CPU a sample, by case."""
    bodies = requests_of(version, series, requests)
    check(version, bodies[0], folder)
    transcoder = Transcoder(folder)
    packed = [compressed(body) for body in bodies]
    limits = Limits()
    made = [transcoder.transcode(version, "default", body, 160).body for body in bodies]
    cases: dict[str, tuple[Callable[[], Any], int]] = {
        "inflate": (lambda: [decompress_block(each, 1 << 28) for each in packed], requests),
        "known": (lambda: [transcoder.transcode(version, "default", body, 160) for body in bodies], requests),
        "scan": (lambda: [scan(Signal.METRICS, body, limits, time.time_ns()) for body in made], requests),
        "new": (lambda: Transcoder(folder).transcode(version, "default", bodies[0], 160), 1),
        "naive": (lambda: naive(version, bodies[0]), 1),
    }
    least = dict.fromkeys(cases, float("inf"))
    for _ in range(rounds):
        for case, (work, count) in cases.items():
            least[case] = min(least[case], cpu_seconds(work) / (series * count) * 1e6)
    return least


def door(version: Version, series: int, requests: int, folder: Path) -> dict[str, float]:
    """Samples a second and CPU a sample of requests sent one after another and answered from disk."""
    config = IngestConfig(otlp_grpc="off", otlp_http="127.0.0.1:0", spool=str(folder / version.name))
    limits = {signal: config.limits() for signal in Signal}
    spool = open_spool(config, limits)
    receivers = Receivers(config, open_door(config, limits, spool))
    receivers.start()
    assert receivers.http_address is not None
    packed = [compressed(body) for body in requests_of(version, series, requests)]
    connection = http.client.HTTPConnection(receivers.http_address.host, receivers.http_address.port)

    def send(body: bytes) -> None:
        connection.request("POST", WRITE, body, HEADERS[version])
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (204, b"")

    send(packed[0])  # from then on the labels are known
    began, cpu = time.perf_counter(), time.process_time()
    for body in packed[1:]:
        send(body)
    cpu, took = time.process_time() - cpu, time.perf_counter() - began
    connection.close()
    receivers.stop(5.0)
    spool.close()
    samples = series * (requests - 1)
    return {"samples_per_second": round(samples / took), "cpu_us_per_sample": round(cpu / samples * 1e6, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=2_000, help="samples in a request, one a series")
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    cases = {}
    with tempfile.TemporaryDirectory(prefix="sonde-remote-write-") as name:
        for version in Version:
            us = measure(version, args.series, args.requests, args.rounds, Path(name))
            print(version)
            for case, value in us.items():
                print(f"  {case:10} {value:8.3f} us {1e3 / value:10.1f} k samples/s")
            at_door = door(version, args.series, args.requests, Path(name))
            print(f"  at the door {at_door}")
            rounded = {case: round(value, 3) for case, value in us.items()}
            cases[version] = {
                "us_per_sample": rounded,
                "door": at_door,
                "speed_to_naive": round(us["naive"] / us["known"], 1),
            }
    machine = {"machine": platform.machine(), "cpu": platform.processor(), "python": platform.python_version()}
    print(json.dumps({"benchmark": "remote_write", **machine, "commit": commit(), "cases": cases}))


if __name__ == "__main__":
    main()
