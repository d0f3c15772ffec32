"""Quantiles and fractions of classic histograms, beside a plain twin that looks at one histogram at one step."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from histogram_strategies import unhurried
from hypothesis import given
from hypothesis import strategies as st
from sonde.query.promql import classic_histogram
from sonde.query.promql.classic_histogram import bounds_of, classic_histograms, groups_without_bounds
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.values import Vector

Buckets = list[tuple[float, float]]


def plain_quantile(buckets: Buckets, rank: float) -> float:
    """Of upper bounds, ascending, with cumulative counts."""
    if math.isnan(rank):
        return math.nan
    if not 0 <= rank <= 1:
        return math.copysign(math.inf, rank)
    if buckets[-1][0] != math.inf or len(buckets) < 2:
        return math.nan
    raised: Buckets = []
    for bound, count in buckets:
        raised.append((bound, max(count, raised[-1][1]) if raised else count))
    wanted = rank * raised[-1][1]
    if raised[-1][1] == 0:
        return math.nan
    if raised[0][1] >= wanted:
        if raised[0][0] <= 0:
            return raised[0][0]
        return raised[0][0] * wanted / raised[0][1] if raised[0][1] else math.nan
    for (lower, below), (upper, count) in pairwise(raised):
        if count >= wanted:
            return lower if upper == math.inf else lower + (upper - lower) * (wanted - below) / (count - below)
    raise AssertionError("the last bucket has all observations")


def plain_fraction(buckets: Buckets, lower: float, upper: float) -> float:
    total = buckets[-1][1]
    if buckets[-1][0] != math.inf or total == 0 or math.isnan(lower) or math.isnan(upper):
        return math.nan

    def below(value: float) -> float:
        begin, before = (0.0 if buckets[0][0] > 0 else -math.inf), 0.0
        for bound, count in buckets:
            if value <= begin:
                return before
            if value < bound:
                if begin == -math.inf:
                    return count
                return before if bound == math.inf else before + (count - before) * (value - begin) / (bound - begin)
            begin, before = bound, count
        return total

    return 0.0 if lower >= upper else (min(below(upper), total) - min(below(lower), total)) / total


def vector_of(histograms: list[Buckets], steps: int = 1) -> Vector:
    rows = [
        {"__name__": "b", "job": str(job), "le": str(bound).replace("inf", "+Inf"), "count": str(count)}
        for job, buckets in enumerate(histograms)
        for bound, count in buckets
    ]
    values = np.repeat([[float(row.pop("count"))] for row in rows], steps, axis=1)
    return Vector(LabelTable.of(rows), values, np.ones(values.shape, bool))


def quantiles_of(vector: Vector, ranks: list[float]) -> np.ndarray:
    groups = groups_without_bounds(vector.labels, np.zeros(vector.labels.size, bool)).ids
    found = classic_histograms(vector, groups, vector.present)
    values, present, _ = classic_histogram.quantiles(found, np.array(ranks))
    return np.where(present, values, -1.0)


INCREASING = st.lists(st.integers(0, 20), min_size=1, max_size=6).map(np.cumsum)
BOUNDS = st.lists(st.integers(-4, 20), min_size=0, max_size=6, unique=True).map(sorted)


@st.composite
def buckets(draw: st.DrawFn) -> Buckets:
    """Mostly up to +Inf, mostly cumulative."""
    bounds: list[float] = [float(bound) for bound in draw(BOUNDS)]
    if not bounds or draw(st.integers(0, 9)):
        bounds.append(math.inf)
    counts = draw(st.lists(st.integers(0, 20), min_size=len(bounds), max_size=len(bounds)))
    cumulative = np.cumsum(counts) if draw(st.integers(0, 4)) else np.array(counts)
    return list(zip(bounds, map(float, cumulative), strict=True))


@unhurried
@given(st.lists(buckets(), min_size=1, max_size=5), st.floats(-0.1, 1.1))
def test_quantiles_are_those_of_the_twin(histograms: list[Buckets], rank: float) -> None:
    found = quantiles_of(vector_of(histograms), [rank])[:, 0]
    assert found == pytest.approx([plain_quantile(one, rank) for one in histograms], nan_ok=True)


@unhurried
@given(st.lists(buckets(), min_size=1, max_size=5), st.floats(-5, 25), st.one_of(st.floats(-5, 25), st.just(math.inf)))
def test_fractions_are_those_of_the_twin(histograms: list[Buckets], lower: float, upper: float) -> None:
    vector = vector_of(histograms)
    groups = groups_without_bounds(vector.labels, np.zeros(vector.labels.size, bool)).ids
    classic = classic_histograms(vector, groups, vector.present)
    found, _ = classic_histogram.fractions(classic, np.array([lower]), np.array([upper]))
    assert found[:, 0] == pytest.approx([plain_fraction(one, lower, upper) for one in histograms], nan_ok=True)


def test_only_the_buckets_that_are_there_at_a_step_count() -> None:
    vector = vector_of([[(1, 1), (2, 3), (4, 4), (math.inf, 4)]], steps=4)
    vector.present[1, 1] = False
    vector.present[3, 2] = False
    vector.present[:, 3] = False
    assert quantiles_of(vector, [0.5] * 4)[0] == pytest.approx([1.5, 2.0, math.nan, -1.0], nan_ok=True)


def test_buckets_of_the_same_bound_are_one() -> None:
    labels = LabelTable.of([{"le": text} for text in ("1", "1.0", "2", "+Inf")])
    vector = Vector(labels, np.array([[1.0], [1.0], [4.0], [4.0]]), np.ones((4, 1), bool))
    assert quantiles_of(vector, [0.5]).tolist() == [[1.0]]


def test_what_had_to_be_raised_is_told_and_rounding_errors_are_not() -> None:
    wrong: Buckets = [(1, 4), (2, 2), (3, 5), (4, 4), (math.inf, 8)]
    rounded: Buckets = [(1, 4), (2, 4 - 1e-13), (math.inf, 8)]
    vector = vector_of([wrong, rounded], steps=3)
    groups = groups_without_bounds(vector.labels, np.zeros(vector.labels.size, bool)).ids
    histograms = classic_histograms(vector, groups, vector.present)
    _, _, forced = classic_histogram.quantiles(histograms, np.array([0.5, 2.0, 0.5]))
    assert len(forced) == 1
    told = forced[0]
    assert (told.samples, told.first_step, told.last_step) == (2, 0, 2)
    assert (told.lowest_bucket, told.highest_bucket, told.largest_difference) == (2.0, 4.0, 2.0)


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("+Inf", math.inf),
        ("inf", math.inf),
        ("-Inf", -math.inf),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("", math.nan),
        ("Hello World", math.nan),
        (" 1", math.nan),
        ("1_000", math.nan),
        ("nan", math.nan),
    ],
)
def test_a_bound_is_read_as_a_number_only_from_a_number(text: str, bound: float) -> None:
    assert bounds_of(LabelTable.of([{"le": text}])) == pytest.approx([bound], nan_ok=True)
