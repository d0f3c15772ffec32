"""Takes 2.0 requests apart: which of their series are labels and one sample, and under which key those labels are known.

Compiled, because a label is a number here, whose text has to be looked up: in Python that cost more than all the rest.
"""

from __future__ import annotations

from typing import Any

from sonde.ingest.kernel import inline, kernel, out_of_line, part, pointer
from sonde.ingest.wire import FIXED64, LEN, VARINT, byte_at, int64_at, read_fixed, read_len, read_tag, read_varint, tag

START, STOP, KEY, KEY_STOP, VALUE, TIME, STARTED, SIMPLE, COLUMNS = range(9)
"""A row of `rows`: where a TimeSeries lies, where its key lies in `keys`, its sample (ms), and whether it is one of these."""
_LABELS, _SAMPLES, _METADATA = tag(1, LEN), tag(2, LEN), tag(5, LEN)
_VALUE, _TIME, _STARTED = tag(1, FIXED64), tag(2, VARINT), tag(3, VARINT)
_TYPE, _HELP, _UNIT = tag(1, VARINT), tag(3, VARINT), tag(4, VARINT)
STALE_BITS = 0x7FF0_0000_0000_0002
LENGTH_BYTES = 4


@kernel
def split_series(buf: Any, series: Any, symbols: Any, rows: Any, keys: Any) -> Any:
    """Fill a row for each TimeSeries, the i-th in [series[2 i], series[2 i + 1]); the bytes of `keys` that were used.

    `symbols` holds where each text lies, as `series` does. A series that is not simple, or whose key has no room in `keys`, has
    0 in SIMPLE, whatever else is in its row. Keys are equal where labels, type, help, unit and having a start time are.
    """
    data, places, texts = pointer(buf), pointer(series), pointer(symbols)
    out, room = pointer(rows), pointer(keys)
    used = 0
    for number in range(len(series) // 2):
        at = number * COLUMNS
        start, stop = places[2 * number], places[2 * number + 1]
        out[at + START], out[at + STOP], out[at + KEY] = start, stop, used
        out[at + STARTED] = 0
        end = -1
        # The first symbol must be the empty text: reference 0 is how help and unit are left out.
        if len(symbols) > 0 and texts[0] == texts[1]:
            end = split_one(data, start, stop, texts, len(symbols) // 2, out, at, room, used, len(keys))
        out[at + SIMPLE] = end >= 0
        if end >= 0:
            out[at + KEY_STOP] = end
            used = end
    return used


@part
def split_one(
    buf: Any, pos: int, stop: int, texts: Any, symbols: int, out: Any, at: int, keys: Any, used: int, room: int
) -> Any:
    """Where the key of the TimeSeries in [pos, stop) ends; below zero where it is not simple."""
    field, pos = read_tag(buf, pos, stop)
    if pos < 0 or field != _LABELS:
        return -1
    pos, labels_end = read_len(buf, pos, stop)
    if labels_end < 0 or used >= room:
        return -1
    head, used = used, used + 1
    refs = 0
    while pos < labels_end:
        ref, pos = read_varint(buf, pos, labels_end)
        if pos < 0:
            return -1
        used = put_text(buf, ref, texts, symbols, keys, used, room)
        if used < 0:
            return -1
        refs += 1
    field, pos = read_tag(buf, labels_end, stop)
    if pos < 0 or field != _SAMPLES or refs % 2 != 0:
        return -1
    pos, sample_end = read_len(buf, pos, stop)
    if sample_end < 0 or split_sample(buf, pos, sample_end, out, at) < 0:
        return -1
    keys[head] = 1 if out[at + STARTED] > 0 else 0
    if sample_end == stop:
        return put_family(buf, stop, stop, texts, symbols, keys, used, room)
    field, pos = read_tag(buf, sample_end, stop)
    if pos < 0 or field != _METADATA:
        return -1
    pos, metadata_end = read_len(buf, pos, stop)
    if metadata_end != stop:
        return -1
    return put_family(buf, pos, stop, texts, symbols, keys, used, room)


@kernel
def split_sample(buf: Any, pos: int, end: int, out: Any, at: int) -> Any:
    """Fill in the Sample in [pos, end); below zero where it has other fields, or is a stale marker."""
    out_of_line()
    value, time, started = 0, 0, 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return -1
        if field == _VALUE:
            start = pos
            pos = read_fixed(pos, end, 8)
            if pos >= 0:
                value = int64_at(buf, start)
        elif field == _TIME:
            time, pos = read_varint(buf, pos, end)
        elif field == _STARTED:
            started, pos = read_varint(buf, pos, end)
        else:
            return -1
        if pos < 0:
            return -1
    if value == STALE_BITS:
        return -1
    out[at + VALUE], out[at + TIME], out[at + STARTED] = value, time, started
    return 0


@kernel
def put_family(buf: Any, pos: int, end: int, texts: Any, symbols: int, keys: Any, used: int, room: int) -> Any:
    """Append what the Metadata in [pos, end) says to the key; where the key ends, or below zero."""
    out_of_line()
    kind, help, unit = 0, 0, 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return -1
        if field == _TYPE:
            kind, pos = read_varint(buf, pos, end)
        elif field == _HELP:
            help, pos = read_varint(buf, pos, end)
        elif field == _UNIT:
            unit, pos = read_varint(buf, pos, end)
        else:
            return -1
        if pos < 0:
            return -1
    if kind < 0 or kind > 127 or used >= room:
        return -1
    keys[used] = kind
    used += 1
    if help != 0 or unit != 0:
        used = put_text(buf, help, texts, symbols, keys, used, room)
        if used >= 0:
            used = put_text(buf, unit, texts, symbols, keys, used, room)
    return used


@inline
def put_text(buf: Any, ref: int, texts: Any, symbols: int, keys: Any, used: int, room: int) -> Any:
    """Append a length and the text of a symbol to the key; where it ends, or below zero."""
    if ref < 0 or ref >= symbols:
        return -1
    start, stop = texts[2 * ref], texts[2 * ref + 1]
    length = stop - start
    if length > room - used - LENGTH_BYTES:
        return -1
    for place in range(LENGTH_BYTES):
        keys[used + place] = length >> 8 * place & 0xFF
    used += LENGTH_BYTES
    for place in range(length):
        keys[used + place] = byte_at(buf, start + place)
    return used + length
