"""rate and its kin: how much a counter or gauge has changed over a window."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sonde.query.promql import annotations as texts
from sonde.query.promql import histogram_windows
from sonde.query.promql.annotations import Occurrences
from sonde.query.promql.context import Context
from sonde.query.promql.counter_resets import before, count_after_first, resets
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.rate_kernels import edged_increase_windows, increase_windows
from sonde.query.promql.sample_kinds import both, names_of
from sonde.query.promql.syntax import Modifier
from sonde.query.promql.values import Bools, Floats, Ints, Vector
from sonde.query.promql.windows import Windows

COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")


def rate(windows: Windows, context: Context) -> Vector:
    """The increase a second."""
    return _counted(windows, context, histogram_windows.rate, windows.range_ms / 1000)


def increase(windows: Windows, context: Context) -> Vector:
    """How much a counter has counted."""
    return _counted(windows, context, histogram_windows.increase, 1.0)


def delta(windows: Windows, context: Context) -> Vector:
    """The difference between the edges of a gauge's range."""
    return both(windows, context, lambda floats: _increases(floats, counter=False), histogram_windows.delta)


def _counted(
    windows: Windows, context: Context, of_histograms: Callable[[Windows, Context], Vector], divisor: float
) -> Vector:
    def of_floats(floats: Windows) -> tuple[Floats, Bools]:
        values, present = _increases(floats, counter=True)
        seen = _overlapping(floats)
        if seen is not None:
            note_overlaps(floats.samples.labels, seen, context)
        note_gauges(floats.samples.labels, present, context)
        return values / divisor if divisor != 1 else values, present

    return both(windows, context, of_floats, of_histograms)


def _increases(windows: Windows, *, counter: bool) -> tuple[Floats, Bools]:
    """The increase over each range, and where there is one."""
    samples = windows.samples
    values, present = np.zeros(windows.first.shape), np.empty(windows.first.shape, bool)
    where = (windows.first, windows.end, windows.ends_ms, windows.range_ms)
    if windows.modifier is not None:
        smoothed = windows.modifier is Modifier.SMOOTHED
        edged_increase_windows(samples.times, samples.values, *where, counter, smoothed, values, present)
        return values, present
    marks = resets(samples) if counter else np.zeros(len(samples.times), bool)
    starts = samples.start_times if samples.start_times is not None else np.zeros(0, np.int64)
    increase_windows(samples.times, samples.values, starts, marks, before(marks), *where, counter, values, present)
    return values, present


def _overlapping(windows: Windows) -> Bools | None:
    """(n, s) which windows have samples that overlap the one before; None where none has."""
    samples = windows.samples
    if samples.start_times is None or windows.modifier is not None:
        return None
    marks = np.zeros(len(samples.times), bool)
    marks[1:] = overlapped(samples.start_times[1:], samples.start_times[:-1], samples.times[:-1])
    return count_after_first(marks, windows) > 0 if marks.any() else None


def overlapped(start: Ints, start_before: Ints, time_before: Ints) -> Bools:
    """Which samples began before the one before them was taken, and not when that one began."""
    found: Bools = (start != 0) & (start < time_before) & (start != start_before)
    return found


def note_overlaps(labels: LabelTable, seen: Bools, context: Context) -> None:
    """Warns of windows (n, s) with such samples."""
    for name in names_of(labels, seen):
        rows = labels.column("__name__").texts() == name
        times = Occurrences(int(np.count_nonzero(seen[rows])))
        context.annotations.warn(texts.start_time_overlap(name), context.span_of(0), times)


def note_gauges(labels: LabelTable, present: Bools, context: Context) -> None:
    """An info for every metric whose name is not a counter's."""
    for name in names_of(labels, present):
        if name and not name.endswith(COUNTER_SUFFIXES):
            context.annotations.info(texts.possible_non_counter(name), context.span_of(0))


def irate(windows: Windows, context: Context) -> Vector:
    """The increase a second between the last two samples."""
    return _last_two(windows, context, counter=True)


def idelta(windows: Windows, context: Context) -> Vector:
    """The difference between the last two samples."""
    return _last_two(windows, context, counter=False)


def _last_two(windows: Windows, context: Context, *, counter: bool) -> Vector:
    two = windows.counts >= 2
    last = np.where(two, windows.end - 1, 0)
    previous = np.where(two, windows.end - 2, 0)
    samples = windows.samples
    if not len(samples.times):
        return windows.vector(np.zeros(two.shape), two)
    values = samples.values[last] - samples.values[previous]
    if counter:
        values = np.where(resets(samples)[last], samples.values[last], values)
        values /= (samples.times[last] - samples.times[previous]) / 1000
    if samples.histograms is None:
        return windows.vector(values, two)
    return histogram_windows.last_two(windows, context, windows.vector(values, two), previous, last, counter=counter)
