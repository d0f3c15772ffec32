"""What a measurement costs the app that makes it: counters and histograms of sonde's SDK beside those of OpenTelemetry's.

    make bench BENCH=sdk_measurement

Attributes are those of an HTTP request. Measured on the thread's own CPU time, outside of any span and within a sampled one, where
a measurement becomes an exemplar; both providers take turns in one process, and what they collect at the end is equal.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk import metrics as sdk_metrics
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from sonde.sdk.meter import KNOWN, MeterProvider
from sonde.sdk.tracer import TracerProvider

ATTRIBUTES = {
    "http.request.method": "GET",
    "url.scheme": "http",
    "network.protocol.version": "1.1",
    "http.route": "/cart/{id}",
    "http.response.status_code": 200,
}
TIMES = 3_000


def microseconds(measure: Callable[..., None], attributes: dict[str, Any]) -> float:
    began = time.thread_time()
    for _ in range(TIMES):
        measure(3, attributes)
    return (time.thread_time() - began) / TIMES * 1e6


def collected(reader: InMemoryMetricReader) -> list[tuple[str, dict[str, Any], float]]:
    data: Any = reader.get_metrics_data()
    return [
        (metric.name, dict(point.attributes), getattr(point, "sum", None) or point.value)
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    assert KNOWN, "this SDK is none that there are cheaper measurements for"
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("shop")
    readers, found = {}, {}
    measures: dict[str, dict[str, Callable[..., None]]] = {}
    for name, kind in {"opentelemetry": sdk_metrics.MeterProvider, "sonde": MeterProvider}.items():
        readers[name] = InMemoryMetricReader()
        meter = kind([readers[name]], shutdown_on_exit=False).get_meter("shop")
        measures[name] = {
            "counter": meter.create_counter("sold").add,
            "histogram": meter.create_histogram("took").record,
        }
    for _ in range(args.rounds):
        for name, each in measures.items():
            for instrument, measure in each.items():
                found.setdefault((instrument, "no span", name), []).append(microseconds(measure, ATTRIBUTES))
                with tracer.start_as_current_span("GET /cart/{id}"):
                    found.setdefault((instrument, "sampled span", name), []).append(microseconds(measure, ATTRIBUTES))
    assert collected(readers["sonde"]) == collected(readers["opentelemetry"]), "they add up to the same"
    rows = {}
    for instrument, where, _ in found:
        bare, ours = (statistics.median(found[instrument, where, name]) for name in ("opentelemetry", "sonde"))
        rows[f"{instrument}, {where}"] = {
            "opentelemetry_us": round(bare, 2),
            "sonde_us": round(ours, 2),
            "ratio": round(ours / bare, 3),
        }
    report = {"benchmark": "sdk_measurement", "rows": rows, "python": sys.version.split()[0], "cpus": os.cpu_count()}
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
