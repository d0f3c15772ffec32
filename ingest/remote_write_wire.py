"""The protobuf wire format in plain Python, for remote-write requests: reading them, and writing the OTLP they become.

https://protobuf.dev/programming-guides/encoding/

What is accepted is what `wire.py` accepts: unknown fields and fields of another wire type are passed over, groups are refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from sonde.ingest.errors import Malformed
from sonde.ingest.status import varint
from sonde.ingest.wire import (
    BAD_TAG,
    BAD_WIRE_TYPE,
    END_GROUP,
    FAILURES,
    FIXED32,
    FIXED64,
    GROUP,
    LEN,
    OVERLONG_LENGTH,
    OVERLONG_VARINT,
    START_GROUP,
    TRUNCATED,
    VARINT,
)

INT64 = struct.Struct("<q")
UINT64 = struct.Struct("<Q")
DOUBLE = struct.Struct("<d")
ZERO = bytes(8)
"""A double or fixed64 that was not sent."""


def malformed(what: int, at: int) -> Malformed:
    return Malformed(f"not a valid remote-write request: {FAILURES[what]}, at byte {at}. Check what encodes it.")


def read_varint(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """(value as uint64, next)."""
    if pos < end and data[pos] < 0x80:
        return data[pos], pos + 1
    value = 0
    for shift in range(0, 70, 7):
        if pos >= end:
            raise malformed(TRUNCATED, pos)
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, pos
    raise malformed(OVERLONG_VARINT, pos - 10)


def read_len(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """(start, stop) of the content whose length stands at `pos`."""
    length, start = read_varint(data, pos, end)
    if start - pos > 5:
        raise malformed(OVERLONG_LENGTH, pos)
    if length > end - start:
        raise malformed(TRUNCATED, pos)
    return start, start + length


def fields(data: bytes, pos: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(tag, value, stop) of every field of the message in [pos, end).

    `value`: of a VARINT its number, as uint64; of any other where the content begins, which ends at `stop`.
    """
    while pos < end:
        tag, at = read_varint(data, pos, end)
        if at - pos > 5 or not 8 <= tag <= 0xFFFF_FFFF:
            raise malformed(BAD_TAG, pos)
        wire_type = tag & 7
        if wire_type == LEN:
            value, stop = read_len(data, at, end)
        elif wire_type == VARINT:
            value, stop = read_varint(data, at, end)
        elif wire_type in (FIXED64, FIXED32):
            value, stop = at, at + (8 if wire_type == FIXED64 else 4)
            if stop > end:
                raise malformed(TRUNCATED, at)
        else:
            raise malformed(GROUP if wire_type in (START_GROUP, END_GROUP) else BAD_WIRE_TYPE, at)
        yield tag, value, stop
        pos = stop


def fields_of_request(data: bytes) -> Iterator[tuple[int, int, int]]:
    """What `fields` gives for all of `data`, quicker: a request is thousands of short LEN fields."""
    pos, end = 0, len(data)
    while pos < end:
        if end - pos >= 3 and data[pos] & 0x87 == LEN and data[pos] >= 8:
            first, second = data[pos + 1], data[pos + 2]
            if first < 0x80:
                start = pos + 2
                stop = start + first
            elif second < 0x80:
                start = pos + 3
                stop = start + (first & 0x7F | second << 7)
            else:
                start, stop = read_len(data, pos + 1, end)
            if stop > end:
                raise malformed(TRUNCATED, pos + 1)
            yield data[pos], start, stop
        else:
            tag, value, stop = next(fields(data, pos, end))
            yield tag, value, stop
        pos = stop


def varints(data: bytes, pos: int, end: int) -> Iterator[int]:
    """The packed varints in [pos, end), as uint64."""
    while pos < end:
        value, pos = read_varint(data, pos, end)
        yield value


def signed(value: int) -> int:
    """An int64 field, of its varint."""
    return value - (1 << 64) if value >> 63 else value


def zigzag(value: int) -> int:
    """A sint64 field, of its varint."""
    return (value >> 1) ^ -(value & 1)


def zigzag32(value: int) -> int:
    """A sint32 field, of its varint."""
    return zigzag(value & 0xFFFF_FFFF)


# ---- writing ----


def delimited(tag: int, content: bytes) -> bytes:
    """A LEN field with a tag of one byte (field numbers to 15)."""
    length = len(content)
    return b"%c%c%b" % (tag, length, content) if length < 0x80 else b"%c%b%b" % (tag, varint(length), content)


def fixed(tag: int, content: bytes) -> bytes:
    """A FIXED64 field of these 8 bytes; nothing where they are zero, as proto3 has it."""
    return b"" if content == ZERO else b"%c%b" % (tag, content)


def zigzagged(value: int) -> bytes:
    """A sint32 or sint64, as its varint."""
    return varint((value << 1) ^ (value >> 63))
