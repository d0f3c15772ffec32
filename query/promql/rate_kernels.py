"""Kernels of rate and its kin: numba, without the GIL, cached on disk.

Windows are `first` and `end` (series x steps), as in `windows.Windows`; `ends` and `now` are (steps,) in ms. `resets[k]` says
whether the counter was reset between sample `k - 1` and `k`, `resets_before[k]` how many resets samples 0 to k - 1 have. A
kernel calls only what stands in its own file, since numba's cache looks at nothing else.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

# A kernel is typed by numba, for the types it is called with: to mypy it is anything.
kernel: Any = numba.njit(nogil=True, cache=True, error_model="numpy")


@kernel
def lost_to_resets(values: Any, resets: Any, resets_before: Any, first: Any, end: Any) -> Any:
    """What a counter had counted in `values[first:end]` whenever it was reset."""
    lost = 0.0
    if resets_before[end] > resets_before[first + 1]:
        for at in range(first + 1, end):
            if resets[at]:
                lost += values[at - 1]
    return lost


@kernel
def extrapolated_factor(start: Any, stop: Any, first: Any, last: Any, gaps: Any, to_zero: Any) -> Any:
    """By how much the increase between `first` and `last` grows if it goes on to the range's edges `start` and `stop`; all in ms.

    Up to an edge, if it is no farther than 1.1 times the average gap between the samples, else half a gap; and at the start not
    beyond where the counter was zero, `to_zero` seconds before `first`.
    """
    interval = (last - first) / 1000
    gap = interval / gaps
    before, behind = (first - start) / 1000, (stop - last) / 1000
    if before >= gap * 1.1:
        before = gap / 2
    if behind >= gap * 1.1:
        behind = gap / 2
    return (interval + min(before, to_zero) + behind) / interval


@kernel
def increase_windows(
    times: Any,
    values: Any,
    start_times: Any,
    resets: Any,
    resets_before: Any,
    first: Any,
    end: Any,
    ends: Any,
    range_ms: Any,
    counter: Any,
    out: Any,
    present: Any,
) -> None:
    """The increase over each range, extrapolated to its edges.

    `start_times` is empty where no sample has one. Where the first sample says that it began to count within the range, its
    whole value is increase, and nothing is extrapolated to the left.
    """
    for series in range(first.shape[0]):
        for step in range(first.shape[1]):
            low, high = first[series, step], end[series, step]
            present[series, step] = False
            if high == low:
                continue
            start, stop = ends[step] - range_ms, ends[step]
            oldest, newest = times[low], times[high - 1]
            gaps = high - low - 1
            increase = values[high - 1] - values[low]
            if counter:
                increase += lost_to_resets(values, resets, resets_before, low, high)
            if counter and start_times.size > 0 and start_times[low] != 0 and start < start_times[low] < oldest:
                interval = (newest - start_times[low]) / 1000
                gap = (newest - oldest) / 1000 / gaps if gaps else 0.0
                behind = (stop - newest) / 1000
                if behind >= gap * 1.1:
                    behind = gap / 2
                out[series, step] = (increase + values[low]) * ((interval + behind) / interval)
                present[series, step] = True
            elif gaps > 0:
                to_zero = (oldest - start) / 1000
                if counter and increase > 0 and values[low] >= 0:
                    to_zero = (newest - oldest) / 1000 * (values[low] / increase)
                if newest > oldest:
                    increase *= extrapolated_factor(start, stop, oldest, newest, gaps, to_zero)
                out[series, step] = increase
                present[series, step] = True


@kernel
def increase_summaries(
    counts: Any,
    first_times: Any,
    firsts: Any,
    last_times: Any,
    lasts: Any,
    losses: Any,
    first_starts: Any,
    resets: Any,
    first: Any,
    end: Any,
    ends: Any,
    range_ms: Any,
    counter: Any,
    out: Any,
    present: Any,
) -> None:
    """What `increase_windows` writes, of summaries in place of samples: `first` and `end` are of these, all with samples.

    `resets[k]` says whether the counter was reset between the last sample of summary `k - 1` and the first one of `k`.
    """
    for series in range(first.shape[0]):
        for step in range(first.shape[1]):
            low, high = first[series, step], end[series, step]
            present[series, step] = False
            if high == low:
                continue
            start, stop = ends[step] - range_ms, ends[step]
            oldest, newest = first_times[low], last_times[high - 1]
            gaps = np.int64(-1)
            lost = 0.0
            for at in range(low, high):
                gaps += counts[at]
                if at > low and resets[at]:
                    lost += lasts[at - 1]
                lost += losses[at]
            increase = lasts[high - 1] - firsts[low]
            if counter:
                increase += lost
            if counter and first_starts[low] != 0 and start < first_starts[low] < oldest:
                interval = (newest - first_starts[low]) / 1000
                gap = (newest - oldest) / 1000 / gaps if gaps else 0.0
                behind = (stop - newest) / 1000
                if behind >= gap * 1.1:
                    behind = gap / 2
                out[series, step] = (increase + firsts[low]) * ((interval + behind) / interval)
                present[series, step] = True
            elif gaps > 0:
                to_zero = (oldest - start) / 1000
                if counter and increase > 0 and firsts[low] >= 0:
                    to_zero = (newest - oldest) / 1000 * (firsts[low] / increase)
                if newest > oldest:
                    increase *= extrapolated_factor(start, stop, oldest, newest, gaps, to_zero)
                out[series, step] = increase
                present[series, step] = True


@kernel
def interpolated(times: Any, values: Any, left: Any, at: Any, counter: Any) -> Any:
    """The value at a time between sample `left` and the next one; a counter that was reset between them began at 0."""
    low, high = values[left], values[left + 1]
    if counter and high < low:
        low = 0.0
    return low + (high - low) * float(at - times[left]) / float(times[left + 1] - times[left])


@kernel
def edged_increase_windows(
    times: Any,
    values: Any,
    first: Any,
    end: Any,
    ends: Any,
    range_ms: Any,
    counter: Any,
    smoothed: Any,
    out: Any,
    present: Any,
) -> None:
    """The increase from edge to edge of each range, whose windows reach beyond it.

    Anchored, the value at an edge is that of the last sample up to it, or of the first one there is; smoothed, it is what the
    straight line between the samples around the edge says.
    """
    for series in range(first.shape[0]):
        for step in range(first.shape[1]):
            low, high = first[series, step], end[series, step]
            present[series, step] = False
            start, stop = ends[step] - range_ms, ends[step]
            last = high - 1
            while low < last and times[low + 1] <= start:
                low += 1
            while smoothed and last > low and times[last - 1] >= stop:
                last -= 1
            if high <= low or times[last] <= start or times[low] > stop:
                continue
            left, right = values[low], values[last]
            if smoothed and times[low] < start:
                left = interpolated(times, values, low, start, counter)
            if smoothed and last > first[series, step] and times[last] > stop:
                right = interpolated(times, values, last - 1, stop, counter)
            increase = right - left
            if counter:
                before = left
                for at in range(low + 1 if times[low] <= start else low, last if times[last] >= stop else last + 1):
                    if values[at] < before:
                        increase += before
                    before = values[at]
                if right < before:
                    increase += before
            out[series, step] = increase
            present[series, step] = True
