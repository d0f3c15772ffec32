"""The obvious twin of `sonde.storage.native`: rows of Python values to a Native block, one value at a time."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from sonde.storage.native import FIXED, split_arguments

STRUCT = {"u1": "B", "u2": "H", "u4": "I", "u8": "Q", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "f4": "f", "f8": "d"}


def varuint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def text(value: bytes) -> bytes:
    return varuint(len(value)) + value


def number(value: int) -> bytes:
    return struct.pack("<Q", value)


def prefix(kind: str) -> bytes:
    head, inside = parts(kind)
    if head == "LowCardinality":
        return number(1)
    if head in ("Array", "Nullable"):
        return prefix(inside)
    if head == "Map":
        key, value = split_arguments(inside)
        return prefix(key) + prefix(value)
    return b""


def parts(kind: str) -> tuple[str, str]:
    head, _, rest = kind.partition("(")
    return head, rest.removesuffix(")")


def data(kind: str, values: Sequence[Any]) -> bytes:
    """`values`: numbers, bytes, None, lists, or lists of (key, value) pairs for a map."""
    head, inside = parts(kind)
    if head in FIXED:
        return b"".join(struct.pack("<" + STRUCT[FIXED[head]], value) for value in values)
    if head == "FixedString":
        return b"".join(values)
    if head == "String":
        return b"".join(text(value) for value in values)
    if head == "LowCardinality":
        return dictionary(values)
    if head == "Nullable":
        default = b"" if inside == "String" else 0
        return bytes(value is None for value in values) + data(inside, [default if v is None else v for v in values])
    flat = [item for value in values for item in value]
    ends, end = b"", 0
    for value in values:
        end += len(value)
        ends += number(end)
    if not flat:
        return ends
    if head == "Array":
        return ends + data(inside, flat)
    key, value_kind = split_arguments(inside)
    return ends + data(key, [pair[0] for pair in flat]) + data(value_kind, [pair[1] for pair in flat])


def dictionary(values: Sequence[bytes]) -> bytes:
    if not values:
        return b""
    keys = list(dict.fromkeys(values))
    width = 0 if len(keys) <= 256 else 1 if len(keys) <= 65536 else 2
    indexes = [keys.index(value) for value in values] if len(keys) < 1000 else indexed(keys, values)
    return (
        number(0x600 | width)
        + number(len(keys))
        + b"".join(text(key) for key in keys)
        + number(len(values))
        + b"".join(struct.pack("<" + "BHI"[width], index) for index in indexes)
    )


def indexed(keys: list[bytes], values: Sequence[bytes]) -> list[int]:
    place = {key: index for index, key in enumerate(keys)}
    return [place[value] for value in values]


def encode_slowly(columns: Sequence[tuple[str, str, Sequence[Any]]], rows: int) -> bytes:
    """`columns`: (name, type, values)."""
    block = varuint(len(columns)) + varuint(rows)
    for name, kind, values in columns:
        block += text(name.encode()) + text(kind.encode()) + prefix(kind) + data(kind, values)
    return block
