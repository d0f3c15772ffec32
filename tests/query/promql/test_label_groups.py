"""Grouping, matching and ordering of series by their labels, beside plain twins over dicts."""

from __future__ import annotations

from functools import cmp_to_key

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sonde.query.promql import label_groups
from sonde.query.promql.label_groups import groups_of, label_order, matching_groups
from sonde.query.promql.labels import LabelTable, concatenated

NAMES = ["__name__", "a", "b", "c"]
ROWS = st.lists(
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["", "1", "2", "10", "é"]), max_size=4), max_size=12
)


def present(row: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if value}


def numbered(keys: list[object]) -> list[int]:
    """Each key by when it was first seen."""
    known: dict[object, int] = {}
    return [known.setdefault(key, len(known)) for key in keys]


@given(ROWS)
def test_series_with_the_same_labels_are_one_group(rows: list[dict[str, str]]) -> None:
    groups = groups_of(LabelTable.of(rows))
    keys: list[object] = [tuple(sorted(present(row).items())) for row in rows]
    assert groups.ids.tolist() == numbered(keys)
    assert [groups.ids[first] for first in groups.firsts] == list(range(groups.count))


@given(ROWS)
def test_groups_are_the_same_when_keys_are_packed_as_narrowly_as_can_be(rows: list[dict[str, str]]) -> None:
    table = LabelTable.of(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_groups, "_WIDEST", 4)
        narrow = groups_of(table)
    assert narrow.ids.tolist() == groups_of(table).ids.tolist()


@given(ROWS, ROWS, st.sets(st.sampled_from(NAMES)), st.booleans())
def test_both_sides_of_an_operator_match_on_the_same_labels(
    left: list[dict[str, str]], right: list[dict[str, str]], names: set[str], on: bool
) -> None:
    left_ids, right_ids, count = matching_groups(LabelTable.of(left), LabelTable.of(right), names, on)

    def key(row: dict[str, str]) -> object:
        kept = {n: v for n, v in present(row).items() if (n in names if on else n not in {*names, "__name__"})}
        return tuple(sorted(kept.items()))

    expected = numbered([key(row) for row in [*left, *right]])
    assert [*left_ids, *right_ids] == expected
    assert count == len(set(expected))


def compare(left: dict[str, str], right: dict[str, str]) -> int:
    """Pair by pair in the order of names; who has no pair left comes first."""
    ours, theirs = sorted(present(left).items()), sorted(present(right).items())
    return (ours > theirs) - (ours < theirs)


@given(ROWS)
def test_series_are_ordered_pair_by_pair(rows: list[dict[str, str]]) -> None:
    order = label_order(LabelTable.of(rows))
    assert [present(rows[at]) for at in order] == [present(row) for row in sorted(rows, key=cmp_to_key(compare))]


@given(st.lists(ROWS, min_size=1, max_size=3))
def test_tables_one_after_another_have_all_their_rows(tables: list[list[dict[str, str]]]) -> None:
    joined = concatenated([LabelTable.of(rows) for rows in tables])
    assert joined.rows() == [dict(sorted(present(row).items())) for rows in tables for row in rows]


def test_rows_can_be_taken_by_index_and_by_mask() -> None:
    table = LabelTable.of([{"a": "1"}, {"b": "2"}, {}])
    assert table.take(np.array([2, 0])).rows() == [{}, {"a": "1"}]
    assert table.take(np.array([False, True, False])).rows() == [{"b": "2"}]
    assert table.without_where(["a"], np.array([True, False, False])).rows() == [{}, {"b": "2"}, {}]
