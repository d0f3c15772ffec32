"""The functions of histograms in an instant vector, and what they tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from histogram_text import objects, parse_histogram
from sonde.query.promql import histogram_functions
from sonde.query.promql.annotations import Annotations
from sonde.query.promql.context import Context
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.limits import Budget, Limits
from sonde.query.promql.selection import Query
from sonde.query.promql.syntax import Call, Number, Span
from sonde.query.promql.values import Samples, Scalar, Text, Vector

Row = tuple[Mapping[str, str], Sequence["str | float | None"]]
QUERY = "f(a, b, c)"


class Nothing:
    """A source of no samples: the vectors are given."""

    def select(self, matchers: object, start_ms: int, end_ms: int) -> Samples:
        raise AssertionError("nothing is selected here")


def context_of(steps: int) -> Context:
    query = Query(Nothing(), 0, 0, 0, 300_000, 60_000, Annotations(), Budget(Limits()), frozenset())
    args = tuple(Number(0.0, span=Span(at, at + 1)) for at in (2, 5, 8))
    return Context(Call("f", args), np.arange(steps, dtype=np.int64) * 60_000, query)


def vector_of(rows: Sequence[Row]) -> Vector:
    """Series with a float, a histogram's text, or nothing at each step."""
    steps = len(rows[0][1])
    values, present, histograms = np.zeros((len(rows), steps)), np.zeros((len(rows), steps), bool), []
    for row, (_, cells) in enumerate(rows):
        for step, cell in enumerate(cells):
            present[row, step] = cell is not None
            values[row, step] = cell if isinstance(cell, float) else 0.0
            histograms.append(parse_histogram(cell) if isinstance(cell, str) else None)
    labels = LabelTable.of([{"__name__": "h", **labels} for labels, _ in rows])
    return Vector(labels, values, present, objects(histograms).reshape(len(rows), steps))


def scalar(value: float, steps: int = 1) -> Scalar:
    return Scalar(np.full(steps, value))


def answer(vector: Vector) -> dict[tuple[tuple[str, str], ...], list[float | None]]:
    """Values by labels without the name; nothing but floats."""
    assert vector.histograms is None
    rows = vector.labels.without({"__name__"}).rows()
    return {
        tuple(labels.items()): [
            float(value) if present else None
            for value, present in zip(vector.values[row], vector.present[row], strict=True)
        ]
        for row, labels in enumerate(rows)
    }


def told(context: Context) -> list[str]:
    return context.annotations.warnings(QUERY, 0) + context.annotations.infos(QUERY, 0)


CLASSIC: list[Row] = [({"le": "1"}, [2.0, 2.0]), ({"le": "2"}, [4.0, 4.0]), ({"le": "+Inf"}, [4.0, 4.0])]
NATIVE = "{{count:4 sum:6 buckets:[1 2 1]}}"


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (histogram_functions.count, 4.0),
        (histogram_functions.total, 6.0),
        (histogram_functions.average, 1.5),
        (
            histogram_functions.deviation,
            math.sqrt((0.5**0.5 - 1.5) ** 2 + 2 * (2**0.5 - 1.5) ** 2 + (8**0.5 - 1.5) ** 2) / 2,
        ),
    ],
)
def test_numbers_are_given_of_histograms_only(function: object, value: float) -> None:
    vector = vector_of([({"n": "1"}, [NATIVE, 1.0, None]), ({"n": "2"}, [None, NATIVE, NATIVE])])
    context = context_of(3)
    found = function(context, vector)  # type: ignore[operator]
    assert answer(found) == {
        (("n", "1"),): [pytest.approx(value), None, None],
        (("n", "2"),): [None, pytest.approx(value), pytest.approx(value)],
    }
    assert told(context) == []


def test_the_variance_of_custom_buckets_is_around_their_middles() -> None:
    vector = vector_of([({}, ["{{schema:-53 count:2 sum:4 custom_values:[0 2 4] buckets:[0 1 1]}}"])])
    assert answer(histogram_functions.variance(context_of(1), vector)) == {(): [1.0]}


def test_quantiles_of_native_and_classic_histograms_stand_side_by_side() -> None:
    vector = vector_of([*CLASSIC, ({"n": "1"}, [NATIVE, NATIVE])])
    found = histogram_functions.quantile(context_of(2), scalar(0.5, 2), vector)
    assert answer(found) == {(): [1.0, 1.0], (("n", "1"),): [pytest.approx(2**0.5), pytest.approx(2**0.5)]}


def test_a_native_histogram_beside_the_buckets_of_the_same_name_gives_nothing_where_both_are() -> None:
    context = context_of(2)
    found = histogram_functions.quantile(context, scalar(0.5, 2), vector_of([*CLASSIC, ({}, [NATIVE, None])]))
    assert answer(found) == {(): [None, 1.0]}
    assert told(context) == [
        'PromQL warning: vector contains a mix of classic and native histograms for metric name "h" (1:6)'
    ]


