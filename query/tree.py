"""Spans of one trace in tree order: parents before children, siblings by start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Node(Generic[T]):
    """`parent` is empty for a root. `start`: what siblings are ordered by."""

    id: bytes
    parent: bytes
    start: int
    item: T


@dataclass(frozen=True, slots=True)
class Placed(Generic[T]):
    """`depth` 0 for a root. `is_orphan`: its parent is not among the spans (late, lost, or sampled away)."""

    item: T
    depth: int
    is_orphan: bool


def in_order(nodes: Iterable[Node[T]]) -> list[Placed[T]]:
    """Every node once, depth first. Orphans stand at depth 0; so does the earliest span of a ring of parents, since a
    hostile or broken sender can make one. Of two spans with one id, both get the children's place: under the first."""
    ordered = sorted(nodes, key=lambda node: (node.start, node.id))
    first: dict[bytes, Node[T]] = {}
    for node in ordered:
        first.setdefault(node.id, node)
    children: dict[bytes, list[Node[T]]] = {}
    roots: list[Node[T]] = []
    for node in ordered:
        if node.parent in first:
            children.setdefault(node.parent, []).append(node)
        else:
            roots.append(node)
    placed: list[Placed[T]] = []
    seen: set[int] = set()
    for root in [*roots, *ordered]:  # those not reached from a root are in rings
        if id(root) not in seen:
            _walk(root, first, children, seen, placed, is_orphan=bool(root.parent))
    return placed


def _walk(
    root: Node[T],
    first: dict[bytes, Node[T]],
    children: dict[bytes, list[Node[T]]],
    seen: set[int],
    placed: list[Placed[T]],
    *,
    is_orphan: bool,
) -> None:
    """Append `root` and all below it. A stack, not recursion: a trace may be deeper than Python's stack."""
    stack: list[tuple[Node[T], int]] = [(root, 0)]
    while stack:
        node, depth = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        placed.append(Placed(node.item, depth, is_orphan and node is root))
        below: Sequence[Node[T]] = children.get(node.id, ()) if first[node.id] is node else ()
        stack.extend((child, depth + 1) for child in reversed(below))
