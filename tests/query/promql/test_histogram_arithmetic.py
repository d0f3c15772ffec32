"""Operators between histograms and floats, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
from histogram_strategies import alike, exponential, unhurried
from histogram_text import objects, parse_histogram, plus
from hypothesis import given
from hypothesis import strategies as st
from sonde.query.promql.annotations import Annotations
from sonde.query.promql.histogram import CounterReset, Histogram
from sonde.query.promql.histogram_arithmetic import added, divided, negated, scaled, subtracted, with_histograms
from sonde.query.promql.operands import Operands, Outcome
from sonde.query.promql.syntax import Binary, Number, Span

ONE = "{{count:3 sum:6 z_bucket:1 buckets:[2] n_buckets:[1]}}"
TWO = "{{count:6 sum:12 z_bucket:2 buckets:[4] n_buckets:[2]}}"
INCOMPATIBLE = (
    'PromQL info: incompatible sample types encountered for binary operator "{op}": {left} {op} {right} (1:1)'
)


def operate(
    op: str, left: Histogram | float, right: Histogram | float, *, return_bool: bool = False
) -> tuple[Histogram | float | None, list[str]]:
    """One cell's result, None if there is none, and what is said about it."""

    def floats_only(expr: Binary, operands: Operands) -> Outcome:
        return Outcome(operands.left + operands.right, operands.present)

    sides = [(np.array([[value]]), None) if isinstance(value, float) else side_of(value) for value in (left, right)]
    (left_values, left_objects), (right_values, right_objects) = sides
    present = np.ones((1, 1), bool)
    operands = Operands(left_values, right_values, present, left_objects, right_objects)
    expr = Binary(op, Number(0.0), Number(0.0), return_bool=return_bool, span=Span(0, 1))
    annotations = Annotations()
    outcome = with_histograms(expr, operands, floats_only, annotations)
    told = annotations.warnings("q") + annotations.infos("q")
    if not outcome.present[0, 0]:
        return None, told
    if outcome.histograms is not None:
        found: Histogram = outcome.histograms[0, 0]
        return found, told
    return float(outcome.values[0, 0]), told


def side_of(histogram: Histogram) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((1, 1)), objects([histogram]).reshape(1, 1)


DEFINED = [
    ("*", ONE, 2.0, TWO),
    ("*", 2.0, ONE, TWO),
    ("/", TWO, 2.0, ONE),
    ("+", ONE, ONE, TWO),
    ("-", TWO, ONE, ONE),
    ("==", ONE, ONE, ONE),
    ("!=", ONE, TWO, ONE),
    ("==", ONE, TWO, None),
    (">/", ONE, float("-inf"), ONE),
    ("/", ONE, 0.0, "{{count:Inf sum:Inf z_bucket:Inf}}"),
    ("*", ONE, 0.0, "{{}}"),
]


def value_of(side: str | float) -> Histogram | float:
    return parse_histogram(side) if isinstance(side, str) else side


@pytest.mark.parametrize(("op", "left", "right", "result"), DEFINED)
def test_what_is_defined_is_computed(op: str, left: str | float, right: str | float, result: str | None) -> None:
    expected = None if result is None else parse_histogram(result)
    assert operate(op, value_of(left), value_of(right)) == (expected, [])


def test_a_trim_keeps_what_is_on_its_side() -> None:
    found, told = operate("</", parse_histogram("{{count:4 z_bucket:2 z_bucket_w:1 n_buckets:[0 2]}}"), -1.0)
    assert isinstance(found, Histogram)
    assert (found.count, found.zero_count, found.sum) == (2.0, 0.0, pytest.approx(-2 * 2**0.5))
    assert told == []


UNDEFINED = [
    ("+", ONE, 1.0),
    ("-", 1.0, ONE),
    ("/", 1.0, ONE),
    ("*", ONE, ONE),
    ("/", ONE, ONE),
    (">", ONE, ONE),
    ("==", ONE, 1.0),
    ("%", ONE, 1.0),
    ("^", 1.0, ONE),
    ("</", ONE, ONE),
    ("</", 1.0, 1.0),
    (">/", 1.0, ONE),
]


