"""Binary operators: between scalars, vectors and scalars, and vectors whose series find each other by their labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sonde.query.promql.annotations import Annotations
from sonde.query.promql.answer import SAME_LABELS, join, stacked
from sonde.query.promql.errors import EvaluationError
from sonde.query.promql.histogram_arithmetic import with_histograms
from sonde.query.promql.label_groups import groups_of, matching_groups
from sonde.query.promql.labels import METADATA, LabelTable, concatenated, labels_text
from sonde.query.promql.limits import Budget
from sonde.query.promql.operands import Operands, Outcome
from sonde.query.promql.set_operators import SET_OPERATORS, set_operator
from sonde.query.promql.syntax import Binary, Cardinality, VectorMatching
from sonde.query.promql.values import Bools, Floats, Ints, Objects, Scalar, Vector

ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}
COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}
TRIMS = frozenset({"</", ">/"})
"""They cut buckets off a histogram, and do nothing with two floats."""


def binary(expr: Binary, left: Any, right: Any, annotations: Annotations, budget: Budget) -> Any:
    """The value of a binary expression, of the values of its sides."""
    if isinstance(left, Scalar) and isinstance(right, Scalar):
        return Scalar(_of_floats(expr, left.values, right.values))
    if isinstance(left, Scalar) or isinstance(right, Scalar):
        return _with_scalar(expr, left, right, annotations)
    if expr.op in SET_OPERATORS:
        return set_operator(expr, left, right, budget)
    return _Match(expr, left, right, annotations, budget).result()


def _of_floats(expr: Binary, left: Floats, right: Floats) -> Floats:
    """Arithmetic, or 1 and 0 for a comparison."""
    if expr.op in ARITHMETIC:
        return np.asarray(ARITHMETIC[expr.op](left, right), np.float64)
    return np.asarray(COMPARISONS[expr.op](left, right), np.float64)


def _with_scalar(expr: Binary, left: Any, right: Any, annotations: Annotations) -> Vector:
    scalar_left = isinstance(left, Scalar)
    vector: Vector = right if scalar_left else left
    if scalar_left:
        numbers = np.broadcast_to(left.values, vector.values.shape)
        operands = Operands(numbers, vector.values, vector.present, None, vector.histograms)
    else:
        numbers = np.broadcast_to(right.values, vector.values.shape)
        operands = Operands(vector.values, numbers, vector.present, vector.histograms, None)
    outcome = _operate(expr, operands, annotations)
    values = outcome.values
    if scalar_left and expr.op in COMPARISONS and not expr.return_bool:
        values = vector.values
    drops = expr.return_bool or expr.op in ARITHMETIC
    drop_name = np.ones(vector.labels.size, bool) if drops else vector.drop_name
    return Vector(vector.labels, values, outcome.present, outcome.histograms, drop_name)


def _operate(expr: Binary, operands: Operands, annotations: Annotations) -> Outcome:
    """The operator on every cell."""
    if operands.left_histograms is not None or operands.right_histograms is not None or expr.op in TRIMS:
        return with_histograms(expr, operands, _floats_only, annotations)
    return _floats_only(expr, operands)


def _floats_only(expr: Binary, operands: Operands) -> Outcome:
    if expr.op in ARITHMETIC:
        return Outcome(np.asarray(ARITHMETIC[expr.op](operands.left, operands.right), np.float64), operands.present)
    kept = COMPARISONS[expr.op](operands.left, operands.right)
    if expr.return_bool:
        return Outcome(kept.astype(np.float64), operands.present)
    return Outcome(operands.left, operands.present & kept)


class _Match:
    """An operation between two vectors. The `one` side has at most one sample for each match group at a step.

    Rows of both sides with the same match group are paired; the operation is then cell by cell, and the rows that have the
    same labels afterwards are joined.
    """

    def __init__(self, expr: Binary, left: Vector, right: Vector, annotations: Annotations, budget: Budget) -> None:
        assert expr.matching is not None, "the parser gives vectors a matching"
        self.expr = expr
        self.matching: VectorMatching = expr.matching
        self.annotations = annotations
        self.budget = budget
        self.swapped = self.matching.cardinality is Cardinality.ONE_TO_MANY
        self.many, self.one = (right, left) if self.swapped else (left, right)
        # With group_right, too: Prometheus puts the many side to the left before it looks at what fills which.
        self.fill_many, self.fill_one = self.matching.fill_left, self.matching.fill_right
        ids = matching_groups(self.many.labels, self.one.labels, self.matching.labels, self.matching.on)
        self.many_ids, self.one_ids, self.group_count = ids

    def result(self) -> Vector:
        self._check_one_side()
        many_rows, one_rows = self._pairs()
        steps = self.many.values.shape[1]
        copied = 2 - _all_in_order(many_rows, self.many) - _all_in_order(one_rows, self.one)
        self.budget.take((2 + copied) * len(many_rows) * steps)
        matched = self.many.present[many_rows] & self.one.present[one_rows]
        if self.matching.cardinality is Cardinality.ONE_TO_ONE:
            self._check_one_to_one(self.many_ids[many_rows], matched)
        blocks = [self._block(many_rows, one_rows, matched)]
        if self.fill_one is not None:
            blocks.append(self._filled_one())
        if self.fill_many is not None:
            blocks.append(self._filled_many())
        return _joined(blocks, self.matching.cardinality)

    def _pairs(self) -> tuple[Ints, Ints]:
        """All rows of the many side with all rows of the one side in the same group."""
        order = np.argsort(self.one_ids, kind="stable")
        starts = np.searchsorted(self.one_ids[order], np.arange(self.group_count + 1))
        counts = np.diff(starts)[self.many_ids]
        many_rows = np.repeat(np.arange(len(self.many_ids)), counts)
        within = np.arange(len(many_rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return many_rows, order[np.repeat(starts[self.many_ids], counts) + within]

    def _block(self, many_rows: Ints, one_rows: Ints, present: Bools) -> _Block:
        many = Side.of(self.many, many_rows)
        one = Side.of(self.one, one_rows)
        labels = self._labels(self.many.labels.take(many_rows), self.one.labels.take(one_rows))
        return self._operated(many, one, present, labels, self._drops(many_rows))

    def _filled_one(self) -> _Block:
        """Rows of the many side where their group has nothing on the one side."""
        present = self.many.present & ~self._any(self.one, self.one_ids)[self.many_ids]
        shape = self.many.values.shape
        many, one = Side(self.many.values, self.many.histograms), Side(np.full(shape, self.fill_one))
        labels = self._labels(self.many.labels, self._match_labels(self.many.labels))
        return self._operated(many, one, present, labels, self._drops(np.arange(self.many.labels.size)))

    def _filled_many(self) -> _Block:
        """Rows of the one side where their group has nothing on the many side."""
        present = self.one.present & ~self._any(self.many, self.many_ids)[self.one_ids]
        many = Side(np.full(self.one.values.shape, self.fill_many))
        labels = self._labels(self._match_labels(self.one.labels), self.one.labels)
        drops = np.full(self.one.labels.size, self.expr.return_bool)
        return self._operated(many, Side(self.one.values, self.one.histograms), present, labels, drops)

    def _operated(self, many: Side, one: Side, matched: Bools, labels: LabelTable, drops: Bools) -> _Block:
        left, right = (one, many) if self.swapped else (many, one)
        operands = Operands(left.values, right.values, matched, left.histograms, right.histograms)
        outcome = _operate(self.expr, operands, self.annotations)
        return _Block(Vector(labels, outcome.values, outcome.present, outcome.histograms, drops), matched)

    def _labels(self, many: LabelTable, one: LabelTable) -> LabelTable:
        """The labels of the results of these pairs."""
        labels = many.without(METADATA) if self.expr.op in ARITHMETIC else many
        if self.matching.cardinality is Cardinality.ONE_TO_ONE:
            names = self.matching.labels
            labels = labels.keep(names) if self.matching.on else labels.without(names)
        for name in self.matching.include:
            labels = labels.with_column(name, one.column(name))
        return labels

    def _match_labels(self, labels: LabelTable) -> LabelTable:
        names = self.matching.labels
        return labels.keep(names) if self.matching.on else labels.without({"__name__", *names})

    def _drops(self, many_rows: Ints) -> Bools:
        if self.expr.return_bool:
            return np.ones(len(many_rows), bool)
        return np.zeros(len(many_rows), bool) if self.many.drop_name is None else self.many.drop_name[many_rows]

    def _any(self, side: Vector, ids: Ints) -> Bools:
        """(groups, s) whether any row of the group has a sample."""
        found = np.zeros((self.group_count, side.present.shape[1]), bool)
        rows, columns = np.nonzero(side.present)
        found[ids[rows], columns] = True
        return found

    def _check_one_side(self) -> None:
        """Two samples of a group on the one side at a step where there is anything to match them with."""
        clash = first_clash(self.one_ids, self.one.present, self._matching_steps())
        if clash is None:
            return
        first, second = sorted(labels_text(self.one.labels.row(row)) for row in clash)
        group = labels_text(self._match_labels(self.one.labels).row(clash[0]))
        side = "left" if self.swapped else "right"
        raise EvaluationError(
            f"found duplicate series for the match group {group} on the {side} hand-side of the operation: "
            f"[{first}, {second}];many-to-many matching not allowed: matching labels must be unique on one side"
        )

    def _matching_steps(self) -> Bools:
        if self.fill_one is not None or self.fill_many is not None:
            return np.ones(self.many.present.shape[1], bool)
        return np.asarray(self.many.present.any(axis=0))

    def _check_one_to_one(self, ids: Ints, matched: Bools) -> None:
        if first_clash(ids, matched, np.ones(matched.shape[1], bool)) is not None:
            raise EvaluationError(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
            )


@dataclass(frozen=True, slots=True)
class Side:
    """One side's cells."""

    values: Floats
    histograms: Objects | None = None

    @classmethod
    def of(cls, vector: Vector, rows: Ints) -> Side:
        if _all_in_order(rows, vector):
            return cls(vector.values, vector.histograms)
        return cls(vector.values[rows], None if vector.histograms is None else vector.histograms[rows])


