"""What receivers that died left behind: their open segments are cut at the last whole frame and sealed.

Whoever starts next does this, and the writer does it again from time to time, so that what one crashed receiver of several
had acknowledged is stored without waiting for a restart.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from sonde.ingest.ownership import Ownership
from sonde.ingest.segment import DamagedSegment, TornAtStart, read_segment
from sonde.ingest.spool_folder import SEALED, SegmentFile, SpoolFolder, sync_folder


def recover(folder: SpoolFolder, on_sealed: Callable[[], None] | None = None) -> list[str]:
    """Seal every segment whose receiver is no longer alive; the ids of those sealed. Safe to run in several processes."""
    orphans: dict[str, list[SegmentFile]] = {}
    for segment in folder.list():
        if not segment.sealed:
            orphans.setdefault(segment.receiver, []).append(segment)
    for lock in folder.receivers.glob("*.lock"):
        orphans.setdefault(lock.stem, [])
    sealed = []
    for receiver, segments in orphans.items():
        lock = folder.lock_of(receiver)
        ownership = Ownership.take(lock, create=bool(segments))
        if ownership is None:
            continue
        for segment in segments:
            if seal_orphan(folder, segment):
                sealed.append(segment.id)
        ownership.release(remove=True)
    if sealed and on_sealed is not None:
        on_sealed()
    return sealed


def seal_orphan(folder: SpoolFolder, segment: SegmentFile) -> bool:
    """Cut the torn tail of an open segment that nobody owns any more, and seal it. False where there was nothing in it.

    A file whose damage is more than a torn tail is sealed uncut: the writer finds the same, counts it and sets it aside.
    """
    path = folder.segments / segment.name
    try:
        content = path.read_bytes()
        end = read_segment(content).end
    except FileNotFoundError:  # its owner sealed it, or another process recovered it, since we listed it
        return False
    except TornAtStart:
        path.unlink()
        return False
    except DamagedSegment:
        end = len(content)
    with open(path, "r+b") as file:
        file.truncate(end)
        os.fsync(file.fileno())
    os.rename(path, folder.segments / (segment.id + SEALED))
    sync_folder(folder.segments)
    return True
