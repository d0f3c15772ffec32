"""Classic histograms in a vector: series that differ only in `le` are the buckets of one."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from sonde.query.promql.classic_kernels import (
    FORCED_FIRST,
    FORCED_LAST,
    FORCED_SAMPLES,
    HIGHEST_BUCKET,
    LARGEST_DIFFERENCE,
    LOWEST_BUCKET,
    find_fractions,
    find_quantiles,
)
from sonde.query.promql.label_groups import Groups, groups_of
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.values import Bools, Floats, Ints, Vector

BUCKET_LABEL = "le"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf|infinity)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ClassicHistograms:
    """g histograms in a vector of n series by s steps."""

    values: Floats
    """(n, s), C-contiguous: the vector's."""
    present: Bools
    """(n, s) where there is a float."""
    groups: Ints
    """(g,) ascending: the group, of all that the vector has, that each histogram is."""
    rows: Ints
    """The series that are buckets, histogram after histogram, by their bound."""
    starts: Ints
    """(g + 1,) where each histogram's rows begin."""
    bounds: Floats
    """Of each of `rows`."""


@dataclass(frozen=True, slots=True)
class Forced:
    """Where a histogram's buckets had to be raised for quantiles: at how many steps, and what it came to."""

    histogram: int
    samples: int
    first_step: int
    last_step: int
    lowest_bucket: float
    highest_bucket: float
    largest_difference: float


def groups_without_bounds(labels: LabelTable, natives: Bools) -> Groups:
    """Series with the same labels but for `le` belong together; the `le` of `natives` counts as any other label."""
    return groups_of(labels.without_where({BUCKET_LABEL}, ~natives))


def bounds_of(labels: LabelTable) -> Floats:
    """(n,) the upper bound that each series' `le` says; NaN where it is missing or no number."""
    column = labels.column(BUCKET_LABEL)
    return np.array([_bound(text) for text in column.values], np.float64)[column.codes]


def _bound(text: str) -> float:
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def classic_histograms(vector: Vector, groups: Ints, present: Bools) -> ClassicHistograms:
    """The histograms whose buckets the vector has as floats, at the cells that `present` (n, s) says.

    Series whose `le` is no number are left out.
    """
    bounds = bounds_of(vector.labels)
    rows = np.flatnonzero(present.any(axis=1) & ~np.isnan(bounds))
    rows = rows[np.lexsort((bounds[rows], groups[rows]))]
    found, starts = np.unique(groups[rows], return_index=True)
    return ClassicHistograms(
        np.ascontiguousarray(vector.values),
        np.ascontiguousarray(present),
        found,
        rows,
        np.append(starts, len(rows)).astype(np.int64),
        bounds[rows],
    )


def quantiles(histograms: ClassicHistograms, ranks: Floats) -> tuple[Floats, Bools, list[Forced]]:
    """The quantile `ranks` (s,) of each histogram at each step, interpolated linearly within a bucket: (g, s).

    NaN without a bucket up to +Inf, -Inf below rank 0, +Inf above 1; the second is where there is a histogram.
    """
    count, steps = len(histograms.groups), len(ranks)
    values, found = np.zeros((count, steps)), np.zeros((count, steps), bool)
    forced_steps = np.zeros((count, 3), np.int64)
    forced_values = np.tile([np.inf, -np.inf, 0.0], (count, 1))
    find_quantiles(
        histograms.values,
        histograms.present,
        histograms.rows,
        histograms.starts,
        histograms.bounds,
        np.ascontiguousarray(ranks, np.float64),
        values,
        found,
        forced_steps,
        forced_values,
    )
    forced = [
        Forced(
            int(at),
            int(forced_steps[at, FORCED_SAMPLES]),
            int(forced_steps[at, FORCED_FIRST]),
            int(forced_steps[at, FORCED_LAST]),
            float(forced_values[at, LOWEST_BUCKET]),
            float(forced_values[at, HIGHEST_BUCKET]),
            float(forced_values[at, LARGEST_DIFFERENCE]),
        )
        for at in np.flatnonzero(forced_steps[:, FORCED_SAMPLES])
    ]
    return values, found, forced


def fractions(histograms: ClassicHistograms, lower: Floats, upper: Floats) -> tuple[Floats, Bools]:
    """The fraction of observations between `lower` and `upper`, (s,) each, and where there is a histogram: (g, s)."""
    shape = len(histograms.groups), len(lower)
    values, found = np.zeros(shape), np.zeros(shape, bool)
    find_fractions(
        histograms.values,
        histograms.present,
        histograms.rows,
        histograms.starts,
        histograms.bounds,
        np.ascontiguousarray(lower, np.float64),
        np.ascontiguousarray(upper, np.float64),
        values,
        found,
    )
    return values, found
