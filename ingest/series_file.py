"""The tables of seen series (series_table.py) as files, so that receiver processes count together and a restart forgets nothing.

    <folder>/<tenant>.series      one table, mapped by every process that receives for this tenant
    <folder>/<tenant>.<pid>.new   one that is being made
    <folder>/lock                 held while a file is found

Who changes a table holds flock's lock on its file, which the system takes back from a process that dies. A table that has to be
larger, or without what is stale, is made beside the old one. That is marked as replaced before the new one takes its name, so
whoever gets the lock on the old one looks again. Nothing is synced: a table that a power cut damaged counts wrongly for a window
at worst.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import mmap
import os
import secrets
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sonde.ingest import series_table as s
from sonde.storage.columns import U8, U64

FORMAT = int.from_bytes(b"series\x00\x01", "little")
SERIES = ".series"
NEW = ".new"
MOST_TENANTS = 128
"""Whose tables a process has open, with two descriptors each; of the others only the files stay."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SeriesBounds:
    """How many series there may be at once; 0 for no limit. A series is there while it is seen within the window."""

    of_tenant: int
    of_metric: int
    window_seconds: int


class Table:
    """One table in memory; `descriptor` of the file that it lies in, None where it is this process's alone."""

    def __init__(self, words: U64, descriptor: int | None) -> None:
        self.words = words
        self.slots = int(words[s.SLOTS])
        self.metric_slots = int(words[s.METRIC_SLOTS])
        self.descriptor = descriptor
        if descriptor is not None:  # threads may be at work in it when it is dropped
            weakref.finalize(self, os.close, descriptor)


