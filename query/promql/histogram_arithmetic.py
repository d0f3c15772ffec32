"""Operators where a histogram stands on one side or on both.

Source: https://prometheus.io/docs/prometheus/latest/querying/operators/#arithmetic-binary-operators
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from sonde.query.promql import annotations as notes
from sonde.query.promql.annotations import Annotations
from sonde.query.promql.histogram import COUNT, FIRST_BUCKET, SUM, CounterReset, Histogram
from sonde.query.promql.histogram_block import Block
from sonde.query.promql.histogram_cells import Cells, Combined, blocks_of, objects_of, pool_of
from sonde.query.promql.histogram_sum import collisions, summed, weighted
from sonde.query.promql.histogram_trim import trimmed
from sonde.query.promql.operands import Operands, Outcome
from sonde.query.promql.syntax import Binary
from sonde.query.promql.values import Bools, Floats, Ints, Objects
from sonde.query.promql.windows import is_histogram

FloatsOnly: TypeAlias = Callable[[Binary, Operands], Outcome]
WithFloat: TypeAlias = Callable[[Block, Floats], Block]
"""Each histogram of a block and a float: (m,)."""


def with_histograms(expr: Binary, operands: Operands, floats_only: FloatsOnly, annotations: Annotations) -> Outcome:
    """The operator on every cell; `floats_only` does those where floats meet. What can't be computed gets an info."""
    left, right = _where(operands.left_histograms, operands), _where(operands.right_histograms, operands)
    result = _Result(expr, operands, annotations)
    result.floats(operands.present & ~left & ~right, floats_only)
    result.float_and_histogram(~left & right)
    result.histogram_and_float(left & ~right)
    result.histograms(left & right)
    return result.outcome()


def _where(histograms: Objects | None, operands: Operands) -> Bools:
    if histograms is None:
        return np.zeros(operands.present.shape, bool)
    return operands.present & is_histogram(histograms)


class _Result:
    """The cells of one operation, filled kind by kind."""

    def __init__(self, expr: Binary, operands: Operands, annotations: Annotations) -> None:
        self.expr = expr
        self.operands = operands
        self.annotations = annotations
        self.values = np.zeros(operands.present.shape)
        self.present = np.zeros(operands.present.shape, bool)
        self.made = np.full(operands.present.shape, None, object)

    def outcome(self) -> Outcome:
        return Outcome(self.values, self.present, self.made if is_histogram(self.made).any() else None)

    def floats(self, cells: Bools, floats_only: FloatsOnly) -> None:
        if self.expr.op in ("</", ">/"):
            if cells.any():
                self._incompatible("float", "float")
            return
        outcome = floats_only(self.expr, Operands(self.operands.left, self.operands.right, cells))
        self.values[cells] = outcome.values[cells]
        self.present |= outcome.present

    def float_and_histogram(self, cells: Bools) -> None:
        if not cells.any():
            return
        if self.expr.op == "*":
            self._fill(cells, scaled(self._right(cells), self.operands.left[cells]))
        else:
            self._incompatible("float", "histogram")

    def histogram_and_float(self, cells: Bools) -> None:
        if not cells.any():
            return
        made = _WITH_FLOAT.get(self.expr.op)
        if made is None:
            self._incompatible("histogram", "float")
        else:
            self._fill(cells, made(self._left(cells), self.operands.right[cells]))

    def histograms(self, cells: Bools) -> None:
        if not cells.any():
            return
        if self.expr.op in ("==", "!="):
            self._compare(cells)
        elif self.expr.op in ("+", "-"):
            self._combine(cells)
        else:
            self._incompatible("histogram", "histogram")

    def _compare(self, cells: Bools) -> None:
        pairs = zip(self._left(cells), self._right(cells), strict=True)
        equal = np.fromiter((left is right or left == right for left, right in pairs), bool)
        kept = equal if self.expr.op == "==" else ~equal
        if self.expr.return_bool:
            self.values[cells] = kept
            self.present[cells] = True
        else:
            self.made[cells] = _only_where(kept, self._left(cells))
            self.present[cells] = kept

    def _combine(self, cells: Bools) -> None:
        operation, combine = ("addition", added) if self.expr.op == "+" else ("subtraction", subtracted)
        combined, collided = combine(self._left(cells), self._right(cells))
        if collided.any():
            self.annotations.warn(notes.counter_reset_collision(operation), self.expr.span)
        if (combined.reconciled & ~collided).any():
            self.annotations.info(notes.mismatched_custom_buckets(operation), self.expr.span)
        if combined.mixed.any():
            self.annotations.warn(notes.incompatible_bucket_layout(self.expr.op), self.expr.span)
        self.made[cells] = _only_where(~collided, combined.histograms)
        self.present[cells] = ~(combined.mixed | collided)

    def _fill(self, cells: Bools, histograms: Objects) -> None:
        self.made[cells] = histograms
        self.present[cells] = True

    def _incompatible(self, left: str, right: str) -> None:
        self.annotations.info(notes.incompatible_types(left, self.expr.op, right), self.expr.span)

    def _left(self, cells: Bools) -> Objects:
        assert self.operands.left_histograms is not None
        return self.operands.left_histograms[cells]

    def _right(self, cells: Bools) -> Objects:
        assert self.operands.right_histograms is not None
        return self.operands.right_histograms[cells]


