"""Traces as trees: shapes, own time, drawings and golden texts, of spans that are given."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from sonde.testing import golden, shapes
from sonde.testing.records import Event, Log, Span
from sonde.testing.trees import Trace, traces_of

MS = 1_000_000


def span(name: str, begin: int = 0, end: int = 10, id: str = "", parent: str = "", **fields: Any) -> Span:
    """Times in ms."""
    plain = {"kind": "internal", "status": "unset", "status_message": "", "trace_id": "t", "attributes": {}}
    rest = {"events": (), "links": (), "resource": {"service.name": "shop"}, "scope": "tests"}
    times = {"start_time_unix_nano": begin * MS, "end_time_unix_nano": end * MS}
    return Span(name=name, span_id=id or name, parent_span_id=parent, **{**plain, **rest, **times, **fields})


def trace(*spans: Span, logs: tuple[Log, ...] = ()) -> Trace:
    (found,) = traces_of(spans, logs)
    return found


def test_own_time_is_what_no_child_covers() -> None:
    parent = span("parent", 0, 100)
    children = [
        span("a", 10, 30, parent="parent"),
        span("b", 20, 40, parent="parent"),
        span("c", 90, 150, parent="parent"),
    ]
    assert trace(parent, *children).self_time(parent) == pytest.approx(0.060)


def test_a_trace_without_its_beginning_has_several_roots() -> None:
    found = trace(span("a", parent="gone"), span("b", 1, parent="gone"))
    assert [root.name for root in found.roots] == ["a", "b"]
    with pytest.raises(AssertionError, match="2 roots: a, b"):
        assert found.root


def test_spans_that_are_each_others_parents_are_drawn_once() -> None:
    found = trace(span("a", parent="b"), span("b", parent="a"), span("self", parent="self"))
    assert sorted(line.split()[0] for line in found.draw().splitlines()) == ["a", "b", "self"]
    assert found.ancestors(found.find("a")) == [found.find("b")]


def test_a_drawing_has_errors_exceptions_and_logs_in_their_order() -> None:
    failed = Event("exception", 0, {"exception.type": "ValueError", "exception.message": "no\nmoney"})
    log = Log("between", "WARN", 13, "", 5 * MS, "t", "root", {}, {}, "shop")
    found = trace(
        span("root", 0, 10, status="error", status_message="failed"),
        span("first", 1, 2, parent="root", events=(failed,)),
        span("second", 6, 7, parent="root"),
        logs=(log,),
    )
    assert found.draw().splitlines() == [
        "root  [shop]  10.0 ms (own 8.0 ms)  ERROR failed",
        "  first  1.0 ms (own 1.0 ms)",
        "    ! ValueError: no money",
        "  > WARN shop: between",
        "  second  1.0 ms (own 1.0 ms)",
    ]
    assert found.draw(most_lines=2).splitlines()[-1] == "... 3 more lines"


def test_a_deep_trace_is_no_trouble() -> None:
    deep = trace(*(span(str(depth), depth, 10**5, parent=str(depth - 1) if depth else "") for depth in range(3000)))
    assert len(deep.descendants(deep.root)) == 2999
    assert deep.draw(most_lines=10)


TREE = trace(span("a"), span("b", 1, id="b1", parent="a"), span("b", 2, id="b2", parent="a"), span("c", 3, parent="b2"))


@pytest.mark.parametrize(
    ("shape", "has"),
    [
        ("a", True),
        ("a\n  b", True),
        ("a\n  b\n  b", True),
        ("a\n  b\n    c\n  b", True),
        ("a\n  b\n  b\n    c", True),
        ("a\n  b\n    c\n  b\n    c", False),
        ("a\n  b\n  b\n  b", False),
        ("a\n  c", False),
        ("b\n  c", True),
        ("*\n  *\n    c", True),
        ("[a]", False),
        ("a\nc", True),
    ],
)
def test_shapes(shape: str, has: bool) -> None:
    assert shapes.has_shape(TREE, shapes.parsed(shape)) is has


def test_a_shape_indented_to_nowhere_is_an_error() -> None:
    with pytest.raises(ValueError, match="'c' is indented to where no line above it is"):
        shapes.parsed("a\n    b\n  c")


def test_siblings_at_the_same_time_stand_in_no_order_of_chance() -> None:
    def text(begins: tuple[int, ...]) -> str:
        below = [span(name, begin, begin + 5, parent="root") for name, begin in zip("abc", begins, strict=True)]
        return golden.text_of([trace(span("root", 0, 100), *below)])

    assert len({text(begins) for begins in itertools.permutations((1, 2, 3))}) == 1
    apart = golden.text_of(
        [trace(span("root", 0, 100), span("b", 1, 2, parent="root"), span("a", 3, 4, parent="root"))]
    )
    assert apart.index("  b (") < apart.index("  a (")


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("http.route", "/cart", '. http.route = "/cart"'),
        ("server.port", 4711, None),
        ("thread.id", 1, None),
        ("client.address", "127.0.0.1", None),
        ("order.support", "yes", '. order.support = "yes"'),
        ("url.full", "http://127.0.0.1:4711/a", '. url.full = "http://127.0.0.1:<port>/a"'),
        ("order", "3f1d8c7b-e0ad-41e7-a9cb-52f06a4d2a55", '. order = "<uuid>"'),
        ("at", "2026-01-02T03:04:05.6Z", '. at = "<time>"'),
        ("repr", "<X object at 0x7f001122>", '. repr = "<X object at <address>>"'),
        ("many", ["a", 1, True], '. many = ["a", 1, true]'),
        ("ignored.x", 1, None),
    ],
)
def test_golden_attributes(key: str, value: Any, line: str | None) -> None:
    lines = golden.text_of([trace(span("a", attributes={key: value}))], ignore=["ignored.*"]).splitlines()
    assert [each.strip() for each in lines[3:]] == ([line] if line else [])


@pytest.mark.parametrize("name", ["../escape", "", ".hidden", "a/b"])
def test_golden_names_are_those_of_files(name: str, tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="can't be the name of a golden trace"):
        golden.path_of(tmp_path / "test_x.py", name)
