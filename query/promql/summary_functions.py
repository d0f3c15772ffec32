"""Functions of range vectors over summaries of windows: those for which what a summary says is all there is to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from sonde.query.promql import annotations as texts
from sonde.query.promql import over_time
from sonde.query.promql.context import Context
from sonde.query.promql.counter_resets import restarted
from sonde.query.promql.durations import format_duration
from sonde.query.promql.kernels import find_windows
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.limits import Budget
from sonde.query.promql.ranges import in_parts
from sonde.query.promql.rate_kernels import increase_summaries
from sonde.query.promql.rates import note_gauges, note_overlaps, overlapped
from sonde.query.promql.summaries import Summaries, series_of
from sonde.query.promql.values import Bools, Floats, Ints, Samples, Vector, plain
from sonde.query.promql.windows import Windows


@dataclass(frozen=True, slots=True)
class SummaryWindows:
    """n series by s steps: the range of series `i` at step `j` is made of the summaries `first[i, j]` to `end[i, j]`."""

    summaries: Summaries
    """All with samples."""
    first: Ints
    """(n, s)"""
    end: Ints
    """(n, s), exclusive."""
    ends_ms: Ints
    """(s,) the right edges of the range."""
    range_ms: int
    """As it is read, a multiple of the summaries' width."""
    asked_ms: int
    """As the query has it."""

    @property
    def labels(self) -> LabelTable:
        return self.summaries.labels

    @property
    def counts(self) -> Ints:
        """(n, s) samples of each range."""
        before = np.concatenate(([0], np.cumsum(self.summaries.counts)))
        counts: Ints = before[self.end] - before[self.first]
        return counts

    @property
    def present(self) -> Bools:
        return self.end > self.first

    def of(self, times: Ints, values: Floats) -> Windows:
        """The same windows as if there was one sample for each summary."""
        samples = Samples(self.labels, self.summaries.offsets, times, plain(values))
        return Windows(samples, self.first, self.end, self.ends_ms, self.range_ms)


@dataclass(frozen=True, slots=True)
class SummaryRanges:
    """A range vector that is looked at by summaries."""

    summaries: Summaries
    """All with samples."""
    ends_ms: Ints
    range_ms: int
    asked_ms: int

    def windows(self, budget: Budget, rows: slice | None = None) -> SummaryWindows:
        """The windows of all series, or of some."""
        found = self.summaries if rows is None else series_of(self.summaries, rows)
        first = np.empty((found.labels.size, len(self.ends_ms)), np.int64)
        budget.take(2 * first.size)
        end = np.empty_like(first)
        find_windows(plain(found.ends), plain(found.offsets), self.ends_ms - self.range_ms, self.ends_ms, first, end)
        return SummaryWindows(found, first, end, self.ends_ms, self.range_ms, self.asked_ms)

    def each(self, function: Callable[[SummaryWindows], Vector], budget: Budget) -> Vector:
        """What a function makes of the windows, series by series."""
        return in_parts(self.summaries.labels, len(self.ends_ms), partial(self.windows, budget), function, budget)


Function = Callable[[SummaryWindows, Context], Vector]


def _firsts(function: Callable[[Windows, Context], Vector]) -> Function:
    """A function that looks at nothing but the first sample of each range."""
    return lambda windows, context: function(
        windows.of(windows.summaries.first_times, windows.summaries.firsts), context
    )


def _lasts(function: Callable[[Windows, Context], Vector]) -> Function:
    """A function that looks at nothing but the last sample of each range, or whether there is one."""
    return _each("lasts", function)


def _each(field: str, function: Callable[[Windows, Context], Vector]) -> Function:
    """A function that makes the same of one number for each summary as of all samples."""
    return lambda windows, context: function(
        windows.of(windows.summaries.last_times, getattr(windows.summaries, field)), context
    )


def count_over_time(windows: SummaryWindows, context: Context) -> Vector:
    return Vector(windows.labels, windows.counts.astype(np.float64), windows.present)


