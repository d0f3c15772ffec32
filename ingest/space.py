"""How much more the spool may take: bytes, age of the oldest request, free space on the disk.

A full disk is worse than a refused request: the engine and the ledger live on it too. So senders are told to come again
before it is full, and what the spool may not touch is left for the writer to work with.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass

from sonde.ingest.errors import SpoolFull
from sonde.ingest.spool_folder import SpoolFolder

_REFRESH_SECONDS = 0.25
_REFRESH_WHEN_FULL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class SpaceLimits:
    """Bounds of one spool folder, over all receivers that share it."""

    max_bytes: int = 8 << 30
    max_age_seconds: float = 0.0
    """Age of the oldest request that is not stored yet; 0 for no such bound."""
    min_free_bytes: int = 1 << 30
    """Left free on the disk; never more than a twentieth of it, so that a small disk is not all margin."""


class Space:
    """Admission by bytes. Counts what this process adds; looks at the folder and the disk a few times a second."""

    def __init__(self, folder: SpoolFolder, limits: SpaceLimits) -> None:
        self._folder = folder
        self._limits = limits
        self._lock = threading.Lock()
        self._looked = 0.0
        self._in_flight = 0
        """Reserved, and perhaps not in a file yet."""
        self._used = 0
        self._free = 0
        self._oldest_unix_nano = 0
        self._look()

    def admit(self, size: int) -> None:
        """Reserve `size` bytes; raises SpoolFull with the reason, and reserves nothing, where they don't fit."""
        with self._lock:
            age = time.monotonic() - self._looked
            full = self._full(size)
            if age > (_REFRESH_WHEN_FULL_SECONDS if full else _REFRESH_SECONDS):
                self._look()
                full = self._full(size)
            if full:
                raise SpoolFull(full)
            self._in_flight += size

    def arrived(self, size: int) -> None:
        """`size` bytes of those admitted have been written, or refused after all."""
        with self._lock:
            self._in_flight -= size
            self._used += size
            self._free -= size

    def _full(self, size: int) -> str:
        limits = self._limits
        coming = self._in_flight + size
        if self._used + coming > limits.max_bytes:
            return (
                f"the spool holds {self._used + self._in_flight} bytes that the store has not taken yet, its limit is "
                f"{limits.max_bytes}: send again later; if this lasts, the store is unreachable or too slow"
            )
        if self._free < coming:
            return (
                f"the disk of {self._folder.path} is nearly full, and the spool leaves the rest free: send again later; free "
                "some space if this lasts"
            )
        if limits.max_age_seconds and self._oldest_unix_nano:
            age = (time.time_ns() - self._oldest_unix_nano) / 1e9
            if age > limits.max_age_seconds:
                return (
                    f"the oldest request in the spool waits for the store since {age:.0f} s, the limit is "
                    f"{limits.max_age_seconds:.0f} s: send again later"
                )
        return ""

    def _look(self) -> None:
        used = 0
        oldest = 0
        with os.scandir(self._folder.segments) as entries:
            for entry in entries:
                try:
                    used += entry.stat().st_size
                except FileNotFoundError:  # stored and removed since
                    continue
                if entry.name[:19].isdigit():
                    created = int(entry.name[:19])
                    oldest = min(oldest or created, created)
        disk = os.statvfs(self._folder.segments)
        margin = min(self._limits.min_free_bytes, disk.f_blocks * disk.f_frsize // 20)
        self._used = used
        self._oldest_unix_nano = oldest
        self._free = disk.f_bavail * disk.f_frsize - margin
        self._looked = time.monotonic()
