"""Resident memory of `sonde serve`, at rest and over minutes of steady load: it should be flat.

    make bench BENCH=memory ARGS="--minutes 10 --rate 20"

The load is `load.py`'s, over gRPC, at a rate that leaves the machine room. The line is fitted to the second half of the minutes,
when every cache has its size.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.serving import Serving, serving

EVERY_SECONDS = 2.0


def watch(server: Serving, load: subprocess.Popen[str]) -> list[tuple[float, float]]:
    """(seconds, MiB) until the load ends."""
    began, seen = time.perf_counter(), []
    while load.poll() is None:
        seen.append((time.perf_counter() - began, server.memory_mib()))
        time.sleep(EVERY_SECONDS)
    return seen


def by_minute(seen: list[tuple[float, float]]) -> list[int]:
    """The most of each minute, MiB."""
    minutes: dict[int, float] = {}
    for seconds, mib in seen:
        minutes[int(seconds // 60)] = max(mib, minutes.get(int(seconds // 60), 0.0))
    return [round(minutes[minute]) for minute in sorted(minutes)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=20.0, help="requests of 512 spans a second")
    arguments = parser.parse_args()
    with serving() as server:
        time.sleep(5)
        rest = server.memory_mib()
        command = [
            sys.executable,
            str(Path(__file__).with_name("load.py")),
            "--protocol",
            "grpc",
            "--address",
            server.grpc,
        ]
        command += ["--rate", str(arguments.rate), "--seconds", str(60 * arguments.minutes), "--requests", "1000000000"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
            seen = watch(server, load)
            assert load.stdout is not None
            sent = json.loads(load.stdout.read().splitlines()[-1])
        time.sleep(5)
        after = server.memory_mib()
    seconds, mib = np.array(seen).T
    late = seconds > seconds[-1] / 2
    slope = float(np.polyfit(seconds[late] / 60, mib[late], 1)[0])
    report = {
        "benchmark": "memory",
        "rest_mib": round(rest),
        "most_mib_by_minute": by_minute(seen),
        "growth_mib_a_minute_second_half": round(slope, 1),
        "after_mib": round(after),
        "records": sent["records"],
        "records_per_second": sent["records_per_second"],
        "cpus": os.cpu_count(),
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