def test_buckets_without_a_bound_are_told() -> None:
    context = context_of(2)
    bad: list[Row] = [({"le": "x"}, [1.0, 1.0]), ({"n": "1"}, [1.0, 1.0])]
    found = histogram_functions.quantile(context, scalar(0.5, 2), vector_of([*CLASSIC, *bad]))
    assert answer(found) == {(): [1.0, 1.0]}
    assert told(context) == [
        'PromQL warning: bucket label "le" is missing or has a malformed value of "x" for metric name "h" (1:6)',
        'PromQL warning: bucket label "le" is missing or has a malformed value of "" for metric name "h" (1:6)',
    ]


def test_raised_buckets_are_told_with_what_it_came_to() -> None:
    context = context_of(2)
    rows: list[Row] = [({"le": "1"}, [2.0, 3.0]), ({"le": "2"}, [1.0, 1.5]), ({"le": "+Inf"}, [4.0, 4.0])]
    histogram_functions.quantile(context, scalar(0.5, 2), vector_of(rows))
    assert told(context) == [
        "PromQL info: input to histogram_quantile needed to be fixed for monotonicity "
        "(see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) "
        'for metric name "h", from buckets 2 to 2, with a max diff of 1.5, over 2 samples '
        "from 1970-01-01T00:00:00Z to 1970-01-01T00:01:00Z (1:6)"
    ]


@pytest.mark.parametrize(("rank", "text"), [(-1.0, "-1"), (2.0, "2"), (math.nan, "NaN")])
def test_a_wrong_quantile_is_told(rank: float, text: str) -> None:
    context = context_of(1)
    histogram_functions.quantile(context, scalar(rank), vector_of([({}, [NATIVE])]))
    assert told(context) == [f"PromQL warning: quantile value should be between 0 and 1, got {text} (1:3)"]


def test_nan_observations_are_told() -> None:
    context = context_of(1)
    vector = vector_of([({}, ["{{count:15 sum:NaN buckets:[12]}}"])])
    histogram_functions.quantile(context, scalar(0.1), vector)
    histogram_functions.quantile(context, scalar(0.9), vector)
    histogram_functions.fraction(context, scalar(0.0), scalar(1.0), vector)
    assert told(context) == [
        'PromQL info: input to histogram_quantile has NaN observations, result is skewed higher for metric name "h" (1:6)',
        'PromQL info: input to histogram_quantile has NaN observations, result is NaN for metric name "h" (1:6)',
        "PromQL info: input to histogram_fraction has NaN observations, which are excluded from all fractions "
        'for metric name "h" (1:9)',
    ]


def test_a_quantile_may_be_another_at_each_step() -> None:
    ranks = Scalar(np.array([0.25, 1.0]))
    vector = vector_of([*CLASSIC, ({"n": "1"}, [NATIVE, NATIVE])])
    assert answer(histogram_functions.quantile(context_of(2), ranks, vector)) == {
        (): [0.5, 2.0],
        (("n", "1"),): [pytest.approx(1.0), pytest.approx(4.0)],
    }


def test_many_quantiles_stand_in_a_label() -> None:
    vector = vector_of([*CLASSIC, ({"n": "1"}, [NATIVE, NATIVE])])
    found = histogram_functions.quantiles(context_of(2), vector, Text("q"), scalar(0.25, 2), scalar(1.0, 2))
    assert answer(found) == {
        (("q", "0.25"),): [0.5, 0.5],
        (("n", "1"), ("q", "0.25")): [pytest.approx(1.0), pytest.approx(1.0)],
        (("q", "1.0"),): [2.0, 2.0],
        (("n", "1"), ("q", "1.0")): [pytest.approx(4.0), pytest.approx(4.0)],
    }


def test_fractions_of_native_and_classic_histograms_stand_side_by_side() -> None:
    vector = vector_of([*CLASSIC, ({"n": "1"}, [NATIVE, NATIVE])])
    found = histogram_functions.fraction(context_of(2), scalar(1.0, 2), scalar(2.0, 2), vector)
    assert answer(found) == {(): [0.5, 0.5], (("n", "1"),): [0.5, 0.5]}


def test_a_vector_of_nothing_gives_nothing() -> None:
    empty = Vector(LabelTable.of([]), np.zeros((0, 2)), np.zeros((0, 2), bool))
    assert answer(histogram_functions.quantile(context_of(2), scalar(0.5, 2), empty)) == {}
    assert answer(histogram_functions.fraction(context_of(2), scalar(0.0, 2), scalar(1.0, 2), empty)) == {}
    assert answer(histogram_functions.quantiles(context_of(2), empty, Text("q"), scalar(0.5, 2))) == {}
    assert answer(histogram_functions.count(context_of(2), empty)) == {}
