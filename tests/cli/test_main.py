"""The command itself: it teaches, answers at once, and meets mistakes with a sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from running import environment, sonde
from sonde.cli.main import COMMANDS, main

HEAVY = (
    "numpy",
    "numba",
    "chdb",
    "clickhouse_connect",
    "fastapi",
    "uvicorn",
    "grpc",
    "pandas",
    "opentelemetry",
    "rich",
    "urllib3",
)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {command.name} " in printed for command in COMMANDS)


def test_no_command_shows_the_help_and_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: sonde COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert f"usage: sonde {command} [flags]" in printed
    assert "examples:" in printed


def test_serve_help_groups_settings_and_shows_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    for part in ("storage:", "ingest:", "query:", "(default: 127.0.0.1:4317)", "(default: 64MiB)", "(default: 14d)"):
        assert part in printed


@pytest.mark.parametrize(
    "argv", [["--help"], ["serve", "--help"], ["demo", "--help"], ["export", "--help"], ["version"]]
)
def test_help_loads_nothing_heavy(argv: list[str], tmp_path: Path) -> None:
    code = f"""
import sys
from sonde.cli.main import main
try:
    main({argv!r})
except SystemExit:
    pass
print(*(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment())
    assert done.stderr.strip() == ""


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["srve"], 2, "there is no command srve; did you mean serve?"),
        (["xyzzy"], 2, "there is no command xyzzy. The commands are serve,"),
        (["serve", "--otlp-grcp", "x"], 2, "sonde serve has no --otlp-grcp; did you mean --otlp-grpc?"),
        (["serve", "--otlp-grpc"], 2, "argument --otlp-grpc: expected one argument. See: sonde serve --help"),
        (["export"], 2, "the following arguments are required: --signal"),
        (["export", "--signal", "traces", "--url", "http://127.0.0.1:9"], 1, "no sonde answers at http://127.0.0.1:9"),
        (["import", "none.jsonl"], 1, "none.jsonl can't be read: No such file or directory"),
        (["spool", "ls"], 1, "there is no spool at"),
        (["demo", "--rate", "fast"], 2, "--rate: 'fast' is not understood: write a plain number"),
        (["demo", "--rate", "0"], 2, "--rate must be more than 0"),
        (["demo", "--endpoint", "localhost:4317"], 2, "the endpoint must look like http://127.0.0.1:4317"),
        (["migrate", "--store", "postgres://x"], 2, "store must be chdb:///folder"),
        (["query", "--query", "8318"], 2, "query must be host:port"),
    ],
)
def test_mistakes_are_met_with_a_sentence(
    argv: list[str],
    code: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv) == code
    printed = capsys.readouterr().err
    assert says in printed
    assert "Traceback" not in printed


def test_without_the_server_extra_the_command_says_what_to_install(tmp_path: Path) -> None:
    code = "import sys; sys.modules['numpy'] = None; from sonde.cli.main import main; sys.exit(main(['migrate']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment())
    assert done.returncode == 1
    assert "pip install 'sonde[server]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_version_tells_what_it_stands_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("sonde ", "python ", "chdb ", "numba "))


def test_migrate_shows_its_sql_and_changes_nothing_with_dry_run(tmp_path: Path) -> None:
    done = sonde("migrate", "--dry-run", "--store", "chdb://./store", cwd=tmp_path)
    assert done.returncode == 0
    assert b"CREATE TABLE" in done.stdout
    assert sonde("migrate", "--dry-run", "--store", "chdb://./store", cwd=tmp_path).stdout == done.stdout


def test_migrate_creates_the_tables_once(tmp_path: Path) -> None:
    first = sonde("migrate", "--store", "chdb://./store", cwd=tmp_path)
    assert (first.returncode, b"the schema is current" in first.stderr) == (0, True)
    again = sonde("migrate", "--store", "chdb://./store", cwd=tmp_path)
    assert b"nothing to do" in again.stderr


def test_a_store_that_can_not_be_reached_is_told_in_a_sentence(tmp_path: Path) -> None:
    done = sonde("migrate", "--store", "http://default:hunter2@127.0.0.1:9/", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(b"sonde: ")
    assert b"Traceback" not in done.stderr
    assert b"hunter2" not in done.stderr
