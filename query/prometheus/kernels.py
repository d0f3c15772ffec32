"""Loops over samples that numpy has no one pass for: numba, no GIL, cached. A kernel calls only what stands here."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

# A kernel is typed by numba, for the types it is called with: to mypy it is anything.
kernel: Any = numba.njit(nogil=True, cache=True, error_model="numpy")


@kernel
def rows_by_code(codes: Any, offsets: Any) -> Any:
    """(m,) the rows of code 0 in the order they stand, then those of code 1, ...; `offsets` (n + 1,) where each code begins."""
    place = offsets[:-1].copy()
    order = np.empty(codes.size, np.int64)
    for row in range(codes.size):
        code = codes[row]
        order[place[code]] = row
        place[code] += 1
    return order


@kernel
def sort_within(times: Any, offsets: Any, order: Any) -> None:
    """Puts the rows of each series in the order of their times, stable; `times` and `order` alike."""
    for series in range(offsets.size - 1):
        begin, end = offsets[series], offsets[series + 1]
        sorted_already = True
        for row in range(begin + 1, end):
            if times[row] < times[row - 1]:
                sorted_already = False
                break
        if not sorted_already:
            index = np.argsort(times[begin:end], kind="mergesort")
            times[begin:end] = times[begin:end][index]
            order[begin:end] = order[begin:end][index]


@kernel
def mark_last_of_time(times: Any, offsets: Any, kept: Any) -> None:
    """Clears `kept` for every row that another of the same series and time follows."""
    for series in range(offsets.size - 1):
        for row in range(offsets[series], offsets[series + 1] - 1):
            if times[row] == times[row + 1]:
                kept[row] = False


@kernel
def place_runs(
    begins: Any,
    codes: Any,
    nano: Any,
    start_nano: Any,
    value: Any,
    place: Any,
    times: Any,
    starts: Any,
    values: Any,
) -> None:
    """Writes the rows of each run behind those of its series that are there, at `place`, which moves on. Code -1: nowhere."""
    for run in range(codes.size):
        code = codes[run]
        if code >= 0:
            at = place[code]
            for row in range(begins[run], begins[run + 1]):
                times[at] = nano[row]
                starts[at] = start_nano[row]
                values[at] = value[row]
                at += 1
            place[code] = at


@kernel
def find_slices(held: Any, offsets: Any, times: Any, ids: Any, start: Any, stop: Any, first: Any, end: Any) -> None:
    """Where the rows of each of `ids` that are in `[start, stop)` stand, `first` to `end`, among those of the series `held`.

    Both are ascending; the rows of each series are by time.
    """
    at = 0
    for series in range(ids.size):
        while at < held.size and held[at] < ids[series]:
            at += 1
        if at == held.size:
            break
        if held[at] == ids[series]:
            rows = times[offsets[at] : offsets[at + 1]]
            first[series] = offsets[at] + np.searchsorted(rows, start)
            end[series] = offsets[at] + np.searchsorted(rows, stop)


@kernel
def copy_slices(
    first: Any, end: Any, nano: Any, start_nano: Any, value: Any, place: Any, times: Any, starts: Any, values: Any
) -> None:
    """Writes the rows `first` to `end` of each series to `place`, which moves on."""
    for series in range(first.size):
        at = place[series]
        for row in range(first[series], end[series]):
            times[at] = nano[row]
            starts[at] = start_nano[row]
            values[at] = value[row]
            at += 1
        place[series] = at


@kernel
def sort_points(times: Any, starts: Any, values: Any, offsets: Any, unit: Any) -> Any:
    """Sorts the points of each series by time and makes units of `unit` nanoseconds of its times and starts (0 for less than 0).

    Returns which points stay: all but those that another of the same series and time follows.
    """
    single = np.ones(times.size, np.bool_)
    for series in range(offsets.size - 1):
        begin, end = offsets[series], offsets[series + 1]
        for row in range(begin + 1, end):
            if times[row] < times[row - 1]:
                index = np.argsort(times[begin:end], kind="mergesort")
                times[begin:end] = times[begin:end][index]
                starts[begin:end] = starts[begin:end][index]
                values[begin:end] = values[begin:end][index]
                break
        for row in range(begin, end):
            times[row] //= unit
            starts[row] = max(starts[row] // unit, 0)
            if row > begin and times[row] == times[row - 1]:
                single[row - 1] = False
    return single


STALE_BITS = np.int64(0x7FF0000000000002)
DAY_MS = np.int64(86_400_000)


@kernel
def running_totals(times: Any, values: Any, starts: Any, offsets: Any, is_delta: Any) -> Any:
    """Totals since midnight of delta series, with samples at their starts: see `running_totals.py`. Other series stay as they are.

    Returns times, values, starts and offsets; there may be up to twice as many samples.
    """
    bits = values.view(np.int64)
    new_times = np.empty(2 * times.size, np.int64)
    new_values = np.empty(2 * times.size, np.float64)
    new_starts = np.empty(2 * times.size, np.int64)
    new_offsets = np.zeros_like(offsets)
    at = 0
    for series in range(offsets.size - 1):
        before = np.int64(-1)
        total = 0.0
        today = np.int64(-1)
        for row in range(offsets[series], offsets[series + 1]):
            time, value, start = times[row], values[row], starts[row]
            if is_delta[series] and bits[row] != STALE_BITS:
                day = time - time % DAY_MS
                if today != day:
                    if start != 0 or today >= 0:
                        start = max(start, day)
                    total = 0.0
                    today = day
                if start != 0 and before < start < time:
                    new_times[at], new_values[at], new_starts[at] = start, total, day
                    at += 1
                total += value
                value = total
                start = day
            new_times[at], new_values[at], new_starts[at] = time, value, start
            at += 1
            before = time
        new_offsets[series + 1] = at
    return new_times[:at].copy(), new_values[:at].copy(), new_starts[:at].copy(), new_offsets
