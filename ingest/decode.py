"""From request bodies to columns: join, count, allocate exactly, fill.

Protobuf merges repeated fields, so the bodies of many requests, one after another, are one buffer that the kernels walk once;
where each ends is kept beside it, so that no body's last field can reach into the next. Every body was accepted by `scan`
when it was received. What to allocate is what that scan counted, where the frames say so under this start's signature and over
the hash of these very bytes (counts.py). Else all is scanned again: the fill kernels trust every byte, so nothing goes before
them unproven.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
from sonde.ingest import series_limits
from sonde.ingest import tally as t
from sonde.ingest.decoded import Decoded
from sonde.ingest.dimensions import Announcer, Told
from sonde.ingest.limits import Limits
from sonde.ingest.logs import decode_logs
from sonde.ingest.metrics import decode_metrics
from sonde.ingest.regions import room_for_text
from sonde.ingest.scan import Body, merged, walk
from sonde.ingest.signals import Signal
from sonde.ingest.traces import decode_traces
from sonde.storage.columns import I64, U8
from sonde.storage.native import encode_block
from sonde.storage.reuse import Reused
from sonde.storage.schema import table

Progress: TypeAlias = Callable[[str, int, int], None]


DECODERS: dict[Signal, Callable[[U8, I64, I64, I64, U8, int], Decoded]] = {
    Signal.TRACES: decode_traces,
    Signal.METRICS: decode_metrics,
    Signal.LOGS: decode_logs,
}

USUAL_TEXT = 16
"""Room for JSON text that most batches do with, as a part of their length; the others are joined again."""
SMALL_BODY = 4096
"""Bytes below which bodies are better joined by Python than one by one."""
JOINED = Reused(np.uint8, largest_bytes=128 << 20)
LEAST_RECORD = 2
"""Bytes of the shortest record, an empty one: its tag and length."""


def decode(
    signal: Signal,
    bodies: Sequence[Body],
    received_unix_nano: Sequence[int],
    limits: Limits,
    counted: I64 | None = None,
) -> Decoded:
    """The columns of all records of `bodies` that `limits` keep; body i was received at received_unix_nano[i].

    `counted`: the tally of exactly these bodies, proven (counts.total); without it they are scanned. Malformed where a body is
    not what scan had accepted.
    """
    received = np.array(received_unix_nano, np.int64)
    length = sum(map(len, bodies))
    if counted is not None:
        buffer, ends = join(bodies, int(counted[t.ARENA]))
        kept = np.full(counted[t.SEEN], t.NO_REASON, np.uint8)
        return DECODERS[signal](buffer, ends, received, counted, kept, length)
    tally, verdicts, buffer, ends = judged(signal, bodies, received, limits, length // USUAL_TEXT + 4096)
    if tally[t.REPEATED]:
        bodies = [whole(signal, body, limits) for body in bodies]
        length = sum(map(len, bodies))
        tally, verdicts, buffer, ends = judged(signal, bodies, received, limits, int(tally[t.ARENA]))
    if room_for_text(length, int(tally[t.ARENA])) > len(buffer) - length:
        buffer, ends = join(bodies, int(tally[t.ARENA]))
    return DECODERS[signal](buffer, ends, received, tally, verdicts, length)


def judged(
    signal: Signal, bodies: Sequence[Body], received: I64, limits: Limits, arena: int
) -> tuple[I64, U8, U8, I64]:
    """(tally, verdicts, buffer, ends) of the bodies joined, with room for packed texts and `arena` bytes of JSON text."""
    buffer, ends = join(bodies, arena)
    length = int(ends[-1]) if len(ends) else 0
    verdicts = np.empty(length // LEAST_RECORD + 1, np.uint8)
    return walk(signal, buffer[:length], ends, received, limits, verdicts), verdicts, buffer, ends


def join(bodies: Sequence[Body], arena: int) -> tuple[U8, I64]:
    """The bodies in one buffer, with room for packed texts and `arena` bytes of JSON text behind them, and where each ends."""
    ends = np.cumsum([len(body) for body in bodies], dtype=np.int64)
    total = int(ends[-1]) if len(bodies) else 0
    buffer: U8 = JOINED.take(total + room_for_text(total, arena))
    target, at = buffer.data, 0
    if total < len(bodies) * SMALL_BODY:
        target[:total] = b"".join(bodies)
        return buffer, ends
    for body in bodies:
        target[at : at + len(body)] = body
        at += len(body)
    return buffer, ends


def whole(signal: Signal, body: Body, limits: Limits) -> Body:
    """`body` with no singular message field in it twice."""
    alone = walk(signal, np.frombuffer(body, np.uint8), [len(body)], [0], limits)
    return merged(signal, body) if alone[t.REPEATED] else body


def warm(progress: Progress | None = None) -> None:
    """Compile every kernel, or load it from the cache. `progress(what, step, steps)` is called before each step."""
    steps: list[tuple[str, Callable[[], object]]] = []
    for signal in Signal:
        steps.append((f"scan {signal}", partial(walk, signal, np.frombuffer(b"", np.uint8), [0], [0], Limits())))
        steps.append((f"decode {signal}", partial(decode, signal, [b""], [0], Limits())))
    steps.append(("announce and encode spans", partial(prepare_one, Signal.TRACES, ONE_SPAN)))
    steps.append(("announce and encode points", partial(prepare_one, Signal.METRICS, ONE_POINT)))
    steps.append(("count series", series_limits.warm))
    for number, (what, run) in enumerate(steps):
        if progress:
            progress(what, number, len(steps))
        run()


def prepare_one(signal: Signal, body: bytes) -> None:
    """All that the writer does to a record before it is inserted."""
    decoded, announcer = decode(signal, [body], [1], Limits()), Announcer()
    for block in decoded.blocks:
        encode_block(table(block.table), block.block, block.rows)
    for name, announced, rows, _ in announcer.announce("", decoded, 1):
        encode_block(table(name), announced, rows)
    announcer.mark("", Told.of(decoded), 1)


ONE_SPAN = b"\x0a\x22\x12\x20\x12\x1e\x0a\x10" + b"\x01" * 16 + b"\x12\x08" + b"\x01" * 8 + b"\x2a\x00"
"""ResourceSpans { ScopeSpans { Span { trace_id, span_id, name } } }"""
ONE_POINT = b"\x0a\x08\x12\x06\x12\x04\x2a\x02\x0a\x00"
"""ResourceMetrics { ScopeMetrics { Metric { Gauge { NumberDataPoint {} } } } }"""
