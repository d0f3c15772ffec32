"""Functions of instant vectors and scalars that look at floats: arithmetic, dates, presence, order, conversion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sonde.query.promql.annotations import SORT_IN_RANGE_QUERY
from sonde.query.promql.answer import take
from sonde.query.promql.context import Context
from sonde.query.promql.labels import NAME, LabelTable
from sonde.query.promql.selection import Found
from sonde.query.promql.selections import sort_keys
from sonde.query.promql.syntax import Matcher, MatchOp, Paren, VectorSelector
from sonde.query.promql.values import Bools, Floats, Ints, Scalar, Vector
from sonde.query.promql.windows import is_histogram


def floats_of(vector: Vector) -> Vector:
    """Without the histograms."""
    if vector.histograms is None:
        return vector
    return replace(vector, present=vector.present & ~is_histogram(vector.histograms), histograms=None)


def each(function: Callable[[Floats], Any]) -> Callable[[Context, Vector], Vector]:
    """A function of every float; histograms are left out."""

    def applied(context: Context, vector: Vector) -> Vector:
        floats = floats_of(vector)
        return replace(floats, values=np.asarray(function(floats.values), np.float64))

    return applied


def _sign(values: Floats) -> Floats:
    """-1, 1, and zero and NaN as they are."""
    return np.where(values < 0, -1.0, np.where(values > 0, 1.0, values))


ARITHMETIC: Mapping[str, Callable[[Context, Vector], Vector]] = {
    "abs": each(np.abs),
    "ceil": each(np.ceil),
    "exp": each(np.exp),
    "floor": each(np.floor),
    "ln": each(np.log),
    "log10": each(np.log10),
    "log2": each(np.log2),
    "sgn": each(_sign),
    "sqrt": each(np.sqrt),
    "acos": each(np.arccos),
    "acosh": each(np.arccosh),
    "asin": each(np.arcsin),
    "asinh": each(np.arcsinh),
    "atan": each(np.arctan),
    "atanh": each(np.arctanh),
    "cos": each(np.cos),
    "cosh": each(np.cosh),
    "sin": each(np.sin),
    "sinh": each(np.sinh),
    "tan": each(np.tan),
    "tanh": each(np.tanh),
    "deg": each(lambda values: values * 180 / np.pi),
    "rad": each(lambda values: values * np.pi / 180),
}


def clamp(context: Context, vector: Vector, lowest: Scalar, highest: Scalar) -> Vector:
    """Nothing where the bounds are the wrong way round."""
    floats = floats_of(vector)
    values = np.maximum(lowest.values, np.minimum(highest.values, floats.values))
    return replace(floats, values=values, present=floats.present & ~(highest.values < lowest.values))


def clamp_min(context: Context, vector: Vector, lowest: Scalar) -> Vector:
    return clamp(context, vector, lowest, Scalar(np.full(context.steps, np.inf)))


def clamp_max(context: Context, vector: Vector, highest: Scalar) -> Vector:
    return clamp(context, vector, Scalar(np.full(context.steps, -np.inf)), highest)


def round_to(context: Context, vector: Vector, nearest: Scalar | None = None) -> Vector:
    """To the nearest multiple; a tie goes up. The inverse is taken first, which is kinder to 0.1 and its like."""
    floats = floats_of(vector)
    inverse = 1.0 if nearest is None else 1.0 / nearest.values
    return replace(floats, values=np.floor(floats.values * inverse + 0.5) / inverse)


def larger(context: Context, left: Scalar, right: Scalar) -> Scalar:
    return Scalar(
        np.where(np.isposinf(left.values) | np.isposinf(right.values), np.inf, np.maximum(left.values, right.values))
    )


def smaller(context: Context, left: Scalar, right: Scalar) -> Scalar:
    return Scalar(
        np.where(np.isneginf(left.values) | np.isneginf(right.values), -np.inf, np.minimum(left.values, right.values))
    )


def constant(value: float) -> Callable[[Context], Scalar]:
    return lambda context: Scalar(np.full(context.steps, value))


def time(context: Context) -> Scalar:
    """The evaluation time in seconds."""
    return Scalar(context.step_times / 1000)


def query_start(context: Context) -> Scalar:
    return Scalar(np.full(context.steps, context.query.start_ms / 1000))


def query_end(context: Context) -> Scalar:
    return Scalar(np.full(context.steps, context.query.end_ms / 1000))


def query_range(context: Context) -> Scalar:
    return Scalar(np.full(context.steps, (context.query.end_ms - context.query.start_ms) / 1000))


def query_step(context: Context) -> Scalar:
    """0 in an instant query, and where the range is only one step."""
    step_ms = context.query.step_ms if context.query.start_ms != context.query.end_ms else 0
    return Scalar(np.full(context.steps, step_ms / 1000))


def vector(context: Context, scalar: Scalar) -> Vector:
    return Vector.of_scalar(scalar)


def scalar(context: Context, vector: Vector) -> Scalar:
    """The one float there is; NaN where there is none or more."""
    floats = floats_of(vector)
    values = np.where(floats.present, floats.values, 0.0).sum(axis=0)
    only = np.where(floats.present, floats.values, -np.inf)
    counts = floats.present.sum(axis=0)
    found = only.max(axis=0) if len(only) else values
    return Scalar(np.where(counts == 1, np.where(np.isnan(values), np.nan, found), np.nan))


def absent(context: Context, vector: Vector) -> Vector:
    """1 at the steps where no series has a sample."""
    expr = context.expr.args[0]
    while isinstance(expr, Paren):
        expr = expr.expr
    matchers = expr.matchers if isinstance(expr, VectorSelector) else ()
    return absent_vector(matchers, np.asarray(~vector.present.any(axis=0)))


def absent_vector(matchers: Sequence[Matcher], where: Bools) -> Vector:
    """1 at these steps, with the labels that a series would have if there was one: each that one `=` matcher alone names."""
    names = [matcher.name for matcher in matchers]
    labels = {
        matcher.name: matcher.value
        for matcher in matchers
        if matcher.op is MatchOp.EQUAL and matcher.name != NAME and names.count(matcher.name) == 1
    }
    present = where[np.newaxis]
    return Vector(LabelTable.of([labels]), np.ones(present.shape), present)


def timestamp(context: Context, vector: Vector) -> Vector:
    """The evaluation time; of a selector's own samples see `sample_times`."""
    values = np.broadcast_to(context.step_times / 1000, vector.values.shape)
    return replace(vector, values=values, histograms=None)


