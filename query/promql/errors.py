"""What can go wrong with a PromQL query, in Prometheus' words.

PromQLError
├── ParseError           the text is not PromQL, or its types don't fit: the caller's fault ("bad_data")
└── EvaluationError      the query is sound, but can't be answered over this data ("execution")
    ├── TooManySamples   it would hold more samples in memory than a limit allows
    ├── QueryTimeout     it took longer than allowed ("timeout")
    └── QueryCancelled   whoever asked has gone ("canceled")
"""

from __future__ import annotations

from sonde.query.promql.syntax import NOWHERE, Span


class PromQLError(Exception):
    """Base of everything this package raises on purpose. `str()` is a sentence for whoever wrote the query."""


class ParseError(PromQLError):
    """`str()` is `line:column: parse error: message`; lines and columns count from 1, columns in characters."""

    def __init__(self, message: str, span: Span = NOWHERE, query: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.span = span
        self.query = query

    def __str__(self) -> str:
        return f"{position(self.query, self.span)}: parse error: {self.message}"


def position(query: str, span: Span) -> str:
    """Where a span begins, as Prometheus prints it: `1:5`; `unknown position` where there is no text."""
    if not query:
        return "unknown position"
    before = query[: span.start]
    return f"{before.count(chr(10)) + 1}:{span.start - before.rfind(chr(10))}"


class EvaluationError(PromQLError):
    """A query that can't be answered over this data: many-to-many matching, duplicate series, a bad argument."""


class TooManySamples(EvaluationError):
    """Refused before the memory is gone; the message names the limit."""


class QueryTimeout(EvaluationError):
    """Took longer than allowed."""


class QueryCancelled(EvaluationError):
    """Nobody waits for the answer any more."""
