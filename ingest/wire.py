"""The protobuf wire format: constants and primitives for the kernels.

https://protobuf.dev/programming-guides/encoding/

Two families. `read_*` and `skip_field` check every byte against `end` and say what is wrong: `scan` is made of them.
`take_*` and `pass_field` check nothing and are for bytes that `scan` has been over.

Conventions of all kernels:

* `buf` is a C-contiguous uint8 array, or `kernel.pointer` of one; positions, lengths and values are int64 (a varint or
  fixed64 as its 64 bits, two's complement). Bytes are indexed with an unsigned index, which spares numba's wrap-around of
  negative ones.
* A position below zero is a failure made by `fail(what, at)`; `failure(position)` takes it apart again. Callers hand it up
  unchanged, so the first failure is the one that is reported.
* What is accepted is what the official C parser (upb) accepts, but for groups, which no OTLP message has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sonde.ingest.kernel import inline, kernel, out_of_line

VARINT = 0
FIXED64 = 1
LEN = 2
START_GROUP = 3
END_GROUP = 4
FIXED32 = 5

NOT_ASCII = np.uint64(0x8080808080808080)

TRUNCATED = 1
OVERLONG_VARINT = 2
OVERLONG_LENGTH = 3
BAD_TAG = 4
GROUP = 5
BAD_WIRE_TYPE = 6
BAD_UTF8 = 7
TOO_DEEP = 8

FAILURES = {
    TRUNCATED: "a field ends beyond the message it is in",
    OVERLONG_VARINT: "a varint of more than ten bytes",
    OVERLONG_LENGTH: "a length of more than five bytes",
    BAD_TAG: "a field number of zero or beyond 2^29",
    GROUP: "a group, which OTLP does not use",
    BAD_WIRE_TYPE: "a wire type that protobuf does not have",
    BAD_UTF8: "a string that is not UTF-8",
    TOO_DEEP: "values nested too deeply",
}


def tag(number: int, wire_type: int) -> int:
    """The tag of field `number` with `wire_type`: what `read_tag` gives. A field of another wire type is an unknown one."""
    return number << 3 | wire_type


def failure(position: int) -> tuple[str, int]:
    """What went wrong, as a sentence's subject, and the byte offset where; of a position below zero."""
    packed = -position - 1
    return FAILURES[packed & 15], packed >> 4


@inline
def fail(what: int, at: int) -> Any:
    return -(at * 16 + what) - 1


@inline
def byte_at(buf: Any, pos: int) -> Any:
    return np.int64(buf[np.uint64(pos)])


@inline
def fixed64_at(buf: Any, pos: int) -> Any:
    """Eight little-endian bytes as uint64. LLVM makes one load of the eight (seen in the assembly; 0.4 ns)."""
    p = np.uint64(pos)
    return (
        np.uint64(buf[p])
        | np.uint64(buf[p + np.uint64(1)]) << np.uint64(8)
        | np.uint64(buf[p + np.uint64(2)]) << np.uint64(16)
        | np.uint64(buf[p + np.uint64(3)]) << np.uint64(24)
        | np.uint64(buf[p + np.uint64(4)]) << np.uint64(32)
        | np.uint64(buf[p + np.uint64(5)]) << np.uint64(40)
        | np.uint64(buf[p + np.uint64(6)]) << np.uint64(48)
        | np.uint64(buf[p + np.uint64(7)]) << np.uint64(56)
    )


@inline
def put_fixed64(buf: Any, pos: int, word: int) -> Any:
    """Write a uint64 as eight little-endian bytes. LLVM makes one store of the eight, and of two neighbours one (seen in the
    assembly)."""
    p = np.uint64(pos)
    buf[p] = np.uint8(word)
    buf[p + np.uint64(1)] = np.uint8(word >> np.uint64(8))
    buf[p + np.uint64(2)] = np.uint8(word >> np.uint64(16))
    buf[p + np.uint64(3)] = np.uint8(word >> np.uint64(24))
    buf[p + np.uint64(4)] = np.uint8(word >> np.uint64(32))
    buf[p + np.uint64(5)] = np.uint8(word >> np.uint64(40))
    buf[p + np.uint64(6)] = np.uint8(word >> np.uint64(48))
    buf[p + np.uint64(7)] = np.uint8(word >> np.uint64(56))