@pytest.mark.parametrize(("op", "left", "right"), UNDEFINED)
def test_what_is_not_defined_gives_nothing_and_an_info(op: str, left: str | float, right: str | float) -> None:
    types = {
        "left": "histogram" if isinstance(left, str) else "float",
        "right": "histogram" if isinstance(right, str) else "float",
    }
    assert operate(op, value_of(left), value_of(right)) == (None, [INCOMPATIBLE.format(op=op, **types)])


def test_floats_among_histograms_go_through_the_operator_of_floats() -> None:
    assert operate("+", 1.0, 2.0) == (3.0, [])


@pytest.mark.parametrize(("op", "result"), [("==", 0.0), ("!=", 1.0)])
def test_a_comparison_with_bool_gives_a_number(op: str, result: float) -> None:
    assert operate(op, parse_histogram(ONE), parse_histogram(TWO), return_bool=True) == (result, [])


def test_exponential_and_custom_buckets_are_not_added() -> None:
    found, told = operate("+", parse_histogram(ONE), parse_histogram("{{schema:-53}}"))
    assert found is None
    assert told == ["PromQL warning: incompatible bucket layout encountered for binary operator + (1:1)"]


def test_reconciled_custom_bounds_are_told() -> None:
    one, other = (
        "{{schema:-53 count:1 custom_values:[1 2] buckets:[1]}}",
        "{{schema:-53 count:1 custom_values:[2] buckets:[1]}}",
    )
    found, told = operate("+", parse_histogram(one), parse_histogram(other))
    assert found == parse_histogram("{{schema:-53 count:2 custom_values:[2] buckets:[2]}}")
    assert told == ["PromQL info: mismatched custom buckets were reconciled during addition (1:1)"]


def test_conflicting_resets_give_nothing_and_a_warning() -> None:
    found, told = operate(
        "-", parse_histogram("{{counter_reset_hint:reset}}"), parse_histogram("{{counter_reset_hint:not_reset}}")
    )
    assert found is None
    assert told == ["PromQL warning: conflicting counter resets during histogram subtraction (1:1)"]


@unhurried
@given(st.lists(exponential(), min_size=1, max_size=5), st.data())
def test_pairs_of_all_kinds_at_once_are_as_one_by_one(histograms: list[Histogram], data: st.DataObject) -> None:
    places = st.lists(st.sampled_from(range(len(histograms))), min_size=4, max_size=4)
    left, right = (objects([histograms[place] for place in data.draw(places)]) for _ in range(2))
    total, _ = added(left, right)
    assert total.histograms.tolist() == [plus(one, other) for one, other in zip(left, right, strict=True)]


@unhurried
@given(alike(3), st.sampled_from([0.5, 2.0, -4.0]))
def test_dividing_takes_scaling_back(histograms: list[Histogram], factor: float) -> None:
    factors = np.full(3, factor)
    there_and_back = divided(scaled(objects(histograms), factors), factors)
    assert there_and_back.tolist() == histograms


@unhurried
@given(alike(2))
def test_a_difference_is_the_sum_with_the_negated(pair: list[Histogram]) -> None:
    left, right = objects(pair[:1]), objects(pair[1:])
    difference, _ = subtracted(left, right)
    total, _ = added(left, negated(right))
    assert difference.histograms.tolist() == total.histograms.tolist()


def test_what_is_scaled_by_a_negative_number_becomes_a_gauge() -> None:
    kept = objects([parse_histogram("{{counter_reset_hint:not_reset}}")] * 2)
    hints = [found.counter_reset_hint for found in scaled(kept, np.array([1.0, -1.0]))]
    assert hints == [CounterReset.NOT_RESET, CounterReset.GAUGE]


def test_scaling_by_nan_makes_no_buckets() -> None:
    pair = objects([parse_histogram("{{count:1 buckets:[1]}}"), parse_histogram("{{count:1 n_buckets:[1]}}")])
    found = scaled(pair, np.full(2, np.nan))[0]
    assert np.isnan(found.positive_counts).tolist() == [True]
    assert not found.negative_counts.any()


def test_nothing_stays_nothing_when_negated() -> None:
    found = negated(objects([None, parse_histogram("{{count:1}}")]).reshape(2, 1))
    assert found[0, 0] is None
    assert found[1, 0].count == -1.0
