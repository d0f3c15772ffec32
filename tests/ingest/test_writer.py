"""The writer: what was spooled is stored once, whatever happens on the way."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_http import Gate
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sonde.ingest import chunks, inserts, lane
from sonde.ingest.accounts import Count, Stream
from sonde.ingest.decode import warm
from sonde.ingest.ledger import Ledger, read_ledger
from sonde.ingest.ledger_writer import LedgerWriter
from sonde.ingest.limits import Limits
from sonde.ingest.quarantine import NotInQuarantine, quarantined, replay
from sonde.ingest.segment import Opened, encode_request, read_segment
from sonde.ingest.signals import Signal
from sonde.ingest.spool import SpoolWriter
from sonde.ingest.spool_folder import SpoolFolder, segment_id
from sonde.ingest.writer import SpoolLocked, Writer
from sonde.storage.errors import StoreRefused, StoreUnavailable
from sonde.storage.store import Store

TRACES = Stream("default", "traces")
AT = 1_767_225_600_000_000_000
DAY = 86_400 * 1_000_000_000
PATIENCE = 120.0
"""Seconds that a test waits for what must come about, on a machine however busy."""


def spans(*numbers: int, name: str = "GET /") -> bytes:
    """A request with a span for each number, which is its span id; odd ones a day later, hence in another partition."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope_spans = resource_spans.scope_spans.add()
    for number in numbers:
        scope_spans.spans.add(
            name=name,
            trace_id=b"t" * 16,
            span_id=number.to_bytes(8, "big"),
            start_time_unix_nano=AT + number % 2 * DAY,
            end_time_unix_nano=AT + number % 2 * DAY + 5,
        )
    return request.SerializeToString()


def log(text: str) -> bytes:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=AT)
    record.body.string_value = text
    return request.SerializeToString()


def put(spool: SpoolWriter, body: bytes, records: int, tenant: str = "default", signal: Signal = Signal.TRACES) -> None:
    spool.append(tenant, signal, body, received_unix_nano=time.time_ns(), records=records).result(PATIENCE)


def spool_all(path: Path, *bodies: bytes, records: int = 2) -> None:
    """Each body in the one sealed segment that this leaves behind."""
    spool = SpoolWriter(path, segment_age_seconds=3600)
    for body in bodies:
        put(spool, body, records)
    spool.close()


def span_numbers(store: Store) -> list[int]:
    found = store.rows("SELECT span_id FROM spans ORDER BY span_id")
    return [int.from_bytes(row["span_id"], "big") for row in found]


def write_all(path: Path, store: Any) -> Ledger:
    """Run a writer until nothing is left; the ledger then, which must be balanced."""
    writer = Writer(path, store)
    writer.start()
    drained = writer.stop(drain_seconds=PATIENCE)
    assert drained
    ledger = read_ledger(path)
    assert ledger.balanced
    assert not ledger.total.pending
    return ledger


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    warm()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chunk is one request."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 10)


def test_chunks_end_at_a_number_of_records_too(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chunks, "CHUNK_RECORDS", 4)
    with contextlib.closing(SpoolWriter(path, segment_age_seconds=3600)) as spool:
        for numbers in ((1, 2), (3,), (4, 5), (6, 7, 8, 9, 10), (11,)):
            put(spool, spans(*numbers), len(numbers))
    (file,) = SpoolFolder(path).list()
    contents = read_segment((SpoolFolder(path).segments / file.name).read_bytes())
    divided = chunks.chunks_of(chunks.requests_of(contents))
    assert [(chunk.label, chunk.records) for chunk in divided] == [("0", 3), ("1", 2), ("2", 5), ("3", 1)]


