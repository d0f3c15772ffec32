"""Trees as text: that reading it again gives the same tree, and how long ones are broken up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from queries import conformance_queries
from sonde.query.promql.errors import ParseError
from sonde.query.promql.parser import parse
from sonde.query.promql.printer import pretty, to_text
from sonde.query.promql.syntax import Expr
from trees import scalars, vectors


@given(vectors() | scalars(2))
@settings(max_examples=400, deadline=None)
def test_any_tree_is_read_back_from_either_form(tree: Expr) -> None:
    assert parse(to_text(tree)) == tree
    assert parse(pretty(tree)) == tree


def test_every_conformance_query_means_the_same_when_printed() -> None:
    for where, query, _ in conformance_queries():
        try:
            tree = parse(query)
        except ParseError:
            continue
        # A NaN is not equal to itself: the texts are compared instead of the trees.
        assert to_text(parse(to_text(tree))) == to_text(tree), where
        assert to_text(parse(pretty(tree))) == to_text(tree), where


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("SUM  BY(a,  b)  (x)", "sum by (a, b) (x)"),
        ("sum(x) without ()", "sum without () (x)"),
        ("sum by () (x)", "sum(x)"),
        ('x{b="2",a="1"}', 'x{a="1",b="2"}'),
        ('{__name__="x"}', '{__name__="x"}'),
        ('{"a.b", "c.d"="é\\n"}', '{"c.d"="é\\n",__name__="a.b"}'),
        ("x[90m] offset 1h @ 12.5", "x[1h30m] @ 12.500 offset 1h"),
        ("x @ -0.5", "x @ -0.500"),
        ("x smoothed offset -5m", "x smoothed offset -5m"),
        ("x[5m] anchored @ end()", "x[5m] anchored @ end()"),
        ("x[7d:1d]", "x[1w:1d]"),
        ("x[90d:]", "x[90d:]"),
        ("x[step()*(2+3)]", "x[step() * (2 + 3)]"),
        ("x + on(a) group_left fill(1e3) y", "x + on (a) group_left () fill (1000) y"),
        ("x == bool 0x10", "x == bool 16"),
        ("-(x)", "-(x)"),
        ('"\\xff\\u0001"', '"\\xff\\x01"'),
        ("5m", "5m"),
        ("1e-7", "0.0000001"),
        ("1e21", "1000000000000000000000"),
        ("-Inf", "-Inf"),
    ],
)
def test_the_canonical_form_is_prometheus_one(text: str, printed: str) -> None:
    assert to_text(parse(text)) == printed


def test_a_long_query_is_broken_up_and_indented() -> None:
    query = (
        "histogram_quantile(0.99, sum by (le, service) (rate(http_server_request_duration_seconds_bucket[5m])))"
        ' / on(service) group_left topk(5, -rate(http_server_requests_total{service=~"checkout|cart|gateway"}[5m]))'
    )
    assert pretty(parse(query)) == (
        """\
  histogram_quantile(
    0.99,
    sum by (le, service) (rate(http_server_request_duration_seconds_bucket[5m]))
  )
/ on (service) group_left ()
  topk(5, -rate(http_server_requests_total{service=~"checkout|cart|gateway"}[5m]))"""
    )
