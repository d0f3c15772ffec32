"""Values as the JSON of Prometheus' API, to the digit."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sonde.query.prometheus import result_json as result_json_module
from sonde.query.prometheus.histogram_json import histogram_json
from sonde.query.prometheus.json_text import float_text, float_texts, json_of, label_texts, time_texts
from sonde.query.prometheus.result_json import result_json, result_type
from sonde.query.promql.histogram import CUSTOM_SCHEMA, Histogram
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.values import Samples, Scalar, Text, Value, Vector

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "-0"),
        (1, "1"),
        (0.1, "0.1"),
        (-1.5, "-1.5"),
        (1e6, "1000000"),
        (1e15, "1000000000000000"),
        (1e16, "10000000000000000"),
        (1.5e20, "150000000000000000000"),
        (1e21, "1e+21"),
        (-1.25e300, "-1.25e+300"),
        (1e-5, "0.00001"),
        (1e-6, "0.000001"),
        (1.234e-6, "0.000001234"),
        (9.9e-7, "9.9e-07"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740993, "9007199254740992"),
        (NAN, "NaN"),
        (INF, "+Inf"),
        (-INF, "-Inf"),
    ],
)
def test_a_value_is_written_as_go_writes_it(value: float, text: str) -> None:
    assert float_text(value) == text
    assert float_texts(np.array([1.0, value, 2.5])) == [b"1", text.encode(), b"2.5"]


@given(st.lists(st.floats(width=64)))
def test_many_values_are_written_like_each_of_them(values: list[float]) -> None:
    texts = float_texts(np.array(values, np.float64))
    assert texts == [float_text(value).encode() for value in values]
    assert all(float(text) == value or math.isnan(value) for text, value in zip(texts, values, strict=True))


@pytest.mark.parametrize(
    ("ms", "text"), [(0, b"0"), (1500, b"1.5"), (1_435_781_451_781, b"1435781451.781"), (-1, b"-0.001"), (1, b"0.001")]
)
def test_a_time_is_a_number_of_seconds(ms: int, text: bytes) -> None:
    assert time_texts(np.array([ms])) == [text]


def test_labels_are_objects_without_what_is_empty() -> None:
    table = LabelTable.of([{"b": '"\n', "a": "1"}, {}, {"b": "é", "http.status": "\udcff"}])
    assert label_texts(table) == [b'{"a":"1","b":"\\"\\n"}', b"{}", '{"b":"é","http.status":"�"}'.encode()]
    assert label_texts(LabelTable.of([{}, {}])) == [b"{}", b"{}"]


def test_bytes_that_are_no_text_do_not_stop_an_answer() -> None:
    assert json.loads(json_of({"a\udc80": ["\udcff", 1, None]})) == {"a�": ["�", 1, None]}


@pytest.mark.parametrize(
    ("histogram", "expected"),
    [
        (Histogram(), {"count": "0", "sum": "0"}),
        (
            Histogram(
                schema=0,
                zero_threshold=0.5,
                zero_count=2,
                count=10,
                sum=3.5,
                positive_indices=np.array([0, 1, 3], np.int32),
                positive_counts=np.array([1.0, 0.0, 2.0]),
                negative_indices=np.array([0, 2], np.int32),
                negative_counts=np.array([1.0, 4.0]),
            ),
            {
                "count": "10",
                "sum": "3.5",
                "buckets": [
                    [1, "-4", "-2", "4"],
                    [1, "-1", "-0.5", "1"],
                    [3, "-0.5", "0.5", "2"],
                    [0, "0.5", "1", "1"],
                    [0, "4", "8", "2"],
                ],
            },
        ),
        (
            Histogram(
                zero_threshold=0.75,
                zero_count=-1,
                positive_indices=np.array([0, 1], np.int32),
                positive_counts=np.array([1.0, 2.0]),
                negative_indices=np.array([0], np.int32),
                negative_counts=np.array([3.0]),
            ),
            {"count": "0", "sum": "0", "buckets": [[1, "-1", "-0.75", "3"], [0, "0.75", "1", "1"], [0, "1", "2", "2"]]},
        ),
        (
            Histogram(
                schema=CUSTOM_SCHEMA,
                count=6,
                sum=NAN,
                positive_indices=np.array([0, 1, 2], np.int32),
                positive_counts=np.array([1.0, 2.0, 3.0]),
                custom_values=np.array([5.0, 10.0]),
            ),
            {
                "count": "6",
                "sum": "NaN",
                "buckets": [[3, "-Inf", "5", "1"], [0, "5", "10", "2"], [0, "10", "+Inf", "3"]],
            },
        ),
    ],
)
def test_a_histogram_has_its_filled_buckets_from_low_to_high(histogram: Histogram, expected: dict[str, Any]) -> None:
    assert json.loads(histogram_json(histogram)) == expected


TIMES = np.array([1000, 2500, 4000])
LABELS = LabelTable.of([{"__name__": "a"}, {"__name__": "b"}])
MASK = np.array([[True, False, True], [True, True, True]])
ROWS = np.array([[1.0, NAN, 0.5], [INF, 2.0, NAN]])


def written(value: Value, *, instant: bool, limit: int = 0) -> Any:
    return json.loads(b"".join(result_json(value, TIMES, instant=instant, limit=limit)))


def test_a_matrix_has_the_points_that_are_there() -> None:
    assert written(Vector(LABELS, ROWS, MASK), instant=False) == [
        {"metric": {"__name__": "a"}, "values": [[1, "1"], [4, "0.5"]]},
        {"metric": {"__name__": "b"}, "values": [[1, "+Inf"], [2.5, "2"], [4, "NaN"]]},
    ]


def test_histograms_stand_apart_from_floats() -> None:
    drawn = np.full((2, 3), None, object)
    drawn[0, 0] = drawn[1, 1] = Histogram(count=1)
    drawn[0, 1] = Histogram(count=9)
    empty = {"count": "1", "sum": "0"}
    assert written(Vector(LABELS, ROWS, MASK, drawn), instant=False) == [
        {"metric": {"__name__": "a"}, "values": [[4, "0.5"]], "histograms": [[1, empty]]},
        {"metric": {"__name__": "b"}, "values": [[1, "+Inf"], [4, "NaN"]], "histograms": [[2.5, empty]]},
    ]
    assert written(Vector(LABELS, ROWS[:, :1], MASK[:, :1], drawn[:, :1]), instant=True) == [
        {"metric": {"__name__": "a"}, "histogram": [1, empty]},
        {"metric": {"__name__": "b"}, "value": [1, "+Inf"]},
    ]


def test_a_vector_has_one_value_a_series_and_a_limit() -> None:
    vector = Vector(LABELS, ROWS[:, :1], MASK[:, :1])
    both = [{"metric": {"__name__": "a"}, "value": [1, "1"]}, {"metric": {"__name__": "b"}, "value": [1, "+Inf"]}]
    assert written(vector, instant=True) == both
    assert written(vector, instant=True, limit=1) == both[:1]
    assert written(Vector(LABELS, ROWS, MASK), instant=False, limit=1)[0]["metric"] == {"__name__": "a"}


@pytest.mark.parametrize(
    ("value", "instant", "kind", "result"),
    [
        (Scalar(np.array([2.0])), True, "scalar", [1, "2"]),
        (Text("é\udcff"), True, "string", [1, "é�"]),
        (
            Scalar(np.array([1.0, NAN, 3.0])),
            False,
            "matrix",
            [{"metric": {}, "values": [[1, "1"], [2.5, "NaN"], [4, "3"]]}],
        ),
        (Vector(LabelTable.of([]), np.zeros((0, 1)), np.zeros((0, 1), bool)), True, "vector", []),
        (Vector(LabelTable.of([]), np.zeros((0, 3)), np.zeros((0, 3), bool)), False, "matrix", []),
    ],
)
def test_the_other_types(value: Value, instant: bool, kind: str, result: Any) -> None:
    assert result_type(value, instant=instant) == kind
    assert written(value, instant=instant) == result


def test_an_instant_query_for_a_range_answers_each_sample_at_its_own_time() -> None:
    drawn = np.array([None, None, Histogram(count=1)], object)
    samples = Samples(LABELS, np.array([0, 2, 3]), np.array([5, 1000, 7]), np.array([1.0, NAN, 0.0]), drawn)
    assert result_type(samples, instant=True) == "matrix"
    assert written(samples, instant=True) == [
        {"metric": {"__name__": "a"}, "values": [[0.005, "1"], [1, "NaN"]]},
        {"metric": {"__name__": "b"}, "histograms": [[0.007, {"count": "1", "sum": "0"}]]},
    ]


def test_a_large_matrix_comes_in_pieces_that_are_one_document() -> None:
    table = LabelTable.of([{"i": str(index)} for index in range(500)])
    pieces = list(
        result_json(Vector(table, np.ones((500, 50)), np.ones((500, 50), bool)), np.arange(50), instant=False)
    )
    assert len(pieces) > 3
    assert max(map(len, pieces)) < 200_000
    assert len(json.loads(b"".join(pieces))) == 500


ODD = [0.0, -0.0, 1.0, -2.5, 1e-5, 9.9e-6, 1e15, 1e16, 1e21, 5e-324, math.nan, math.inf, -math.inf]
CELLS = st.one_of(st.none(), st.sampled_from(ODD), st.floats(), st.integers(-(2**53), 2**53).map(float))


@settings(deadline=None)
@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=6), st.integers(1, 4))
def test_rows_written_at_once_are_as_points_written_one_by_one(rows: list[list[float | None]], cells: int) -> None:
    times = np.array([0, 1500, 1_700_000_000_001], np.int64)
    values = np.array([[cell or 0.0 for cell in row] for row in rows], np.float64).reshape(len(rows), 3)
    present = np.array([[cell is not None for cell in row] for row in rows], bool).reshape(len(rows), 3)
    vector = Vector(LabelTable.of([{"row": str(row)} for row in range(len(rows))]), values, present)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(result_json_module, "PART_CELLS", cells)
        found = json.loads(b"".join(result_json(vector, times, instant=False)))
    slowly = [
        {"metric": {"row": str(row)}}
        | (
            {"values": [[time / 1000, float_text(value)] for time, value, yes in points if yes]}
            if any(yes for _, _, yes in points)
            else {}
        )
        for row, points in enumerate(
            list(zip(times.tolist(), own, there, strict=True))
            for own, there in zip(values.tolist(), present.tolist(), strict=True)
        )
    ]
    assert found == slowly
