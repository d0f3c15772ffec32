"""The types of expressions, and whether they fit where they stand.

Errors come in the order in which Prometheus finds them: children first, from left to right.
"""

from __future__ import annotations

from sonde.query.promql.errors import ParseError
from sonde.query.promql.quoting import quote
from sonde.query.promql.regex import compiled
from sonde.query.promql.signatures import SIGNATURES
from sonde.query.promql.syntax import (
    Aggregate,
    Binary,
    Call,
    Cardinality,
    Expr,
    Matcher,
    MatchOp,
    MatrixSelector,
    Number,
    Paren,
    Span,
    String,
    Subquery,
    Unary,
    ValueType,
    VectorSelector,
)

COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">="))
SET_OPERATORS = frozenset(("and", "or", "unless"))
WITH_SCALAR_PARAMETER = frozenset(("topk", "bottomk", "quantile", "limitk", "limit_ratio"))
WITH_PARAMETER = WITH_SCALAR_PARAMETER | {"count_values"}
DOCUMENTED = {
    ValueType.SCALAR: "scalar",
    ValueType.STRING: "string",
    ValueType.VECTOR: "instant vector",
    ValueType.MATRIX: "range vector",
}
"""What the documentation calls the types, and the messages too."""


def type_of(expr: Expr) -> ValueType:
    """What a sound expression evaluates to."""
    match expr:
        case Number():
            return ValueType.SCALAR
        case String():
            return ValueType.STRING
        case VectorSelector() | Aggregate():
            return ValueType.VECTOR
        case MatrixSelector() | Subquery():
            return ValueType.MATRIX
        case Call():
            return SIGNATURES[expr.function].returns
        case Unary() | Paren():
            return type_of(expr.expr)
        case Binary():
            scalars = type_of(expr.left) is ValueType.SCALAR and type_of(expr.right) is ValueType.SCALAR
            return ValueType.SCALAR if scalars else ValueType.VECTOR


def check(expr: Expr, text: str) -> ValueType:
    """The type of the expression. Raises the first `ParseError` where types or modifiers don't fit. `text` is the query."""
    match expr:
        case Aggregate():
            _check_aggregate(expr, text)
        case Binary():
            _check_binary(expr, text)
        case Call():
            _check_call(expr, text)
        case Unary():
            _check_unary(expr, text)
        case Subquery():
            _check_subquery(expr, text)
        case Paren():
            check(expr.expr, text)
        case MatrixSelector():
            _check_selector(expr.vector, text)
        case VectorSelector():
            _check_selector(expr, text)
        case Number() | String():
            pass
    return type_of(expr)


def _expect(expr: Expr, wanted: ValueType, where: str, text: str) -> None:
    found = check(expr, text)
    if found is not wanted:
        raise ParseError(f"expected type {DOCUMENTED[wanted]} in {where}, got {DOCUMENTED[found]}", expr.span, text)


def _check_aggregate(expr: Aggregate, text: str) -> None:
    _expect(expr.expr, ValueType.VECTOR, "aggregation expression", text)
    if expr.param is not None:
        wanted = ValueType.SCALAR if expr.op in WITH_SCALAR_PARAMETER else ValueType.STRING
        _expect(expr.param, wanted, "aggregation parameter", text)


def _check_binary(expr: Binary, text: str) -> None:
    left, right = check(expr.left, text), check(expr.right, text)
    scalars = left is right is ValueType.SCALAR
    if expr.return_bool and expr.op not in COMPARISONS:
        message = "bool modifier can only be used on comparison operators"
        raise ParseError(message, _operator_span(expr, text), text)
    if expr.op in COMPARISONS and not expr.return_bool and scalars:
        message = "comparisons between scalars must use BOOL modifier"
        raise ParseError(message, _operator_span(expr, text), text)
    matching = expr.matching
    if matching is not None and matching.on:
        for label in matching.labels:
            if label in matching.include:
                message = f"label {quote(label)} must not occur in ON and GROUP clause at once"
                raise ParseError(message, _operator_span(expr, text), text)
    for side, found in ((expr.left, left), (expr.right, right)):
        if found not in (ValueType.SCALAR, ValueType.VECTOR):
            message = "binary expression must contain only scalar and instant vector types"
            raise ParseError(message, side.span, text)
    _check_matching(expr, text, vectors=left is right is ValueType.VECTOR)


