"""When a counter histogram counts as reset."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from histogram_strategies import alike, mixable, unhurried
from histogram_text import objects, parse_histogram, plus, stored
from hypothesis import given
from sonde.query.promql.histogram import Histogram
from sonde.query.promql.histogram_resets import is_reset, resets_between

PAIRS = [
    ("{{count:4 buckets:[1 2 1]}}", "{{count:5 buckets:[1 3 1]}}", False),
    ("{{count:4 buckets:[1 2 1]}}", "{{count:3 buckets:[1 2 1]}}", True),
    ("{{count:4 buckets:[1 2 1]}}", "{{count:5 buckets:[2 1 2]}}", True),
    ("{{count:4 buckets:[1 2 1]}}", "{{count:9 buckets:[1 3]}}", True),
    ("{{count:4 buckets:[1 2 0]}}", "{{count:9 buckets:[1 3]}}", False),
    ("{{sum:4}}", "{{sum:3}}", False),
    ("{{z_bucket:2 count:2}}", "{{z_bucket:1 count:2}}", True),
    ("{{schema:0 count:1 buckets:[1]}}", "{{schema:1 count:2 buckets:[2]}}", True),
    ("{{schema:1 count:2 buckets:[1 1] offset:1}}", "{{schema:0 count:2 buckets:[2] offset:1}}", False),
    ("{{schema:1 count:2 buckets:[1 1] offset:1}}", "{{schema:0 count:2 buckets:[1] offset:1}}", True),
    ("{{z_bucket_w:0.5}}", "{{z_bucket_w:0.25}}", True),
    ("{{z_bucket_w:0.25 count:1 buckets:[1] offset:-1}}", "{{z_bucket_w:0.5 count:1 z_bucket:1}}", False),
    ("{{z_bucket_w:0.25 count:1 buckets:[1] offset:-1}}", "{{z_bucket_w:0.5 count:1}}", True),
    ("{{count:1 buckets:[1]}}", "{{z_bucket_w:0.75 count:1 z_bucket:1}}", True),
    ("{{count:1 buckets:[1]}}", "{{schema:-53 count:1 custom_values:[1] buckets:[1]}}", True),
    ("{{schema:-53 count:1 custom_values:[1] buckets:[1]}}", "{{count:1 buckets:[1]}}", True),
    (
        "{{schema:-53 count:2 custom_values:[1 2] buckets:[1 1]}}",
        "{{schema:-53 count:2 custom_values:[2] buckets:[2]}}",
        False,
    ),
    (
        "{{schema:-53 count:2 custom_values:[1 2] buckets:[1 1]}}",
        "{{schema:-53 count:2 custom_values:[2] buckets:[1 1]}}",
        True,
    ),
    ("{{count:4}}", "{{count:3 counter_reset_hint:not_reset}}", False),
    ("{{count:4}}", "{{count:5 counter_reset_hint:reset}}", True),
    ("{{count:4 counter_reset_hint:gauge}}", "{{count:3 counter_reset_hint:gauge}}", True),
]


@pytest.mark.parametrize(("previous", "current", "reset"), PAIRS)
def test_a_histogram_that_lost_observations_was_reset(previous: str, current: str, reset: bool) -> None:
    pair = [parse_histogram(previous), parse_histogram(current)]
    assert is_reset(pair[1], pair[0]) is reset
    assert resets_between(objects(pair), np.array([1])).tolist() == [reset]


@unhurried
@given(mixable(6))
def test_many_pairs_at_once_are_as_one_by_one(histograms: list[Histogram]) -> None:
    found = resets_between(objects(histograms), np.arange(1, len(histograms)))
    assert found.tolist() == [is_reset(later, earlier) for earlier, later in pairwise(histograms)]


@unhurried
@given(alike(2))
def test_a_counter_that_only_grows_is_not_reset(pair: list[Histogram]) -> None:
    assert not is_reset(plus(*pair), pair[0])
    assert not is_reset(plus(*pair), pair[1])


def test_a_store_knows_of_each_sample_but_a_chunks_first_that_it_was_not_reset() -> None:
    texts = [
        "{{count:2}}",
        "{{count:3}}",
        "{{count:1}}",
        "{{count:1 counter_reset_hint:gauge}}",
        "{{count:5}}",
        "{{count:6}}",
    ]
    found = stored(parse_histogram(text) for text in texts)
    assert [sample.counter_reset_hint.value for sample in found if sample is not None] == [
        "unknown",
        "not_reset",
        "unknown",
        "gauge",
        "unknown",
        "not_reset",
    ]
