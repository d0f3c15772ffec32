"""Evaluation: its limits, its errors, the order of its answers. What expressions mean is in the scripts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from memory_source import MemorySource, source_of
from sonde.query.promql import ranges
from sonde.query.promql.errors import EvaluationError, QueryTimeout, TooManySamples
from sonde.query.promql.evaluate import Result, evaluate
from sonde.query.promql.limits import Limits
from sonde.query.promql.parser import parse
from sonde.query.promql.signatures import SIGNATURES
from sonde.query.promql.source import Source
from sonde.query.promql.syntax import Matcher, ValueType
from sonde.query.promql.values import Samples, Scalar, Text, Vector

FEW = source_of(
    'x{a="1", b="1"} 1+1x10',
    'x{a="1", b="2"} 2+2x10',
    'x{a="2", b="1"} 3+3x10',
    'y{a="1"} 10x10',
    'y{a="2"} 20x10',
    'doubled{a="1", c="1"} 1x10',
    'doubled{a="1", c="2"} 1x10',
    'e{a="1"} 1x10',
    'f{a="1"} 1x10',
)


def at(text: str, source: Source = FEW, *, limits: Limits | None = None) -> Result:
    """An instant query at 10 minutes."""
    return evaluate(parse(text), source, start_ms=600_000, end_ms=600_000, limits=limits)


def over(text: str, source: Source = FEW, *, limits: Limits | None = None) -> Result:
    """A range query from 0 to 10 minutes, minute by minute."""
    return evaluate(parse(text), source, start_ms=0, end_ms=600_000, step_ms=60_000, limits=limits)


def rows(result: Result) -> list[dict[str, str]]:
    assert isinstance(result.value, Vector)
    return result.value.labels.rows()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "x + ignoring(b) y",
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
        ),
        ("x + on(a) y", "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"),
        (
            "y + on(a) doubled",
            'found duplicate series for the match group {a="1"} on the right hand-side of the operation: '
            '[{__name__="doubled", a="1", c="1"}, {__name__="doubled", a="1", c="2"}];'
            "many-to-many matching not allowed: matching labels must be unique on one side",
        ),
        (
            "doubled * on(a) group_right x",
            'found duplicate series for the match group {a="1"} on the left hand-side of the operation: '
            '[{__name__="doubled", a="1", c="1"}, {__name__="doubled", a="1", c="2"}];'
            "many-to-many matching not allowed: matching labels must be unique on one side",
        ),
        (
            '{__name__=~"e|f"} * on(a) group_left y{a="1"}',
            "multiple matches for labels: grouping labels must ensure unique matches",
        ),
        ('-{__name__=~"e|f"}', "vector cannot contain metrics with the same labelset"),
        ('label_replace(x, "b", "same", "a", ".*")', "vector cannot contain metrics with the same labelset"),
        ('label_replace(x, "b", "$1", "a", "(")', "invalid regular expression in label_replace(): ("),
        ('label_join(x, "", "-", "a")', "invalid destination label name in label_join(): "),
        ("topk(NaN, x)", "Parameter value is NaN"),
        ("topk(1e30, x)", "Scalar value 1e+30 overflows int64"),
        ("limit_ratio(NaN, x)", "Ratio value is NaN"),
        (
            "double_exponential_smoothing(x[5m], 1, 0.5)",
            "invalid smoothing factor. Expected: 0 < sf < 1, got: 1.000000",
        ),
        ('count_values("", x)', 'invalid label name ""'),
        ("max_over_time(x[5m] anchored)", None),
    ],
)
@pytest.mark.parametrize("ask", [at, over])
def test_what_cannot_be_answered_says_so_in_prometheus_words(ask: object, text: str, message: str | None) -> None:
    with pytest.raises(EvaluationError) as caught:
        ask(text)  # type: ignore[operator]
    assert message is None or str(caught.value) == message


def test_a_clash_is_none_where_nothing_is_matched_with_it() -> None:
    source = source_of('one{a="1", c="1"} 1 1 _', 'one{a="1", c="2"} _ 1 1', 'many{a="1"} 1 _ 1')
    result = evaluate(parse("many + on(a) one"), source, start_ms=0, end_ms=120_000, step_ms=60_000, lookback_ms=60_000)
    assert isinstance(result.value, Vector)
    assert result.value.present.tolist() == [[True, False, True]]


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "rate(x[5m])",
        "sum(x)",
        "x + on(a, b) x",
        "x or y",
        "max_over_time(x[10m:1s])",
        "max_over_time(vector(1)[100y:1ms])",
        'count_values("v", x)',
    ],
)
def test_a_query_that_would_hold_too_much_is_refused(text: str) -> None:
    with pytest.raises(TooManySamples, match="would load too many samples into memory"):
        over(text, limits=Limits(max_samples=25))


def test_a_range_of_too_many_steps_is_refused_before_they_are_made() -> None:
    with pytest.raises(TooManySamples):
        evaluate(parse("1"), FEW, start_ms=0, end_ms=10**15, step_ms=1)


def test_what_has_been_used_is_free_again() -> None:
    """Each operand is small; held together they would be too much."""
    text = " + ".join(["sum(rate(x[5m]))"] * 20)
    assert isinstance(over(text, limits=Limits(max_samples=400)).value, Vector)


def test_a_query_stops_between_operators_when_it_is_told_to() -> None:
    asked: list[None] = []

    def check() -> None:
        asked.append(None)
        if len(asked) > 3:
            raise QueryTimeout("too late")

    with pytest.raises(QueryTimeout, match="too late"):
        at("sum(x) + sum(y) + sum(x)", limits=Limits(check=check))


class Recording:
    """Says which times it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Samples:
        self.asked.append((start_ms, end_ms))
        return FEW.select(matchers, start_ms, end_ms)


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("x", (300_001, 900_000)),
        ("x offset 1m", (240_001, 840_000)),
        ("x offset -1m", (360_001, 960_000)),
        ("x @ 100", (-199_999, 100_000)),
        ("x @ end()", (600_001, 900_000)),
        ("rate(x[1m])", (540_001, 900_000)),
        ("rate(x[1m] anchored)", (240_001, 900_000)),
        ("rate(x[1m] smoothed)", (240_001, 1_200_000)),
        ("max_over_time(x[2m:1m])", (240_001, 900_000)),
        ("max_over_time(x[2m:1m] @ 600)", (240_001, 600_000)),
    ],
)
def test_a_source_is_asked_for_no_more_than_is_looked_at(text: str, times: tuple[int, int]) -> None:
    source = Recording()
    evaluate(parse(text), source, start_ms=600_000, end_ms=900_000, step_ms=60_000)
    assert source.asked == [times]


