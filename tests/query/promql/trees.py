"""Trees of PromQL for hypothesis: any that a text can stand for, with parentheses where precedence needs them."""

from __future__ import annotations

from hypothesis import strategies as st
from sonde.query.promql.check import COMPARISONS, SET_OPERATORS, WITH_PARAMETER, type_of
from sonde.query.promql.lexer import AGGREGATORS
from sonde.query.promql.parser import OF_SIGN, PRECEDENCE, RIGHT_ASSOCIATIVE
from sonde.query.promql.signatures import SIGNATURES
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
    ValueType,
    VectorMatching,
    VectorSelector,
)

DEPTH = 4
MAX_MS = 2**63 // 1_000_000 - 1

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd"), max_size=8)
label_names = st.sampled_from(["job", "le", "by", "without", "inf", "a.b", 'q"', "日本"]) | texts.filter(bool)
metric_names = st.from_regex(r"[a-z_:][a-z0-9_:]{0,8}", fullmatch=True).filter(lambda name: name not in RESERVED)
RESERVED = frozenset(["on", "ignoring", "bool", "group_left", "group_right", "atan2", "inf", "nan"])
"""Words that are never the name of a metric."""
durations_ms = st.integers(1, MAX_MS) | st.sampled_from([1, 1000, 90_000, 86_400_000, 31_536_000_000])
offsets_ms = durations_ms | durations_ms.map(lambda ms: -ms) | st.just(0)
finite = st.floats(allow_nan=False, allow_infinity=False)
values = finite | st.sampled_from([float("inf"), float("-inf"), 0.1, 1e21, 1e-9])


def without_negative_zero(value: float) -> float:
    """-0 is equal to 0 but printed with its sign: the trees would be equal, the texts not."""
    return value + 0.0


@st.composite
def matchers(draw: st.DrawFn) -> Matcher:
    op = draw(st.sampled_from(MatchOp))
    value = (
        draw(texts) if op in (MatchOp.EQUAL, MatchOp.NOT_EQUAL) else draw(st.sampled_from(["a.*", "", "x|y", "\\d+"]))
    )
    return Matcher(draw(label_names), op, value)


@st.composite
def duration_operands(draw: st.DrawFn, depth: int = 2) -> DurationOperand:
    """Arithmetic whose operands stand in parentheses wherever they are arithmetic themselves."""
    kind = draw(st.sampled_from(["seconds", "duration", "step", "range", "min_of", "max_of", "neg", "binary"]))
    if kind == "seconds" or depth == 0:
        return DurationLiteral(without_negative_zero(draw(st.floats(-1e6, 1e6))), False)
    if kind == "duration":
        return DurationLiteral(draw(st.integers(0, 10**9)) / 1000, True)
    if kind in ("step", "range"):
        return DurationExpression(kind)
    operands = [draw(duration_operands(depth - 1)) for _ in range(1 if kind == "neg" else 2)]
    if kind in ("min_of", "max_of"):
        return DurationExpression(kind, tuple(operands))
    wrapped = tuple(in_parentheses(operand) for operand in operands)
    return DurationExpression(kind if kind == "neg" else draw(st.sampled_from("+-*^")), wrapped)


def in_parentheses(operand: DurationOperand) -> DurationExpression:
    if is_call(operand) or (isinstance(operand, DurationExpression) and operand.op == "()"):
        assert isinstance(operand, DurationExpression)
        return operand
    return DurationExpression("()", (operand,))


def is_call(operand: DurationOperand) -> bool:
    return isinstance(operand, DurationExpression) and operand.op in ("step", "range", "min_of", "max_of")


expressions = duration_operands().filter(lambda operand: isinstance(operand, DurationExpression))
positive: st.SearchStrategy[Duration] = durations_ms | expressions  # type: ignore[assignment]
offsets: st.SearchStrategy[Duration] = offsets_ms | expressions.map(  # type: ignore[assignment]
    lambda operand: operand if is_call(operand) else DurationExpression("neg", (in_parentheses(operand),))
)
"""Without a sign, an offset in parentheses takes what arithmetic follows it for its own: `a offset (1) + 2` is a offset 3."""
times = st.none() | st.sampled_from(At) | st.integers(-(10**14), 10**14)


@st.composite
def selectors(draw: st.DrawFn, *, smoothed_only: bool = True) -> VectorSelector:
    found = draw(st.lists(matchers().filter(lambda matcher: matcher.name != "__name__"), max_size=3))
    # In the order in which they are printed.
    found.sort(key=printed)
    if name := draw(metric_names | st.just("")):
        found.append(Matcher("__name__", MatchOp.EQUAL, name))
    else:
        found.append(Matcher("zz", MatchOp.NOT_EQUAL, ""))
        found.sort(key=printed)
    modifier = draw(st.sampled_from([None, *Modifier]))
    return VectorSelector(name, tuple(found), draw(offsets), draw(times), modifier)


def printed(matcher: Matcher) -> bytes:
    from sonde.query.promql.printer import matcher_text

    return matcher_text(matcher).encode()


