"""Kernels over samples in windows: numba, without the GIL, cached on disk.

For what numpy can't do in one pass: windows that move along a series, sums with compensation. A kernel calls only what stands
in its own file, since numba's cache looks at nothing else. Windows are `first` and `end` (series x steps), as in `Windows`;
`out` is (series x steps), and where a window is empty what is written means nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

# A kernel is typed by numba, for the types it is called with: to mypy it is anything.
kernel: Any = numba.njit(nogil=True, cache=True, error_model="numpy")


@kernel
def find_windows(times: Any, offsets: Any, starts: Any, ends: Any, first: Any, end: Any) -> None:
    """Writes for each series and step which samples have `start < time <= end`. `starts` and `ends` ascend.

    One pass over a series' samples for all of its steps.
    """
    for series in range(offsets.size - 1):
        left = right = offsets[series]
        stop = offsets[series + 1]
        for step in range(ends.size):
            while left < stop and times[left] <= starts[step]:
                left += 1
            if right < left:
                right = left
            while right < stop and times[right] <= ends[step]:
                right += 1
            first[series, step] = left
            end[series, step] = right


@kernel
def find_last(times: Any, stale: Any, offsets: Any, ends: Any, lookback: Any, index: Any) -> None:
    """Writes for each series and step which sample is the latest with `end - lookback < time <= end`.

    -1 where there is none, and where the latest is a stale marker. `ends` ascend.
    """
    for series in range(offsets.size - 1):
        first = offsets[series]
        at = first
        stop = offsets[series + 1]
        for step in range(ends.size):
            while at < stop and times[at] <= ends[step]:
                at += 1
            last = at - 1
            found = last >= first and times[last] > ends[step] - lookback and not stale[last]
            index[series, step] = last if found else -1


@kernel
def plus(value: Any, total: Any, lost: Any) -> Any:
    """One step of Neumaier's summation: the new total, and what rounding has taken from it so far; nothing once it is infinite."""
    new = total + value
    if math.isinf(new):
        return new, 0.0
    if abs(total) >= abs(value):
        return new, lost + ((total - new) + value)
    return new, lost + ((value - new) + total)


@kernel
def sum_windows(values: Any, first: Any, end: Any, out: Any) -> None:
    for series in range(first.shape[0]):
        for step in range(first.shape[1]):
            total = lost = 0.0
            for at in range(first[series, step], end[series, step]):
                total, lost = plus(values[at], total, lost)
            out[series, step] = total if math.isinf(total) else total + lost


@kernel
def mean_of(values: Any, first: Any, end: Any) -> Any:
    """The mean of `values[first:end]`: the sum over the count, or the running mean from where the sum would overflow."""
    total = values[first]
    lost = 0.0
    for at in range(first + 1, end):
        new_total, new_lost = plus(values[at], total, lost)
        if math.isinf(new_total):
            mean = total / (at - first)
            lost /= at - first
            for rest in range(at, end):
                count = rest - first + 1
                weight = (count - 1) / count
                mean, lost = plus(values[rest] / count, weight * mean, weight * lost)
            return mean + lost
        total, lost = new_total, new_lost
    return total / (end - first) + lost / (end - first)


@kernel
def mean_windows(values: Any, first: Any, end: Any, out: Any) -> None:
    for series in range(first.shape[0]):
        for step in range(first.shape[1]):
            if first[series, step] < end[series, step]:
                out[series, step] = mean_of(values, first[series, step], end[series, step])


@kernel
def variance_windows(values: Any, first: Any, end: Any, out: Any) -> None:
    """Welford's method, its two running sums compensated."""
    for series in range(first.shape[0]):
        for step in range(first.shape[1]):
            count = mean = mean_lost = squares = squares_lost = 0.0
            for at in range(first[series, step], end[series, step]):
                count += 1.0
                delta = values[at] - (mean + mean_lost)
                mean, mean_lost = plus(delta / count, mean, mean_lost)
                squares, squares_lost = plus(delta * (values[at] - (mean + mean_lost)), squares, squares_lost)
            out[series, step] = (squares + squares_lost) / count


