"""What a log record costs the app that writes it: sonde's bridge of `logging` beside OpenTelemetry's handlers and `logging` alone.

    make bench BENCH=sdk_logs ARGS="--rounds 5"

A record has a message with two arguments and three `extra` fields, or none; its logger has a handler that drops it, which is what
`alone` measures. `told` is that and the bridge, with a provider that nobody listens to; `exported` is that, the queue and
encoding, 500 records and a flush by turns, to a receiver that takes the bytes and does nothing, in the same process. CPU time is of
the whole process, all its threads. Every measurement is a process of its own, the ways take turns. `below` is a record that the
bridge's level leaves out.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.machine import machine

BURST = 500
WARM_UP, RECORDS = 2_000, 20_000

log = logging.getLogger("shop.cart")


class Way(NamedTuple):
    """How records are told: what comes after a burst of them, and how many have arrived by then."""

    flush: Callable[[], object]
    taken: Callable[[], int]


def alone(exported: bool) -> Way:
    return Way(lambda: None, lambda: WARM_UP + RECORDS)


def sonde(exported: bool) -> Way:
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk.resources import Resource
    from sonde.sdk import logs
    from sonde.sdk.exporting import Exporter
    from sonde.sdk.sending import Outcome, Signal, Verdict

    provider = LoggerProvider(Resource({"service.name": "shop"}), shutdown_on_exit=False)
    logs.bridge(provider, "info")
    if not exported:
        return alone(exported)
    exporter = Exporter({Signal.LOGS: lambda: lambda body, timeout: Outcome(Verdict.TAKEN)})
    provider.add_log_record_processor(exporter.log_processor())
    return Way(lambda: exporter.flush(30), lambda: exporter.counts()[Signal.LOGS].sent)


def opentelemetry(exported: bool, handler: Any = None) -> Way:
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExportResult
    from opentelemetry.sdk.resources import Resource

    taken = 0

    class Encoding:
        def export(self, batch: Any) -> Any:
            nonlocal taken
            taken += len(batch) if encode_logs(batch).SerializeToString() else 0
            return LogRecordExportResult.SUCCESS

        def shutdown(self) -> None: ...

        def force_flush(self, timeout_millis: int = 0) -> bool:
            return True

    provider = LoggerProvider(Resource({"service.name": "shop"}), shutdown_on_exit=False)
    logging.getLogger().addHandler((handler or LoggingHandler)(logging.INFO, provider))
    if not exported:
        return alone(exported)
    provider.add_log_record_processor(BatchLogRecordProcessor(Encoding()))  # type: ignore[arg-type]
    return Way(provider.force_flush, lambda: taken)


def instrumentation(exported: bool) -> Way:
    """The handler that takes the deprecated one's place, with code attributes as that and sonde have them."""
    from functools import partial

    from opentelemetry.instrumentation.logging.handler import LoggingHandler

    return opentelemetry(exported, partial(LoggingHandler, log_code_attributes=True))


WAYS: dict[str, Callable[[bool], Way]] = {
    "alone": alone,
    "sonde": sonde,
    "opentelemetry-sdk": opentelemetry,
    "opentelemetry-instrumentation-logging": instrumentation,
}
CASES = [("told", 0), ("told", 3), ("exported", 0), ("exported", 3), ("below", 3)]


# In a process of its own: one measurement.


def burst(first: int, level: int, fields: int) -> None:
    for number in range(first, first + BURST):
        extra = {"user_id": number, "route": "/cart/{id}", "took": number * 0.25} if fields else None
        log.log(level, "cart %s has %d things", f"c-{number % 5000}", number % 7, extra=extra)


def measured(name: str, case: str, fields: int) -> dict[str, float]:
    root = logging.getLogger()
    root.setLevel(logging.DEBUG)
    root.addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")
    way = WAYS[name](case == "exported")
    level = logging.DEBUG if case == "below" else logging.INFO
    for first in range(0, WARM_UP, BURST):
        burst(first, level, fields)
        way.flush()
    cpu = time.process_time()
    for first in range(WARM_UP, WARM_UP + RECORDS, BURST):
        burst(first, level, fields)
        way.flush()
    cpu = time.process_time() - cpu
    if way.taken() != WARM_UP + RECORDS:
        raise SystemExit(f"{way.taken()} records came out, and not {WARM_UP + RECORDS}")
    return {"cpu_us": cpu / RECORDS * 1e6}


# In the process that was started: whose turn it is, and the report.


def one(name: str, case: str, fields: int) -> float:
    command = [sys.executable, "-m", "benchmarks.sdk_logs", "--one", name, "--case", case, "--fields", str(fields)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{name} failed:\n{result.stderr[-2000:]}")
    return float(json.loads(result.stdout.splitlines()[-1])["cpu_us"])


def costs(rounds: int) -> list[dict[str, Any]]:
    found = []
    for case, fields in CASES:
        takes: dict[str, list[float]] = {name: [] for name in WAYS}
        for _ in range(rounds):
            for name in WAYS:
                takes[name].append(one(name, case, fields))
        for name, each in takes.items():
            row = {
                "way": name,
                "case": case,
                "fields": fields,
                "cpu_us": statistics.median(each),
                "least_us": min(each),
            }
            found.append({key: round(value, 2) if isinstance(value, float) else value for key, value in row.items()})
            print(json.dumps(found[-1]), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--fields", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measured(args.one, args.case, args.fields)))
        return
    print(json.dumps({"machine": machine(), "records": costs(args.rounds)}))


if __name__ == "__main__":
    main()
