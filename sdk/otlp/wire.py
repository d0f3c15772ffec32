"""Primitives of the protobuf wire format: https://protobuf.dev/programming-guides/encoding/"""

from __future__ import annotations

import struct

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5
"""Wire types."""


def varint(value: int) -> bytes:
    """`value`, 0 to 2**64 - 1, seven bits a byte, the lowest first."""
    if value < len(SMALL_VARINTS):
        return SMALL_VARINTS[value]
    if value < 1 << 14:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if value < 1 << 21:
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))
    return _varint(value)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


SMALL_VARINTS = [_varint(value) for value in range(1024)]
"""Most lengths and numbers are among these."""


def tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def delimited(field_tag: bytes, payload: bytes) -> bytes:
    """A field of bytes, of text or of a message."""
    return b"%b%b%b" % (field_tag, varint(len(payload)), payload)


def text(field_tag: bytes, value: str | None) -> bytes:
    """A field of text; nothing where it is empty, which is its default. What is no Unicode is replaced by `?`."""
    return delimited(field_tag, utf8(value)) if value else b""


def utf8(value: str) -> bytes:
    """Lone surrogates, which UTF-8 cannot say, become `?`: a receiver would refuse the whole request for them."""
    return value.encode("utf-8", "replace")


def unsigned(field_tag: bytes, value: int | None) -> bytes:
    """A field of an unsigned number as a varint; nothing where it is 0, which is its default."""
    return field_tag + varint(value) if value else b""


def signed(value: int) -> bytes:
    """An int64 or int32 as a varint: ten bytes where it is negative."""
    return varint(value & 0xFFFF_FFFF_FFFF_FFFF)


fixed64 = struct.Struct("<Q").pack
double = struct.Struct("<d").pack
sfixed64 = struct.Struct("<q").pack
fixed32 = struct.Struct("<I").pack
