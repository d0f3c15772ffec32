"""The syntax tree of PromQL: what `parser.parse` gives and `evaluate` walks.

Nodes are frozen and compare by meaning; `span` is where in the text a node stands and takes no part in comparison.
Durations and times are integers in milliseconds, unless they stand in the text as an expression (`[step()*3]`): then they
are a `DurationExpression` until `durations.resolve` has put numbers in their place, which it does before evaluation.

Source: https://prometheus.io/docs/prometheus/latest/querying/basics/ and the pages beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypeAlias


class Span(NamedTuple):
    """Characters `start` to `end` (exclusive) of the query text."""

    start: int
    end: int


NOWHERE = Span(0, 0)


class ValueType(Enum):
    """The types of PromQL expressions, by Prometheus' names."""

    SCALAR = "scalar"
    STRING = "string"
    VECTOR = "vector"
    MATRIX = "matrix"


class MatchOp(Enum):
    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label. Regular expressions are RE2 and anchored at both ends."""

    name: str
    op: MatchOp
    value: str


@dataclass(frozen=True, slots=True)
class DurationExpression:
    """A duration or offset that depends on the query: `step()`, `range()`, `min_of(a, b)`, `max_of(a, b)` and arithmetic.

    `op`: one of `+ - * / % ^`, unary `neg`, `pos`, `step`, `range`, `min_of`, `max_of`, `()` for parentheses. A leaf is a
    number in seconds; `is_duration` tells `5m` from `300`, for printing.
    """

    op: str
    operands: tuple[DurationOperand, ...] = ()
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class DurationLiteral:
    """A leaf of a `DurationExpression`: seconds."""

    seconds: float
    is_duration: bool = True
    span: Span = field(default=NOWHERE, compare=False)


DurationOperand: TypeAlias = DurationExpression | DurationLiteral
Duration: TypeAlias = int | DurationExpression
"""Milliseconds, or an expression that `durations.resolve` turns into them."""


class At(Enum):
    """`@ start()` and `@ end()`; a number after `@` is an int of milliseconds."""

    START = "start"
    END = "end"


class Modifier(Enum):
    """How a range selector treats the edges of its window; on an instant selector only SMOOTHED may stand."""

    ANCHORED = "anchored"
    SMOOTHED = "smoothed"


@dataclass(frozen=True, slots=True)
class Number:
    value: float
    is_duration: bool = False
    """Written as a duration (`5m` for 300); the value is in seconds."""
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class String:
    value: str
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class VectorSelector:
    """`name{matchers}`. The name, where there is one, is also among `matchers` as `__name__=`."""

    name: str
    matchers: tuple[Matcher, ...]
    offset: Duration = 0
    at: int | At | None = None
    modifier: Modifier | None = None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class MatrixSelector:
    """`selector[range]`. Offset, `@` and modifier stand in `vector`."""

    vector: VectorSelector
    range: Duration
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Subquery:
    """`expr[range:step]`; without a step (None) the default evaluation interval applies."""

    expr: Expr
    range: Duration
    step: Duration | None = None
    offset: Duration = 0
    at: int | At | None = None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Unary:
    """`-expr` or `+expr`."""

    op: str
    expr: Expr
    span: Span = field(default=NOWHERE, compare=False)


class Cardinality(Enum):
    ONE_TO_ONE = "one-to-one"
    MANY_TO_ONE = "many-to-one"
    ONE_TO_MANY = "one-to-many"
    MANY_TO_MANY = "many-to-many"


@dataclass(frozen=True, slots=True)
class VectorMatching:
    """How the samples of two vectors find each other. MANY_TO_MANY stands with the set operators."""

    cardinality: Cardinality = Cardinality.ONE_TO_ONE
    labels: tuple[str, ...] = ()
    on: bool = False
    """`on(labels)`; otherwise `ignoring(labels)`."""
    include: tuple[str, ...] = ()
    """Labels that `group_left(...)` or `group_right(...)` takes over from the one side."""
    fill_left: float | None = None
    fill_right: float | None = None
    """Values for a side that has no sample (`fill`, `fill_left`, `fill_right`)."""


@dataclass(frozen=True, slots=True)
class Binary:
    """`left op right`. `matching` is None where a side is a scalar; `return_bool` says `bool` stood there."""

    op: str
    left: Expr
    right: Expr
    matching: VectorMatching | None = None
    return_bool: bool = False
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`op(param, expr) by|without (grouping)`."""

    op: str
    expr: Expr
    param: Expr | None = None
    grouping: tuple[str, ...] = ()
    without: bool = False
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function's call. The signatures stand in `signatures.SIGNATURES`."""

    function: str
    args: tuple[Expr, ...]
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Paren:
    expr: Expr
    span: Span = field(default=NOWHERE, compare=False)


Expr: TypeAlias = (
    Number | String | VectorSelector | MatrixSelector | Subquery | Unary | Binary | Aggregate | Call | Paren
)
