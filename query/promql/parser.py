"""PromQL text to a syntax tree, by precedence climbing.

Source: https://prometheus.io/docs/prometheus/latest/querying/basics/ and .../operators/
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from sonde.query.promql.check import COMPARISONS, SET_OPERATORS, WITH_PARAMETER, check, type_of
from sonde.query.promql.cursor import MAX_DEPTH, Cursor
from sonde.query.promql.duration_parser import number_of, offset_duration, positive_duration
from sonde.query.promql.float_text import plain
from sonde.query.promql.lexer import (
    AGGREGATORS,
    DURATION,
    END,
    IDENTIFIER,
    METRIC_IDENTIFIER,
    NUMBER,
    QUERY_WORDS,
    STRING,
    Token,
)
from sonde.query.promql.quoting import quote
from sonde.query.promql.selector_parser import grouping_labels, label_matchers
from sonde.query.promql.signatures import SIGNATURES
from sonde.query.promql.syntax import (
    Aggregate,
    At,
    Binary,
    Call,
    Cardinality,
    Duration,
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
    ValueType,
    VectorMatching,
    VectorSelector,
    children,
)

PRECEDENCE = {
    "or": 1,
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys((*COMPARISONS, "</", ">/"), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%", "atan2"), 5),
    "^": 6,
}
OF_SIGN = PRECEDENCE["*"]
RIGHT_ASSOCIATIVE = frozenset(("^",))
METRIC_WORDS = (
    AGGREGATORS
    | QUERY_WORDS
    | frozenset(
        ["by", "fill", "fill_left", "fill_right", "and", "or", "unless", "offset", "without", "anchored", "smoothed"]
    )
)
"""Keywords that are the name of a metric where an operand has to stand."""
POSTFIXES = ("[", "offset", "@", "anchored", "smoothed")
DURATION_OR_CALL = "number, duration, step(), or range()"
MAX_TIMESTAMP_SECONDS = 2.0**63


def parse(text: str) -> Expr:
    """The tree of a query, its types checked. Raises `ParseError`."""
    parser = _Parser(text)
    if parser.cursor.peek().kind == END:
        raise parser.cursor.error("no expression found in input", Span(0, 0))
    expr = parser.expression(0)
    if parser.cursor.peek().kind != END:
        raise parser.cursor.unexpected()
    check(expr, text)
    return expr


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """The matchers of a selector without modifiers, as in `match[]`; it may be one that everything matches."""
    parser = _Parser(text)
    selector = parser.selector(parser.name())
    if parser.cursor.peek().kind != END:
        raise parser.cursor.unexpected()
    return selector.matchers


class _Parser:
    """The rules of expressions. Each takes its tokens from the cursor and gives the node they make."""

    def __init__(self, text: str) -> None:
        self.cursor = Cursor(text)
        self._heights: dict[int, int] = {}
        """Levels in each node made so far, by identity: a chain of operators is as deep as it is long."""

    def expression(self, least: int) -> Expr:
        """An expression whose operators bind at least as tightly as `least`."""
        self.cursor.descend()
        left = self._operand()
        while (precedence := PRECEDENCE.get(self.cursor.peek().kind, -1)) >= max(least, 1):
            left = self._binary(left, precedence)
        self.cursor.ascend()
        return left

    def _made(self, expr: Expr) -> Expr:
        height = 1 + max((self._heights.get(id(child), 1) for child in children(expr)), default=0)
        if height > MAX_DEPTH:
            raise self.cursor.too_deep(expr.span)
        self._heights[id(expr)] = height
        return expr

    # Operands.

    def _operand(self) -> Expr:
        if sign := self.cursor.take_if("+", "-"):
            return self._signed(sign)
        expr = self._primary()
        while (kind := self.cursor.peek().kind) in POSTFIXES:
            expr = self._made(self._postfixed(expr, kind))
        return expr

    def _signed(self, sign: Token) -> Expr:
        operand = self.expression(OF_SIGN + 1)
        span = Span(sign.span.start, operand.span.end)
        if isinstance(operand, Number):
            return replace(operand, value=-operand.value if sign.kind == "-" else operand.value, span=span)
        return self._made(Unary(sign.kind, operand, span))

    def _primary(self) -> Expr:
        token = self.cursor.peek()
        if not starts_operand(token):
            raise self.cursor.unexpected()
        if token.kind == "{":
            return self.selector(None)
        self.cursor.take()
        following = self.cursor.peek().kind if token.kind not in (NUMBER, DURATION, STRING, "(") else ""
        match token.kind:
            case "number" | "duration":
                return Number(number_of(self.cursor, token), token.kind == DURATION, token.span)
            case "string":
                return String(token.value, token.span)
            case "(":
                expr = self.expression(0)
                return self._made(Paren(expr, self._span_from(token, self.cursor.expect(")"))))
            case kind if following == "(" and (kind == IDENTIFIER or kind in QUERY_WORDS):
                return self._made(self._call(token))
            case kind if following in ("(", "by", "without") and kind in AGGREGATORS:
                return self._made(self._aggregate(token))
        return self.selector(token)

    def name(self) -> Token | None:
        """The name before a selector's braces, where there is one."""
        if self.cursor.peek().kind == "{":
            return None
        if name := self.cursor.take_if(IDENTIFIER, METRIC_IDENTIFIER, *METRIC_WORDS):
            return name
        raise self.cursor.unexpected()

    def selector(self, name: Token | None) -> VectorSelector:
        """`name{matchers}`, its name already taken; the matchers may be missing where there is a name."""
        matchers: tuple[Matcher, ...] = ()
        span = name.span if name else self.cursor.peek().span
        if name is None or self.cursor.peek().kind == "{":
            matchers, braces = label_matchers(self.cursor)
            span = Span(span.start, braces.end)
        if name is None:
            return VectorSelector("", matchers, span=span)
        return VectorSelector(name.text, (*matchers, Matcher("__name__", MatchOp.EQUAL, name.text)), span=span)

    def _call(self, name: Token) -> Call:
        args = self._arguments()
        if name.text not in SIGNATURES:
            raise self.cursor.error(f"unknown function with name {quote(name.text)}", name.span)
        return Call(name.text, args, self._span_from(name, self.cursor.last))

    def _arguments(self) -> tuple[Expr, ...]:
        self.cursor.expect("(")
        args: list[Expr] = []
        while not self.cursor.take_if(")"):
            args.append(self.expression(0))
            if comma := self.cursor.take_if(","):
                if not starts_operand(self.cursor.peek(), or_sign=True):
                    raise self.cursor.error("trailing commas not allowed in function call args", comma.span)
            else:
                self.cursor.expect(")")
                break
        return tuple(args)

    def _aggregate(self, op: Token) -> Aggregate:
        with self.cursor.within("aggregation"):
            modifier = self.cursor.take_if("by", "without")
            grouping = grouping_labels(self.cursor) if modifier else ()
            args = self._arguments()
            if modifier is None and (modifier := self.cursor.take_if("by", "without")):
                grouping = grouping_labels(self.cursor)
        span = self._span_from(op, self.cursor.last)
        wanted = 2 if op.kind in WITH_PARAMETER else 1
        if not args:
            raise self.cursor.error("no arguments for aggregate expression provided", span)
        if len(args) != wanted:
            counts = f"expected {wanted}, got {len(args)}"
            raise self.cursor.error(f"wrong number of arguments for aggregate expression provided, {counts}", span)
        without = modifier is not None and modifier.kind == "without"
        return Aggregate(op.kind, args[-1], args[0] if wanted == 2 else None, grouping, without, span)

    # Operators.

    def _binary(self, left: Expr, precedence: int) -> Expr:
        op = self.cursor.take().kind
        return_bool = self.cursor.take_if("bool") is not None
        matching = self._matching(op)
        right = self.expression(precedence if op in RIGHT_ASSOCIATIVE else precedence + 1)
        vectors = type_of(left) is type_of(right) is ValueType.VECTOR
        says_something = matching.labels or matching.fill_left is not None or matching.fill_right is not None
        span = Span(left.span.start, right.span.end)
        # What fits no scalar is kept for `check` to complain of; `on()` beside one is nothing at all.
        return self._made(Binary(op, left, right, matching if vectors or says_something else None, return_bool, span))

    def _matching(self, op: str) -> VectorMatching:
        matching = VectorMatching(Cardinality.MANY_TO_MANY if op in SET_OPERATORS else Cardinality.ONE_TO_ONE)
        if by := self.cursor.take_if("on", "ignoring"):
            matching = replace(matching, on=by.kind == "on", labels=grouping_labels(self.cursor))
            if group := self.cursor.take_if("group_left", "group_right"):
                many_to_one = group.kind == "group_left"
                matching = replace(
                    matching,
                    cardinality=Cardinality.MANY_TO_ONE if many_to_one else Cardinality.ONE_TO_MANY,
                    include=grouping_labels(self.cursor) if self.cursor.peek().kind == "(" else (),
                )
        return self._filled(matching)

    def _filled(self, matching: VectorMatching) -> VectorMatching:
        fill = self.cursor.take_if("fill", "fill_left", "fill_right")
        if fill is None:
            return matching
        value = self._fill_value()
        if fill.kind == "fill":
            return replace(matching, fill_left=value, fill_right=value)
        if fill.kind == "fill_left":
            other = self._fill_value() if self.cursor.take_if("fill_right") else None
            return replace(matching, fill_left=value, fill_right=other)
        other = self._fill_value() if self.cursor.take_if("fill_left") else None
        return replace(matching, fill_left=other, fill_right=value)

    def _fill_value(self) -> float:
        self.cursor.expect("(")
        value = self._signed_number()
        self.cursor.expect(")")
        return value

    def _signed_number(self) -> float:
        sign = self.cursor.take_if("+", "-")
        number = self.cursor.take_if(NUMBER, DURATION)
        if number is None:
            raise self.cursor.unexpected()
        value = number_of(self.cursor, number)
        return -value if sign and sign.kind == "-" else value

    # What follows an operand.

    def _postfixed(self, expr: Expr, kind: str) -> Expr:
        match kind:
            case "[":
                return self._bracketed(expr)
            case "offset":
                return self._offset(expr)
            case "@":
                return self._at(expr)
            case _:
                return self._modified(expr)

    def _bracketed(self, expr: Expr) -> Expr:
        cursor = self.cursor
        bracket = cursor.take()
        with cursor.within("subquery or range selector", DURATION_OR_CALL):
            length = positive_duration(cursor)
        with cursor.within("subquery or range", '":" or "]"'):
            if not cursor.take_if(":"):
                cursor.expect("]")
                return self._range(expr, length, self._span_from(bracket, cursor.last))
        step: Duration | None = None
        with cursor.within("subquery selector", f'{DURATION_OR_CALL.replace(", or", ",")}, or "]"'):
            if cursor.peek().kind != "]":
                step = positive_duration(cursor)
        with cursor.within("subquery selector", '"]"'):
            end = cursor.expect("]")
        return Subquery(expr, length, step, span=Span(expr.span.start, end.span.end))

    def _range(self, expr: Expr, length: Duration, brackets: Span) -> MatrixSelector:
        if not isinstance(expr, VectorSelector):
            raise self.cursor.error("ranges only allowed for vector selectors", brackets)
        if expr.offset != 0:
            raise self.cursor.error("no offset modifiers allowed before range", brackets)
        if expr.at is not None:
            raise self.cursor.error("no @ modifiers allowed before range", brackets)
        return MatrixSelector(expr, length, Span(expr.span.start, brackets.end))

    def _offset(self, expr: Expr) -> Expr:
        self.cursor.take()
        with self.cursor.within("offset", DURATION_OR_CALL):
            offset = offset_duration(self.cursor)
        target = self._selector_of(expr, "offset modifier")
        if target.offset != 0:
            raise self.cursor.error("offset may not be set multiple times", expr.span)
        return self._with(expr, offset=offset)

    def _at(self, expr: Expr) -> Expr:
        self.cursor.take()
        with self.cursor.within("@", "timestamp"):
            at = self._time(expr)
        if self._selector_of(expr, "@ modifier").at is not None:
            raise self.cursor.error("@ <timestamp> may not be set multiple times", expr.span)
        return self._with(expr, at=at)

    def _time(self, expr: Expr) -> int | At:
        if word := self.cursor.take_if("start", "end"):
            self.cursor.expect("(")
            self.cursor.expect(")")
            return At(word.kind)
        seconds = self._signed_number()
        if not abs(seconds) < MAX_TIMESTAMP_SECONDS:
            shown = f"{seconds:f}" if math.isfinite(seconds) else plain(seconds)
            raise self.cursor.error(f"timestamp out of bounds for @ modifier: {shown}", expr.span)
        return math.floor(seconds * 1000 + 0.5)

    def _selector_of(self, expr: Expr, modifier: str) -> VectorSelector | Subquery:
        """What carries the modifiers of `expr`."""
        match expr:
            case MatrixSelector():
                return expr.vector
            case VectorSelector() | Subquery():
                return expr
        selectors = "an instant vector selector or range vector selector or a subquery"
        raise self.cursor.error(f"{modifier} must be preceded by {selectors}", expr.span)

    def _modified(self, expr: Expr) -> Expr:
        modifier = Modifier(self.cursor.take().kind)
        if isinstance(expr, Subquery):
            raise self.cursor.error(f"{modifier.value} modifier is not supported for subqueries", expr.span)
        if not isinstance(expr, VectorSelector | MatrixSelector):
            raise self.cursor.error(f"{modifier.value} modifier not implemented", expr.span)
        vector = expr.vector if isinstance(expr, MatrixSelector) else expr
        if vector.modifier not in (None, modifier):
            raise self.cursor.error("anchored and smoothed modifiers cannot be used together", expr.span)
        return self._with(expr, modifier=modifier)

    def _with(self, expr: Expr, **modifiers: Any) -> Expr:
        """`expr` with modifiers set where they belong, and reaching to the token taken last."""
        span = self._span_from(expr, self.cursor.last)
        if isinstance(expr, MatrixSelector):
            return replace(expr, vector=replace(expr.vector, **modifiers), span=span)
        return replace(expr, **modifiers, span=span)

    def _span_from(self, first: Token | Expr, last: Token) -> Span:
        return Span(first.span.start, last.span.end)


def starts_operand(token: Token, *, or_sign: bool = False) -> bool:
    """Whether an operand may begin with this token; a sign makes one of what follows it."""
    if token.kind in (NUMBER, DURATION, STRING, IDENTIFIER, METRIC_IDENTIFIER, "(", "{"):
        return True
    return token.kind in METRIC_WORDS or (or_sign and token.kind in ("+", "-"))
