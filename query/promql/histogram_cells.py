"""Combining many histograms into many others: sums, means, differences, each of a few members of one pool.

A cell is one result; its members are a run of `members`, indexes into the pool. Cells whose members are of one kind are
worked on together, as rows of one matrix; the others one by one, in the layout that their members have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from sonde.query.promql.histogram import CUSTOM_SCHEMA, CounterReset, Counts, Histogram
from sonde.query.promql.histogram_block import (
    Block,
    Kind,
    MixedSchemas,
    Rows,
    SparseRows,
    kind,
    mostly_empty,
    pack,
    together,
)
from sonde.query.promql.values import Bools, Ints, Objects

CHUNK_NUMBERS = 1 << 20
"""How many numbers a result is computed at once: some arrays of 8 MB, whatever the number of cells."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Results to be made of the histograms of a pool."""

    pool: Sequence[Histogram]
    members: Ints
    """(k,) indexes into the pool."""
    offsets: Ints
    """(cells + 1,), ascending from 0; no cell is empty."""

    @property
    def size(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class Runs:
    """Some of the cells, as a kernel sees them: their members are rows of the matrix it gets."""

    rows: Ints
    """(k,) the member rows, cell after cell."""
    offsets: Ints
    """(cells + 1,) where each cell's rows begin; no cell is empty."""
    cells: Ints
    """(cells,) which of `Cells` these are."""
    starts: Ints
    """(cells,) where the cell's members begin in `Cells.members`."""

    @property
    def firsts(self) -> Ints:
        """(cells,) the row of each cell's first member."""
        return self.rows[self.offsets[:-1]]

    def by_rank(self, first: int = 0) -> Iterator[tuple[Ints, Ints, Ints]]:
        """For each rank from `first` on: which cells have a member of it, these members' rows, their places in `Cells.members`."""
        lengths = np.diff(self.offsets)
        for rank in range(first, int(lengths.max(initial=0))):
            alive = np.flatnonzero(lengths > rank)
            yield alive, self.rows[self.offsets[:-1][alive] + rank], self.starts[alive] + rank


Matrix: TypeAlias = Counts | SparseRows
"""(m, w) histograms as rows; `matrix[rows]` gives some of them."""
Kernel: TypeAlias = Callable[[Matrix, Runs], Counts]
"""Makes the cells' rows (cells, w) of the members' rows (m, w)."""


@dataclass(frozen=True, slots=True)
class Combined:
    """What became of the cells."""

    histograms: Objects
    """(cells,) a Histogram, or None where `mixed`."""
    mixed: Bools
    """(cells,) whether a cell has exponential and custom buckets."""
    reconciled: Bools
    """(cells,) whether a cell has different custom bounds."""


def pool_of(histograms: Objects) -> tuple[list[Histogram], Ints]:
    """The different objects among these, and which of them each is. Any shape; None must not be among them."""
    flat = histograms.ravel()
    identities = np.fromiter(map(id, flat), np.int64, len(flat))
    _, first, which = np.unique(identities, return_index=True, return_inverse=True)
    return list(flat[first]), which.reshape(histograms.shape).astype(np.int64, copy=False)


def objects_of(values: Sequence[object]) -> Objects:
    """(n,) dtype object."""
    objects = np.empty(len(values), object)
    objects[:] = values
    return objects


def used_of(size: int, members: Ints) -> tuple[Ints, Ints]:
    """Which of `size` things occur among members, ascending, and at which place among these each member is."""
    used = np.zeros(size, bool)
    used[members] = True
    place = np.cumsum(used) - 1
    return np.flatnonzero(used), place[members]


def kinds_of(pool: Sequence[Histogram]) -> tuple[list[Kind], Ints]:
    """The different kinds in a pool, and which of them each histogram has."""
    known: dict[Kind, int] = {}
    layouts = {id(histogram.layout): histogram.layout for histogram in pool}
    codes = {key: known.setdefault(kind(layout), len(known)) for key, layout in layouts.items()}
    return list(known), np.fromiter((codes[id(histogram.layout)] for histogram in pool), np.int64, len(pool))


def blocks_of(pool: Sequence[Histogram]) -> Iterator[tuple[Rows, Block]]:
    """The pool in blocks of one kind and at most about `CHUNK_NUMBERS` numbers, each with its rows' places in the pool."""
    kinds, codes = kinds_of(pool)
    for code in range(len(kinds)):
        places = np.flatnonzero(codes == code)
        widest = max(len(pool[at].numbers) for at in places.tolist())
        for rows in np.array_split(places, max(1, len(places) * widest // CHUNK_NUMBERS)):
            yield from _blocks(pool, rows)


def _blocks(pool: Sequence[Histogram], rows: Rows) -> Iterator[tuple[Rows, Block]]:
    """Rows of one kind as a block, or in halves where that would be mostly empty."""
    histograms = [pool[row] for row in rows]
    if len(rows) > 1 and mostly_empty(histograms):
        for half in np.array_split(rows, 2):
            yield from _blocks(pool, half)
    else:
        yield rows, pack(histograms)


def combine(cells: Cells, kernel: Kernel, hints: Callable[[Cells], Sequence[CounterReset]]) -> Combined:
    """Every cell's members put together by the kernel; the result's hint is what `hints` says."""
    histograms, mixed, reconciled = np.empty(cells.size, object), np.zeros(cells.size, bool), np.zeros(cells.size, bool)
    if not cells.size:
        return Combined(histograms, mixed, reconciled)
    results = objects_of(hints(cells))
    kinds, codes = kinds_of(cells.pool)
    member_codes = codes[cells.members]
    lowest = np.minimum.reduceat(member_codes, cells.offsets[:-1])
    uniform = lowest == np.maximum.reduceat(member_codes, cells.offsets[:-1])
    for code in np.unique(lowest[uniform]):
        for where, made in _uniform(cells, np.flatnonzero(uniform & (lowest == code)), kernel):
            for row, cell in enumerate(where):
                histograms[cell] = made.histogram(row, results[cell])
    for cell in np.flatnonzero(~uniform):
        members = cells.members[cells.offsets[cell] : cells.offsets[cell + 1]]
        different = {kinds[code] for code in codes[members]}
        reconciled[cell] = len({bounds for schema, _, bounds in different if schema == CUSTOM_SCHEMA}) > 1
        try:
            block = together([cells.pool[member] for member in members])
        except MixedSchemas:
            mixed[cell] = True
            continue
        alone = Runs(
            np.arange(len(members)), np.array([0, len(members)]), np.array([cell]), cells.offsets[cell : cell + 1]
        )
        numbers = kernel(block.numbers, alone)
        histograms[cell] = Block(block.layout, numbers).histogram(0, results[cell])
    return Combined(histograms, mixed, reconciled & ~mixed)


def _uniform(cells: Cells, where: Ints, kernel: Kernel) -> Iterator[tuple[Ints, Block]]:
    """The kernel's results for cells of one kind, chunk by chunk; the cells in halves where they have few buckets in common."""
    lengths = np.diff(cells.offsets)[where]
    ends = np.cumsum(lengths)
    places = np.repeat(cells.offsets[where] - (ends - lengths), lengths) + np.arange(lengths.sum())
    used, rows = used_of(len(cells.pool), cells.members[places])
    members = [cells.pool[row] for row in used]
    sparse = mostly_empty(members)
    if sparse and len(where) > 1:
        for half in np.array_split(where, 2):
            yield from _uniform(cells, half, kernel)
        return
    matrix: Matrix
    if sparse:
        matrix = SparseRows(members)
        layout = matrix.layout
    else:
        block = pack(members)
        matrix, layout = block.numbers, block.layout
    offsets = np.append(0, ends)
    step = max(1, CHUNK_NUMBERS // layout.width)
    for start in range(0, len(where), step):
        chunk, part = where[start : start + step], offsets[start : start + step + 1]
        runs = Runs(rows[part[0] : part[-1]], part - part[0], chunk, cells.offsets[chunk])
        yield chunk, Block(layout, kernel(matrix, runs))