def test_chunks_end_at_an_amount_of_memory_too(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chunks, "CHUNK_ROOM", 10 << 20)
    with contextlib.closing(SpoolWriter(path, segment_age_seconds=3600)) as spool:
        for mib in (6, 4, 1, 30, 0, 9, 1):
            future = spool.append("default", Signal.TRACES, spans(mib), received_unix_nano=1, records=1, room=mib << 20)
            future.result(PATIENCE)
    (file,) = SpoolFolder(path).list()
    contents = read_segment((SpoolFolder(path).segments / file.name).read_bytes())
    divided = chunks.chunks_of(chunks.requests_of(contents))
    assert [[frame.room >> 20 for frame in chunk.frames] for chunk in divided] == [[6, 4], [1], [30], [0, 9, 1]]


# -------------------------------------------------------------------- the ordinary way


def test_what_is_spooled_is_stored_and_accounted_for(path: Path, store: Store):
    spool_all(path, spans(1, 2), spans(3, 4), spans(5, 6))
    ledger = write_all(path, store)
    assert span_numbers(store) == [1, 2, 3, 4, 5, 6]
    accounts = ledger.streams[TRACES]
    assert accounts.received == accounts.stored == Count(3, 6)
    assert accounts.stored_rows == {"spans": 6}
    assert SpoolFolder(path).list() == []


def test_what_was_answered_can_be_queried_while_all_goes_on(path: Path, store: Store):
    """Within a second, at the default settings: `python -m benchmarks.end_to_end` measures that."""
    writer = Writer(path, store)
    writer.start()
    spool = SpoolWriter(path, on_sealed=writer.wake)
    put(spool, spans(1), 1)
    for number in range(1, 5):
        put(spool, spans(number), 1)
        wait_until(lambda: number in span_numbers(store))  # noqa: B023
    spool.close()
    writer.stop(PATIENCE)


def test_another_process_s_segments_are_seen_without_being_told(path: Path, store: Store):
    writer = Writer(path, store)
    writer.start()
    spool = SpoolWriter(path)
    put(spool, spans(1), 1)
    wait_until(lambda: span_numbers(store) == [1])
    spool.close()
    writer.stop(PATIENCE)


def test_tenants_and_signals_are_kept_apart(path: Path, store: Store):
    spool = SpoolWriter(path)
    put(spool, spans(1, 2), 2, "acme")
    put(spool, spans(1, 2), 2, "globex")
    put(spool, log("hello"), 1, "acme", Signal.LOGS)
    spool.close()
    ledger = write_all(path, store)
    found = store.rows("SELECT tenant, count() AS n FROM spans GROUP BY tenant ORDER BY tenant")
    assert [(row["tenant"], row["n"]) for row in found] == [("acme", 2), ("globex", 2)]
    assert store.rows("SELECT tenant, body FROM logs") == [{"tenant": "acme", "body": "hello"}]
    assert set(ledger.streams) == {Stream("acme", "traces"), Stream("globex", "traces"), Stream("acme", "logs")}


def test_refusals_alone_are_settled_too(path: Path, store: Store):
    spool = SpoolWriter(path)
    spool.note_refused(None, None, "unauthenticated")
    spool.note_refused("default", Signal.TRACES, "malformed")
    spool.append("default", Signal.TRACES, b"x", received_unix_nano=1, records=0, rejected=(2,)).result(PATIENCE)
    spool.append("default", Signal.TRACES, b"", received_unix_nano=1, records=0).result(PATIENCE)
    spool.close()
    ledger = write_all(path, store)
    accounts = ledger.streams[TRACES]
    assert accounts.received == Count(3, 2)
    assert accounts.rejected == {"malformed": Count(1, 0), "too_old": Count(1, 2)}
    assert accounts.stored == Count(1, 0)  # the empty request succeeded
    assert ledger.streams[Stream("_", "_")].rejected == {"unauthenticated": Count(1, 0)}


