"""The spool: requests on disk, synced, before they are acknowledged.

One thread appends what is waiting, to one open segment for each stream, syncs once, and then answers all of it: group
commit. While a sync runs the next group gathers, so the groups grow with the load and a request waits for two syncs at
most. Bodies are never copied: header and body go to the kernel with writev.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from sonde.ingest.accounts import UNKNOWN, Stream
from sonde.ingest.errors import Overloaded, RequestRefused, SpoolFull, TooLarge
from sonde.ingest.limits import Limits
from sonde.ingest.open_segment import OpenSegment
from sonde.ingest.ownership import Ownership
from sonde.ingest.recovery import recover
from sonde.ingest.segment import MAX_BODY_BYTES, Buffer
from sonde.ingest.signals import Signal
from sonde.ingest.space import Space, SpaceLimits
from sonde.ingest.spool_folder import SEALED, TENANT, SpoolFolder, check_tenant, segment_id, sync_folder

log = logging.getLogger(__name__)

_MAX_QUEUED_BYTES = 256 << 20
_MAX_OPEN_SEGMENTS = 256
_UNSTORED_SEGMENTS = 2
"""A stream with this many sealed segments not yet stored gets no further one by age, only by size: the writer is behind,
and it works better on few large segments. Also keeps the number of files small while the store is away."""
_LOOK_AGAIN_SECONDS = 0.05
_PACE = 2.5
"""Ages from one sealing by age to the next. What comes after a pause is stored at once; of a steady trickle a block is made
twice a second and not five times: a block of a few rows costs the engine and its views 40 ms of CPU."""
_SYNC_THREADS = 8
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(slots=True, eq=False)
class _Request:
    """One request on its way to the disk."""

    stream: Stream
    body: Buffer
    received_unix_nano: int
    records: int
    rejected: Sequence[int]
    counts: bytes
    room: int
    future: Future[None] | asyncio.Future[None]
    loop: asyncio.AbstractEventLoop | None = None


@dataclass(slots=True)
class _StreamState:
    segment: OpenSegment | None = None
    unstored: list[Path] = field(default_factory=list)
    not_before: float = 0.0
    """When it may be sealed at the earliest."""


class SpoolWriter:
    """Appends requests to the spool folder `path`. One to a process; threads share it.

    `limits`: what the records were judged by, for each signal; kept in every segment. `on_sealed` is called (from another
    thread) whenever the writer has something new to do.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        limits: Mapping[Signal, Limits] | Limits | None = None,
        space: SpaceLimits | None = None,
        segment_bytes: int = 32 << 20,
        segment_age_seconds: float = 0.2,
        on_sealed: Callable[[], None] | None = None,
    ) -> None:
        self.folder = SpoolFolder(path)
        self.folder.create()
        self._limits = limits
        self._segment_bytes = segment_bytes
        self._segment_age_seconds = segment_age_seconds
        self._on_sealed = on_sealed or (lambda: None)
        recover(self.folder, self._on_sealed)
        self.receiver, self._ownership = _new_receiver(self.folder)
        self._space = Space(self.folder, space or SpaceLimits())
        self._numbers = 0
        self._last_created = 0
        self._streams: dict[Stream, _StreamState] = {}
        self._open: set[OpenSegment] = set()
        self._wake = threading.Condition()
        self._queue: list[_Request] = []
        self._queued_bytes = 0
        self._refusals: dict[Stream, dict[str, tuple[int, int]]] = {}
        self._refused_at = 0.0
        self._closing = False
        self.syncs = 0
        """How many times fdatasync was called, for benchmarks and tests of the group commit."""
        self._sync_pool = ThreadPoolExecutor(_SYNC_THREADS, thread_name_prefix="spool-sync")
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    # ---------------------------------------------------------------- taking requests

    def append(
        self,
        tenant: str,
        signal: Signal,
        body: Buffer,
        *,
        received_unix_nano: int,
        records: int,
        rejected: Sequence[int] = (),
        counts: bytes = b"",
        room: int = 0,
    ) -> Future[None]:
        """Spool one request; the future is done when it is synced to disk.

        `body` must not change until then; `records` were accepted and `rejected[reason]` refused; `counts` and `room` are
        those of its Scan. Raises SpoolFull (and so may the future), Malformed for a tenant that is no name. A request
        refused here is not counted: whoever answers it calls `note_refused`, as for any other refusal.
        """
        future: Future[None] = Future()
        stream = Stream(check_tenant(tenant), signal.value)
        self._enqueue(_Request(stream, body, received_unix_nano, records, rejected, counts, room, future))
        return future

    async def append_async(
        self,
        tenant: str,
        signal: Signal,
        body: Buffer,
        *,
        received_unix_nano: int,
        records: int,
        rejected: Sequence[int] = (),
        counts: bytes = b"",
        room: int = 0,
    ) -> None:
        """`append` for asyncio. Each loop is woken once a group, however many of its requests the group answers."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        stream = Stream(check_tenant(tenant), signal.value)
        self._enqueue(_Request(stream, body, received_unix_nano, records, rejected, counts, room, future, loop))
        await future

    def _enqueue(self, request: _Request) -> None:
        if not request.records:
            request.body = request.counts = b""  # nothing in it is kept, so it need not be
        size = len(request.body)
        if size > MAX_BODY_BYTES:
            raise TooLarge(
                f"the request has {size} bytes, the spool takes up to {MAX_BODY_BYTES}: send smaller batches"
            )
        with self._wake:
            if self._closing:
                raise Overloaded("sonde is stopping: send again in a moment")
            if self._queued_bytes and self._queued_bytes + size > _MAX_QUEUED_BYTES:
                raise Overloaded(f"{self._queued_bytes} bytes already wait for the disk: send again in a moment")
            try:
                self._space.admit(size)
            except OSError as error:
                raise Overloaded(f"the spool folder can't be read ({error}): send again later") from error
            self._queue.append(request)
            self._queued_bytes += size
            if len(self._queue) == 1:
                self._wake.notify()

    def note_refused(self, tenant: str | None, signal: Signal | None, reason: str, records: int = 0) -> None:
        """Count a request that was refused whole, with the number of records in it where that is known.

        Goes to the spool with the next group, so that the ledger survives a crash; nobody waits for it.
        """
        known = tenant is not None and TENANT.fullmatch(tenant) is not None
        stream = Stream(tenant if tenant and known else UNKNOWN, signal.value if signal else UNKNOWN)
        with self._wake:
            reasons = self._refusals.setdefault(stream, {})
            requests, before = reasons.get(reason, (0, 0))
            reasons[reason] = (requests + 1, before + records)
            if not self._refused_at:
                self._refused_at = time.monotonic()
                self._wake.notify()

    def close(self) -> None:
        """Write and answer what waits, seal every segment, let go of the folder. Appending afterwards is refused."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        self._sync_pool.shutdown()

    # ---------------------------------------------------------------- the spool's own thread

    def _run(self) -> None:
        while True:
            group, refusals, closing = self._gather()
            try:
                self._commit(group, refusals)
            except Exception as error:
                log.exception("the spool could not write a group of %d requests", len(group))
                self._give_up(group, error)
            self._space.arrived(sum(len(request.body) for request in group))
            del group  # its bodies need no memory while we wait
            try:
                self._seal_due(everything=closing)
            except Exception:  # whatever it is, requests must be answered; the next round tries again
                log.exception("the spool could not see to its segments")
                time.sleep(_LOOK_AGAIN_SECONDS)
            if closing:
                self._ownership.release(remove=True)
                return

    def _gather(self) -> tuple[list[_Request], dict[Stream, dict[str, tuple[int, int]]], bool]:
        """Wait for requests, refusals that waited long enough, or a segment's time to be sealed."""
        with self._wake:
            while not self._queue and not self._closing:
                patience = self._next_due() - time.monotonic()
                if patience <= 0:
                    break
                self._wake.wait(min(patience, 3600.0))
            group, self._queue = self._queue, []
            self._queued_bytes = 0
            refusals: dict[Stream, dict[str, tuple[int, int]]] = {}
            if self._refused_at and (self._closing or group or self._refusals_due() <= time.monotonic()):
                refusals, self._refusals = self._refusals, {}
                self._refused_at = 0.0
            return group, refusals, self._closing

    def _refusals_due(self) -> float:
        return self._refused_at + self._segment_age_seconds

    def _next_due(self) -> float:
        due = [self._refusals_due()] if self._refused_at else []
        due.extend(self._seal_time(state) for state in self._streams.values() if state.segment is not None)
        return min(due, default=float("inf"))

    def _seal_time(self, state: _StreamState) -> float:
        assert state.segment is not None
        return max(state.segment.opened + self._segment_age_seconds, state.not_before)

    def _commit(self, group: Sequence[_Request], refusals: Mapping[Stream, Mapping[str, tuple[int, int]]]) -> None:
        """Write a group to its segments, sync each once, answer everybody."""
        if not group and not refusals:
            return
        staged: dict[OpenSegment, list[_Request]] = {}
        answers = _Answers()
        for request in group:
            try:
                segment = self._segment_for(request.stream)
            except OSError as error:
                answers.refuse([request], error)
                continue
            segment.stage(
                request.body,
                request.received_unix_nano,
                request.records,
                request.rejected,
                request.counts,
                request.room,
            )
            staged.setdefault(segment, []).append(request)
            self._retire_if_full(segment)
        for stream, reasons in refusals.items():
            try:
                segment = self._segment_for(stream)
            except OSError:
                self._note_again(stream, reasons)
                continue
            segment.stage_refusals(reasons)
            staged.setdefault(segment, [])
        if any(segment.is_new for segment in staged):
            sync_folder(self.folder.segments)
        for segment, failure in zip(staged, self._write_all(staged), strict=True):
            if failure is None:
                answers.accept(staged[segment])
            else:
                answers.refuse(staged[segment], failure)
                for reasons in segment.refusals_cut:
                    self._note_again(segment.stream, reasons)
        answers.send()
        for segment in staged:
            if segment.broken or segment.size >= self._segment_bytes:
                self._seal(segment)

    def _give_up(self, group: Sequence[_Request], error: Exception) -> None:
        """Nobody may wait for ever: refuse what is not answered, and begin new segments."""
        answers = _Answers()
        answers.refuse([request for request in group if not request.future.done()], error)
        answers.send()
        for segment in list(self._open):
            segment.cut()
            self._seal(segment)

    def _write_all(self, staged: Mapping[OpenSegment, list[_Request]]) -> list[OSError | None]:
        """Write and sync all segments. Several at once where there are several: their syncs share the disk's journal."""
        self.syncs += sum(1 for requests in staged.values() if requests)
        if len(staged) == 1:
            return [segment.commit(sync=bool(requests)) for segment, requests in staged.items()]
        return list(self._sync_pool.map(lambda item: item[0].commit(sync=bool(item[1])), staged.items()))

    def _note_again(self, stream: Stream, reasons: Mapping[str, tuple[int, int]]) -> None:
        """Refusals that could not be written are kept for the next time."""
        with self._wake:
            kept = self._refusals.setdefault(stream, {})
            for reason, (requests, records) in reasons.items():
                before = kept.get(reason, (0, 0))
                kept[reason] = (before[0] + requests, before[1] + records)
            self._refused_at = self._refused_at or time.monotonic()

    # ---------------------------------------------------------------- segments

    def _segment_for(self, stream: Stream) -> OpenSegment:
        """The stream's open segment; a new one where it has none. OSError where it can't be made."""
        state = self._streams.setdefault(stream, _StreamState())
        if state.segment is None:
            self._last_created = max(self._last_created + 1, time.time_ns())
            self._numbers += 1
            name = segment_id(self._last_created, self.receiver, self._numbers, stream)
            state.segment = OpenSegment(
                self.folder.segments, name, stream, self._limits_of(stream), self._last_created, self.receiver
            )
            self._open.add(state.segment)
        return state.segment

    def _limits_of(self, stream: Stream) -> Limits:
        if isinstance(self._limits, Limits):
            return self._limits
        if self._limits is None or stream.signal == UNKNOWN:
            return Limits()
        return self._limits[Signal(stream.signal)]

    def _retire_if_full(self, segment: OpenSegment) -> None:
        """Take no more into a segment that reached its size; it is sealed when its group has been written."""
        if segment.staged_size >= self._segment_bytes:
            self._streams[segment.stream].segment = None

    def _seal_due(self, *, everything: bool) -> None:
        now = time.monotonic()
        open_states = [state for state in self._streams.values() if state.segment is not None]
        crowded = len(open_states) > _MAX_OPEN_SEGMENTS
        for state in open_states:
            assert state.segment is not None
            if everything or crowded:
                self._seal(state.segment)
            elif self._seal_time(state) <= now:
                state.unstored = [path for path in state.unstored if path.exists()]
                if len(state.unstored) < _UNSTORED_SEGMENTS:
                    self._seal(state.segment)
                else:
                    state.not_before = now + _LOOK_AGAIN_SECONDS
        if len(self._streams) > 4 * _MAX_OPEN_SEGMENTS:
            self._streams = {stream: state for stream, state in self._streams.items() if state.segment is not None}

    def _seal(self, segment: OpenSegment) -> None:
        state = self._streams[segment.stream]
        state.not_before = time.monotonic() + _PACE * self._segment_age_seconds
        if state.segment is segment:
            state.segment = None
        self._open.discard(segment)
        try:
            segment.seal()
        except OSError:  # it stays .open: whoever starts next recovers it, as after a crash
            log.exception("segment %s could not be sealed; the next start does it", segment.id)
            return
        state.unstored.append(self.folder.segments / (segment.id + SEALED))
        self._on_sealed()


