"""Summaries of windows, read from the rows of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sonde.query import filters
from sonde.query.filters import Filter
from sonde.query.prometheus import kernels
from sonde.query.prometheus.metrics import Part
from sonde.query.prometheus.points import NANO, Chosen, runs_of, taken
from sonde.query.promql.float_text import plain
from sonde.query.promql.labels import LabelColumn, LabelTable, values_of
from sonde.query.promql.summaries import Summaries, empty
from sonde.query.reader import Reader
from sonde.query.rollups.hours import HOUR_MS, NEVER, Hours
from sonde.query.rollups.pieces import ARRAYS, BUCKETS, EXTREMES, FIELDS, SUM
from sonde.storage.native_blocks import NativeBlock, joined
from sonde.storage.schema import Table

Ints = NDArray[np.int64]
Accepts = Callable[[Sequence[str]], Sequence[bool]]

LAYOUT = "cityHash64(bounds) AS layout"


@dataclass(frozen=True, slots=True)
class Asked:
    """The windows of n series that end in `(after_ms, end_ms]`."""

    table: Table
    width_ms: int
    part: Part
    chosen: Chosen
    labels: LabelTable
    """n series, but for `le`."""
    after_ms: int
    end_ms: int
    values: bool
    """Whether sums and extremes are wanted."""
    accepts: Accepts
    """Which values of `le`."""
    most: int
    """Windows that may be read."""
    builds: Hours
    """When these windows were summarised."""

    @property
    def expressions(self) -> tuple[str, ...]:
        match self.part:
            case Part.VALUE:
                return tuple(name for name in FIELDS if self.values or name not in EXTREMES)
            case Part.BUCKET:
                return (LAYOUT, "bounds", *(name for name in FIELDS if name not in EXTREMES))
        plain_columns = (name for name in FIELDS if name not in (*ARRAYS, *EXTREMES))
        return (LAYOUT, *plain_columns, *(f"{name}[-1] AS {name}_value" for name in ARRAYS))

    @property
    def where(self) -> list[Filter]:
        inside = Filter(
            "end_time > toDateTime({after:UInt32}, 'UTC') AND end_time <= toDateTime({end:UInt32}, 'UTC')",
            {"after": seconds(self.after_ms), "end": seconds(self.end_ms)},
        )
        if self.part is Part.VALUE:
            return [inside]
        return [inside, Filter("part = {part:String}", {"part": SUM if self.part is Part.SUM else BUCKETS})]


class TooManyWindows(Exception):
    """There are more than was allowed."""


def read_windows(reader: Reader, asked: Asked) -> list[Summaries]:
    """One for each layout of buckets, of the same series but for `le`; `TooManyWindows` than were allowed."""
    blocks: list[NativeBlock] = []
    codes: list[Ints] = []
    rows = 0
    for block in _blocks(reader, asked):
        runs = runs_of(block.pop("series_id"), asked.chosen.ids)
        codes.append(np.repeat(runs.codes, np.diff(runs.begins)))
        blocks.append(block)
        rows += len(block["end"])
        if rows > asked.most:
            raise TooManyWindows
    if not blocks:
        return []
    columns = {name: joined([block[name] for block in blocks]) for name in blocks[0]}
    columns["end"] = columns["end"].astype(np.int64)
    return [made(asked, *found) for found in layouts(columns, np.concatenate(codes), asked.labels.size, asked.builds)]


def _blocks(reader: Reader, asked: Asked) -> Iterator[NativeBlock]:
    for wanted, _ in asked.chosen.statements():
        clause, params = filters.join([wanted, *asked.where])
        sql = f"""
            SELECT series_id, toUnixTimestamp(end_time) AS end, version, {", ".join(asked.expressions)}
            FROM {asked.table.name}
            PREWHERE tenant = {{tenant:String}}
              AND {clause}
        """
        with closing(reader.blocks(sql, params)) as blocks:
            yield from blocks


def seconds(ms: int) -> int:
    """As far as a DateTime goes."""
    return min(max(ms // 1000, 0), 2**32 - 1)


def layouts(columns: dict[str, Any], codes: Ints, series: int, builds: Hours) -> Iterator[tuple[dict[str, Any], Ints]]:
    """For each layout its columns, by series and end, of windows that stand several times the newest; the (n + 1,) offsets."""
    given = columns.pop("layout", None)
    asked = (codes >= 0) & of_last_build(columns["end"], columns["version"], builds)
    groups = [asked] if given is None else [asked & (given == layout) for layout in np.unique(given[asked])]
    versions, rank = np.unique(columns.pop("version"), return_inverse=True)
    for group in groups:
        rows = np.flatnonzero(group)
        offsets = np.concatenate(([0], np.cumsum(np.bincount(codes[rows], minlength=series)))).astype(np.int64)
        order = rows[kernels.rows_by_code(codes[rows], offsets)]
        # One key for both, in the order of which the newest comes last.
        keys = (columns["end"] * len(versions) + rank)[order]
        kernels.sort_within(keys, offsets, order)
        newest = np.ones(len(order), bool)
        kernels.mark_last_of_time(columns["end"][order], offsets, newest)
        if not newest.all():
            order, offsets = order[newest], np.concatenate(([0], np.cumsum(newest)))[offsets]
        yield {name: taken(column, order) for name, column in columns.items()}, offsets


def of_last_build(ends: Ints, versions: NDArray[np.uint64], builds: Hours) -> NDArray[np.bool_]:
    """Which rows are none that an older build has left: of windows whose buckets are others since, nothing replaces these."""
    at = np.searchsorted(builds.hours, -(-ends * 1000 // HOUR_MS))
    known = np.append(builds.hours, NEVER)[at] == -(-ends * 1000 // HOUR_MS)
    built_ms = np.append(builds.built_at, 0)[at]
    found: NDArray[np.bool_] = ~known | (versions // np.uint64(NANO) >= built_ms.astype(np.uint64))
    return found


def made(asked: Asked, columns: dict[str, Any], offsets: Ints) -> Summaries:
    """The rows of one layout as the series that they are."""
    if asked.part is Part.BUCKET:
        return of_buckets(asked, columns, offsets)
    found = empty(asked.labels, asked.width_ms, offsets)
    values = {
        field: columns[name if name in columns else f"{name}_value"]
        for name, field in FIELDS.items()
        if name in columns or f"{name}_value" in columns
    }
    return filled(found, columns["end"] * 1000, values)


def of_buckets(asked: Asked, columns: dict[str, Any], offsets: Ints) -> Summaries:
    """A series for each bucket that is wanted and each series of the rows: all of the first bound, then the next."""
    rows, series = len(columns["end"]), asked.labels.size
    bounds = columns["bounds"]
    edges = [*(plain(bound) for bound in bounds.items[: bounds.ends[0]]), "+Inf"] if rows else []
    shown = np.flatnonzero(asked.accepts(edges))
    count = len(shown)
    if rows * count > asked.most:
        raise TooManyWindows
    column = LabelColumn(
        np.repeat(np.arange(1, count + 1, dtype=np.int32), series), values_of(["", *(edges[at] for at in shown)])
    )
    labels = asked.labels.take(np.tile(np.arange(series), count)).with_column("le", column)
    starts = np.repeat(np.arange(count) * rows, series)
    found = empty(labels, asked.width_ms, np.append(starts + np.tile(offsets[:-1], count), count * rows))
    values = {
        FIELDS[name]: columns[name].items.reshape(rows, len(edges))[:, shown].T.ravel()
        if name in ARRAYS
        else np.tile(columns[name], count)
        for name in FIELDS
        if name not in EXTREMES
    }
    return filled(found, np.tile(columns["end"] * 1000, count), values)


def filled(found: Summaries, ends: Ints, values: dict[str, Any]) -> Summaries:
    found.ends[:] = ends
    for field, column in values.items():
        getattr(found, field)[:] = column
    return found


def nothing(labels: LabelTable, width_ms: int) -> Summaries:
    return empty(labels, width_ms, np.zeros(labels.size + 1, np.int64))
