"""One lane of the writer: the streams of one signal. Segments are claimed strictly in order, and stored STORERS at a time.

One thread claims, reads, decodes and encodes, STORERS others insert and settle, each a segment from beginning to end. While the
engine inserts, the next chunk is made ready (kernels and the engine release the GIL); no more than CHUNKS are in memory.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import queue
import random
import sqlite3
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from sonde.ingest.accounts import Count, Stream, Tally
from sonde.ingest.chunks import Chunk, chunks_of, requests_of
from sonde.ingest.deduplication import RecentRequests, as_requests
from sonde.ingest.inserts import Insert, Prepared, Preparer
from sonde.ingest.ledger_writer import Claim, LedgerWriter, Settlement
from sonde.ingest.quarantine import set_aside
from sonde.ingest.segment import Buffer, Contents, DamagedSegment, Frame, read_opened, read_segment, walk
from sonde.ingest.spool_folder import SegmentFile, SpoolFolder
from sonde.storage.errors import StoreLocked, StoreRefused, StoreUnavailable
from sonde.storage.store import Store

log = logging.getLogger(__name__)
Result = TypeVar("Result")

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 10.0
STORERS = 2
"""An insert waits for the disk's syncs about a third of its time: a second one uses the core meanwhile."""
CHUNKS = STORERS + 1
_ODD_ERROR_TRIES = 5
"""An error that the store does not classify may pass: it is tried so often before the segment is set aside."""


class Stopped(Exception):
    """The writer is to stop: what is unfinished stays claimed, and is done again at the next start."""


@dataclass(slots=True)
class _Job:
    """A segment on its way through the lane."""

    file: SegmentFile
    claim: Claim
    settlement: Settlement
    storer: queue.Queue[tuple[_Job, Prepared | None]]
    """Of the thread that stores it."""
    failures: list[dict[str, Any]] = field(default_factory=list)


