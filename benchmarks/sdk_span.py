"""What a span costs the app that makes it: sonde's SDK beside OpenTelemetry's with its OTLP exporter, ddtrace and logfire.

    make bench BENCH=sdk_span ARGS="--rounds 5"
    make bench BENCH=sdk_span ARGS="--away"

A span is started as the current one, gets its attributes one by one, and ends. `created` is that alone, without anybody who
wants it; `exported` is that, the queue, encoding and sending, 500 spans and a flush by turns, so that no queue is ever full. CPU
time is of the whole process, all its threads. Every measurement is a process of its own, the libraries take turns, and what they
send goes to a receiver in a further process, which takes everything and says how many spans it got: all of them, or the
benchmark fails (of ddtrace's own protocol only bytes are seen). Of ten attributes seven repeat; a path, a number and a
double do not.

ddtrace and logfire are installed into a temporary environment, or taken from the one that `--others` names.
`--away` tells the resident memory of a process that made a million spans while nobody listened.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import machine
from benchmarks.receiver import receiving, told

ATTRIBUTES: tuple[tuple[str, Callable[[int], Any]], ...] = (
    ("http.request.method", lambda number: "GET"),
    ("http.route", lambda number: "/cart/{id}"),
    ("http.response.status_code", lambda number: 200),
    ("server.port", lambda number: 8080),
    ("cached", lambda number: number % 2 == 0),
    ("db.system", lambda number: "postgresql"),
    ("net.peer.name", lambda number: "cart-7d9f8b6c5"),
    ("url.path", lambda number: f"/cart/{number % 5000}"),
    ("user.id", lambda number: number),
    ("price", lambda number: number * 0.25),
)
ROOT = Path(__file__).parent.parent
BURST = 500
"""Below every library's batch and queue."""
WARM_UP, SPANS, HELD = 2_000, 10_000, 1_000

Rows = list[list[tuple[str, Any]]]


class Library(NamedTuple):
    """`make(rows, held)` makes a span for each row, and appends it to `held` where that is one."""

    make: Callable[[Rows, list[Any] | None], None]
    flush: Callable[[], Any]


def of_tracer(tracer: Any, flush: Callable[[], Any]) -> Library:
    start = tracer.start_as_current_span

    def make(rows: Rows, held: list[Any] | None) -> None:
        for row in rows:
            with start("GET /cart") as span:
                for key, value in row:
                    span.set_attribute(key, value)
            if held is not None:
                held.append(span)

    return Library(make, flush)


def sonde(url: str, compression: Any = "gzip") -> Library:
    from opentelemetry.sdk.resources import Resource
    from sonde.sdk.exporting import Exporter
    from sonde.sdk.sending import Destination, Signal, sender
    from sonde.sdk.tracer import TracerProvider

    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    if not url:
        return of_tracer(provider.get_tracer("shop"), lambda: None)
    destination = Destination(f"{url}/v1/traces", Signal.TRACES, compression=compression)
    exporter = Exporter({Signal.TRACES: lambda: sender(destination)})
    provider.add_span_processor(exporter.span_processor())
    return of_tracer(provider.get_tracer("shop"), lambda: exporter.flush(30))


def opentelemetry(url: str, compression: str = "none") -> Library:
    os.environ["OTEL_EXPORTER_OTLP_COMPRESSION"] = compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    if url:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    return of_tracer(provider.get_tracer("shop"), provider.force_flush)


def ddtrace(url: str) -> Library:
    os.environ |= {
        "DD_TRACE_AGENT_URL": url or "http://127.0.0.1:9",
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    }
    from ddtrace.trace import TraceFilter, tracer

    class Drop(TraceFilter):
        def process_trace(self, trace: Any) -> None:
            return None

    if not url:
        tracer.configure(trace_processors=[Drop()])

    def make(rows: Rows, held: list[Any] | None) -> None:
        for row in rows:
            with tracer.trace("GET /cart") as span:
                for key, value in row:
                    span.set_tag(key, value)
            if held is not None:
                held.append(span)

    return Library(make, tracer.flush)


def logfire(url: str) -> Library:
    if url:
        os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{url}/v1/traces"
    import logfire as library

    library.configure(send_to_logfire=False, console=False, metrics=False, inspect_arguments=False)

    def make(rows: Rows, held: list[Any] | None) -> None:
        for row in rows:
            with library.span("GET /cart") as span:
                for key, value in row:
                    span.set_attribute(key, value)
            if held is not None:
                held.append(span)

    return Library(make, library.force_flush)


LIBRARIES: dict[str, Callable[[str], Library]] = {
    "sonde": sonde,
    "sonde, uncompressed": lambda url: sonde(url, "none"),
    "opentelemetry": opentelemetry,
    "opentelemetry, gzip": lambda url: opentelemetry(url, "gzip"),
    "ddtrace": ddtrace,
    "logfire": logfire,
}
OTHERS = ("ddtrace", "logfire")
VARIANTS = ("sonde, uncompressed", "opentelemetry, gzip")
"""They differ in what is exported only."""


# In a process of its own: one measurement.


def rows_of(first: int, count: int, attributes: int) -> Rows:
    wanted = ATTRIBUTES[len(ATTRIBUTES) - attributes :] if attributes < len(ATTRIBUTES) else ATTRIBUTES
    return [[(key, value(number)) for key, value in wanted] for number in range(first, first + count)]


def measured(name: str, url: str, attributes: int) -> dict[str, float]:
    library = LIBRARIES[name](url)
    bursts = [rows_of(first, BURST, attributes) for first in range(0, WARM_UP + SPANS, BURST)]
    warm = WARM_UP // BURST
    for rows in bursts[:warm]:
        library.make(rows, None)
        library.flush()
    cpu, wall = time.process_time(), time.perf_counter()
    for rows in bursts[warm:]:
        library.make(rows, None)
        library.flush()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu_us": cpu / SPANS * 1e6, "wall_us": wall / SPANS * 1e6}