def _only_where(kept: Bools, histograms: Objects) -> Objects:
    found = histograms.copy()
    found[~kept] = None
    return found


def added(left: Objects, right: Objects) -> tuple[Combined, Bools]:
    """The sums of pairs, and where one says it was reset and the other that it was not: (c,) each."""
    cells, which = _pairs(left, right)
    return _spread(summed(cells), which), collisions(cells)[which]


def subtracted(left: Objects, right: Objects) -> tuple[Combined, Bools]:
    """As `added`, left less right; always gauges."""
    cells, which = _pairs(left, right)
    weights = np.tile([1.0, -1.0], cells.size)
    return _spread(weighted(cells, weights, np.ones(cells.size)), which), collisions(cells)[which]


def _pairs(left: Objects, right: Objects) -> tuple[Cells, Ints]:
    """The different pairs, as cells of two, and which of them each is."""
    pool, members = pool_of(np.concatenate([left, right]))
    keys = members[: len(left)] * len(pool) + members[len(left) :]
    different, which = np.unique(keys, return_inverse=True)
    pairs = np.stack([different // max(1, len(pool)), different % max(1, len(pool))], axis=1)
    return Cells(pool, pairs.ravel(), np.arange(len(different) + 1) * 2), which


def _spread(combined: Combined, which: Ints) -> Combined:
    return Combined(combined.histograms[which], combined.mixed[which], combined.reconciled[which])


def scaled(histograms: Objects, factors: Floats) -> Objects:
    """Each histogram times its factor, (c,) both; by a negative one it becomes a gauge."""
    return _each(histograms, factors, _times)


def divided(histograms: Objects, divisors: Floats) -> Objects:
    """Each histogram divided; by 0 it loses its buckets, by a negative number it becomes a gauge."""
    return _each(histograms, divisors, _over)


def negated(histograms: Objects) -> Objects:
    """The same with every number negated, of any shape; None stays."""
    result, cells = histograms.copy(), is_histogram(histograms)
    result[cells] = scaled(histograms[cells], np.full(np.count_nonzero(cells), -1.0))
    return result


def without_above(histograms: Objects, values: Floats) -> Objects:
    """`histogram </ value`: without the observations above, (c,) both."""
    return _each(histograms, values, lambda block, cuts: trimmed(block, cuts, above=True), gauge_below=-np.inf)


def without_below(histograms: Objects, values: Floats) -> Objects:
    """`histogram >/ value`: without the observations below, (c,) both."""
    return _each(histograms, values, lambda block, cuts: trimmed(block, cuts, above=False), gauge_below=-np.inf)


def _times(block: Block, factors: Floats) -> Block:
    with np.errstate(invalid="ignore", over="ignore"):
        numbers = block.numbers * factors[:, np.newaxis]
    return Block(block.layout, _without_new_buckets(block, numbers))


def _over(block: Block, divisors: Floats) -> Block:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        numbers = block.numbers / divisors[:, np.newaxis]
    kept = [COUNT, SUM, block.layout.zero_column]
    by_zero = np.zeros_like(numbers)
    by_zero[:, kept] = numbers[:, kept]
    return Block(block.layout, _without_new_buckets(block, np.where((divisors == 0)[:, np.newaxis], by_zero, numbers)))


def _without_new_buckets(block: Block, numbers: Floats) -> Floats:
    """Rows with NaN only where the histogram had anything, not in buckets that others of the block have."""
    empty = block.buckets == 0
    empty[:, block.layout.zero_column - FIRST_BUCKET] = False
    numbers[:, FIRST_BUCKET:][empty] = 0.0
    return numbers


def _each(histograms: Objects, floats: Floats, operation: WithFloat, *, gauge_below: float = 0.0) -> Objects:
    """The operation on every histogram and its float; each pair that occurs more than once is computed once."""
    pool, which = pool_of(histograms)
    values, codes = np.unique(floats, return_inverse=True)
    pairs, places = np.unique(which * max(1, len(values)) + codes, return_inverse=True)
    members, numbers = [pool[pair // len(values)] for pair in pairs], values[pairs % max(1, len(values))]
    made = np.empty(len(pairs), object)
    for rows, block in blocks_of(members):
        made[rows] = _unpacked(
            operation(block, numbers[rows]), [members[row] for row in rows], numbers[rows] < gauge_below
        )
    return made[places]


def _unpacked(block: Block, before: Sequence[Histogram], gauges: Bools) -> Objects:
    hints = [CounterReset.GAUGE if gauge else one.counter_reset_hint for one, gauge in zip(before, gauges, strict=True)]
    return objects_of([block.histogram(row, hint) for row, hint in enumerate(hints)])


_WITH_FLOAT: dict[str, Callable[[Objects, Floats], Objects]] = {
    "*": scaled,
    "/": divided,
    "</": without_above,
    ">/": without_below,
}
