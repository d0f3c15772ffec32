"""Quantiles of native histograms, fractions of their observations, and cutting off what lies beyond a value."""

from __future__ import annotations

import math

import numpy as np
import pytest
from histogram_strategies import BOUNDS, custom, exponential, unhurried
from histogram_text import parse_histogram
from hypothesis import given
from hypothesis import strategies as st
from sonde.query.promql.histogram import CounterReset, Histogram
from sonde.query.promql.histogram_block import pack
from sonde.query.promql.histogram_quantile import Quantiles, fractions, quantiles
from sonde.query.promql.histogram_trim import trimmed

ANY = st.one_of(exponential(), custom(BOUNDS.filter(len)))
"""Without those of one bucket from -Inf to +Inf, which say nothing of values."""


def quantile_of(histogram: Histogram, rank: float) -> Quantiles:
    return quantiles(pack([histogram]), np.array([rank]))


def fraction_of(histogram: Histogram, lower: float, upper: float) -> float:
    return float(fractions(pack([histogram]), np.array([lower]), np.array([upper])).values[0])


def cut(histogram: Histogram, value: float, *, above: bool) -> Histogram:
    return trimmed(pack([histogram]), np.array([value]), above=above).histogram(0, CounterReset.UNKNOWN)


POSITIVE = "{{schema:0 count:12 sum:100 z_bucket:2 z_bucket_w:0.001 buckets:[2 3 0 1 4]}}"
NEGATIVE = "{{schema:0 count:12 sum:100 z_bucket:2 z_bucket_w:0.001 n_buckets:[2 3 0 1 4]}}"
CUSTOM = "{{schema:-53 sum:5 count:4 custom_values:[5 10] buckets:[1 2 1]}}"
BELOW_ZERO = "{{schema:-53 count:4 custom_values:[-5 5] buckets:[1 2 1]}}"

QUANTILES = [
    (POSITIVE, 0.0, 0.0),
    (POSITIVE, 0.1, 0.0006),
    (POSITIVE, 0.5, 2 ** (2 / 3)),
    (POSITIVE, 1.0, 16.0),
    (POSITIVE, -0.1, -math.inf),
    (POSITIVE, 1.1, math.inf),
    (POSITIVE, math.nan, math.nan),
    (NEGATIVE, 0.0, -16.0),
    (NEGATIVE, 0.5, -(2 ** (2 / 3))),
    (NEGATIVE, 0.99, -0.00006),
    (NEGATIVE, 1.0, 0.0),
    (CUSTOM, 0.125, 2.5),
    (CUSTOM, 0.5, 7.5),
    (CUSTOM, 1.0, 10.0),
    (BELOW_ZERO, 0.1, -5.0),
    (BELOW_ZERO, 0.5, 0.0),
    ("{{}}", 0.5, math.nan),
]


@pytest.mark.parametrize(("text", "rank", "value"), QUANTILES)
def test_a_quantile_is_interpolated_within_its_bucket(text: str, rank: float, value: float) -> None:
    found = quantile_of(parse_histogram(text), rank).values[0]
    assert found == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True)


def test_nan_observations_count_as_the_highest() -> None:
    some = parse_histogram("{{count:15 sum:NaN buckets:[12]}}")
    low, high = quantile_of(some, 0.8), quantile_of(some, 0.81)
    assert (low.values[0], low.beyond[0], low.skewed[0]) == (pytest.approx(1.0), False, True)
    assert np.isnan(high.values[0])
    assert (high.beyond[0], high.skewed[0]) == (True, False)
    assert fractions(pack([some]), np.array([-np.inf]), np.array([np.inf])).values[0] == pytest.approx(0.8)


def test_a_sum_that_is_nan_without_nan_observations_tells_nothing() -> None:
    infinities = parse_histogram("{{count:2 sum:NaN buckets:[2]}}")
    found = quantile_of(infinities, 0.5)
    assert (found.beyond[0], found.skewed[0]) == (False, False)
    assert not fractions(pack([infinities]), np.array([0.0]), np.array([1.0])).nans_excluded[0]


