"""Which series belong together by their labels, and in which order they stand."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sonde.query.promql.labels import LabelTable, concatenated
from sonde.query.promql.values import Bools, Ints

_WIDEST = 1 << 62


@dataclass(frozen=True, slots=True)
class Groups:
    """n series in `count` groups, numbered by their first series."""

    ids: Ints
    """(n,)"""
    firsts: Ints
    """(count,) the first series of each group, ascending."""

    @property
    def count(self) -> int:
        return len(self.firsts)


def groups_of(labels: LabelTable) -> Groups:
    """Series with the same labels belong together."""
    key, width = np.zeros(labels.size, np.int64), 1
    for column in labels.columns.values():
        if width * len(column.values) > _WIDEST:
            groups = _groups_by(key, width)
            key, width = groups.ids, groups.count
        key = key * len(column.values) + column.codes
        width *= len(column.values)
    return _groups_by(key, width)


def _groups_by(key: Ints, width: int) -> Groups:
    """Rows with the same key belong together; keys are below `width`."""
    if width <= 4 * len(key) + 1024:
        first_of_key = np.full(width, -1, np.int64)
        first_of_key[key[::-1]] = np.arange(len(key) - 1, -1, -1)
        firsts = np.sort(first_of_key[first_of_key >= 0])
        number = np.empty(width, np.int64)
        number[key[firsts]] = np.arange(len(firsts))
        return Groups(number[key], firsts)
    _, index, inverse = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(index)
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    return Groups(number[inverse], index[order])


def matching_groups(left: LabelTable, right: LabelTable, names: Collection[str], on: bool) -> tuple[Ints, Ints, int]:
    """The group of each series of both sides, by the labels that a binary operator matches on, and how many there are.

    With `on` these are `names`, else all but `names` and the metric's name.
    """
    if on:
        both = concatenated([left.keep(names), right.keep(names)])
    else:
        ignored = {*names, "__name__"}
        both = concatenated([left.without(ignored), right.without(ignored)])
    groups = groups_of(both)
    return groups.ids[: left.size], groups.ids[left.size :], groups.count


def label_order(labels: LabelTable) -> Ints:
    """(n,) the series in the order of their labels, as Prometheus sorts them: pair by pair, names before values.

    So of two series the one with the earlier label comes first, unless the other one has no label left.
    """
    keys: list[NDArray[Any]] = []
    more: Bools = np.zeros(labels.size, bool)
    for name in sorted(labels.columns, reverse=True):
        column = labels.columns[name]
        rank = np.empty(len(column.values), np.int64)
        rank[np.argsort(column.values, kind="stable")] = np.arange(len(column.values))
        absent = column.codes == 0
        # The empty value ranks 0, before all others; where another label follows, its absence comes after them.
        keys.append(np.where(absent & more, len(column.values), rank[column.codes]))
        more |= ~absent
    return np.lexsort(keys) if keys else np.arange(labels.size)
