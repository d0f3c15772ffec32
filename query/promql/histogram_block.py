"""Many histograms as one matrix: a row each, a column for every bucket that any of them has.

What histograms are added, compared or scaled with is arithmetic on such rows. Those of one kind (schema, zero threshold and
custom bounds) only need their buckets side by side; different kinds are first brought to what they have in common.

Source: https://prometheus.io/docs/specs/native_histograms/#operations
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sonde.query.promql.errors import TooManySamples
from sonde.query.promql.histogram import (
    COUNT,
    CUSTOM_SCHEMA,
    FIRST_BUCKET,
    SUM,
    CounterReset,
    Counts,
    Histogram,
    Indices,
    Layout,
    lower_bounds,
    no_counts,
    no_indices,
    upper_bounds,
)

Rows: TypeAlias = NDArray[np.int64]
Kind: TypeAlias = tuple[int, float, bytes]


Columns: TypeAlias = dict[int, NDArray[np.intp]]
"""By `id` of a layout: where its numbers stand in those of another one."""

MOST_NUMBERS = 1 << 26
"""What a block may hold at most: 512 MB."""
SMALL_BLOCK = 1 << 14
"""A matrix of so many numbers may be as empty as it likes."""
LEAST_FILLED = 8
"""Of a larger one at least one number in so many stands for a bucket that a histogram has."""


class MixedSchemas(Exception):
    """Exponential and custom buckets have no bounds in common."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """m histograms of one layout."""

    layout: Layout
    numbers: Counts
    """(m, width): count, sum, buckets."""

    @property
    def buckets(self) -> Counts:
        return self.numbers[:, FIRST_BUCKET:]

    def histogram(self, row: int, hint: CounterReset) -> Histogram:
        """One row as a histogram; its numbers are those of the block."""
        return Histogram.of(self.layout, self.numbers[row], hint)

    def onto(self, target: Layout) -> Block:
        """The same histograms with the buckets of `target`, which `common_layout` made for this block, too."""
        columns = _columns_in(self.layout, target)
        numbers = np.zeros((len(self.numbers), target.width))
        if len(np.unique(columns)) == len(columns):
            numbers[:, columns] = self.numbers
        else:
            np.add.at(numbers.T, columns, self.numbers.T)
        return Block(target, numbers)


@dataclass(frozen=True, slots=True, eq=False)
class FlatBuckets:
    """The buckets of one side of many histograms, in any order; those of equal index and histogram are one."""

    rows: Rows
    """(k,) which histogram each is of."""
    indices: Rows
    """(k,) in the histograms' schema."""
    counts: Counts


def is_sparse(size: int, negative: FlatBuckets, positive: FlatBuckets) -> bool:
    """Whether `size` histograms with these buckets would make a block of mostly nothing."""
    width = len(np.unique(negative.indices)) + len(np.unique(positive.indices))
    return size > 1 and size * width > max(SMALL_BLOCK, LEAST_FILLED * (len(negative.indices) + len(positive.indices)))


def block_of(
    schema: int,
    zero_threshold: float,
    custom_values: Counts,
    heads: Counts,
    negative: FlatBuckets,
    positive: FlatBuckets,
) -> Block:
    """m histograms of one kind; `heads` (m, 3) are their counts, sums and zero counts."""
    negative_indices, negative_columns = np.unique(negative.indices, return_inverse=True)
    positive_indices, positive_columns = np.unique(positive.indices, return_inverse=True)
    layout = Layout(
        schema,
        zero_threshold,
        negative_indices.astype(np.int32, copy=False),
        positive_indices.astype(np.int32, copy=False),
        custom_values,
    )
    numbers = np.zeros((len(heads), layout.width))
    zero = layout.zero_column
    numbers[:, [COUNT, SUM, zero]] = heads
    np.add.at(numbers, (negative.rows, zero - 1 - negative_columns), negative.counts)
    np.add.at(numbers, (positive.rows, zero + 1 + positive_columns), positive.counts)
    return Block(layout, numbers)


