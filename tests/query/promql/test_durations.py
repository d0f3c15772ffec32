"""Durations: their text, and what expressions of them come to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sonde.query.promql.durations import format_duration, parse_duration, resolve
from sonde.query.promql.errors import ParseError
from sonde.query.promql.parser import parse
from sonde.query.promql.printer import to_text


@given(st.integers(1, 2**62 // 1_000_000))
def test_any_duration_is_read_back(ms: int) -> None:
    assert round(parse_duration(format_duration(ms)) * 1000) == ms


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "0s"), (1, "1ms"), (90_000, "1m30s"), (-60_000, "-1m"), (1_209_600_000, "2w")]
)
def test_durations_are_printed_as_prometheus_prints_them(ms: int, text: str) -> None:
    assert format_duration(ms) == text


@pytest.mark.parametrize("text", ["", "5", "m", "1m1h", "1m1m", "5x", "1.5h", "300y", "1hs"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("a[step()]", "a[15s]"),
        ("a[range() / 2:step() * 2] offset -step()", "a[30m:30s] offset -15s"),
        ("a offset (1h % 25m)", "a offset 10m"),
        ("a[max_of(min_of(step(), 5s), 1m)]", "a[1m]"),
        ("a[(1 + 2) ^ 2]", "a[9s]"),
        ("sum(rate(a[step() + 1ms]) + b)", "sum(rate(a[15s1ms]) + b)"),
        ("a offset (5m - 5m)", "a"),
        ("avg_over_time(rate(a[step()])[1h:5m])", "avg_over_time(rate(a[15s])[1h:5m])"),
    ],
)
def test_expressions_become_milliseconds(text: str, resolved: str) -> None:
    expr = resolve(parse(text), start_ms=0, end_ms=3_600_000, step_ms=15_000)
    assert expr == parse(resolved)


def test_an_expression_without_durations_stays_the_same_object() -> None:
    expr = parse("sum(rate(a[5m])) / b")
    assert resolve(expr, start_ms=0, end_ms=1, step_ms=1) is expr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a[step() - 1m]", "duration must be greater than 0"),
        ("a[5m:step() * 0]", "duration must be greater than 0"),
        ("a offset (1 / (1 - 1))", "division by zero"),
        ("a offset (1 % (1 - 1))", "modulo by zero"),
        ("a[10 ^ 400]", "duration is NaN or infinite"),
        ("a offset ((-1) ^ 0.5)", "duration is NaN or infinite"),
        ("a[10 ^ 12]", "duration is out of range"),
    ],
)
def test_a_duration_that_comes_to_nothing_usable_is_refused(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        resolve(parse(text), start_ms=0, end_ms=60_000, step_ms=15_000)


def test_an_instant_query_has_neither_step_nor_range() -> None:
    assert to_text(resolve(parse("a offset range()"), start_ms=5, end_ms=5, step_ms=0)) == "a"
    with pytest.raises(ParseError, match="greater than 0"):
        resolve(parse("a[step()]"), start_ms=5, end_ms=5, step_ms=0)
