"""Where decode kernels write: one int64 array cut into regions, each a table of columns with its own number of rows.

A region holds `capacity` rows of some columns, column after column; row r of column c is `out[base + c * capacity + r]`. One
array and one `plan` serve every kernel, so that all have the same few arguments; every value is 64 bits until the columns
are handed out.

`plan` holds for each region its base, its capacity and how many rows are filled, and at ARENA_END where the next JSON text
is to be written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sonde.ingest.kernel import inline
from sonde.storage.columns import I64, U8, U64, Array, Column, Lists, Maps, Strings
from sonde.storage.reuse import Reused

PLACES = 16
"""Regions there may be."""
CAPACITY = PLACES
FILLED = 2 * PLACES
ARENA_END = 3 * PLACES

WORD = 8


WORDS = Reused(np.int64)


@inline
def next_row(plan: Any, region: int) -> Any:
    """(index in `out` of the first column of the next row, distance from column to column); the row counts as filled."""
    row = plan[FILLED + region]
    plan[FILLED + region] = row + 1
    return plan[region] + row, plan[CAPACITY + region]


@inline
def filled(plan: Any, region: int) -> Any:
    """Rows filled so far: the end of a list whose items are in `region`."""
    return plan[FILLED + region]


@inline
def put_column(region: int, column: int, value: int, first: int, last: int, out: Any, plan: Any) -> Any:
    """Write one value into the rows [first, last) of a column."""
    at = plan[region] + column * plan[CAPACITY + region]
    for row in range(at + first, at + last):
        out[row] = value


class Regions:
    """The array, its plan, and the columns that come out. `shapes`: rows and columns of each region."""

    def __init__(self, shapes: Mapping[int, tuple[int, int]], buffer: U8, arena_start: int) -> None:
        self.plan: I64 = np.zeros(ARENA_END + 1, np.int64)
        self.plan[ARENA_END] = arena_start
        total = 0
        for region, (rows, columns) in shapes.items():
            self.plan[region], self.plan[CAPACITY + region] = total, rows
            total += rows * columns
        self.out: I64 = WORDS.take(total)
        self.buffer = buffer
        self.shapes = shapes

    def rows(self, region: int) -> int:
        return int(self.plan[FILLED + region])

    def check(self) -> None:
        """RuntimeError where a kernel wrote more than was counted: the two walks would have to disagree."""
        for region, (capacity, _) in self.shapes.items():
            if self.rows(region) > capacity:
                raise RuntimeError(
                    f"decode filled {self.rows(region)} rows of region {region} where {capacity} were counted"
                )
        if self.plan[ARENA_END] > len(self.buffer):
            raise RuntimeError("decode wrote more JSON text than was counted")

    def signed(self, region: int, column: int) -> I64:
        """Column `column` as int64: a view."""
        start = int(self.plan[region] + column * self.plan[CAPACITY + region])
        return self.out[start : start + self.rows(region)]

    def unsigned(self, region: int, column: int) -> U64:
        return self.signed(region, column).view(np.uint64)

    def narrow(self, region: int, column: int, dtype: str) -> Array:
        """Column `column` as a smaller integer, its low bits."""
        return self.signed(region, column).astype(dtype)

    def octets(self, region: int, column: int, width: int) -> U8:
        """FixedString(width): the columns from `column` on as rows of `width` bytes, a word beside the next."""
        words = width // WORD
        start = int(self.plan[region] + column * self.plan[CAPACITY + region])
        taken = self.out[start : start + words * self.rows(region)]
        return taken.view(np.uint8).reshape(self.rows(region), width)

    def text(self, region: int, column: int) -> Strings:
        """The columns `column` (start) and the next (length)."""
        return Strings(self.buffer, self.signed(region, column), self.signed(region, column + 1))

    def lists(self, region: int, column: int, items: Column) -> Lists:
        """An array of `items`; `column` holds the ends."""
        return Lists(self.unsigned(region, column), items)

    def maps(self, region: int, column: int, keys: Column, values: Column) -> Maps:
        return Maps(self.unsigned(region, column), keys, values)