@kernel
def extreme_windows(values: Any, first: Any, end: Any, largest: Any, last: Any, out: Any) -> None:
    """Writes where the largest (else smallest) value of each window stands, the first of equal ones (else the last).

    NaN only where nothing else is; -1 for an empty window.
    """
    for series in range(first.shape[0]):
        for step in range(first.shape[1]):
            best = -1
            for at in range(first[series, step], end[series, step]):
                if best < 0 or math.isnan(values[best]):
                    best = at
                elif values[at] == values[best]:
                    if last:
                        best = at
                elif (values[at] > values[best]) if largest else (values[at] < values[best]):
                    best = at
            out[series, step] = best


@kernel
def quantile_of(quantile: Any, values: Any) -> Any:
    """Of values in ascending order, NaN first: between the two nearest, weighted."""
    if math.isnan(quantile) or values.size == 0:
        return math.nan
    if quantile < 0:
        return -math.inf
    if quantile > 1:
        return math.inf
    rank = quantile * (values.size - 1)
    lower = math.floor(rank)
    weight = rank - lower
    below = max(int(lower), 0)
    above = min(below + 1, values.size - 1)
    return values[below] * (1 - weight) + values[above] * weight


@kernel
def ascending(values: Any, buffer: Any) -> Any:
    """The values in ascending order, NaN first, in `buffer`, which is at least as long."""
    nans = 0
    for value in values:
        if math.isnan(value):
            buffer[nans] = value
            nans += 1
    at = nans
    for value in values:
        if not math.isnan(value):
            buffer[at] = value
            at += 1
    buffer[nans:at].sort()
    return buffer[:at]


@kernel
def longest(first: Any, end: Any) -> Any:
    most = 0
    for series in range(first.shape[0]):
        for step in range(first.shape[1]):
            most = max(most, end[series, step] - first[series, step])
    return most


@kernel
def quantile_windows(values: Any, first: Any, end: Any, quantiles: Any, out: Any) -> None:
    """`quantiles` is (steps,)."""
    buffer = np.empty(longest(first, end))
    for series in range(first.shape[0]):
        for step in range(first.shape[1]):
            window = ascending(values[first[series, step] : end[series, step]], buffer)
            out[series, step] = quantile_of(quantiles[step], window)


@kernel
def median_deviation_windows(values: Any, first: Any, end: Any, out: Any) -> None:
    """The median distance from the median; NaN where any value is."""
    buffer = np.empty(longest(first, end))
    deviations = np.empty_like(buffer)
    for series in range(first.shape[0]):
        for step in range(first.shape[1]):
            window = ascending(values[first[series, step] : end[series, step]], buffer)
            if window.size and math.isnan(window[0]):
                out[series, step] = math.nan
                continue
            median = quantile_of(0.5, window)
            for at in range(window.size):
                window[at] = abs(window[at] - median)
            out[series, step] = quantile_of(0.5, ascending(window, deviations))


@kernel
def fit_line(times: Any, values: Any, zero_ms: Any) -> Any:
    """Slope (a second) and value at `zero_ms` of the least squares line through the samples."""
    count = 0.0
    sum_x = lost_x = sum_y = lost_y = sum_xy = lost_xy = sum_xx = lost_xx = 0.0
    constant = True
    for at in range(values.size):
        if values[at] != values[0]:
            constant = False
        x = (times[at] - zero_ms) / 1e3
        count += 1.0
        sum_x, lost_x = plus(x, sum_x, lost_x)
        sum_y, lost_y = plus(values[at], sum_y, lost_y)
        sum_xy, lost_xy = plus(x * values[at], sum_xy, lost_xy)
        sum_xx, lost_xx = plus(x * x, sum_xx, lost_xx)
    if constant:
        return (math.nan, math.nan) if math.isinf(values[0]) else (0.0, values[0])
    sum_x, sum_y, sum_xy, sum_xx = sum_x + lost_x, sum_y + lost_y, sum_xy + lost_xy, sum_xx + lost_xx
    slope = (sum_xy - sum_x * sum_y / count) / (sum_xx - sum_x * sum_x / count)
    return slope, sum_y / count - slope * sum_x / count