def avg_over_time(windows: SummaryWindows, context: Context) -> Vector:
    sums = over_time.sum_over_time(windows.of(windows.summaries.last_times, windows.summaries.sums), context)
    return Vector(windows.labels, sums.values / np.maximum(windows.counts, 1), windows.present)


def rate(windows: SummaryWindows, context: Context) -> Vector:
    return _counted(windows, context, windows.range_ms / 1000)


def increase(windows: SummaryWindows, context: Context) -> Vector:
    return _scaled(windows, _counted(windows, context, 1.0))


def delta(windows: SummaryWindows, context: Context) -> Vector:
    return _scaled(windows, _increases(windows, counter=False))


def _scaled(windows: SummaryWindows, vector: Vector) -> Vector:
    """What was counted over the range that was read, as over the one that was asked for."""
    if windows.asked_ms == windows.range_ms:
        return vector
    return Vector(vector.labels, vector.values * (windows.asked_ms / windows.range_ms), vector.present)


def _counted(windows: SummaryWindows, context: Context, divisor: float) -> Vector:
    found = _increases(windows, counter=True)
    seen = _overlapping(windows)
    if seen.any():
        note_overlaps(windows.labels, seen, context)
    note_gauges(windows.labels, found.present, context)
    return Vector(found.labels, found.values / divisor if divisor != 1 else found.values, found.present)


def _increases(windows: SummaryWindows, *, counter: bool) -> Vector:
    given = windows.summaries
    values, present = np.zeros(windows.first.shape), np.empty(windows.first.shape, bool)
    resets = np.zeros(len(given.ends), bool)
    resets[1:] = given.firsts[1:] < given.lasts[:-1]
    resets[1:] |= restarted(
        given.first_starts[1:], given.first_times[1:], given.last_starts[:-1], given.last_times[:-1]
    )
    names = ("counts", "first_times", "firsts", "last_times", "lasts", "losses", "first_starts")
    arrays = (plain(getattr(given, name)) for name in names)
    where = (windows.first, windows.end, windows.ends_ms, windows.range_ms)
    increase_summaries(*arrays, resets, *where, counter, values, present)
    return Vector(windows.labels, values, present)


def _overlapping(windows: SummaryWindows) -> Bools:
    """(n, s) which ranges have samples that overlap the one before."""
    given = windows.summaries
    between = np.zeros(len(given.ends), bool)
    between[1:] = overlapped(given.first_starts[1:], given.last_starts[:-1], given.last_times[:-1])
    within, across = (np.concatenate(([0], np.cumsum(marks))) for marks in (given.overlaps, between))
    after_first = across[windows.end] - across[np.minimum(windows.first + 1, windows.end)]
    found: Bools = within[windows.end] - within[windows.first] + after_first > 0
    return found


SUMMARISED: Mapping[str, Function] = {
    "absent_over_time": _lasts(over_time.absent_over_time),
    "avg_over_time": avg_over_time,
    "count_over_time": count_over_time,
    "delta": delta,
    "first_over_time": _firsts(over_time.first_over_time),
    "increase": increase,
    "last_over_time": _lasts(over_time.last_over_time),
    "max_over_time": _each("maxima", over_time.max_over_time),
    "min_over_time": _each("minima", over_time.min_over_time),
    "present_over_time": _lasts(over_time.present_over_time),
    "rate": rate,
    "sum_over_time": _each("sums", over_time.sum_over_time),
    "ts_of_first_over_time": _firsts(over_time.ts_of_first_over_time),
    "ts_of_last_over_time": _lasts(over_time.ts_of_last_over_time),
}
"""Every function that is had from summaries; the others look at samples."""

OF_VALUES = frozenset(["avg_over_time", "max_over_time", "min_over_time", "sum_over_time"])
"""Those of them that need sums or extremes."""


def note_rounding(looked_at: SummaryRanges, context: Context) -> None:
    """Says so where another range was read than was asked for."""
    if looked_at.asked_ms != looked_at.range_ms:
        durations = map(format_duration, (looked_at.summaries.width_ms, looked_at.asked_ms, looked_at.range_ms))
        context.annotations.info(texts.rounded_range(*durations), context.span_of(0))
