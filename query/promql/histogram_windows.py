"""Range functions over windows of histograms: how much they have changed, and what they come to together.

The windows of all but `last_two` hold only histograms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from sonde.query.promql import annotations as notes
from sonde.query.promql.annotations import Annotations
from sonde.query.promql.context import Context
from sonde.query.promql.counter_resets import before, resets, restarts
from sonde.query.promql.histogram import CounterReset
from sonde.query.promql.histogram_cells import Cells, Combined, used_of
from sonde.query.promql.histogram_edges import edged_differences, edged_spans, smoothed_values
from sonde.query.promql.histogram_resets import resets_between
from sonde.query.promql.histogram_spans import Spans, following
from sonde.query.promql.histogram_sum import averaged, collisions, joint_hints, summed, weighted
from sonde.query.promql.sample_kinds import names_of
from sonde.query.promql.syntax import Span, VectorSelector
from sonde.query.promql.values import Bools, Floats, Ints, Samples, Vector
from sonde.query.promql.windows import Windows, is_histogram


def rate(windows: Windows, context: Context) -> Vector:
    return _increases(windows, context, counter=True, divisor=windows.range_ms / 1000)


def increase(windows: Windows, context: Context) -> Vector:
    return _increases(windows, context, counter=True, divisor=1.0)


def delta(windows: Windows, context: Context) -> Vector:
    return _increases(windows, context, counter=False, divisor=1.0)


def _increases(windows: Windows, context: Context, *, counter: bool, divisor: float) -> Vector:
    if windows.modifier is None:
        spans = Spans.of(windows, counter=counter)
        cells, weights = spans.differences()
        factors = spans.extrapolations(windows, cells, weights, counter=counter) / divisor
    else:
        spans = edged_spans(windows, counter=counter)
        cells, weights = edged_differences(windows, spans, counter=counter)
        factors = np.full(cells.size, 1 / divisor)
    told = _Told.of(windows, context)
    mixed = _note_kinds(told, spans, counter=counter)
    combined = weighted(cells, weights, factors)
    told.reconciled(cells, weights, combined)
    return vector_of(windows, spans.where, replace(combined, mixed=combined.mixed | mixed))


def _note_kinds(told: _Told, spans: Spans, *, counter: bool) -> Bools:
    """Warns of gauges where counters are wanted, and the other way; gives (c,) which windows mix exponential and custom buckets.

    Of a gauge only the two samples at the edges are looked at, unless the edges are made of more.
    """
    edged = told.windows.modifier is not None
    gauge = np.fromiter((one.counter_reset_hint is CounterReset.GAUGE for one in spans.histograms), bool)
    custom = np.fromiter((one.is_custom for one in spans.histograms), bool)
    several = (spans.last > spans.first) | (edged)
    begin = spans.first
    if counter:
        gauges = before(gauge)
        wrong = several & (gauges[spans.last + 1] > gauges[spans.first])
        told.warn(notes.native_histogram_not_counter, spans.where, wrong)
        begin = begin + (0 if edged else spans.dropped)
    else:
        wrong = several & ~(gauge[spans.first] & gauge[spans.last])
        told.warn(notes.native_histogram_not_gauge, spans.where, wrong)
    if counter or edged:
        customs = before(custom)
        of_custom = customs[spans.last + 1] - customs[begin]
        mixed = (of_custom > 0) & (of_custom <= spans.last - begin)
    else:
        mixed = custom[spans.first] != custom[spans.last]
    told.warn(notes.mixed_exponential_custom_histograms, spans.where, mixed)
    return mixed


def last_two(
    windows: Windows, context: Context, floats: Vector, previous: Ints, last: Ints, *, counter: bool
) -> Vector:
    """irate or idelta where histograms may stand among the last two samples, (n, s) each; `floats` is it for two floats."""
    samples = windows.samples
    assert samples.histograms is not None
    native = is_histogram(samples.histograms)
    two = floats.present
    mixed = two & (native[previous] != native[last])
    where = two & native[previous] & native[last]
    told = _Told.of(windows, context)
    told.warn(notes.mixed_floats_histograms, mixed)
    earlier, later = previous[where], last[where]
    gauge = np.fromiter(
        (one is not None and one.counter_reset_hint is CounterReset.GAUGE for one in samples.histograms), bool
    )
    if counter:
        told.warn(notes.native_histogram_not_counter, where, gauge[earlier] | gauge[later])
    else:
        told.warn(notes.native_histogram_not_gauge, where, ~(gauge[earlier] & gauge[later]))
    factors = 1000 / (samples.times[later] - samples.times[earlier]) if counter else np.ones(len(later))
    kept = np.ones((len(later), 2), bool)
    if counter:
        kept[:, 1] = ~(restarts(samples)[later] | resets_between(samples.histograms, later))
    used, members = used_of(len(samples.histograms), np.stack([later, earlier], axis=1)[kept])
    weights = np.tile([1.0, -1.0], (len(later), 1))[kept]
    cells = Cells(list(samples.histograms[used]), members, np.append(0, np.cumsum(kept.sum(axis=1))))
    combined = weighted(cells, weights, factors)
    told.reconciled(cells, weights, combined)
    told.warn(notes.mixed_exponential_custom_histograms, where, combined.mixed)
    made = vector_of(windows, where, combined)
    return replace(made, values=floats.values, present=made.present | (two & ~native[previous] & ~native[last]))


def sum_over_time(windows: Windows, context: Context) -> Vector:
    return _over_time(windows, context, summed)


def avg_over_time(windows: Windows, context: Context) -> Vector:
    return _over_time(windows, context, averaged)


def _over_time(windows: Windows, context: Context, combine: Callable[[Cells], Combined]) -> Vector:
    where = windows.counts > 0
    first, lengths = windows.first[where], windows.counts[where]
    ends = np.cumsum(lengths)
    members = np.repeat(first - (ends - lengths), lengths) + np.arange(lengths.sum())
    assert windows.samples.histograms is not None
    cells = Cells(list(windows.samples.histograms), members, np.append(0, ends))
    combined = combine(cells)
    told = _Told.of(windows, context)
    if collisions(cells).any():
        context.annotations.warn(notes.counter_reset_collision("aggregation"), told.span)
    if combined.reconciled.any():
        context.annotations.info(notes.mismatched_custom_buckets("aggregation"), told.span)
    told.warn(notes.mixed_exponential_custom_histograms, where, combined.mixed)
    return vector_of(windows, where, combined)


def smoothed(windows: Windows, floats: Vector, selector: VectorSelector, annotations: Annotations) -> Vector:
    """The values at the very times of steps, of windows with the samples around each; `floats` are those of floats.

    Between two histograms it is the straight line between them, or for counters with a reset from 0 to the later one; behind
    the last one it is that one.
    """
    native = windows.histograms()
    told = _Told(windows, annotations, selector.span)
    mixed = (native.counts > 0) & (windows.counts > native.counts)
    told.warn(notes.mixed_floats_histograms, mixed)
    where, cells, weights = smoothed_values(native, ~mixed)
    combined = weighted(cells, weights, np.ones(cells.size), joint_hints)
    if combined.reconciled.any():
        annotations.info(notes.mismatched_custom_buckets("subtraction"), selector.span)
    told.warn(notes.mixed_exponential_custom_histograms, where, combined.mixed)
    made = vector_of(windows, where, combined)
    return replace(made, values=floats.values, present=made.present | (floats.present & (native.counts == 0)))


def was_reset(samples: Samples) -> Bools:
    """(m,) whether a sample, float or histogram, is a reset against the one before it, or of another type than it.

    Of a series' first sample it says nothing that means something.
    """
    assert samples.histograms is not None
    marks, later = _of_another_type(samples)
    marks |= np.where(is_histogram(samples.histograms), restarts(samples), resets(samples))
    later = later[~marks[later]]
    marks[later] = resets_between(samples.histograms, later)
    return marks


def changed(samples: Samples) -> Bools:
    """(m,) whether a sample, float or histogram, is another than the one before it, first ones as in `was_reset`."""
    assert samples.histograms is not None
    marks, later = _of_another_type(samples)
    values, histograms = samples.values, samples.histograms
    differ = np.zeros(len(values), bool)
    differ[1:] = (values[1:] != values[:-1]) & ~(np.isnan(values[1:]) & np.isnan(values[:-1]))
    marks |= differ & ~is_histogram(histograms)
    marks[later] = [histograms[at] is not histograms[at - 1] and histograms[at] != histograms[at - 1] for at in later]
    return marks


def _of_another_type(samples: Samples) -> tuple[Bools, Ints]:
    """(m,) whether of a histogram and the sample before it one is a float; and which samples are the later of two histograms."""
    assert samples.histograms is not None
    native = is_histogram(samples.histograms)
    marks = np.zeros(len(native), bool)
    marks[1:] = native[1:] != native[:-1]
    later = following(samples)
    return marks, later[native[later] & native[later - 1]]


@dataclass(frozen=True, slots=True)
class _Told:
    """Who is told what about some windows."""

    windows: Windows
    annotations: Annotations
    span: Span

    @classmethod
    def of(cls, windows: Windows, context: Context) -> _Told:
        return cls(windows, context.annotations, context.span_of(0))

    def warn(self, message: Callable[[str], str], where: Bools, cells: Bools | None = None) -> None:
        """For each metric that has one of the windows `where` (n, s), or those of them that `cells` says."""
        found = where
        if cells is not None:
            found = np.zeros(where.shape, bool)
            found[where] = cells
        for name in names_of(self.windows.samples.labels, found):
            self.annotations.warn(message(name), self.span)

    def reconciled(self, cells: Cells, weights: Floats, combined: Combined) -> None:
        """Infos where custom bounds were reconciled: of a difference's first two members in a subtraction, else in an addition."""
        for cell in np.flatnonzero(combined.reconciled):
            start, stop = cells.offsets[cell], cells.offsets[cell + 1]
            bounds = cells.pool[cells.members[start]].custom_values
            for place in range(start + 1, stop):
                other = cells.pool[cells.members[place]].custom_values
                if not np.array_equal(bounds, other):
                    subtracted = place == start + 1 and weights[place] <= 0
                    operation = "subtraction" if subtracted else "addition"
                    self.annotations.info(notes.mismatched_custom_buckets(operation), self.span)
                bounds = np.intersect1d(bounds, other)


def vector_of(windows: Windows, where: Bools, combined: Combined) -> Vector:
    """The results of the windows `where` (n, s), as many as `combined` has."""
    histograms = np.full(where.shape, None, object)
    histograms[where] = combined.histograms
    present = where.copy()
    present[where] = ~combined.mixed
    histograms[~present] = None
    return Vector(windows.samples.labels, np.zeros(where.shape), present, histograms)