@kernel
def slope_windows(times: Any, values: Any, first: Any, end: Any, out: Any) -> None:
    """Windows of at least two samples; the line is fitted near its samples, where floats are finest."""
    for series in range(first.shape[0]):
        for step in range(first.shape[1]):
            low, high = first[series, step], end[series, step]
            if high - low >= 2:
                out[series, step] = fit_line(times[low:high], values[low:high], times[low])[0]


@kernel
def prediction_windows(times: Any, values: Any, first: Any, end: Any, now: Any, ahead: Any, out: Any) -> None:
    """The line's value `ahead` seconds after `now`; both are (steps,). Windows of at least two samples."""
    for series in range(first.shape[0]):
        for step in range(first.shape[1]):
            low, high = first[series, step], end[series, step]
            if high - low >= 2:
                slope, here = fit_line(times[low:high], values[low:high], now[step])
                out[series, step] = slope * ahead[step] + here


@kernel
def smooth_windows(values: Any, first: Any, end: Any, smoothing: Any, trend: Any, out: Any) -> None:
    """Double exponential smoothing; both factors are (steps,). Windows of at least two samples."""
    for series in range(first.shape[0]):
        for step in range(first.shape[1]):
            low, high = first[series, step], end[series, step]
            if high - low < 2:
                continue
            before, level = 0.0, values[low]
            slope = values[low + 1] - values[low]
            for at in range(low + 1, high):
                if at > low + 1:
                    slope = trend[step] * (level - before) + (1 - trend[step]) * slope
                before, level = level, smoothing[step] * values[at] + (1 - smoothing[step]) * (level + slope)
            out[series, step] = level


@kernel
def between(times: Any, values: Any, left: Any, at: Any) -> Any:
    """The value at a time on the straight line from sample `left` to the next one."""
    share = float(at - times[left]) / float(times[left + 1] - times[left])
    return values[left] + (values[left + 1] - values[left]) * share


@kernel
def smooth_steps(times: Any, values: Any, first: Any, end: Any, ends: Any, out: Any, present: Any) -> None:
    """The value at each step: between the samples around it; the latest one where none follows; nothing before the first."""
    for series in range(first.shape[0]):
        for step in range(first.shape[1]):
            low, high, now = first[series, step], end[series, step], ends[step]
            at = low
            while at < high and times[at] <= now:
                at += 1
            present[series, step] = at > low
            if at == low:
                continue
            if at == high or times[at - 1] == now:
                out[series, step] = values[at - 1]
            else:
                out[series, step] = between(times, values, at - 1, now)


@kernel
def edge_windows(
    times: Any,
    values: Any,
    first: Any,
    end: Any,
    start: Any,
    stop: Any,
    smoothed: Any,
    out_times: Any,
    out_values: Any,
    offsets: Any,
) -> None:
    """The samples between `start` and `stop` of each series with one at either edge, made of what is around it.

    Anchored, an edge has the value of the last sample up to it, or of the first one; smoothed, that of the line between.
    A series without a sample behind `start` gets none. `offsets` (series + 1,) says where each one's samples are.
    """
    at = 0
    for series in range(first.size):
        offsets[series] = at
        low, high = first[series], end[series] - 1
        while low < high and times[low + 1] <= start:
            low += 1
        while smoothed and high > low and times[high - 1] >= stop:
            high -= 1
        if high < first[series] or times[high] <= start:
            continue
        left, right = values[low], values[high]
        if smoothed and times[low] < start:
            left = between(times, values, low, start)
        if smoothed and high > first[series] and times[high] > stop:
            right = between(times, values, high - 1, stop)
        out_times[at], out_values[at] = start, left
        at += 1
        for inside in range(low, high + 1):
            if start < times[inside] < stop:
                out_times[at], out_values[at] = times[inside], values[inside]
                at += 1
        out_times[at], out_values[at] = stop, right
        at += 1
    offsets[first.size] = at