def _all_in_order(rows: Ints, vector: Vector) -> bool:
    """Whether these rows are the vector as it stands, so that nothing has to be copied."""
    return len(rows) == vector.labels.size and bool((rows == np.arange(len(rows))).all())


@dataclass(frozen=True, slots=True)
class _Block:
    """Results, and where operands met: also where a comparison then kept nothing."""

    vector: Vector
    matched: Bools


def first_clash(ids: Ints, present: Bools, steps: Bools) -> tuple[int, int] | None:
    """Two rows of one group that both have a sample at one of these steps; None where there are none."""
    doubled = np.flatnonzero(np.bincount(ids)[ids] > 1) if len(ids) else ids
    if not len(doubled):
        return None
    order = doubled[np.argsort(ids[doubled], kind="stable")]
    starts = np.flatnonzero(np.diff(ids[order], prepend=-1))
    together = np.add.reduceat(present[order] & steps, starts, axis=0, dtype=np.int64)
    clashes = np.argwhere(together > 1)
    if not len(clashes):
        return None
    group, step = clashes[0]
    rows = order[ids[order] == ids[order[starts[group]]]]
    first, second = rows[present[rows, step]][:2]
    return int(first), int(second)


def _joined(blocks: list[_Block], cardinality: Cardinality) -> Vector:
    """The blocks' rows as one vector, those with the same labels joined."""
    labels = concatenated([block.vector.labels for block in blocks])
    groups = groups_of(labels)
    vector = stacked([block.vector for block in blocks], labels)
    if groups.count == labels.size:
        return vector
    matched = np.concatenate([block.matched for block in blocks])
    if first_clash(groups.ids, matched, np.ones(matched.shape[1], bool)) is not None:
        if cardinality is Cardinality.ONE_TO_ONE:
            raise EvaluationError(SAME_LABELS)
        raise EvaluationError("multiple matches for labels: grouping labels must ensure unique matches")
    return join(vector, groups, labels.take(groups.firsts))
