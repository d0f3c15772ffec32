"""sum and avg over vectors with histograms."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from sonde.query.promql import annotations as notes
from sonde.query.promql.annotations import Annotations
from sonde.query.promql.histogram_cells import Cells, pool_of
from sonde.query.promql.histogram_sum import averaged, collisions, summed
from sonde.query.promql.labels import NAME
from sonde.query.promql.syntax import Aggregate, Paren, Span
from sonde.query.promql.values import Bools, Floats, Ints, Vector
from sonde.query.promql.windows import is_histogram

if TYPE_CHECKING:
    from sonde.query.promql.aggregations import Grouped

_AGGREGATES = {"sum": summed, "avg": averaged}


def with_histograms(
    expr: Aggregate, grouped: Grouped, floats_only: Callable[[Grouped], Floats], annotations: Annotations
) -> Vector:
    """sum or avg of each group: of its floats by `floats_only`, of its histograms, and nothing with a warning where it has both."""
    vector, ids = grouped.vector, grouped.groups.ids
    assert vector.histograms is not None
    native = vector.present & is_histogram(vector.histograms)
    floats = grouped.where(vector.present & ~native)
    counts = floats.counts() > 0
    result = floats.result(floats_only(floats), counts)
    rows, steps = np.nonzero(native)
    keys = ids[rows] * vector.values.shape[1] + steps
    order = np.argsort(keys, kind="stable")
    where, starts = np.unique(keys[order], return_index=True)
    group, step = where // vector.values.shape[1], where % vector.values.shape[1]
    pool, members = pool_of(vector.histograms[native])
    cells = Cells(pool, members[order], np.append(starts, len(rows)).astype(np.int64))
    combined = _AGGREGATES[expr.op](cells)
    span = _span_of(expr)
    both = counts[group, step]
    if both.any():
        annotations.warn(notes.MIXED_FLOATS_HISTOGRAMS_IN_AGGREGATION, span)
    if collisions(cells)[~both].any():
        annotations.warn(notes.counter_reset_collision("aggregation"), span)
    if combined.reconciled.any():
        annotations.info(notes.mismatched_custom_buckets("aggregation"), span)
    for row in _first_of_another_schema(cells, rows[order], np.flatnonzero(combined.mixed)):
        annotations.warn(notes.mixed_exponential_custom_histograms(vector.labels.text(NAME, row)), span)
    histograms = np.full(counts.shape, None, object)
    kept = ~both & ~combined.mixed
    histograms[group[kept], step[kept]] = combined.histograms[kept]
    present: Bools = counts.copy()
    present[group[both], step[both]] = False
    present[group[kept], step[kept]] = True
    return Vector(result.labels, result.values, present, histograms, result.drop_name)


def _first_of_another_schema(cells: Cells, rows: Ints, mixed: Ints) -> list[int]:
    """Of each mixed cell the series whose histogram did not fit to the first one; `rows` is each member's series."""
    custom = np.fromiter((histogram.is_custom for histogram in cells.pool), bool, len(cells.pool))[cells.members]
    found = []
    for cell in mixed:
        start, stop = cells.offsets[cell], cells.offsets[cell + 1]
        found.append(int(rows[start + np.argmax(custom[start:stop] != custom[start])]))
    return found


def _span_of(expr: Aggregate) -> Span:
    inner = expr.expr
    while isinstance(inner, Paren):
        inner = inner.expr
    return inner.span