def sample_times(found: Found) -> Vector:
    """When the samples were taken, in seconds."""
    return _at(found, found.samples.times)


def start_timestamp(context: Context, vector: Vector) -> Vector:
    """What is computed has no start; of a selector's own samples see `sample_starts`."""
    return replace(vector, present=np.zeros(vector.present.shape, bool), histograms=None)


def sample_starts(found: Found) -> Vector:
    """When the samples' counters began, in seconds; 0 where that is unknown."""
    starts = found.samples.start_times
    return _at(found, np.zeros(len(found.samples.times), np.int64) if starts is None else starts)


def _at(found: Found, times: Ints) -> Vector:
    present = found.index >= 0
    values = times[found.index] / 1000 if len(times) else np.zeros(found.index.shape)
    return Vector(found.samples.labels, values, present)


def ordered(*, descending: bool) -> Callable[[Context, Vector], Vector]:
    """sort and sort_desc: NaN last in both. In a range query the answer is in the order of labels anyway."""

    def sorted_vector(context: Context, vector: Vector) -> Vector:
        warn_of_sorting(context)
        floats = floats_of(vector)
        if context.steps != 1:
            return floats
        values, nans = sort_keys(floats.values[:, 0], descending)
        return take(floats, np.lexsort((values, nans)))

    return sorted_vector


def warn_of_sorting(context: Context) -> None:
    """Sorting does nothing where there is more than one step."""
    if context.steps > 1:
        context.annotations.warn(SORT_IN_RANGE_QUERY, context.expr.span)
