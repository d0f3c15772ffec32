"""Deltas as counters.

A delta point says what was counted between its start and its time. Its series is read as a counter that begins at 0 at every
midnight (UTC): the point is a sample of the running total at its time, and, where no sample stands there, one of the total
before it at its start. So a sample depends on its own day alone, not on the window of a query. See
`docs/decisions/prometheus-names.md`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sonde.query.prometheus import kernels
from sonde.query.promql.values import Bools, Samples

DAY_MS = 86_400_000


def midnight(time_ms: int) -> int:
    """The last midnight at or before."""
    return time_ms - time_ms % DAY_MS


def with_running_totals(samples: Samples, is_delta: Bools) -> Samples:
    """The samples of series (n,) that are deltas as running totals; they must be there from a midnight on."""
    if samples.start_times is None or not is_delta.any():
        return samples
    given = (samples.times, samples.values, samples.start_times, samples.offsets)
    times, values, starts, offsets = kernels.running_totals(*given, is_delta)
    return replace(samples, times=times, values=values, start_times=starts, offsets=offsets)


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
