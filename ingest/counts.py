"""What the door's scan counted of a request, kept in its frame so that the decoder need not scan the same bytes again.

    counts  = signal kernels entry*     signed (signature.py); nothing where a record was refused or a singular field repeats
    signal  = uint8: its place in `Signal`
    kernels = 8 bytes: which scan it was, a digest of its source
    entry   = (place uint8, count uint32), of the tally (tally.py) what is not zero

The fill kernels trust every byte and every count, so counts are taken only from the processes of this start of sonde, of the very
scan that belongs to the kernels at work here. A segment from before a restart, from another version or another hand is scanned.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from sonde.ingest import tally as t
from sonde.ingest.kernel import stamp
from sonde.ingest.segment import Frame
from sonde.ingest.signals import Signal
from sonde.ingest.signature import claim_of
from sonde.storage.columns import I64

ENTRY = np.dtype([("place", "u1"), ("count", "<u4")])
PLACES = np.array([t.SEEN, t.ARENA, t.RESOURCES, t.SCOPES, *range(t.OWN, t.DIMENSIONS)], np.uint8)
"""What the decoder reads of a tally in which every record is kept and nothing repeats."""
HEADS = {signal: bytes([place]) + bytes.fromhex(stamp(t.__file__))[:8] for place, signal in enumerate(Signal)}
"""Of the kernels as they are loaded: a receiver that is started again during an upgrade runs others than the writer."""


def counts_of(signal: Signal, tally: I64) -> bytes:
    """The counts, yet to be signed; b"" where the decoder has to scan."""
    if tally[t.ACCEPTED] != tally[t.SEEN] or tally[t.REPEATED]:
        return b""
    counted = tally[PLACES]
    if counted.max() > 0xFFFF_FFFF:
        return b""
    (present,) = counted.nonzero()
    entries = np.empty(len(present), ENTRY)
    entries["place"], entries["count"] = PLACES[present], counted[present]
    return HEADS[signal] + entries.tobytes()


def total(signal: Signal, frames: Iterable[Frame]) -> I64 | None:
    """The tally of all these requests, or None where one of them has no counts, or none to rely on."""
    head = HEADS[signal]
    entries = []
    for frame in frames:
        claim = claim_of(bytes(frame.counts), frame.identity, frame.body_length)
        if claim is None or not claim.startswith(head):
            return None
        entries.append(claim[len(head) :])
    found = np.frombuffer(b"".join(entries), ENTRY)
    tally = np.bincount(found["place"], found["count"], t.SIZE).astype(np.int64)
    tally[t.ACCEPTED], tally[t.FIRST_REJECTED] = tally[t.SEEN], -1
    return tally
