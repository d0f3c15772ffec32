"""The ledger: every request is in exactly one account, at any moment."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from sonde.ingest.accounts import Count, Stream, Tally
from sonde.ingest.deduplication import RecentRequests, as_requests
from sonde.ingest.ledger import LedgerReader, StreamAccounts, read_ledger
from sonde.ingest.ledger_writer import LedgerWriter, Settlement
from sonde.ingest.live_segments import LiveSegments
from sonde.ingest.signals import Signal
from sonde.ingest.spool import SpoolWriter
from sonde.ingest.spool_folder import SpoolFolder
from sonde.ingest.writer import Writer
from sonde.storage.store import Store

LOGS = Stream("default", "logs")
SECOND = 1_000_000_000
PATIENCE = 120.0
"""Seconds that a test waits for what must come about, on a machine however busy."""


def logs(name: str, records: int) -> bytes:
    request = ExportLogsServiceRequest()
    scope_logs = request.resource_logs.add().scope_logs.add()
    for number in range(records):
        scope_logs.log_records.add(time_unix_nano=1_767_225_600 * SECOND).body.string_value = f"{name}/{number}"
    return request.SerializeToString()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(path: Path) -> Iterator[SpoolWriter]:
    spool = SpoolWriter(path, segment_age_seconds=3600)
    yield spool
    spool.close()


# -------------------------------------------------------------------- what is live


def test_nothing_is_balanced(tmp_path: Path):
    ledger = read_ledger(tmp_path / "no such folder")
    assert ledger.balanced
    assert ledger.as_dict()["streams"] == []
    assert not (tmp_path / "no such folder").exists()


def test_what_is_not_settled_is_pending(spool: SpoolWriter, path: Path):
    spool.append("default", Signal.LOGS, b"a", received_unix_nano=1, records=3, rejected=(1,)).result(PATIENCE)
    ledger = read_ledger(path)
    assert ledger.streams[LOGS].received == Count(1, 4)
    assert ledger.streams[LOGS].pending == Count(1, 3)
    assert ledger.streams[LOGS].rejected == {"too_old": Count(0, 1)}
    assert (ledger.live_segments, ledger.balanced) == (1, True)
    spool.close()
    assert read_ledger(path).streams == ledger.streams


def test_a_reader_that_stays_reads_only_what_is_new(spool: SpoolWriter, path: Path, monkeypatch: pytest.MonkeyPatch):
    live = LiveSegments(SpoolFolder(path))
    read = 0

    def looked_at(*arguments: object) -> None:
        raise AssertionError("a frame was read again")

    for number in range(5):
        spool.append("default", Signal.LOGS, b"a" * 200_000, received_unix_nano=1, records=number + 1).result(PATIENCE)
        (found,) = live.look().values()
        assert found.tally.accepted == Count(number + 1, (number + 1) * (number + 2) // 2)
        assert found.walked == found.size > read
        read = found.walked
    with monkeypatch.context() as patch:
        patch.setattr("sonde.ingest.live_segments.head_at", looked_at)
        live.look()  # nothing new: no frame is looked at
        spool.close()
        (found,) = live.look().values()  # sealed: the last frame says it all
        (fresh,) = LiveSegments(SpoolFolder(path)).look().values()
    assert found.tally == fresh.tally == Tally(Count(5, 15))


def test_small_requests_are_counted_many_to_a_look_at_the_file(
    spool: SpoolWriter, path: Path, monkeypatch: pytest.MonkeyPatch
):
    futures = [spool.append("default", Signal.LOGS, b"x" * 500, received_unix_nano=1, records=1) for _ in range(20_000)]
    for future in futures:
        future.result(PATIENCE)
    reads: list[int] = []
    real = os.pread

    def counted(*arguments: Any) -> bytes:
        reads.append(1)
        return real(*arguments)

    monkeypatch.setattr(os, "pread", counted)
    assert read_ledger(path).streams[LOGS].pending == Count(20_000, 20_000)
    assert len(reads) < 20_000 / 50


# -------------------------------------------------------------------- settling


def test_accounts_that_do_not_close_are_noticed(path: Path):
    path.mkdir()
    ledger = LedgerWriter(path / "ledger.sqlite")
    claim = ledger.claim("s", LOGS, [], as_requests([], []), 0)
    lossy = Settlement(Tally(Count(1, 10)), stored=Count(1, 9), stored_rows={"logs": 9})
    ledger.settle(claim, LOGS, lossy, quarantined=False)
    ledger.close()
    found = read_ledger(path)
    assert not found.balanced
    assert found.streams[LOGS].difference == Count(0, 1)
    assert found.as_dict()["streams"][0]["balanced"] is False


def test_rows_by_table_must_add_up_too():
    accounts = StreamAccounts(received=Count(1, 2), stored=Count(1, 2), stored_rows={"spans": 1})
    assert not accounts.balanced


def test_losses_of_one_stream_are_not_hidden_by_another(path: Path):
    path.mkdir()
    ledger = LedgerWriter(path / "ledger.sqlite")
    for number, (stored, tenant) in enumerate(((9, "a"), (11, "b"))):
        stream = Stream(tenant, "logs")
        claim = ledger.claim(str(number), stream, [], as_requests([], []), 0)
        settlement = Settlement(Tally(Count(1, 10)), stored=Count(1, stored), stored_rows={"logs": stored})
        ledger.settle(claim, stream, settlement, quarantined=False)
    ledger.close()
    found = read_ledger(path)
    assert found.total.difference == Count()
    assert not found.balanced


def test_a_settlement_is_all_or_nothing(path: Path):
    path.mkdir()
    ledger = LedgerWriter(path / "ledger.sqlite")
    claim = ledger.claim("s", LOGS, [], as_requests([], []), 0)
    broken = Settlement(Tally(Count(1, 1)), stored_rows={"logs": None})  # type: ignore[dict-item]
    with pytest.raises((sqlite3.Error, TypeError)):
        ledger.settle(claim, LOGS, broken, quarantined=False)
    assert ledger.state("s") == "claimed"
    assert [found.segment for found in ledger.claims()] == ["s"]
    ledger.close()
    assert read_ledger(path).streams == {}


def test_settled_segments_are_forgotten_but_for_the_latest(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sonde.ingest.ledger_writer._KEEP_SETTLED", 3)
    path.mkdir()
    ledger = LedgerWriter(path / "ledger.sqlite")
    for number in range(10):
        claim = ledger.claim(f"{number}", LOGS, [], as_requests([], []), 0)
        ledger.settle(claim, LOGS, Settlement(), quarantined=False)
    ledger.forget([f"{number}" for number in range(1, 10)])  # the first one's file is still there
    assert ledger.settled() == ["0", "7", "8", "9"]
    ledger.close()


def test_another_process_can_read_it(spool: SpoolWriter, path: Path):
    spool.append("default", Signal.LOGS, b"a", received_unix_nano=1, records=3).result(PATIENCE)
    ledger = LedgerWriter(path / "ledger.sqlite")  # a writer has it open
    script = "import json, sys; from sonde.ingest.ledger import read_ledger; print(json.dumps(read_ledger(sys.argv[1]).as_dict()))"
    output = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, check=True, text=True)
    assert json.loads(output.stdout) == read_ledger(path).as_dict()
    assert json.loads(output.stdout)["total"]["pending"] == {"requests": 1, "records": 3}
    ledger.close()


def test_the_sums_close_at_every_moment_under_load(path: Path, store: Store):
    writer = Writer(path, store)
    writer.start()
    spool = SpoolWriter(path, segment_age_seconds=0.04, on_sealed=writer.wake)
    reader = LedgerReader(path)
    ending = threading.Event()
    moments = []

    def watch() -> None:
        while not ending.is_set():
            moments.append((reader.read(), read_ledger(path)))
            time.sleep(0.01)

    def send(sender: int) -> None:
        for number in range(60):
            body = logs(f"{sender}/{number % 50}", 3)  # the last ten are repetitions
            spool.append("default", Signal.LOGS, body, received_unix_nano=time.time_ns(), records=3).result(PATIENCE)
            spool.note_refused("default", Signal.LOGS, "malformed")
            if number % 10 == 0:  # somebody looked meanwhile
                looks = len(moments)
                wait_until(lambda: len(moments) > looks)  # noqa: B023

    watcher = threading.Thread(target=watch)
    senders = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in (watcher, *senders):
        thread.start()
    for thread in senders:
        thread.join()
    spool.close()
    assert writer.stop(drain_seconds=PATIENCE)
    ending.set()
    watcher.join()
    assert all(ledger.balanced for pair in moments for ledger in pair)
    ledger = read_ledger(path)
    assert ledger.balanced
    accounts = ledger.streams[LOGS]
    assert accounts.received == Count(480, 720)
    assert accounts.rejected == {"malformed": Count(240, 0)}
    assert accounts.stored == Count(200, 600)
    assert accounts.deduplicated == Count(40, 120)
    assert store.rows("SELECT count() AS n, uniqExact(body) AS different FROM logs") == [{"n": 600, "different": 600}]


# -------------------------------------------------------------------- repeated requests


def identities(*numbers: int) -> list[bytes]:
    return [number.to_bytes(16, "little") for number in numbers]


def test_duplicates_in_one_segment_and_across():
    recent = RecentRequests(600)
    first = as_requests(identities(1, 2, 1, 1 << 64), [SECOND] * 4)
    assert recent.duplicates(LOGS, first) == [2]
    recent.remember(LOGS, np.delete(first, [2]))
    again = as_requests(identities(5, 1, 1 << 64, 2 << 64, 5), [2 * SECOND] * 5)
    assert recent.duplicates(LOGS, again) == [1, 2, 4]
    assert recent.duplicates(Stream("other", "logs"), again) == [4]


def test_the_window_is_between_the_times_of_receipt():
    recent = RecentRequests(600)
    recent.remember(LOGS, as_requests(identities(1), [1000 * SECOND]))
    for received, duplicate in ((399, False), (400, True), (1000, True), (1600, True), (1601, False)):
        assert recent.duplicates(LOGS, as_requests(identities(1), [received * SECOND])) == [0] * duplicate


def test_many_runs_agree_with_a_plain_set():
    rng = np.random.default_rng(7)
    recent = RecentRequests(1e9)
    known: set[int] = set()
    for step in range(200):
        numbers = rng.integers(1, 3_000, int(rng.integers(1, 40))).tolist()
        requests = as_requests(identities(*numbers), [step * SECOND] * len(numbers))
        expected = []
        for position, number in enumerate(numbers):
            if number in known:
                expected.append(position)
            known.add(number)
        duplicates = recent.duplicates(LOGS, requests)
        assert duplicates == expected
        recent.remember(LOGS, np.delete(requests, duplicates))
    assert len(recent._runs[LOGS]) < 20


def test_what_left_the_window_is_forgotten(path: Path):
    path.mkdir()
    recent = RecentRequests(600)
    ledger = LedgerWriter(path / "ledger.sqlite")
    for step in range(100):
        requests = as_requests(identities(step), [step * 100 * SECOND])
        ledger.claim(f"{step}", LOGS, [], requests, recent.horizon(step * 100 * SECOND))
        recent.remember(LOGS, requests)
    kept = [int(requests["low"][0]) for _, requests in ledger.remembered()]
    assert kept == list(range(93, 100))
    assert sum(len(run.requests) for run in recent._runs[LOGS]) <= 9
    ledger.close()
