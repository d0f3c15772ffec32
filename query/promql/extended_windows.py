"""The modifiers `anchored` and `smoothed`: values at the very edges of a range, or at the very time of a step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sonde.query.promql import histogram_windows
from sonde.query.promql.answer import with_samples
from sonde.query.promql.errors import EvaluationError
from sonde.query.promql.kernels import edge_windows, find_windows, smooth_steps
from sonde.query.promql.selection import Query, ends_of
from sonde.query.promql.syntax import Modifier, VectorSelector
from sonde.query.promql.values import Ints, Samples, Vector
from sonde.query.promql.windows import Windows, without_stale

WHERE_ALLOWED = {
    Modifier.ANCHORED: ("changes", "delta", "increase", "rate", "resets"),
    Modifier.SMOOTHED: ("delta", "increase", "rate"),
}


def check_modifier(modifier: Modifier | None, function: str) -> None:
    """Raises `EvaluationError` where a function can't do with samples from beyond the range."""
    if modifier is not None and function not in WHERE_ALLOWED[modifier]:
        allowed = ", ".join(WHERE_ALLOWED[modifier])
        raise EvaluationError(f"{modifier.value} modifier can only be used with: {allowed} - not with {function}")


def extended(windows: Windows) -> Windows:
    """One step's windows as a range selector answers them by itself: with a sample at each edge in place of those beyond."""
    if windows.modifier is None:
        return windows
    samples = windows.samples
    if samples.histograms is not None:
        raise EvaluationError(f"{windows.modifier.value} modifier is not supported with histograms")
    room = len(samples.times) + 2 * samples.labels.size
    times, values, offsets = np.empty(room, np.int64), np.empty(room), np.empty(samples.labels.size + 1, np.int64)
    stop = int(windows.ends_ms[0])
    smoothed = windows.modifier is Modifier.SMOOTHED
    edge_windows(
        samples.times,
        samples.values,
        windows.first[:, 0],
        windows.end[:, 0],
        stop - windows.range_ms,
        stop,
        smoothed,
        times,
        values,
        offsets,
    )
    edged = Samples(samples.labels, offsets, times[: offsets[-1]], values[: offsets[-1]])
    first, end = offsets[:-1, np.newaxis], offsets[1:, np.newaxis]
    return replace(windows, samples=edged, first=first, end=end, modifier=None)


def smoothed_vector(selector: VectorSelector, times: Ints, query: Query) -> Vector:
    """At each step what the straight line between the samples around it says; without a later one, the latest value."""
    ends = ends_of(selector, times, query)
    lookback = query.lookback_ms
    samples = without_stale(query.fetch(selector.matchers, int(ends[0]) - lookback + 1, int(ends[-1]) + lookback))
    query.budget.take(3 * samples.labels.size * len(ends))
    first = np.empty((samples.labels.size, len(ends)), np.int64)
    end = np.empty_like(first)
    find_windows(samples.times, samples.offsets, ends - lookback, ends + lookback, first, end)
    windows = Windows(samples, first, end, ends, 0, Modifier.SMOOTHED)
    floats = windows.floats()
    values, present = np.zeros(first.shape), np.empty(first.shape, bool)
    smooth_steps(floats.samples.times, floats.samples.values, floats.first, floats.end, ends, values, present)
    vector = Vector(samples.labels, values, present)
    if samples.histograms is not None:
        vector = histogram_windows.smoothed(windows, vector, selector, query.annotations)
    return with_samples(vector)