def test_what_is_the_same_at_every_step_is_evaluated_once() -> None:
    source = Recording()
    result = over("scalar(sum(x @ 300)) + x", source)
    assert len(source.asked) == 2
    assert isinstance(result.value, Vector)
    assert result.value.values[0].tolist() == [36 + 1 + step for step in range(11)]


def test_a_range_query_answers_in_the_order_of_labels() -> None:
    assert rows(over("sort_desc(x)")) == sorted(rows(over("x")), key=lambda row: sorted(row.items()))


def test_an_instant_query_answers_in_the_order_that_was_asked_for() -> None:
    assert [row["a"] for row in rows(at("sort_desc(sum by (a) (x))"))] == ["1", "2"]
    assert [row["a"] for row in rows(at("sort(sum by (a) (x))"))] == ["1", "2"]
    assert [row["a"] + row["b"] for row in rows(at("topk(2, x)"))] == ["21", "12"]
    assert [row["a"] + row["b"] for row in rows(at("bottomk(3, x)"))] == ["11", "12", "21"]


def test_series_without_a_sample_are_left_out() -> None:
    assert rows(over("x > 31")) == [{"__name__": "x", "a": "2", "b": "1"}]
    assert rows(over("x > 1000")) == []


@pytest.mark.parametrize(
    "text", ["x", "sum(x)", "rate(x[5m])", "x + x", "x or x", "topk(1, x)", "absent(y)", "x[5m]", "sort(x)"]
)
def test_an_empty_store_has_an_answer(text: str) -> None:
    value = at(text, MemorySource()).value
    assert isinstance(value, Vector | Samples)
    assert value.labels.size == (1 if text.startswith("absent") else 0)


def test_scalars_strings_and_range_vectors_are_answers() -> None:
    assert isinstance(at("1 + 2").value, Scalar)
    assert isinstance(over("time()").value, Scalar)
    assert at('"text"').value == Text("text")
    samples = at('x{a="2"}[2m]').value
    assert isinstance(samples, Samples)
    assert samples.times.tolist() == [540_000, 600_000]
    assert samples.values.tolist() == [30.0, 33.0]


def test_names_are_dropped_at_the_end_and_series_that_became_one_are_joined() -> None:
    source = source_of("m_a 1 _ 3", "m_b _ 2 _")
    value = evaluate(
        parse('-{__name__=~"m_.*"}'), source, start_ms=0, end_ms=120_000, step_ms=60_000, lookback_ms=60_000
    ).value
    assert isinstance(value, Vector)
    assert value.labels.rows() == [{}]
    assert value.values.tolist() == [[-1.0, -2.0, -3.0]]