def test_a_large_segment_is_stored_in_several_blocks(path: Path, store: Store, small_chunks: None):
    spool_all(path, *(spans(number, number + 100) for number in range(1, 11)))
    seen: list[str] = []
    insert_block = store.insert_block

    def noted(table: str, block: Any, columns: Any, *, token: str) -> int:
        seen.append(token)
        return insert_block(table, block, columns, token=token)

    store.insert_block = noted  # type: ignore[method-assign]
    write_all(path, store)
    assert len(span_numbers(store)) == 20
    assert [token.split("/")[1:] for token in seen if token.endswith("/spans")] == [
        [str(n), "spans"] for n in range(10)
    ]


def test_a_second_writer_is_refused_with_a_sentence(path: Path, store: Store):
    writer = Writer(path, store)
    with pytest.raises(SpoolLocked, match="another process already stores"):
        Writer(path, store)
    writer.stop()
    Writer(path, store).stop()


def test_no_tenant_starves_another(path: Path, store: Store):
    for _ in range(4):
        spool = SpoolWriter(path)
        put(spool, spans(*range(10)), 10, "busy")
        spool.close()
    spool = SpoolWriter(path)
    put(spool, spans(1), 1, "calm")
    spool.close()
    writer = Writer(path, store)
    order = []
    while (file := writer._next("traces")) is not None:
        order.append(file.stream.tenant)
    assert order == ["busy", "calm", "busy", "busy", "busy"]
    writer.stop()


# -------------------------------------------------------------------- repeated requests


def test_a_repeated_request_is_stored_once(path: Path, store: Store):
    spool_all(path, spans(1, 2), spans(3, 4), spans(1, 2))
    spool_all(path, spans(3, 4), spans(5, 6))
    ledger = write_all(path, store)
    assert span_numbers(store) == [1, 2, 3, 4, 5, 6]
    assert ledger.total.deduplicated == Count(2, 4)
    spool_all(path, spans(5, 6))  # and after a restart
    assert write_all(path, store).total.deduplicated == Count(3, 6)
    assert span_numbers(store) == [1, 2, 3, 4, 5, 6]


def test_beyond_the_window_a_repetition_is_stored(path: Path, store: Store):
    spool = SpoolWriter(path)
    for received in (AT, AT + 599 * 10**9, AT + 601 * 10**9, AT + 1200 * 10**9):
        spool.append("default", Signal.TRACES, spans(1), received_unix_nano=received, records=1).result(PATIENCE)
    spool.close()
    ledger = write_all(path, store)
    assert span_numbers(store) == [1, 1]
    assert ledger.total.deduplicated == Count(2, 2)


def test_without_a_window_everything_is_stored(path: Path, store: Store):
    spool_all(path, spans(1), spans(1), records=1)
    writer = Writer(path, store, resend_window_seconds=0)
    writer.start()
    assert writer.stop(drain_seconds=PATIENCE)
    assert span_numbers(store) == [1, 1]


# -------------------------------------------------------------------- crashes