class _Answers:
    """Collects what to tell whom, then tells everybody, each event loop with one call."""

    def __init__(self) -> None:
        self._by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[None], RequestRefused | None]]] = {}
        self._waiting: list[tuple[Future[None], RequestRefused | None]] = []

    def accept(self, requests: Sequence[_Request]) -> None:
        for request in requests:
            self._add(request, None)

    def refuse(self, requests: Sequence[_Request], error: Exception) -> None:
        for request in requests:
            self._add(request, _refusal(error))

    def _add(self, request: _Request, refusal: RequestRefused | None) -> None:
        if isinstance(request.future, Future):
            self._waiting.append((request.future, refusal))
        elif request.loop is not None:
            self._by_loop.setdefault(request.loop, []).append((request.future, refusal))

    def send(self) -> None:
        for loop, answers in self._by_loop.items():
            try:
                loop.call_soon_threadsafe(_resolve, answers)
            except RuntimeError:  # that loop is closed: nobody waits there any more
                continue
        for future, refusal in self._waiting:
            if future.set_running_or_notify_cancel():
                if refusal is None:
                    future.set_result(None)
                else:
                    future.set_exception(refusal)


def _resolve(answers: Sequence[tuple[asyncio.Future[None], RequestRefused | None]]) -> None:
    for future, refusal in answers:
        if future.done():  # cancelled: its sender hung up
            continue
        if refusal is None:
            future.set_result(None)
        else:
            future.set_exception(refusal)


def _refusal(error: Exception) -> RequestRefused:
    if isinstance(error, OSError) and error.errno in _FULL:
        return SpoolFull(
            f"the spool's disk is full ({error.strerror}): send again later; free some space if this lasts"
        )
    return Overloaded(f"the spool could not be written ({error}): send again later; look at the disk if this lasts")


def _new_receiver(folder: SpoolFolder) -> tuple[str, Ownership]:
    """A name of our own among the receivers that share the folder, and the lock that says we live."""
    while True:
        receiver = secrets.token_hex(8)
        if (ownership := Ownership.take(folder.lock_of(receiver))) is not None:
            return receiver, ownership
