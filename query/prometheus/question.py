"""A request to /query or /query_range as a question to the evaluation, every parameter checked."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sonde.query.config import QueryConfig
from sonde.query.prometheus.api_errors import BadData, invalid
from sonde.query.prometheus.form import Form, parse_seconds
from sonde.query.promql import durations
from sonde.query.promql.check import DOCUMENTED, type_of
from sonde.query.promql.errors import ParseError
from sonde.query.promql.parser import parse
from sonde.query.promql.quoting import quote
from sonde.query.promql.syntax import Expr, ValueType

STATS = ("true", "all")


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    expr: Expr
    """Its durations are resolved."""
    start_ms: int
    end_ms: int
    step_ms: int
    """0 for an instant query, at `start_ms`."""
    lookback_ms: int
    seconds: float
    """How long the answer may take."""
    limit: int
    """Series to answer at most; 0: all."""
    stats: str

    @property
    def instant(self) -> bool:
        return not self.step_ms


def instant_question(form: Form, config: QueryConfig) -> Question:
    limit = form.limit()
    at = form.time_ms("time", round(time.time() * 1000))
    return _question(form, config, limit, (at, at, 0))


def range_question(form: Form, config: QueryConfig) -> Question:
    limit = form.limit()
    start, end = form.time_ms("start"), form.time_ms("end")
    if end < start:
        raise invalid("end", "end timestamp must not be before start time")
    step = int(form.seconds("step") * 1000)
    if step <= 0:
        advice = "zero or negative query resolution step widths are not accepted. Try a positive integer"
        raise invalid("step", advice)
    if (end - start) // step > config.promql_max_points:
        points = f"exceeded maximum resolution of {config.promql_max_points:,} points per timeseries"
        raise BadData(f"{points}. Try decreasing the query resolution (?step=XX)")
    return _question(form, config, limit, (start, end, step))


def parsed(text: str) -> Expr:
    """The tree of the parameter `query`."""
    try:
        return parse(text)
    except ParseError as error:
        raise invalid("query", error) from None


def _question(form: Form, config: QueryConfig, limit: int, grid: tuple[int, int, int]) -> Question:
    seconds = _timeout(form, config)
    lookback_ms = _lookback_ms(form, config)
    text = form.text("query")
    return Question(text, _resolved(text, *grid), *grid, lookback_ms, seconds, limit, form.text("stats"))


def _resolved(text: str, start_ms: int, end_ms: int, step_ms: int) -> Expr:
    expr = parsed(text)
    found = type_of(expr)
    if step_ms and found not in (ValueType.SCALAR, ValueType.VECTOR):
        kind = quote(DOCUMENTED[found])
        raise invalid("query", f"invalid expression type {kind} for range query, must be Scalar or instant Vector")
    try:
        return durations.resolve(expr, start_ms=start_ms, end_ms=end_ms, step_ms=step_ms)
    except ParseError as error:
        raise invalid("query", ParseError(error.message, error.span, text)) from None


def _timeout(form: Form, config: QueryConfig) -> float:
    asked = form.seconds("timeout") if form.text("timeout") else config.promql_max_seconds
    return min(asked, config.promql_max_seconds)


def _lookback_ms(form: Form, config: QueryConfig) -> int:
    text = form.text("lookback_delta")
    try:
        asked = parse_seconds(text) if text else 0.0
    except ValueError as error:
        raise BadData(f"error parsing lookback delta duration: {error}") from None
    return round((asked if asked > 0 else config.promql_lookback_seconds) * 1000)
