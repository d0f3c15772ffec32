"""Kernels over matrices of histograms, a row each.

A kernel calls only what stands in this file, since numba's cache looks at nothing else. Matrices are C-contiguous.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

# A kernel is typed by numba, for the types it is called with: to mypy it is anything.
kernel: Any = numba.njit(nogil=True, cache=True, error_model="numpy")


@kernel
def sum_rows(numbers: Any, rows: Any, offsets: Any, total: Any, lost: Any) -> None:
    """Writes for each cell the sum of `numbers[rows[offsets[i]:offsets[i + 1]]]` and what rounding took from it (Neumaier).

    Measured: 12 600 sums of 20 histograms with 80 buckets took 0.04 s instead of the 0.9 s of whole-matrix steps, one for each
    member of the cells.
    """
    for cell in range(offsets.size - 1):
        for at in range(offsets[cell], offsets[cell + 1]):
            row = rows[at]
            for column in range(total.shape[1]):
                number = numbers[row, column]
                before = total[cell, column]
                after = before + number
                if np.isinf(after):
                    lost[cell, column] = 0.0
                elif abs(before) >= abs(number):
                    lost[cell, column] += (before - after) + number
                else:
                    lost[cell, column] += (number - after) + before
                total[cell, column] = after


@kernel
def weigh_rows(numbers: Any, rows: Any, offsets: Any, starts: Any, weights: Any, total: Any) -> None:
    """Writes for each cell the sum of its rows times their weights, which begin at `starts[i]`; weight 0 takes no part."""
    for cell in range(offsets.size - 1):
        for at in range(offsets[cell], offsets[cell + 1]):
            row, weight = rows[at], weights[starts[cell] + at - offsets[cell]]
            if weight != 0:
                for column in range(total.shape[1]):
                    total[cell, column] += numbers[row, column] * weight
