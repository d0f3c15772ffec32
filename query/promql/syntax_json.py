"""A syntax tree as JSON: the shape that Prometheus' `/parse_query` answers, for the explorer of its web pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sonde.query.promql.float_text import plain
from sonde.query.promql.signatures import SIGNATURES, Signature
from sonde.query.promql.syntax import (
    Aggregate,
    At,
    Binary,
    Call,
    Duration,
    DurationExpression,
    DurationLiteral,
    DurationOperand,
    Expr,
    Matcher,
    MatrixSelector,
    Modifier,
    Number,
    Paren,
    String,
    Subquery,
    Unary,
    VectorMatching,
    VectorSelector,
)

Object = dict[str, Any]


def to_object(expr: Expr) -> Object:
    """The tree as dicts, lists, strings and numbers."""
    match expr:
        case Number():
            return {"type": "numberLiteral", "val": plain(expr.value)}
        case String():
            return {"type": "stringLiteral", "val": expr.value}
        case VectorSelector():
            return {"type": "vectorSelector", **_selector(expr)}
        case MatrixSelector():
            return {"type": "matrixSelector", **_selector(expr.vector), **_duration("range", expr.range)}
        case Subquery():
            return _subquery(expr)
        case Unary():
            return {"type": "unaryExpr", "op": expr.op, "expr": to_object(expr.expr)}
        case Binary():
            return _binary(expr)
        case Aggregate():
            return _aggregation(expr)
        case Call():
            function = _function(SIGNATURES[expr.function])
            return {"type": "call", "func": function, "args": [to_object(arg) for arg in expr.args]}
        case Paren():
            return {"type": "parenExpr", "expr": to_object(expr.expr)}


def _selector(expr: VectorSelector) -> Object:
    return {
        "name": expr.name,
        "matchers": _matchers(expr.matchers),
        **_duration("offset", expr.offset),
        **_at(expr.at),
        "anchored": expr.modifier is Modifier.ANCHORED,
        "smoothed": expr.modifier is Modifier.SMOOTHED,
    }


def _matchers(matchers: Sequence[Matcher]) -> list[Object]:
    return [{"name": matcher.name, "type": matcher.op.value, "value": matcher.value} for matcher in matchers]


def _subquery(expr: Subquery) -> Object:
    return {
        "type": "subquery",
        "expr": to_object(expr.expr),
        **_duration("range", expr.range),
        **_duration("step", expr.step or 0),
        **_duration("offset", expr.offset),
        **_at(expr.at),
    }


def _at(at: int | At | None) -> Object:
    return {
        "timestamp": at if isinstance(at, int) else None,
        "startOrEnd": at.value if isinstance(at, At) else None,
    }


def _binary(expr: Binary) -> Object:
    return {
        "type": "binaryExpr",
        "op": expr.op,
        "lhs": to_object(expr.left),
        "rhs": to_object(expr.right),
        "matching": _matching(expr.matching) if expr.matching else None,
        "bool": expr.return_bool,
    }


def _matching(matching: VectorMatching) -> Object:
    return {
        "card": matching.cardinality.value,
        "labels": list(matching.labels),
        "on": matching.on,
        "include": list(matching.include),
        "fillValues": {"lhs": matching.fill_left, "rhs": matching.fill_right},
    }


def _aggregation(expr: Aggregate) -> Object:
    return {
        "type": "aggregation",
        "op": expr.op,
        "expr": to_object(expr.expr),
        "param": None if expr.param is None else to_object(expr.param),
        "grouping": list(expr.grouping),
        "without": expr.without,
    }


def _function(signature: Signature) -> Object:
    """`variadic`: how often the last type of `argTypes` may stand beyond the ones before it; -1 for any number."""
    types = signature.args[: signature.least + 1] if signature.optional else signature.args
    return {
        "name": signature.name,
        "argTypes": [wanted.value for wanted in types],
        "variadic": -1 if signature.variadic else signature.optional,
        "returnType": signature.returns.value,
    }


def _duration(name: str, duration: Duration) -> Object:
    """Milliseconds, and beside them the expression where it is one."""
    if isinstance(duration, int):
        return {name: duration, f"{name}Expr": None}
    return {name: 0, f"{name}Expr": _operand(duration)}


def _operand(operand: DurationOperand, *, wrapped: bool = False) -> Object:
    """One of a duration's arithmetic; parentheses are a mark on what stands in them."""
    match operand:
        case DurationLiteral() if wrapped:
            return _operation("+", None, _operand(operand), wrapped=True)
        case DurationLiteral():
            return {"type": "numberLiteral", "val": plain(operand.seconds), "duration": operand.is_duration}
        case DurationExpression(op="()"):
            return _operand(operand.operands[0], wrapped=True)
        case DurationExpression(op="neg"):
            return _operation("-", None, _operand(operand.operands[0]), wrapped=wrapped)
        case DurationExpression(operands=()):
            return _operation(operand.op, None, None, wrapped=wrapped)
        case DurationExpression():
            left, right = (_operand(inner) for inner in operand.operands)
            return _operation(operand.op, left, right, wrapped=wrapped)


def _operation(op: str, left: Object | None, right: Object | None, *, wrapped: bool) -> Object:
    return {"type": "durationExpr", "op": op, "lhs": left, "rhs": right, "wrapped": wrapped}
