"""What summaries of metrics cost to make and to keep, and what PromQL over a month takes with and without them.

    python -m benchmarks.rollups [--series 300] [--histograms 30] [--days 30] [--rounds 3]

Counters and histograms with a sample a minute, a jitter in their times, a restart now and then. Each question is asked at steps
of an hour, over points and over rollups, and both answers are compared before anything is timed. Bytes are those of active parts
after merges.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from sonde.query.config import QueryConfig
from sonde.query.prometheus.samples import StoreSource
from sonde.query.promql.evaluate import Result, evaluate
from sonde.query.promql.limits import Limits
from sonde.query.promql.parser import parse
from sonde.query.promql.summaries import Summaries
from sonde.query.promql.summary_widths import Use
from sonde.query.promql.syntax import Matcher
from sonde.query.promql.values import Samples, Vector
from sonde.query.reader import Gate, Reader
from sonde.query.rollups.builder import Figures, batches, build
from sonde.query.rollups.kinds import KINDS, Kind
from sonde.storage.columns import Block, Constant, Lists, Maps, Nullables, Strings
from sonde.storage.migrate import migrate
from sonde.storage.native import encode_block
from sonde.storage.retention import FOR_EVER
from sonde.storage.schema import POINTS_HISTOGRAM, POINTS_NUMBER, SERIES
from sonde.storage.store import Store, open_store

BEGIN = 1_768_435_200
"""2026-01-15T00:00:00Z"""
DAY = 86_400
HOUR_MS = 3_600_000
MOST = 400_000_000
QUESTIONS = {
    "rate": "rate(requests_total[1h])",
    "sum_by": "sum by (zone) (rate(requests_total[1h]))",
    "avg_over_time": "avg_over_time(requests_total[1h])",
    "instant": "requests_total",
    "quantile": "histogram_quantile(0.9, sum by (le) (rate(latency_bucket[1h])))",
}
NUMBER, HISTOGRAM = "requests", "latency"
BOUNDS = np.array([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10])


def texts(values: list[str]) -> Strings:
    encoded = [value.encode() for value in values]
    lengths = np.array([len(value) for value in encoded], np.int64)
    return Strings(np.frombuffer(b"".join(encoded), np.uint8), np.cumsum(lengths) - lengths, lengths)


def insert_series(store: Store, name: str, kind: int, series: int) -> None:
    labels = Maps(
        np.arange(2, 2 * series + 1, 2, dtype=np.uint64),
        texts(["pod", "zone"] * series),
        texts([text for number in range(series) for text in (f"pod-{number}", f"zone-{number % 5}")]),
    )
    block: Block = {
        "tenant": Constant(b"default", series),
        "series_id": ids_of(name, series),
        "name": Constant(name.encode(), series),
        "type": np.full(series, kind, np.uint8),
        "temporality": np.full(series, 2, np.int32),
        "is_monotonic": np.ones(series, np.uint8),
        "attributes_string": labels,
        "first_seen": np.full(series, BEGIN * 10**9, np.int64),
        "last_seen": np.full(series, (BEGIN + 400 * DAY) * 10**9, np.int64),
    }
    store.insert_block("series", encode_block(SERIES, block, series), list(block), token=f"series {name}")


def ids_of(name: str, series: int) -> Any:
    """Spread as fingerprints are."""
    first = 1 if name == NUMBER else 1_000_000
    return np.arange(first, first + series, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def times_of(random: np.random.Generator, series: int, day: int) -> Any:
    """(1440, series) ns, with a scrape's jitter."""
    minutes = (BEGIN + day * DAY + 60 * np.arange(1440))[:, None] * 10**9
    return minutes + random.integers(0, 50, (1440, series)) * 10**6


def insert_histograms(store: Store, series: int, day: int, totals: Any) -> Any:
    """A day's points of histograms; `totals` (series, buckets) is where they stand, as is what is returned."""
    random = np.random.default_rng(day)
    counts = totals + np.cumsum(random.poisson(3.0, (1440, *totals.shape)), axis=0)
    rows, buckets = 1440 * series, totals.shape[1]
    ends = np.arange(1, rows + 1, dtype=np.uint64)
    block: Block = {
        "tenant": Constant(b"default", rows),
        "metric": Constant(HISTOGRAM.encode(), rows),
        "series_id": np.tile(ids_of(HISTOGRAM, series), 1440),
        "time": times_of(random, series, day).ravel(),
        "start_time": np.full(rows, BEGIN * 10**9, np.int64),
        "count": counts.sum(axis=2).ravel().astype(np.uint64),
        "sum": Nullables(np.zeros(rows, np.uint8), counts.sum(axis=2).ravel() * 0.1),
        "bucket_counts": Lists(ends * np.uint64(buckets), counts.ravel().astype(np.uint64)),
        "explicit_bounds": Lists(ends * np.uint64(len(BOUNDS)), np.tile(BOUNDS, rows)),
    }
    native = encode_block(POINTS_HISTOGRAM, block, rows)
    store.insert_block("points_histogram", native, list(block), token=f"histograms {day}")
    return counts[-1]


