"""Seeded columns of logs and number points, as `columns.py` makes those of spans."""

from __future__ import annotations

import numpy as np
from sonde.storage.columns import Block, Constant, Maps, Strings

from benchmarks.columns import (
    AT_UNIX_NANO,
    NOUNS,
    SERVICES,
    Pool,
    cumulative,
    empty_maps,
    key_column,
    mixed,
)

SEVERITIES = ((9, "INFO"), (9, "INFO"), (9, "INFO"), (5, "DEBUG"), (13, "WARN"), (17, "ERROR"))
MESSAGES = (
    "order {} accepted for customer {} in {} ms",
    "could not reserve stock for item {}: only {} left, retrying in {} ms",
    "GET /api/products/{} answered {} bytes in {} ms",
    "cache miss for key product:{}:{} (age {} s)",
    "payment {} declined by the bank with code {} after {} attempts",
)
LOG_GAP_NANO = 20_000
COLLECTION_NANO = 15_000_000_000


def logs(rows: int, *, seed: int = 1, at_unix_nano: int = AT_UNIX_NANO) -> Block:
    """`rows` log records in the order of their arrival, every column of table `logs`; four of five within a trace."""
    rng = np.random.default_rng(seed)
    pool = Pool()
    service = rng.integers(0, len(SERVICES), rows)
    severity = rng.integers(0, len(SEVERITIES), rows)
    time = at_unix_nano + np.arange(rows) * LOG_GAP_NANO + rng.integers(0, 1_000_000, rows)
    traced = rng.random(rows) < 0.8
    trace_ids = rng.integers(0, 256, (rows, 16), np.uint8)[np.arange(rows) // 4] * traced[:, None].astype(np.uint8)
    span_ids = rng.integers(0, 256, (rows, 8), np.uint8)[np.arange(rows) // 2] * traced[:, None].astype(np.uint8)
    picks = zip(
        rng.integers(0, len(MESSAGES), rows).tolist(),
        rng.integers(0, 1_000_000, rows).tolist(),
        rng.integers(0, 1_000_000, rows).tolist(),
        rng.integers(0, 5_000, rows).tolist(),
        strict=True,
    )
    bodies = pool.strings([MESSAGES[m].format(a, b, c) for m, a, b, c in picks], np.arange(rows))
    noun = rng.integers(0, len(NOUNS), rows)
    files = [f"/srv/{s}/{n}.py" for s in SERVICES for n in NOUNS]
    loggers = [f"shop.{s}.{n}" for s in SERVICES for n in NOUNS]
    strings = mixed(
        pool,
        {
            "code.file.path": pool.strings(files, service * len(NOUNS) + noun),
            "code.function.name": pool.strings([f"handle_{n}" for n in NOUNS], noun),
            "thread.name": pool.strings([f"worker-{i}" for i in range(16)], rng.integers(0, 16, rows)),
            "logger.name": pool.strings(loggers, service * len(NOUNS) + noun),
        },
        rows,
    )
    keys_int = key_column(pool, ("code.line.number",), rows)
    service_names = pool.strings(list(SERVICES), service)
    texts = pool.strings([text for _, text in SEVERITIES], severity)
    buffer = pool.buffer()
    return {
        "tenant": Constant(b"default", rows),
        "time": time,
        "time_source": np.zeros(rows, np.uint8),
        "observed_time": time + 1_000,
        "trace_id": trace_ids,
        "span_id": span_ids,
        "flags": traced.astype(np.uint32),
        "service_name": Strings(buffer, *service_names),
        "severity_number": np.array([number for number, _ in SEVERITIES], np.int32)[severity],
        "severity_text": Strings(buffer, *texts),
        "event_name": Constant(b"", rows),
        "body": Strings(buffer, *bodies),
        "body_type": np.ones(rows, np.uint8),
        "resource_id": rng.integers(0, 1 << 63, 36).astype(np.uint64)[service * 3 + np.arange(rows) // 128 % 3],
        "scope_id": rng.integers(0, 1 << 63, 24).astype(np.uint64)[service * 2 + np.arange(rows) // 64 % 2],
        "attributes_string": Maps(cumulative(rows, 4), Strings(buffer, *strings[0]), Strings(buffer, *strings[1])),
        "attributes_int": Maps(cumulative(rows, 1), Strings(buffer, *keys_int), rng.integers(1, 900, rows)),
        "attributes_double": empty_maps(rows),
        "attributes_bool": empty_maps(rows),
        "attributes_json": empty_maps(rows),
        "dropped_attributes_count": np.zeros(rows, np.uint32),
    }


def number_points(
    rows: int,
    *,
    seed: int = 1,
    series: int = 10_000,
    at_unix_nano: int = AT_UNIX_NANO,
    first_collection: int = 0,
    jitter: bool = True,
) -> Block:
    """`rows` number points of `series` series, one collection of all of them after another, 15 s apart.

    Half are counters that grow by a few, half are gauges that wander; times jitter by up to 3 ms between the senders and
    are the same for the 100 series of one sender; without `jitter` they keep to the grid, as scraped samples do.
    """
    rng = np.random.default_rng(seed)
    fixed = np.random.default_rng(0)
    ids = fixed.integers(0, 1 << 63, series).astype(np.uint64)
    which = np.arange(rows) % series
    collection = first_collection + np.arange(rows) // series
    sender = which // 100
    time = (
        at_unix_nano
        + collection * COLLECTION_NANO
        + sender * 37_000_000
        + rng.integers(0, 3_000_000 if jitter else 1, rows // 100 + 1)[np.arange(rows) // 100]
    )
    counter = which % 2 == 0
    growth = fixed.integers(0, 40, series)
    counted = (growth[which] * collection + rng.integers(0, 3, rows)).astype(np.float64)
    wandering = (32 + 16 * np.sin(collection / 40 + which) + rng.normal(0, 0.2, rows)).round(2)
    return {
        "tenant": Constant(b"default", rows),
        "series_id": ids[which],
        "time": time,
        "time_source": np.zeros(rows, np.uint8),
        "start_time": np.where(counter, at_unix_nano - 60_000_000_000, 0) + np.where(counter, sender * 1_000_003, 0),
        "value": np.where(counter, counted, wandering),
        "value_remainder": np.zeros(rows, np.int64),
        "value_type": np.where(counter, 2, 1).astype(np.uint8),
        "flags": np.zeros(rows, np.uint32),
    }
