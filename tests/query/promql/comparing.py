"""What an evaluation gave beside what a script expects of it."""

from __future__ import annotations

import math
import re

import numpy as np
from histogram_text import says_hint
from script import Case, Expectation
from series_text import Point, SeriesText
from sonde.query.promql.evaluate import Result
from sonde.query.promql.histogram import Histogram
from sonde.query.promql.labels import labels_text
from sonde.query.promql.quoting import unquote
from sonde.query.promql.values import Samples, Scalar, Text, Vector

TOLERANCE = 1e-6
Row = tuple[dict[str, str], list[Point]]


def check(case: Case, result: Result, step: int | None = None) -> None:
    """AssertionError where the result is not what `case` expects; `step` picks one step of a range query."""
    check_annotations(case, result)
    value = result.value
    if strings := case.expected("string"):
        assert isinstance(value, Text)
        assert value.value == unquote(strings[0].text.strip())
        return
    if isinstance(value, Scalar) and case.scalar is not None:
        assert almost_equal(case.scalar, float(value.values[step or 0])), f"{case.scalar} != {value.values}"
        return
    rows = sample_rows(case, value) if isinstance(value, Samples) else rows_of(value, step)
    if case.scalar is not None:
        rows = [({}, points) for _, points in rows]
        expected: list[SeriesText] = [SeriesText({}, [case.scalar], [""])]
    else:
        expected = [series for series in case.series if any(point is not None for point in series.points)]
    check_rows(case, rows, expected)


def check_rows(case: Case, rows: list[Row], expected: list[SeriesText]) -> None:
    texts = [labels_text(labels) for labels, _ in rows]
    assert len(set(texts)) == len(texts), f"the same labels twice: {texts}"
    wanted = [labels_text(series.labels) for series in expected]
    if case.expected("ordered"):
        assert texts == wanted
    assert sorted(texts) == sorted(wanted)
    found = dict(zip(texts, (points for _, points in rows), strict=True))
    for series in expected:
        check_points(series, found[labels_text(series.labels)])


def check_points(expected: SeriesText, points: list[Point]) -> None:
    wanted = expected.points + [None] * (len(points) - len(expected.points))
    texts = expected.texts + [""] * (len(points) - len(expected.texts))
    assert len(wanted) <= len(points) or all(point is None for point in wanted[len(points) :])
    same = all(equal(*pair) for pair in zip(wanted, points, texts, strict=False))
    assert same, f"{labels_text(expected.labels)}: expected {wanted}, got {points}"


def sample_rows(case: Case, samples: Samples) -> list[Row]:
    """The samples at the times that the case names; a sample at any other time is a failure."""
    times = case.sample_times()
    assert times is not None, "a range vector, and the script says not when its points were taken"
    rows: list[Row] = []
    for row in range(samples.labels.size):
        points: list[Point] = [None] * len(times)
        for at in range(samples.offsets[row], samples.offsets[row + 1]):
            points[times.index(int(samples.times[at]))] = _point(samples.values, samples.histograms, at)
        rows.append((samples.labels.row(row), points))
    return rows


def rows_of(value: Vector | Scalar | Text, step: int | None) -> list[Row]:
    assert not isinstance(value, Text)
    if isinstance(value, Scalar):
        value = Vector.of_scalar(value)
    columns = range(value.values.shape[1]) if step is None else [step]
    rows = []
    for row in range(value.labels.size):
        points = [
            _point(value.values, value.histograms, (row, column)) if value.present[row, column] else None
            for column in columns
        ]
        if any(point is not None for point in points):
            rows.append((value.labels.row(row), points))
    return rows


def _point(values: np.ndarray, histograms: np.ndarray | None, at: object) -> Point:
    histogram = None if histograms is None else histograms[at]
    return float(values[at]) if histogram is None else histogram


def equal(expected: Point, actual: Point, text: str = "") -> bool:
    if expected is None or actual is None:
        return expected is actual
    if isinstance(expected, Histogram) or isinstance(actual, Histogram):
        if not (isinstance(expected, Histogram) and isinstance(actual, Histogram)):
            return False
        hinted = text.startswith("{{") and says_hint(re.match(r"\{\{[^}]*\}\}", text)[0])  # type: ignore[index]
        return same_histogram(expected, actual) and (
            not hinted or expected.counter_reset_hint is actual.counter_reset_hint
        )
    return almost_equal(expected, actual)


def almost_equal(expected: float, actual: float) -> bool:
    """Within a relative tolerance; NaN equals NaN."""
    if math.isnan(expected) or math.isnan(actual):
        return math.isnan(expected) and math.isnan(actual)
    if expected == actual:
        return True
    if math.isinf(expected) or math.isinf(actual):
        return False
    difference = abs(expected - actual)
    tiny = np.finfo(np.float64).tiny
    if expected == 0 or actual == 0 or difference < tiny:
        return difference < TOLERANCE * tiny
    return difference / min(abs(expected) + abs(actual), np.finfo(np.float64).max) < TOLERANCE


def same_histogram(expected: Histogram, actual: Histogram) -> bool:
    if expected.schema != actual.schema or not np.array_equal(expected.custom_values, actual.custom_values):
        return False
    numbers = ("zero_threshold", "zero_count", "count", "sum")
    if not all(almost_equal(getattr(expected, name), getattr(actual, name)) for name in numbers):
        return False
    return all(
        _populated(expected, sign).keys() == _populated(actual, sign).keys()
        and all(almost_equal(n, _populated(actual, sign)[i]) for i, n in _populated(expected, sign).items())
        for sign in ("positive", "negative")
    )


def _populated(histogram: Histogram, sign: str) -> dict[int, float]:
    indices, counts = getattr(histogram, f"{sign}_indices"), getattr(histogram, f"{sign}_counts")
    return {int(index): float(count) for index, count in zip(indices, counts, strict=True) if count != 0}


def check_annotations(case: Case, result: Result) -> None:
    notes = result.annotations
    found = {"warn": notes.warnings(case.query, 0), "info": notes.infos(case.query, 0)}
    for kind, texts in found.items():
        if case.expected(f"no_{kind}"):
            assert not texts
        if wanted := case.expected(kind):
            assert texts, f"no {kind}"
            told = [one for one in wanted if one.how]
            for one in told:
                assert any(matches(one, text) for text in texts), f"{one} is not among {texts}"
            for text in texts if told else ():
                assert any(matches(one, text) for one in told), f"nobody expected {text}"


def matches(expected: Expectation, text: str) -> bool:
    if expected.how == "msg":
        return expected.text.strip() == text
    return not expected.how or re.search(expected.text.strip(), text) is not None
