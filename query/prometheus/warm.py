"""The kernels that put points in order, compiled or loaded from numba's cache before the first query needs them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sonde.query.prometheus import json_kernels, kernels
from sonde.query.promql.values import Ints

Progress = Callable[[str, int, int], None]


def warm(progress: Progress | None = None) -> None:
    """Compiles every kernel for the arrays it gets in life. `progress(what, step, steps)` is called before each step."""
    for number, (name, call) in enumerate(CALLS.items()):
        if progress:
            progress(f"order points: {name}", number, len(CALLS))
        call()


def _times() -> Ints:
    return np.array([2, 1, 3])


def _offsets() -> Ints:
    """Of one series."""
    return np.array([0, 3])


def _values() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.zeros(3)


CALLS: dict[str, Callable[[], object]] = {
    "rows_by_code": lambda: kernels.rows_by_code(np.zeros(3, np.int64), _offsets()),
    "sort_within": lambda: kernels.sort_within(_times(), _offsets(), np.arange(3)),
    "mark_last_of_time": lambda: kernels.mark_last_of_time(_times(), _offsets(), np.ones(3, bool)),
    "place_runs": lambda: kernels.place_runs(
        *(_offsets(), np.zeros(1, np.int64), _times(), _times(), _values()),
        *(np.zeros(1, np.int64), _times(), _times(), _values()),
    ),
    "find_slices": lambda: kernels.find_slices(
        *(np.zeros(1, np.uint64), _offsets(), _times(), np.zeros(1, np.uint64)),
        *(0, 1, np.zeros(1, np.int64), np.zeros(1, np.int64)),
    ),
    "copy_slices": lambda: kernels.copy_slices(
        *(np.zeros(1, np.int64), np.ones(1, np.int64), _times(), _times(), _values()),
        *(np.zeros(1, np.int64), _times(), _times(), _values()),
    ),
    "sort_points": lambda: kernels.sort_points(_times(), _times(), _values(), _offsets(), 1),
    "write_points": lambda: json_kernels.write_points(
        *(np.frombuffer(b"1.0,2.5", np.uint8), np.frombuffer(b"[", np.uint8), np.array([0, 1]), np.zeros(2, np.int64)),
        *(np.array([2]), np.empty(20, np.uint8), np.zeros(1, np.int64)),
    ),
    "running_totals": lambda: kernels.running_totals(_times(), _values(), _times(), _offsets(), np.ones(1, bool)),
}
"""A call of each kernel by its name."""
