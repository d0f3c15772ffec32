"""Who is alive: a process holds a lock file for as long as it owns something in the spool folder.

The lock is flock's: the kernel lets go of it when the process ends, however it ends. It belongs to the open file, so a
second owner in the same process is told apart too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


class Ownership:
    """An exclusive lock on `path`, held until `release`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path, *, create: bool = True) -> Ownership | None:
        """The lock on `path`, or None where someone alive holds it (or, without `create`, where there is no such file)."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o644)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if not _still_names(path, descriptor):  # the owner before us removed it between our open and our lock
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    def release(self, *, remove: bool = False) -> None:
        """Let go. With `remove` the file goes too, while the lock is still held, so that nobody locks a name that is gone."""
        if remove:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
        os.close(self._descriptor)


def _still_names(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
