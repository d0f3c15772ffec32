"""Just enough protobuf to write OTLP fast: a message is the joined bytes of its fields.

Building spans as protobuf objects costs about 25 us each; the demo writes its constant fields once and joins bytes, which
costs about 4. Field numbers are named beside the messages in `shop.py` and `shop_metrics.py`; the tests read everything
back through the official classes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

VARINT, FIXED64, LEN = 0, 1, 2
Value = str | int | float | bool | bytes | Sequence[str]

pack_u64 = struct.Struct("<Q").pack
pack_double = struct.Struct("<d").pack


def varint(number: int) -> bytes:
    """`number` as a base-128 varint; a negative one in ten bytes, as int32 and int64 fields want it."""
    number &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


@lru_cache(maxsize=4096)
def tag(field: int, kind: int) -> bytes:
    return varint(field << 3 | kind)


def number(field: int, value: int) -> bytes:
    return tag(field, VARINT) + varint(value)


def zigzag(field: int, value: int) -> bytes:
    """A sint32 or sint64 field."""
    return tag(field, VARINT) + varint((value << 1) ^ (value >> 63))


def fixed64(field: int, value: int) -> bytes:
    return tag(field, FIXED64) + pack_u64(value)


def double(field: int, value: float) -> bytes:
    return tag(field, FIXED64) + pack_double(value)


def chunk(field: int, payload: bytes) -> bytes:
    """A length-delimited field: a message, bytes, or packed numbers."""
    size = len(payload)
    return tag(field, LEN) + (bytes((size,)) if size < 128 else varint(size)) + payload


def text(field: int, value: str) -> bytes:
    return chunk(field, value.encode())


def packed_fixed64(field: int, values: Iterable[int]) -> bytes:
    return chunk(field, b"".join(map(pack_u64, values)))


def packed_double(field: int, values: Iterable[float]) -> bytes:
    return chunk(field, b"".join(map(pack_double, values)))


def packed_varint(field: int, values: Iterable[int]) -> bytes:
    return chunk(field, b"".join(map(varint, values)))


def any_value(value: Value) -> bytes:
    """AnyValue: string 1, bool 2, int 3, double 4, array 5 (of strings), bytes 7."""
    if isinstance(value, str):
        return text(1, value)
    if isinstance(value, bool):
        return number(2, value)
    if isinstance(value, int):
        return number(3, value)
    if isinstance(value, float):
        return double(4, value)
    if isinstance(value, bytes):
        return chunk(7, value)
    return chunk(5, b"".join(chunk(1, any_value(item)) for item in value))


def attribute(field: int, key: str, value: Value) -> bytes:
    """One KeyValue (key 1, value 2) as field `field` of the message it stands in."""
    return chunk(field, text(1, key) + chunk(2, any_value(value)))


def attributes(field: int, values: Mapping[str, Value]) -> bytes:
    return b"".join(attribute(field, key, value) for key, value in values.items())
