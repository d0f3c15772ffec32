"""How long `sonde serve` takes until it is ready: cold, when every kernel is compiled, and warm, when they are loaded.

    make bench BENCH=startup ARGS="--rounds 5"

Each start has a fresh data folder, so its migration is part of both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile

from benchmarks.serving import serving


def ready_seconds(cache: str) -> float:
    with serving({"NUMBA_CACHE_DIR": cache}) as server:
        return server.ready_seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="warm starts, after one cold one")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="sonde-kernels-") as cache:
        cold = ready_seconds(cache)
        warm = [ready_seconds(cache) for _ in range(rounds)]
    report = {
        "benchmark": "startup",
        "cold_seconds": round(cold, 1),
        "warm_seconds": {"median": round(statistics.median(warm), 2), "max": round(max(warm), 2)},
        "cpus": os.cpu_count(),
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
