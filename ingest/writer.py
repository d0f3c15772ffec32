"""The writer: takes sealed segments and stores them, each record once.

    claim  ->  read, check  ->  decode, encode  ->  insert, with tokens  ->  settle  ->  remove

Why a crash between any two of these neither loses nor doubles a record is argued in docs/decisions/exactly-once.md.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sonde.ingest.accounts import Stream
from sonde.ingest.decode import decode
from sonde.ingest.dimensions import Announcer
from sonde.ingest.inserts import Preparer
from sonde.ingest.lane import Lane
from sonde.ingest.ledger_writer import Claim, LedgerWriter, Settlement
from sonde.ingest.ownership import Ownership
from sonde.ingest.recovery import recover
from sonde.ingest.signals import Signal
from sonde.ingest.spool_folder import SegmentFile, SpoolFolder, sync_folder
from sonde.storage.store import Store

_POLL_SECONDS = 0.05
"""How soon a segment sealed by another process is seen; costs a stat of the folder each time."""
_RECOVER_SECONDS = 2.0
_FORGET_AFTER = 500
_LANES = tuple(signal.value for signal in Signal)


class SpoolLocked(Exception):
    """Another process stores from this spool folder; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class WriterStatus:
    """How the writer is doing."""

    waiting_segments: int
    """Sealed and not stored yet, those in work included."""
    trouble: str
    """Why something can't be stored at the moment; empty while all is well."""


