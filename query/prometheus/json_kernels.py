"""Text put together byte by byte: numba, no GIL, cached. A kernel calls only what stands here."""

from __future__ import annotations

from typing import Any

import numba

# A kernel is typed by numba, for the types it is called with: to mypy it is anything.
kernel: Any = numba.njit(nogil=True, cache=True, error_model="numpy")

COMMA, POINT, ZERO, QUOTE, CLOSING = b',.0"]'


@kernel
def write_points(
    numbers: Any, heads: Any, head_bounds: Any, steps: Any, row_ends: Any, out: Any, out_ends: Any
) -> None:
    """Writes `[time,"value"]` of each cell, commas between them, row after row: those of row i end at `out_ends[i]`.

    `numbers` are the cells' values, commas between them; a trailing `.0` is left out. `heads` are the texts `[time,"` of all steps,
    that of step j between `head_bounds[j]` and `head_bounds[j + 1]`; `steps` says the step of each cell, `row_ends` where the
    cells of each row end. All texts are uint8.
    """
    read, write, cell = 0, 0, 0
    for row in range(row_ends.size):
        first = cell
        while cell < row_ends[row]:
            if cell > first:
                out[write] = COMMA
                write += 1
            for at in range(head_bounds[steps[cell]], head_bounds[steps[cell] + 1]):
                out[write] = heads[at]
                write += 1
            begin = read
            while read < numbers.size and numbers[read] != COMMA:
                out[write] = numbers[read]
                write += 1
                read += 1
            if read - begin > 2 and numbers[read - 2] == POINT and numbers[read - 1] == ZERO:
                write -= 2
            out[write] = QUOTE
            out[write + 1] = CLOSING
            write += 2
            read += 1
            cell += 1
        out_ends[row] = write
