"""Sums and means of histograms, and the hints of what they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from sonde.query.promql.histogram import CounterReset, Counts
from sonde.query.promql.histogram_block import SparseRows
from sonde.query.promql.histogram_cells import Cells, Combined, Matrix, Runs, combine
from sonde.query.promql.histogram_kernels import sum_rows, weigh_rows
from sonde.query.promql.values import Bools, Floats, Ints

_HINTS = tuple(CounterReset)
_CODES = {hint: code for code, hint in enumerate(_HINTS)}


def summed(cells: Cells) -> Combined:
    """The sum of each cell's members, with compensated addition."""
    return combine(cells, _sums, joint_hints)


def averaged(cells: Cells) -> Combined:
    """The mean of each cell's members; it does not overflow where only the sum does."""
    return combine(cells, _means, joint_hints)


def gauges(cells: Cells) -> Sequence[CounterReset]:
    """What a difference says of resets: that there are none, it is no counter."""
    return [CounterReset.GAUGE] * cells.size


def weighted(
    cells: Cells, weights: Floats, factors: Floats, hints: Callable[[Cells], Sequence[CounterReset]] = gauges
) -> Combined:
    """The sum of each cell's members times their weights (k,), times the cell's factor (cells,)."""

    def kernel(numbers: Matrix, runs: Runs) -> Counts:
        total = np.zeros((len(runs.cells), numbers.shape[1]))
        if not isinstance(numbers, SparseRows):
            weigh_rows(np.ascontiguousarray(numbers), runs.rows, runs.offsets, runs.starts, weights, total)
            return total * factors[runs.cells][:, np.newaxis]
        for alive, rows, places in runs.by_rank():
            weight = weights[places][:, np.newaxis]
            total[alive] += np.where(weight == 0, 0.0, numbers[rows] * weight)
        return total * factors[runs.cells][:, np.newaxis]

    return combine(cells, kernel, hints)


def joint_hints(cells: Cells) -> Sequence[CounterReset]:
    """What a sum of histograms may say of itself: gauge if one is, what all say if they agree, else nothing."""
    codes = hint_codes(cells)
    starts = cells.offsets[:-1]
    lowest, highest = np.minimum.reduceat(codes, starts), np.maximum.reduceat(codes, starts)
    gauge = np.maximum.reduceat(codes == _CODES[CounterReset.GAUGE], starts)
    joint = np.where(lowest == highest, lowest, _CODES[CounterReset.UNKNOWN])
    return [_HINTS[code] for code in np.where(gauge, _CODES[CounterReset.GAUGE], joint)]


def collisions(cells: Cells) -> Bools:
    """(cells,) whether among a cell's members one says it was reset and one that it was not."""
    if not cells.size:
        return np.zeros(0, bool)
    codes = hint_codes(cells)
    reset, kept = codes == _CODES[CounterReset.RESET], codes == _CODES[CounterReset.NOT_RESET]
    starts = cells.offsets[:-1]
    return np.logical_or.reduceat(reset, starts) & np.logical_or.reduceat(kept, starts)


def hint_codes(cells: Cells) -> Ints:
    """(k,) each member's hint by its place in `CounterReset`."""
    of_pool = np.fromiter((_CODES[histogram.counter_reset_hint] for histogram in cells.pool), np.int64, len(cells.pool))
    return of_pool[cells.members]


def _sums(numbers: Matrix, runs: Runs) -> Counts:
    total, compensation = _compensated(numbers, runs)
    return total + compensation


def _means(numbers: Matrix, runs: Runs) -> Counts:
    """The sum divided by the number of members; where the sum overflows, the running mean."""
    lengths = np.diff(runs.offsets)[:, np.newaxis]
    total, compensation = _compensated(numbers, runs)
    mean = total / lengths + compensation / lengths
    overflown = np.isinf(total)
    return np.where(overflown, _running_means(numbers, runs), mean) if overflown.any() else mean


def _compensated(numbers: Matrix, runs: Runs) -> tuple[Counts, Counts]:
    """Sum, and what rounding took from it: (cells, w) each."""
    if not isinstance(numbers, SparseRows):
        total = np.zeros((len(runs.cells), numbers.shape[1]))
        lost = np.zeros_like(total)
        sum_rows(np.ascontiguousarray(numbers), runs.rows, runs.offsets, total, lost)
        return total, lost
    total = numbers[runs.firsts]
    compensation = np.zeros_like(total)
    with np.errstate(over="ignore", invalid="ignore"):
        for alive, rows, _ in runs.by_rank(1):
            total[alive], compensation[alive] = _add(total[alive], compensation[alive], numbers[rows])
    return total, compensation


def _running_means(numbers: Matrix, runs: Runs) -> Counts:
    mean = numbers[runs.firsts]
    compensation = np.zeros_like(mean)
    with np.errstate(over="ignore", invalid="ignore"):
        for rank, (alive, rows, _) in enumerate(runs.by_rank(1), start=1):
            before, after = mean[alive] * (rank / (rank + 1)), numbers[rows] / (rank + 1)
            mean[alive], compensation[alive] = _add(before, compensation[alive] * (rank / (rank + 1)), after)
    return mean + compensation


def _add(total: Counts, compensation: Counts, numbers: Counts) -> tuple[Counts, Counts]:
    """One step of Neumaier's summation; an infinite sum needs no compensation."""
    result = total + numbers
    larger = np.abs(total) >= np.abs(numbers)
    lost = np.where(larger, (total - result) + numbers, (numbers - result) + total)
    return result, np.where(np.isinf(result), 0.0, compensation + lost)
