"""Where decode kernels write: one int64 array cut into regions, each a table of columns with its own number of rows.

A region holds `capacity` rows of some columns, column after column; row r of column c is `out[base + c * capacity + r]`. One
array and one `plan` serve every kernel, so that all have the same few arguments; every value is 64 bits until the columns
are handed out.

`plan` holds for each region its base, its capacity and how many rows are filled; where the next JSON text and the next packed
text are to be written; and the state of the symbols (symbols.py).

Kernels write text into the buffer of the requests, behind them: the packed texts, as Native has them (VarUInt length, bytes), in
no more room than the messages take that they are from, since each stands there with a length as long; then JSON text, in as
much as was counted.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from sonde.ingest.kernel import inline
from sonde.ingest.wire import fixed64_at, put_fixed64
from sonde.storage.columns import I64, U8, U64, Array, Column, Interned, Lists, Maps, Packed, Strings
from sonde.storage.reuse import Reused

PLACES = 20
"""Regions there may be."""
SYMBOLS = PLACES - 2
SLOTS = PLACES - 1
CAPACITY = PLACES
FILLED = 2 * PLACES
ARENA_END = 3 * PLACES
PACKED_END = ARENA_END + 1
LAST_SYMBOL = ARENA_END + 2
SEED = ARENA_END + 3
PLAN = ARENA_END + 4

SYMBOL_FIELDS = 3
MOST_SLOTS = 1 << 15
SLACK = 64
"""Bytes behind the packed texts that may be written, and behind the requests that may be read."""
WORD = 8

WORDS = Reused(np.int64, largest_bytes=128 << 20)
SEED_OF_THIS_PROCESS = secrets.randbits(63)
"""Which texts collide can't be known from outside."""


def room_for_text(length: int, arena: int) -> int:
    """Bytes that the buffer needs behind requests of `length`, for packed texts and `arena` bytes of JSON text."""
    return length + arena + 2 * SLACK


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


@inline
def put_packed(buf: Any, start: int, stop: int, plan: Any) -> Any:
    """Append the text in [start, stop) to the packed ones. Sixteen bytes at a time, running over the end."""
    to = plan[PACKED_END]
    length = stop - start
    while length >= 0x80:
        buf[to] = length & 0x7F | 0x80
        length >>= 7
        to += 1
    buf[to] = length
    to += 1
    plan[PACKED_END] = to + stop - start
    while start < stop:
        first, second = fixed64_at(buf, start), fixed64_at(buf, start + 8)
        put_fixed64(buf, to, first)
        put_fixed64(buf, to + 8, second)
        start += 16
        to += 16


class Regions:
    """The array, its plan, and the columns that come out.

    `shapes`: rows and columns of each region. `buffer`: of the requests, free from `start` on: for `packed` bytes of packed text,
    SLACK, and JSON text. `symbols`: how often a kernel may ask for a symbol.
    """

    def __init__(
        self, shapes: Mapping[int, tuple[int, int]], buffer: U8, start: int, *, packed: int = 0, symbols: int = 0
    ) -> None:
        slots = min(1 << (2 * symbols + 62).bit_length(), MOST_SLOTS)
        shapes = {**shapes, SLOTS: (slots, 1), SYMBOLS: (symbols + 1, SYMBOL_FIELDS)}
        self.plan: I64 = np.zeros(PLAN, np.int64)
        total = 0
        for region, (rows, columns) in shapes.items():
            self.plan[region], self.plan[CAPACITY + region] = total, rows
            total += rows * columns
        self.out: I64 = WORDS.take(total)
        self.buffer = buffer
        self.shapes = shapes
        self.packed_start, self.packed_stop = start, start + packed
        self.plan[PACKED_END], self.plan[ARENA_END] = start, start + packed + SLACK
        self.plan[SEED] = SEED_OF_THIS_PROCESS
        self.plan[FILLED + SYMBOLS] = 1
        self.out[self.plan[SLOTS] : self.plan[SLOTS] + slots] = 0
        self.out[self.plan[SYMBOLS] : self.plan[SYMBOLS] + SYMBOL_FIELDS] = 0

    def rows(self, region: int) -> int:
        return int(self.plan[FILLED + region])

    def check(self) -> None:
        """RuntimeError where a kernel wrote more than was counted: the two walks would have to disagree."""
        for region, (capacity, _) in self.shapes.items():
            if self.rows(region) > capacity:
                raise RuntimeError(
                    f"decode filled {self.rows(region)} rows of region {region} where {capacity} were counted"
                )
        if self.plan[PACKED_END] > self.packed_stop or self.plan[ARENA_END] > len(self.buffer):
            raise RuntimeError("decode wrote more text than was counted")

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

    def packed(self, rows: int) -> Packed:
        """The texts of `put_packed`."""
        return Packed(self.buffer[self.packed_start : int(self.plan[PACKED_END])], rows)

    def interned(self, region: int, column: int) -> Interned:
        """Column `column`, of symbols."""
        return Interned(self.symbols, self.signed(region, column))

    @cached_property
    def symbols(self) -> Strings:
        start = int(self.plan[SYMBOLS])
        table = self.out[start : start + self.rows(SYMBOLS) * SYMBOL_FIELDS].reshape(-1, SYMBOL_FIELDS)
        return Strings(self.buffer, table[:, 0].copy(), table[:, 1].copy())

    def lists(self, region: int, column: int, items: Column) -> Lists:
        """An array of `items`; `column` holds the ends."""
        return Lists(self.unsigned(region, column), items)

    def maps(self, region: int, column: int, keys: Column, values: Column) -> Maps:
        return Maps(self.unsigned(region, column), keys, values)
