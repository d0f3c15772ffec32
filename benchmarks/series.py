"""What a bound on series costs at the door, on one core: beside the scan that a request goes through anyway.

    python -m benchmarks.series [--requests 40] [--rounds 9] [--known 1000000]

`scan` is all there is without a limit, and the baseline of the same run. The other cases are what comes on top of it:

* `known`: the payload all benchmarks share, of which every series was seen before;
* `known, many`: a gauge whose series were all seen before among `--known` others, so each look into the table misses the cache;
* `new`: the same series for the first time;
* `refused`: half of the series are over the limit of their metric. Their points are cut out, what is left is scanned again, and the
  label that makes them is looked for.

Times are CPU time of this thread, the least of all rounds; the cases take turns.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sonde.ingest.limits import Limits
from sonde.ingest.scan import Scan, scan
from sonde.ingest.series_file import SeriesBounds
from sonde.ingest.series_limits import SeriesLimits
from sonde.ingest.signals import Signal
from sonde.ingest.twin_series import series_slowly, without_points_slowly

from benchmarks import payload
from benchmarks.decode import commit, cpu_seconds
from benchmarks.points import series_request

LIMITS = Limits()
RECEIVED = payload.AT_UNIX_NANO + 3600 * 10**9
HOUR = 3_600
POINTS = payload.RECORDS_PER_REQUEST


def scanned(bodies: list[bytes]) -> list[Scan]:
    return [scan(Signal.METRICS, body, LIMITS, RECEIVED) for body in bodies]


def bounded(series: SeriesLimits, bodies: list[bytes], found: list[Scan]) -> int:
    """What the door does after the scan; how many points are kept."""
    kept = [series.apply("default", body, each, LIMITS, RECEIVED) for body, each in zip(bodies, found, strict=True)]
    return sum(each.found.accepted for each in kept)


def many(folder: Path, known: int, of_metric: int) -> SeriesLimits:
    """Limits that know `known` series of the gauge of `series_request`."""
    series = SeriesLimits(folder, SeriesBounds(2 * known, of_metric, HOUR))
    for first in range(0, known, 100_000):
        body = series_request(first, min(100_000, known - first))
        assert bounded(series, [body], scanned([body])) == min(100_000, known - first)
    return series


def check(folder: Path) -> None:
    """Half of the series of a request are refused, and they are the ones that the twin says, before anything is timed."""
    series = SeriesLimits(folder, SeriesBounds(0, POINTS // 2, HOUR))
    body = series_request(0, POINTS)
    kept = series.apply("default", body, scanned([body])[0], LIMITS, RECEIVED)
    cut = [0] * (POINTS // 2) + [1] * (POINTS // 2)
    assert without_points_slowly(body, cut).SerializeToString(deterministic=True) == without_points_slowly(
        bytes(kept.body), [0] * POINTS
    ).SerializeToString(deterministic=True)
    assert len(series_slowly(bytes(kept.body))) == kept.found.accepted == POINTS // 2


def half_new(first_known: int, first_new: int) -> bytes:
    """A request of which half of the series are known."""
    return series_request(first_known, POINTS // 2) + series_request(first_new, POINTS // 2)


def measure(requests: int, rounds: int, known: int, folder: Path) -> dict[str, float]:
    """Microseconds of CPU a point, by case."""
    check(folder / "check")
    bodies = payload.number_requests(requests)
    step = known // requests // POINTS * POINTS
    spread = [series_request(number * step, POINTS) for number in range(requests)]
    halves = [half_new(number * step, known + number * POINTS) for number in range(requests)]
    small = SeriesLimits(folder / "small", SeriesBounds(0, 100_000, HOUR))
    found, found_spread, found_halves = scanned(bodies), scanned(spread), scanned(halves)
    assert bounded(small, bodies, found) == requests * POINTS
    large = many(folder / "large", known, 0)
    full = many(folder / "full", known, known)
    numbers = iter(range(10**6))

    def first_time() -> None:
        bounded(SeriesLimits(folder / f"new-{next(numbers)}", SeriesBounds(0, known, HOUR)), spread, found_spread)

    cases: dict[str, Callable[[], Any]] = {
        "scan": lambda: scanned(bodies),
        "known": lambda: bounded(small, bodies, found),
        "scan, many": lambda: scanned(spread),
        "known, many": lambda: bounded(large, spread, found_spread),
        "new": first_time,
        "refused": lambda: bounded(full, halves, found_halves),
    }
    assert bounded(full, halves, found_halves) == requests * POINTS // 2
    least = dict.fromkeys(cases, float("inf"))
    for _ in range(rounds):
        for case, work in cases.items():
            least[case] = min(least[case], cpu_seconds(work) / (requests * POINTS) * 1e6)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=40, help="requests of 512 points")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--known", type=int, default=1_000_000, help="series that a large table holds")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sonde-series-") as name:
        us = measure(args.requests, args.rounds, args.known, Path(name))
    for case, value in us.items():
        print(f"  {case:12} {value:7.3f} us a point")
    ratios = {case: round(us[case] / us["scan, many" if "many" in case else "scan"], 2) for case in us}
    machine = {"machine": platform.machine(), "cpu": platform.processor(), "python": platform.python_version()}
    rounded = {case: round(value, 3) for case, value in us.items()}
    cases = {"us_per_point": rounded, "to_scan": ratios}
    print(json.dumps({"benchmark": "series", **machine, "commit": commit(), "cases": cases}))


if __name__ == "__main__":
    main()
