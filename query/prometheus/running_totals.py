"""Deltas as counters, and counter resets that do not show.

A delta point says what was counted between its start and its time. Its series is read as a counter that begins at 0 at every
midnight (UTC): the point is a sample of the running total at its time, and where nothing else tells, one of the total before it
at its start. A counter that began anew but has already outgrown its old value gets a sample 0 at its start, so that `rate` sees
the reset. See `docs/decisions/prometheus-names.md`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sonde.query.prometheus import kernels
from sonde.query.promql.values import Bools, Samples

DAY_MS = 86_400_000


def midnight(time_ms: int) -> int:
    """The last midnight at or before."""
    return time_ms - time_ms % DAY_MS


def as_counters(samples: Samples, is_delta: Bools, is_counter: Bools) -> Samples:
    """The samples with deltas accumulated and hidden resets shown.

    `is_delta`, `is_counter`: (n,) of each series. Of delta series, the samples must begin at a midnight.
    """
    starts = samples.start_times
    if starts is None or not (is_delta.any() or has_new_starts(samples, starts, is_counter)):
        return samples
    arrays = kernels.as_counters(samples.times, samples.values, starts, samples.offsets, is_delta, is_counter)
    times, values, starts, offsets = arrays
    return replace(samples, times=times, values=values, start_times=starts, offsets=offsets)


def has_new_starts(samples: Samples, starts: NDArray[np.int64], is_counter: Bools) -> bool:
    """Whether any counter's start changes on the way."""
    if len(starts) < 2 or not is_counter.any():
        return False
    changed = starts[1:] != starts[:-1]
    firsts = samples.offsets[1:-1]
    changed[firsts[(firsts > 0) & (firsts < len(starts))] - 1] = False
    return bool(changed.any())


def since(samples: Samples, start_ms: int) -> Samples:
    """The samples from then on."""
    inside = samples.times >= start_ms
    if inside.all():
        return samples
    return replace(
        samples,
        times=samples.times[inside],
        values=samples.values[inside],
        histograms=None if samples.histograms is None else samples.histograms[inside],
        start_times=None if samples.start_times is None else samples.start_times[inside],
        offsets=np.concatenate(([0], np.cumsum(inside)))[samples.offsets],
    )
