"""What summaries of metrics cost to make and to keep, and what a question over a month reads with and without them.

    python -m benchmarks.rollups [--series 1000] [--days 30] [--rounds 3]

Counters with a sample a minute, a scrape's jitter in their times, a restart now and then. For each width the same windows are
had from the points (read and summarised) and from the rollups, and compared before anything is timed: counts, times, first and last
values, extremes equal, sums and increases to 1e-12. Bytes are those of active parts after merges.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sonde.query.config import QueryConfig
from sonde.query.prometheus.samples import StoreSource
from sonde.query.promql.summaries import FLAT, Summaries, summarize
from sonde.query.promql.syntax import Matcher, MatchOp
from sonde.query.reader import Gate, Reader
from sonde.query.rollups.builder import Figures, batches, build
from sonde.query.rollups.kinds import NUMBERS
from sonde.storage.columns import Block, Constant, Maps, Strings
from sonde.storage.migrate import migrate
from sonde.storage.native import encode_block
from sonde.storage.retention import FOR_EVER
from sonde.storage.schema import POINTS_NUMBER, SERIES
from sonde.storage.store import Store, open_store

BEGIN = 1_768_435_200
"""2026-01-15T00:00:00Z"""
DAY = 86_400
MATCHERS = (Matcher("__name__", MatchOp.EQUAL, "requests_total"),)
SUMS = ("sums", "losses")


def texts(values: list[str]) -> Strings:
    encoded = [value.encode() for value in values]
    lengths = np.array([len(value) for value in encoded], np.int64)
    return Strings(np.frombuffer(b"".join(encoded), np.uint8), np.cumsum(lengths) - lengths, lengths)


def insert_series(store: Store, series: int) -> None:
    labels = Maps(
        np.arange(1, series + 1, dtype=np.uint64),
        texts(["pod"] * series),
        texts([f"pod-{number}" for number in range(series)]),
    )
    block: Block = {
        "tenant": Constant(b"default", series),
        "series_id": ids_of(series),
        "name": Constant(b"requests", series),
        "type": np.full(series, 7, np.uint8),
        "temporality": np.full(series, 2, np.int32),
        "is_monotonic": np.ones(series, np.uint8),
        "attributes_string": labels,
        "first_seen": np.full(series, BEGIN * 10**9, np.int64),
        "last_seen": np.full(series, (BEGIN + 400 * DAY) * 10**9, np.int64),
    }
    store.insert_block("series", encode_block(SERIES, block, series), list(block), token="series")


def ids_of(series: int) -> Any:
    """Spread as fingerprints are."""
    return np.arange(1, series + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def insert_day(store: Store, series: int, day: int, totals: Any) -> Any:
    """A day's points, as a writer gives them: by time. Returns where the counters stand."""
    random = np.random.default_rng(day)
    grown = random.poisson(30.0, (1440, series)).astype(np.float64)
    values = totals + np.cumsum(grown, axis=0)
    restarted = random.random(series) < 0.05
    values[720:, restarted] -= values[720, restarted]
    times = (BEGIN + day * DAY + 60 * np.arange(1440))[:, None] * 10**9 + random.integers(0, 50, (1440, series)) * 10**6
    rows = values.size
    block: Block = {
        "tenant": Constant(b"default", rows),
        "series_id": np.tile(ids_of(series), 1440),
        "time": times.ravel(),
        "start_time": np.full(rows, BEGIN * 10**9, np.int64),
        "value": values.ravel(),
        "value_type": np.ones(rows, np.uint8),
    }
    store.insert_block("points_number", encode_block(POINTS_NUMBER, block, rows), list(block), token=f"day {day}")
    return values[-1]


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def build_all(store: Store, end_ms: int) -> tuple[Figures, float]:
    """What was done, and the CPU seconds of it."""
    began = cpu()
    figures = Figures()
    for batch in batches(store, NUMBERS, 0, end_ms):
        built = build(store, batch)
        assert built is not None
        figures.add(built)
    return figures, cpu() - began


def assert_same(found: Summaries | None, expected: Summaries) -> None:
    assert found is not None, "the rollups were not read"
    for name in FLAT:
        here, there = getattr(found, name), getattr(expected, name)
        if name in SUMS:
            np.testing.assert_allclose(here, there, rtol=1e-12)
        else:
            np.testing.assert_array_equal(here, there)


def best(rounds: int, work: Callable[[], Any]) -> float:
    """Seconds of the quickest of some rounds."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took)


def bytes_of(store: Store, table: str) -> int:
    store.command(f"OPTIMIZE TABLE {table} FINAL")
    sql = """
        SELECT sum(bytes_on_disk) AS bytes
        FROM system.parts
        WHERE database = currentDatabase() AND table = {table:String} AND active
    """
    return int(store.rows(sql, {"table": table})[0]["bytes"])


def measure(store: Store, series: int, days: int, rounds: int) -> dict[str, Any]:
    insert_series(store, series)
    totals = np.zeros(series)
    for day in range(days):
        totals = insert_day(store, series, day, totals)
    begin_ms, end_ms = BEGIN * 1000, (BEGIN + days * DAY) * 1000
    figures, used = build_all(store, end_ms)
    points = figures.points
    found: dict[str, Any] = {
        "points": points,
        "build_us_per_point": figures.seconds / points * 1e6,
        "build_cpu_us_per_point": used / points * 1e6,
    }
    sizes = {name: bytes_of(store, name) for name in ("points_number", "points_number_5m", "points_number_1h")}
    found |= {f"bytes_per_point_{name}": size / points for name, size in sizes.items()}
    reader = Reader(store, "default", QueryConfig(), Gate(8, 60), Gate(8, 0))
    source = StoreSource(reader, max_samples=200_000_000)
    raw = best(rounds, lambda: source.select(MATCHERS, begin_ms + 1, end_ms))
    found["select_s"] = raw
    for label, width in (("1h", 3_600_000), ("5m", 300_000)):
        windows = source.summaries(MATCHERS, width, begin_ms, end_ms)
        assert_same(windows, summarize(source.select(MATCHERS, begin_ms + 1, end_ms), width))
        took = best(rounds, lambda width=width: source.summaries(MATCHERS, width, begin_ms, end_ms))
        found |= {f"summaries_{label}_s": took, f"times_faster_{label}": raw / took}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sonde-rollups-") as folder, open_store(f"chdb://{folder}/store") as store:
        migrate(store, retention=FOR_EVER)
        found = measure(store, options.series, options.days, options.rounds)
    for name, value in found.items():
        print(f"{name:32} {value:14,.3f}")
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    print(json.dumps({"benchmark": "rollups", **machine, **vars(options), **found}))


if __name__ == "__main__":
    main()
