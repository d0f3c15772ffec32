"""Where things lie in a spool folder.

    segments/      <id>.open while its receiver appends to it, <id>.seg once sealed
    quarantine/    <id>.seg that could not be stored, each with <id>.reason.json
    receivers/     <receiver>.lock, held while that receiver process lives
    writer.lock    held by the one process that stores what is spooled
    ledger.sqlite  the accounts, written by that process alone

A segment's id is `<created, ns>-<receiver>-<number>.<tenant>.<signal>`: names sort by time, and say whose they are.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from sonde.ingest.accounts import Stream
from sonde.ingest.errors import Malformed

OPEN = ".open"
SEALED = ".seg"
TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""Tenants become part of file names, so nothing else passes."""
_SEGMENT = re.compile(r"(?P<created>\d{19})-(?P<receiver>[0-9a-f]{16})-\d{8}\.(?P<tenant>[^/]+)\.(?P<signal>[a-z_]+)")


def check_tenant(tenant: str) -> str:
    """`tenant` if it may name one; raises Malformed."""
    if not TENANT.fullmatch(tenant):
        raise Malformed(
            f"tenant {tenant[:80]!r} is not a name: use 1 to 64 letters, digits, '.', '_' and '-', a letter or digit first"
        )
    return tenant


@dataclass(frozen=True, slots=True, order=True)
class SegmentFile:
    """A segment by its file name; sorts by the time it was opened."""

    id: str
    sealed: bool
    stream: Stream
    receiver: str
    created_unix_nano: int

    @property
    def name(self) -> str:
        return self.id + (SEALED if self.sealed else OPEN)

    @classmethod
    def parse(cls, name: str) -> SegmentFile | None:
        """The segment that a file of this name is; None where it is none (a stranger's file is left alone)."""
        segment, suffix = os.path.splitext(name)
        if suffix not in (OPEN, SEALED) or not (match := _SEGMENT.fullmatch(segment)):
            return None
        stream = Stream(match["tenant"], match["signal"])
        return cls(segment, suffix == SEALED, stream, match["receiver"], int(match["created"]))


def segment_id(created_unix_nano: int, receiver: str, number: int, stream: Stream) -> str:
    return f"{created_unix_nano:019d}-{receiver}-{number:08d}.{stream.tenant}.{stream.signal}"


class SpoolFolder:
    """The paths of one spool folder, and what is in it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.segments = self.path / "segments"
        self.quarantine = self.path / "quarantine"
        self.receivers = self.path / "receivers"
        self.writer_lock = self.path / "writer.lock"
        self.ledger = self.path / "ledger.sqlite"

    def create(self) -> None:
        """Make the folders that are not there yet."""
        for folder in (self.segments, self.quarantine, self.receivers):
            folder.mkdir(parents=True, exist_ok=True)

    def list(self) -> list[SegmentFile]:
        """Open and sealed segments, oldest first; empty where there is no spool."""
        try:
            names = os.listdir(self.segments)
        except FileNotFoundError:
            return []
        return sorted(filter(None, map(SegmentFile.parse, names)))

    def lock_of(self, receiver: str) -> Path:
        return self.receivers / f"{receiver}.lock"


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` (created, renamed, removed) survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
