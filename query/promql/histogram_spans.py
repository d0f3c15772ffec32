"""From which samples of a window an increase is made, and how it is extrapolated to the whole range.

Source: https://prometheus.io/docs/prometheus/latest/querying/functions/#rate
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sonde.query.promql.counter_resets import restarts
from sonde.query.promql.histogram import Histogram
from sonde.query.promql.histogram_cells import Cells
from sonde.query.promql.histogram_resets import resets_between
from sonde.query.promql.values import Bools, Floats, Ints, Samples
from sonde.query.promql.windows import Windows


@dataclass(frozen=True, slots=True)
class Spans:
    """The windows that an increase can be computed for, c of them."""

    histograms: list[Histogram]
    """(m,) of all samples."""
    where: Bools
    """(n, s)"""
    first: Ints
    """(c,) the first sample of each window."""
    last: Ints
    reset: Bools
    """(m,) whether a sample is less than the one before it, or says that it began anew; never for a gauge."""
    from_zero: Bools
    """(c,) whether the counter started within the window, so that its first sample is itself an increase."""
    starts_ms: Ints
    """(c,) when the window's range begins."""

    @classmethod
    def of(cls, windows: Windows, *, counter: bool) -> Spans:
        samples = windows.samples
        counts = windows.counts
        ranges = np.broadcast_to(windows.ends_ms - windows.range_ms, counts.shape)
        from_zero = np.zeros(counts.shape, bool)
        if counter and samples.start_times is not None and len(samples.times):
            some = np.minimum(windows.first, len(samples.times) - 1)
            starts = samples.start_times[some]
            from_zero = (counts > 0) & (starts != 0) & (starts > ranges) & (starts < samples.times[some])
        where = (counts >= 2) | from_zero
        spans = cls.between(windows, where, windows.first[where], windows.end[where] - 1, counter=counter)
        return replace(spans, from_zero=from_zero[where])

    @classmethod
    def between(cls, windows: Windows, where: Bools, first: Ints, last: Ints, *, counter: bool) -> Spans:
        """The windows `where` (n, s), from their samples `first` (c,) to `last`."""
        samples = windows.samples
        histograms = list(samples.histograms) if samples.histograms is not None else []
        reset = _resets(samples) if counter and where.any() else np.zeros(len(histograms), bool)
        starts = np.broadcast_to(windows.ends_ms - windows.range_ms, where.shape)[where]
        return cls(histograms, where, first, last, reset, np.zeros(len(first), bool), starts)

    @property
    def dropped(self) -> Bools:
        """(c,) whether the counter was reset right after the first sample, which then says nothing."""
        return (self.last > self.first) & self.reset[np.minimum(self.first + 1, self.last)]

    def differences(self) -> tuple[Cells, Floats]:
        """For each window the samples that make its increase, and their weights.

        These are the last less the first, and each one that a reset came after.
        """
        resets_at = np.flatnonzero(self.reset)
        begin = np.searchsorted(resets_at, self.first + 1 + self.dropped)
        count = np.maximum(np.searchsorted(resets_at, self.last + 1) - begin, 0)
        cell = np.arange(len(self.first))
        taken_off = np.flatnonzero((self.last > self.first) & ~self.dropped & ~self.from_zero)
        alone = np.flatnonzero(self.from_zero & self.dropped)
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        corrections = resets_at[np.repeat(begin, count) + within] - 1
        second = np.flatnonzero(self.dropped)
        of_cell = np.concatenate([cell, second, taken_off, np.repeat(cell, count), alone])
        members = np.concatenate(
            [self.last, self.first[second] + 1, self.first[taken_off], corrections, self.first[alone]]
        )
        # The sample after a reset counts nothing by itself, but its bounds are those to begin with.
        weights = np.concatenate(
            [
                np.ones(len(cell)),
                np.zeros(len(second)),
                np.full(len(taken_off), -1.0),
                np.ones(len(corrections) + len(alone)),
            ]
        )
        order = np.argsort(of_cell, kind="stable")
        offsets = np.append(0, np.cumsum(np.bincount(of_cell, minlength=len(cell))))
        return Cells(self.histograms, members[order], offsets), weights[order]

    def extrapolations(self, windows: Windows, cells: Cells, weights: Floats, *, counter: bool) -> Floats:
        """(c,) what each difference is to be multiplied by, to be one over the whole range.

        A series that goes on to within 1.1 of its mean distance of samples from an edge is taken to reach it, another one to
        end half that distance behind its outermost sample; and a counter not to have begun below zero.
        """
        times, ends = windows.samples.times, np.broadcast_to(windows.ends_ms, self.where.shape)[self.where]
        first, last = times[self.first], times[self.last]
        to_start, to_end = (first - self.starts_ms) / 1000, (ends - last) / 1000
        sampled, gaps = (last - first) / 1000, self.last - self.first
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            distance = np.where(gaps > 0, sampled / gaps, 0.0)
            to_start = np.where(to_start >= distance * 1.1, distance / 2, to_start)
            to_end = np.where(to_end >= distance * 1.1, distance / 2, to_end)
            if counter and cells.size:
                counts = np.fromiter((histogram.count for histogram in self.histograms), np.float64)
                increases = np.add.reduceat(counts[cells.members] * weights, cells.offsets[:-1])
                begun = counts[self.first]
                to_zero = np.where((increases > 0) & (begun >= 0), sampled * (begun / increases), np.inf)
                to_start = np.minimum(to_start, to_zero)
            if self.from_zero.any():
                assert windows.samples.start_times is not None
                whole = (last - windows.samples.start_times[self.first]) / 1000
                sampled = np.where(self.from_zero, whole, sampled)
                to_start = np.where(self.from_zero, 0.0, to_start)
            return np.where(sampled != 0, (sampled + to_start + to_end) / sampled, 1.0)


def _resets(samples: Samples) -> Bools:
    """(m,) whether a histogram is a reset against the one before it; of a series' first one nothing that means something."""
    found = restarts(samples)
    later = following(samples)
    later = later[~found[later]]
    assert samples.histograms is not None
    found[later] = resets_between(samples.histograms, later)
    return found


def following(samples: Samples) -> Ints:
    """The samples that have another one of their series before them."""
    found = np.ones(len(samples.times), bool)
    found[samples.offsets[:-1][np.diff(samples.offsets) > 0]] = False
    return np.flatnonzero(found)
