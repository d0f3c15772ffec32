"""The last step of an evaluation: names dropped, series that became the same joined, and put in order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sonde.query.promql.errors import EvaluationError
from sonde.query.promql.label_groups import Groups, groups_of, label_order
from sonde.query.promql.labels import METADATA, LabelTable
from sonde.query.promql.values import Bools, Ints, Objects, Samples, Value, Vector

SAME_LABELS = "vector cannot contain metrics with the same labelset"


def finished(value: Value, *, ordered: bool) -> Value:
    """The value as it is answered; `ordered` by labels."""
    if isinstance(value, Samples):
        return _samples_in_order(value)
    if not isinstance(value, Vector):
        return value
    vector = named(with_samples(value))
    return take(vector, label_order(vector.labels)) if ordered else vector


def named(vector: Vector) -> Vector:
    """The vector without the names that its series lose; raises `EvaluationError` as `merged` does."""
    if vector.drop_name is not None and vector.drop_name.any():
        vector = replace(vector, labels=vector.labels.without_where(METADATA, vector.drop_name), drop_name=None)
    return merged(vector)


def with_samples(vector: Vector) -> Vector:
    """Only the series that have any sample."""
    some = vector.present.any(axis=1)
    return vector if some.all() else take(vector, np.flatnonzero(some))


def take(vector: Vector, rows: Ints) -> Vector:
    """These series in this order."""
    return Vector(
        vector.labels.take(rows),
        vector.values[rows],
        vector.present[rows],
        None if vector.histograms is None else vector.histograms[rows],
        None if vector.drop_name is None else vector.drop_name[rows],
    )


def merged(vector: Vector) -> Vector:
    """Series with the same labels as one; raises `EvaluationError` where two of them have a sample at the same step."""
    groups = groups_of(vector.labels)
    return vector if groups.count == vector.labels.size else join(vector, groups, vector.labels.take(groups.firsts))


def join(vector: Vector, groups: Groups, labels: LabelTable) -> Vector:
    """The series of each group as one with `labels`; raises `EvaluationError` where two have a sample at the same step."""
    order = np.argsort(groups.ids, kind="stable")
    starts = np.searchsorted(groups.ids[order], np.arange(groups.count))
    present = vector.present[order]
    counts = np.add.reduceat(present, starts, axis=0, dtype=np.int64)
    if (counts > 1).any():
        raise EvaluationError(SAME_LABELS)
    steps = vector.present.shape[1]
    rows, columns = np.nonzero(vector.present)
    values = np.zeros((groups.count, steps))
    values[groups.ids[rows], columns] = vector.values[rows, columns]
    histograms = None
    if vector.histograms is not None:
        histograms = np.full((groups.count, steps), None, object)
        histograms[groups.ids[rows], columns] = vector.histograms[rows, columns]
    drop_name = None if vector.drop_name is None else vector.drop_name[groups.firsts]
    return Vector(labels, values, counts > 0, histograms, drop_name)


def stacked(vectors: list[Vector], labels: LabelTable) -> Vector:
    """The series of several vectors as one vector with these labels."""
    if len(vectors) == 1:
        return replace(vectors[0], labels=labels)
    histograms = None
    if any(vector.histograms is not None for vector in vectors):
        histograms = np.concatenate([_histograms(vector) for vector in vectors])
    drop_name = None
    if any(vector.drop_name is not None for vector in vectors):
        drop_name = np.concatenate([_drop_name(vector) for vector in vectors])
    values = np.concatenate([vector.values for vector in vectors])
    return Vector(labels, values, np.concatenate([vector.present for vector in vectors]), histograms, drop_name)


def _histograms(vector: Vector) -> Objects:
    return np.full(vector.values.shape, None, object) if vector.histograms is None else vector.histograms


def _drop_name(vector: Vector) -> Bools:
    return np.zeros(vector.labels.size, bool) if vector.drop_name is None else vector.drop_name


def _samples_in_order(samples: Samples) -> Samples:
    order = label_order(samples.labels)
    counts = np.diff(samples.offsets)[order]
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    at = np.repeat(samples.offsets[:-1][order] - offsets[:-1], counts) + np.arange(offsets[-1])
    return replace(
        samples,
        labels=samples.labels.take(order),
        offsets=offsets,
        times=samples.times[at],
        values=samples.values[at],
        histograms=None if samples.histograms is None else samples.histograms[at],
        start_times=None if samples.start_times is None else samples.start_times[at],
    )
