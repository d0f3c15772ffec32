"""Sums and means of histograms, and the hints of what they make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sonde.query.promql.histogram import Counts, CounterReset
from sonde.query.promql.histogram_cells import Cells, Combined, combine
from sonde.query.promql.values import Bools, Ints

_HINTS = tuple(CounterReset)
_CODES = {hint: code for code, hint in enumerate(_HINTS)}


def summed(cells: Cells) -> Combined:
    """The sum of each cell's members, with compensated addition."""
    return combine(cells, sums, joint_hints)


def averaged(cells: Cells) -> Combined:
    """The mean of each cell's members; it does not overflow where only the sum does."""
    return combine(cells, means, joint_hints)


def differences(cells: Cells) -> Combined:
    """Each cell's first member less its second: always a gauge."""
    return combine(cells, _differences, lambda cells: [CounterReset.GAUGE] * cells.size)


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


def sums(numbers: Counts, members: Ints, offsets: Ints) -> Counts:
    """A `Kernel`: Neumaier's sum, member by member over all cells at once."""
    total, compensation = _compensated(numbers, members, offsets)
    return total + compensation


def means(numbers: Counts, members: Ints, offsets: Ints) -> Counts:
    """A `Kernel`: the sum divided by the number of members; where the sum overflows, the running mean."""
    lengths = np.diff(offsets)[:, np.newaxis]
    total, compensation = _compensated(numbers, members, offsets)
    mean = total / lengths + compensation / lengths
    overflown = np.isinf(total).any(axis=1)
    if overflown.any():
        running = _running_means(numbers, members, offsets)
        mean = np.where(np.isinf(total), running, mean)
    return mean


def _differences(numbers: Counts, members: Ints, offsets: Ints) -> Counts:
    return numbers[members[offsets[:-1]]] - numbers[members[offsets[:-1] + 1]]


def _compensated(numbers: Counts, members: Ints, offsets: Ints) -> tuple[Counts, Counts]:
    """Sum and what rounding took from it, (cells, w) each."""
    total = numbers[members[offsets[:-1]]]
    compensation = np.zeros_like(total)
    with np.errstate(over="ignore", invalid="ignore"):
        for alive, _, rows in _by_rank(members, offsets):
            total[alive], compensation[alive] = _add(total[alive], compensation[alive], numbers[rows])
    return total, compensation


def _running_means(numbers: Counts, members: Ints, offsets: Ints) -> Counts:
    mean = numbers[members[offsets[:-1]]]
    compensation = np.zeros_like(mean)
    with np.errstate(over="ignore", invalid="ignore"):
        for alive, rank, rows in _by_rank(members, offsets):
            weight = rank / (rank + 1)
            mean[alive], compensation[alive] = _add(
                mean[alive] * weight, compensation[alive] * weight, numbers[rows] / (rank + 1)
            )
    return mean + compensation


def _add(total: Counts, compensation: Counts, numbers: Counts) -> tuple[Counts, Counts]:
    """One step of Neumaier's summation; an infinite sum needs no compensation."""
    result = total + numbers
    larger = np.abs(total) >= np.abs(numbers)
    lost = np.where(larger, (total - result) + numbers, (numbers - result) + total)
    return result, np.where(np.isinf(result), 0.0, compensation + lost)


def _by_rank(members: Ints, offsets: Ints):
    """For every rank from 1 up: the cells that have so many members, the rank, and the rows of these members."""
    lengths = np.diff(offsets)
    for rank in range(1, int(lengths.max(initial=0))):
        alive = np.flatnonzero(lengths > rank)
        yield (slice(None) if len(alive) == len(lengths) else alive), rank, members[offsets[:-1][alive] + rank]
