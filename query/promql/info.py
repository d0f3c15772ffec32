"""`info(v, {selector})`: series joined with the labels of info metrics about the same target, step by step.

An info metric has the value 1 and tells about a target by its labels: `target_info{job="a", instance="b", version="1.2"}`. Which
target is meant is said by `job` and `instance`. Without a selector the metric is `target_info`; data labels that the selector
names are the ones taken over, without any all are.

Source: https://prometheus.io/docs/prometheus/latest/querying/functions/#info
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from sonde.query.promql.answer import take
from sonde.query.promql.context import Context
from sonde.query.promql.errors import EvaluationError
from sonde.query.promql.label_groups import matching_groups
from sonde.query.promql.labels import NAME, LabelColumn, LabelTable, column_of, labels_text
from sonde.query.promql.quoting import quote
from sonde.query.promql.regex import matched_rows, matched_values
from sonde.query.promql.selection import Found, ends_of, find
from sonde.query.promql.syntax import (
    Aggregate,
    Binary,
    Call,
    Expr,
    Matcher,
    MatchOp,
    MatrixSelector,
    Paren,
    Subquery,
    Unary,
    VectorSelector,
)
from sonde.query.promql.values import Bools, Ints, Vector

if TYPE_CHECKING:
    from sonde.query.promql.evaluate import Evaluator

IDENTIFYING = ("instance", "job")
TARGET_INFO = Matcher(NAME, MatchOp.EQUAL, "target_info")
ANY_INFO = Matcher(NAME, MatchOp.REGEX, ".+_info")
POSITIVE = (MatchOp.EQUAL, MatchOp.REGEX)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the second argument asks for."""

    names: tuple[Matcher, ...]
    """Of the info metrics' names."""
    data: tuple[Matcher, ...]
    """Of their other labels."""

    @classmethod
    def by(cls, context: Context) -> _Wanted:
        selector = context.expr.args[1] if len(context.expr.args) > 1 else None
        matchers = selector.matchers if isinstance(selector, VectorSelector) else ()
        names = tuple(matcher for matcher in matchers if matcher.name == NAME)
        data = tuple(matcher for matcher in matchers if matcher.name != NAME)
        if not names:
            names = (TARGET_INFO,)
        elif not any(matcher.op in POSITIVE for matcher in names):
            names = (ANY_INFO, *names)  # what is not excluded would be every metric there is
        return cls(names, data)

    def are_info(self, labels: LabelTable) -> Bools:
        """(n,) which series are info metrics of this kind themselves: they are left as they are."""
        accepted = np.ones(labels.size, bool)
        for matcher in self.names:
            accepted &= matched_rows(labels.column(NAME), matcher)
        return accepted

    def demands_data(self) -> bool:
        """Whether a series without these data labels is left out."""
        nothing = np.array([""], object)
        return not all(matched_values(nothing, matcher)[0] for matcher in self.data)

    def takes(self, label: str) -> bool:
        if label == NAME or label in IDENTIFYING:
            return False
        return not self.data or any(matcher.name == label for matcher in self.data)


def info(context: Context, evaluator: Evaluator) -> Vector:
    """The value of a call of `info`. Raises `EvaluationError` where info metrics contradict each other, or are none."""
    base: Vector = evaluator.evaluate(context.expr.args[0])
    if not len(evaluator.times) or not base.labels.size:
        return base
    wanted = _Wanted.by(context)
    times = _reference_times(context.expr.args[0], evaluator)
    found = find(VectorSelector("", (*wanted.names, *wanted.data)), times, evaluator.query)
    _check_floats(found)
    return _Join(base, found, wanted).result()


def _reference_times(expr: Expr, evaluator: Evaluator) -> Ints:
    """(s,) the times at which the base series were looked at, whatever offset and `@` say: the info metrics of then count."""
    times = evaluator.times
    for selector in _to_first_selector(expr):
        times = ends_of(selector, times, evaluator.query)
    return times


def _to_first_selector(expr: Expr) -> Sequence[VectorSelector | Subquery]:
    """The subqueries on the way to the first selector of an expression, and that selector; empty where it has none."""
    match expr:
        case VectorSelector():
            return (expr,)
        case MatrixSelector():
            return (expr.vector,)
        case Subquery():
            inside = _to_first_selector(expr.expr)
            return (expr, *inside) if inside else ()
        case Paren() | Unary():
            return _to_first_selector(expr.expr)
        case Aggregate():
            return _to_first_selector(expr.expr)
        case Binary():
            return _to_first_selector(expr.left) or _to_first_selector(expr.right)
        case Call():
            return next(filter(None, map(_to_first_selector, expr.args)), ())
        case _:
            return ()


