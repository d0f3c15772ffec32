"""Every evaluation of Prometheus' own scripts for PromQL; `known_failures.txt` lists those that don't hold yet, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from comparing import check, matches
from conformance import FOLDER, path_of
from script import Case, cases_of
from sonde.query.promql.errors import PromQLError
from sonde.query.promql.evaluate import Result, evaluate
from sonde.query.promql.invariance import OF_THE_TIME
from sonde.query.promql.parser import parse
from sonde.query.promql.syntax import Call, Expr, Subquery, VectorSelector, children, with_children
from sonde.query.promql.values import Scalar, Vector

KNOWN = Path(__file__).with_name("known_failures.txt")
SCRIPTS = sorted((FOLDER / "promql").glob("*.test"))
CASES = [case for script in SCRIPTS for case in cases_of(script)]
ABOUT_THE_RANGE = re.compile(r"\b(start|end|range|step)\s*\(")
"""What a query with these answers depends on its range."""


def known_failures() -> dict[str, str]:
    """Where -> why, from lines `where reason`."""
    lines = KNOWN.read_text().splitlines() if KNOWN.exists() else []
    split = (line.partition(" ") for line in lines if line and not line.startswith("#"))
    return {where: reason for where, _, reason in split}


def marked(case: Case) -> object:
    reason = known_failures().get(case.where)
    return pytest.param(case, id=case.where, marks=[pytest.mark.xfail(reason=reason, strict=True)] if reason else [])


def run(case: Case, *, start_ms: int, end_ms: int, step_ms: int) -> Result:
    return evaluate(parse(case.query), case.source, start_ms=start_ms, end_ms=end_ms, step_ms=step_ms)


# An instant query gives the same in the middle of a range, and with its selectors fixed to its time at any other time.
@pytest.mark.parametrize("case", [marked(case) for case in CASES])
def test_script(case: Case) -> None:
    if failures := case.expected("fail"):
        with pytest.raises(PromQLError) as caught:
            run(case, start_ms=case.start_ms, end_ms=case.end_ms, step_ms=case.step_ms)
        assert any(matches(one, str(caught.value)) for one in failures), str(caught.value)
        return
    result = run(case, start_ms=case.start_ms, end_ms=case.end_ms, step_ms=case.step_ms)
    check(case, result)
    if case.step_ms or ABOUT_THE_RANGE.search(case.query) or not isinstance(result.value, Vector | Scalar):
        return
    unordered = replace(case, expectations=case.expected("string"))
    ranged = run(case, start_ms=case.start_ms - 60_000, end_ms=case.start_ms + 60_000, step_ms=60_000)
    check(unordered, ranged, step=1)
    expr = parse(case.query)
    if not any(isinstance(node, Call) and node.function in OF_THE_TIME for node in every(expr)):
        fixed = fixed_at(expr, case.start_ms)
        for time_ms in (10 * case.start_ms, -1000):
            check(unordered, evaluate(fixed, case.source, start_ms=time_ms, end_ms=time_ms))


def every(expr: Expr) -> Iterator[Expr]:
    yield expr
    for child in children(expr):
        yield from every(child)


def fixed_at(expr: Expr, time_ms: int) -> Expr:
    """The expression with `@ time_ms` at all of its selectors that have no time of their own, so that it is the same always."""
    if isinstance(expr, VectorSelector | Subquery):
        return expr if expr.at is not None else replace(expr, at=time_ms)
    return with_children(expr, lambda child: fixed_at(child, time_ms))


def test_the_scripts_are_there_and_every_known_failure_is_one_of_them() -> None:
    path_of("promql")
    assert known_failures().keys() <= {case.where for case in CASES}
