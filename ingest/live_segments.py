"""What the segments in a spool folder hold, without reading them again and again.

A sealed segment says it in its last frame. Where it does not (its receiver died), and for an open one, the frames' heads are
walked, and the next time only those that are new.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from sonde.ingest.accounts import Tally
from sonde.ingest.segment import MAX_FRAME_HEAD, TAIL_BYTES, DamagedSegment, Opened, head_at, read_opened, sealed_tally
from sonde.ingest.spool_folder import OPEN, SEALED, SegmentFile, SpoolFolder

_WINDOW_BYTES = 64 << 10


@dataclass(slots=True)
class LiveSegment:
    """`tally` counts the whole frames in the file's first `size` bytes."""

    file: SegmentFile
    size: int = 0
    tally: Tally = field(default_factory=Tally)
    opened: Opened | None = None
    walked: int = 0
    """Where the next frame begins."""

    def read_on(self, descriptor: int) -> None:
        """Take in what came since the last time."""
        size = os.fstat(descriptor).st_size
        if size < self.walked:  # a write that failed was cut off again
            self.tally, self.walked, self.opened = Tally(), 0, None
        if size != self.size and self._open(descriptor) and not self._read_sealed(descriptor, size):
            self._walk(descriptor, size)
        self.size = size

    def _open(self, descriptor: int) -> bool:
        if self.opened is None:
            try:
                self.opened, self.walked = read_opened(os.pread(descriptor, MAX_FRAME_HEAD, 0))
            except DamagedSegment:  # nothing in it can be counted; the writer will set it aside
                return False
        return True

    def _read_sealed(self, descriptor: int, size: int) -> bool:
        """Take the count that a sealed segment carries; False where there is none."""
        assert self.opened is not None
        counted = sealed_tally(self.opened, os.pread(descriptor, TAIL_BYTES, max(0, size - TAIL_BYTES)))
        if counted is None:
            return False
        self.tally, self.walked = counted, size
        return True

    def _walk(self, descriptor: int, size: int) -> None:
        assert self.opened is not None
        while True:
            window = os.pread(descriptor, _WINDOW_BYTES, self.walked)
            at = 0
            while (frame := head_at(window, at, self.opened.seed)) is not None and self.walked + frame.end <= size:
                frame.count_into(self.tally)
                at = frame.end
            if not at:
                return
            self.walked += at


class LiveSegments:
    """A cache over one folder. Not thread-safe."""

    def __init__(self, folder: SpoolFolder) -> None:
        self._folder = folder
        self._known: dict[str, LiveSegment] = {}

    def look(self) -> dict[str, LiveSegment]:
        """Every segment in the folder by id, as it is now."""
        found: dict[str, LiveSegment] = {}
        for file in self._folder.list():
            descriptor = self._open(file.id)
            if descriptor is None:  # settled and removed since it was listed
                continue
            live = found[file.id] = self._known.get(file.id) or LiveSegment(file)
            live.file = file
            try:
                live.read_on(descriptor)
            finally:
                os.close(descriptor)
        self._known = found
        return dict(found)

    def _open(self, segment: str) -> int | None:
        for suffix in (OPEN, SEALED):  # in the order in which a segment changes its name
            try:
                return os.open(self._folder.segments / (segment + suffix), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
        return None