@inline
def int64_at(buf: Any, pos: int) -> Any:
    """A fixed64 or double as int64: its 64 bits."""
    return np.int64(fixed64_at(buf, pos))


@inline
def fixed32_at(buf: Any, pos: int) -> Any:
    """Four little-endian bytes, as int64 in 0..2^32-1."""
    p = np.uint64(pos)
    return np.int64(
        np.uint64(buf[p])
        | np.uint64(buf[p + np.uint64(1)]) << np.uint64(8)
        | np.uint64(buf[p + np.uint64(2)]) << np.uint64(16)
        | np.uint64(buf[p + np.uint64(3)]) << np.uint64(24)
    )


@inline
def low32_signed(value: int) -> Any:
    """An int32 or enum field: the low 32 bits of its varint, with their sign."""
    return np.int64(np.int32(value & 0xFFFFFFFF))


@inline
def low32(value: int) -> Any:
    """A uint32 field: the low 32 bits of its varint."""
    return value & 0xFFFFFFFF


# ---- checked: every byte is proven to lie before `end` ----


@inline
def read_varint(buf: Any, pos: int, end: int) -> Any:
    """(value, next). Bits beyond the 64th are dropped, as the C parser does."""
    if pos < end:
        first = byte_at(buf, pos)
        if first < 0x80:
            return first, pos + 1
    return read_long_varint(buf, pos, end)


@kernel
def read_long_varint(buf: Any, pos: int, end: int) -> Any:
    """What read_varint is, for more than one byte."""
    out_of_line()
    value = np.uint64(0)
    at = pos
    for shift in range(0, 70, 7):
        if at >= end:
            return 0, fail(TRUNCATED, pos)
        byte = byte_at(buf, at)
        at += 1
        value |= np.uint64(byte & 0x7F) << np.uint64(shift)
        if byte < 0x80:
            return np.int64(value), at
    return 0, fail(OVERLONG_VARINT, pos)


@inline
def read_tag(buf: Any, pos: int, end: int) -> Any:
    """(tag, next): field number << 3 | wire type, the number in 1..2^29-1. At most five bytes, as in the C parser."""
    if pos < end:
        value = byte_at(buf, pos)
        if 0x08 <= value < 0x80:
            return value, pos + 1
    return read_long_tag(buf, pos, end)


@kernel
def read_long_tag(buf: Any, pos: int, end: int) -> Any:
    """What read_tag is, for a field number beyond 15."""
    out_of_line()
    value, at = read_long_varint(buf, pos, end)
    if at < 0:
        return 0, at
    if at - pos > 5 or value < 8 or value > 0xFFFFFFFF:
        return 0, fail(BAD_TAG, pos)
    return value, at


@inline
def read_len(buf: Any, pos: int, end: int) -> Any:
    """(start, stop) of a length-delimited field whose length stands at `pos`; stop below zero on failure."""
    if pos < end:
        length = byte_at(buf, pos)
        if length < 0x80 and length < end - pos:
            return pos + 1, pos + 1 + length
    return read_long_len(buf, pos, end)


@kernel
def read_long_len(buf: Any, pos: int, end: int) -> Any:
    """What read_len is, for 128 bytes and more."""
    out_of_line()
    length, start = read_long_varint(buf, pos, end)
    if start < 0:
        return 0, start
    if start - pos > 5:
        return 0, fail(OVERLONG_LENGTH, pos)
    if length > end - start:
        return 0, fail(TRUNCATED, pos)
    return start, start + length


@inline
def read_fixed(pos: int, end: int, width: int) -> Any:
    """The position after a fixed field of `width` bytes at `pos`; read it with fixed64_at or fixed32_at."""
    if end - pos < width:
        return fail(TRUNCATED, pos)
    return pos + width


@kernel
def skip_field(buf: Any, pos: int, end: int, field_tag: int) -> Any:
    """The position after the content at `pos` of a field nobody knows."""
    out_of_line()
    wire_type = field_tag & 7
    if wire_type == VARINT:
        _value, after = read_varint(buf, pos, end)
        return after
    if wire_type == LEN:
        _start, stop = read_len(buf, pos, end)
        return stop
    if wire_type == FIXED64:
        return read_fixed(pos, end, 8)
    if wire_type == FIXED32:
        return read_fixed(pos, end, 4)
    if wire_type in (START_GROUP, END_GROUP):
        return fail(GROUP, pos)
    return fail(BAD_WIRE_TYPE, pos)