class Lane:
    """`next_segment` gives the oldest segment that waits (blocking for a moment at most), or None; `finished` hears of each that is
    done with. Raises nothing: errors of its threads are logged, and the segment concerned is set aside or tried again."""

    def __init__(
        self,
        name: str,
        folder: SpoolFolder,
        store: Store,
        ledger: LedgerWriter,
        preparer: Preparer,
        *,
        window_seconds: float,
        claims: list[tuple[SegmentFile, Claim]],
        next_segment: Callable[[], SegmentFile | None],
        finished: Callable[[SegmentFile], None],
        stopping: threading.Event,
    ) -> None:
        self._folder = folder
        self._store = store
        self._ledger = ledger
        self._preparer = preparer
        self._recent = RecentRequests(window_seconds)
        self._claims = claims
        self._next_segment = next_segment
        self._finished = finished
        self._stopping = stopping
        self._storers: list[queue.Queue[tuple[_Job, Prepared | None]]] = [queue.Queue() for _ in range(STORERS)]
        self._chunks = threading.Semaphore(CHUNKS)
        self.trouble = ""
        """Why the store has not taken the present block yet; empty while all is well."""
        self._threads = [
            threading.Thread(target=self._run, args=(self._prepare_all,), name=f"{name}-decode", daemon=True),
            *(
                threading.Thread(
                    target=self._run, args=(self._store_all, ready), name=f"{name}-insert-{i}", daemon=True
                )
                for i, ready in enumerate(self._storers)
            ),
        ]

    def remember(self, stream: Stream, requests: Any) -> None:
        """Know requests of segments claimed before this start."""
        self._recent.remember(stream, requests)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            if thread.ident is not None:  # it was started
                thread.join()

    def _run(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except Stopped:
            return
        except BaseException as error:
            self.trouble = f"the writer's thread ended: {type(error).__name__}: {error}"
            log.critical("%s", self.trouble, exc_info=True)
            raise

    # ---------------------------------------------------------------- reading, decoding, encoding

    def _prepare_all(self) -> None:
        for file, claim in self._claims:
            self._prepare_surely(file, claim)
        while not self._stopping.is_set():
            following = self._next_segment()
            if following is not None:
                self._prepare_surely(following, None)

    def _prepare_surely(self, file: SegmentFile, claim: Claim | None) -> None:
        """`_prepare`, again and again where something of this machine's fails. The same claim, hence the same blocks."""
        tries = 0
        while True:
            try:
                return self._prepare(file, claim)
            except Stopped:
                raise
            except FileNotFoundError:
                log.warning("segment %s is gone: somebody removed it", file.id)
                return self._finished(file)
            except Exception as error:
                self.trouble = f"segment {file.id} can't be read: {type(error).__name__}: {error}"
                log.debug("%s", self.trouble, exc_info=True)
            tries = self._pause(tries)

    def _prepare(self, file: SegmentFile, claim: Claim | None) -> None:
        """Claim a segment (unless it is claimed already) and hand its chunks to the other thread."""
        if claim is None and self._ledger.state(file.id) == "settled":  # its file could not be removed
            (self._folder.segments / file.name).unlink()
            return self._finished(file)
        content = map_file(self._folder, file)
        try:
            contents = read_segment(content)
        except DamagedSegment as damage:
            return self._hand_over_damaged(file, claim or self._claim(file, []), content, damage)
        requests = requests_of(contents)
        job = _Job(file, claim or self._claim(file, requests), Settlement(contents.tally), self._idle_storer())
        repeated = [requests[at] for at in sorted(job.claim.duplicates)]
        job.settlement.deduplicated = Count(len(repeated), sum(frame.records for frame in repeated))
        job.settlement.stored.add(contents.tally.accepted.requests - len(requests), 0)  # those with nothing in them
        for whole in chunks_of(requests):
            chunk = whole.without(job.claim.duplicates)
            if chunk.frames:
                self._prepare_chunk(job, contents, chunk)
        return self._hand_over(job, None)

    def _hand_over_damaged(self, file: SegmentFile, claim: Claim, content: Buffer, damage: DamagedSegment) -> None:
        tally = readable_tally(content)
        job = _Job(file, claim, Settlement(tally, quarantined=tally.accepted), self._idle_storer())
        job.failures.append({"what": f"the file is damaged: {damage}"})
        self._hand_over(job, None)

    def _claim(self, file: SegmentFile, requests: list[Frame]) -> Claim:
        state = self._ledger.state(file.id)
        if state == "quarantined":  # it comes back
            return self._until_done(lambda: self._ledger.claim_again(file.id), "claim a segment in the ledger")
        if state is not None:
            return self._ledger.claim_of(file.id)
        seen = as_requests([frame.identity for frame in requests], [frame.received_unix_nano for frame in requests])
        duplicates = self._recent.duplicates(file.stream, seen)
        fresh = np.delete(seen, duplicates)
        horizon = self._recent.horizon(min(int(seen["received_unix_nano"].max(initial=0)), time.time_ns()))
        claim = self._until_done(
            lambda: self._ledger.claim(file.id, file.stream, duplicates, fresh, horizon),
            "claim a segment in the ledger",
        )
        self._recent.remember(file.stream, fresh)
        return claim

    def _idle_storer(self) -> queue.Queue[tuple[_Job, Prepared | None]]:
        """The storing thread with the least to do."""
        return min(self._storers, key=lambda ready: ready.unfinished_tasks)

    def _prepare_chunk(self, job: _Job, contents: Contents, chunk: Chunk) -> None:
        """Hand over a chunk, or where it can't be decoded as a whole, its parts: those that can, and the requests that can't."""
        if chunk.label not in job.claim.divided:
            prepared = self._prepared(job, contents, chunk)
            if prepared.failure is None or len(chunk.frames) == 1:
                return self._hand_over(job, prepared)
            self._chunks.release()
            ranges = self._preparer.divide(job.file.id, contents, chunk)
            job.claim = self._until_done(
                lambda: self._ledger.divide(job.claim, chunk.label, ranges), "note in the ledger how a chunk is divided"
            )
        for first, end in job.claim.divided[chunk.label]:
            self._hand_over(job, self._prepared(job, contents, chunk.part(first, end)))
        return None

    def _prepared(self, job: _Job, contents: Contents, chunk: Chunk) -> Prepared:
        """The chunk's blocks, made as soon as one more chunk may be in memory. Whoever has it in the end gives the room back."""
        while not self._chunks.acquire(timeout=0.1):
            if self._stopping.is_set():
                raise Stopped
        try:
            return self._preparer.prepare(job.file.id, contents, chunk)
        except BaseException:
            self._chunks.release()
            raise

    def _hand_over(self, job: _Job, prepared: Prepared | None) -> None:
        """`prepared` None: that was all of the segment."""
        if self._stopping.is_set():
            raise Stopped
        job.storer.put((job, prepared))

    # ---------------------------------------------------------------- inserting, settling

    def _store_all(self, ready: queue.Queue[tuple[_Job, Prepared | None]]) -> None:
        while True:
            try:
                job, prepared = ready.get(timeout=0.1)
            except queue.Empty:
                if self._stopping.is_set():
                    return
                continue
            is_chunk = prepared is not None
            if prepared is not None:
                self._store_chunk(job, prepared)
            else:
                self._settle_surely(job)
            del job, prepared  # a block need not stay in memory while there is nothing to do, or another is made
            if is_chunk:
                self._chunks.release()
            ready.task_done()

    def _store_chunk(self, job: _Job, prepared: Prepared) -> None:
        """Insert what the store has not of a chunk, and count it; what the store won't take is counted as quarantined."""
        settlement, chunk = job.settlement, prepared.chunk
        taken = 0
        failure = prepared.failure
        for insert in prepared.inserts:
            try:
                rows = self._insert(job, insert)
            except (StoreRefused, _Odd) as error:
                failure = error
                break
            if insert.is_records:
                taken += rows
                settlement.stored_rows[insert.table] = settlement.stored_rows.get(insert.table, 0) + rows
        if failure is None:
            self._mark(prepared)
            settlement.stored.add(len(chunk.frames), taken)
        else:
            settlement.stored.add(0, taken)
            settlement.quarantined.add(len(chunk.frames), chunk.records - taken)
            job.failures.append(described(chunk, failure))

    def _insert(self, job: _Job, insert: Insert) -> int:
        """The rows that the store has of this block now."""
        before = job.claim.before
        if before is not None and insert.token in before.tokens:
            rows = insert.rows
        else:
            rows = self._until_done(
                lambda: self._store.insert_block(insert.table, insert.block, insert.columns, token=insert.token),
                f"insert into {insert.table}",
            )
        job.settlement.tokens.append(insert.token)
        return rows

    def _mark(self, prepared: Prepared) -> None:
        try:
            prepared.stored()
        except Exception:  # at worst the same resources are announced again
            log.exception("could not remember which resources, scopes and series the store has")

    def _settle_surely(self, job: _Job) -> None:
        """`_settle`; a segment that can't be settled is done all over again, as after a crash."""
        try:
            self._settle(job)
        except Stopped:
            raise
        except Exception:
            log.exception("segment %s could not be settled; it will be done again", job.file.id)
            self._pause(_ODD_ERROR_TRIES)
        self._finished(job.file)

    def _settle(self, job: _Job) -> None:
        """Put the segment into the accounts, then remove its file, or set it aside with the reasons."""
        aside = bool(job.failures)
        self._until_done(
            lambda: self._ledger.settle(job.claim, job.file.stream, job.settlement, quarantined=aside),
            "settle a segment in the ledger",
        )
        if aside:
            log.error("segment %s goes to quarantine: %s", job.file.id, job.failures[0]["what"])
            self._until_done(
                lambda: set_aside(self._folder, job.file.id, reason_of(job)), "move a segment to quarantine"
            )
        else:
            with contextlib.suppress(OSError):  # removed at the next start, since the ledger has it as settled
                (self._folder.segments / job.file.name).unlink()

    # ---------------------------------------------------------------- patience

    def _until_done(self, action: Callable[[], Result], what: str) -> Result:
        """The result of `action`, tried for as long as what hinders it may pass. Raises StoreRefused, _Odd, Stopped."""
        tries = 0
        while True:
            try:
                result = action()
            except (StoreUnavailable, StoreLocked, sqlite3.Error, OSError) as error:
                self.trouble = f"{what}: {error}"
            except (StoreRefused, Stopped):
                raise
            except Exception as error:
                if tries >= _ODD_ERROR_TRIES:
                    raise _Odd(f"{what}: {type(error).__name__}: {error}") from error
                self.trouble = f"{what}: {type(error).__name__}: {error}"
            else:
                if tries:
                    log.info("%s: done after %d more tries", what, tries)
                self.trouble = ""
                return result
            tries = self._pause(tries)

    def _pause(self, tries: int) -> int:
        """Wait longer from time to time, and not as long as others who wait."""
        if tries == 0:
            log.warning("%s; will try until it works", self.trouble)
        seconds = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0**tries) * random.uniform(0.5, 1.0)
        if self._stopping.wait(seconds):
            raise Stopped
        return min(tries + 1, 20)


