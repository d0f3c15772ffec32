"""Windows over samples: where a range selector looks, for every series at every step.

They are found once; a function is then arithmetic over `first` and `end`. A window is left-open and right-closed:
`(end - range, end]`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sonde.query.promql.syntax import Modifier
from sonde.query.promql.values import Bools, Floats, Ints, Objects, Samples, Vector

STALE = np.int64(0x7FF0000000000002)
"""The bits of the NaN that says a series has ended."""


@dataclass(frozen=True, slots=True)
class Windows:
    """n series by s steps. The window of series `i` at step `j` is `first[i, j]` to `end[i, j]` of the flat arrays.

    With a modifier the windows hold more than the range: `anchored` also what is up to the lookback before it, `smoothed`
    also what is up to the lookback behind it. There are no stale markers in `samples`.
    """

    samples: Samples
    first: Ints
    """(n, s)"""
    end: Ints
    """(n, s), exclusive; as large as `first` where the window is empty."""
    ends_ms: Ints
    """(s,) the right edges of the range."""
    range_ms: int
    modifier: Modifier | None = None

    @property
    def steps(self) -> int:
        return len(self.ends_ms)

    @property
    def counts(self) -> Ints:
        """(n, s) how many samples each window holds."""
        return self.end - self.first

    def floats(self) -> Windows:
        """The same windows with only their floats."""
        histograms = self.samples.histograms
        return self if histograms is None else self._only(~is_histogram(histograms), without_histograms=True)

    def histograms(self) -> Windows:
        """The same windows with only their histograms."""
        histograms = self.samples.histograms
        mask = np.zeros(len(self.samples.times), bool) if histograms is None else is_histogram(histograms)
        return self._only(mask)

    def _only(self, mask: Bools, *, without_histograms: bool = False) -> Windows:
        kept = samples_where(self.samples, mask)
        if without_histograms:
            kept = replace(kept, histograms=None)
        before = np.concatenate(([0], np.cumsum(mask)))
        return replace(self, samples=kept, first=before[self.first], end=before[self.end])

    def vector(self, values: Floats, present: Bools) -> Vector:
        """A vector of floats with the labels of these windows."""
        return Vector(self.samples.labels, values, present)


def samples_where(samples: Samples, mask: Bools) -> Samples:
    """Only these samples; a series that loses all of them stays."""
    before = np.concatenate(([0], np.cumsum(mask)))
    return replace(
        samples,
        offsets=before[samples.offsets],
        times=samples.times[mask],
        values=samples.values[mask],
        histograms=None if samples.histograms is None else samples.histograms[mask],
        start_times=None if samples.start_times is None else samples.start_times[mask],
    )


def is_histogram(histograms: Objects) -> Bools:
    """Where a histogram stands; of the same shape."""
    found = np.fromiter((histogram is not None for histogram in histograms.flat), bool, histograms.size)
    return found.reshape(histograms.shape)


def stale(samples: Samples) -> Bools:
    """(m,) which samples are stale markers: a float with the marker's bits, or a histogram whose sum has them."""
    marked: Bools = samples.values.view(np.int64) == STALE
    if samples.histograms is None:
        return marked
    here = np.flatnonzero(is_histogram(samples.histograms))
    sums = np.array([histogram.sum for histogram in samples.histograms[here]], np.float64)
    marked[here] = sums.view(np.int64) == STALE
    return marked


def without_stale(samples: Samples) -> Samples:
    """The samples without stale markers."""
    marked = stale(samples)
    return samples_where(samples, ~marked) if marked.any() else samples