@unhurried
@given(ANY, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_rank_has_no_lower_quantile(histogram: Histogram, one: float, other: float) -> None:
    low, high = (quantile_of(histogram, rank).values[0] for rank in sorted((one, other)))
    assert low <= high * (1 + 1e-9 * np.sign(high)) + 1e-12 or histogram.count == 0


@unhurried
@given(exponential(), st.floats(0.01, 0.99))
def test_the_fraction_below_a_quantile_is_its_rank(histogram: Histogram, rank: float) -> None:
    value = float(quantile_of(histogram, rank).values[0])
    if histogram.count and histogram.zero_threshold and value not in (0.0, histogram.zero_threshold):
        below = fraction_of(histogram, -math.inf, np.nextafter(value, math.inf))
        assert below == pytest.approx(rank, abs=1e-6)


@unhurried
@given(ANY, st.floats(-50, 50), st.floats(-50, 50))
def test_fractions_on_both_sides_of_a_value_make_one(histogram: Histogram, value: float, other: float) -> None:
    if histogram.count:
        below, above = fraction_of(histogram, -math.inf, value), fraction_of(histogram, value, math.inf)
        assert below + above == pytest.approx(1.0)
        low, high = sorted((value, other))
        assert fraction_of(histogram, low, high) == pytest.approx(
            fraction_of(histogram, -math.inf, high) - fraction_of(histogram, -math.inf, low), abs=1e-9
        )


FRACTIONS = [
    (POSITIVE, 0, math.inf, 1.0),
    (POSITIVE, 1.5, 2, 0.10375937481971091),
    (POSITIVE, 0, 0.0005, 1 / 12),
    (POSITIVE, 3, 2, 0.0),
    (POSITIVE, math.nan, 2, math.nan),
    (NEGATIVE, -0.001, 0, 1 / 6),
    (NEGATIVE, -math.inf, -6, 0.36791979160657035),
    (CUSTOM, 5, 10, 0.5),
    (CUSTOM, 12, math.inf, 0.25),
    (BELOW_ZERO, -math.inf, -7, 0.25),
    ("{{}}", 0, 1, math.nan),
]


@pytest.mark.parametrize(("text", "lower", "upper", "value"), FRACTIONS)
def test_a_fraction_is_interpolated_at_both_ends(text: str, lower: float, upper: float, value: float) -> None:
    assert fraction_of(parse_histogram(text), lower, upper) == pytest.approx(value, rel=1e-9, nan_ok=True)


CUTS = [
    (CUSTOM, 7.5, True, "{{schema:-53 count:2 sum:8.75 custom_values:[5 10] buckets:[1 1]}}"),
    (CUSTOM, 7.5, False, "{{schema:-53 count:2 sum:18.75 custom_values:[5 10] buckets:[1 1] offset:1}}"),
    (CUSTOM, math.inf, True, CUSTOM),
    (CUSTOM, -math.inf, False, CUSTOM),
    (CUSTOM, math.inf, False, "{{schema:-53 custom_values:[5 10]}}"),
    (CUSTOM, 50, True, "{{schema:-53 count:3 sum:17.5 custom_values:[5 10] buckets:[1 2]}}"),
    (BELOW_ZERO, -7, True, "{{schema:-53 count:1 sum:-7 custom_values:[-5 5] buckets:[1]}}"),
    ("{{count:4 sum:9 z_bucket:4 z_bucket_w:1}}", 0.5, True, "{{count:3 sum:-0.75 z_bucket:3 z_bucket_w:1}}"),
    ("{{count:4 sum:9 z_bucket:4}}", 0, True, "{{}}"),
    ("{{count:4 sum:9 z_bucket:4}}", 0, False, "{{count:4 sum:9 z_bucket:4}}"),
]


@pytest.mark.parametrize(("text", "value", "above", "left"), CUTS)
def test_a_cut_splits_the_bucket_it_goes_through(text: str, value: float, above: bool, left: str) -> None:
    assert cut(parse_histogram(text), value, above=above) == parse_histogram(left)


@unhurried
@given(exponential(), st.floats(-50, 50).filter(lambda value: value != 0))
def test_what_is_cut_off_on_both_sides_is_all_there_was(histogram: Histogram, value: float) -> None:
    below, above = cut(histogram, value, above=True), cut(histogram, value, above=False)
    assert below.count + above.count == pytest.approx(histogram.count)
    if histogram.count:
        assert below.count == pytest.approx(fraction_of(histogram, -math.inf, value) * histogram.count, abs=1e-6)