@inline
def check_utf8(buf: Any, start: int, stop: int) -> Any:
    """`stop`, or a failure at the first sequence that is not UTF-8 (RFC 3629: no surrogates, nothing overlong)."""
    return stop if is_ascii(buf, start, stop) else check_any_utf8(buf, start, stop)


@inline
def is_ascii(buf: Any, start: int, stop: int) -> Any:
    """Whether [start, stop) is nothing but ASCII, as telemetry nearly always is; False too of 1 to 7 bytes before byte 8.

    Sixteen bytes at a time, the last ones overlapping those before: no branch depends on what is left over.
    """
    size = stop - start
    if size >= 16:
        last = stop - 16
        seen = fixed64_at(buf, last) | fixed64_at(buf, last + 8)
        while start < last:
            seen |= fixed64_at(buf, start) | fixed64_at(buf, start + 8)
            start += 16
    elif size >= 8:
        seen = fixed64_at(buf, start) | fixed64_at(buf, stop - 8)
    elif size == 0:
        return True
    elif stop < 8:
        return False
    else:
        seen = fixed64_at(buf, stop - 8) >> np.uint64(64 - 8 * size)
    return seen & NOT_ASCII == 0


@kernel
def check_any_utf8(buf: Any, pos: int, stop: int) -> Any:
    """What check_utf8 is, character by character."""
    out_of_line()
    while pos < stop:
        if byte_at(buf, pos) < 0x80:
            pos += 1
            continue
        width = utf8_width(buf, pos, stop)
        if width == 0:
            return fail(BAD_UTF8, pos)
        pos += width
    return stop


@kernel
def utf8_width(buf: Any, pos: int, stop: int) -> Any:
    """Bytes in the multi-byte character at `pos`, 0 where there is none (RFC 3629, section 4)."""
    first = byte_at(buf, pos)
    if first < 0xC2 or first > 0xF4:
        return 0
    width = 2 + (first >= 0xE0) + (first >= 0xF0)
    if stop - pos < width:
        return 0
    second = byte_at(buf, pos + 1)
    low = 0xA0 if first == 0xE0 else 0x90 if first == 0xF0 else 0x80
    high = 0x9F if first == 0xED else 0x8F if first == 0xF4 else 0xBF
    if second < low or second > high:
        return 0
    for i in range(2, width):
        if byte_at(buf, pos + i) & 0xC0 != 0x80:
            return 0
    return width


# ---- unchecked: for bytes that scan has been over ----


@inline
def take_varint(buf: Any, pos: int) -> Any:
    """(value, next)."""
    byte = byte_at(buf, pos)
    if byte < 0x80:
        return byte, pos + 1
    return take_long_varint(buf, pos)


@kernel
def take_long_varint(buf: Any, pos: int) -> Any:
    """What take_varint is, for more than one byte."""
    out_of_line()
    byte = byte_at(buf, pos)
    value = np.uint64(byte & 0x7F)
    shift = 7
    while byte >= 0x80:
        pos += 1
        byte = byte_at(buf, pos)
        value |= np.uint64(byte & 0x7F) << np.uint64(shift)
        shift += 7
    return np.int64(value), pos + 1


@inline
def take_tag(buf: Any, pos: int) -> Any:
    """(tag, next)."""
    return take_varint(buf, pos)


@inline
def take_len(buf: Any, pos: int) -> Any:
    """(start, stop) of the length-delimited field whose length stands at `pos`."""
    length, start = take_varint(buf, pos)
    return start, start + length


@kernel
def pass_field(buf: Any, pos: int, field_tag: int) -> Any:
    """The position after the content at `pos` of a field nobody knows."""
    out_of_line()
    wire_type = field_tag & 7
    if wire_type == VARINT:
        _value, after = take_varint(buf, pos)
        return after
    if wire_type == LEN:
        _start, stop = take_len(buf, pos)
        return stop
    return pos + (8 if wire_type == FIXED64 else 4)
