"""What the door's scan counted of a request, kept in its frame so that the decoder need not scan the same bytes again.

    counts  = signal kernels count*     signed (signature.py); nothing where a record was refused or a singular field repeats
    signal  = uint8: its place in `Signal`
    kernels = 8 bytes: which scan it was, a digest of its source
    count   = uint32: of the tally (tally.py) what stands at PLACES, without the zero bytes at the end

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

PLACES = np.array([t.SEEN, t.ARENA, t.RESOURCES, t.SCOPES, *range(t.OWN, t.DIMENSIONS)], np.int64)
"""What the decoder reads of a tally in which every record is kept and nothing repeats."""
COUNT = np.dtype("<u4")
LENGTH = len(PLACES) * COUNT.itemsize
MOST = 0xFFFF_FFFF
"""Of JSON text; of anything else there are fewer than bytes in the request, whose length has as many bits."""
HEADS = {signal: bytes([place]) + bytes.fromhex(stamp(t.__file__))[:8] for place, signal in enumerate(Signal)}
"""Of the kernels as they are loaded: a receiver that is started again during an upgrade runs others than the writer."""


def counts_of(signal: Signal, tally: I64) -> bytes:
    """The counts, yet to be signed; b"" where the decoder has to scan."""
    if tally[t.ACCEPTED] != tally[t.SEEN] or tally[t.REPEATED] or tally[t.ARENA] > MOST:
        return b""
    return HEADS[signal] + tally[PLACES].astype(COUNT).tobytes().rstrip(b"\0")


def total(signal: Signal, frames: Iterable[Frame]) -> I64 | None:
    """The tally of all these requests, or None where one of them has no counts, or none to rely on."""
    head = HEADS[signal]
    counts = []
    for frame in frames:
        claim = claim_of(bytes(frame.counts), frame.identity, frame.body_length)
        if claim is None or not claim.startswith(head):
            return None
        counts.append(claim[len(head) :].ljust(LENGTH, b"\0"))
    tally = t.new_tally()
    tally[PLACES] = np.frombuffer(b"".join(counts), COUNT).reshape(-1, len(PLACES)).sum(0, np.int64)
    tally[t.ACCEPTED] = tally[t.SEEN]
    return tally