def operand_of(expr: Expr, precedence: int, *, right: bool, op: str = "") -> Expr:
    """`expr` as the operand of an operator, in parentheses where the text would mean something else without."""
    own = PRECEDENCE[expr.op] if isinstance(expr, Binary) else OF_SIGN if is_signed(expr) else 10
    if is_signed(expr) and right:
        return expr
    binds = own > precedence or (own == precedence and right == (op in RIGHT_ASSOCIATIVE) and not is_signed(expr))
    return expr if binds else Paren(expr)


def is_signed(expr: Expr) -> bool:
    return isinstance(expr, Unary) or (isinstance(expr, Number) and expr.value < 0)


def primary(expr: Expr) -> Expr:
    """`expr` where only an operand may stand: before a subquery's brackets, and after a sign."""
    return Paren(expr) if isinstance(expr, Binary | Unary | Number) else expr


@st.composite
def vectors(draw: st.DrawFn, depth: int = DEPTH) -> Expr:
    """An expression that is an instant vector."""
    kind = draw(st.sampled_from(["selector", "paren", "unary", "binary", "aggregate", "call"]))
    if kind == "selector" or depth == 0:
        return draw(selectors())
    if kind == "paren":
        return Paren(draw(vectors(depth - 1)))
    if kind == "unary":
        return Unary(draw(st.sampled_from("+-")), primary(draw(vectors(depth - 1))))
    if kind == "binary":
        return draw(binaries(depth))
    return draw(aggregates(depth)) if kind == "aggregate" else draw(calls(depth))


@st.composite
def binaries(draw: st.DrawFn, depth: int) -> Binary:
    op = draw(st.sampled_from(sorted(PRECEDENCE)))
    left = operand_of(draw(vectors(depth - 1)), PRECEDENCE[op], right=False, op=op)
    if op not in SET_OPERATORS and draw(st.booleans()):
        return Binary(
            op, left, operand_of(draw(scalars(depth - 1)), PRECEDENCE[op], right=True, op=op), None, op in COMPARISONS
        )
    right = operand_of(draw(vectors(depth - 1)), PRECEDENCE[op], right=True, op=op)
    return Binary(
        op, left, right, draw(matchings(set_operator=op in SET_OPERATORS)), op in COMPARISONS and draw(st.booleans())
    )


@st.composite
def matchings(draw: st.DrawFn, *, set_operator: bool) -> VectorMatching:
    labels = tuple(draw(st.lists(label_names, max_size=2)))
    on = draw(st.booleans())
    if set_operator:
        return VectorMatching(Cardinality.MANY_TO_MANY, labels, on)
    cardinality = draw(st.sampled_from([Cardinality.ONE_TO_ONE, Cardinality.MANY_TO_ONE, Cardinality.ONE_TO_MANY]))
    grouped = cardinality is not Cardinality.ONE_TO_ONE
    include = (
        tuple(label for label in draw(st.lists(label_names, max_size=2)) if label not in labels) if grouped else ()
    )
    fills = st.none() | values.map(without_negative_zero)
    return VectorMatching(cardinality, labels, on, include, draw(fills), draw(fills))


@st.composite
def aggregates(draw: st.DrawFn, depth: int) -> Aggregate:
    op = draw(st.sampled_from(sorted(AGGREGATORS)))
    param: Expr | None = None
    if op in WITH_PARAMETER:
        param = String(draw(texts)) if op == "count_values" else draw(scalars(depth - 1))
    grouping = tuple(draw(st.lists(label_names, max_size=2)))
    return Aggregate(op, draw(vectors(depth - 1)), param, grouping, draw(st.booleans()))


@st.composite
def scalars(draw: st.DrawFn, depth: int) -> Expr:
    kind = draw(st.sampled_from(["number", "duration", "call", "paren"]))
    if kind == "duration":
        return Number(draw(st.integers(-(10**12), 10**12)) / 1000, True)
    if kind == "call" and depth:
        return draw(calls(depth, returns=ValueType.SCALAR))
    number = Number(without_negative_zero(draw(values)))
    return Paren(number) if kind == "paren" else number


@st.composite
def calls(draw: st.DrawFn, depth: int, returns: ValueType = ValueType.VECTOR) -> Call:
    candidates = sorted(
        name for name, signature in SIGNATURES.items() if signature.returns is returns and name != "info"
    )
    signature = SIGNATURES[draw(st.sampled_from(candidates))]
    count = draw(st.integers(signature.least, len(signature.args) + 2 * signature.variadic))
    return Call(signature.name, tuple(draw(arguments(signature.type_of(index), depth - 1)) for index in range(count)))


@st.composite
def arguments(draw: st.DrawFn, wanted: ValueType, depth: int) -> Expr:
    if wanted is ValueType.STRING:
        return String(draw(texts))
    if wanted is ValueType.SCALAR:
        return draw(scalars(depth))
    if wanted is ValueType.VECTOR:
        return draw(vectors(max(depth, 0)))
    if depth <= 0 or draw(st.booleans()):
        return MatrixSelector(draw(selectors(smoothed_only=False)), draw(positive))
    inner = primary(draw(vectors(depth - 1)))
    assert type_of(inner) is ValueType.VECTOR
    return Subquery(inner, draw(positive), draw(st.none() | positive), draw(offsets), draw(times))
