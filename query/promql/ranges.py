"""Range vectors: the samples that windows move over, worked on some series at a time.

The windows of many series at many steps would take more memory than what is made of them: `PART_CELLS` at once are enough to
keep numpy busy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
from sonde.query.promql.kernels import find_windows
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.limits import Budget
from sonde.query.promql.selection import Query, as_samples, ends_of
from sonde.query.promql.syntax import MatrixSelector, Modifier
from sonde.query.promql.values import Bools, Ints, Samples, Vector
from sonde.query.promql.windows import Windows, without_stale

PART_CELLS = 1 << 18
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Ranges:
    """A range vector whose windows are not found yet. Series without samples in any of them stay."""

    samples: Samples
    """Without stale markers."""
    ends_ms: Ints
    """(s,) the right edges of the range."""
    range_ms: int
    modifier: Modifier | None = None
    before_ms: int = 0
    behind_ms: int = 0
    """How much farther the windows reach than the range."""
    drop_name: Bools | None = None
    """(n,) as in `Vector`."""

    def windows(self, budget: Budget, rows: slice | None = None) -> Windows:
        """The windows of all series, or of some."""
        samples = self.samples if rows is None else samples_of(self.samples, rows)
        first = np.empty((samples.labels.size, len(self.ends_ms)), np.int64)
        budget.take(2 * first.size)
        end = np.empty_like(first)
        starts = self.ends_ms - (self.range_ms + self.before_ms)
        find_windows(samples.times, samples.offsets, starts, self.ends_ms + self.behind_ms, first, end)
        return Windows(samples, first, end, self.ends_ms, self.range_ms, self.modifier)

    def each(self, function: Callable[[Windows], Vector], budget: Budget) -> Vector:
        """What a function makes of the windows, series by series."""
        return in_parts(self.samples.labels, len(self.ends_ms), partial(self.windows, budget), function, budget)


def in_parts(
    labels: LabelTable,
    steps: int,
    windows: Callable[[slice | None], Found],
    function: Callable[[Found], Vector],
    budget: Budget,
) -> Vector:
    """What a function makes of the windows of all series, or of some series at a time."""
    shape = labels.size, steps
    if shape[0] * shape[1] <= PART_CELLS:
        return function(windows(None))
    budget.take(shape[0] * shape[1])
    values, present, histograms = np.empty(shape), np.empty(shape, bool), None
    for rows in parts(*shape):
        budget.check()
        held = budget.held
        part = function(windows(rows))
        budget.held = held
        values[rows], present[rows] = part.values, part.present
        if part.histograms is not None:
            histograms = np.full(shape, None, object) if histograms is None else histograms
            histograms[rows] = part.histograms
    return Vector(labels, values, present, histograms)


def parts(series: int, steps: int) -> Iterator[slice]:
    """The series, some at a time."""
    size = max(1, PART_CELLS // max(steps, 1))
    for start in range(0, series, size):
        yield slice(start, min(start + size, series))


def samples_of(samples: Samples, rows: slice) -> Samples:
    """The samples of some series, as views."""
    begin, end = samples.offsets[rows.start], samples.offsets[rows.stop]
    return replace(
        samples,
        labels=samples.labels.take(np.arange(rows.start, rows.stop)),
        offsets=samples.offsets[rows.start : rows.stop + 1] - begin,
        times=samples.times[begin:end],
        values=samples.values[begin:end],
        histograms=None if samples.histograms is None else samples.histograms[begin:end],
        start_times=None if samples.start_times is None else samples.start_times[begin:end],
    )


def ranges_of(selector: MatrixSelector, times: Ints, query: Query) -> Ranges:
    """What a range selector looks at when it is evaluated at `times`."""
    assert isinstance(selector.range, int), "durations are resolved before evaluation"
    modifier = selector.vector.modifier
    before = query.lookback_ms if modifier is not None else 0
    behind = query.lookback_ms if modifier is Modifier.SMOOTHED else 0
    ends = ends_of(selector.vector, times, query)
    first_ms = int(ends[0]) - selector.range - before + 1
    samples = without_stale(query.selected(selector.vector, first_ms, int(ends[-1]) + behind))
    return Ranges(samples, ends, selector.range, modifier, before, behind)


def subquery_ranges(vector: Vector, steps: Ints, ends: Ints, range_ms: int) -> Ranges:
    """What a subquery looks at: the samples of `vector`, which was evaluated at `steps`."""
    return Ranges(as_samples(vector, steps), ends, range_ms, drop_name=vector.drop_name)
