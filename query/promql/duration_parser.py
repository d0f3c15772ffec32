"""The grammar of durations: literals, and arithmetic over them, `step()` and `range()`."""

from __future__ import annotations

from sonde.query.promql.cursor import Cursor
from sonde.query.promql.durations import MAX_SECONDS, milliseconds, parse_duration
from sonde.query.promql.lexer import DURATION, NUMBER, Token
from sonde.query.promql.numbers import parse_number
from sonde.query.promql.syntax import Duration, DurationExpression, DurationLiteral, DurationOperand, Span

PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "%": 2, "^": 3}
OF_SIGN = 2
"""A sign binds like `*`: `-2^2` is -(2^2), `-2*2` is (-2)*2."""


def number_of(cursor: Cursor, token: Token) -> float:
    """The value of a number or, in seconds, of a duration."""
    try:
        return parse_number(token.text) if token.kind == NUMBER else parse_duration(token.text)
    except ValueError as error:
        raise cursor.error(str(error), token.span) from None


def positive_duration(cursor: Cursor) -> Duration:
    """A range or a step."""
    found = _expression(cursor, 0)
    if isinstance(found, DurationLiteral):
        if found.seconds <= 0:
            raise cursor.error("duration must be greater than 0", found.span)
        return milliseconds(found.seconds)
    return found


def offset_duration(cursor: Cursor) -> Duration:
    """What stands after `offset`. Only in parentheses it is an expression: `a offset 2 ^ 2` is (a offset 2) ^ 2."""
    sign = cursor.take_if("+", "-")
    following = cursor.peek().kind
    if following in (NUMBER, DURATION, "step", "range", "min_of", "max_of") or (sign and following == "("):
        found = _signed(cursor, sign, _operand(cursor))
    elif sign:
        found = _operators(cursor, _signed(cursor, sign, _expression(cursor, OF_SIGN + 1)), 0)
    else:
        found = _expression(cursor, 0)
    return milliseconds(found.seconds) if isinstance(found, DurationLiteral) else found


def _expression(cursor: Cursor, least: int) -> DurationOperand:
    """An expression whose operators bind at least as tightly as `least`."""
    cursor.descend()
    sign = cursor.take_if("+", "-")
    left = _signed(cursor, sign, _expression(cursor, OF_SIGN + 1) if sign else _operand(cursor))
    left = _operators(cursor, left, least)
    cursor.ascend()
    return left


def _operators(cursor: Cursor, left: DurationOperand, least: int) -> DurationOperand:
    """What follows `left`, as far as it binds at least as tightly as `least`."""
    levels = 0
    while (precedence := PRECEDENCE.get(cursor.peek().kind, -1)) >= max(least, 1):
        op = cursor.take()
        right = _expression(cursor, precedence if op.kind == "^" else precedence + 1)
        if op.kind in ("/", "%") and isinstance(right, DurationLiteral) and right.seconds == 0:
            raise cursor.error("division by zero" if op.kind == "/" else "modulo by zero", op.span)
        left = DurationExpression(op.kind, (left, right), Span(left.span.start, right.span.end))
        cursor.descend()
        levels += 1
    for _ in range(levels):
        cursor.ascend()
    return left


def _signed(cursor: Cursor, sign: Token | None, operand: DurationOperand) -> DurationOperand:
    if sign is None:
        return operand
    span = Span(sign.span.start, operand.span.end)
    if isinstance(operand, DurationLiteral):
        return DurationLiteral(-operand.seconds if sign.kind == "-" else operand.seconds, operand.is_duration, span)
    return DurationExpression("neg", (operand,), span) if sign.kind == "-" else operand


def _operand(cursor: Cursor) -> DurationOperand:
    token = cursor.peek()
    match token.kind:
        case "number" | "duration":
            return _literal(cursor)
        case "step" | "range":
            cursor.take()
            cursor.expect("(")
            return DurationExpression(token.kind, (), Span(token.span.start, cursor.expect(")").span.end))
        case "min_of" | "max_of":
            return _choice(cursor)
        case "(":
            return _parenthesised(cursor)
    raise cursor.unexpected()


def _literal(cursor: Cursor) -> DurationLiteral:
    token = cursor.take()
    seconds = number_of(cursor, token)
    if not abs(seconds) <= MAX_SECONDS:
        raise cursor.error("duration out of range", token.span)
    return DurationLiteral(seconds, token.kind == DURATION, token.span)


def _choice(cursor: Cursor) -> DurationExpression:
    token = cursor.take()
    cursor.expect("(")
    left = _expression(cursor, 0)
    cursor.expect(",")
    right = _expression(cursor, 0)
    return DurationExpression(token.kind, (left, right), Span(token.span.start, cursor.expect(")").span.end))


def _parenthesised(cursor: Cursor) -> DurationExpression:
    start = cursor.expect("(").span.start
    inner = _expression(cursor, 0)
    span = Span(start, cursor.expect(")").span.end)
    # A second pair of parentheses says nothing.
    operands = inner.operands if isinstance(inner, DurationExpression) and inner.op == "()" else (inner,)
    return DurationExpression("()", operands, span)
