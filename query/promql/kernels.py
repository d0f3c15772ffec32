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
