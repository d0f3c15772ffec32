"""Kernels over classic histograms: the `_bucket` series of each, cumulative, sorted by their upper bound.

A kernel calls only what stands in this file, since numba's cache looks at nothing else. Matrices are C-contiguous
(series x steps).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

# A kernel is typed by numba, for the types it is called with: to mypy it is anything.
kernel: Any = numba.njit(nogil=True, cache=True, error_model="numpy")

TOLERANCE = 1e-12
"""Relative difference of two buckets' counts that is taken for a rounding error."""

FORCED_SAMPLES, FORCED_FIRST, FORCED_LAST = 0, 1, 2
LOWEST_BUCKET, HIGHEST_BUCKET, LARGEST_DIFFERENCE = 0, 1, 2
"""The columns of `forced_steps` and `forced_values`."""


@kernel
def gather(
    values: Any, present: Any, rows: Any, bounds: Any, start: int, stop: int, step: int, counts: Any, uppers: Any
) -> Any:
    """Writes the buckets one histogram has at one step, those of equal bounds as one; gives how many."""
    used = 0
    for at in range(start, stop):
        row = rows[at]
        if not present[row, step]:
            continue
        if used > 0 and uppers[used - 1] == bounds[at]:
            counts[used - 1] += values[row, step]
            continue
        counts[used] = values[row, step]
        uppers[used] = bounds[at]
        used += 1
    return used


@kernel
def make_monotonic(counts: Any, uppers: Any, used: int, forced: Any) -> Any:
    """Raises each bucket to the one below it: differences within the tolerance silently, others written to `forced`."""
    changed = False
    previous = counts[0]
    for at in range(1, used):
        current = counts[at]
        close = abs(current - previous) < TOLERANCE * (abs(current) + abs(previous))
        if current < previous and not close:
            forced[LOWEST_BUCKET] = min(forced[LOWEST_BUCKET], uppers[at])
            forced[HIGHEST_BUCKET] = max(forced[HIGHEST_BUCKET], uppers[at])
            forced[LARGEST_DIFFERENCE] = max(forced[LARGEST_DIFFERENCE], previous - current)
            changed = True
        if current < previous or close:
            counts[at] = previous
        else:
            previous = current
    return changed


@kernel
def interpolated(counts: Any, uppers: Any, used: int, quantile: float) -> Any:
    """The quantile of monotonic buckets, the last of them ending at +Inf."""
    total = counts[used - 1]
    if used < 2 or total == 0:
        return np.nan
    rank = quantile * total
    at = 0
    while at < used - 1 and not counts[at] >= rank:
        at += 1
    if at == used - 1:
        return uppers[used - 2]
    if at == 0:
        return uppers[0] if uppers[0] <= 0 else uppers[0] * (rank / counts[0])
    below = counts[at - 1]
    return uppers[at - 1] + (uppers[at] - uppers[at - 1]) * ((rank - below) / (counts[at] - below))


@kernel
def find_quantiles(
    values: Any,
    present: Any,
    rows: Any,
    starts: Any,
    bounds: Any,
    quantiles: Any,
    result: Any,
    found: Any,
    forced_steps: Any,
    forced_values: Any,
) -> None:
    """For each histogram `rows[starts[i]:starts[i + 1]]`, their upper `bounds` ascending, and step: its quantile.

    `result` and `found` are (histograms x steps). Where buckets had to be raised, `forced_steps` counts the samples and
    has the first and the last step, `forced_values` what it came to.
    """
    widest = 1
    for histogram in range(starts.size - 1):
        widest = max(widest, starts[histogram + 1] - starts[histogram])
    counts, uppers = np.empty(widest), np.empty(widest)
    for histogram in range(starts.size - 1):
        for step in range(quantiles.size):
            start, stop = starts[histogram], starts[histogram + 1]
            used = gather(values, present, rows, bounds, start, stop, step, counts, uppers)
            if used == 0:
                continue
            found[histogram, step] = True
            quantile = quantiles[step]
            if np.isnan(quantile):
                result[histogram, step] = np.nan
            elif quantile < 0:
                result[histogram, step] = -np.inf
            elif quantile > 1:
                result[histogram, step] = np.inf
            elif uppers[used - 1] != np.inf:
                result[histogram, step] = np.nan
            else:
                if make_monotonic(counts, uppers, used, forced_values[histogram]):
                    if forced_steps[histogram, FORCED_SAMPLES] == 0:
                        forced_steps[histogram, FORCED_FIRST] = step
                    forced_steps[histogram, FORCED_SAMPLES] += 1
                    forced_steps[histogram, FORCED_LAST] = step
                result[histogram, step] = interpolated(counts, uppers, used, quantile)


@kernel
def count_below(counts: Any, uppers: Any, used: int, value: float) -> Any:
    """How many observations lie below a value: all where it is above the last bucket but one."""
    total = counts[used - 1]
    lower = 0.0 if uppers[0] > 0 else -np.inf
    below = 0.0
    for at in range(used):
        if lower >= value:
            return min(below, total)
        if value < uppers[at]:
            if lower == -np.inf:
                return min(counts[at], total)
            return min(below + (counts[at] - below) * ((value - lower) / (uppers[at] - lower)), total)
        lower = uppers[at]
        below = counts[at]
    return total


@kernel
def find_fractions(
    values: Any,
    present: Any,
    rows: Any,
    starts: Any,
    bounds: Any,
    lower: Any,
    upper: Any,
    result: Any,
    found: Any,
) -> None:
    """As `find_quantiles`: the fraction of observations between `lower` and `upper`, (steps,) each."""
    widest = 1
    for histogram in range(starts.size - 1):
        widest = max(widest, starts[histogram + 1] - starts[histogram])
    counts, uppers = np.empty(widest), np.empty(widest)
    for histogram in range(starts.size - 1):
        for step in range(lower.size):
            start, stop = starts[histogram], starts[histogram + 1]
            used = gather(values, present, rows, bounds, start, stop, step, counts, uppers)
            if used == 0:
                continue
            found[histogram, step] = True
            total = counts[used - 1]
            if uppers[used - 1] != np.inf or total == 0 or np.isnan(lower[step]) or np.isnan(upper[step]):
                result[histogram, step] = np.nan
            elif lower[step] >= upper[step]:
                result[histogram, step] = 0.0
            else:
                above = count_below(counts, uppers, used, upper[step])
                result[histogram, step] = (above - count_below(counts, uppers, used, lower[step])) / total