def _check_floats(found: Found) -> None:
    vector = found.vector()
    if vector.histograms is not None:
        row = int(np.argwhere(vector.histograms != None)[0][0])  # noqa: E711 - element by element
        raise EvaluationError(
            f"this should be an info metric, with float samples: {labels_text(vector.labels.row(row))}"
        )


class _Join:
    """Base series with the info series about their targets."""

    def __init__(self, base: Vector, found: Found, wanted: _Wanted) -> None:
        self.base = base
        self.wanted = wanted
        self.info = found.samples.labels
        base_ids, info_ids, self.targets = matching_groups(base.labels, self.info, IDENTIFYING, on=True)
        unidentified = _without_all(base.labels) | wanted.are_info(base.labels)
        self.base_ids = np.where(unidentified, -1, base_ids)
        self.names = self.info.column(NAME).codes.astype(np.int64)
        self.latest = _latest(found, info_ids, self.names, self.targets)

    def result(self) -> Vector:
        """One series for each base series and each set of info series that it met; absent at the other steps."""
        rows: list[Ints] = []
        masks: list[Bools] = []
        extras: list[dict[str, str]] = []
        for members, extra, met, mask in self._sets():
            if not met and self.wanted.demands_data():
                continue
            rows.append(members)
            masks.append(np.broadcast_to(mask, (len(members), len(mask))))
            extras += [extra] * len(members)
        if not rows:
            return take(self.base, np.zeros(0, np.int64))
        vector = take(self.base, np.concatenate(rows))
        labels = _with_extras(vector.labels, extras)
        return replace(vector, labels=labels, present=vector.present & np.concatenate(masks))

    def _sets(self) -> Iterator[tuple[Ints, dict[str, str], bool, Bools]]:
        """(base series of a target, the labels they take over, whether there were info series, at which steps)."""
        steps = self.base.present.shape[1]
        alone = np.flatnonzero(self.base_ids < 0)
        are_info = self.wanted.are_info(self.base.labels)
        everywhere = np.ones(steps, bool)
        yield alone[are_info[alone]], {}, True, everywhere
        yield alone[~are_info[alone]], {}, False, everywhere
        order = np.argsort(self.base_ids, kind="stable")
        order = order[self.base_ids[order] >= 0]
        targets, starts = np.unique(self.base_ids[order], return_index=True)
        for target, members in zip(targets, np.split(order, starts[1:]), strict=False):
            chosen, set_of_step = np.unique(self.latest[:, target], axis=1, return_inverse=True)
            for number in range(chosen.shape[1]):
                series = chosen[chosen[:, number] >= 0, number]
                yield members, self._labels_of(series), bool(len(series)), set_of_step == number

    def _labels_of(self, series: Ints) -> dict[str, str]:
        """What these info series, each of another metric, say together."""
        said: dict[str, str] = {}
        for row in series:
            for label, value in self.info.row(int(row)).items():
                if self.wanted.takes(label) and said.setdefault(label, value) != value:
                    raise EvaluationError(
                        f"conflicting label: {quote(label)} is {quote(said[label])} and {quote(value)}"
                    )
        return said


def _without_all(labels: LabelTable) -> Bools:
    """(n,) which series name no target."""
    missing = np.ones(labels.size, bool)
    for name in IDENTIFYING:
        missing &= labels.column(name).codes == 0
    return missing


def _latest(found: Found, targets: Ints, names: Ints, count: int) -> Ints:
    """(metric names, targets, s) the info series with the latest sample, or -1."""
    steps = found.index.shape[1]
    codes, name_of_row = np.unique(names, return_inverse=True)
    latest = np.full((len(codes), count, steps), -1, np.int64)
    newest = np.full((len(codes), count, steps), np.iinfo(np.int64).min)
    for row in range(len(names)):
        at = name_of_row[row], targets[row]
        times = np.where(found.index[row] >= 0, found.samples.times[found.index[row]], np.iinfo(np.int64).min)
        later = times > newest[at]
        latest[at] = np.where(later, row, latest[at])
        newest[at] = np.where(later, times, newest[at])
    return latest


def _with_extras(labels: LabelTable, extras: Sequence[dict[str, str]]) -> LabelTable:
    """The series with these further labels; what they have stays."""
    for name in sorted({name for extra in extras for name in extra}):
        added = column_of(extra.get(name, "") for extra in extras)
        labels = labels.with_column(name, _completed(labels.column(name), added))
    return labels


def _completed(column: LabelColumn, added: LabelColumn) -> LabelColumn:
    texts = np.where(column.codes != 0, column.texts(), added.texts())
    return column_of(texts)
