"""What it costs to measure the interpreter and the host: collections of metrics and of garbage, programs that idle and compute.

    make bench BENCH=sdk_runtime ARGS="--seconds 10 --rounds 5"

Each figure from processes of their own, with and without, by turns. CPU is that of the whole process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.machine import machine

COLLECTIONS = 300
GARBAGE_COLLECTIONS = 50_000


@contextlib.contextmanager
def observed(runtime: bool, host: bool = False) -> Iterator[Any]:
    """A reader of metrics of what is asked for."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from sonde.sdk.runtime.host import HostMetrics
    from sonde.sdk.runtime.interpreter import RuntimeMetrics

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    observers: list[Any] = [RuntimeMetrics(provider)] if runtime else []
    observers += [HostMetrics(provider, f"benchmark {os.getpid()}")] if host else []
    for observer in observers:
        observer.start()
    yield reader
    for observer in observers:
        observer.stop()


def collection_us(runtime: bool, host: bool) -> float:
    with observed(runtime, host) as reader:
        reader.get_metrics_data()
        before = time.process_time()
        for _ in range(COLLECTIONS):
            data = reader.get_metrics_data()
        took = time.process_time() - before
    names = {m.name for r in (data.resource_metrics if data else []) for s in r.scope_metrics for m in s.metrics}
    assert ("process.cpu.time" in names, "system.cpu.time" in names) == (runtime, host)
    return 1e6 * took / COLLECTIONS


def garbage_us(runtime: bool) -> float:
    """Of a collection of the youngest generation that has nothing to do."""
    with observed(runtime):
        before = time.process_time()
        for _ in range(GARBAGE_COLLECTIONS):
            gc.collect(0)
        return 1e6 * (time.process_time() - before) / GARBAGE_COLLECTIONS


def idle_share(runtime: bool, seconds: float) -> float:
    """Of one core, in ppm, while the program sleeps."""
    with observed(runtime):
        before = time.process_time()
        time.sleep(seconds)
        return 1e6 * (time.process_time() - before) / seconds


def loop_share(runtime: bool, seconds: float) -> float:
    """The same of an event loop that has nothing to do."""
    with observed(runtime):
        before = time.process_time()
        asyncio.run(asyncio.sleep(seconds))
        return 1e6 * (time.process_time() - before) / seconds


def computed(runtime: bool, seconds: float) -> float:
    """CPU us of a piece of work in a program that does nothing else."""
    with observed(runtime):
        began, before, done = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - began < seconds:
            sum(range(1000))
            done += 1
        return 1e6 * (time.process_time() - before) / done


CASES: dict[str, Callable[[float], float]] = {
    "collection of nothing, us": lambda _: collection_us(False, False),
    "collection of the interpreter, us": lambda _: collection_us(True, False),
    "collection of the host, us": lambda _: collection_us(False, True),
    "garbage collection, bare, us": lambda _: garbage_us(False),
    "garbage collection, heard, us": lambda _: garbage_us(True),
    "idle, bare, ppm of a core": lambda seconds: idle_share(False, seconds),
    "idle, observed, ppm of a core": lambda seconds: idle_share(True, seconds),
    "idle event loop, bare, ppm of a core": lambda seconds: loop_share(False, seconds),
    "idle event loop, observed, ppm of a core": lambda seconds: loop_share(True, seconds),
    "work, bare, us": lambda seconds: computed(False, seconds),
    "work, observed, us": lambda seconds: computed(True, seconds),
}


def one(name: str, seconds: float) -> float:
    command = [sys.executable, "-m", "benchmarks.sdk_runtime", "--one", name, "--seconds", str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(CASES[options.one](options.seconds))
        return
    takes: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(options.rounds):
        for name in CASES:
            takes[name].append(one(name, options.seconds))
    found = {name: [round(statistics.median(each), 3), round(min(each), 3)] for name, each in takes.items()}
    report = {
        "benchmark": "sdk_runtime",
        "median_and_least": found,
        **machine(),
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
