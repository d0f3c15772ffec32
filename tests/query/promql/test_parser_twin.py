"""Our parser beside the package `promql-parser`: what that one reads means the same to ours."""

from __future__ import annotations

import promql_parser
from queries import conformance_queries
from sonde.query.promql.errors import ParseError
from sonde.query.promql.parser import parse
from sonde.query.promql.printer import to_text
from sonde.query.promql.syntax import Expr, Number, Unary, with_children

NOT_UTF8 = "\\x"
"""A byte of a string that is no UTF-8: the package takes it for the character of that number."""


def meaning(expr: Expr) -> str:
    """The tree without what the package does not keep: a plus sign, and that a number was written as a duration."""

    def kept(node: Expr) -> Expr:
        node = with_children(node, kept)
        if isinstance(node, Unary) and node.op == "+":
            return node.expr
        return Number(node.value) if isinstance(node, Number) else node

    return to_text(kept(expr))


def test_what_the_package_reads_means_the_same_to_us() -> None:
    compared = 0
    for where, query, _ in conformance_queries():
        try:
            theirs = promql_parser.parse(query).prettify()
        except ValueError:
            continue
        if NOT_UTF8 not in query:
            assert meaning(parse(query)) == meaning(parse(theirs)), where
            compared += 1
    assert compared > 1700


def test_what_the_package_refuses_is_newer_grammar_that_we_read() -> None:
    refused = [query for _, query, fails in conformance_queries() if not fails and not read_by_package(query)]
    newer = ("anchored", "smoothed", "</", ">/", "info(", "[", "offset")
    assert len(refused) > 250
    assert [query for query in refused if not any(mark in query.lower() for mark in newer)] == []
    assert [query for query in refused if not read_by_us(query)] == []


def read_by_package(query: str) -> bool:
    try:
        promql_parser.parse(query)
    except ValueError:
        return False
    return True


def read_by_us(query: str) -> bool:
    try:
        parse(query)
    except ParseError:
        return False
    return True
