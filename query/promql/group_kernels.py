"""Kernels of the aggregations: numba, without the GIL, cached on disk.

`values` and `present` are (series x steps), `ids` (series,) says which of the groups a series belongs to; what is written is
(groups x steps). A kernel calls only what stands in its own file, since numba's cache looks at nothing else.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

# A kernel is typed by numba, for the types it is called with: to mypy it is anything.
kernel: Any = numba.njit(nogil=True, cache=True, error_model="numpy")


@kernel
def plus(value: Any, total: Any, lost: Any) -> Any:
    """One step of Neumaier's summation, as in `kernels.plus`."""
    new = total + value
    if math.isinf(new):
        return new, 0.0
    if abs(total) >= abs(value):
        return new, lost + ((total - new) + value)
    return new, lost + ((value - new) + total)


@kernel
def count_groups(present: Any, ids: Any, counts: Any) -> None:
    """`counts` int64, zeros at first."""
    for series in range(present.shape[0]):
        for step in range(present.shape[1]):
            counts[ids[series], step] += present[series, step]


@kernel
def sum_groups(values: Any, present: Any, ids: Any, total: Any, lost: Any) -> None:
    """Zeros at first; the sum is `total + lost`."""
    for series in range(present.shape[0]):
        group = ids[series]
        for step in range(present.shape[1]):
            if present[series, step]:
                total[group, step], lost[group, step] = plus(
                    values[series, step], total[group, step], lost[group, step]
                )


@kernel
def mean_groups(values: Any, present: Any, ids: Any, counts: Any, total: Any, lost: Any, running: Any) -> None:
    """Zeros at first. Where a sum would overflow, `running` says that `total` is the running mean instead."""
    for series in range(present.shape[0]):
        group = ids[series]
        for step in range(present.shape[1]):
            if not present[series, step]:
                continue
            counts[group, step] += 1
            count = counts[group, step]
            value = values[series, step]
            if count == 1:
                total[group, step] = value
                continue
            if not running[group, step]:
                new_total, new_lost = plus(value, total[group, step], lost[group, step])
                if not math.isinf(new_total):
                    total[group, step], lost[group, step] = new_total, new_lost
                    continue
                running[group, step] = True
                total[group, step] /= count - 1
                lost[group, step] /= count - 1
            weight = (count - 1) / count
            total[group, step], lost[group, step] = plus(
                value / count, weight * total[group, step], weight * lost[group, step]
            )


@kernel
def variance_groups(values: Any, present: Any, ids: Any, counts: Any, mean: Any, squares: Any) -> None:
    """Zeros at first. Welford's method: the variance is `squares / counts`."""
    for series in range(present.shape[0]):
        group = ids[series]
        for step in range(present.shape[1]):
            if not present[series, step]:
                continue
            counts[group, step] += 1
            value = values[series, step]
            delta = value - mean[group, step]
            mean[group, step] += delta / counts[group, step]
            squares[group, step] += delta * (value - mean[group, step])


@kernel
def extreme_groups(values: Any, present: Any, ids: Any, largest: Any, out: Any) -> None:
    """The largest (else smallest) values; `out` NaN at first. NaN only where nothing else is."""
    for series in range(present.shape[0]):
        group = ids[series]
        for step in range(present.shape[1]):
            if not present[series, step]:
                continue
            value, best = values[series, step], out[group, step]
            if math.isnan(best) or (value > best if largest else value < best):
                out[group, step] = value


@kernel
def quantile_groups(values: Any, present: Any, order: Any, starts: Any, quantiles: Any, out: Any) -> None:
    """`order` has the series of group g from `starts[g]` to `starts[g + 1]`; `quantiles` is (steps,)."""
    buffer = np.empty(order.size)
    for group in range(starts.size - 1):
        for step in range(present.shape[1]):
            nans = count = 0
            for series in order[starts[group] : starts[group + 1]]:
                if present[series, step]:
                    if math.isnan(values[series, step]):
                        nans += 1
                    else:
                        buffer[count] = values[series, step]
                        count += 1
            buffer[:count].sort()
            out[group, step] = quantile_of(quantiles[step], buffer[:count], nans)


@kernel
def quantile_of(quantile: Any, values: Any, nans: Any) -> Any:
    """Of ascending values, before which `nans` NaN stand: between the two nearest, weighted."""
    size = values.size + nans
    if math.isnan(quantile) or size == 0:
        return math.nan
    if quantile < 0:
        return -math.inf
    if quantile > 1:
        return math.inf
    rank = quantile * (size - 1)
    below = max(math.floor(rank), 0)
    above = min(below + 1, size - 1)
    if below < nans:
        return math.nan
    weight = rank - math.floor(rank)
    return values[below - nans] * (1 - weight) + values[above - nans] * weight
