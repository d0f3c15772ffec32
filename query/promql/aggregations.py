"""Aggregations: the series of a vector in groups, each group to one series, or to some of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sonde.query.promql import annotations as texts
from sonde.query.promql.annotations import Annotations
from sonde.query.promql.errors import EvaluationError
from sonde.query.promql.group_kernels import (
    count_groups,
    extreme_groups,
    mean_groups,
    quantile_groups,
    sum_groups,
    variance_groups,
)
from sonde.query.promql.histogram_aggregation import with_histograms
from sonde.query.promql.label_groups import Groups, groups_of
from sonde.query.promql.labels import NAME, LabelTable, column_of
from sonde.query.promql.limits import Budget
from sonde.query.promql.quoting import quote
from sonde.query.promql.selections import SELECTIONS
from sonde.query.promql.syntax import Aggregate, Expr, Paren, Span
from sonde.query.promql.text_values import value_texts
from sonde.query.promql.values import Bools, Floats, Ints, Scalar, Text, Vector, plain
from sonde.query.promql.windows import is_histogram


def aggregate(expr: Aggregate, vector: Vector, param: Any, annotations: Annotations, budget: Budget) -> Vector:
    """The value of an aggregation, of the values of its expression and its parameter."""
    if expr.op == "count_values":
        return _count_values(expr, vector, param, budget)
    grouped = Grouped.by(expr, vector, budget)
    if expr.op in SELECTIONS:
        return SELECTIONS[expr.op](expr, grouped.vector, grouped.groups, param, annotations)
    if expr.op in _FLOATS_ONLY:
        grouped = grouped.without_histograms(expr, annotations)
    if expr.op == "quantile":
        return grouped.result(_quantiles(grouped, param, span_of(expr.param), annotations), grouped.counts() > 0)
    if expr.op in ("sum", "avg") and grouped.vector.histograms is not None:
        return with_histograms(expr, grouped, _AGGREGATES[expr.op], annotations)
    return grouped.result(_AGGREGATES[expr.op](grouped), grouped.counts() > 0)


_FLOATS_ONLY = frozenset({"min", "max", "stddev", "stdvar", "quantile"})


@dataclass(frozen=True, slots=True)
class Grouped:
    """A vector whose series stand in groups."""

    vector: Vector
    groups: Groups
    labels: LabelTable
    """Of the groups."""

    @classmethod
    def by(cls, expr: Aggregate, vector: Vector, budget: Budget) -> Grouped:
        names = {*expr.grouping, NAME} if expr.without else set(expr.grouping)
        labels = vector.labels.without(names) if expr.without else vector.labels.keep(names)
        groups = groups_of(labels)
        budget.take(3 * groups.count * vector.values.shape[1])
        contiguous = replace(vector, values=plain(vector.values), present=plain(vector.present))
        return cls(contiguous, groups, labels.take(groups.firsts))

    @property
    def shape(self) -> tuple[int, int]:
        return self.groups.count, self.vector.values.shape[1]

    def counts(self) -> Ints:
        """(groups, s) how many samples there are."""
        counts = np.zeros(self.shape, np.int64)
        count_groups(self.vector.present, self.groups.ids, counts)
        return counts

    def where(self, present: Bools) -> Grouped:
        """Only these cells, all of them floats."""
        return replace(self, vector=replace(self.vector, present=present, histograms=None))

    def without_histograms(self, expr: Aggregate, annotations: Annotations) -> Grouped:
        """Only the floats; says so where a histogram was left out."""
        if self.vector.histograms is None:
            return self
        ignored = self.vector.present & is_histogram(self.vector.histograms)
        if ignored.any():
            annotations.info(texts.histogram_ignored_in_aggregation(expr.op), span_of(expr.expr))
        return self.where(self.vector.present & ~ignored)

    def result(self, values: Floats, present: Bools) -> Vector:
        """One series a group. It loses its name if any of its series does."""
        drop_name = None
        if self.vector.drop_name is not None:
            dropping = self.vector.drop_name & self.vector.present.any(axis=1)
            drop_name = np.bincount(self.groups.ids, dropping, self.groups.count) > 0
        return Vector(self.labels, values, present, None, drop_name)


def span_of(expr: Expr | None) -> Span:
    """Where a part of an aggregation stands, without its parentheses."""
    while isinstance(expr, Paren):
        expr = expr.expr
    assert expr is not None, "the parser gives an aggregation its parameter"
    return expr.span


def _sum(grouped: Grouped) -> Floats:
    total, lost = np.zeros(grouped.shape), np.zeros(grouped.shape)
    sum_groups(grouped.vector.values, grouped.vector.present, grouped.groups.ids, total, lost)
    return total + lost


def _mean(grouped: Grouped) -> Floats:
    counts, total, lost = np.zeros(grouped.shape, np.int64), np.zeros(grouped.shape), np.zeros(grouped.shape)
    running = np.zeros(grouped.shape, bool)
    mean_groups(grouped.vector.values, grouped.vector.present, grouped.groups.ids, counts, total, lost, running)
    return np.where(running, total + lost, total / counts + lost / counts)


def _variance(grouped: Grouped) -> Floats:
    counts, mean, squares = np.zeros(grouped.shape, np.int64), np.zeros(grouped.shape), np.zeros(grouped.shape)
    variance_groups(grouped.vector.values, grouped.vector.present, grouped.groups.ids, counts, mean, squares)
    return squares / counts


def _extreme(grouped: Grouped, *, largest: bool) -> Floats:
    out = np.full(grouped.shape, np.nan)
    extreme_groups(grouped.vector.values, grouped.vector.present, grouped.groups.ids, largest, out)
    return out


_AGGREGATES: Mapping[str, Callable[[Grouped], Floats]] = {
    "sum": _sum,
    "avg": _mean,
    "count": lambda grouped: grouped.counts().astype(np.float64),
    "group": lambda grouped: np.ones(grouped.shape),
    "min": lambda grouped: _extreme(grouped, largest=False),
    "max": lambda grouped: _extreme(grouped, largest=True),
    "stdvar": _variance,
    "stddev": lambda grouped: np.sqrt(_variance(grouped)),
}


def _quantiles(grouped: Grouped, param: Scalar, span: Span, annotations: Annotations) -> Floats:
    wrong = param.values[np.isnan(param.values) | (param.values < 0) | (param.values > 1)]
    for quantile in dict.fromkeys([*wrong[np.isnan(wrong)][:1], *wrong[wrong > 1][:1], *wrong[wrong < 0][:1]]):
        annotations.warn(texts.invalid_quantile(float(quantile)), span)
    order = np.argsort(grouped.groups.ids, kind="stable")
    starts = np.searchsorted(grouped.groups.ids[order], np.arange(grouped.groups.count + 1))
    out = np.empty(grouped.shape)
    quantiles = plain(param.values)
    quantile_groups(grouped.vector.values, grouped.vector.present, order, starts, quantiles, out)
    return out


def _count_values(expr: Aggregate, vector: Vector, param: Text, budget: Budget) -> Vector:
    """One series for each value of each group: how many series have it."""
    label = param.value
    if not is_label_name(label):
        raise EvaluationError(f"invalid label name {quote(label)}")
    names = {*expr.grouping, NAME} if expr.without else {*expr.grouping, label}
    rows, steps = np.nonzero(vector.present)
    budget.take(4 * len(rows))
    values = column_of(value_texts(vector, rows, steps))
    labels = vector.labels.take(rows).with_column(label, values)
    labels = labels.without(names) if expr.without else labels.keep(names)
    groups = groups_of(labels)
    budget.take(groups.count * vector.values.shape[1])
    counts = np.zeros((groups.count, vector.values.shape[1]))
    np.add.at(counts, (groups.ids, steps), 1.0)
    return Vector(labels.take(groups.firsts), counts, counts > 0)


def is_label_name(name: str) -> bool:
    """Any UTF-8 text but the empty one; a byte that is none stands as a surrogate."""
    return bool(name) and not any("\ud800" <= character <= "\udfff" for character in name)
