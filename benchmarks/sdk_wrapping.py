"""What tracing a function costs a call: by pattern, told or not, let go of, and by `@traced`, beside OpenTelemetry's decorator.

    make bench BENCH=sdk_wrapping ARGS="--rounds 5"

The function takes two arguments and gives one back; it is called from a loop, and has nothing to tell by itself. CPU time is of the
whole process. Spans are made and ended, and nobody wants them: what their export costs is told by `sdk_span`. Every measurement
is a process of its own, and the cases take turns. Before anything is timed each case must give as many spans as it says, into
memory: one for each call, or none. `added` is what is left when the call itself, bare, is taken off.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from benchmarks.machine import machine

CALLS, WARM_UP = 50_000, 5_000
BASELINE = "OpenTelemetry's decorator, bare SDK"
HOUR = 3600.0


def work(first: int, second: int) -> int:
    return first


async def coroutine(first: int, second: int) -> int:
    return first


FUNCTIONS: dict[str, Callable[[int, int], Any]] = {"function": work, "coroutine": coroutine}


def bare(function: Any, provider: Any) -> Any:
    return function


def by_pattern(function: Any, provider: Any, minimum: float = 0.0) -> Any:
    """As in a module that was imported before; the function is traced in place."""
    from sonde.sdk.wrapping import install

    module = ModuleType("benchmarked")
    held = type(function)(function.__code__, vars(module), function.__name__)
    held.__module__ = module.__name__
    vars(module)[function.__name__] = held
    sys.modules[module.__name__] = module
    hook = install(["benchmarked"], min_duration_seconds=minimum, budget=1.0)
    if list(hook.sites) != [held]:
        raise SystemExit(f"the function is not traced: {hook.notes}")
    held.hook = hook
    return held


def not_told(function: Any, provider: Any) -> Any:
    return by_pattern(function, provider, HOUR)


def let_go(function: Any, provider: Any) -> Any:
    from sonde.sdk.wrapping import leave_alone

    held = by_pattern(function, provider, HOUR)
    for site in held.hook.sites.values():
        leave_alone(site)
    return held


def by_traced(function: Any, provider: Any) -> Any:
    from sonde.sdk import traced

    return traced(function)


def by_opentelemetry(function: Any, provider: Any) -> Any:
    return provider.get_tracer("benchmark").start_as_current_span(function.__name__)(function)


class Case(NamedTuple):
    decorate: Callable[[Any, Any], Any]
    spans: int
    """Of each call."""
    sonde: bool = True
    """Whether the provider is sonde's, or the bare SDK's."""


CASES = {
    "bare": Case(bare, 0),
    "by pattern, not told": Case(not_told, 0),
    "by pattern, told": Case(by_pattern, 1),
    "by pattern, let go of": Case(let_go, 0),
    "@traced": Case(by_traced, 1),
    "OpenTelemetry's decorator, sonde's provider": Case(by_opentelemetry, 1),
    "by pattern, not told, bare SDK": Case(not_told, 0, sonde=False),
    "by pattern, told, bare SDK": Case(by_pattern, 1, sonde=False),
    "@traced, bare SDK": Case(by_traced, 1, sonde=False),
    BASELINE: Case(by_opentelemetry, 1, sonde=False),
}


# In a process of its own: one measurement.


def provider_of(case: Case) -> Any:
    from opentelemetry import trace
    from opentelemetry.sdk import trace as sdk_trace
    from sonde.sdk.tracer import TracerProvider

    provider = (TracerProvider if case.sonde else sdk_trace.TracerProvider)(shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    return provider


def repeated(function: Any, kind: str) -> Callable[[int], None]:
    def calls(count: int) -> None:
        for number in range(count):
            function(number, 1)

    async def awaits(count: int) -> None:
        for number in range(count):
            await function(number, 1)

    return calls if kind == "function" else lambda count: asyncio.run(awaits(count))


def measured(name: str, kind: str) -> dict[str, float]:
    case = CASES[name]
    repeat = repeated(case.decorate(FUNCTIONS[kind], provider_of(case)), kind)
    repeat(WARM_UP)
    began = time.process_time()
    repeat(CALLS)
    return {"cpu_us": (time.process_time() - began) / CALLS * 1e6}


def checked(name: str, kind: str) -> dict[str, float]:
    """Whether the case does what it says."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    case, exporter = CASES[name], InMemorySpanExporter()
    provider = provider_of(case)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    repeated(case.decorate(FUNCTIONS[kind], provider), kind)(10)
    if len(exporter.get_finished_spans()) != 10 * case.spans:
        raise SystemExit(f"{name}: {len(exporter.get_finished_spans())} spans of 10 calls")
    return {}


# In the process that was started: whose turn it is, and the report.


def run(name: str, kind: str, *arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.sdk_wrapping", "--one", name, "--kind", kind, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{name} failed:\n{result.stderr[-2000:]}")
    return dict(json.loads(result.stdout.splitlines()[-1]))


def costs(rounds: int) -> list[dict[str, Any]]:
    found = []
    for kind in FUNCTIONS:
        for name in CASES:
            run(name, kind, "--check")
        takes: dict[str, list[float]] = {name: [] for name in CASES}
        for _ in range(rounds):
            for name in CASES:
                takes[name].append(run(name, kind)["cpu_us"])
        medians = {name: statistics.median(each) for name, each in takes.items()}
        baseline = medians[BASELINE] - medians["bare"]
        for name, median in medians.items():
            added = median - medians["bare"]
            numbers = {"cpu_us": median, "least_cpu_us": min(takes[name]), "added_us": added}
            numbers["to_opentelemetry"] = added / baseline
            found.append({"case": name, "kind": kind, **{key: round(value, 3) for key, value in numbers.items()}})
            print(json.dumps(found[-1]), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    for internal in ("--one", "--kind"):
        parser.add_argument(internal, help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return print(json.dumps((checked if options.check else measured)(options.one, options.kind)))
    return print(json.dumps({"benchmark": "sdk_wrapping", **machine(), "cases": costs(options.rounds)}))


if __name__ == "__main__":
    main()