def insert_day(store: Store, series: int, day: int, totals: Any) -> Any:
    """A day's points, as a writer gives them: by time. Returns where the counters stand."""
    random = np.random.default_rng(day)
    grown = random.poisson(30.0, (1440, series)).astype(np.float64)
    values = totals + np.cumsum(grown, axis=0)
    restarted = random.random(series) < 0.05
    values[720:, restarted] -= values[720, restarted]
    rows = values.size
    block: Block = {
        "tenant": Constant(b"default", rows),
        "metric": Constant(NUMBER.encode(), rows),
        "series_id": np.tile(ids_of(NUMBER, series), 1440),
        "time": times_of(random, series, day).ravel(),
        "start_time": np.full(rows, BEGIN * 10**9, np.int64),
        "value": values.ravel(),
        "value_type": np.ones(rows, np.uint8),
    }
    store.insert_block("points_number", encode_block(POINTS_NUMBER, block, rows), list(block), token=f"day {day}")
    return values[-1]


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def build_all(store: Store, kind: Kind, end_ms: int) -> tuple[Figures, float]:
    """What was done, and the CPU seconds of it."""
    began = cpu()
    figures = Figures()
    for batch in batches(store, kind, 0, end_ms):
        built = build(store, batch)
        assert built is not None
        figures.add(built)
    return figures, cpu() - began


def assert_same(found: Result, expected: Result) -> None:
    here, there = found.value, expected.value
    assert isinstance(here, Vector)
    assert isinstance(there, Vector)
    assert here.labels.rows() == there.labels.rows()
    np.testing.assert_array_equal(here.present, there.present)
    np.testing.assert_allclose(here.values[here.present], there.values[there.present], rtol=1e-12)


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


def measure(store: Store, series: int, histograms: int, days: int, rounds: int) -> dict[str, Any]:
    insert_series(store, NUMBER, 7, series)
    insert_series(store, HISTOGRAM, 9, histograms)
    totals, counts = np.zeros(series), np.zeros((histograms, len(BOUNDS) + 1))
    for day in range(days):
        totals = insert_day(store, series, day, totals)
        counts = insert_histograms(store, histograms, day, counts)
    begin_ms, end_ms = BEGIN * 1000, (BEGIN + days * DAY) * 1000
    found: dict[str, Any] = {}
    for kind in KINDS:
        figures, used = build_all(store, kind, end_ms)
        found |= {
            f"{kind.name}": figures.points,
            f"{kind.name}_build_us_per_point": figures.seconds / figures.points * 1e6,
            f"{kind.name}_build_cpu_us_per_point": used / figures.points * 1e6,
        }
        names = (kind.source, *(table.name for table in kind.tables.values()))
        found |= {f"bytes_per_point_{name}": bytes_of(store, name) / figures.points for name in names}
    reader = Reader(store, "default", QueryConfig(query_max_memory_mib=8192), Gate(8, 60), Gate(8, 0))
    source = StoreSource(reader, max_samples=MOST)
    for name, text in QUESTIONS.items():
        ask = partial(asked, text, source, begin_ms, end_ms)
        assert_same(ask(Use.EXACT), ask(Use.OFF))
        took = {use: best(rounds, partial(ask, use)) for use in (Use.OFF, Use.EXACT)}
        found |= {f"{name}_points_s": took[Use.OFF], f"{name}_rollups_s": took[Use.EXACT]}
        found[f"{name}_times_faster"] = took[Use.OFF] / took[Use.EXACT]
    return found


def asked(text: str, source: StoreSource, begin_ms: int, end_ms: int, use: Use) -> Result:
    grid = {"start_ms": begin_ms + HOUR_MS, "end_ms": end_ms, "step_ms": HOUR_MS}
    return evaluate(parse(text), Witness(source, use), limits=Limits(MOST), use=use, **grid)


class Witness:
    """The source, which has to be asked for what it is there for."""

    def __init__(self, source: StoreSource, use: Use) -> None:
        self.source = source
        self.use = use

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Samples:
        assert self.use is Use.OFF, "the rollups were not read"
        return self.source.select(matchers, start_ms, end_ms)

    def summaries(
        self, matchers: Sequence[Matcher], width_ms: int, after_ms: int, end_ms: int, *, values: bool
    ) -> Summaries | None:
        return self.source.summaries(matchers, width_ms, after_ms, end_ms, values=values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=300)
    parser.add_argument("--histograms", type=int, default=30)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sonde-rollups-") as folder, open_store(f"chdb://{folder}/store") as store:
        migrate(store, retention=FOR_EVER)
        found = measure(store, options.series, options.histograms, options.days, options.rounds)
    for name, value in found.items():
        print(f"{name:32} {value:14,.3f}")
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    print(json.dumps({"benchmark": "rollups", **machine, **vars(options), **found}))


if __name__ == "__main__":
    main()
