"""Selectors: from what a source gives to instant vectors and windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sonde.query.promql.annotations import Annotations
from sonde.query.promql.histogram import CounterReset
from sonde.query.promql.histogram_statistics import with_resets
from sonde.query.promql.kernels import find_last
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.limits import Budget
from sonde.query.promql.sample_counts import samples_in
from sonde.query.promql.source import Source, SummarySource
from sonde.query.promql.summaries import Summaries, latest
from sonde.query.promql.summary_widths import Choice, Use, choose
from sonde.query.promql.syntax import At, Matcher, Subquery, VectorSelector
from sonde.query.promql.values import Ints, Objects, Samples, Vector, plain
from sonde.query.promql.windows import Windows, is_histogram, samples_where, stale

SAMPLES_A_SUMMARY = 12
"""What a summary takes of the budget: it has about as many numbers."""


@dataclass(frozen=True, slots=True)
class Query:
    """What all parts of one evaluation share."""

    source: Source
    start_ms: int
    end_ms: int
    step_ms: int
    """0 in an instant query."""
    lookback_ms: int
    default_step_ms: int
    """The step of a subquery that says none."""
    annotations: Annotations
    budget: Budget
    invariant: frozenset[int]
    """`id` of the expressions that have the same value at every step."""
    of_statistics: frozenset[int] = frozenset()
    """`id` of the selectors of which only counts and sums of histograms are wanted."""
    counting: bool = False
    """Whether the samples that are looked at are counted."""
    use: Use = Use.OFF
    """When summaries are looked at in place of samples."""

    def fetch(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Samples:
        """What the source has within `start_ms` to `end_ms`, both inclusive."""
        samples = self.source.select(matchers, start_ms, end_ms)
        self.budget.take(samples_in(samples))
        return replace(
            samples,
            offsets=plain(samples.offsets),
            times=plain(samples.times),
            values=plain(samples.values),
            start_times=None if samples.start_times is None else plain(samples.start_times),
        )

    def summaries(
        self, selector: VectorSelector, choice: Choice | None, after_ms: int, end_ms: int, *, values: bool = False
    ) -> Summaries | None:
        """The windows that end after `after_ms`, up to `end_ms`; None where the samples are to be looked at."""
        if choice is None or not isinstance(self.source, SummarySource):
            return None
        after_ms = after_ms // choice.width_ms * choice.width_ms
        found = self.source.summaries(selector.matchers, choice.width_ms, after_ms, end_ms, values=values)
        if found is None or not self.budget.has_room(SAMPLES_A_SUMMARY * len(found.ends)):
            return None
        self.budget.take(SAMPLES_A_SUMMARY * len(found.ends))
        return found

    def choice(self, times: Ints, ends: Ints, range_ms: int) -> Choice | None:
        """The windows for a selector that is evaluated at `times` and looks at ranges that end at `ends`."""
        step_ms = int(times[1] - times[0]) if len(times) > 1 else self.step_ms
        return choose(ends, step_ms, range_ms, self.use)

    def selected(self, selector: VectorSelector, start_ms: int, end_ms: int) -> Samples:
        """What a selector finds within `start_ms` to `end_ms`, both inclusive."""
        samples = self.fetch(selector.matchers, start_ms, end_ms)
        return with_resets(samples) if id(selector) in self.of_statistics else samples


def ends_of(selector: VectorSelector | Subquery, times: Ints, query: Query) -> Ints:
    """(s,) the times at which a selector looks when it is evaluated at `times`."""
    assert isinstance(selector.offset, int), "durations are resolved before evaluation"
    match selector.at:
        case None:
            return times - selector.offset
        case At.START:
            at = query.start_ms
        case At.END:
            at = query.end_ms
        case int() as at:
            pass
    return np.full(len(times), at - selector.offset, np.int64)


@dataclass(frozen=True, slots=True)
class Found:
    """The samples an instant selector finds: `index[i, j]` of the flat arrays for series `i` at step `j`, or -1."""

    samples: Samples
    index: Ints
    """(n, s)"""

    def vector(self) -> Vector:
        present = self.index >= 0
        values = self.samples.values[self.index] if len(self.samples.times) else np.zeros(self.index.shape)
        histograms = _gathered(self.samples.histograms, self.index)
        return Vector(self.samples.labels, values, present, histograms)


def _gathered(histograms: Objects | None, index: Ints) -> Objects | None:
    """The histograms at `index`, None where it is -1; None for the whole where there are none."""
    if histograms is None or not len(histograms):
        return None
    found = histograms[index]
    found[index < 0] = None
    return found if is_histogram(found).any() else None


def find(selector: VectorSelector, times: Ints, query: Query) -> Found:
    """The latest sample of each series at each step, not older than the lookback and not a stale marker.

    Series without any are left out.
    """
    ends = ends_of(selector, times, query)
    start_ms, end_ms = int(ends[0]) - query.lookback_ms, int(ends[-1])
    summaries = query.summaries(selector, query.choice(times, ends, 0), start_ms, end_ms)
    samples = query.selected(selector, start_ms + 1, end_ms) if summaries is None else latest(summaries)
    query.budget.take(samples.labels.size * len(ends))
    index = np.empty((samples.labels.size, len(ends)), np.int64)
    find_last(samples.times, stale(samples), samples.offsets, ends, query.lookback_ms, index)
    some = np.asarray((index >= 0).any(axis=1))
    if some.all():
        return Found(samples, index)
    return Found(replace(samples, labels=samples.labels.take(some)), index[some])


def as_samples(vector: Vector, steps: Ints) -> Samples:
    """The samples that a subquery makes of its inner expression: each at the time of its step.

    What a histogram says of a counter reset holds for the sample before it in the store, not in the subquery: it is forgotten.
    """
    counts = vector.present.sum(axis=1)
    times = np.broadcast_to(steps, vector.present.shape)[vector.present]
    histograms = None if vector.histograms is None else _with_unknown_resets(vector.histograms[vector.present])
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    return Samples(vector.labels, offsets, times, vector.values[vector.present], histograms)


def _with_unknown_resets(histograms: Objects) -> Objects:
    told = (CounterReset.RESET, CounterReset.NOT_RESET)
    for index in np.flatnonzero(is_histogram(histograms)):
        if histograms[index].counter_reset_hint in told:
            histograms[index] = histograms[index].with_hint(CounterReset.UNKNOWN)
    return histograms


def nothing(steps: int) -> Vector:
    """A vector of no series."""
    return Vector(LabelTable.empty(0), np.zeros((0, steps)), np.zeros((0, steps), bool))


def no_samples() -> Samples:
    """Samples of no series."""
    return Samples(LabelTable.empty(0), np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0))


def windowed(windows: Windows) -> Samples:
    """What a range selector answers by itself at one step: the samples of its windows, series without any left out."""
    first, end = windows.first[:, 0], windows.end[:, 0]
    inside = np.zeros(len(windows.samples.times) + 1, np.int64)
    np.add.at(inside, first, 1)
    np.add.at(inside, end, -1)
    kept = samples_where(windows.samples, np.cumsum(inside[:-1]) > 0)
    some = end > first
    counts = np.diff(kept.offsets)[some]
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    return replace(kept, labels=kept.labels.take(some), offsets=offsets)
