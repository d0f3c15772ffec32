"""The shape of a trace as indented names, and whether a trace has it.

    POST /checkout
      price *
      db.query

Each line is a span's name, with `*` for any characters; deeper lines are its children, in any order. A span may have other children
than those named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from textwrap import dedent

from sonde.testing.records import Span
from sonde.testing.trees import Trace


@dataclass
class Node:
    name: str
    indent: int
    children: list[Node] = field(default_factory=list)


def parsed(text: str) -> list[Node]:
    """The top nodes. ValueError where a line is indented to where no line above it is."""
    top = Node("", -1)
    path = [top]
    for line in dedent(text).splitlines():
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        left = []
        while path[-1].indent >= indent:
            left.append(path.pop().indent)
        if left and indent not in left:
            raise ValueError(f"the line {line.strip()!r} is indented to where no line above it is")
        node = Node(line.strip(), indent)
        path[-1].children.append(node)
        path.append(node)
    return top.children


def has_shape(trace: Trace, nodes: list[Node]) -> bool:
    """Whether the top nodes are different spans of the trace, anywhere in it, that have the children below them."""
    return fits(trace, list(trace.spans), nodes)


def fits(trace: Trace, spans: list[Span], nodes: list[Node]) -> bool:
    """Whether each node can have a span of its own: a matching, by augmenting paths."""
    suitable = [[place for place, span in enumerate(spans) if is_like(trace, span, node)] for node in nodes]
    taken: dict[int, int] = {}

    def place(node: int, tried: set[int]) -> bool:
        for span in suitable[node]:
            if span not in tried:
                tried.add(span)
                if span not in taken or place(taken[span], tried):
                    taken[span] = node
                    return True
        return False

    return all(place(node, set()) for node in range(len(nodes)))


def is_like(trace: Trace, span: Span, node: Node) -> bool:
    pattern = ".*".join(map(re.escape, node.name.split("*")))
    return re.fullmatch(pattern, span.name, re.DOTALL) is not None and fits(trace, trace.children(span), node.children)


def drawn(nodes: list[Node], depth: int = 1) -> str:
    return "\n".join(
        line for node in nodes for line in ("  " * depth + node.name, drawn(node.children, depth + 1)) if line
    )
