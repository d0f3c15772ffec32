"""A syntax tree as text: on one line (`to_text`), and broken over lines where it is long (`pretty`).

Both are Prometheus' own forms, and reading either again gives an equal tree.
"""

from __future__ import annotations

from collections.abc import Iterable

from sonde.query.promql.durations import format_duration
from sonde.query.promql.float_text import plain
from sonde.query.promql.quoting import label_name, quote
from sonde.query.promql.syntax import (
    Aggregate,
    At,
    Binary,
    Call,
    Cardinality,
    Duration,
    DurationExpression,
    DurationLiteral,
    DurationOperand,
    Expr,
    Matcher,
    MatchOp,
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

LINE = 100
"""Characters, or rather bytes, of an expression that still stands on one line."""
INDENT = "  "


def to_text(expr: Expr) -> str:
    """The expression on one line."""
    match expr:
        case Number():
            return _number(expr.value, expr.is_duration)
        case String():
            return quote(expr.value)
        case VectorSelector():
            return f"{_selector(expr)}{_at(expr.at)}{_modifier(expr.modifier)}{_offset(expr.offset)}"
        case MatrixSelector():
            vector = expr.vector
            suffix = f"{_modifier(vector.modifier)}{_at(vector.at)}{_offset(vector.offset)}"
            return f"{_selector(vector)}[{_duration(expr.range)}]{suffix}"
        case Subquery():
            return f"{to_text(expr.expr)}{_subquery_suffix(expr)}"
        case Unary():
            return f"{expr.op}{to_text(expr.expr)}"
        case Binary():
            return f"{to_text(expr.left)} {_operator(expr)} {to_text(expr.right)}"
        case Aggregate():
            return f"{_aggregation(expr)}({', '.join(map(to_text, _aggregated(expr)))})"
        case Call():
            return f"{expr.function}({', '.join(map(to_text, expr.args))})"
        case Paren():
            return f"({to_text(expr.expr)})"


def pretty(expr: Expr, level: int = 0) -> str:
    """The expression, each part that is longer than a line broken up and its parts indented."""
    indent = INDENT * level
    text = to_text(expr)
    if isinstance(expr, Unary):
        return f"{indent}{expr.op}{pretty(expr.expr, level).strip()}"
    if len(text.encode("utf-8", "surrogateescape")) <= LINE:
        # Prometheus forgets the indent of a subquery; so it stays here, for what it prints is the canonical form.
        return text if isinstance(expr, Subquery) else indent + text
    match expr:
        case Subquery():
            return f"{pretty(expr.expr, level)}{_subquery_suffix(expr)}"
        case Binary():
            left, right = pretty(expr.left, level + 1), pretty(expr.right, level + 1)
            return f"{left}\n{indent}{_operator(expr)}\n{right}"
        case Aggregate():
            return f"{indent}{_aggregation(expr)}(\n{_lines(_aggregated(expr), level)}\n{indent})"
        case Call():
            return f"{indent}{expr.function}(\n{_lines(expr.args, level)}\n{indent})"
        case Paren():
            return f"{indent}(\n{pretty(expr.expr, level + 1)}\n{indent})"
    return indent + text


def _lines(exprs: Iterable[Expr], level: int) -> str:
    return ",\n".join(pretty(expr, level + 1) for expr in exprs)


def matcher_text(matcher: Matcher) -> str:
    """`a="b"`, the name in quotes where it has to be."""
    return f"{label_name(matcher.name)}{matcher.op.value}{quote(matcher.value)}"


def _selector(expr: VectorSelector) -> str:
    shown = [matcher_text(matcher) for matcher in expr.matchers if not _is_name(matcher, expr.name)]
    # In order of bytes, as everything that is sorted in Prometheus.
    shown.sort(key=lambda text: text.encode("utf-8", "surrogateescape"))
    return f"{expr.name}{{{','.join(shown)}}}" if shown else expr.name


def _is_name(matcher: Matcher, name: str) -> bool:
    return bool(name) and matcher == Matcher("__name__", MatchOp.EQUAL, name)


def _aggregation(expr: Aggregate) -> str:
    labels = _labels(expr.grouping)
    if expr.without:
        return f"{expr.op} without ({labels}) "
    return f"{expr.op} by ({labels}) " if labels else expr.op


def _aggregated(expr: Aggregate) -> tuple[Expr, ...]:
    return (expr.expr,) if expr.param is None else (expr.param, expr.expr)


def _labels(names: Iterable[str]) -> str:
    """Label names in parentheses, where a bare `inf` or `nan` would be a number."""
    return ", ".join(quote(name) if name.lower() in ("inf", "nan") else label_name(name) for name in names)


def _operator(expr: Binary) -> str:
    return f"{expr.op}{' bool' if expr.return_bool else ''}{_matching(expr.matching) if expr.matching else ''}"


def _matching(matching: VectorMatching) -> str:
    grouped = matching.cardinality in (Cardinality.MANY_TO_ONE, Cardinality.ONE_TO_MANY)
    text = ""
    if matching.labels or matching.on or grouped:
        text += f" {'on' if matching.on else 'ignoring'} ({_labels(matching.labels)})"
    if grouped:
        side = "left" if matching.cardinality is Cardinality.MANY_TO_ONE else "right"
        text += f" group_{side} ({_labels(matching.include)})"
    return text + _fill(matching.fill_left, matching.fill_right)


def _fill(left: float | None, right: float | None) -> str:
    if left is not None and left == right:
        return f" fill ({plain(left)})"
    text = f" fill_left ({plain(left)})" if left is not None else ""
    return text + (f" fill_right ({plain(right)})" if right is not None else "")


def _subquery_suffix(expr: Subquery) -> str:
    step = "" if expr.step is None else _duration(expr.step)
    return f"[{_duration(expr.range)}:{step}]{_at(expr.at)}{_offset(expr.offset)}"


def _at(at: int | At | None) -> str:
    if at is None:
        return ""
    if isinstance(at, At):
        return f" @ {at.value}()"
    return f" @ {'-' if at < 0 else ''}{abs(at) // 1000}.{abs(at) % 1000:03d}"


def _modifier(modifier: Modifier | None) -> str:
    return f" {modifier.value}" if modifier else ""


def _offset(offset: Duration) -> str:
    return f" offset {_duration(offset)}" if offset != 0 else ""


def _duration(duration: Duration) -> str:
    return format_duration(duration) if isinstance(duration, int) else _operand(duration)


def _operand(operand: DurationOperand) -> str:
    if isinstance(operand, DurationLiteral):
        return _number(operand.seconds, operand.is_duration)
    return _expression(operand)


def _expression(expr: DurationExpression) -> str:
    operands = [_operand(operand) for operand in expr.operands]
    match expr.op:
        case "step" | "range" | "min_of" | "max_of":
            return f"{expr.op}({', '.join(operands)})"
        case "()":
            return f"({operands[0]})"
        case "neg":
            return f"-{operands[0]}"
        case op:
            return f" {op} ".join(operands)


def _number(value: float, is_duration: bool) -> str:
    return format_duration(round(value * 1000)) if is_duration else plain(value)
