"""Increases of histograms in anchored and smoothed windows: between the values at the very edges of a range.

An anchored range begins with the last sample up to its start, a smoothed one has its edges interpolated between the samples
around them. Either way an increase is a sum of samples with weights.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from sonde.query.promql.histogram import CounterReset, Histogram
from sonde.query.promql.histogram_cells import Cells
from sonde.query.promql.histogram_resets import is_reset
from sonde.query.promql.histogram_spans import Spans
from sonde.query.promql.syntax import Modifier
from sonde.query.promql.values import Bools, Floats, Ints
from sonde.query.promql.windows import Windows

Weights: TypeAlias = list[tuple[int, float]]
"""Samples and what each counts."""


def edged_spans(windows: Windows, *, counter: bool) -> Spans:
    """The windows that have samples to take the edges from, each from the first such sample to the last."""
    times = windows.samples.times.tolist()
    first, last = np.zeros(windows.first.shape, np.int64), np.zeros(windows.first.shape, np.int64)
    where = np.zeros(windows.first.shape, bool)
    for row, step in np.argwhere(windows.counts > 0).tolist():
        end_ms = int(windows.ends_ms[step])
        edges = _edges(times, int(windows.first[row, step]), int(windows.end[row, step]), end_ms, windows)
        if edges is not None:
            where[row, step], (first[row, step], last[row, step]) = True, edges
    return Spans.between(windows, where, first[where], last[where], counter=counter)


def _edges(times: list[int], begin: int, end: int, end_ms: int, windows: Windows) -> tuple[int, int] | None:
    smoothed = windows.modifier is Modifier.SMOOTHED
    start_ms = end_ms - windows.range_ms
    first = max(begin, bisect_right(times, start_ms, begin, end - 1) - 1)
    last = bisect_left(times, end_ms, begin, end - 1) if smoothed else end - 1
    if times[last] <= start_ms or (smoothed and times[first] > end_ms):
        return None
    return first, last


def edged_differences(windows: Windows, spans: Spans, *, counter: bool) -> tuple[Cells, Floats]:
    """For each of these windows the samples that make its increase, the last ones first, and their weights."""
    edges = _Edges(windows.samples.times, spans.reset, counter, windows.modifier is Modifier.SMOOTHED)
    members: list[int] = []
    weights: list[float] = []
    offsets = [0]
    starts = spans.starts_ms
    for first, last, start_ms in zip(spans.first.tolist(), spans.last.tolist(), starts.tolist(), strict=True):
        for member, weight in edges.difference(first, last, start_ms, start_ms + windows.range_ms):
            members.append(member)
            weights.append(weight)
        offsets.append(len(members))
    return Cells(spans.histograms, np.array(members, np.int64), np.array(offsets, np.int64)), np.array(
        weights, np.float64
    )


def between(sample: int, part: float, *, reset: bool) -> Weights:
    """The value `part` of the way from a sample to the next one; a counter that was reset there counts from 0 up to the next."""
    if part in (0.0, 1.0):
        return [(sample + int(part), 1.0)]
    return [(sample + 1, part)] if reset else [(sample + 1, part), (sample, 1 - part)]


def smoothed_values(windows: Windows, wanted: Bools) -> tuple[Bools, Cells, Floats]:
    """The windows, of those `wanted` (n, s), that know a value at their step, the samples it is made of, and their weights.

    Two samples are of a counter unless both say that they are of a gauge.
    """
    samples = windows.samples
    assert samples.histograms is not None
    times = samples.times.tolist()
    where = np.zeros(wanted.shape, bool)
    pool = list(samples.histograms)
    parts: list[Weights] = []
    for row, step in np.argwhere(wanted & (windows.counts > 0)).tolist():
        at_ms, begin, end = int(windows.ends_ms[step]), int(windows.first[row, step]), int(windows.end[row, step])
        later = bisect_left(times, at_ms, begin, end)
        if later < end and times[later] == at_ms:
            parts.append([(later, 1.0)])
        elif later == begin:
            continue
        elif later == end:
            # What the last one says of a reset tells of its own time.
            pool.append(pool[later - 1].with_hint(CounterReset.UNKNOWN))
            parts.append([(len(pool) - 1, 1.0)])
        else:
            part = (at_ms - times[later - 1]) / (times[later] - times[later - 1])
            parts.append(between(later - 1, part, reset=_counter_reset(pool[later], pool[later - 1])))
        where[row, step] = True
    members = [member for part in parts for member, _ in part]
    weights = [weight for part in parts for _, weight in part]
    offsets = np.append(0, np.cumsum([len(part) for part in parts])).astype(np.int64)
    return where, Cells(pool, np.array(members, np.int64), offsets), np.array(weights, np.float64)


def _counter_reset(later: Histogram, earlier: Histogram) -> bool:
    gauges = later.counter_reset_hint is earlier.counter_reset_hint is CounterReset.GAUGE
    return not gauges and later.is_custom == earlier.is_custom and is_reset(later, earlier)


@dataclass(frozen=True, slots=True)
class _Edges:
    times: Ints
    reset: Bools
    """(m,) whether a sample is a reset against the one before it."""
    counter: bool
    smoothed: bool

    def difference(self, first: int, last: int, start_ms: int, end_ms: int) -> Weights:
        left: Weights = [(first, 1.0)]
        right: Weights = [(last, 1.0)]
        before_start = self.smoothed and self.times[first] < start_ms
        if before_start:
            left = self._between(first, start_ms)
        if self.smoothed and last > first and self.times[last] > end_ms:
            right = self._between(last - 1, end_ms)
        return (
            right + [(member, -weight) for member, weight in left] + self._corrections(first, last, left, before_start)
        )

    def _between(self, sample: int, at_ms: int) -> Weights:
        begin, end = int(self.times[sample]), int(self.times[sample + 1])
        return between(sample, (at_ms - begin) / (end - begin), reset=self.counter and bool(self.reset[sample + 1]))

    def _corrections(self, first: int, last: int, left: Weights, before_start: bool) -> Weights:
        """What a counter had reached before each reset."""
        if not self.counter:
            return []
        # A left edge interpolated over a reset already counts from 0.
        begin = first + 1 + bool(before_start and self.reset[min(first + 1, last)])
        corrections: Weights = []
        for sample in range(begin, last + 1):
            if self.reset[sample]:
                corrections += left if sample == first + 1 else [(sample - 1, 1.0)]
        return corrections