class Crash:
    """Ends a writer's lane at a point of its work, as a SIGKILL would: what is in memory is lost, what is on disk stays."""

    def __init__(self, writer: Writer, owner: Any, method: str, nth: int, *, done: bool) -> None:
        self.happened = threading.Event()
        real = getattr(owner, method)
        calls = 0

        def crashing(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == nth or writer._stopping.is_set():
                if done and not writer._stopping.is_set():
                    real(*arguments, **named)
                writer._stopping.set()
                self.happened.set()
                raise lane.Stopped
            return real(*arguments, **named)

        setattr(owner, method, crashing)


class Wrapped:
    """A store whose inserts a test can interrupt."""

    def __init__(self, store: Store) -> None:
        self.insert_block = store.insert_block


CRASHES = [
    pytest.param(what, method, nth, done, id=f"{'after' if done else 'before'}-{method}-{nth}")
    # The inserts are: resources, scopes, and the spans of five chunks in two segments.
    for what, method, times in (
        ("ledger", "claim", (1, 2)),
        ("store", "insert_block", (1, 3, 4, 7)),
        ("ledger", "settle", (1, 2)),
    )
    for nth in times
    for done in (False, True)
]


@pytest.mark.parametrize(("what", "method", "nth", "done"), CRASHES)
def test_a_crash_at_any_step_neither_loses_nor_doubles(
    path: Path, store: Store, small_chunks: None, what: str, method: str, nth: int, done: bool
):
    spool_all(path, spans(1, 2), spans(3, 4), spans(1, 2), spans(5, 6))
    spool_all(path, spans(7, 8), spans(3, 4), spans(9, 10))
    wrapped = Wrapped(store)
    writer = Writer(path, wrapped)  # type: ignore[arg-type]
    crash = Crash(writer, writer._ledger if what == "ledger" else wrapped, method, nth, done=done)
    writer.start()
    assert crash.happened.wait(PATIENCE)
    writer.stop()
    assert read_ledger(path).balanced
    # Meanwhile an older segment turns up that repeats what was in flight: it must not change what that becomes.
    orphan = Opened(TRACES, Limits(), 1, "ab" * 8, 5).encode()
    for body in (spans(5, 6), spans(11, 12), spans(7, 8)):
        orphan += encode_request(5, body, time.time_ns(), 2, ()) + body
    (path / "segments" / f"{segment_id(1, 'ab' * 8, 1, TRACES)}.open").write_bytes(orphan)
    ledger = write_all(path, store)
    assert span_numbers(store) == list(range(1, 13))
    assert ledger.total.received == Count(10, 20)
    assert ledger.total.stored == Count(6, 12)
    assert ledger.total.deduplicated == Count(4, 8)


def test_a_settled_segment_whose_file_came_back_is_not_done_again(path: Path, store: Store):
    spool_all(path, spans(1, 2))
    (segment,) = (path / "segments").iterdir()
    content = segment.read_bytes()
    before = write_all(path, store)
    segment.write_bytes(content)  # the power went before its removal was on disk
    assert read_ledger(path).as_dict() == before.as_dict()
    assert write_all(path, store).as_dict() == before.as_dict()
    assert not segment.exists()


def test_a_claimed_segment_that_somebody_removed_is_let_go(path: Path, store: Store):
    spool_all(path, spans(1, 2))
    wrapped = Wrapped(store)
    writer = Writer(path, wrapped)  # type: ignore[arg-type]
    crash = Crash(writer, wrapped, "insert_block", 1, done=False)
    writer.start()
    assert crash.happened.wait(PATIENCE)
    writer.stop()
    for segment in (path / "segments").iterdir():
        segment.unlink()
    assert write_all(path, store).total.received == Count()


# -------------------------------------------------------------------- the store away


class Failing:
    """A store that meets `error` for as long as it is set, for tables in `tables`."""

    def __init__(self, store: Store, error: Exception | None, tables: tuple[str, ...] = ("spans",)) -> None:
        self._store = store
        self.error = error
        self.tables = tables
        self.tried = 0

    def insert_block(self, table: str, block: Any, columns: Any, *, token: str) -> int:
        if self.error is not None and table in self.tables:
            self.tried += 1
            raise self.error
        return self._store.insert_block(table, block, columns, token=token)


def test_an_unreachable_store_is_waited_for(path: Path, store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lane, "_LONGEST_PAUSE_SECONDS", 0.2)
    failing = Failing(store, StoreUnavailable("connection refused"))
    writer = Writer(path, failing)  # type: ignore[arg-type]
    writer.start()
    spool = SpoolWriter(path, on_sealed=writer.wake)
    put(spool, spans(1, 2), 2)
    wait_until(lambda: failing.tried >= 3)
    assert "connection refused" in writer.status().trouble
    put(spool, log("hello"), 1, signal=Signal.LOGS)  # other signals go on
    wait_until(lambda: len(store.rows("SELECT body FROM logs")) == 1)
    put(spool, spans(3, 4), 2)
    ledger = read_ledger(path)
    assert ledger.balanced
    assert ledger.streams[TRACES].pending == Count(2, 4)
    failing.error = None
    spool.close()
    assert writer.stop(drain_seconds=PATIENCE)
    assert span_numbers(store) == [1, 2, 3, 4]
    assert read_ledger(path).streams[TRACES].stored == Count(2, 4)


def test_a_server_goes_away_and_comes_back(path: Path, http_store: Store, gate: Gate, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lane, "_LONGEST_PAUSE_SECONDS", 0.2)
    writer = Writer(path, http_store)
    writer.start()
    spool = SpoolWriter(path, on_sealed=writer.wake)
    put(spool, spans(1, 2), 2)
    wait_until(lambda: read_ledger(path).total.stored == Count(1, 2))
    gate.shut()
    put(spool, spans(3, 4), 2)  # acknowledged all the same
    wait_until(lambda: writer.status().trouble != "")
    put(spool, spans(5, 6), 2)
    assert read_ledger(path).total.pending == Count(2, 4)
    gate.open()
    spool.close()
    assert writer.stop(drain_seconds=PATIENCE)
    assert span_numbers(http_store) == [1, 2, 3, 4, 5, 6]
    ledger = read_ledger(path)
    assert ledger.balanced
    assert ledger.total.stored == Count(3, 6)


def test_a_server_that_comes_and_goes_stores_each_record_once(
    path: Path, http_store: Store, gate: Gate, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lane, "_LONGEST_PAUSE_SECONDS", 0.05)
    writer = Writer(path, http_store)
    writer.start()
    spool = SpoolWriter(path, segment_age_seconds=0.02, on_sealed=writer.wake)
    rng = random.Random(3)
    for number in range(1, 61):
        put(spool, spans(number, number + 100), 2)
        time.sleep(rng.uniform(0, 0.05))
        if number % 4 == 0:  # inserts are cut off wherever they are; some have arrived, and only the answer is lost
            gate.shut()
            time.sleep(rng.uniform(0, 0.03))
            gate.open()
    spool.close()
    assert writer.stop(drain_seconds=PATIENCE)
    assert len(span_numbers(http_store)) == len(set(span_numbers(http_store))) == 120
    ledger = read_ledger(path)
    assert ledger.balanced
    assert ledger.total.stored == Count(60, 120)


def test_stopping_while_the_store_is_away_leaves_all_to_the_next_start(
    path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
):
    spool_all(path, spans(1, 2))
    for pause in ("_FIRST_PAUSE_SECONDS", "_LONGEST_PAUSE_SECONDS"):  # a stop does not wait for the next try
        monkeypatch.setattr(lane, pause, 1e6)
    failing = Failing(store, StoreUnavailable("connection refused"))
    writer = Writer(path, failing)  # type: ignore[arg-type]
    writer.start()
    wait_until(lambda: failing.tried == 1)
    assert not writer.stop(drain_seconds=0.0)
    write_all(path, store)
    assert span_numbers(store) == [1, 2]


# -------------------------------------------------------------------- quarantine


def test_a_refused_segment_is_set_aside_and_replayed(path: Path, store: Store):
    spool_all(path, spans(1, 2), spans(3, 4))
    failing = Failing(store, StoreRefused("no such column"))
    ledger = write_all(path, failing)
    assert ledger.total.quarantined == Count(2, 4)
    assert ledger.quarantined_segments == 1
    (found,) = quarantined(SpoolFolder(path))
    assert "no such column" in found.reason["what"]
    assert found.reason["quarantined"] == {"requests": 2, "records": 4}
    assert "sonde spool replay" in found.reason["to_do"]
    spool_all(path, spans(5, 6), spans(1, 2))  # others are not held up, and a repetition is one
    ledger = write_all(path, store)
    assert ledger.total.stored == Count(1, 2)
    assert ledger.total.deduplicated == Count(1, 2)
    assert replay(path, found.id[:25]) == found.id
    assert read_ledger(path).balanced
    ledger = write_all(path, store)
    assert span_numbers(store) == [1, 2, 3, 4, 5, 6]
    assert ledger.total.quarantined == Count()
    assert ledger.total.stored == Count(3, 6)
    assert quarantined(SpoolFolder(path)) == []


def test_what_was_stored_before_the_refusal_is_not_stored_again(path: Path, store: Store, small_chunks: None):
    spool_all(path, spans(1, 2), spans(3, 4), spans(5, 6))

    class RefusesTheSecond(Failing):
        def insert_block(self, table: str, block: Any, columns: Any, *, token: str) -> int:
            self.error = StoreRefused("not this one") if "/1/spans" in token else None
            return super().insert_block(table, block, columns, token=token)

    ledger = write_all(path, RefusesTheSecond(store, None))
    assert span_numbers(store) == [1, 2, 5, 6]
    assert ledger.total.stored == Count(2, 4)
    assert ledger.total.quarantined == Count(1, 2)
    for table in ("spans", "resources", "scopes"):  # the engine forgets the tokens
        store.command(f"ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = 0")
    (found,) = quarantined(SpoolFolder(path))
    replay(path, found.id)
    ledger = write_all(path, store)
    assert span_numbers(store) == [1, 2, 3, 4, 5, 6]
    assert ledger.total.stored == Count(3, 6)


def test_a_replay_that_fails_again_is_set_aside_again(path: Path, store: Store):
    spool_all(path, spans(1, 2))
    write_all(path, Failing(store, StoreRefused("no")))
    for _ in range(2):
        (found,) = quarantined(SpoolFolder(path))
        replay(path, found.id)
        ledger = write_all(path, Failing(store, StoreRefused("still no")))
        assert ledger.total.quarantined == Count(1, 2)
        assert ledger.total.received == Count(1, 2)


def test_replaying_what_is_not_there_is_a_sentence(path: Path, store: Store):
    SpoolFolder(path).create()
    for segment in ("", "nothing", "../segments/x"):
        with pytest.raises(NotInQuarantine, match="spool ls"):
            replay(path, segment)


class Poisoned:
    """The decoder, but requests with a span called `poison` are too much for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: type[Exception] = ValueError) -> None:
        self.cured = False
        real = inserts.Preparer._prepare

        def poisoned(preparer: Any, segment: Any, contents: Any, chunk: Any) -> Any:
            bodies = [bytes(contents.body(frame)) for frame in chunk.frames]
            if not self.cured and any(b"poison" in body for body in bodies):
                raise kind("the kernel tripped")
            return real(preparer, segment, contents, chunk)

        monkeypatch.setattr(inserts.Preparer, "_prepare", poisoned)


def test_a_request_that_can_t_be_decoded_is_set_aside_alone(path: Path, store: Store, monkeypatch: pytest.MonkeyPatch):
    poison = Poisoned(monkeypatch)
    bodies = [spans(number, number + 50, name="poison" if number in (7, 20) else "fine") for number in range(1, 31)]
    spool_all(path, *bodies)
    ledger = write_all(path, store)
    assert ledger.total.stored == Count(28, 56)
    assert ledger.total.quarantined == Count(2, 4)
    (found,) = quarantined(SpoolFolder(path))
    assert [failure["requests"] for failure in found.reason["failures"]] == [1, 1]
    content = found.path.read_bytes()
    for failure in found.reason["failures"]:
        assert b"poison" in content[failure["first_byte"] : failure["end_byte"]]
    poison.cured = True
    replay(path, found.id)
    ledger = write_all(path, store)
    assert ledger.total.stored == Count(30, 60)
    assert len(set(span_numbers(store))) == len(span_numbers(store)) == 60


def test_a_crash_among_the_parts_of_a_divided_chunk(path: Path, store: Store, monkeypatch: pytest.MonkeyPatch):
    poison = Poisoned(monkeypatch)
    spool_all(path, *(spans(number, number + 50, name="poison" if number == 3 else "fine") for number in range(1, 9)))
    wrapped = Wrapped(store)
    writer = Writer(path, wrapped)  # type: ignore[arg-type]
    crash = Crash(writer, wrapped, "insert_block", 5, done=True)
    writer.start()
    assert crash.happened.wait(PATIENCE)
    writer.stop()
    poison.cured = True  # sonde was upgraded meanwhile: the division still stands
    ledger = write_all(path, store)
    assert ledger.total.stored == Count(8, 16)
    assert len(set(span_numbers(store))) == len(span_numbers(store)) == 16


def test_other_records_than_were_accepted_are_set_aside(path: Path, store: Store):
    spool = SpoolWriter(path)
    put(spool, spans(1, 2), 3)
    put(spool, spans(3, 4), 2)
    spool.close()
    ledger = write_all(path, store)
    (found,) = quarantined(SpoolFolder(path))
    assert "accepted 3 records, the decoder kept 2" in found.reason["what"]
    assert ledger.total.quarantined == Count(1, 3)
    assert span_numbers(store) == [3, 4]


def test_an_error_nobody_foresaw_is_tried_again_then_set_aside(
    path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lane, "_LONGEST_PAUSE_SECONDS", 0.01)
    spool_all(path, spans(1, 2))
    failing = Failing(store, ZeroDivisionError("oops"))
    ledger = write_all(path, failing)
    assert failing.tried > 3
    assert ledger.total.quarantined == Count(1, 2)


def test_a_segment_the_disk_damaged_is_set_aside(path: Path, store: Store):
    spool_all(path, spans(1, 2), spans(3, 4), spans(5, 6))
    (segment,) = (path / "segments").iterdir()
    content = bytearray(segment.read_bytes())
    content[content.index(spans(3, 4)) + 5] ^= 1
    segment.write_bytes(content)
    spool_all(path, spans(7, 8))
    ledger = write_all(path, store)
    assert span_numbers(store) == [7, 8]
    (found,) = quarantined(SpoolFolder(path))
    assert "damaged" in found.reason["what"]
    assert ledger.total.quarantined == Count(1, 2)  # what can be read before the damage
    assert read_ledger(path).balanced


def test_the_reason_file_is_there_before_the_segment(path: Path, store: Store):
    spool_all(path, spans(1, 2))
    write_all(path, Failing(store, StoreRefused("no")))
    (reason,) = (path / "quarantine").glob("*.reason.json")
    assert json.loads(reason.read_text())["tenant"] == "default"
    assert sorted(file.suffix for file in (path / "quarantine").iterdir()) == [".json", ".seg"]


# -------------------------------------------------------------------- dead receivers


def test_a_dead_receiver_s_segment_is_stored_while_others_work(
    path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sonde.ingest.writer._RECOVER_SECONDS", 0.1)
    writer = Writer(path, store)
    writer.start()
    orphan = Opened(TRACES, Limits(), 1, "ab" * 8, 5).encode()
    body = spans(1, 2)
    orphan += encode_request(5, body, time.time_ns(), 2, ()) + body
    name = segment_id(1, "ab" * 8, 1, TRACES)
    (path / "segments" / f"{name}.open").write_bytes(orphan + b"torn")
    wait_until(lambda: span_numbers(store) == [1, 2])
    writer.stop(PATIENCE)


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    yield
    left = [thread.name for thread in threading.enumerate() if "-decode" in thread.name or "-insert" in thread.name]
    assert left == []


def test_the_ledger_writer_rolls_back_what_fails(path: Path):
    path.mkdir()
    ledger = LedgerWriter(path / "ledger.sqlite")
    with pytest.raises(KeyError):
        ledger.claim_again("never claimed")
    assert ledger.state("never claimed") is None
    ledger.close()
