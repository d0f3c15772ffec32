"""The same samples in a real Prometheus and in sonde, asked the same: the answers are the same, field by field."""

from __future__ import annotations

import re
from typing import Any

import pytest
from beside_data import BASE, EVERY
from beside_expressions import (
    AGGREGATIONS_OF_2,
    COUNTED_OTHERWISE,
    DIFFERENT,
    EXPRESSIONS,
    FAILURES,
    FUNCTIONS_OF_2,
    INSTANTS,
    ORDERED,
    OTHER_WORDS,
    RENAMED,
    WARNINGS,
)
from both_servers import Both, difference, ordered

AT = BASE + 2767
RANGE = {"start": BASE + 7, "end": BASE + 3607, "step": 120}
CHANCE = re.compile(r"\{.*\]")
"""Of several series that are one too many any may be named."""


def answers(both: Both, path: str, theirs: dict[str, Any], ours: dict[str, Any] | None = None) -> tuple[Any, Any]:
    """Status and body of both. 2.42 has no infos; of its errors' texts what it names by chance is left out."""
    their_answer, our_answer = both.ask(path, theirs, ours)
    bodies = their_answer.json(), our_answer.json()
    for body in bodies:
        body.pop("infos", None)
        if "error" in body:
            body["error"] = CHANCE.sub("{...}", body["error"])
    return (their_answer.status_code, bodies[0]), (our_answer.status_code, bodies[1])


def difference_of(theirs: Any, ours: Any) -> str:
    """How two answers differ; empty where they don't. The order of their series says nothing."""
    return difference([theirs[0], ordered(theirs[1])], [ours[0], ordered(ours[1])])


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_over_a_range(both: Both, expression: str) -> None:
    theirs, ours = answers(both, "query_range", {"query": expression, **RANGE, "stats": "all"})
    warnings = ours[1].pop("warnings", [])
    their_count, our_count = (
        body["data"].pop("stats")["samples"]["totalQueryableSamples"] for _, body in (theirs, ours)
    )
    assert difference_of(theirs, ours) == ""
    assert our_count == their_count or COUNTED_OTHERWISE.search(expression)
    known = WARNINGS.get(expression)
    assert len(warnings) == bool(known)
    assert not known or known in warnings[0]


@pytest.mark.parametrize("expression", [*INSTANTS, *(each for each in EXPRESSIONS if each.startswith(ORDERED))])
def test_at_an_instant(both: Both, expression: str) -> None:
    theirs, ours = answers(both, "query", {"query": expression, "time": AT})
    assert difference_of(theirs, ours) == ""
    if expression.startswith(ORDERED):
        metrics = [[row["metric"] for row in body["data"]["result"]] for _, body in (theirs, ours)]
        assert metrics[0] == metrics[1]


@pytest.mark.parametrize(("theirs", "ours"), RENAMED.items())
def test_under_another_name(both: Both, theirs: str, ours: str) -> None:
    assert difference_of(*answers(both, "query_range", {"query": theirs, **RANGE}, {"query": ours, **RANGE})) == ""


@pytest.mark.parametrize("expression", FAILURES)
def test_what_fails_fails_with_the_same_words(both: Both, expression: str) -> None:
    theirs, ours = answers(both, "query", {"query": expression, "time": AT})
    assert theirs[1]["status"] == "error"
    assert ours == theirs


@pytest.mark.parametrize("expression", OTHER_WORDS)
def test_what_fails_in_other_words_is_of_the_same_type(both: Both, expression: str) -> None:
    theirs, ours = answers(both, "query", {"query": expression, "time": AT})
    assert (ours[0], ours[1]["errorType"]) == (theirs[0], theirs[1]["errorType"])
    assert ours[1]["error"] != theirs[1]["error"]


@pytest.mark.parametrize("expression", DIFFERENT)
def test_what_is_known_to_differ_still_does(both: Both, expression: str) -> None:
    theirs, ours = answers(both, "query_range", {"query": expression, **RANGE})
    assert ours[0] in (200, 422)
    assert difference_of(theirs, ours) != ""


def test_a_counter_near_zero_is_extrapolated_by_half_an_interval_at_most(both: Both) -> None:
    """By the rule of Prometheus 3; 2.42 goes to zero where that is nearer than 1.1 intervals."""
    at = BASE + 93 * EVERY
    (_, raw), _ = answers(both, "query", {"query": "begun_total[2m]", "time": at})
    (first, value), *_, (last, _) = raw["data"]["result"][0]["values"]
    (_, theirs), (_, ours) = answers(both, "query", {"query": "increase(begun_total[2m])", "time": at})
    assert (float(value), round(last - first)) == (5, 2 * EVERY)
    for body, to_the_left in ((theirs, EVERY), (ours, EVERY / 2)):
        expected = 10 * (to_the_left + last - first + at - last) / (last - first)
        assert float(body["data"]["result"][0]["value"][1]) == pytest.approx(expected)


def test_every_function_and_aggregation_is_asked_for() -> None:
    called = set(re.findall(r"[a-z_0-9]+(?= ?\(| by| without)", "\n".join([*EXPRESSIONS, *RENAMED])))
    assert called >= {*FUNCTIONS_OF_2.split(), *AGGREGATIONS_OF_2.split()}
