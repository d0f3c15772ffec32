"""Sums, differences and means of histograms of the same and of different kinds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from histogram_strategies import alike, mixable, unhurried
from histogram_text import minus, parse_histogram, plus
from hypothesis import given
from hypothesis import strategies as st
from sonde.query.promql.histogram import CounterReset, Histogram
from sonde.query.promql.histogram_cells import Cells, Combined
from sonde.query.promql.histogram_sum import averaged, collisions, joint_hints, summed, weighted


def one_cell(histograms: Sequence[Histogram]) -> Cells:
    return Cells(list(histograms), np.arange(len(histograms)), np.array([0, len(histograms)]))


def only(combined: Combined) -> Histogram:
    found: Histogram = combined.histograms[0]
    return found


SUMS = [
    pytest.param(
        "{{schema:0 count:4 sum:5 buckets:[1 2 1]}}",
        "{{schema:0 count:3 sum:2 buckets:[1 1 1] offset:2}}",
        "{{schema:0 count:7 sum:7 buckets:[1 2 2 1 1]}}",
        id="the same schema",
    ),
    pytest.param(
        "{{schema:1 count:5 sum:1 buckets:[1 1 1 1 1]}}",
        "{{schema:0 count:1 sum:1 buckets:[1]}}",
        "{{schema:0 count:6 sum:2 buckets:[2 2 2]}}",
        id="a lower schema joins two buckets to one",
    ),
    pytest.param(
        "{{schema:0 count:3 z_bucket:1 z_bucket_w:0.5 buckets:[1 1]}}",
        "{{schema:0 count:4 z_bucket:1 z_bucket_w:0.25 buckets:[2 1] offset:-1}}",
        "{{schema:0 count:7 z_bucket:4 z_bucket_w:0.5 buckets:[2 1]}}",
        id="a wider zero bucket swallows what is within it",
    ),
    pytest.param(
        "{{schema:0 z_bucket:1 z_bucket_w:0.3 count:1}}",
        "{{schema:0 count:7 buckets:[4 2 1] n_buckets:[8] offset:-1 n_offset:-1}}",
        "{{schema:0 z_bucket:13 z_bucket_w:0.5 count:8 buckets:[2 1]}}",
        id="a zero bucket grows to the end of a populated bucket it would end in",
    ),
    pytest.param(
        "{{schema:0 z_bucket_w:0.3}}",
        "{{schema:0 count:1 buckets:[0 1] offset:-1}}",
        "{{schema:0 z_bucket_w:0.3 count:1 buckets:[1]}}",
        id="an empty bucket does not make it grow",
    ),
    pytest.param(
        "{{schema:-53 count:15 sum:55 custom_values:[2 4 6] buckets:[1 2 5 7]}}",
        "{{schema:-53 count:36 sum:1 custom_values:[1 2 3 4 5] buckets:[1 2 3 4 5 21]}}",
        "{{schema:-53 count:51 sum:56 custom_values:[2 4] buckets:[4 9 38]}}",
        id="custom bounds that only one has go",
    ),
    pytest.param(
        "{{schema:-53 count:1 custom_values:[5] buckets:[1]}}",
        "{{schema:-53 count:2 custom_values:[7] buckets:[1 1]}}",
        "{{schema:-53 count:3 buckets:[3]}}",
        id="without a common bound one bucket is left",
    ),
]


@pytest.mark.parametrize(("left", "right", "total"), SUMS)
def test_a_sum_is_in_the_finest_layout_that_both_can_be_brought_to(left: str, right: str, total: str) -> None:
    one, other = parse_histogram(left), parse_histogram(right)
    assert plus(one, other) == parse_histogram(total)
    assert plus(other, one) == parse_histogram(total)


def test_exponential_and_custom_buckets_are_not_summed() -> None:
    combined = summed(one_cell([parse_histogram("{{}}"), parse_histogram("{{schema:-53}}")]))
    assert combined.mixed.tolist() == [True]
    assert combined.histograms.tolist() == [None]


def test_only_different_custom_bounds_count_as_reconciled() -> None:
    same, other = (
        parse_histogram("{{schema:-53 custom_values:[1]}}"),
        parse_histogram("{{schema:-53 custom_values:[2]}}"),
    )
    fine, coarse = parse_histogram("{{schema:1}}"), parse_histogram("{{schema:0}}")
    pool = [same, same, other, fine, coarse]
    cells = Cells(pool, np.array([0, 1, 0, 2, 3, 4]), np.array([0, 2, 4, 6]))
    assert summed(cells).reconciled.tolist() == [False, True, False]


@unhurried
@given(alike(2))
def test_taking_off_what_was_added_gives_the_same_back(pair: list[Histogram]) -> None:
    left, right = pair
    assert minus(plus(left, right), right) == left


@unhurried
@given(mixable(3))
def test_the_order_of_a_sum_is_all_one(three: list[Histogram]) -> None:
    a, b, c = three
    assert plus(plus(a, b), c) == plus(a, plus(b, c)) == plus(plus(c, a), b)


@unhurried
@given(mixable(3))
def test_a_sum_of_many_is_that_of_two_and_two(three: list[Histogram]) -> None:
    a, b, c = three
    assert only(summed(one_cell(three))) == plus(plus(a, b), c)


@unhurried
@given(mixable(4))
def test_no_observation_gets_lost_in_a_sum(four: list[Histogram]) -> None:
    total = only(summed(one_cell(four)))
    within = total.zero_count + total.positive_counts.sum() + total.negative_counts.sum()
    assert total.count == within == sum(histogram.count for histogram in four)


@unhurried
@given(st.lists(mixable(3), min_size=1, max_size=6))
def test_cells_of_all_kinds_at_once_are_as_one_by_one(groups: list[list[Histogram]]) -> None:
    pool = [histogram for group in groups for histogram in group]
    together = summed(Cells(pool, np.arange(len(pool)), np.arange(len(groups) + 1) * 3))
    assert together.histograms.tolist() == [only(summed(one_cell(group))) for group in groups]


@unhurried
@given(alike(4))
def test_a_mean_is_the_sum_divided(four: list[Histogram]) -> None:
    mean, total = only(averaged(one_cell(four))), only(summed(one_cell(four)))
    quarter = only(weighted(one_cell([total]), np.ones(1), np.array([0.25])))
    assert mean == quarter


def test_a_mean_does_not_overflow_where_the_sum_does() -> None:
    large = parse_histogram("{{count:1.5e308 sum:3 buckets:[1.5e308 2]}}")
    assert only(averaged(one_cell([large, large]))) == large
    assert np.isinf(only(summed(one_cell([large, large]))).count)


def test_a_sum_keeps_small_numbers_beside_large_ones() -> None:
    numbers = [1.0, 1e100, 1.0, -1e100]
    histograms = [parse_histogram(f"{{{{sum:{number}}}}}") for number in numbers]
    assert only(summed(one_cell(histograms))).sum == 2.0
    assert only(averaged(one_cell(histograms))).sum == 0.5


HINTS = [
    (["gauge", "not_reset"], "gauge", False),
    (["not_reset", "not_reset"], "not_reset", False),
    (["reset", "reset"], "reset", False),
    (["not_reset", "unknown"], "unknown", False),
    (["reset", "not_reset"], "unknown", True),
    (["reset", "not_reset", "gauge"], "gauge", True),
    (["reset", "unknown"], "unknown", False),
]


@pytest.mark.parametrize(("hints", "joint", "collide"), HINTS)
def test_a_sum_says_of_resets_what_all_of_its_parts_may_say(hints: list[str], joint: str, collide: bool) -> None:
    cells = one_cell([parse_histogram(f"{{{{counter_reset_hint:{hint}}}}}") for hint in hints])
    assert joint_hints(cells) == [CounterReset(joint)]
    assert collisions(cells).tolist() == [collide]
