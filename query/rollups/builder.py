"""Points of closed hours, summarised and stored.

Each batch is read, summarised by five minutes and by the hour, inserted, and only then recorded in `rollup_hours`. Whatever
happens before that leaves rows which nobody reads, and which the next build of the hour replaces; a batch can be built any
number of times, also by two at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np
from sonde.query import filters
from sonde.query.filters import Filter
from sonde.query.prometheus.expressions import NUMBER
from sonde.query.prometheus.points import HEAD, Block, Points, Window, ordered, placed, runs_of
from sonde.query.promql.summaries import coarser, summarize
from sonde.query.rollups.hours import DAY_MS, HOUR_MS, Hours, Ints, due, hours_by_tenant, read_kept
from sonde.query.rollups.kinds import FIVE_MINUTES_MS, Kind
from sonde.query.rollups.pieces import Series, pieces
from sonde.storage.columns import Column, Constant
from sonde.storage.native import encode_block
from sonde.storage.native_blocks import Dictionary, NativeBlock, joined
from sonde.storage.rollups import ROLLUP_HOURS
from sonde.storage.schema import Table
from sonde.storage.store import Store

POINTS_A_BATCH = 4_000_000
"""Hours are recorded together up to so many points."""
LIMITS = {"max_execution_time": 300, "max_memory_usage": 2 << 30, "distributed_product_mode": "global"}


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive hours of one day."""

    tenant: str
    kind: Kind
    hours: Ints
    points: Ints
    """(h,) as `point_hours` had it."""

    @property
    def window(self) -> Window:
        return Window((int(self.hours[0]) - 1) * HOUR_MS + 1, int(self.hours[-1]) * HOUR_MS)


@dataclass(slots=True)
class Figures:
    """What was done."""

    hours: int = 0
    points: int = 0
    windows: int = 0
    """Rows written."""
    seconds: float = 0.0

    def add(self, other: Figures) -> None:
        self.hours += other.hours
        self.points += other.points
        self.windows += other.windows
        self.seconds += other.seconds


def batches(
    store: Store,
    kind: Kind,
    after_ms: int,
    before_ms: int,
    *,
    tenant: str | None = None,
    again: bool = False,
    resting_since_ms: int | None = None,
) -> list[Batch]:
    """What is due of the hours that ended in `(after_ms, before_ms]`, of one tenant or of all; newest first.

    With `again` all of them that have points. What was summarised after `resting_since_ms` is left alone.
    """
    closed = before_ms // HOUR_MS * HOUR_MS
    kept = read_kept(store.rows, kind)
    found: list[Batch] = []
    for name, hours in hours_by_tenant(store.rows, kind, after_ms, closed, tenant=tenant, outdated=not again).items():
        wanted = due(hours, kept, again=again)
        if resting_since_ms is not None:
            wanted = np.setdiff1d(wanted, hours.hours[hours.built_at > resting_since_ms])
        found += divided(name, kind, hours, wanted)
    return sorted(found, key=lambda batch: -batch.hours[-1])


def divided(tenant: str, kind: Kind, hours: Hours, wanted: Ints) -> Iterator[Batch]:
    """Those hours as batches, oldest first: consecutive ones of a day, up to `POINTS_A_BATCH`."""
    points = hours.points[np.searchsorted(hours.hours, wanted)]
    day = (wanted - 1) * HOUR_MS // DAY_MS
    begin = 0
    for at in range(1, len(wanted) + 1):
        goes_on = at < len(wanted) and day[at] == day[begin] and wanted[at] == wanted[at - 1] + 1
        if not goes_on or points[begin : at + 1].sum() > POINTS_A_BATCH:
            yield Batch(tenant, kind, wanted[begin:at], points[begin:at])
            begin = at