def kind(layout: Layout) -> Kind:
    """What the layouts of two histograms must agree in for their buckets to have the same bounds."""
    return layout.schema, layout.zero_threshold, layout.custom_values.tobytes()


def pack(histograms: Sequence[Histogram]) -> Block:
    """Histograms of one kind (at least one), in their order. Raises `TooManySamples` where they have too many buckets in all."""
    layout, columns = union_of(histograms)
    if len(histograms) * layout.width > MOST_NUMBERS:
        raise TooManySamples("native histograms have too many different buckets to be held in memory at once")
    if columns is None:
        return Block(layout, np.array([histogram.numbers for histogram in histograms]))
    return Block(layout, scattered(histograms, columns, layout.width))


def union_of(histograms: Sequence[Histogram]) -> tuple[Layout, Columns | None]:
    """The layout with the buckets of all, of one kind; and, unless all have the same, where in it each one's numbers stand."""
    layouts = {id(histogram.layout): histogram.layout for histogram in histograms}
    different: dict[tuple[bytes, bytes], Layout] = {}
    alike = {
        key: different.setdefault((layout.positive_indices.tobytes(), layout.negative_indices.tobytes()), layout)
        for key, layout in layouts.items()
    }
    first, *others = different.values()
    if not others:
        return first, None
    layout = Layout(
        first.schema,
        first.zero_threshold,
        np.unique(np.concatenate([layout.negative_indices for layout in different.values()])),
        np.unique(np.concatenate([layout.positive_indices for layout in different.values()])),
        first.custom_values,
    )
    columns = {id(own): _columns_in(own, layout) for own in different.values()}
    return layout, {key: columns[id(own)] for key, own in alike.items()}


def scattered(histograms: Sequence[Histogram], columns: Columns, width: int) -> Counts:
    """(m, width) each histogram's numbers at its columns."""
    numbers = np.zeros((len(histograms), width))
    into = np.concatenate([columns[id(histogram.layout)] for histogram in histograms])
    rows = np.repeat(np.arange(len(histograms)), [len(histogram.numbers) for histogram in histograms])
    numbers[rows, into] = np.concatenate([histogram.numbers for histogram in histograms])
    return numbers


def mostly_empty(histograms: Sequence[Histogram]) -> bool:
    """Whether these, of one kind, have so few buckets in common that a block of them would be nearly all zeros."""
    layouts = {id(histogram.layout): histogram.layout for histogram in histograms}
    if len(layouts) == 1:
        return False
    filled = sum(len(histogram.numbers) for histogram in histograms)
    width = union_of(histograms)[0].width
    return len(histograms) * width > max(SMALL_BLOCK, LEAST_FILLED * filled)


class SparseRows:
    """Histograms of one kind as the rows of a matrix of which only those exist that are asked for."""

    def __init__(self, histograms: Sequence[Histogram]) -> None:
        self.histograms = histograms
        self.layout, columns = union_of(histograms)
        own = {id(histogram.layout): np.arange(self.layout.width) for histogram in histograms}
        self.columns = own if columns is None else columns

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.histograms), self.layout.width

    def __getitem__(self, rows: Rows) -> Counts:
        return scattered([self.histograms[row] for row in rows], self.columns, self.layout.width)


def together(histograms: Sequence[Histogram]) -> Block:
    """Histograms of any kinds (at least one), in their order, in the layout they have in common.

    Raises `MixedSchemas` where some have exponential and some custom buckets.
    """
    rows: dict[Kind, list[int]] = {}
    for row, histogram in enumerate(histograms):
        rows.setdefault(kind(histogram.layout), []).append(row)
    blocks = [pack([histograms[row] for row in members]) for members in rows.values()]
    if len(blocks) == 1:
        return blocks[0]
    layout = common_layout(blocks)
    numbers = np.empty((len(histograms), layout.width))
    for members, block in zip(rows.values(), blocks, strict=True):
        numbers[members] = block.onto(layout).numbers
    return Block(layout, numbers)


