"""Histograms for hypothesis: small whole counts, so that sums are exact."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from sonde.query.promql.histogram import CUSTOM_SCHEMA, Histogram

unhurried = settings(deadline=None)
"""For every property: the first example may compile kernels, and machines are slow."""

BUCKETS = st.dictionaries(st.integers(-40, 40), st.integers(0, 100), max_size=12)
SCHEMAS = st.integers(-4, 8)
THRESHOLDS = st.sampled_from([0.0, 1e-6, 0.001, 0.3, 1.0, 5.0])
BOUNDS = st.lists(st.integers(-20, 20), max_size=8, unique=True).map(sorted)


def _arrays(buckets: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    ordered = sorted(buckets.items())
    return (
        np.array([index for index, _ in ordered], np.int32),
        np.array([count for _, count in ordered], np.float64),
    )


@st.composite
def exponential(
    draw: st.DrawFn, schemas: st.SearchStrategy[int] = SCHEMAS, thresholds: st.SearchStrategy[float] = THRESHOLDS
) -> Histogram:
    """With a consistent count, and no bucket within the zero bucket."""
    schema, threshold = draw(schemas), draw(thresholds)
    positive, negative = draw(BUCKETS), draw(BUCKETS)
    beyond = [index for index in range(-40, 41) if 2.0 ** ((index - 1) * 2.0**-schema) >= threshold]
    positive = {index: count for index, count in positive.items() if index in beyond}
    negative = {index: count for index, count in negative.items() if index in beyond}
    zero = draw(st.integers(0, 50))
    total = float(draw(st.integers(-1000, 1000)))
    count = float(zero + sum(positive.values()) + sum(negative.values()))
    return Histogram(schema, threshold, float(zero), count, total, *_arrays(positive), *_arrays(negative))


@st.composite
def custom(draw: st.DrawFn, bounds: st.SearchStrategy[list[int]] = BOUNDS) -> Histogram:
    values = draw(bounds)
    buckets = draw(st.dictionaries(st.integers(0, len(values)), st.integers(0, 100), max_size=len(values) + 1))
    count, total = float(sum(buckets.values())), float(draw(st.integers(-1000, 1000)))
    bounds_array = np.array(values, np.float64)
    return Histogram(CUSTOM_SCHEMA, 0.0, 0.0, count, total, *_arrays(buckets), *_arrays({}), custom_values=bounds_array)


def alike(count: int) -> st.SearchStrategy[list[Histogram]]:
    """So many histograms of one kind."""
    of_exponential = st.tuples(SCHEMAS, THRESHOLDS).flatmap(
        lambda kind: st.lists(exponential(st.just(kind[0]), st.just(kind[1])), min_size=count, max_size=count)
    )
    of_custom = BOUNDS.flatmap(lambda bounds: st.lists(custom(st.just(bounds)), min_size=count, max_size=count))
    return st.one_of(of_exponential, of_custom)


def mixable(count: int) -> st.SearchStrategy[list[Histogram]]:
    """So many histograms that are all exponential or all custom, of whatever kinds.

    Zero buckets end where a bucket does in every schema: elsewhere it matters to a sum whether a zero bucket is widened before
    the schema is lowered or after it.
    """
    of_exponential = exponential(thresholds=st.sampled_from([0.0, 2.0**-16, 1.0]))
    return st.one_of(
        st.lists(of_exponential, min_size=count, max_size=count), st.lists(custom(), min_size=count, max_size=count)
    )
