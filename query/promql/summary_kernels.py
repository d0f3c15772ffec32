"""Kernels over samples that are summarised: numba, without the GIL, cached on disk.

A kernel calls only what stands in its own file, since numba's cache looks at nothing else. Windows are left-open and
right-closed, `((k - 1) w, k w]`.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

# A kernel is typed by numba, for the types it is called with: to mypy it is anything.
kernel: Any = numba.njit(nogil=True, cache=True, error_model="numpy")


@kernel
def count_windows(times: Any, offsets: Any, width: Any, counts: Any) -> None:
    """(n,) in how many windows of `width` ms each series has anything."""
    for series in range(offsets.size - 1):
        end = np.int64(-1)
        for at in range(offsets[series], offsets[series + 1]):
            if times[at] > end:
                end = -(-times[at] // width) * width
                counts[series] += 1


@kernel
def plus(value: Any, total: Any, lost: Any) -> Any:
    """One step of Neumaier's summation, as in `kernels.py`."""
    new = total + value
    if math.isinf(new):
        return new, 0.0
    if abs(total) >= abs(value):
        return new, lost + ((total - new) + value)
    return new, lost + ((value - new) + total)


@kernel
def restarted(start: Any, time: Any, start_before: Any, time_before: Any) -> Any:
    """Whether by its start time a sample began to count after the one before it, as in `counter_resets.py`."""
    delta_before = start_before <= time_before and start_before != 0 and start_before != time_before
    return start != 0 and start < time and (start > time_before or (start == time_before and delta_before))


@kernel
def summarize_windows(
    times: Any,
    values: Any,
    stale: Any,
    starts: Any,
    offsets: Any,
    width: Any,
    ends: Any,
    counts: Any,
    first_times: Any,
    firsts: Any,
    last_times: Any,
    lasts: Any,
    sums: Any,
    minima: Any,
    maxima: Any,
    losses: Any,
    first_starts: Any,
    last_starts: Any,
    stale_times: Any,
    overlaps: Any,
) -> None:
    """Writes the windows of all series one after another. `starts` is empty where no sample has one."""
    row = -1
    for series in range(offsets.size - 1):
        end = np.int64(-1)
        for at in range(offsets[series], offsets[series + 1]):
            time, value = times[at], values[at]
            if time > end:
                end = -(-time // width) * width
                row += 1
                ends[row] = end
                total = lost = 0.0
            if stale[at]:
                stale_times[row] = time
                continue
            start = starts[at] if starts.size > 0 else np.int64(0)
            if counts[row] == 0:
                first_times[row], firsts[row], first_starts[row] = time, value, start
                minima[row] = maxima[row] = value
            else:
                if value < lasts[row] or restarted(start, time, last_starts[row], last_times[row]):
                    losses[row] += lasts[row]
                if start != 0 and start < last_times[row] and start != last_starts[row]:
                    overlaps[row] = 1
                if math.isnan(minima[row]) or value < minima[row]:
                    minima[row] = value
                if math.isnan(maxima[row]) or value > maxima[row]:
                    maxima[row] = value
            total, lost = plus(value, total, lost)
            sums[row] = total if math.isinf(total) else total + lost
            counts[row] += 1
            last_times[row], lasts[row], last_starts[row], stale_times[row] = time, value, start, 0


@kernel
def merge_windows(
    ends: Any,
    counts: Any,
    first_times: Any,
    firsts: Any,
    last_times: Any,
    lasts: Any,
    sums: Any,
    minima: Any,
    maxima: Any,
    losses: Any,
    first_starts: Any,
    last_starts: Any,
    stale_times: Any,
    overlaps: Any,
    offsets: Any,
    width: Any,
    windows: Any,
) -> None:
    """Makes windows of `width` ms of narrower ones, in place, at the front of the arrays; `windows` (n + 1,) are their offsets.

    Neighbours that end at the same time are put together too, the first one first.
    """
    row = -1
    for series in range(offsets.size - 1):
        end = np.int64(-1)
        for at in range(offsets[series], offsets[series + 1]):
            begins = ends[at] > end
            if begins:
                end = -(-ends[at] // width) * width
                row += 1
                total = lost = 0.0
            if counts[at] == 0:
                if begins:
                    counts[row] = 0
                ends[row], stale_times[row] = end, stale_times[at]
                continue
            count, own, overlap = counts[at], losses[at], overlaps[at]
            if begins or counts[row] == 0:
                counts[row] = 0
                first_times[row], firsts[row], first_starts[row] = first_times[at], firsts[at], first_starts[at]
                minima[row], maxima[row] = minima[at], maxima[at]
                losses[row] = 0.0
                overlaps[row] = 0
            else:
                start = first_starts[at]
                if firsts[at] < lasts[row] or restarted(start, first_times[at], last_starts[row], last_times[row]):
                    losses[row] += lasts[row]
                if start != 0 and start < last_times[row] and start != last_starts[row]:
                    overlaps[row] = 1
                if math.isnan(minima[row]) or minima[at] < minima[row]:
                    minima[row] = minima[at]
                if math.isnan(maxima[row]) or maxima[at] > maxima[row]:
                    maxima[row] = maxima[at]
            losses[row] += own
            overlaps[row] |= overlap
            total, lost = plus(sums[at], total, lost)
            ends[row], stale_times[row] = end, stale_times[at]
            counts[row] += count
            last_times[row], lasts[row], last_starts[row] = last_times[at], lasts[at], last_starts[at]
            sums[row] = total if math.isinf(total) else total + lost
        windows[series + 1] = row + 1