def common_layout(blocks: Sequence[Block]) -> Layout:
    """The finest layout that the histograms of all blocks can be brought to. Raises `MixedSchemas`.

    Of custom bounds it has those that all share; of schemas the lowest; and a zero bucket that holds every other one and
    ends within no bucket that anything is in.
    """
    schemas = {block.layout.schema for block in blocks}
    if CUSTOM_SCHEMA in schemas:
        if len(schemas) > 1:
            raise MixedSchemas
        bounds: Counts = reduce(np.intersect1d, [block.layout.custom_values for block in blocks])
        return Layout(CUSTOM_SCHEMA, 0.0, no_indices(), np.arange(len(bounds) + 1, dtype=np.int32), bounds)
    threshold = _common_threshold(blocks)
    schema = min(schemas)
    return Layout(
        schema,
        threshold,
        _kept_indices([(block.layout.negative_indices, block.layout.schema) for block in blocks], threshold, schema),
        _kept_indices([(block.layout.positive_indices, block.layout.schema) for block in blocks], threshold, schema),
        no_counts(),
    )


def _common_threshold(blocks: Sequence[Block]) -> float:
    """The least zero threshold that is at least every block's, and lies strictly inside of no populated bucket."""
    threshold = max(block.layout.zero_threshold for block in blocks)
    populated = [_populated_bounds(block) for block in blocks]
    lowers, uppers = (np.concatenate(side) for side in zip(*populated, strict=True))
    while (around := (lowers < threshold) & (threshold < uppers)).any():
        threshold = float(uppers[around].max())
    return threshold


def _populated_bounds(block: Block) -> tuple[Counts, Counts]:
    """Absolute bounds of the buckets, zero bucket left out, that any row has something in."""
    layout, populated = block.layout, (block.buckets != 0).any(axis=0)
    split = len(layout.negative_indices)
    negative, positive = populated[:split][::-1], populated[split + 1 :]
    indices = np.concatenate([layout.negative_indices[negative], layout.positive_indices[positive]])
    return (
        lower_bounds(indices, layout.schema, layout.custom_values),
        upper_bounds(indices, layout.schema, layout.custom_values),
    )


def _kept_indices(sides: Sequence[tuple[Indices, int]], threshold: float, schema: int) -> Indices:
    """The indices, in `schema`, of the buckets that begin at the threshold or above it."""
    kept = [
        _reduced(indices[lower_bounds(indices, own, no_counts()) >= threshold], own - schema) for indices, own in sides
    ]
    return np.unique(np.concatenate(kept))


def _reduced(indices: Indices, by: int) -> Indices:
    """The buckets of a schema that is `by` lower, in which these are: 2 ** by of them make one."""
    return ((indices - 1) >> by) + 1


def _columns_in(source: Layout, target: Layout) -> NDArray[np.intp]:
    """Where each column of a block goes in one with the target's layout."""
    zero = target.zero_column
    if target.schema == CUSTOM_SCHEMA:
        uppers = upper_bounds(source.positive_indices, source.schema, source.custom_values)
        buckets = np.searchsorted(target.custom_values, uppers)
        return np.concatenate([[COUNT, SUM, zero], zero + 1 + np.searchsorted(target.positive_indices, buckets)])
    negative = _side_columns(source.negative_indices, target.negative_indices, source.schema, target)
    positive = _side_columns(source.positive_indices, target.positive_indices, source.schema, target)
    return np.concatenate([[COUNT, SUM], (zero - negative)[::-1], [zero], zero + positive])


def _side_columns(indices: Indices, kept: Indices, schema: int, target: Layout) -> NDArray[np.intp]:
    """How many columns from the zero bucket each bucket of one side goes: 0 if it is swallowed by it."""
    swallowed = lower_bounds(indices, schema, no_counts()) < target.zero_threshold
    return np.where(swallowed, 0, np.searchsorted(kept, _reduced(indices, schema - target.schema)) + 1)
