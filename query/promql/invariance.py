"""Which parts of a query have the same value at every step, so that one evaluation is enough."""

from __future__ import annotations

from sonde.query.promql.syntax import (
    Aggregate,
    Binary,
    Call,
    Expr,
    MatrixSelector,
    Number,
    Paren,
    String,
    Subquery,
    Unary,
    VectorSelector,
)

OF_THE_TIME = frozenset(
    [
        "days_in_month",
        "day_of_month",
        "day_of_week",
        "day_of_year",
        "hour",
        "minute",
        "month",
        "year",
        "predict_linear",
        "time",
        "timestamp",
    ]
)
"""Functions that give something else at another time, though their arguments be the same."""


def of(expr: Expr) -> frozenset[int]:
    """The `id` of every such node, parts of such nodes among them."""
    found: set[int] = set()
    _invariant(expr, found)
    return frozenset(found)


def _invariant(expr: Expr, found: set[int]) -> bool:
    """Whether a node is one; what is among its parts goes into `found`."""
    match expr:
        case Number() | String():
            same = True
        case VectorSelector():
            same = expr.at is not None
        case MatrixSelector():
            same = expr.vector.at is not None
        case Subquery():
            _invariant(expr.expr, found)
            same = expr.at is not None
        case Unary() | Paren():
            same = _invariant(expr.expr, found)
        case Binary():
            left = _invariant(expr.left, found)
            same = _invariant(expr.right, found) and left
        case Aggregate():
            param = True if expr.param is None else _invariant(expr.param, found)
            same = _invariant(expr.expr, found) and param
        case Call():
            args = [_invariant(arg, found) for arg in expr.args]
            of_samples = expr.function == "timestamp" and isinstance(expr.args[0], VectorSelector)
            same = all(args) and (expr.function not in OF_THE_TIME or of_samples)
    if same:
        found.add(id(expr))
    return same
