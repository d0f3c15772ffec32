"""What PromQL expressions evaluate to, as arrays.

A query is evaluated at all of its steps at once: an instant vector is a matrix of (series x steps) with a mask of what is
present, for NaN is a legal sample. Times are int64 milliseconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sonde.query.promql.labels import LabelTable

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
Objects: TypeAlias = NDArray[Any]
"""dtype object: a `histogram.Histogram`, or None where there is none."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Raw samples of many series, by series and time: what a source gives, and what a range selector is made of.

    Series `i` has the samples `offsets[i]` to `offsets[i + 1]` of the flat arrays.
    """

    labels: LabelTable
    """n series."""
    offsets: Ints
    """(n + 1,), ascending from 0."""
    times: Ints
    """(m,) ms; ascending within a series, no time twice."""
    values: Floats
    """(m,); undefined where a histogram stands. A stale marker is the NaN with the bits 0x7ff0000000000002."""
    histograms: Objects | None = None
    """(m,) a Histogram, or None where the sample is a float; None for the whole where there are no histograms."""
    start_times: Ints | None = None
    """(m,) ms when the counter or window of the sample began, 0 where unknown; None where no sample has any."""


@dataclass(frozen=True, slots=True)
class Vector:
    """An instant vector at every step: n series by s steps."""

    labels: LabelTable
    values: Floats
    """(n, s); undefined where not `present`, and where a histogram stands."""
    present: Bools
    """(n, s) whether there is a sample, float or histogram."""
    histograms: Objects | None = None
    """(n, s) a Histogram, or None where the sample is a float or absent; None for the whole where there are none."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number at every step."""

    values: Floats
    """(s,)"""


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""

    value: str


Value: TypeAlias = Vector | Scalar | Text | Samples
"""Samples is what an instant query for a range vector answers."""
