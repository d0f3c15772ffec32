"""Trace trees: every span once, whatever the sender did."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sonde.query.tree import Node, in_order


def drawn(*nodes: tuple[str, str, int]) -> list[tuple[str, int, bool]]:
    placed = in_order(Node(id.encode(), parent.encode(), start, id) for id, parent, start in nodes)
    return [(each.item, each.depth, each.is_orphan) for each in placed]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ((), []),
        ((("a", "", 0),), [("a", 0, False)]),
        ((("b", "a", 1), ("a", "", 0)), [("a", 0, False), ("b", 1, False)]),
        (
            (("d", "b", 9), ("c", "a", 5), ("b", "a", 1), ("a", "", 0)),
            [("a", 0, False), ("b", 1, False), ("d", 2, False), ("c", 1, False)],
        ),
        ((("b", "lost", 1), ("c", "b", 2), ("a", "", 0)), [("a", 0, False), ("b", 0, True), ("c", 1, False)]),
        ((("a", "a", 0),), [("a", 0, True)]),
        ((("a", "c", 0), ("b", "a", 1), ("c", "b", 2)), [("a", 0, True), ("b", 1, False), ("c", 2, False)]),
        ((("a", "", 0), ("a", "", 0), ("b", "a", 1)), [("a", 0, False), ("b", 1, False), ("a", 0, False)]),
    ],
)
def test_parents_come_before_children_and_siblings_by_start(
    nodes: tuple[tuple[str, str, int], ...], expected: list[tuple[str, int, bool]]
) -> None:
    assert drawn(*nodes) == expected


ids = st.sampled_from(["", "a", "b", "c", "d", "e"])


@given(st.lists(st.tuples(ids.filter(bool), ids, st.integers(0, 3)), max_size=12))
def test_every_span_stands_once_below_its_parent(nodes: list[tuple[str, str, int]]) -> None:
    placed = in_order(
        Node(id.encode(), parent.encode(), start, number) for number, (id, parent, start) in enumerate(nodes)
    )
    assert sorted(each.item for each in placed) == list(range(len(nodes)))
    above: list[str] = []
    for each in placed:
        id, parent, _ = nodes[each.item]
        del above[each.depth :]
        assert len(above) == each.depth
        assert each.depth == 0 or above[-1] == parent
        above.append(id)


def test_a_trace_may_be_deeper_than_the_stack() -> None:
    nodes = [Node(b"%d" % n, b"%d" % (n - 1) if n else b"", n, n) for n in range(20_000)]
    assert [each.depth for each in in_order(nodes)] == list(range(20_000))
