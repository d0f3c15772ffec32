"""`sonde doctor` on set-ups that are healthy, new, and broken in ways that people meet."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from running import sonde
from sonde.cli.checks import Level, Setup, check_clock, check_ledger, check_segments, check_spool, is_held
from sonde.ingest.config import IngestConfig
from sonde.ingest.limits import Reason
from sonde.ingest.ownership import Ownership
from sonde.ingest.quarantine import set_aside
from sonde.ingest.signals import Signal
from sonde.ingest.spool import SpoolWriter
from sonde.ingest.spool_folder import SpoolFolder
from sonde.query.config import QueryConfig
from sonde.storage.config import StorageConfig


def examined(folder: Path, *flags: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code, and the worst finding of each check, of the real command on free ports."""
    ports = []
    with contextlib.ExitStack() as stack:
        for flag in ("--otlp-grpc", "--otlp-http", "--query"):
            if flag not in flags:
                held = stack.enter_context(socket.socket())  # nobody listens on it, nor can anybody meanwhile
                held.bind(("127.0.0.1", 0))
                ports += [flag, f"127.0.0.1:{held.getsockname()[1]}"]
        done = sonde("doctor", "--json", *ports, *flags, cwd=folder)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    order = ["ok", "warn", "fail"]
    found: dict[str, dict[str, Any]] = {}
    for finding in json.loads(done.stdout):
        name = finding["check"]
        if name not in found or order.index(finding["level"]) > order.index(found[name]["level"]):
            found[name] = finding
    return done.returncode, found


def test_a_new_folder_is_fine_and_stays_untouched(tmp_path: Path) -> None:
    code, found = examined(tmp_path)
    assert code == 0
    assert {finding["level"] for finding in found.values()} == {"ok"}
    assert not list(tmp_path.iterdir())


def test_a_store_without_tables_is_told_to_be_migrated(tmp_path: Path) -> None:
    (tmp_path / "data" / "store").mkdir(parents=True)
    code, found = examined(tmp_path)
    assert (code, found["schema"]["level"]) == (0, "warn")
    assert "sonde migrate" in found["schema"]["advice"]


def test_retention_that_differs_from_the_declared_is_told(tmp_path: Path) -> None:
    assert sonde("migrate", cwd=tmp_path).returncode == 0
    assert examined(tmp_path)[1]["retention"]["level"] == "ok"
    found = examined(tmp_path, "--retention-logs-days", "3")[1]
    assert found["retention"]["level"] == "warn"


def test_a_server_that_does_not_answer_is_a_failure_without_its_password(tmp_path: Path) -> None:
    code, found = examined(tmp_path, "--store", "http://default:hunter2@127.0.0.1:9/")
    assert (code, found["store"]["level"]) == (1, "fail")
    assert "hunter2" not in json.dumps(found)


def test_a_port_taken_by_something_else_is_a_failure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        code, found = examined(tmp_path, "--otlp-http", f"127.0.0.1:{other.getsockname()[1]}")
    assert (code, found["port"]["level"]) == (1, "fail")
    assert "--otlp-http" in found["port"]["advice"]


def test_a_spool_that_can_not_be_written_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, found = examined(tmp_path, "--spool", str(tmp_path / "file" / "spool"))
    assert (code, found["spool"]["level"]) == (1, "fail")


def test_a_spool_that_is_no_folder_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    code, found = examined(tmp_path, "--spool", "file")
    assert (code, found["spool"]["level"]) == (1, "fail")
    assert found["clock"]["level"] == "ok"


def test_a_ledger_that_can_not_be_read_is_a_failure_and_the_rest_is_looked_at_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "ledger.sqlite").write_bytes(b"no database" * 1000)
    code, found = examined(tmp_path, "--spool", "spool")
    assert (code, found["ledger"]["level"]) == (1, "fail")
    assert "file is not a database" in found["ledger"]["what"]
    assert found["clock"]["level"] == "ok"


def test_too_little_room_on_the_disk_is_told(tmp_path: Path) -> None:
    stat = os.statvfs(tmp_path)
    free = stat.f_bavail * stat.f_frsize
    assert examined(tmp_path, "--spool-min-free-bytes", str(free * 2))[1]["disk"]["level"] == "fail"
    assert examined(tmp_path, "--spool-min-free-bytes", str(free // 2))[1]["disk"]["level"] == "warn"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A spool with one open segment that nobody owns any more, and one in quarantine."""
    path = tmp_path / "spool"
    writer = SpoolWriter(path)
    writer.append("default", Signal.LOGS, b"\x0a\x00", received_unix_nano=time.time_ns(), records=1).result(60)
    writer.close()
    folder = SpoolFolder(path)
    set_aside(folder, folder.list()[0].id, {"what": "damaged"})
    writer = SpoolWriter(path)
    writer.append("default", Signal.LOGS, b"\x0a\x00", received_unix_nano=time.time_ns(), records=1).result(60)
    writer.close()
    sealed = folder.segments / folder.list()[0].name
    sealed.rename(sealed.with_suffix(".open"))
    return path


def test_orphans_and_quarantine_are_told(spool: Path) -> None:
    findings = {finding.check: finding for finding in check_segments(spool)}
    assert findings["spool"].level == Level.WARN
    assert "1 without an owner" in findings["spool"].what
    assert findings["quarantine"].level == Level.WARN
    assert "replay" in findings["quarantine"].advice


def test_the_ledger_of_a_waiting_spool_balances(spool: Path) -> None:
    (finding,) = check_ledger(IngestConfig(spool=str(spool)))
    assert finding.level == Level.OK
    assert "1 pending" in finding.what


def test_the_ledger_tells_what_was_refused_and_why(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    refused = [0] * len(Reason)
    refused[Reason.TOO_OLD], refused[Reason.TOO_MANY_SERIES] = 2, 1_000
    writer.append("default", Signal.METRICS, b"x", received_unix_nano=1, records=1, rejected=refused).result(60)
    writer.close()
    (finding,) = check_ledger(IngestConfig(spool=str(tmp_path)))
    assert finding.level == Level.OK
    assert finding.what.endswith(", 1,002 rejected (too_many_series 1,000, too_old 2)")


def test_a_clock_that_was_set_back_shows_in_the_spool(spool: Path) -> None:
    folder = SpoolFolder(spool)
    (segment,) = folder.list()
    later = f"{time.time_ns() + 3600 * 10**9:019d}{segment.name[19:]}"
    (folder.segments / segment.name).rename(folder.segments / later)
    (finding,) = check_clock(IngestConfig(spool=str(spool)))
    assert finding.level == Level.WARN
    assert "in the future" in finding.what


def test_a_held_lock_is_told_from_a_free_one(tmp_path: Path) -> None:
    lock = tmp_path / "x.lock"
    assert not is_held(lock)
    ownership = Ownership.take(lock)
    assert ownership is not None
    with contextlib.ExitStack() as stack:
        stack.callback(ownership.release)
        assert is_held(lock)
    assert not is_held(lock)


def test_looking_takes_nothing(spool: Path) -> None:
    before = sorted(path.name for path in spool.rglob("*"))
    setup = Setup(StorageConfig(), IngestConfig(spool=str(spool)), QueryConfig(), None)
    list(check_spool(setup.ingest))
    assert sorted(path.name for path in spool.rglob("*")) == before
