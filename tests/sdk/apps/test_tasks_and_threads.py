"""A program of asyncio's tasks, of threads and pools: who did what is told by the spans' parents."""

from __future__ import annotations

import sys

import pytest
from apps import HERE, logs, run, spans
from running import Running

pytestmark = pytest.mark.slow

PARENTS = {
    "first": "first",
    "second": "second",
    "third": "tasks",
    "fourth": "threads",
    "fifth": "threads",
    "sixth": "threads",
}
"""Of the queries, by the table that each makes."""


def test_what_tasks_and_threads_do_belongs_to_who_started_them(server: Running) -> None:
    done = run(server, "concurrent", sys.executable, "tasks_and_threads.py", cwd=HERE)
    assert done.returncode == 0, done.stderr
    found = spans(server, "concurrent", 10)
    by_id = {span["span_id"]: span for span in found}
    parents = {
        span["attributes"]["db.query.text"].split()[2]: by_id[span["parent_span_id"]]["name"]
        for span in found
        if span["kind"] == "client"
    }
    assert parents == PARENTS
    roots = {span["name"]: span["trace_id"] for span in found if not span["parent_span_id"]}
    assert set(roots) == {"tasks", "threads"}
    written = {record["body"].split()[1]: record["trace_id"] for record in logs(server, "concurrent", 6)}
    assert written == {table: roots["threads" if parent == "threads" else "tasks"] for table, parent in PARENTS.items()}