def test_annotations_have_a_place_count_once_and_are_capped() -> None:
    many = MemorySource()
    source = source_of(*[f"gauge_{number} 1 2 3" for number in range(12)])
    result = evaluate(parse('sum(rate({__name__=~"gauge.*"}[2m]))'), source, start_ms=120_000, end_ms=120_000)
    query = 'sum(rate({__name__=~"gauge.*"}[2m]))'
    infos = result.annotations.infos(query)
    words = "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket"
    assert infos[0] == f'{words}: "gauge_0" (1:10)'
    assert infos[-1] == "2 more info annotations omitted"
    assert len(infos) == 11
    assert len(result.annotations.infos(query, 0)) == 12
    assert result.annotations.warnings(query) == []
    assert at("quantile(2, x)", many).annotations.warnings("quantile(2, x)") == [
        "PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"
    ]


def test_stale_series_end_at_once() -> None:
    source = source_of("x 1 1 stale", "x_total 1 2 stale")
    value = evaluate(parse("x"), source, start_ms=0, end_ms=180_000, step_ms=60_000).value
    assert isinstance(value, Vector)
    assert value.present.tolist() == [[True, True, False, False]]
    increase = evaluate(parse("increase(x_total[3m])"), source, start_ms=180_000, end_ms=180_000).value
    assert isinstance(increase, Vector)
    assert np.isfinite(increase.values).all()


RANGES = [name for name, signature in SIGNATURES.items() if ValueType.MATRIX in signature.args]


def call_of(function: str) -> str:
    """A call of a function of a range vector."""
    given = {ValueType.MATRIX: '{__name__=~"x|y|mixed"}[3m]', ValueType.SCALAR: "0.5"}
    return f"{function}({', '.join(given[arg] for arg in SIGNATURES[function].args)})"


@pytest.mark.parametrize("text", [*map(call_of, RANGES), "rate(x[3m] anchored)", "max_over_time(rate(x[2m])[3m:1m])"])
def test_some_series_at_a_time_give_what_all_give_at_once(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        'x{a="1"} 1 3 2 5 stale 7',
        'x{a="2"} 1+1x6',
        'x{a="3"} 7-1x6',
        'y{a="4"} 5 _ 3 4',
        'mixed{a="5"} 1 {{count:1 sum:1}}x3',
    ]
    source = source_of(*lines)
    whole = over(text, source)
    monkeypatch.setattr(ranges, "PART_CELLS", 25)
    parts = over(text, source)
    assert isinstance(whole.value, Vector)
    assert isinstance(parts.value, Vector)
    assert parts.value.labels.rows() == whole.value.labels.rows()
    assert parts.value.present.tolist() == whole.value.present.tolist()
    seen = whole.value.present
    np.testing.assert_array_equal(parts.value.values[seen], whole.value.values[seen])
    assert parts.annotations.warnings(text) == whole.annotations.warnings(text)
    assert parts.annotations.infos(text) == whole.annotations.infos(text)


def test_a_function_over_windows_needs_little_more_than_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer of 40 series at 101 steps, of 40 samples each."""
    monkeypatch.setattr(ranges, "PART_CELLS", 500)
    source = source_of(*[f'x_total{{a="{number}"}} 1+1x39' for number in range(40)])
    limits = Limits(max_samples=40 * 101 + 40 * 40 + 5 * 500 + 101)
    result = evaluate(parse("rate(x_total[5m])"), source, start_ms=0, end_ms=3_000_000, step_ms=30_000, limits=limits)
    assert isinstance(result.value, Vector)
    assert result.value.values.shape == (40, 101)


def test_a_subquery_by_itself_has_lost_the_names_that_its_expression_loses() -> None:
    result = at("rate({__name__=~'x|y',a='1'}[2m])[3m:1m]")
    assert isinstance(result.value, Samples)
    assert result.value.labels.rows() == [{"a": "1"}, {"a": "1", "b": "1"}, {"a": "1", "b": "2"}]
    kept = at("(y > 0)[3m:1m]").value
    assert isinstance(kept, Samples)
    assert kept.labels.rows() == [{"__name__": "y", "a": "1"}, {"__name__": "y", "a": "2"}]
    with pytest.raises(EvaluationError, match="same labelset"):
        at("rate({__name__=~'e|f'}[2m])[3m:1m]")
