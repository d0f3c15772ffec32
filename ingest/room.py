"""How much memory a request takes once it is columns: the bound for one whose bytes are few and whose records are many.

An empty record is 2 bytes on the wire, and gzip makes a thousandth of that: without this bound, 64 KB could ask the writer for
10 GB, and again after each restart. A request beyond it is refused at the door; smaller ones carry their room in the
spool, so that a chunk of many of them is bounded too. Estimated from what a scan counts, and rather too high.
"""

from __future__ import annotations

from sonde.ingest import tally as t
from sonde.ingest.errors import TooLarge
from sonde.storage.columns import I64

RECORD_BYTES = 384
"""Measured: 320 bytes at its peak for an empty log record, columns and Native block together."""
PART_BYTES = 96
"""An attribute, event, link, exemplar, bucket: 45 to 85 bytes."""
DIMENSION_BYTES = 2_560
"""A resource or scope that was not announced today: it goes through the official classes and Python's own."""
MOST_BYTES = 1 << 30
"""Of one request. 64 MiB of usual spans take 200 MB, of data points without any attribute 800 MB."""


def room_of(tally: I64) -> int:
    """Bytes that the columns of what was counted take."""
    dimensions = int(tally[t.RESOURCES]) + int(tally[t.SCOPES])
    return int(tally[t.SEEN]) * RECORD_BYTES + int(tally[t.OWN :].sum()) * PART_BYTES + dimensions * DIMENSION_BYTES


def check_room(tally: I64) -> None:
    """TooLarge where a request with this tally would take more than MOST_BYTES."""
    room = room_of(tally)
    if room > MOST_BYTES:
        raise TooLarge(
            f"the request has {tally[t.SEEN]} records, {tally[t.OWN :].sum()} attributes and other parts of them, "
            f"{tally[t.RESOURCES]} resources and {tally[t.SCOPES]} scopes, which would take {room >> 20} MiB of memory, more "
            f"than {MOST_BYTES >> 20}: send smaller batches"
        )
