"""What a function's implementation gets to know besides its arguments."""

from __future__ import annotations

from dataclasses import dataclass

from sonde.query.promql.annotations import Annotations
from sonde.query.promql.selection import Query
from sonde.query.promql.syntax import Call, Paren, Span
from sonde.query.promql.values import Ints


@dataclass(frozen=True, slots=True)
class Context:
    """The evaluation of one call at all of its steps."""

    expr: Call
    step_times: Ints
    """(s,) ms; when the call is evaluated, whatever offset its arguments have."""
    query: Query

    @property
    def steps(self) -> int:
        return len(self.step_times)

    @property
    def annotations(self) -> Annotations:
        return self.query.annotations

    @property
    def lookback_ms(self) -> int:
        return self.query.lookback_ms

    def span_of(self, argument: int) -> Span:
        """Where an argument stands in the query, for annotations."""
        expr = self.expr.args[argument]
        while isinstance(expr, Paren):
            expr = expr.expr
        return expr.span
