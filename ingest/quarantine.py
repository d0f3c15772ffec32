"""Segments that can't be stored: set aside with the reason, counted, and replayed once the reason is gone.

Nothing accepted is ever dropped: a segment that the store refuses for its content, or that the decoder does not understand, or that
the disk damaged, moves to quarantine/ and the others go on.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sonde.ingest.spool_folder import SEALED, SegmentFile, SpoolFolder, sync_folder

_REASON = ".reason.json"


class NotInQuarantine(LookupError):
    """There is no such segment in quarantine; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A segment in quarantine."""

    id: str
    path: Path
    reason: dict[str, Any]


def set_aside(folder: SpoolFolder, segment: str, reason: dict[str, Any]) -> None:
    """Move a sealed segment to quarantine. The reason is written first, so that none lies there without one."""
    described = reason | {
        "segment": segment,
        "set_aside_unix_nano": time.time_ns(),
        "to_do": f"find what it says in `what`, then: sonde spool replay {segment}",
    }
    target = folder.quarantine / (segment + _REASON)
    draft = target.with_suffix(".draft")
    with open(draft, "w", encoding="utf-8") as file:
        json.dump(described, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    os.rename(draft, target)
    with contextlib.suppress(FileNotFoundError):  # where this is the second try
        os.rename(folder.segments / (segment + SEALED), folder.quarantine / (segment + SEALED))
    sync_folder(folder.quarantine)
    sync_folder(folder.segments)


def quarantined(folder: SpoolFolder) -> list[Quarantined]:
    """What is in quarantine, oldest first."""
    found = []
    for path in sorted(folder.quarantine.glob(f"*{SEALED}")):
        if SegmentFile.parse(path.name) is None:
            continue
        try:
            reason = json.loads((folder.quarantine / (path.stem + _REASON)).read_text("utf-8"))
        except (OSError, ValueError):
            reason = {"what": "the reason file is missing or unreadable"}
        found.append(Quarantined(path.stem, path, reason))
    return found


def replay(path: str | os.PathLike[str], segment: str) -> str:
    """Give a segment back to the writer of the spool folder `path`; its full id.

    `segment`: its id, or a beginning that only one has. The writer stores what it had not stored of it, under the tokens it
    would have had, and moves the counts from quarantined to stored; it need not be running now. Raises NotInQuarantine.
    """
    folder = SpoolFolder(path)
    candidates = [found.id for found in quarantined(folder)]
    matching = [found for found in candidates if found == segment] or [
        found for found in candidates if segment and found.startswith(segment)
    ]
    if len(matching) != 1:
        what = (
            f"{len(matching)} segments in quarantine begin with"
            if matching
            else "there is no segment in quarantine named"
        )
        raise NotInQuarantine(f"{what} {segment!r} in {folder.path}: `sonde spool ls` shows them")
    (found,) = matching
    os.rename(folder.quarantine / (found + SEALED), folder.segments / (found + SEALED))
    sync_folder(folder.segments)
    (folder.quarantine / (found + _REASON)).unlink(missing_ok=True)
    return found