class _Odd(Exception):
    """An error that nobody foresaw, and that does not pass."""


def map_file(folder: SpoolFolder, file: SegmentFile) -> memoryview:
    """A sealed segment in memory, without a copy. Unmapped when the last slice of it is gone."""
    with open(folder.segments / file.name, "rb") as opened:
        if os.fstat(opened.fileno()).st_size == 0:
            return memoryview(b"")
        return memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))


def readable_tally(content: Buffer) -> Tally:
    """What can be counted of a damaged segment: the frames before the damage."""
    tally = Tally()
    try:
        opened, offset = read_opened(content)
    except DamagedSegment:
        return tally
    for frame in walk(content, offset, opened.seed):
        frame.count_into(tally)
    return tally


def described(chunk: Chunk, failure: Exception) -> dict[str, Any]:
    """A failure for the reason file."""
    return {
        "what": f"{type(failure).__name__}: {failure}",
        "chunk": chunk.label,
        "first_byte": chunk.frames[0].offset,
        "end_byte": chunk.frames[-1].end,
        "requests": len(chunk.frames),
        "records": chunk.records,
        "traceback": traceback.format_exception(failure),
    }


def reason_of(job: _Job) -> dict[str, Any]:
    """Why a segment is set aside, and how much of it."""
    return {
        "what": job.failures[0]["what"],
        "tenant": job.file.stream.tenant,
        "signal": job.file.stream.signal,
        "received": job.settlement.tally.received.as_dict(),
        "stored": job.settlement.stored.as_dict(),
        "deduplicated": job.settlement.deduplicated.as_dict(),
        "quarantined": job.settlement.quarantined.as_dict(),
        "failures": job.failures,
    }
