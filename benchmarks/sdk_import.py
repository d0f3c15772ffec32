"""What the SDK adds to the start of a program: imports beside OpenTelemetry's own, and whole starts under `sonde run`.

    make bench BENCH=sdk_import ARGS="--rounds 9"

Imports are the own times, by `python -X importtime`, of the modules that come on top; starts are wall time. All in ms, by turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping

from sonde.cli.run import STARTUP

API = "import opentelemetry.trace, opentelemetry.metrics, opentelemetry._logs"
SDK = f"{API}, opentelemetry.sdk.trace, opentelemetry.sdk.metrics, opentelemetry.sdk._logs"
IMPORTS = {
    "sonde.sdk over the API": (API, "import sonde.sdk"),
    "sonde.sdk.instrumenting over the SDK": (SDK, "import sonde.sdk.instrumenting"),
}
UNDER_RUN = {"PYTHONPATH": str(STARTUP), "SONDE_SDK_QUIET": "true"}
STARTS: dict[str, tuple[str, Mapping[str, str]]] = {
    "bare": ("pass", {}),
    "OpenTelemetry API": (API, {}),
    "OpenTelemetry SDK": (SDK, {}),
    "import sonde.sdk": ("import sonde.sdk", {}),
    "under sonde run": ("pass", UNDER_RUN),
}
COMPILES = ("PYTHONDONTWRITEBYTECODE",)
"""Left out: with it every start would compile what it imports."""
IS_INSTRUMENTED = "from sonde.sdk.instrumenting import current; assert current() is not None"


def python(code: str, more: Mapping[str, str], *flags: str) -> str:
    """What it says on stderr."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SONDE_", *COMPILES))}
    done = subprocess.run([sys.executable, *flags, "-c", code], env=kept | more, check=True, stderr=subprocess.PIPE)
    return done.stderr.decode()


def import_ms(before: str, code: str) -> float:
    """The time of all that `code` imports and `before` has not."""
    known = {name for name, _ in imported(before)}
    return sum(own for name, own in imported(f"{before}\n{code}") if name not in known) / 1000


def imported(code: str) -> list[tuple[str, float]]:
    """The modules that `code` loads, each with its own time in us."""
    rows = [line.split("|") for line in python(code, {}, "-X", "importtime").splitlines()[1:]]
    return [(name.strip(), float(own.partition(":")[2])) for own, _, name in rows if own.startswith("import time:")]


def start_ms(code: str, more: Mapping[str, str]) -> float:
    began = time.perf_counter()
    python(code, more)
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    python(IS_INSTRUMENTED, UNDER_RUN)
    imports: dict[str, list[float]] = {name: [] for name in IMPORTS}
    starts: dict[str, list[float]] = {name: [] for name in STARTS}
    for _ in range(rounds):
        for name, (before, code) in IMPORTS.items():
            imports[name].append(import_ms(before, code))
        for name, (code, more) in STARTS.items():
            starts[name].append(start_ms(code, more))
    report = {
        "benchmark": "sdk_import",
        "import_ms": {name: round(statistics.median(times), 1) for name, times in imports.items()},
        "start_ms": {name: round(statistics.median(times), 1) for name, times in starts.items()},
        "python": sys.version.split()[0],
        "cpus": os.cpu_count(),
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