class TenantSeries:
    """The series of one tenant, counted with all processes that have the same `path`; None: by this one alone. Thread-safe."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._table = self._find()

    def judge(self, points: U64, verdicts: U8, now: int, bounds: SeriesBounds) -> U8 | None:
        """OVER_* for each point that is of a series too many, 0 for the others; None where all may come.

        `points`: as series_of_points gives them; of those with a verdict nothing is learned. `now`: seconds of Unix time.
        """
        table, window = self._table, bounds.window_seconds
        first = s.first_unseen(points, verdicts, table.words, table.slots, now, window)
        if first == len(verdicts):
            return None
        refused = np.zeros(len(verdicts), np.uint8)
        rows = points.reshape(-1)
        with self._held():
            while True:
                table = self._table
                first, why = s.admit_points(
                    rows,
                    verdicts,
                    first,
                    table.words,
                    table.slots,
                    table.metric_slots,
                    now,
                    window,
                    bounds.of_tenant,
                    bounds.of_metric,
                    refused,
                )
                if why == s.DONE:
                    return refused if refused.any() else None
                self._renew(now, window)

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        with self._lock:
            self._lock_file()
            try:
                yield
            finally:
                if self._table.descriptor is not None:
                    fcntl.flock(self._table.descriptor, fcntl.LOCK_UN)

    def _lock_file(self) -> None:
        """Lock the file of the table that is in force, and have that one mapped."""
        while (descriptor := self._table.descriptor) is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not self._table.words[s.REPLACED]:
                return
            if self._is_in_force(descriptor):  # who wanted to replace it died before it did
                self._table.words[s.REPLACED] = 0
                return
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            self._table = self._find()

    def _is_in_force(self, descriptor: int) -> bool:
        """Whether the path still names this file."""
        try:
            return self._path is not None and os.path.samestat(self._path.stat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _renew(self, now: int, window: int) -> None:
        """Replace the table, whose lock is held, by one without what is stale and with room for as much again."""
        old = self._table
        fresh = int(s.count_fresh(old.words, old.slots, now, window))
        metrics = min(int(old.words[s.METRICS_USED]), old.metric_slots)
        path = self._new_path() if old.descriptor is not None else None
        header = {s.SEED: int(old.words[s.SEED]), s.SWEPT: now}
        new = self._make(path, slots_for(fresh), slots_for(metrics), header)
        s.copy_fresh(old.words, old.slots, old.metric_slots, new.words, new.slots, new.metric_slots, now, window)
        if new.descriptor is not None and path is not None and self._path is not None:
            fcntl.flock(new.descriptor, fcntl.LOCK_EX)
            old.words[s.REPLACED] = 1
            try:
                os.replace(path, self._path)
            except OSError as error:
                self._warn(error)
        self._table = new
        if old.descriptor is not None:
            fcntl.flock(old.descriptor, fcntl.LOCK_UN)

    def _find(self) -> Table:
        """The table in the file; a new one where there is none, or none that can be understood."""
        header = {s.SEED: secrets.randbits(64), s.SWEPT: int(time.time())}
        path = self._new_path()
        if self._path is None or path is None:
            return self._make(None, s.FIRST_SLOTS, s.FIRST_SLOTS, header)
        try:
            with locked(self._path.parent):
                if (found := map_table(self._path)) is not None:
                    return found
                made = self._make(path, s.FIRST_SLOTS, s.FIRST_SLOTS, header)
                if made.descriptor is not None:
                    os.replace(path, self._path)
                return made
        except OSError as error:
            self._warn(error)
            return self._make(None, s.FIRST_SLOTS, s.FIRST_SLOTS, header)

    def _make(self, path: Path | None, slots: int, metric_slots: int, header: dict[int, int]) -> Table:
        """An empty table, in a new file at `path` where there is a path and room on the disk."""
        length = s.words_of(slots, metric_slots)
        words, descriptor = np.zeros(0, np.uint64), None
        if path is not None:
            try:
                words, descriptor = make_file(path, length)
            except OSError as error:
                self._warn(error)
        if descriptor is None:
            words = np.zeros(length, np.uint64)
        for place, word in {s.MAGIC: FORMAT, s.SLOTS: slots, s.METRIC_SLOTS: metric_slots, **header}.items():
            words[place] = word
        return Table(words, descriptor)

    def _new_path(self) -> Path | None:
        return self._path and self._path.with_suffix(f".{os.getpid()}{NEW}")

    def _warn(self, error: OSError) -> None:
        _log.warning("series are counted in this process alone, for %s can't be shared: %s", self._path, error)


class SeriesFiles:
    """The series of all tenants, in the folder `path`. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._tenants: dict[str, TenantSeries] = {}

    def of(self, tenant: str) -> TenantSeries:
        with self._lock:
            series = self._tenants.pop(tenant, None)
            if series is None:
                if len(self._tenants) >= MOST_TENANTS:
                    del self._tenants[next(iter(self._tenants))]  # the one not asked for longest
                series = TenantSeries(self._path / f"{tenant}{SERIES}")
            self._tenants[tenant] = series
            return series

    def remove_old(self, seconds: int) -> None:
        """Remove the files in which nothing was noted for so long: of tenants that send no more, and of processes that died."""
        now = int(time.time())
        with contextlib.suppress(OSError), locked(self._path):
            for path in (*self._path.glob(f"*{SERIES}"), *self._path.glob(f"*{NEW}")):
                if path.stat().st_mtime > now - seconds or (table := map_table(path)) is None:
                    continue
                assert table.descriptor is not None
                fcntl.flock(table.descriptor, fcntl.LOCK_EX)
                if not s.count_fresh(table.words, table.slots, now, seconds):  # on tmpfs the file's time tells nothing
                    table.words[s.REPLACED] = 1  # who has it open looks again
                    path.unlink()
                fcntl.flock(table.descriptor, fcntl.LOCK_UN)


def slots_for(pairs: int) -> int:
    """Slots of a table that is made for so many."""
    slots = s.FIRST_SLOTS
    while pairs + 1 > slots * s.FULL_WHEN_MADE:
        slots *= 2
    return slots


def make_file(path: Path, length: int) -> tuple[U64, int]:
    """(words, descriptor) of a new file of so many words, all 0. OSError where there is no room: a page without a block
    behind it would be a SIGBUS."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(descriptor, 0, length * 8)
        return np.frombuffer(mmap.mmap(descriptor, length * 8), np.uint64), descriptor
    except BaseException:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise


def map_table(path: Path) -> Table | None:
    """The table in the file `path`; None where there is no such file, or it is no table of this version."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    size = os.fstat(descriptor).st_size
    if size < s.HEADER * 8:
        os.close(descriptor)
        return None
    table = Table(np.frombuffer(mmap.mmap(descriptor, size), np.uint64, size // 8), descriptor)
    slots, metric_slots = table.slots, table.metric_slots
    powers = slots.bit_count() == metric_slots.bit_count() == 1
    known = table.words[s.MAGIC] == FORMAT and powers and size == 8 * s.words_of(slots, metric_slots)
    return table if known else None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The lock on finding and making files in `folder`, which is made where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
