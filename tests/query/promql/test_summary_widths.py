"""From how wide windows a selector is had, as a table."""

from __future__ import annotations

import numpy as np
import pytest
from memory_source import source_of
from sonde.query.promql.evaluate import Result, evaluate
from sonde.query.promql.parser import parse
from sonde.query.promql.summary_widths import Choice, Use, choose
from sonde.query.promql.values import Vector
from summarising import FIVE_MINUTES, HOUR, Summarising

SECOND, MINUTE, DAY = 1_000, 60_000, 86_400_000
INSTANT = 0


@pytest.mark.parametrize(
    ("first", "step", "range_ms", "expected"),
    [
        (0, HOUR, INSTANT, Choice(HOUR, 0)),
        (0, HOUR, HOUR, Choice(HOUR, HOUR)),
        (0, DAY, 7 * DAY, Choice(HOUR, 7 * DAY)),
        (0, HOUR, 90 * MINUTE, Choice(FIVE_MINUTES, 90 * MINUTE)),
        (0, HOUR, FIVE_MINUTES, Choice(FIVE_MINUTES, FIVE_MINUTES)),
        (0, FIVE_MINUTES, HOUR, Choice(FIVE_MINUTES, HOUR)),
        (0, 90 * MINUTE, HOUR, Choice(FIVE_MINUTES, HOUR)),
        (-3 * HOUR, HOUR, HOUR, Choice(HOUR, HOUR)),
        (FIVE_MINUTES, HOUR, HOUR, Choice(FIVE_MINUTES, HOUR)),
        (30 * MINUTE, HOUR, INSTANT, Choice(FIVE_MINUTES, 0)),
        (MINUTE, HOUR, HOUR, None),
        (1, HOUR, INSTANT, None),
        (0, HOUR, MINUTE, None),
        (0, HOUR, HOUR + MINUTE, None),
        (0, MINUTE, HOUR, None),
        (0, 7 * MINUTE, HOUR, None),
        (0, 0, HOUR, None),
    ],
)
def test_the_widest_windows_that_divide_step_range_and_phase(
    first: int, step: int, range_ms: int, expected: Choice | None
) -> None:
    ends = first + step * np.arange(10)
    assert choose(ends, step, range_ms, Use.EXACT) == expected
    assert choose(ends, step, range_ms, Use.AUTO) == expected
    assert choose(ends, step, range_ms, Use.OFF) is None


@pytest.mark.parametrize(
    ("step", "range_ms", "expected"),
    [
        (HOUR, HOUR + 15 * SECOND, Choice(HOUR, HOUR)),
        (HOUR, HOUR - 15 * SECOND, Choice(HOUR, HOUR)),
        (DAY, DAY + MINUTE, Choice(HOUR, DAY)),
        (30 * MINUTE, 30 * MINUTE + 15 * SECOND, Choice(FIVE_MINUTES, 30 * MINUTE)),
        (HOUR, 90 * MINUTE + 15 * SECOND, Choice(FIVE_MINUTES, 90 * MINUTE)),
        (FIVE_MINUTES, FIVE_MINUTES + 3 * SECOND, Choice(FIVE_MINUTES, FIVE_MINUTES)),
        (FIVE_MINUTES, FIVE_MINUTES + 15 * SECOND, None),
        (HOUR, HOUR + 37 * SECOND, None),
        (HOUR, 15 * SECOND, None),
        (HOUR, 1, None),
    ],
)
def test_a_range_is_rounded_by_a_hundredth_at_most_and_only_where_that_is_allowed(
    step: int, range_ms: int, expected: Choice | None
) -> None:
    ends = step * np.arange(10)
    assert choose(ends, step, range_ms, Use.AUTO) == expected
    assert choose(ends, step, range_ms, Use.EXACT) is None


def test_of_several_widths_one_that_rounds_nothing_comes_first() -> None:
    assert choose(HOUR * np.arange(3), HOUR, 7 * DAY + FIVE_MINUTES, Use.AUTO) == Choice(
        FIVE_MINUTES, 7 * DAY + FIVE_MINUTES
    )


def test_a_single_end_is_as_far_from_others_as_the_query_says() -> None:
    for step, expected in ((HOUR, Choice(HOUR, HOUR)), (MINUTE, None), (0, None)):
        assert choose(np.array([5 * HOUR]), step, HOUR, Use.EXACT) == expected
    assert choose(np.zeros(0, np.int64), HOUR, HOUR, Use.EXACT) is None


def asked(text: str, use: Use) -> tuple[Result, Summarising]:
    source = Summarising(source_of("x_total 0+2x600"))
    return evaluate(parse(text), source, start_ms=2 * HOUR, end_ms=9 * HOUR, step_ms=HOUR, use=use), source


def values_of(result: Result) -> np.ndarray:
    assert isinstance(result.value, Vector)
    return result.value.values


@pytest.mark.parametrize(
    ("rounded", "exact", "factor"),
    [
        ("rate(x_total[1h15s])", "rate(x_total[1h])", 1.0),
        ("increase(x_total[1h15s])", "increase(x_total[1h])", 3615 / 3600),
        ("delta(x_total[1h15s] offset 1h)", "delta(x_total[1h] offset 1h)", 3615 / 3600),
        ("max_over_time(x_total[1h15s])", "max_over_time(x_total[1h])", 1.0),
        ("count_over_time(x_total[1h15s])", "count_over_time(x_total[1h])", 1.0),
    ],
)
def test_what_is_read_of_a_rounded_range_is_said(rounded: str, exact: str, factor: float) -> None:
    found, source = asked(rounded, Use.AUTO)
    assert source.widths == [HOUR]
    np.testing.assert_allclose(values_of(found), values_of(asked(exact, Use.OFF)[0]) * factor, rtol=1e-12)
    at = rounded.index("x_total") + 1
    said = f"PromQL info: answered from 1h rollups: range 1h15s was read as 1h (1:{at})"
    assert found.annotations.infos(rounded) == [said]


def test_no_range_is_rounded_where_that_is_not_allowed() -> None:
    for use in (Use.EXACT, Use.OFF):
        found, source = asked("rate(x_total[1h15s])", use)
        assert source.widths == []
        assert found.annotations.infos("") == []
