"""The histogram sample: its bounds, when two are equal, how it is printed."""

from __future__ import annotations

import numpy as np
import pytest
from histogram_text import parse_histogram
from sonde.query.promql.histogram import CounterReset, exponential_bounds, lower_bounds, upper_bounds

MAX = float(np.finfo(np.float64).max)


@pytest.mark.parametrize(
    ("schema", "index", "bound"),
    [
        (0, 0, 1.0),
        (0, 3, 8.0),
        (0, -2, 0.25),
        (1, 1, 2**0.5),
        (1, 2, 2.0),
        (1, -1, 2**-0.5),
        (8, 256, 2.0),
        (-1, 1, 4.0),
        (-4, 2, 2.0**32),
        (-4, -1, 2.0**-16),
        (0, 1024, MAX),
        (3, 1024 * 8, MAX),
        (-4, 64, MAX),
        (0, 1025, np.inf),
        (-4, 65, np.inf),
        (0, -1074, 5e-324),
        (0, -1075, 0.0),
    ],
)
def test_an_exponential_bucket_ends_at_the_base_to_the_power_of_its_index(
    schema: int, index: int, bound: float
) -> None:
    assert exponential_bounds(np.array([index]), schema)[0] == pytest.approx(bound, rel=1e-15)


def test_custom_buckets_end_at_their_bounds_and_the_last_one_never() -> None:
    bounds = np.array([-2.0, 3.0])
    assert upper_bounds(np.arange(3), -53, bounds).tolist() == [-2.0, 3.0, np.inf]
    assert lower_bounds(np.arange(3), -53, bounds).tolist() == [-np.inf, -2.0, 3.0]


EQUAL = [
    ("{{count:3 buckets:[1 2]}}", "{{count:3 buckets:[0 1 2 0] offset:-1}}"),
    ("{{sum:NaN}}", "{{sum:NaN}}"),
    ("{{count:1 counter_reset_hint:gauge buckets:[1]}}", "{{count:1 buckets:[1]}}"),
    ("{{schema:-53 custom_values:[1 2] buckets:[0 1]}}", "{{schema:-53 custom_values:[1 2] buckets:[1] offset:1}}"),
]
DIFFERENT = [
    ("{{count:3 buckets:[1 2]}}", "{{count:3 buckets:[2 1]}}"),
    ("{{buckets:[1]}}", "{{buckets:[1] offset:1}}"),
    ("{{buckets:[1]}}", "{{n_buckets:[1]}}"),
    ("{{schema:1}}", "{{schema:2}}"),
    ("{{sum:1}}", "{{sum:2}}"),
    ("{{z_bucket_w:0.1}}", "{{z_bucket_w:0.2}}"),
    ("{{z_bucket:1}}", "{{}}"),
    ("{{schema:-53 custom_values:[1 2]}}", "{{schema:-53 custom_values:[1 3]}}"),
]


@pytest.mark.parametrize(("left", "right"), EQUAL)
def test_histograms_with_the_same_numbers_are_equal(left: str, right: str) -> None:
    assert parse_histogram(left) == parse_histogram(right)


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_histograms_with_other_numbers_are_not_equal(left: str, right: str) -> None:
    assert parse_histogram(left) != parse_histogram(right)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("{{}}", "{count:0, sum:0}"),
        (
            "{{count:9 sum:-1.5 z_bucket:2 z_bucket_w:0.001 buckets:[1 0 3] n_buckets:[1 2]}}",
            "{count:9, sum:-1.5, [-2,-1):2, [-1,-0.5):1, [-0.001,0.001]:2, (0.5,1]:1, (2,4]:3}",
        ),
        (
            "{{schema:-53 count:3e7 sum:1 custom_values:[5 10] buckets:[1 0 3e7]}}",
            "{count:3e+07, sum:1, [-Inf,5]:1, (10,+Inf]:3e+07}",
        ),
    ],
)
def test_a_histogram_is_printed_with_its_populated_buckets(text: str, printed: str) -> None:
    assert str(parse_histogram(text)) == printed


def test_text_has_buckets_as_they_are_and_computation_cuts_them_off_at_the_zero_bucket() -> None:
    histogram = parse_histogram("{{z_bucket:1 z_bucket_w:0.75 buckets:[1 2] n_buckets:[3]}}")
    assert str(histogram) == "{count:0, sum:0, [-1,-0.5):3, [-0.75,0.75]:1, (0.5,1]:1, (1,2]:2}"
    lowers, uppers = histogram.layout.bounds()
    assert list(zip(lowers.tolist(), uppers.tolist(), strict=True)) == [
        (-1.0, -0.75),
        (-0.75, 0.75),
        (0.75, 1.0),
        (1.0, 2.0),
    ]


def test_another_hint_changes_nothing_else() -> None:
    histogram = parse_histogram("{{count:1 buckets:[1] counter_reset_hint:gauge}}")
    unknown = histogram.with_hint(CounterReset.UNKNOWN)
    assert unknown == histogram
    assert unknown.counter_reset_hint is CounterReset.UNKNOWN
