"""What the fixture `telemetry` costs: a run that does not use it, a session, a test, and the questions that need the engine.

    make bench BENCH=testing_fixture ARGS="--rounds 5"

Each round is a process of its own: `first` figures are those of modules that were not loaded and an engine that did not run. A test
here makes a trace of 20 spans, 5 log records and 5 points.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TESTS = 30


class Clock:
    """Milliseconds of each named step."""

    def __init__(self) -> None:
        self.found: dict[str, list[float]] = {}

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        found = work()
        self.found.setdefault(name, []).append((time.perf_counter() - began) * 1000)
        return found


def one_process() -> dict[str, float]:
    """The median of each step in this process."""
    clock = Clock()
    import pytest  # noqa: F401  # the plugin's share is what it adds

    clock("plugin, unused", lambda: __import__("sonde.testing.plugin"))
    session = clock("session", begun)
    for number in range(TESTS):
        test(session, clock, first=number == 0)
    clock("engine, first", lambda: session.engine)
    for number in range(5):
        store_test(session, clock, first=number == 0)
    session.close()
    return {name: statistics.median(values) for name, values in clock.found.items()}


def begun() -> Any:
    from sonde.testing.session import Session
    from sonde.testing.telemetry import Telemetry  # noqa: F401  # the fixture needs both

    return Session()


def test(session: Any, clock: Clock, *, first: bool) -> None:
    from sonde.testing.telemetry import Telemetry

    mark = ", first" if first else ""
    slice_of = session.slice()
    own = clock(f"fixture begins{mark}", slice_of.__enter__)
    app()
    telemetry = Telemetry(session, own, Path(__file__))
    assert len(clock(f"spans of 20{mark}", telemetry.spans)) == 20
    assert len(clock(f"points of 5{mark}", telemetry.points)) == 5
    clock(f"no_n_plus_one{mark}", telemetry.no_n_plus_one)
    clock("fixture ends", lambda: slice_of.__exit__(None, None, None))


def store_test(session: Any, clock: Clock, *, first: bool) -> None:
    from sonde.testing.telemetry import Telemetry

    mark = ", first" if first else ""
    with session.slice() as own:
        app()
        telemetry = Telemetry(session, own, Path(__file__))
        found = clock(f"sql{mark}", lambda: telemetry.sql("SELECT count() AS spans FROM spans"))
        assert found == [{"spans": 20}]
        assert clock(f"promql{mark}", lambda: telemetry.metrics("sum(increase(orders_total[5m]))")).value == 5


def app() -> None:
    from opentelemetry import metrics, trace

    tracer = trace.get_tracer("shop")
    orders = metrics.get_meter("shop").create_counter("orders")
    with tracer.start_as_current_span("checkout"):
        for number in range(19):
            with tracer.start_as_current_span(f"step {number}", attributes={"user.id": "u1", "items": number}):
                pass
        for number in range(5):
            logging.getLogger("shop").warning("item %d", number)
            orders.add(1, {"kind": str(number)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="processes")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        logging.getLogger("shop").propagate = True
        logging.lastResort = None
        print(json.dumps(one_process()))
        return
    command = [sys.executable, "-m", "benchmarks.testing_fixture", "--one"]
    rounds = [json.loads(subprocess.check_output(command).splitlines()[-1]) for _ in range(arguments.rounds)]
    milliseconds = {name: round(statistics.median(each[name] for each in rounds), 2) for name in rounds[0]}
    for name, value in milliseconds.items():
        print(f"{name:28} {value:10.2f} ms")
    print(
        json.dumps({"benchmark": "testing_fixture", "milliseconds": milliseconds, "cpus": os.cpu_count()}), flush=True
    )


if __name__ == "__main__":
    main()