def _check_matching(expr: Binary, text: str, *, vectors: bool) -> None:
    matching = expr.matching
    fills = matching is not None and (matching.fill_left is not None or matching.fill_right is not None)
    if not vectors:
        if matching is not None and matching.labels:
            raise ParseError("vector matching only allowed between instant vectors", expr.span, text)
        if fills:
            raise ParseError("filling in missing series only allowed between instant vectors", expr.span, text)
        if expr.op in SET_OPERATORS:
            message = f"set operator {quote(expr.op)} not allowed in binary scalar expression"
            raise ParseError(message, expr.span, text)
    elif expr.op in SET_OPERATORS and matching is not None:
        if matching.cardinality is not Cardinality.MANY_TO_MANY:
            raise ParseError(f"no grouping allowed for {quote(expr.op)} operation", expr.span, text)
        if fills:
            raise ParseError("filling in missing series not allowed for set operators", expr.span, text)


def _operator_span(expr: Binary, text: str) -> Span:
    """The text between the operands, without the space around it."""
    between = text[expr.left.span.end : expr.right.span.start]
    start = expr.left.span.end + len(between) - len(between.lstrip())
    return Span(start, start + len(between.strip()))


def _check_call(expr: Call, text: str) -> None:
    signature = SIGNATURES[expr.function]
    count = len(expr.args)
    to = f"in call to {quote(expr.function)}, got {count}"
    if signature.least == signature.most and count != signature.most:
        raise ParseError(f"expected {signature.most} argument(s) {to}", expr.span, text)
    if count < signature.least:
        raise ParseError(f"expected at least {signature.least} argument(s) {to}", expr.span, text)
    if signature.most is not None and count > signature.most:
        raise ParseError(f"expected at most {signature.most} argument(s) {to}", expr.span, text)
    if expr.function == "info" and count > 1:
        _check_info_labels(expr, text)
    for index, arg in enumerate(expr.args):
        if expr.function == "info" and index == 1:
            # A selector of labels only, which may be one that matches everything.
            continue
        _expect(arg, signature.type_of(index), f"call to function {quote(expr.function)}", text)


def _check_info_labels(expr: Call, text: str) -> None:
    labels = expr.args[1]
    if (found := type_of(labels)) is not ValueType.VECTOR:
        message = f"expected type instant vector in call to function {quote('info')}, got {DOCUMENTED[found]}"
        raise ParseError(message, expr.span, text)
    if not isinstance(labels, VectorSelector):
        raise ParseError("expected label selectors only", labels.span, text)
    if labels.name:
        raise ParseError("expected label selectors only, got vector selector instead", labels.span, text)


def _check_unary(expr: Unary, text: str) -> None:
    found = check(expr.expr, text)
    if found not in (ValueType.SCALAR, ValueType.VECTOR):
        of = f"of type scalar or instant vector, got {quote(DOCUMENTED[found])}"
        raise ParseError(f"unary expression only allowed on expressions {of}", expr.span, text)


def _check_subquery(expr: Subquery, text: str) -> None:
    found = check(expr.expr, text)
    if found is not ValueType.VECTOR:
        message = f"subquery is only allowed on instant vector, got {found.value} instead"
        raise ParseError(message, expr.span, text)


def _check_selector(expr: VectorSelector, text: str) -> None:
    if expr.name:
        # The last matcher is the name that stands before the braces.
        for matcher in expr.matchers[:-1]:
            if matcher.name == "__name__":
                message = f"metric name must not be set twice: {quote(expr.name)} or {quote(matcher.value)}"
                raise ParseError(message, expr.span, text)
    elif all(matches_empty(matcher) for matcher in expr.matchers):
        # Everything there is would be selected, by a slip most likely.
        raise ParseError("vector selector must contain at least one non-empty matcher", expr.span, text)


def matches_empty(matcher: Matcher) -> bool:
    """Whether a series without the label matches."""
    match matcher.op:
        case MatchOp.EQUAL:
            return not matcher.value
        case MatchOp.NOT_EQUAL:
            return bool(matcher.value)
        case MatchOp.REGEX:
            return compiled(matcher.value).fullmatch("") is not None
        case MatchOp.NOT_REGEX:
            return compiled(matcher.value).fullmatch("") is None
