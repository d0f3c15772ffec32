"""Where counters began anew, sample by sample, and how many of such marks a window has."""

from __future__ import annotations

import numpy as np
from sonde.query.promql.values import Bools, Ints, Samples
from sonde.query.promql.windows import Windows


def before(marks: Bools) -> Ints:
    """(m + 1,) how many of the samples before each have a mark."""
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(marks, dtype=np.int64)))


def resets(samples: Samples) -> Bools:
    """(m,) whether a counter of floats was reset since the sample before: it fell, or says that it began anew.

    Of a series' first sample it says nothing that means something.
    """
    fell = np.zeros(len(samples.times), bool)
    np.less(samples.values[1:], samples.values[:-1], out=fell[1:])
    return fell | restarts(samples)


def restarts(samples: Samples) -> Bools:
    """(m,) whether by its start time a sample began to count after the one before it.

    A start at the very time of the sample before is the mark of deltas, if that one knows its own start; else of a cumulative
    series whose start is unknown. https://opentelemetry.io/docs/specs/otel/metrics/data-model/#resets-and-gaps
    """
    found = np.zeros(len(samples.times), bool)
    if samples.start_times is not None:
        starts, times = samples.start_times, samples.times
        found[1:] = restarted(starts[1:], times[1:], starts[:-1], times[:-1])
    return found


def restarted(start: Ints, time: Ints, start_before: Ints, time_before: Ints) -> Bools:
    """Whether samples began to count after those before them: a start of 0 is unknown."""
    known = (start != 0) & (start < time)
    delta_before = (start_before <= time_before) & (start_before != 0) & (start_before != time_before)
    after: Bools = known & ((start > time_before) | ((start == time_before) & delta_before))
    return after


def count_after_first(marks: Bools, windows: Windows) -> Ints:
    """(n, s) how many samples of each window, its first one left out, have a mark."""
    sums = before(marks)
    return sums[windows.end] - sums[np.minimum(windows.first + 1, windows.end)]
