"""Trees as JSON, in the shape of Prometheus' /parse_query."""

from __future__ import annotations

import orjson
import pytest
from queries import conformance_queries
from sonde.query.promql.parser import parse
from sonde.query.promql.syntax_json import Object, to_object


def selector(name: str, **other: object) -> Object:
    return {
        "type": "vectorSelector",
        "name": name,
        "matchers": [{"name": "__name__", "type": "=", "value": name}],
        "offset": 0,
        "offsetExpr": None,
        "timestamp": None,
        "startOrEnd": None,
        "anchored": False,
        "smoothed": False,
        **other,
    }


def number(value: str) -> Object:
    return {"type": "numberLiteral", "val": value}


def ranged(name: str, **other: object) -> Object:
    return selector(name, type="matrixSelector", **other)


def operation(op: str, left: Object | None, right: Object | None, wrapped: bool = False) -> Object:
    return {"type": "durationExpr", "op": op, "lhs": left, "rhs": right, "wrapped": wrapped}


STEP = operation("step", None, None)
TWO = {**number("2"), "duration": False}
RATE = {"name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector"}
ROUND = {"name": "round", "argTypes": ["vector", "scalar"], "variadic": 1, "returnType": "vector"}
MATCHING = {"card": "many-to-one", "labels": ["x"], "on": True, "include": [], "fillValues": {"lhs": None, "rhs": 0.0}}


@pytest.mark.parametrize(
    ("query", "tree"),
    [
        ("1e3", number("1000")),
        ("'a'", {"type": "stringLiteral", "val": "a"}),
        ("up offset 5m @ 1.5", selector("up", offset=300_000, timestamp=1500)),
        ("up smoothed @ end()", selector("up", smoothed=True, startOrEnd="end")),
        ("up[5m] anchored", ranged("up", range=300_000, rangeExpr=None, anchored=True)),
        ("up[(step() * 2)]", ranged("up", range=0, rangeExpr=operation("*", STEP, TWO, True))),
        ("up[-(2)+2]", ranged("up", range=0, rangeExpr=operation(
            "+", operation("-", None, operation("+", None, TWO, True)), TWO))),
        ("up[1h:]", {"type": "subquery", "expr": selector("up"), "range": 3_600_000, "rangeExpr": None, "step": 0,
                     "stepExpr": None, "offset": 0, "offsetExpr": None, "timestamp": None, "startOrEnd": None}),
        ("-(a)", {"type": "unaryExpr", "op": "-", "expr": {"type": "parenExpr", "expr": selector("a")}}),
        ("a == bool 1", {"type": "binaryExpr", "op": "==", "lhs": selector("a"), "rhs": number("1"), "matching": None,
                         "bool": True}),
        ("a + on(x) group_left fill_right(0) b", {"type": "binaryExpr", "op": "+", "lhs": selector("a"), "rhs": selector("b"),
                                                  "matching": MATCHING, "bool": False}),
        ("topk without (x) (1, a)", {"type": "aggregation", "op": "topk", "expr": selector("a"), "param": number("1"),
                                     "grouping": ["x"], "without": True}),
        ("rate(a[1s])", {"type": "call", "func": RATE, "args": [ranged("a", range=1000, rangeExpr=None)]}),
        ("round(a)", {"type": "call", "func": ROUND, "args": [selector("a")]}),
    ],
)  # fmt: skip
def test_a_tree_has_prometheus_shape(query: str, tree: Object) -> None:
    assert to_object(parse(query)) == tree


def test_every_conformance_query_can_be_encoded() -> None:
    bytes_in_strings = 0
    for where, query, fails in conformance_queries():
        if fails:
            continue
        try:
            orjson.dumps(to_object(parse(query)))
        except orjson.JSONEncodeError:
            # Whoever answers over HTTP has to see to bytes that are no UTF-8.
            assert "\\x" in query, where
            bytes_in_strings += 1
    assert bytes_in_strings < 5
