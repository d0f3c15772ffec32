"""The check at the door: is this body one whole request, and which of its records will be kept?

`scan` proves every read that the decode kernels will make of the same bytes and gives each record its verdict (limits.py). It
accepts what the official protobuf parser accepts, but for groups, AnyValues nested beyond `max_depth`, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from google.protobuf.message import DecodeError
from sonde.ingest import tally as t
from sonde.ingest.counts import counts_of
from sonde.ingest.errors import Malformed
from sonde.ingest.limits import Limits, Reason
from sonde.ingest.room import check_room, room_of
from sonde.ingest.scan_logs import scan_logs
from sonde.ingest.scan_metrics import DEEPEST, scan_metrics
from sonde.ingest.scan_traces import scan_traces
from sonde.ingest.services import REQUESTS
from sonde.ingest.signals import Signal
from sonde.ingest.wire import failure
from sonde.storage.columns import I64, U8

Body: TypeAlias = "bytes | bytearray | memoryview"

SCANNERS: dict[Signal, tuple[Callable[..., int], int]] = {
    Signal.TRACES: (scan_traces, t.DEEPEST),
    Signal.METRICS: (scan_metrics, DEEPEST),
    Signal.LOGS: (scan_logs, t.DEEPEST),
}
"""With the nesting of AnyValue beyond which the C parser gives up."""
NO_VERDICTS = np.zeros(1, np.uint8)

WHAT_TO_DO = {
    Reason.TOO_OLD: "older than what is kept",
    Reason.IN_THE_FUTURE: "too far in the future: check the sender's clock",
    Reason.INVALID_TRACE_ID: "trace_id is not 16 bytes or is all zero",
    Reason.INVALID_SPAN_ID: "span_id is not 8 bytes or is all zero",
    Reason.INVALID_PARENT_SPAN_ID: "parent_span_id is not 8 bytes",
    Reason.INVALID_LINK: "a link's trace_id or span_id is of the wrong length or all zero",
    Reason.TOO_MANY_ATTRIBUTES: "more attributes than allowed on it, its resource or its scope",
    Reason.TOO_MANY_EVENTS: "more events than allowed",
    Reason.TOO_MANY_LINKS: "more links than allowed",
    Reason.TOO_MANY_BUCKETS: "more buckets or quantiles than allowed",
    Reason.TOO_MANY_EXEMPLARS: "more exemplars than allowed",
    Reason.VALUE_TOO_LONG: "a string or value longer than allowed",
    Reason.INVALID_EXEMPLAR: "an exemplar's trace_id or span_id is of the wrong length",
    Reason.INVALID_LABELS: "labels that name no series",
    Reason.INVALID_HISTOGRAM: "a native histogram that contradicts itself",
    Reason.TOO_MANY_SERIES: "of more series than allowed (settings max_series, max_series_per_metric)",
}


@dataclass(frozen=True, slots=True)
class Scan:
    """What a body holds. `rejected` is indexed by Reason; `first_rejected` is a byte offset, -1 where all are kept; `counts` spare
    the decoder a scan of its own (counts.py), where they are not empty."""

    records: int
    rejected: tuple[int, ...]
    first_rejected: int = -1
    counts: bytes = b""
    room: int = 0
    """Bytes that its columns will take (room.py)."""
    repeated: bool = False
    """Whether singular messages repeat in it, so that it means what `merged` makes of it."""
    too_many_series: str = ""
    """Which series are too many, where records were refused for that (series_limits.py)."""

    @property
    def rejected_total(self) -> int:
        return sum(self.rejected)

    @property
    def accepted(self) -> int:
        return self.records - self.rejected_total


def scan(signal: Signal, body: Body, limits: Limits, received_unix_nano: int) -> Scan:
    """Check one request. Malformed, with the byte offset and what stands there, where it is not one; TooLarge where its columns
    would take too much memory."""
    tally, counts, repeated = survey(signal, body, limits, received_unix_nano)
    rejected = tally[t.REJECTED : t.REJECTED + len(Reason)]
    first = int(tally[t.FIRST_REJECTED])
    return Scan(int(tally[t.SEEN]), tuple(rejected.tolist()), first, counts, room_of(tally), repeated)


def explain(found: Scan, signal: Signal) -> str:
    """The sentence of a partial success: how many records were refused and why. Empty where none were."""
    reasons = [
        f"{count} {reason.label} ({what_to_do(found, reason)})"
        for reason, count in zip(Reason, found.rejected, strict=True)
        if count
    ]
    if not reasons:
        return ""
    first = f"; the first at byte {found.first_rejected}" if found.first_rejected >= 0 else ""
    return (
        f"refused {found.rejected_total} of {found.records} {signal.record}s: {'; '.join(reasons)}{first}. "
        f"{'The others were' if found.accepted else 'None was'} kept. Sending the refused ones again won't help."
    )


def what_to_do(found: Scan, reason: Reason) -> str:
    return found.too_many_series if reason is Reason.TOO_MANY_SERIES else WHAT_TO_DO[reason]


def survey(signal: Signal, body: Body, limits: Limits, received_unix_nano: int) -> tuple[I64, bytes, bool]:
    """The tally of one body, its `counts`, and whether singular messages repeat in it: then it is the tally of what it means once
    they are merged, and there are no counts."""
    tally = walk(signal, np.frombuffer(body, np.uint8), [len(body)], [received_unix_nano], limits)
    check_room(tally)  # before objects are made of it
    if not tally[t.REPEATED]:
        return tally, counts_of(signal, tally), False
    body = merged(signal, body)
    return walk(signal, np.frombuffer(body, np.uint8), [len(body)], [received_unix_nano], limits), b"", True


def walk(
    signal: Signal,
    buffer: U8,
    ends: list[int] | I64,
    received_unix_nano: list[int] | I64,
    limits: Limits,
    verdicts: U8 = NO_VERDICTS,
) -> I64:
    """Scan the bodies that lie one after another in `buffer`, the i-th ending at ends[i]; their common tally.

    `verdicts`: takes the verdict on each record in wire order, `tally.NO_REASON` where it is kept, as far as it has room.
    """
    tally = t.new_tally()
    tally[t.VERDICTS] = len(verdicts)
    if buffer.flags.writeable:
        buffer = buffer.view()
        buffer.flags.writeable = False  # one type of buffer, so that numba compiles once
    scanner, deepest = SCANNERS[signal]
    stopped = scanner(
        buffer,
        np.asarray(ends, np.int64),
        np.asarray(received_unix_nano, np.int64),
        t.limits_array(limits, deepest),
        tally,
        verdicts,
        t.new_frames(),
    )
    if stopped < 0:
        what, at = failure(stopped)
        raise Malformed(
            f"not a valid {REQUESTS[signal].__name__}: {what}, at byte {at}. Check what encodes the request."
        )
    return tally


def merged(signal: Signal, body: Body) -> bytes:
    """`body` with every singular message field once, as the official parser merges them.

    Protobuf lets a message like `resource` or `status` stand several times and mean the sum of its parts. No encoder writes
    that, so the kernels need not know it: they count repeats, and such a body goes through the official classes once.
    """
    try:
        return bytes(REQUESTS[signal].FromString(bytes(body)).SerializeToString())
    except DecodeError as error:
        raise Malformed(f"not a valid {REQUESTS[signal].__name__}: {error}") from None
