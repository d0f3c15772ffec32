"""`sonde run`: what it makes of its words, and what it refuses, before a program starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from sonde.cli import run
from sonde.cli.errors import UsageError
from sonde.cli.main import main
from sonde.cli.parser import PROGRAM, CommandParser


def parsed(*words: str) -> run.argparse.Namespace:
    parser = CommandParser("sonde run", run.DESCRIPTION, run.EXAMPLES)
    run.configure(parser)
    return parser.parse_command(list(words))


@pytest.mark.parametrize(
    ("words", "program"),
    [
        ("python app.py --service x", ["python", "app.py", "--service", "x"]),
        ("--service shop gunicorn -w 4 shop:app", ["gunicorn", "-w", "4", "shop:app"]),
        ("--service=shop --no-logs -- celery --quiet", ["celery", "--quiet"]),
        ("-m shop.web --port 80", ["-m", "shop.web", "--port", "80"]),
        ("--quiet -m shop.web", ["-m", "shop.web"]),
    ],
)
def test_the_flags_of_a_program_are_its_own(words: str, program: list[str]) -> None:
    assert getattr(parsed(*words.split()), PROGRAM) == program


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["-m", "shop"], [sys.executable, "-m", "shop"]),
        (["./app.py"], [sys.executable, "./app.py"]),
        (["gunicorn", "a:b"], ["gunicorn", "a:b"]),
        ([], []),
    ],
)
def test_modules_and_scripts_are_run_by_this_python(words: list[str], command: list[str]) -> None:
    assert run.command_line(words) == command


def test_flags_become_variables_that_win_over_those_that_were_there() -> None:
    before = {"OTEL_SERVICE_NAME": "old", "OTEL_RESOURCE_ATTRIBUTES": "team=a", "PYTHONPATH": f"/x{os.pathsep}/y"}
    args = parsed("--service", "new", "--attr", "say=a,b", "--no-metrics", "--trace", "a.*", "--trace", "b", "python")
    found = run.environment(args, before)
    assert found["OTEL_SERVICE_NAME"] == "new"
    assert found["OTEL_RESOURCE_ATTRIBUTES"] == "team=a,say=a%2Cb"
    assert found["OTEL_METRICS_EXPORTER"] == "none"
    assert "OTEL_TRACES_EXPORTER" not in found
    assert found["SONDE_SDK_TRACE"] == "a.*,b"
    assert found["PYTHONPATH"].split(os.pathsep) == [str(run.STARTUP), "/x", "/y"]


def test_a_run_within_a_run_instruments_once() -> None:
    once = run.environment(parsed("python"), {})
    assert run.environment(parsed("python"), once)["PYTHONPATH"] == str(run.STARTUP)


@pytest.mark.parametrize(
    ("variables", "words", "says"),
    [
        ({"SONDE_SDK_NOSUCH": "1"}, ["python"], "SONDE_SDK_NOSUCH"),
        ({"SONDE_SDK_EXPORTER": "zipkin"}, ["python"], "write one of sonde, opentelemetry"),
        ({"SONDE_SDK_EXIT_SECONDS": "soon"}, ["python"], "write a number"),
        ({}, ["--endpoint", "collector", "python"], "write for example http://127.0.0.1:4318"),
        ({}, ["--attr", "staging", "python"], "write key=value"),
        ({}, [], "say what to run"),
        ({}, ["--servce", "x", "python"], "--service"),
    ],
)
def test_a_mistake_is_exit_2_with_a_sentence_and_nothing_starts(
    variables: dict[str, str],
    words: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("it started"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["run", *words]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.startswith("sonde: ")
    assert len(said.splitlines()) == 1


def test_a_program_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "no-such-program"]) == 1
    assert "there is no program no-such-program on the PATH" in capsys.readouterr().err


def test_explain_tells_and_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("it started"))
    monkeypatch.setenv("SONDE_SDK_HOST_METRICS", "false")
    words = ["--explain", "--service", "till", "--leave", "redis", "--endpoint", "http://127.0.0.1:9", "python", "a.py"]
    assert main(["run", *words]) == 0
    said = capsys.readouterr().out
    assert "to http://127.0.0.1:9/v1/traces (http/protobuf): no answer to use" in said
    assert "`sonde serve` starts a receiver" in said
    assert "till" in said
    assert "\nmeasured: the interpreter\n" in said
    lines = {line.split()[0]: line for line in said.splitlines() if line.startswith("  ")}
    assert "when imported" in lines["flask"]
    assert "left alone" in lines["redis"]


def test_the_words_of_an_attribute_are_kept_whatever_they_hold() -> None:
    assert run.attribute("a=b=c, d") == "a=b%3Dc%2C%20d"
    with pytest.raises(UsageError, match="key=value"):
        run.attribute("=b")
