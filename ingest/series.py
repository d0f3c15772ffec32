"""The series of a batch of points, and the columns of `series` for those that are new.

A series is decoded from the first point of it that the batch holds: what identifies its metric was noted when the points were
decoded, its attributes and the metric's metadata are walked again. So it costs something only when it is announced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sonde.ingest import metrics_fields as f
from sonde.ingest.attributes import (
    MAPS,
    SMALL_MAPS,
    TEXT_COLUMNS,
    map_columns,
    map_shapes,
    put_attribute,
    put_ends,
    put_small_attribute,
    small_map_columns,
)
from sonde.ingest.kernel import inline, kernel, out_of_line, part, pointer
from sonde.ingest.limits import Limits
from sonde.ingest.regions import ARENA_END, Regions, filled, next_row, room_for_text
from sonde.ingest.rows import strings_of
from sonde.ingest.scan_any_value import kinds_total, scan_attribute
from sonde.ingest.tally import ARENA, KINDS, OWN, limits_array, new_frames, new_tally
from sonde.ingest.wire import pass_field, take_len, take_tag
from sonde.storage.columns import I64, U64, Block, Strings

# Columns of the region of points: every kept one, whatever its kind, in wire order.
POINT_SERIES_ID, POINT_START, POINT_STOP, POINT_METRIC = range(4)
POINT_COLUMNS = 4

# Columns of the region of metrics. Texts: start, and length in the next column.
(
    METRIC_RESOURCE_ID,
    METRIC_SCOPE_ID,
    METRIC_TYPE,
    METRIC_TEMPORALITY,
    METRIC_IS_MONOTONIC,
    METRIC_START,
    METRIC_STOP,
    METRIC_NAME,
    _NAME_LENGTH,
    METRIC_DESCRIPTION,
    _DESCRIPTION_LENGTH,
    METRIC_UNIT,
    _UNIT_LENGTH,
    METRIC_METADATA_COUNT,
) = range(14)
METRIC_COLUMNS = 14

# Regions and columns of the series themselves.
ATTRIBUTES = 0
METADATA = ATTRIBUTES + MAPS
SERIES = METADATA + SMALL_MAPS
ATTRIBUTES_END = 0
METADATA_END = ATTRIBUTES_END + MAPS
SERIES_COLUMNS = METADATA_END + SMALL_MAPS

# Places in the tally.
ATTRIBUTES_COUNTS = OWN
METADATA_COUNTS = OWN + KINDS

METADATA_PER_BLOCK = 1 << 20
"""Metadata repeats with every series of its metric: a block holds about so many entries at most."""


class SeriesOfBatch:
    """Which series the kept points of a batch belong to. `ids`: uint64, one a point, in wire order."""

    def __init__(self, found: Regions, points: int, metrics: int) -> None:
        self.ids: U64 = found.unsigned(points, POINT_SERIES_ID)
        self._found = found
        self._points = points
        self._metrics = metrics
        self._buffer = found.buffer
        self._text_start = int(found.plan[ARENA_END])

    def resource_ids(self, points: I64) -> U64:
        """The fingerprint of the resource of each of `points` (indices into `ids`)."""
        return self._of_metric(points, METRIC_RESOURCE_ID).view(np.uint64)

    def portions(self, points: I64) -> list[I64]:
        """`points` cut so that the block of each portion has a bounded size."""
        metadata = self._of_metric(points, METRIC_METADATA_COUNT)
        portion = np.cumsum(metadata) // METADATA_PER_BLOCK
        return np.split(points, np.flatnonzero(np.diff(portion)) + 1)

    def block(self, points: I64, service_names: Mapping[int, bytes]) -> Block:
        """The columns of `series` for the series of `points`, but tenant and when they were seen.

        `service_names`: by the fingerprint of the resource.
        """
        metrics = self._of_point(points, POINT_METRIC)
        starts, stops = self._of_point(points, POINT_START), self._of_point(points, POINT_STOP)
        types = self._of_metric(points, METRIC_TYPE)
        first, last = self._of_metric(points, METRIC_START), self._of_metric(points, METRIC_STOP)
        tally = new_tally()
        counted = count_series(
            self._buffer, metrics, first, last, types, starts, stops, limits_array(Limits()), tally, new_frames()
        )
        if counted < 0:
            raise RuntimeError("a point that was scanned and decoded is not well-formed any more")
        metadata = int(self._of_metric(points, METRIC_METADATA_COUNT).sum())
        packed = int((stops - starts).sum())
        self._make_room(room_for_text(packed, int(tally[ARENA])))
        found = Regions(
            {
                **map_shapes(ATTRIBUTES, tally, ATTRIBUTES_COUNTS),
                METADATA: (metadata, TEXT_COLUMNS),
                METADATA + 1: (metadata, TEXT_COLUMNS),
                SERIES: (len(points), SERIES_COLUMNS),
            },
            self._buffer,
            self._text_start,
            packed=packed,
            symbols=kinds_total(tally, ATTRIBUTES_COUNTS) + kinds_total(tally, METADATA_COUNTS),
        )
        fill_series(self._buffer, metrics, first, last, types, starts, stops, found.out, found.plan)
        found.check()
        self._text_start = int(found.plan[ARENA_END])
        return {
            "series_id": self.ids[points],
            "resource_id": self.resource_ids(points),
            "scope_id": self._of_metric(points, METRIC_SCOPE_ID).view(np.uint64),
            "service_name": texts_of(self.resource_ids(points), service_names),
            "name": self._text(points, METRIC_NAME),
            "description": self._text(points, METRIC_DESCRIPTION),
            "unit": self._text(points, METRIC_UNIT),
            "type": types.astype(np.uint8),
            "temporality": self._of_metric(points, METRIC_TEMPORALITY).astype(np.int32),
            "is_monotonic": self._of_metric(points, METRIC_IS_MONOTONIC).astype(np.uint8),
            **small_map_columns("metadata", found, METADATA, SERIES, METADATA_END),
            **map_columns("attributes", found, ATTRIBUTES, SERIES, ATTRIBUTES_END),
        }

    def _of_point(self, points: I64, column: int) -> I64:
        return self._found.signed(self._points, column)[points]

    def _of_metric(self, points: I64, column: int) -> I64:
        return self._found.signed(self._metrics, column)[self._of_point(points, POINT_METRIC)]

    def _text(self, points: I64, column: int) -> Strings:
        return Strings(self._buffer, self._of_metric(points, column), self._of_metric(points, column + 1))

    def _make_room(self, length: int) -> None:
        """There was room in the buffer for the text of every series once; asked again, move to a longer one."""
        if self._text_start + length > len(self._buffer):
            longer = np.empty(self._text_start + length, np.uint8)
            longer[: self._text_start] = self._buffer[: self._text_start]
            self._buffer = longer


def texts_of(ids: U64, texts: Mapping[int, bytes]) -> Strings:
    """The text of each id, the same one once in the buffer."""
    distinct, places = np.unique(ids, return_inverse=True)
    found = strings_of([texts[int(each)] for each in distinct])
    return Strings(found.buffer, found.starts[places], found.lengths[places])


@inline
def attributes_tag(kind: int) -> Any:
    """The tag of `attributes` in the data points of a Metric of this kind."""
    if kind == f.HISTOGRAM:
        return f.HISTOGRAM_ATTRIBUTES
    return f.EXPONENTIAL_ATTRIBUTES if kind == f.EXPONENTIAL_HISTOGRAM else f.NUMBER_ATTRIBUTES


@kernel
def count_series(
    buf: Any,
    metrics: Any,
    first: Any,
    last: Any,
    types: Any,
    starts: Any,
    stops: Any,
    limits: Any,
    tally: Any,
    frames: Any,
) -> Any:
    """Count in `tally` what fill_series fills: row i is the point in [starts[i], stops[i]) of the Metric in [first[i], last[i])."""
    return count_rows(
        pointer(buf),
        len(starts),
        pointer(metrics),
        pointer(first),
        pointer(last),
        pointer(types),
        pointer(starts),
        pointer(stops),
        pointer(limits),
        pointer(tally),
        pointer(frames),
    )


@part
def count_rows(
    buf: Any,
    rows: int,
    metrics: Any,
    first: Any,
    last: Any,
    types: Any,
    starts: Any,
    stops: Any,
    limits: Any,
    tally: Any,
    frames: Any,
) -> Any:
    for row in range(rows):
        failed = count_set(
            buf, starts[row], stops[row], attributes_tag(types[row]), 0, ATTRIBUTES_COUNTS, limits, tally, frames
        )
        if failed == 0 and (row == 0 or metrics[row] != metrics[row - 1]):
            failed = count_set(buf, first[row], last[row], f.METRIC_METADATA, 1, METADATA_COUNTS, limits, tally, frames)
        if failed < 0:
            return failed
    return 0


@kernel
def count_set(
    buf: Any, pos: int, end: int, attribute: int, small: int, counts: int, limits: Any, tally: Any, frames: Any
) -> Any:
    """Count the KeyValues with the tag `attribute` in the message in [pos, end): 0 or a failure."""
    out_of_line()
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field != attribute:
            pos = pass_field(buf, pos, field)
            continue
        start, pos = take_len(buf, pos)
        size = scan_attribute(buf, start, pos, small, counts, limits, tally, frames)
        if size < 0:
            return size
    return 0


@kernel
def fill_series(
    buf: Any, metrics: Any, first: Any, last: Any, types: Any, starts: Any, stops: Any, out: Any, plan: Any
) -> Any:
    """Fill the maps of each series; the arguments are those of `count_series`."""
    fill_rows(
        pointer(buf),
        len(starts),
        pointer(metrics),
        pointer(first),
        pointer(last),
        pointer(types),
        pointer(starts),
        pointer(stops),
        pointer(out),
        pointer(plan),
    )


@part
def fill_rows(
    buf: Any,
    rows: int,
    metrics: Any,
    first: Any,
    last: Any,
    types: Any,
    starts: Any,
    stops: Any,
    out: Any,
    plan: Any,
) -> Any:
    strings, strings_stop, texts, texts_stop = 0, 0, 0, 0
    for row in range(rows):
        at, column = next_row(plan, SERIES)
        fill_set(buf, starts[row], stops[row], attributes_tag(types[row]), ATTRIBUTES, out, plan)
        put_ends(at + ATTRIBUTES_END * column, column, ATTRIBUTES, out, plan)
        if row == 0 or metrics[row] != metrics[row - 1]:
            strings, texts = filled(plan, METADATA), filled(plan, METADATA + 1)
            fill_set(buf, first[row], last[row], f.METRIC_METADATA, METADATA, out, plan)
            strings_stop, texts_stop = filled(plan, METADATA), filled(plan, METADATA + 1)
        else:
            repeat_rows(METADATA, strings, strings_stop, out, plan)
            repeat_rows(METADATA + 1, texts, texts_stop, out, plan)
        out[at + METADATA_END * column] = filled(plan, METADATA)
        out[at + (METADATA_END + 1) * column] = filled(plan, METADATA + 1)


@kernel
def fill_set(buf: Any, pos: int, end: int, attribute: int, maps: int, out: Any, plan: Any) -> Any:
    """Put the KeyValues with the tag `attribute` in the message in [pos, end) into the maps from region `maps` on."""
    out_of_line()
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field != attribute:
            pos = pass_field(buf, pos, field)
            continue
        start, pos = take_len(buf, pos)
        if maps == METADATA:
            put_small_attribute(buf, start, pos, maps, out, plan)
        else:
            put_attribute(buf, start, pos, maps, out, plan)


@kernel
def repeat_rows(region: int, first: int, last: int, out: Any, plan: Any) -> Any:
    """Put the rows [first, last) of a map's region once more: what they refer to is shared."""
    for row in range(first, last):
        at, column = next_row(plan, region)
        for each in range(TEXT_COLUMNS):
            out[at + each * column] = out[plan[region] + row + each * column]
