"""Durations: their text (`1h30m`), and what an expression of them (`[step() * 3]`) comes to in a query.

Source: https://prometheus.io/docs/prometheus/latest/querying/basics/#float-literals-and-time-durations
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import partial

from sonde.query.promql.errors import ParseError
from sonde.query.promql.quoting import quote
from sonde.query.promql.syntax import (
    Duration,
    DurationExpression,
    DurationLiteral,
    DurationOperand,
    Expr,
    MatrixSelector,
    Subquery,
    VectorSelector,
    with_children,
)

UNITS_MS = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
ONLY_EXACT = ("y", "w")
"""Years and weeks are printed only where nothing remains: 90d is easier to read than 12w6d."""
PART = re.compile(r"(\d+)([a-z]+)")
MAX_SECONDS = 2**63 / 1e9
"""Prometheus counts durations in nanoseconds, in an int64."""


def parse_duration(text: str) -> float:
    """Seconds of `1h30m`: units from large to small, each at most once. Raises ValueError with Prometheus' sentence."""
    parts = PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"not a valid duration string: {quote(text)}")
    order = list(UNITS_MS)
    ms, last = 0, -1
    for number, unit in parts:
        if unit not in UNITS_MS:
            raise ValueError(f"unknown unit {quote(unit)} in duration {quote(text)}")
        if order.index(unit) <= last:
            raise ValueError(f"not a valid duration string: {quote(text)}")
        last = order.index(unit)
        ms += int(number[:24]) * UNITS_MS[unit]
    if ms * 1_000_000 >= 2**63:
        raise ValueError("duration out of range")
    return ms / 1000


def format_duration(ms: int) -> str:
    """`1h30m` of milliseconds; `0s` of nothing, a minus before what is negative."""
    if ms <= 0:
        return f"-{format_duration(-ms)}" if ms else "0s"
    text = ""
    for unit, size in UNITS_MS.items():
        if ms >= size and not (unit in ONLY_EXACT and ms % size):
            text += f"{ms // size}{unit}"
            ms %= size
    return text


def milliseconds(seconds: float) -> int:
    """Whole milliseconds; what is below one is cut off, as Prometheus does, but never by the error of a multiplication."""
    nearest = round(seconds * 1000)
    return nearest if nearest / 1000 == seconds else int(seconds * 1000)


def resolve(expr: Expr, *, start_ms: int, end_ms: int, step_ms: int) -> Expr:
    """The same expression with milliseconds in the place of every `DurationExpression`.

    `step()` is the query's step (0 for an instant query), `range()` its length. Raises `ParseError` where a duration comes
    to nothing usable: not a number, out of range, or not above 0 where it is a range or a step.
    """
    worth = partial(_milliseconds, step=step_ms / 1000, length=(end_ms - start_ms) / 1000)

    def resolved(node: Expr) -> Expr:
        node = with_children(node, resolved)
        match node:
            case VectorSelector(offset=DurationExpression() as offset):
                return replace(node, offset=worth(offset, negative=True))
            case MatrixSelector(range=DurationExpression() as length):
                return replace(node, range=worth(length))
            case Subquery():
                return replace(
                    node,
                    range=worth(node.range),
                    step=None if node.step is None else worth(node.step),
                    offset=worth(node.offset, negative=True),
                )
            case _:
                return node

    return resolved(expr)


def _milliseconds(duration: Duration, *, step: float, length: float, negative: bool = False) -> int:
    if isinstance(duration, int):
        return duration
    seconds = _seconds(duration, step, length)
    if not math.isfinite(seconds):
        raise ParseError("duration is NaN or infinite", duration.span)
    if seconds <= 0 and not negative:
        raise ParseError("duration must be greater than 0", duration.span)
    if abs(seconds) > MAX_SECONDS:
        raise ParseError("duration is out of range", duration.span)
    return milliseconds(seconds)


def _seconds(operand: DurationOperand, step: float, length: float) -> float:
    if isinstance(operand, DurationLiteral):
        return operand.seconds
    values = [_seconds(child, step, length) for child in operand.operands]
    match operand.op, values:
        case "step", _:
            return step
        case "range", _:
            return length
        case "neg", [value]:
            return -value
        case "()", [value]:
            return value
        case "min_of", [left, right]:
            return min(left, right)
        case "max_of", [left, right]:
            return max(left, right)
        case op, [left, right]:
            return _arithmetic(op, left, right, operand)
    raise AssertionError(f"a duration expression has no {operand.op}")


def _arithmetic(op: str, left: float, right: float, operand: DurationExpression) -> float:
    if op in "/%" and right == 0:
        raise ParseError("division by zero" if op == "/" else "modulo by zero", operand.span)
    try:
        match op:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "/":
                return left / right
            case "%":
                return math.fmod(left, right)
            case "^":
                return math.pow(left, right)
    except (OverflowError, ValueError):
        return math.nan
    raise AssertionError(f"a duration expression has no {op}")
