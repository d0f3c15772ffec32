"""What a program logs and how it fails, as a sonde that it sends to has it: each once, with fields, traces and frames."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import pytest
from apps import HERE, logs, run, spans
from running import Running

pytestmark = pytest.mark.slow

LOGGED = {
    "after dictConfig",
    "after basicConfig",
    "of a logger apart",
    "printed by structlog",
    "by structlog and logging",
    "by loguru",
    "by loguru and logging",
}
FAILED = {"the thread", "the task", "the child", "the program"}


class Words(NamedTuple):
    records: dict[str, dict[str, Any]]
    """By body; each of which there is only one."""
    spans: dict[str, dict[str, Any]]
    stdout: str
    stderr: str


def words(server: Running, service: str, *arguments: str) -> Words:
    done = run(server, service, sys.executable, "words.py", *arguments, cwd=HERE)
    assert done.returncode == 1
    found = logs(server, service, len(LOGGED) + len(FAILED))
    by_body = {record["body"]: record for record in found}
    assert len(by_body) == len(found), sorted(record["body"] for record in found)
    return Words(by_body, {span["name"]: span for span in spans(server, service, 3)}, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def told(server: Running) -> Words:
    return words(server, "words")


def test_each_record_is_there_once_in_the_trace_it_was_written_in(told: Words) -> None:
    failed = {f"ValueError: {what} has failed" for what in FAILED}
    assert set(told.records) == LOGGED | failed
    trace = told.spans["words"]["trace_id"]
    assert {told.records[body]["trace_id"] for body in LOGGED} == {trace}


def test_fields_keep_their_kinds(told: Words) -> None:
    found = told.records["after dictConfig"]["attributes"]
    assert found["things"] == [{"name": "tea", "left": 3}]
    assert found["kind"] == "<class 'ValueError'>"
    for body in ("printed by structlog", "by structlog and logging", "by loguru"):
        assert told.records[body]["attributes"]["thing"] == "tea"
    assert {record["attributes"].get("code.file.path") for body, record in told.records.items() if body in LOGGED} == {
        str(HERE / "words.py"),
    }


def test_what_fails_is_told_in_its_trace_and_printed_as_ever(told: Words) -> None:
    program, child, thread, task = (
        told.records[f"ValueError: {what} has failed"]
        for what in ("the program", "the child", "the thread", "the task")
    )
    assert [found["severity_text"] for found in (program, child, thread, task)] == ["FATAL", "FATAL", "ERROR", "ERROR"]
    assert child["span_id"] == told.spans["words"]["span_id"]
    assert child["resource"]["process.pid"] != program["resource"]["process.pid"]
    assert program["span_id"] == told.spans["the end"]["span_id"]
    assert thread["span_id"] == told.spans["words"]["span_id"]
    assert task["span_id"] == told.spans["in a task"]["span_id"]
    assert thread["attributes"]["thread.name"] == "worker"
    assert task["attributes"]["sonde.exception.task"] == "work"
    assert told.stdout.splitlines()[-1] == "its own hook"
    assert told.stderr.count("Traceback (most recent call last)") == 4
    assert told.stderr.endswith("ValueError: the program has failed\n")


def test_frames_of_the_program_have_their_source_without_secrets(told: Words) -> None:
    attributes = told.records["ValueError: the program has failed"]["attributes"]
    frames = attributes["sonde.exception.frames"]
    assert [(frame["function"], frame["own"]) for frame in frames] == [("<module>", True), ("fail", True)]
    fail = frames[-1]
    assert fail["source"][fail["line"] - fail["source_from"]] == '        raise ValueError(f"{what} has failed")'
    assert '    password = "***"' in fail["source"]
    assert "hunter2" not in str(attributes)


def test_the_end_is_told_where_the_program_has_a_hook_that_calls_no_other(server: Running) -> None:
    told = words(server, "wordless", "no other hook")
    assert told.records["ValueError: the program has failed"]["severity_text"] == "FATAL"
    assert told.stderr.count("Traceback (most recent call last)") == 3