def build(store: Store, batch: Batch, stopped: Callable[[], bool] = lambda: False) -> Figures | None:
    """Summarises a batch and records it; None where it was stopped before that."""
    began = time.monotonic()
    version = time.time_ns()
    figures = Figures(hours=len(batch.hours))
    inserts = count()
    for series, points in parts(store, batch):
        figures.points += len(points)
        for piece, samples in pieces(batch.kind, points):
            if stopped():
                return None
            found = summarize(samples, FIVE_MINUTES_MS)
            for width, table in batch.kind.tables.items():
                found = found if found.width_ms == width else coarser(found, width)
                token = f"{batch.tenant}/{table.name}/{batch.hours[0]}-{batch.hours[-1]}/{version}/{next(inserts)}"
                figures.windows += insert(store, table, piece.block(batch.tenant, series, found, version), token)
    record(store, batch, version)
    figures.seconds = time.monotonic() - began
    return figures


def insert(store: Store, table: Table, block: dict[str, Column], token: str) -> int:
    rows = len(block["tenant"])
    if rows:
        store.insert_block(table.name, encode_block(table, block, rows), list(block), token=token)
    return rows


def record(store: Store, batch: Batch, version: int) -> None:
    rows = len(batch.hours)
    block: dict[str, Column] = {
        "tenant": Constant(batch.tenant.encode(), rows),
        "kind": Constant(batch.kind.name.encode(), rows),
        "end_time": (batch.hours * 3600).astype(np.uint32),
        "version": Constant(version.to_bytes(8, "little"), rows),
        "points": batch.points.astype(np.uint64),
    }
    token = f"{batch.tenant}/{batch.kind.name}/{batch.hours[0]}-{batch.hours[-1]}/{version}"
    insert(store, ROLLUP_HOURS, block, token)


def parts(store: Store, batch: Batch) -> Iterator[tuple[Series, Points]]:
    """The points of the batch, some series at a time."""
    parts = max(1, -(-int(batch.points.sum()) // batch.kind.at_once))
    edges = [number * 2**64 // parts for number in range(parts + 1)]
    for low, high in pairwise(edges):
        if blocks := read(store, batch, low, high - 1):
            series = series_of(blocks)
            yield series, points_of(batch.kind, series, blocks)


def read(store: Store, batch: Batch, low: int, high: int) -> list[NativeBlock]:
    """The points of the series whose ids are in `[low, high]`, both inclusive: fingerprints are spread evenly."""
    clause, params = filters.join(
        [
            Filter("series_id BETWEEN {low:UInt64} AND {high:UInt64}", {"low": low, "high": high}),
            filters.between(batch.window.range),
            Filter(batch.kind.where, {}),
        ]
    )
    sql = f"""
        SELECT metric, {", ".join((*HEAD, *batch.kind.expressions))}
        FROM {batch.kind.source}
        PREWHERE tenant = {{tenant:String}}
          AND {clause}
          AND series_id NOT IN (SELECT series_id FROM series WHERE tenant = {{tenant:String}} AND ({batch.kind.others}))
    """
    return list(store.blocks(sql, {"tenant": batch.tenant, **params}, settings=LIMITS))


def points_of(kind: Kind, series: Series, given: Sequence[NativeBlock]) -> Points:
    """The rows by series and time."""
    size = len(series.ids)
    blocks = [Block(runs_of(block.pop("series_id"), series.ids), block) for block in given]
    counts = sum((block.runs.counts(size) for block in blocks), np.zeros(size, np.int64))
    offsets = np.concatenate(([0], np.cumsum(counts)))
    names = [expression.rpartition(" AS ")[2] for expression in kind.expressions]
    if kind.expressions == (NUMBER,):
        return placed(blocks, names[0], offsets)
    return ordered(blocks, ("nano", "start_nano", *names), offsets)


def series_of(blocks: Sequence[NativeBlock]) -> Series:
    """The series of rows; their metrics are taken out of the blocks."""
    ids, metrics = [], []
    for block in blocks:
        metric = block.pop("metric")
        begins = np.flatnonzero(np.diff(block["series_id"], prepend=block["series_id"][:1] + 1))
        ids.append(block["series_id"][begins])
        metrics.append(Dictionary(metric.codes[begins], metric.values))
    found, first = np.unique(np.concatenate(ids), return_index=True)
    names = joined(metrics)
    return Series(found, [names.values[code] for code in names.codes[first]])
