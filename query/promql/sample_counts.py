"""Samples as Prometheus counts them: a float is one, a histogram as many as there would be in its place.

Source: `HPoint.size` in promql/value.go and `FloatHistogram.Size` in model/histogram/float_histogram.go of Prometheus.
"""

from __future__ import annotations

import numpy as np
from sonde.query.promql.histogram import Indices, Layout
from sonde.query.promql.values import Ints, Objects, Samples, Vector
from sonde.query.promql.windows import Windows

SAMPLE_BYTES = 16
TIME_BYTES = 8
HISTOGRAM_BYTES = 168
"""Without what its lists hold: spans, buckets and custom bounds, 8 bytes each."""


def histogram_size(layout: Layout) -> int:
    """How many samples a histogram of this layout counts as."""
    items = len(layout.negative_indices) + len(layout.positive_indices) + len(layout.custom_values)
    items += _spans(layout.negative_indices) + _spans(layout.positive_indices)
    return (HISTOGRAM_BYTES + 8 * items + TIME_BYTES) // SAMPLE_BYTES


def _spans(indices: Indices) -> int:
    """Runs of buckets beside each other."""
    return int(np.count_nonzero(np.diff(indices) != 1)) + 1 if len(indices) else 0


def sizes(histograms: Objects) -> Ints:
    """What each counts as, of the same shape: 1 where there is no histogram. Each layout is looked at once."""
    known: dict[int, int] = {}
    found = np.ones(histograms.size, np.int64)
    for at, histogram in enumerate(histograms.flat):
        if histogram is not None:
            layout = histogram.layout
            size = known.get(id(layout))
            if size is None:
                size = known[id(layout)] = histogram_size(layout)
            found[at] = size
    return found.reshape(histograms.shape)


def samples_in(value: Samples | Vector) -> int:
    """What all samples count as; in a vector every cell is one, present or not."""
    return int(value.values.size if value.histograms is None else sizes(value.histograms).sum())


def found_at_steps(samples: Samples, index: Ints) -> Ints:
    """(s,) what an instant selector finds at each step: `samples` at `index` (n, s), -1 for none."""
    counts = (index >= 0).astype(np.int64)
    if samples.histograms is not None and len(samples.times):
        counts *= sizes(samples.histograms)[index]
    of_steps: Ints = counts.sum(axis=0)
    return of_steps


def within_windows(windows: Windows) -> Ints:
    """(s,) what the windows of each step hold, all series together."""
    counts = windows.counts
    if windows.samples.histograms is not None:
        before = np.concatenate(([0], np.cumsum(sizes(windows.samples.histograms))))
        counts = before[windows.end] - before[windows.first]
    of_steps: Ints = counts.sum(axis=0)
    return of_steps
