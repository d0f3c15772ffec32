"""`and`, `or` and `unless`: which series have a match on the other side, step by step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sonde.query.promql.answer import merged, stacked
from sonde.query.promql.label_groups import matching_groups
from sonde.query.promql.labels import concatenated
from sonde.query.promql.limits import Budget
from sonde.query.promql.syntax import Binary
from sonde.query.promql.values import Bools, Ints, Vector

SET_OPERATORS = frozenset({"and", "or", "unless"})


def set_operator(expr: Binary, left: Vector, right: Vector, budget: Budget) -> Vector:
    """The value of a set operation."""
    assert expr.matching is not None, "the parser gives vectors a matching"
    left_ids, right_ids, count = matching_groups(left.labels, right.labels, expr.matching.labels, expr.matching.on)
    budget.take(count * left.present.shape[1])
    if expr.op == "and":
        return replace(left, present=left.present & _any(right.present, right_ids, count)[left_ids])
    if expr.op == "unless":
        return replace(left, present=left.present & ~_any(right.present, right_ids, count)[left_ids])
    added = replace(right, present=right.present & ~_any(left.present, left_ids, count)[right_ids])
    return merged(stacked([left, added], concatenated([left.labels, added.labels])))


def _any(present: Bools, ids: Ints, count: int) -> Bools:
    """(count, s) whether any row of the group has a sample."""
    found = np.zeros((count, present.shape[1]), bool)
    if np.bincount(ids).max(initial=0) < 2:
        found[ids] = present
    else:
        rows, columns = np.nonzero(present)
        found[ids[rows], columns] = True
    return found
