"""The functions of histograms in an instant vector: `histogram_*`, native and classic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from sonde.query.promql import annotations as notes
from sonde.query.promql import classic_histogram, histogram_quantile
from sonde.query.promql.annotations import ForcedMonotonicity
from sonde.query.promql.classic_histogram import BUCKET_LABEL, ClassicHistograms, Forced
from sonde.query.promql.context import Context
from sonde.query.promql.float_text import shortest_g
from sonde.query.promql.histogram import COUNT, SUM, Histogram
from sonde.query.promql.histogram_block import Block
from sonde.query.promql.histogram_cells import blocks_of, pool_of
from sonde.query.promql.labels import NAME, column_of, concatenated
from sonde.query.promql.sample_kinds import names_of
from sonde.query.promql.values import Bools, Floats, Ints, Scalar, Text, Vector
from sonde.query.promql.windows import is_histogram

Message: TypeAlias = Callable[[str], str]
"""The text of an info, for the name of a metric."""
Flags: TypeAlias = list[tuple[Message, Bools]]
"""Infos, and about which histograms each is."""
Numbers: TypeAlias = Callable[[Block, Ints], tuple[Floats, Flags]]
"""A number for each histogram of a block (m,), at steps (m,)."""

# Numbers of one histogram


def count(context: Context, vector: Vector) -> Vector:
    return _of_each(vector, lambda histogram: histogram.count)


def total(context: Context, vector: Vector) -> Vector:
    return _of_each(vector, lambda histogram: histogram.sum)


def average(context: Context, vector: Vector) -> Vector:
    with np.errstate(divide="ignore", invalid="ignore"):
        return _of_each(vector, lambda histogram: float(np.float64(histogram.sum) / histogram.count))


def variance(context: Context, vector: Vector) -> Vector:
    """All observations of a bucket are taken to be in its middle, the geometric one of an exponential bucket."""
    return _of_blocks(vector, _variances)


def deviation(context: Context, vector: Vector) -> Vector:
    return _of_blocks(vector, lambda block: np.sqrt(_variances(block)))


def _variances(block: Block) -> Floats:
    lower, upper = block.layout.bounds()
    observations, buckets = block.numbers[:, COUNT], block.buckets
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        middle = (lower + upper) / 2
        if not block.layout.is_custom:
            geometric = np.copysign(np.sqrt(np.abs(lower * upper)), upper)
            middle = np.where((lower <= 0) & (upper >= 0), 0.0, geometric)
        distances = middle - (block.numbers[:, SUM] / observations)[:, np.newaxis]
        return np.asarray(np.where(buckets != 0, buckets * distances * distances, 0.0).sum(axis=1) / observations)


def _of_each(vector: Vector, number: Callable[[Histogram], float]) -> Vector:
    return _of_pool(vector, lambda pool: np.fromiter(map(number, pool), np.float64, len(pool)))


def _of_blocks(vector: Vector, numbers: Callable[[Block], Floats]) -> Vector:
    def of_pool(pool: list[Histogram]) -> Floats:
        found = np.empty(len(pool))
        for rows, block in blocks_of(pool):
            found[rows] = numbers(block)
        return found

    return _of_pool(vector, of_pool)


def _of_pool(vector: Vector, numbers: Callable[[list[Histogram]], Floats]) -> Vector:
    """A float for every histogram, nothing for a float."""
    present = _natives(vector)
    values = np.zeros(vector.values.shape)
    if vector.histograms is not None:
        pool, which = pool_of(vector.histograms[present])
        values[present] = numbers(pool)[which]
    return Vector(vector.labels, values, present)


def _natives(vector: Vector) -> Bools:
    """(n, s) where a native histogram stands."""
    if vector.histograms is None:
        return np.zeros(vector.values.shape, bool)
    return vector.present & is_histogram(vector.histograms)


# Quantiles and fractions, of native and of classic histograms


def quantile(context: Context, ranks: Scalar, vector: Vector) -> Vector:
    _check_quantile(context, ranks.values, argument=0)
    operands = _operands(context, vector, argument=1)
    return operands.result(*_quantiles(context, operands, ranks.values, argument=1))


def quantiles(context: Context, vector: Vector, label: Text, *ranks: Scalar) -> Vector:
    """All series once for each quantile, which stands in `label`."""
    for at, scalar in enumerate(ranks):
        _check_quantile(context, scalar.values, argument=2 + at)
    operands = _operands(context, vector, argument=0)
    parts = []
    for scalar in ranks:
        found = operands.result(*_quantiles(context, operands, scalar.values, argument=0))
        for rank in _distinct(scalar.values):
            same = (scalar.values == rank) | (np.isnan(scalar.values) & np.isnan(rank))
            text = column_of([_quantile_text(float(rank))] * found.labels.size)
            parts.append((found.labels.with_column(label.value, text), found.values, found.present & same))
    return Vector(
        concatenated([labels for labels, _, _ in parts]),
        np.concatenate([values for _, values, _ in parts]),
        np.concatenate([present for _, _, present in parts]),
    )


def fraction(context: Context, lower: Scalar, upper: Scalar, vector: Vector) -> Vector:
    operands = _operands(context, vector, argument=2)

    def native(block: Block, steps: Ints) -> tuple[Floats, Flags]:
        found = histogram_quantile.fractions(block, lower.values[steps], upper.values[steps])
        return found.values, [(notes.histogram_fraction_nans, found.nans_excluded)]

    of_natives = _of_natives(context, operands, native, constant=_constant(lower, upper), argument=2)
    return operands.result(of_natives, *classic_histogram.fractions(operands.classic, lower.values, upper.values))


@dataclass(frozen=True, slots=True)
class _Operands:
    """The histograms in a vector."""

    vector: Vector
    natives: Bools
    """(n, s) where a native histogram stands that no classic one is in the way of."""
    groups: Ints
    """(n,) series with equal labels but for `le` have equal numbers."""
    classic: ClassicHistograms

    def result(self, of_natives: Floats, of_classic: Floats, classic_found: Bools) -> Vector:
        """One series for each group: of its native histograms, (n, s), and of its classic one, (g, s), where it is found."""
        size = int(self.groups.max(initial=-1)) + 1
        values, present = (
            np.zeros((size, self.vector.values.shape[1])),
            np.zeros((size, self.vector.values.shape[1]), bool),
        )
        values[self.classic.groups], present[self.classic.groups] = of_classic, classic_found
        rows, steps = np.nonzero(self.natives)
        values[self.groups[rows], steps] = of_natives[rows, steps]
        present[self.groups[rows], steps] = True
        first = np.zeros(size, np.int64)
        first[self.groups[::-1]] = np.arange(len(self.groups))[::-1]
        is_classic = np.zeros(size, bool)
        is_classic[self.classic.groups] = True
        labels = self.vector.labels.take(first).without_where({BUCKET_LABEL}, is_classic)
        kept = np.flatnonzero(present.any(axis=1))
        return Vector(labels.take(kept), values[kept], present[kept])


def _operands(context: Context, vector: Vector, *, argument: int) -> _Operands:
    natives = _natives(vector)
    floats = vector.present & ~natives
    groups = classic_histogram.groups_without_bounds(vector.labels, np.logical_or.reduce(natives, axis=1)).ids
    bad = np.isnan(classic_histogram.bounds_of(vector.labels))
    for row in np.flatnonzero(floats.any(axis=1) & bad).tolist():
        message = notes.bad_bucket_label(vector.labels.text(NAME, row), vector.labels.text(BUCKET_LABEL, row))
        context.annotations.warn(message, context.span_of(argument))
    floats &= ~bad[:, np.newaxis]
    if natives.any() and floats.any():
        size = int(groups.max()) + 1
        both = _any_of_group(natives, groups, size) & _any_of_group(floats, groups, size)
        for name in names_of(vector.labels, both[groups]):
            context.annotations.warn(notes.mixed_classic_native_histograms(name), context.span_of(argument))
        natives &= ~both[groups]
        floats &= ~both[groups]
    return _Operands(vector, natives, groups, classic_histogram.classic_histograms(vector, groups, floats))


def _any_of_group(cells: Bools, groups: Ints, size: int) -> Bools:
    """(size, s) whether any series of a group has the cell."""
    found = np.zeros((size, cells.shape[1]), bool)
    rows, steps = np.nonzero(cells)
    found[groups[rows], steps] = True
    return found


def _quantiles(context: Context, operands: _Operands, ranks: Floats, *, argument: int) -> tuple[Floats, Floats, Bools]:
    """Of native histograms (n, s), of classic ones (g, s), and where these are."""

    def native(block: Block, steps: Ints) -> tuple[Floats, Flags]:
        found = histogram_quantile.quantiles(block, ranks[steps])
        return found.values, [
            (notes.histogram_quantile_nan_result, found.beyond),
            (notes.histogram_quantile_nan_skew, found.skewed),
        ]

    values, found, forced = classic_histogram.quantiles(operands.classic, ranks)
    for one in forced:
        name = operands.vector.labels.text(NAME, int(operands.classic.rows[operands.classic.starts[one.histogram]]))
        message = notes.histogram_quantile_forced_monotonicity(name)
        context.annotations.info(message, context.span_of(argument), _forced_detail(context, one))
    of_natives = _of_natives(context, operands, native, constant=_constant(Scalar(ranks)), argument=argument)
    return of_natives, values, found


def _forced_detail(context: Context, forced: Forced) -> ForcedMonotonicity:
    return ForcedMonotonicity(
        int(context.step_times[forced.first_step]),
        int(context.step_times[forced.last_step]),
        forced.lowest_bucket,
        forced.highest_bucket,
        forced.largest_difference,
        forced.samples,
    )


def _of_natives(
    context: Context,
    operands: _Operands,
    numbers: Numbers,
    *,
    constant: bool,
    argument: int,
) -> Floats:
    """(n, s): `numbers` of each native histogram at its step, and the infos it gives about some of them.

    With `constant` a histogram has the same number at every step, so that each is looked at once.
    """
    vector, natives = operands.vector, operands.natives
    values = np.zeros(vector.values.shape)
    if vector.histograms is None or not natives.any():
        return values
    rows, steps = np.nonzero(natives)
    pool, which = pool_of(vector.histograms[natives])
    if not constant:
        pool, which = [pool[at] for at in which], np.arange(len(which))
    at_steps = np.zeros(len(pool), np.int64)
    at_steps[which] = steps
    of_pool = np.zeros(len(pool))
    told: dict[Message, Bools] = {}
    for places, block in blocks_of(pool):
        of_pool[places], flagged = numbers(block, at_steps[places])
        for message, here in flagged:
            told.setdefault(message, np.zeros(len(pool), bool))[places] = here
    for message, here in told.items():
        series = np.zeros((vector.labels.size, 1), bool)
        series[rows[here[which]]] = True
        for name in names_of(vector.labels, series):
            context.annotations.info(message(name), context.span_of(argument))
    values[natives] = of_pool[which]
    return values


def _constant(*scalars: Scalar) -> bool:
    return all(len(_distinct(scalar.values)) <= 1 for scalar in scalars)


def _distinct(values: Floats) -> Floats:
    return np.unique(values)


def _check_quantile(context: Context, ranks: Floats, *, argument: int) -> None:
    for rank in _distinct(ranks[~((ranks >= 0) & (ranks <= 1))]):
        context.annotations.warn(notes.invalid_quantile(float(rank)), context.span_of(argument))


def _quantile_text(rank: float) -> str:
    text = shortest_g(rank)
    return f"{text}.0" if text.lstrip("-").isdigit() else text