def held(name: str, attributes: int) -> dict[str, float]:
    """What a span that waits takes: blocks of memory, and bytes."""
    library = LIBRARIES[name]("")
    library.make(rows_of(0, WARM_UP, attributes), None)
    rows, kept = rows_of(0, HELD, attributes), []
    before = sys.getallocatedblocks()
    library.make(rows, kept)
    blocks = sys.getallocatedblocks() - before
    kept.clear()
    tracemalloc.start()
    library.make(rows, kept)
    taken, _ = tracemalloc.get_traced_memory()
    return {"blocks": blocks / HELD, "bytes": taken / HELD}


def away(name: str, spans: int) -> dict[str, float]:
    library = LIBRARIES[name]("http://127.0.0.1:9")
    library.make(rows_of(0, BURST, 10), None)
    found = {"before_mib": resident_mib()}
    began, cpu = time.perf_counter(), time.process_time()
    most = 0.0
    for first in range(0, spans, BURST):
        library.make(rows_of(first, BURST, 10), None)
        if first % 10_000 == 0:
            most = max(most, resident_mib())
    found |= {"most_mib": most, "after_mib": resident_mib(), "wall_seconds": time.perf_counter() - began}
    return found | {"cpu_seconds": time.process_time() - cpu}


def resident_mib() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


# In the process that was started: whose turn it is, and the report.


class Run(NamedTuple):
    pythons: dict[str, str]
    """The interpreter of each library that could be installed."""

    def one(self, name: str, *arguments: str) -> dict[str, float]:
        command = [self.pythons[name], "-m", "benchmarks.sdk_span", "--one", name, *arguments]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if result.returncode:
            raise SystemExit(f"{name} failed:\n{result.stderr[-2000:]}")
        return dict(json.loads(result.stdout.splitlines()[-1]))


def span_costs(run: Run, rounds: int, url: str) -> list[dict[str, Any]]:
    cases = [(way, attributes) for way in ("created", "exported") for attributes in (0, 10)]
    found: list[dict[str, Any]] = []
    for way, attributes in cases:
        names = [name for name in run.pythons if way == "exported" or name not in VARIANTS]
        takes: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for _ in range(rounds):
            for name in names:
                to = url if way == "exported" else ""
                takes[name].append(run.one(name, "--attributes", str(attributes), "--url", to))
                if to:
                    arrived(name, told(url))
        found_of = {name: {**least_of(each), **medians_of(each)} for name, each in takes.items()}
        for name, each in found_of.items():
            ratio = each["cpu_us"] / found_of["opentelemetry"]["cpu_us"]
            memory = run.one(name, "--held", "--attributes", str(attributes)) if way == "created" else {}
            case = {"library": name, "way": way, "attributes": attributes, **each, "to_opentelemetry": ratio, **memory}
            found.append({key: round(value, 3) if isinstance(value, float) else value for key, value in case.items()})
            print(json.dumps(found[-1]), flush=True)
    return found


def arrived(name: str, came: dict[str, int]) -> None:
    if came["spans"] != (0 if name == "ddtrace" else WARM_UP + SPANS) or not came["bytes"]:
        raise SystemExit(f"of {name} {came} arrived, which is not what was made")


def least_of(takes: list[dict[str, float]]) -> dict[str, float]:
    """Of all rounds: what the machine does when nobody else has it."""
    return {"least_cpu_us": min(take["cpu_us"] for take in takes)}


def medians_of(takes: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(take[key] for take in takes) for key in takes[0]}


@contextlib.contextmanager
def interpreters(others: str | None) -> Iterator[dict[str, str]]:
    """What runs each library; those that can't be installed are said, and left out."""
    with tempfile.TemporaryDirectory(prefix="sonde-libraries-") as folder:
        found = dict.fromkeys((name for name in LIBRARIES if name not in OTHERS), sys.executable)
        python = str(Path(others or folder) / "bin" / "python")
        if others is None:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        for name in OTHERS:
            install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", name]
            result = subprocess.run(install, capture_output=True, text=True, check=False) if others is None else None
            if result is not None and result.returncode:
                print(
                    json.dumps({"library": name, "not_installed": result.stderr.strip().splitlines()[-1:]}), flush=True
                )
            else:
                found[name] = python
        yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--others", help="folder of a virtual environment that has ddtrace and logfire")
    parser.add_argument(
        "--away", type=int, nargs="?", const=1_000_000, metavar="SPANS", help="memory, with nobody listening"
    )
    for internal in ("--one", "--url"):
        parser.add_argument(internal, help=argparse.SUPPRESS)
    parser.add_argument("--attributes", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--held", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return print(json.dumps(one(options)))
    if options.away:
        run = Run(dict.fromkeys(("sonde", "opentelemetry"), sys.executable))
        cases = [{"library": name, **run.one(name, "--away", str(options.away))} for name in run.pythons]
        return print(json.dumps({"benchmark": "sdk_span_away", **machine(), "spans": options.away, "cases": cases}))
    with interpreters(options.others) as pythons, receiving() as url:
        cases = span_costs(Run(pythons), options.rounds, url)
    return print(json.dumps({"benchmark": "sdk_span", **machine(), "cases": cases}))


def one(options: argparse.Namespace) -> dict[str, float]:
    if options.away:
        return away(options.one, options.away)
    if options.held:
        return held(options.one, options.attributes)
    return measured(options.one, options.url or "", options.attributes)


if __name__ == "__main__":
    main()
