"""The evaluation of an expression: a walk over the tree, each node at all steps at once.

A node that is the same at every step (a literal, a selector with `@`, what is made of such) is evaluated once and repeated.
A subquery is evaluated on steps of its own, whose values are then the samples of a range vector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sonde.query.promql import durations, invariance
from sonde.query.promql.aggregations import aggregate
from sonde.query.promql.annotations import Annotations
from sonde.query.promql.answer import finished, named
from sonde.query.promql.binary import binary
from sonde.query.promql.context import Context
from sonde.query.promql.extended_windows import check_modifier, extended, smoothed_vector
from sonde.query.promql.functions import ACROSS_SERIES, FUNCTIONS, KEEPS_NAME, OF_SAMPLES
from sonde.query.promql.histogram_arithmetic import negated
from sonde.query.promql.histogram_statistics import selectors_of_statistics
from sonde.query.promql.info import info
from sonde.query.promql.limits import Budget, Limits
from sonde.query.promql.ranges import Ranges, ranges_of, subquery_ranges
from sonde.query.promql.sample_counts import found_at_steps, samples_in, within_windows
from sonde.query.promql.selection import Found, Query, ends_of, find, no_samples, nothing, windowed
from sonde.query.promql.source import Source
from sonde.query.promql.summaries import where
from sonde.query.promql.summary_functions import OF_VALUES, SUMMARISED, SummaryRanges, SummaryWindows, note_rounding
from sonde.query.promql.summary_widths import Use
from sonde.query.promql.syntax import (
    Aggregate,
    Binary,
    Call,
    Expr,
    MatrixSelector,
    Modifier,
    Number,
    Paren,
    String,
    Subquery,
    Unary,
    VectorSelector,
)
from sonde.query.promql.values import Ints, Samples, Scalar, Text, Value, Vector
from sonde.query.promql.windows import Windows


@dataclass(frozen=True, slots=True)
class Result:
    """What a query answers.

    A `Vector`'s series have samples; in a range query they stand in the order of their labels, in an instant query in the order
    of the evaluation, which `sort` and `topk` determine. A scalar is a `Scalar` at any number of steps.
    """

    value: Value
    annotations: Annotations
    peak_samples: int = 0
    """The most that were held at once: what `Limits.max_samples` bounds."""
    queryable: Ints | None = None
    """(s,) samples looked at for each step, where that was to be counted."""


def evaluate(
    expr: Expr,
    source: Source,
    *,
    start_ms: int,
    end_ms: int,
    step_ms: int = 0,
    lookback_ms: int = 300_000,
    default_step_ms: int = 60_000,
    limits: Limits | None = None,
    annotations: Annotations | None = None,
    counting: bool = False,
    use: Use = Use.OFF,
) -> Result:
    """The value of `expr` at `start_ms`, `start_ms + step_ms`, ... up to `end_ms`; a step of 0 is an instant query at `start_ms`.

    `default_step_ms` is the step of a subquery that says none; `counting`: also count the samples that are looked at; `use`: when
    the source's summaries are looked at in place of its samples, if it has any. Raises `EvaluationError`.
    """
    expr = durations.resolve(expr, start_ms=start_ms, end_ms=end_ms, step_ms=step_ms)
    notes = annotations if annotations is not None else Annotations()
    budget = Budget(limits if limits is not None else Limits())
    budget.take((end_ms - start_ms) // step_ms + 1 if step_ms else 1)
    times = np.arange(start_ms, end_ms + 1, step_ms) if step_ms else np.array([start_ms])
    invariant = invariance.of(expr)
    of_statistics = selectors_of_statistics(expr)
    query = Query(
        *(source, start_ms, end_ms, step_ms, lookback_ms, default_step_ms, notes, budget),
        *(invariant, of_statistics, counting, use),
    )
    evaluator = Evaluator(query, times.astype(np.int64))
    with np.errstate(all="ignore"):  # arithmetic over samples is IEEE 754's, NaN and infinities are answers
        value = evaluator.answer(expr)
    queryable = evaluator.queryable if counting else None
    return Result(finished(value, ordered=bool(step_ms)), notes, budget.peak, queryable)


class Evaluator:
    """One grid of steps."""

    def __init__(self, query: Query, times: Ints) -> None:
        self.query = query
        self.times = times
        self.queryable = np.zeros(len(times), np.int64)
        """(s,) samples looked at for each step; in a subquery, for each step of its own."""

    def answer(self, expr: Expr) -> Value:
        """The value of the whole query; only there a range vector may be the answer."""
        while isinstance(expr, Paren):
            expr = expr.expr
        if isinstance(expr, MatrixSelector):
            windows = self._counted(ranges_of(expr, self.times, self.query).windows(self.query.budget))
            return windowed(extended(windows))
        if isinstance(expr, Subquery):
            return self.whole_subquery(expr)
        value: Value = self.evaluate(expr)
        return value

    def evaluate(self, expr: Expr) -> Any:
        """A Vector, Scalar or Text. What was needed to get there is off the budget afterwards."""
        budget = self.query.budget
        budget.check()
        held = budget.held
        if id(expr) in self.query.invariant and len(self.times) > 1:
            once = Evaluator(self.query, self.times[:1])
            value = _repeated(once.evaluate(expr), len(self.times))
            self.queryable += once.queryable
        else:
            value = self._NODES[type(expr)](self, expr)
        budget.held = held
        budget.take(_size(value))
        return value

    def number(self, expr: Number) -> Scalar:
        return Scalar(np.full(len(self.times), expr.value))

    def string(self, expr: String) -> Text:
        return Text(expr.value)

    def paren(self, expr: Paren) -> Any:
        return self.evaluate(expr.expr)

    def vector_selector(self, expr: VectorSelector) -> Vector:
        if not len(self.times):
            return nothing(0)
        if expr.modifier is Modifier.SMOOTHED:
            return smoothed_vector(expr, self.times, self.query)
        return self.found(expr).vector()

    def found(self, selector: VectorSelector, *, only_when: bool = False) -> Found:
        """The samples that an instant selector finds; `only_when`: what they hold is not looked at."""
        found = find(selector, self.times, self.query)
        if self.query.counting:
            samples = replace(found.samples, histograms=None) if only_when else found.samples
            self.queryable += found_at_steps(samples, found.index)
        return found

    def _counted(self, windows: Windows) -> Windows:
        if self.query.counting:
            self.queryable += within_windows(windows)
        return windows

    def unary(self, expr: Unary) -> Any:
        value = self.evaluate(expr.expr)
        if expr.op == "+":
            return value
        if isinstance(value, Scalar):
            return Scalar(-value.values)
        return replace(
            value,
            values=-value.values,
            histograms=None if value.histograms is None else negated(value.histograms),
            drop_name=np.ones(value.labels.size, bool),
        )

    def binary(self, expr: Binary) -> Any:
        left, right = self.evaluate(expr.left), self.evaluate(expr.right)
        return binary(expr, left, right, self.query.annotations, self.query.budget)

    def aggregate(self, expr: Aggregate) -> Vector:
        param = None if expr.param is None else self.evaluate(expr.param)
        return aggregate(expr, self.evaluate(expr.expr), param, self.query.annotations, self.query.budget)

    def call(self, expr: Call) -> Any:
        context = Context(expr, self.times, self.query)
        if expr.function == "info":
            return info(context, self)
        selector = _bare(expr.args[0]) if expr.args else None
        if expr.function in OF_SAMPLES and isinstance(selector, VectorSelector):
            found = self.found(selector, only_when=True) if len(self.times) else None
            return self._named(expr, nothing(0) if found is None else OF_SAMPLES[expr.function](found))
        ranges = [index for index, arg in enumerate(expr.args) if isinstance(_bare(arg), MatrixSelector | Subquery)]
        if not ranges:
            return self._named(expr, FUNCTIONS[expr.function](context, *map(self.evaluate, expr.args)))
        argument = _bare(expr.args[ranges[0]])
        summarised = self.summary_ranges(argument, expr.function)
        if summarised is not None:
            return self._named(expr, self._over_summaries(context, summarised))
        looked_at = self.ranges(argument, expr.function)
        others = [self.evaluate(arg) for index, arg in enumerate(expr.args) if index != ranges[0]]
        return self._named(expr, self._over_windows(context, looked_at, others), looked_at)

    def _over_windows(self, context: Context, looked_at: Ranges, others: Sequence[Value]) -> Vector:
        """The value of a function of a range vector."""

        def function(windows: Windows) -> Vector:
            value: Vector = FUNCTIONS[context.expr.function](self._counted(windows), context, *others)
            return value

        if context.expr.function in ACROSS_SERIES:
            return function(looked_at.windows(self.query.budget))
        return looked_at.each(function, self.query.budget)

    def summary_ranges(self, expr: Expr, function: str) -> SummaryRanges | None:
        """What a function's argument looks at if it is a range selector that is had from summaries."""
        if function not in SUMMARISED or not isinstance(expr, MatrixSelector) or not len(self.times):
            return None
        if expr.vector.modifier is not None:
            return None
        assert isinstance(expr.range, int), "durations are resolved before evaluation"
        ends = ends_of(expr.vector, self.times, self.query)
        choice = self.query.choice(self.times, ends, expr.range)
        range_ms = 0 if choice is None else choice.range_ms
        values = function in OF_VALUES
        found = self.query.summaries(expr.vector, choice, int(ends[0]) - range_ms, int(ends[-1]), values=values)
        return None if found is None else SummaryRanges(where(found, found.counts > 0), ends, range_ms, expr.range)

    def _over_summaries(self, context: Context, looked_at: SummaryRanges) -> Vector:
        note_rounding(looked_at, context)

        def function(windows: SummaryWindows) -> Vector:
            if self.query.counting:
                self.queryable += windows.counts.sum(axis=0)
            return SUMMARISED[context.expr.function](windows, context)

        if context.expr.function in ACROSS_SERIES:
            return function(looked_at.windows(self.query.budget))
        return looked_at.each(function, self.query.budget)

    def _named(self, expr: Call, value: Any, looked_at: Ranges | None = None) -> Any:
        """Most functions make something else of their samples, which then goes without the metric's name."""
        if not isinstance(value, Vector):
            return value
        if expr.function not in KEEPS_NAME:
            return replace(value, drop_name=np.ones(value.labels.size, bool))
        return value if looked_at is None else replace(value, drop_name=looked_at.drop_name)

    def ranges(self, expr: Any, function: str) -> Ranges:
        """What a range selector or a subquery looks at that stands as a function's argument."""
        if isinstance(expr, Subquery):
            return self.subquery(expr)
        check_modifier(expr.vector.modifier, function)
        if not len(self.times):
            return Ranges(no_samples(), self.times, expr.range, expr.vector.modifier)
        return ranges_of(expr, self.times, self.query)

    def subquery(self, expr: Subquery) -> Ranges:
        """What a subquery looks at that stands as a function's argument: its samples count, not those they are made of."""
        inner, ends, range_ms = self._within(expr)
        return subquery_ranges(inner.vector(expr.expr), inner.times, ends, range_ms)

    def whole_subquery(self, expr: Subquery) -> Samples:
        """What a subquery answers by itself."""
        inner, ends, range_ms = self._within(expr)
        vector = named(inner.vector(expr.expr))
        self.queryable[-1] += inner.queryable.sum()
        return windowed(subquery_ranges(vector, inner.times, ends, range_ms).windows(self.query.budget))

    def _within(self, expr: Subquery) -> tuple[Evaluator, Ints, int]:
        """The evaluation on a subquery's own steps, the right edges of its windows, and how long they are."""
        assert isinstance(expr.range, int), "durations are resolved before evaluation"
        ends = ends_of(expr, self.times, self.query)
        return Evaluator(self.query, self._subquery_steps(expr, ends, expr.range)), ends, expr.range

    def vector(self, expr: Expr) -> Vector:
        """The value as series, a number as the one without labels."""
        value = self.evaluate(expr) if len(self.times) else nothing(0)
        return Vector.of_scalar(value) if isinstance(value, Scalar) else value

    def _subquery_steps(self, expr: Subquery, ends: Ints, range_ms: int) -> Ints:
        """The multiples of the subquery's step that any of its windows holds."""
        if not len(ends):
            return np.zeros(0, np.int64)
        assert isinstance(expr.step, int | None)
        step = expr.step or self.query.default_step_ms
        first = (int(ends[0]) - range_ms) // step * step + step
        self.query.budget.take(max(0, (int(ends[-1]) - first) // step + 1))
        return np.arange(first, int(ends[-1]) + 1, step, dtype=np.int64)

    _NODES: Mapping[type, Callable[[Evaluator, Any], Any]] = {
        Number: number,
        String: string,
        Paren: paren,
        VectorSelector: vector_selector,
        Unary: unary,
        Binary: binary,
        Aggregate: aggregate,
        Call: call,
    }


def _bare(expr: Expr) -> Expr:
    while isinstance(expr, Paren):
        expr = expr.expr
    return expr


def _size(value: Any) -> int:
    if isinstance(value, Vector | Samples):
        return samples_in(value)
    return int(value.values.size) if isinstance(value, Scalar) else 1


def _repeated(value: Any, steps: int) -> Any:
    """A value of one step at all steps; the arrays are read-only views."""
    if isinstance(value, Text):
        return value
    if isinstance(value, Scalar):
        return Scalar(np.broadcast_to(value.values, (steps,)))
    shape = (value.labels.size, steps)
    histograms = None if value.histograms is None else np.broadcast_to(value.histograms, shape)
    return replace(
        value,
        values=np.broadcast_to(value.values, shape),
        present=np.broadcast_to(value.present, shape),
        histograms=histograms,
    )
