"""Functions that are traced by pattern under `sonde run`, and what a server has of them."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from apps import HERE, logs, run, spans
from running import Running

pytestmark = pytest.mark.slow

HOUR = "3600000"
BRANCHES = {
    "handled": ["warehouse.shelves.handle", "warehouse.shelves.query"],
    "listed": ["warehouse.shelves.items", "warehouse.shelves.query"],
    "moved": ["warehouse.shelves.Shelf.move", "warehouse.shelves.query"],
    "arrived": ["warehouse.shelves.arrivals", "warehouse.shelves.query"],
}
"""Who asked for each table, from the outermost on."""


def take_stock(server: Running, service: str, *words: str, patterns: str = "warehouse.*", **extra: str) -> Any:
    program = ["--trace", patterns, sys.executable, "inventory.py", *words]
    done = run(server, service, *program, cwd=HERE, **extra)
    assert done.returncode == 0, done.stderr
    return done


def branch(span: dict[str, Any], by_id: dict[str, dict[str, Any]]) -> list[str]:
    found: list[str] = []
    while parent := by_id.get(span["parent_span_id"]):
        found.insert(0, parent["name"])
        span = parent
    return found


def test_short_calls_are_told_where_something_within_them_is(server: Running) -> None:
    """Through a registry that was filled by a decorator, methods, coroutines and generators of both kinds."""
    done = take_stock(server, "inventory", SONDE_SDK_TRACE_MIN_DURATION=HOUR)
    assert "traces warehouse.*" in done.stderr
    assert "functions of 3 modules" in done.stdout
    found = spans(server, "inventory", 16)
    by_id = {span["span_id"]: span for span in found}
    queries = [span for span in found if span["kind"] == "client"]
    assert {span["attributes"]["db.query.text"].split()[2]: branch(span, by_id) for span in queries} == BRANCHES
    told = {span["name"] for span in found if span["kind"] == "internal"}
    names = {name for names in BRANCHES.values() for name in names}
    alone = {"warehouse.shelves.lose", "warehouse.shelves.Shelf.check"}
    assert told == names | alone | {"sell", "pack"}
    for span in found:
        if span["name"].startswith("warehouse."):
            assert span["attributes"]["code.function.name"] == span["name"]
            assert span["attributes"]["code.file.path"] == str(HERE / "warehouse" / "shelves.py")


def test_a_log_record_refers_to_the_call_that_wrote_it(server: Running) -> None:
    take_stock(server, "checked", SONDE_SDK_TRACE_MIN_DURATION=HOUR)
    (record,) = [one for one in logs(server, "checked", 1) if one["body"] == "checked a"]
    (call,) = [span for span in spans(server, "checked", 16) if span["name"] == "warehouse.shelves.Shelf.check"]
    assert (record["trace_id"], record["span_id"]) == (call["trace_id"], call["span_id"])


def test_without_a_minimum_every_call_is_told_but_of_what_is_traced_already(server: Running) -> None:
    take_stock(server, "everything", SONDE_SDK_TRACE_MIN_DURATION="0")
    found = [span["name"] for span in spans(server, "everything", 19)]
    assert found.count("warehouse.shelves.quiet") == 2
    assert found.count("warehouse.shelves.query") == 4
    assert "warehouse.shelves.Shelf.fill" in found
    assert found.count("sell") == 1
    assert not [name for name in found if name.startswith("warehouse.sold")]


def test_a_function_that_costs_more_than_it_tells_is_traced_no_longer_and_reported(server: Running) -> None:
    done = take_stock(server, "dear", "--count", SONDE_SDK_TRACE_MIN_DURATION=HOUR, SONDE_SDK_TRACE_BUDGET="0.001")
    assert "  no longer: warehouse.shelves.quiet (" in done.stdout
    said = [record["body"] for record in logs(server, "dear", 2)]
    assert any(body.startswith("no longer traced") and "warehouse.shelves.quiet" in body for body in said)
