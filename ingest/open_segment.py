"""A segment that is being written: staged frames, one write and one sync for many, cut back where that failed."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sonde.ingest.accounts import Stream, Tally
from sonde.ingest.limits import Limits
from sonde.ingest.segment import Buffer, Opened, encode_refusals, encode_request, encode_sealed
from sonde.ingest.spool_folder import OPEN, SEALED

_MAX_BUFFERS = 1024
"""IOV_MAX: how many buffers one writev takes."""


class OpenSegment:
    """Not thread-safe: the spool's thread stages, and one thread at a time commits."""

    def __init__(
        self, folder: Path, name: str, stream: Stream, limits: Limits, created_unix_nano: int, receiver: str
    ) -> None:
        self.id = name
        self.stream = stream
        self.opened = time.monotonic()
        self.is_new = True
        """Its name is not synced yet."""
        self.broken = False
        """A write or sync failed: nothing more may be appended."""
        self.size = 0
        """Bytes committed."""
        self.staged_size = 0
        self.refusals_cut: list[Mapping[str, tuple[int, int]]] = []
        """Refusals staged in the commit that failed."""
        self._folder = folder
        self._path = folder / (name + OPEN)
        self._seed = secrets.randbits(64)
        self._tally = Tally()
        self._staged_tally = Tally()
        self._staged_refusals: list[Mapping[str, tuple[int, int]]] = []
        self._buffers: list[Buffer] = []
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._stage(Opened(stream, limits, created_unix_nano, receiver, self._seed).encode())

    def _stage(self, buffer: Buffer) -> None:
        self._buffers.append(buffer)
        self.staged_size += len(buffer)

    def stage(
        self,
        body: Buffer,
        received_unix_nano: int,
        records: int,
        rejected: Sequence[int],
        counts: bytes = b"",
        room: int = 0,
    ) -> None:
        """Put one request behind those staged. `body` is kept by reference until `commit`."""
        self._stage(encode_request(self._seed, body, received_unix_nano, records, rejected, counts, room))
        if len(body):
            self._stage(body)
        self._staged_tally.add_request(records, rejected)

    def stage_refusals(self, reasons: Mapping[str, tuple[int, int]]) -> None:
        """Put counts of requests refused whole behind those staged."""
        self._stage(encode_refusals(self._seed, reasons))
        self._staged_refusals.append(reasons)
        for reason, (requests, records) in reasons.items():
            self._staged_tally.reject(reason, requests, records)

    def commit(self, *, sync: bool) -> OSError | None:
        """Append all that is staged, as a whole; what went wrong, or None.

        After an error the file ends where it did before. A failed sync is final for this file (the kernel may have dropped
        the pages and would not say so again), so it takes no more.
        """
        try:
            _write(self._descriptor, self._buffers)
            if sync:
                os.fdatasync(self._descriptor)
        except OSError as error:
            self.cut()
            return error
        self.size = self.staged_size
        self._tally.merge(self._staged_tally)
        self._clear()
        self.is_new = False
        return None

    def cut(self) -> None:
        """Back to the last commit; the segment takes no more."""
        self.broken = True
        self.refusals_cut = self._staged_refusals
        self.staged_size = self.size
        self._clear()
        with contextlib.suppress(OSError):  # readers leave out a torn tail; a frame in it that is whole is stored, once
            os.ftruncate(self._descriptor, self.size)

    def _clear(self) -> None:
        self._buffers = []
        self._staged_tally = Tally()
        self._staged_refusals = []

    def seal(self) -> None:
        """Close the file and hand it to the writer under its final name; remove it where nothing was committed.

        Not synced: after a loss of power the name may be the old one and the last frame missing, and recovery copes.
        """
        try:
            if self.size == 0:
                self._path.unlink()
                return
            if not self.broken:
                self._close_with_tally()
        finally:
            os.close(self._descriptor)
        os.rename(self._path, self._folder / (self.id + SEALED))

    def _close_with_tally(self) -> None:
        try:
            _write(self._descriptor, [encode_sealed(self._seed, self._tally)])
        except OSError:  # the disk is full; the frame only saves readers a walk
            os.ftruncate(self._descriptor, self.size)


def _write(descriptor: int, buffers: Sequence[Buffer]) -> None:
    """writev of all buffers to their last byte."""
    for start in range(0, len(buffers), _MAX_BUFFERS):
        some = list(buffers[start : start + _MAX_BUFFERS])
        written = os.writev(descriptor, some)
        for position, buffer in enumerate(some):
            if written < len(buffer):
                _write_rest(descriptor, memoryview(buffer)[written:])
                for later in some[position + 1 :]:
                    _write_rest(descriptor, memoryview(later))
                break
            written -= len(buffer)


def _write_rest(descriptor: int, rest: memoryview) -> None:
    while len(rest):
        rest = rest[os.write(descriptor, rest) :]
