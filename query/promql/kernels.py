"""Kernels of the evaluation: numba, without the GIL, cached on disk.

For what numpy can't do in one pass: windows that move along a series, sums with compensation. A kernel calls only what stands
in this file, since numba's cache looks at nothing else. Matrices are C-contiguous (series x steps).
"""

from __future__ import annotations

from typing import Any

import numba

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
