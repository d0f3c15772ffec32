"""PromQL text to trees: what parses, to what, and what is said of what doesn't."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import pytest
from queries import conformance_queries
from sonde.query.promql.cursor import MAX_CHARACTERS, MAX_DEPTH
from sonde.query.promql.errors import ParseError
from sonde.query.promql.parser import parse, parse_selector
from sonde.query.promql.printer import pretty, to_text
from sonde.query.promql.syntax import (
    Aggregate,
    At,
    Binary,
    Call,
    Cardinality,
    DurationExpression,
    DurationLiteral,
    Expr,
    Matcher,
    MatchOp,
    MatrixSelector,
    Modifier,
    Number,
    Paren,
    Span,
    String,
    Subquery,
    Unary,
    VectorMatching,
    VectorSelector,
    children,
)

NAME = "__name__"


def metric(name: str, *matchers: Matcher, **modifiers: object) -> VectorSelector:
    return VectorSelector(name, (*matchers, Matcher(NAME, MatchOp.EQUAL, name)), **modifiers)  # type: ignore[arg-type]


def equal(name: str, value: str) -> Matcher:
    return Matcher(name, MatchOp.EQUAL, value)


A, B = metric("a"), metric("b")
SECONDS = 1000
MINUTES = 60 * SECONDS
STEP = DurationExpression("step")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-1", -1),
        ("+5.5", 5.5),
        (".5", 0.5),
        ("5.", 5),
        ("1e3", 1000),
        ("1E-2", 0.01),
        ("0x1F", 31),
        ("0X_ff", 255),
        ("010", 8),
        ("089", 89),
        ("1_000_000", 1_000_000),
        ("1_0.5_5e1_0", 10.55e10),
        ("Inf", math.inf),
        ("-iNf", -math.inf),
        ("99999999999999999999", 1e20),
    ],
)
def test_numbers_are_read_as_go_reads_them(text: str, value: float) -> None:
    assert parse(text) == Number(value)


def test_nan_is_a_number() -> None:
    expr = parse("nAn")
    assert isinstance(expr, Number)
    assert math.isnan(expr.value)


@pytest.mark.parametrize(
    ("text", "seconds"), [("5m", 300), ("1h30m", 5400), ("-2ms", -0.002), ("1y2w3d4h5m6s7ms", 33019506.007)]
)
def test_a_duration_is_a_number_of_seconds(text: str, seconds: float) -> None:
    assert parse(text) == Number(seconds, is_duration=True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"a\n\t\"\\"', 'a\n\t"\\'),
        (r"'it\'s'", "it's"),
        (r'"\x41\101é\U0001F600"', "AAé\U0001f600"),
        (r"`raw \n`", r"raw \n"),
        (r'"\xff"', "\udcff"),
        ('"日本"', "日本"),
        ("''", ""),
    ],
)
def test_strings_have_go_s_escapes(text: str, value: str) -> None:
    assert parse(text) == String(value)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a", A),
        ("a:b:c", metric("a:b:c")),
        ("a{}", A),
        ('a{x="1",}', metric("a", equal("x", "1"))),
        ('{x!="1", y=~"2|3", z!~`4`}', VectorSelector("", (
            Matcher("x", MatchOp.NOT_EQUAL, "1"), Matcher("y", MatchOp.REGEX, "2|3"), Matcher("z", MatchOp.NOT_REGEX, "4")))),
        ('{"http.server.duration", "odd label"="x"}', VectorSelector("", (
            equal(NAME, "http.server.duration"), equal("odd label", "x")))),
        ("a{by='1', sum='2'}", metric("a", equal("by", "1"), equal("sum", "2"))),
        ("sum", metric("sum")),
        ("Offset", metric("Offset")),
        ("start + step", Binary("+", metric("start"), metric("step"), VectorMatching())),
        ("fill + fill", Binary("+", metric("fill"), metric("fill"), VectorMatching())),
        ("and and and", Binary("and", metric("and"), metric("and"), VectorMatching(Cardinality.MANY_TO_MANY))),
        ("# what for\na # and why", A),
    ],
)  # fmt: skip
def test_selectors(text: str, tree: Expr) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a[5m]", MatrixSelector(A, 5 * MINUTES)),
        ("a[300]", MatrixSelector(A, 5 * MINUTES)),
        ("a[ 0x3C ]", MatrixSelector(A, MINUTES)),
        ("a[1h30m] offset 5m", MatrixSelector(metric("a", offset=5 * MINUTES), 90 * MINUTES)),
        ("a offset -1m", metric("a", offset=-MINUTES)),
        ("a offset 30", metric("a", offset=30 * SECONDS)),
        ("a @ 1.5", metric("a", at=1500)),
        ("a @ -1m", metric("a", at=-MINUTES)),
        ("a @ start() offset 1m", metric("a", at=At.START, offset=MINUTES)),
        ("a offset 1m @ end()", metric("a", at=At.END, offset=MINUTES)),
        ("a[1m] anchored", MatrixSelector(metric("a", modifier=Modifier.ANCHORED), MINUTES)),
        ("a smoothed @ 5", metric("a", modifier=Modifier.SMOOTHED, at=5000)),
        ("a[10m:]", Subquery(A, 10 * MINUTES)),
        ("a[10m:1m] offset 1m @ 7", Subquery(A, 10 * MINUTES, MINUTES, offset=MINUTES, at=7000)),
        ("a[step()]", MatrixSelector(A, STEP)),
        ("a[STEP():range()]", Subquery(A, STEP, DurationExpression("range"))),
        ("a[-5m+35m]", MatrixSelector(A, DurationExpression("+", (DurationLiteral(-300), DurationLiteral(2100))))),
        ("a[2^3^2]", MatrixSelector(A, DurationExpression("^", (
            DurationLiteral(2, False), DurationExpression("^", (DurationLiteral(3, False), DurationLiteral(2, False))))))),
        ("a[-2^2]", MatrixSelector(A, DurationExpression("neg", (
            DurationExpression("^", (DurationLiteral(2, False), DurationLiteral(2, False))),)))),
        ("a[min_of(step(), 1h)]", MatrixSelector(A, DurationExpression("min_of", (STEP, DurationLiteral(3600))))),
        ("a offset step()*2", Binary("*", metric("a", offset=STEP), Number(2))),
        ("a offset -2^2", Binary("^", metric("a", offset=-2 * SECONDS), Number(2))),
        ("a offset (5)", metric("a", offset=DurationExpression("()", (DurationLiteral(5, False),)))),
        ("a offset (5) + 3", metric("a", offset=DurationExpression("+", (
            DurationExpression("()", (DurationLiteral(5, False),)), DurationLiteral(3, False))))),
        ("a offset -(5) + 3", Binary("+", metric("a", offset=DurationExpression("neg", (
            DurationExpression("()", (DurationLiteral(5, False),)),))), Number(3))),
        ("a offset -step()", metric("a", offset=DurationExpression("neg", (STEP,)))),
    ],
)  # fmt: skip
def test_times_and_durations(text: str, tree: Expr) -> None:
    assert parse(text) == tree


def many_to_one(**modifiers: object) -> VectorMatching:
    return VectorMatching(Cardinality.MANY_TO_ONE, ("x",), True, **modifiers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a + 1 * 2", Binary("+", A, Binary("*", Number(1), Number(2)))),
        ("-2^2", Unary("-", Binary("^", Number(2), Number(2)))),
        ("2^-2", Binary("^", Number(2), Number(-2))),
        ("2^3^2", Binary("^", Number(2), Binary("^", Number(3), Number(2)))),
        ("-a * 2", Binary("*", Unary("-", A), Number(2))),
        ("1 - 2 - 3", Binary("-", Binary("-", Number(1), Number(2)), Number(3))),
        ("(a)", Paren(A)),
        ("a == bool 1", Binary("==", A, Number(1), None, True)),
        ("a atan2 b", Binary("atan2", A, B, VectorMatching())),
        ("a </ 2", Binary("</", A, Number(2))),
        ("a OR on() b", Binary("or", A, B, VectorMatching(Cardinality.MANY_TO_MANY, (), True))),
        ("a / ignoring(x, 'y.z',) b", Binary("/", A, B, VectorMatching(labels=("x", "y.z")))),
        ("a * on(x) group_left b", Binary("*", A, B, many_to_one())),
        ("a * on(x) group_left(y) fill(-0.5) b", Binary("*", A, B, many_to_one(include=("y",), fill_left=-0.5, fill_right=-0.5))),
        ("a + fill_right(1) fill_left(2) b", Binary("+", A, B, VectorMatching(fill_left=2, fill_right=1))),
        ("1 + on() group_left(x) 2", Binary("+", Number(1), Number(2))),
        ("sum(a)", Aggregate("sum", A)),
        ("SUM by (x) (a)", Aggregate("sum", A, None, ("x",))),
        ("topk(3, a) without (on, \"y.z\")", Aggregate("topk", A, Number(3), ("on", "y.z"), True)),
        ("time()", Call("time", ())),
        ("range() - max_of(step(), 2)", Binary("-", Call("range", ()), Call("max_of", (Call("step", ()), Number(2))))),
        ("rate(a[5m])", Call("rate", (MatrixSelector(A, 5 * MINUTES),))),
        ('info(a, {x=~".*"})', Call("info", (A, VectorSelector("", (Matcher("x", MatchOp.REGEX, ".*"),))))),
    ],
)  # fmt: skip
def test_operators_aggregations_and_calls(text: str, tree: Expr) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "unknown position: parse error: no expression found in input"),
        ("  ", "1:1: parse error: no expression found in input"),
        ("a b", '1:3: parse error: unexpected identifier "b"'),
        ("a\n+\n+ on", "3:3: parse error: unexpected <on>"),
        ("a +", "1:4: parse error: unexpected end of input"),
        ("a =", '1:3: parse error: unexpected "="'),
        ("(a", "1:3: parse error: unclosed left parenthesis"),
        ("a)", "1:3: parse error: unexpected right parenthesis ')'"),
        ("a{", "1:3: parse error: unexpected end of input inside braces"),
        ("a{b}", '1:4: parse error: unexpected "}" in label matching, expected label matching operator'),
        ("a{b=c}", '1:5: parse error: unexpected identifier "c" in label matching, expected string'),
        ("a{,}", '1:3: parse error: unexpected "," in label matching, expected identifier or "}"'),
        ('a{b="1" c="2"}', '1:9: parse error: unexpected identifier "c" in label matching, expected "," or "}"'),
        ("a{b=~'['}", "1:3: parse error: error parsing regexp: missing closing ]: `[`"),
        ("a{b=~'x)|(y'}", "1:3: parse error: error parsing regexp: unexpected ): `x)|(y`"),
        ("a[", "1:3: parse error: unexpected end of input in duration expression"),
        ("a[5m", "1:5: parse error: unclosed left bracket"),
        ("a[0]", "1:3: parse error: duration must be greater than 0"),
        ("a[5x]", '1:3: parse error: bad number or duration syntax: "5"'),
        ("a[1m1h]", '1:3: parse error: not a valid duration string: "1m1h"'),
        ("a[300y]", "1:3: parse error: duration out of range"),
        ("a[5m:1m:1m]", "1:8: parse error: unexpected colon ':'"),
        ("a[1/0]", "1:4: parse error: division by zero"),
        ("a[5m foo]", "1:6: parse error: unexpected character: 'f', expected ':'"),
        ("a offset b", '1:10: parse error: unexpected identifier "b" in offset, expected number, duration, step(), or range()'),
        ("1 offset 5m", "1:1: parse error: offset modifier must be preceded by an instant vector selector or range"
            " vector selector or a subquery"),
        ("a offset 5m offset 5m", "1:1: parse error: offset may not be set multiple times"),
        ("a @ b", '1:5: parse error: unexpected identifier "b" in @, expected timestamp'),
        ("a @ inf", "1:1: parse error: timestamp out of bounds for @ modifier: +Inf"),
        ("a @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times"),
        ("a offset 5m [5m]", "1:13: parse error: no offset modifiers allowed before range"),
        ("(a)[5m]", "1:4: parse error: ranges only allowed for vector selectors"),
        ("a[5m:] anchored", "1:1: parse error: anchored modifier is not supported for subqueries"),
        ("a anchored smoothed", "1:1: parse error: anchored and smoothed modifiers cannot be used together"),
        ("foo(a)", '1:1: parse error: unknown function with name "foo"'),
        ("RATE(a[5m])", '1:1: parse error: unknown function with name "RATE"'),
        ("abs(a,)", "1:6: parse error: trailing commas not allowed in function call args"),
        ("sum(a b)", '1:7: parse error: unexpected identifier "b" in aggregation'),
        ("sum by x (a)", '1:8: parse error: unexpected identifier "x" in grouping opts, expected "("'),
        ("sum by (x y) (a)", '1:11: parse error: unexpected identifier "y" in grouping opts, expected "," or ")"'),
        ("sum by (1) (a)", '1:9: parse error: unexpected number "1" in grouping opts, expected label'),
        ("sum()", "1:1: parse error: no arguments for aggregate expression provided"),
        ("topk(a)", "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1"),
        ('"a', "1:1: parse error: unterminated quoted string"),
        (r'"\q"', "1:1: parse error: unknown escape sequence U+0071 'q'"),
        (r'"\ud800"', "1:1: parse error: escape sequence is an invalid Unicode code point"),
        (r'"\xg0"', "1:1: parse error: illegal character U+0067 'g' in escape sequence"),
        ("$", "1:1: parse error: unexpected character: '$'"),
        ("a !~ b", "1:3: parse error: unexpected character after '!': '~'"),
        ("日本", "1:1: parse error: unexpected character: '日'"),
    ],
)  # fmt: skip
def test_what_is_no_promql_gets_prometheus_words_and_place(text: str, error: str) -> None:
    with pytest.raises(ParseError) as raised:
        parse(text)
    assert str(raised.value) == error


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("rate(a)", '1:6: parse error: expected type range vector in call to function "rate", got instant vector'),
        ("abs()", '1:1: parse error: expected 1 argument(s) in call to "abs", got 0'),
        ("round(a, 1, 2)", '1:1: parse error: expected at most 2 argument(s) in call to "round", got 3'),
        ('label_join(a, "b")', '1:1: parse error: expected at least 3 argument(s) in call to "label_join", got 2'),
        ("sum(1)", "1:5: parse error: expected type instant vector in aggregation expression, got scalar"),
        ("topk(a, a)", "1:6: parse error: expected type scalar in aggregation parameter, got instant vector"),
        ("a[5m] + 1", "1:1: parse error: binary expression must contain only scalar and instant vector types"),
        ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        ("a + bool 1", "1:3: parse error: bool modifier can only be used on comparison operators"),
        ("a + on(x) 1", "1:1: parse error: vector matching only allowed between instant vectors"),
        ("a + fill(0) 1", "1:1: parse error: filling in missing series only allowed between instant vectors"),
        ("a and 1", '1:1: parse error: set operator "and" not allowed in binary scalar expression'),
        ("a and on(x) group_left b", '1:1: parse error: no grouping allowed for "and" operation'),
        ("a or fill(0) b", "1:1: parse error: filling in missing series not allowed for set operators"),
        ("a + on(x) group_left(x) b", '1:3: parse error: label "x" must not occur in ON and GROUP clause at once'),
        ('-"a"', '1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got "string"'),
        ("a[5m][5m:]", "1:1: parse error: subquery is only allowed on instant vector, got matrix instead"),
        ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ('{a=~".*"}', "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ('a{__name__="b"}', '1:1: parse error: metric name must not be set twice: "a" or "b"'),
        ("info(a, b)", "1:9: parse error: expected label selectors only, got vector selector instead"),
    ],
)  # fmt: skip
def test_what_does_not_fit_gets_prometheus_words_and_place(text: str, error: str) -> None:
    with pytest.raises(ParseError) as raised:
        parse(text)
    assert str(raised.value) == error


def test_spans_say_where_a_node_stands() -> None:
    text = " sum by (x) (rate(a[5m] offset 1m)) / -b"

    def shown(expr: Expr) -> list[str]:
        return [text[expr.span.start : expr.span.end], *(part for child in children(expr) for part in shown(child))]

    assert shown(parse(text)) == [
        text[1:],
        "sum by (x) (rate(a[5m] offset 1m))",
        "rate(a[5m] offset 1m)",
        "a[5m] offset 1m",
        "a",
        "-b",
        "b",
    ]


@pytest.mark.parametrize(
    "nested",
    [
        lambda n: "(" * n + "1" + ")" * n,
        lambda n: "1" + "+1" * n,
        lambda n: "-" * n + "a",
        lambda n: "2^" * n + "2",
        lambda n: "abs(" * n + "a" + ")" * n,
        lambda n: "sum(" * n + "a" + ")" * n,
        lambda n: "a" + "[5m:]" * n,
        lambda n: "a[" + "(" * n + "5" + ")" * n + "]",
        lambda n: "a[" + "1+" * n + "1]",
        lambda n: "a[" + "-" * n + "5]",
    ],
)
def test_depth_has_a_limit_that_is_no_recursion_error(nested: Callable[[int], str]) -> None:
    for depth in (MAX_DEPTH + 1, 10_000):
        with pytest.raises(ParseError, match="nests deeper than 128 levels"):
            parse(nested(depth))


def test_the_deepest_tree_can_be_walked_with_little_stack_left() -> None:
    deepest = "abs(" * (MAX_DEPTH - 2) + "a" + ")" * (MAX_DEPTH - 2)

    def below(frames: int) -> str:
        return below(frames - 1) if frames else to_text(parse(deepest)) + pretty(parse(deepest))

    assert sys.getrecursionlimit() == 1000
    assert below(200).count("abs(") == 2 * (MAX_DEPTH - 2)


def test_length_has_a_limit() -> None:
    with pytest.raises(ParseError, match="more than 100,000 characters"):
        parse("a" * (MAX_CHARACTERS + 1))


def test_every_conformance_query_parses_or_is_expected_to_fail() -> None:
    queries = conformance_queries()
    assert len(queries) > 1500
    refused = [(where, query, str(error)) for where, query, fails in queries if (error := refusal(query)) and not fails]
    assert refused == []


def refusal(query: str) -> ParseError | None:
    try:
        parse(query)
    except ParseError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("text", "matchers"),
    [
        ("up", (equal(NAME, "up"),)),
        ('up{job="x"}', (equal("job", "x"), equal(NAME, "up"))),
        ('{"a.b"}', (equal(NAME, "a.b"),)),
        ("{}", ()),
    ],
)
def test_a_series_selector_gives_its_matchers(text: str, matchers: tuple[Matcher, ...]) -> None:
    assert parse_selector(text) == matchers


@pytest.mark.parametrize("text", ["", "up[5m]", "up offset 5m", "1", "up + up", "rate(up[5m])"])
def test_a_series_selector_is_nothing_else(text: str) -> None:
    with pytest.raises(ParseError, match="unexpected"):
        parse_selector(text)


def test_a_position_counts_characters_and_lines() -> None:
    assert str(ParseError("no", Span(6, 7), "'é'\n+ $")) == "2:3: parse error: no"