class Writer:
    """Stores what is in the spool folder `path`; one to a folder. Raises SpoolLocked where there is one already.

    `resend_window_seconds`: the very same request sent again within it is stored once; 0 stores everything.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        store: Store,
        *,
        resend_window_seconds: float = 600.0,
    ) -> None:
        self.folder = SpoolFolder(path)
        self.folder.create()
        ownership = Ownership.take(self.folder.writer_lock)
        if ownership is None:
            raise SpoolLocked(
                f"another process already stores from the spool {self.folder.path}: one is enough, stop it first or use "
                "another folder (setting `spool`)"
            )
        self._ownership = ownership
        self._ledger = LedgerWriter(self.folder.ledger)
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._wakes = 0
        self._in_work: set[str] = set()
        self._served: dict[Stream, int] = {}
        self._serving = 0
        self._finished_segments = 0
        self._recovered_at = 0.0
        recover(self.folder)
        self._remove_settled()
        self._lanes = self._make_lanes(store, Preparer(decode, Announcer()), resend_window_seconds)

    def _make_lanes(self, store: Store, preparer: Preparer, window_seconds: float) -> dict[str, Lane]:
        claims = self._claims()
        lanes = {}
        for name in _LANES:
            mine = [(file, claim) for file, claim in claims if lane_of(file.stream) == name]
            lanes[name] = Lane(
                name,
                self.folder,
                store,
                self._ledger,
                preparer,
                window_seconds=window_seconds,
                claims=mine,
                next_segment=self._taker(name),
                finished=self._finish,
                stopping=self._stopping,
            )
        for stream, requests in self._ledger.remembered():
            lanes[lane_of(stream)].remember(stream, requests)
        return lanes

    def start(self) -> None:
        """Begin to store; returns at once."""
        for lane in self._lanes.values():
            lane.start()

    def wake(self) -> None:
        """Look at the folder now: a segment was sealed."""
        with self._changed:
            self._wakes += 1
            self._changed.notify_all()

    def drain(self, seconds: float) -> bool:
        """Wait until every sealed segment is stored or set aside; False where that takes longer than `seconds`."""
        deadline = time.monotonic() + seconds
        self.wake()
        while self.status().waiting_segments:
            if time.monotonic() > deadline:
                return False
            with self._changed:
                self._changed.wait(_POLL_SECONDS)
        return True

    def stop(self, drain_seconds: float = 0.0) -> bool:
        """Store what is sealed, for so long at most, then end; what is left is stored after the next start. True if
        nothing is left."""
        drained = self.drain(drain_seconds)
        self._stopping.set()
        self.wake()
        for lane in self._lanes.values():
            lane.join()
        self._ledger.close()
        self._ownership.release()
        return drained

    def status(self) -> WriterStatus:
        with self._changed:
            waiting = {file.id for file in self.folder.list() if file.sealed} | self._in_work
        trouble = [lane.trouble for lane in self._lanes.values() if lane.trouble]
        return WriterStatus(len(waiting), "; ".join(trouble))

    # ---------------------------------------------------------------- what is next

    def _taker(self, lane: str) -> Callable[[], SegmentFile | None]:
        """Gives the lane its next segment, or None when for a moment there was none."""
        looked: tuple[int, int] | None = None

        def take() -> SegmentFile | None:
            nonlocal looked
            self._keep_house()
            with self._changed:
                state = self._folder_state()
                if state != looked:
                    if (file := self._next(lane)) is not None:
                        return file
                    # A change within the clock's grain of our look would go unseen: look again unless it is older.
                    settled = time.time_ns() - state[0] > 50_000_000
                    looked = state if settled else None
                self._changed.wait(_POLL_SECONDS)
            return None

        return take

    def _folder_state(self) -> tuple[int, int]:
        try:
            return self.folder.segments.stat().st_mtime_ns, self._wakes
        except FileNotFoundError:  # somebody removed the spool; nothing to store until it is back
            return 0, self._wakes

    def _next(self, lane: str) -> SegmentFile | None:
        """The oldest segment of the stream that had to wait longest, so that no tenant starves another."""
        oldest: dict[Stream, SegmentFile] = {}
        for file in self.folder.list():
            if file.sealed and file.id not in self._in_work and lane_of(file.stream) == lane:
                oldest.setdefault(file.stream, file)
        if not oldest:
            return None
        file = oldest[min(oldest, key=lambda stream: (self._served.get(stream, 0), oldest[stream]))]
        self._serving += 1
        self._served[file.stream] = self._serving
        self._in_work.add(file.id)
        return file

    def _finish(self, file: SegmentFile) -> None:
        with self._changed:
            self._in_work.discard(file.id)
            self._finished_segments += 1
            self._wakes += 1
            self._changed.notify_all()

    # ---------------------------------------------------------------- what was

    def _claims(self) -> list[tuple[SegmentFile, Claim]]:
        """What was in work when the last writer ended: to be done first. A claim on a file that is gone is settled as empty."""
        files = {file.id: file for file in self.folder.list() if file.sealed}
        found = []
        for claim in self._ledger.claims():
            if (file := files.get(claim.segment)) is not None:
                found.append((file, claim))
                self._in_work.add(claim.segment)
            elif (gone := SegmentFile.parse(f"{claim.segment}.seg")) is not None:
                self._ledger.settle(
                    claim, gone.stream, claim.before or Settlement(), quarantined=claim.before is not None
                )
        return found

    def _keep_house(self) -> None:
        """From time to time: segments of receivers that died, and accounts of segments long gone."""
        with self._changed:
            now = time.monotonic()
            recovering = now - self._recovered_at > _RECOVER_SECONDS
            if recovering:
                self._recovered_at = now
            forgetting = self._finished_segments >= _FORGET_AFTER
            if forgetting:
                self._finished_segments = 0
        if recovering:
            with contextlib.suppress(OSError):  # tried again in a moment
                recover(self.folder)
        if forgetting:
            with contextlib.suppress(OSError, sqlite3.Error):
                self._forget()

    def _remove_settled(self) -> None:
        """Remove files whose segments are stored: the last writer ended just before it would have."""
        for file in self.folder.list():
            if self._ledger.state(file.id) == "settled":
                (self.folder.segments / file.name).unlink(missing_ok=True)
        self._forget()

    def _forget(self) -> None:
        sync_folder(self.folder.segments)
        there = {file.id for file in self.folder.list()}
        self._ledger.forget([segment for segment in self._ledger.settled() if segment not in there])


def lane_of(stream: Stream) -> str:
    """Which lane stores a stream. Refusals of which no signal is known have nothing to store: any lane will do."""
    return stream.signal if stream.signal in _LANES else _LANES[-1]
