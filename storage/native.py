"""ClickHouse's Native format, written from columns: the fastest way into the engine.

A block is: VarUInt columns, VarUInt rows, then for each column its name, its type, and its data. The data of a column is
the state prefixes of its LowCardinality parts, outermost first, then the streams (`SerializationArray`,
`SerializationMap`, `SerializationLowCardinality`, ... in ClickHouse's sources). Nothing is sent of an Array's or Map's
items where there are none.

| type                    | prefix                   | data                                                       |
|-------------------------|--------------------------|------------------------------------------------------------|
| fixed width             |                          | little-endian values                                       |
| String                  |                          | VarUInt length and bytes, each                             |
| LowCardinality(String)  | UInt64 1                 | flags, keys (count, Strings), indexes (count, UInt8/16/32) |
| Nullable(T)             | T's                      | one byte a row, 1 for NULL; then T's, defaults where NULL  |
| Array(T)                | T's                      | UInt64 cumulative ends; then T's items                     |
| Map(K, V)               | K's, V's                 | UInt64 cumulative ends; then K's items, V's items          |
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from sonde.storage import native_kernels as kernels
from sonde.storage.columns import U8, Array, Block, Column, Constant, Interned, Lists, Maps, Nullables, Packed, Strings
from sonde.storage.reuse import Reused
from sonde.storage.schema import Table

if sys.byteorder != "little":  # pragma: no cover
    raise ImportError("sonde's Native encoder is written for little-endian machines.")

LOW_CARDINALITY_PREFIX = (1).to_bytes(8, "little")
"""KeysSerializationVersion::SharedDictionariesWithAdditionalKeys."""

FIXED = {
    "Bool": "u1",
    "UInt8": "u1",
    "UInt16": "u2",
    "UInt32": "u4",
    "UInt64": "u8",
    "Int8": "i1",
    "Int16": "i2",
    "Int32": "i4",
    "Int64": "i8",
    "Float32": "f4",
    "Float64": "f8",
    "Date": "u2",
    "DateTime": "u4",
    "DateTime64": "i8",
}
"""numpy dtype of every type whose values have one width (FixedString apart)."""


@dataclass(frozen=True, slots=True)
class Type:
    """A parsed ClickHouse type. `kind`: fixed, bytes (FixedString), string, dictionary (LowCardinality), nullable, array, map."""

    kind: str
    dtype: str = ""
    width: int = 0
    parts: tuple[Type, ...] = ()


@cache
def parse_type(text: str) -> Type:
    """The type spelled `text`; ValueError for one that the encoder does not write."""
    head, _, rest = text.partition("(")
    inside = rest.removesuffix(")")
    if head in FIXED:
        return Type("fixed", FIXED[head], np.dtype(FIXED[head]).itemsize)
    if head == "FixedString":
        return Type("bytes", "u1", int(inside))
    if head == "String":
        return Type("string")
    if text == "LowCardinality(String)":
        return Type("dictionary")
    if head == "SimpleAggregateFunction":
        return parse_type(split_arguments(inside)[1])
    if head in ("Nullable", "Array"):
        return Type(head.lower(), parts=(parse_type(inside),))
    if head == "Map":
        key, value = split_arguments(inside)
        return Type("map", parts=(parse_type(key), parse_type(value)))
    raise ValueError(f"the Native encoder does not write type {text}")


def split_arguments(text: str) -> list[str]:
    """`K, Map(A, B)` -> [`K`, `Map(A, B)`]."""
    arguments, depth, begin = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            arguments.append(text[begin:place].strip())
            begin = place + 1
    return [*arguments, text[begin:].strip()]


def encode_block(table: Table, block: Block, rows: int) -> memoryview:
    """One Native block of `rows` rows. Thread-safe; the block returned stays as it is while it is referred to.

    `block` may hold a subset of the table's columns (the engine fills in defaults), in the table's order. A `Constant`
    may stand for any column: its text in a string, its little-endian bytes in a fixed-width one; an empty one is the
    type's default. ValueError says which column does not fit its type or its number of rows.
    """
    columns = [(table.column(name), values) for name, values in block.items()]
    plan = [(column.name, column.type, parse_type(column.type), values) for column, values in columns]
    room = sum(len(name) + len(spelled) + 20 for name, spelled, _, _ in plan) + 20
    for name, _, kind, values in plan:
        if len(values) != rows:
            raise ValueError(f"{table.name}.{name} has {len(values)} rows, the block {rows}")
        try:
            room += room_for(kind, values)
        except ValueError as error:
            raise ValueError(f"{table.name}.{name} ({kind.kind}): {error}") from None
    out = OUTPUT.take(room + kernels.SLACK)
    at = put_raw(out, 0, varuint(len(plan)) + varuint(rows))
    for name, spelled, kind, values in plan:
        at = put_raw(out, at, header(name, spelled))
        try:
            at = put_column(out, at, kind, values)
        except ValueError as error:
            raise ValueError(f"{table.name}.{name} ({spelled}): {error}") from None
    return out.data[:at]


OUTPUT = Reused(np.uint8, keep=3, largest_bytes=128 << 20)
"""Of each thread that encodes: while one block is inserted and another waits, the next is written."""


def varuint(value: int) -> bytes:
    """LEB128."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


@cache
def header(name: str, spelled: str) -> bytes:
    """A column's name and type, and the state prefixes of its parts."""
    prefixes = b"".join(LOW_CARDINALITY_PREFIX for _ in dictionaries(parse_type(spelled)))
    return b"".join(varuint(len(text)) + text for text in (name.encode(), spelled.encode())) + prefixes


def dictionaries(kind: Type) -> Iterator[Type]:
    """Every LowCardinality part of a type, in the order of their state prefixes."""
    if kind.kind == "dictionary":
        yield kind
    for part in kind.parts:
        yield from dictionaries(part)


def room_for(kind: Type, values: Column) -> int:
    """An upper bound of the bytes `put_column` writes. Pages never written cost nothing."""
    rows = len(values)
    match values:
        case Constant():
            return rows * (len(values.value) + 8 + kind.width) + len(values.value) + 64
        case Strings():
            # The kernels write as they prove, so a length below zero must not make room scarce for those before it.
            if len(values.starts) != len(values.lengths) or (rows and values.lengths.min() < 0):
                raise ValueError("a slice has no length, or one below zero")
            return int(values.lengths.sum()) + 16 * rows + 64
        case Packed():
            return len(values.data)
        case Interned():
            return room_for(kind, values.texts) + 4 * rows
        case Nullables():
            return rows + room_for(kind.parts[0], values.values)
        case Lists():
            return 8 * rows + room_for(kind.parts[0], values.values)
        case Maps():
            return 8 * rows + room_for(kind.parts[0], values.keys) + room_for(kind.parts[1], values.values)
    return int(values.nbytes)


def put_raw(out: U8, at: int, data: bytes | U8) -> int:
    piece = np.frombuffer(data, np.uint8)
    out[at : at + len(piece)] = piece
    return at + len(piece)


def put_column(out: U8, at: int, kind: Type, values: Column) -> int:
    """Write the data of one column at `at`; returns where it ends. ValueError where it does not fit its type."""
    match kind.kind, values:
        case _, Constant():
            return put_constant(out, at, kind, values.value, values.rows)
        case "fixed" | "bytes", np.ndarray():
            return put_fixed(out, at, kind, values)
        case "string", Strings():
            return proved(kernels.put_strings(out, at, values.buffer, values.starts, values.lengths))
        case "dictionary", Strings():
            end = kernels.put_low_cardinality(out, at, values.buffer, values.starts, values.lengths, kernels.SEED)
            return proved(end)
        case "string", Packed():
            return put_raw(out, at, values.data)
        case "dictionary", Interned():
            texts = values.texts
            return proved(kernels.put_interned(out, at, texts.buffer, texts.starts, texts.lengths, values.ids))
        case "nullable", Nullables():
            at = put_raw(out, at, np.ascontiguousarray(values.is_null, np.uint8))
            return put_column(out, at, kind.parts[0], same_length(values.values, len(values)))
        case "array", Lists():
            items = len(values.values)
            at = proved(kernels.put_offsets(out, at, values.offsets, items))
            return put_column(out, at, kind.parts[0], values.values) if items else at
        case "map", Maps():
            items = len(values.keys)
            at = proved(kernels.put_offsets(out, at, values.offsets, items))
            if not items:
                return at
            at = put_column(out, at, kind.parts[0], values.keys)
            return put_column(out, at, kind.parts[1], same_length(values.values, items))
    raise ValueError(f"a column of this type can't be given as {type(values).__name__}")


def put_fixed(out: U8, at: int, kind: Type, values: Array) -> int:
    """Fixed-width values, copied as they lie in memory."""
    wanted = (len(values), kind.width) if kind.kind == "bytes" else (len(values),)
    if values.dtype.newbyteorder("=") != np.dtype(kind.dtype) or values.shape != wanted:
        raise ValueError(f"wants {kind.dtype}{list(wanted)}, has {values.dtype.str[1:]}{list(values.shape)}")
    return put_raw(out, at, np.ascontiguousarray(values).reshape(-1).view(np.uint8))


def put_constant(out: U8, at: int, kind: Type, value: bytes, rows: int) -> int:
    """`rows` times the same value; an empty one is the type's default."""
    if kind.kind == "nullable" and not value:
        out[at : at + rows] = 1
        return put_constant(out, at + rows, kind.parts[0], b"", rows)
    if kind.kind == "dictionary":
        head = (0x600, 1) if rows else ()
        at = put_raw(out, at, np.array(head, np.uint64).view(np.uint8))
        if not rows:
            return at
        at = put_raw(out, at, varuint(len(value)) + value + rows.to_bytes(8, "little"))
        width = 1
    elif kind.kind == "string":
        return put_raw(out, at, (varuint(len(value)) + value) * rows)
    elif not value:
        width = 8 if kind.kind in ("array", "map") else kind.width
    elif len(value) == kind.width:
        return put_raw(out, at, value * rows)
    else:
        raise ValueError(f"a constant of {len(value)} bytes does not fit")
    out[at : at + width * rows] = 0
    return at + width * rows


def same_length(values: Column, rows: int) -> Column:
    if len(values) != rows:
        raise ValueError(f"{len(values)} values where there should be {rows}")
    return values


def proved(end: int) -> int:
    """`end` as a kernel returned it, or its refusal as a ValueError."""
    if end == kernels.BAD_SLICE:
        raise ValueError("a slice does not lie within its buffer")
    if end == kernels.BAD_OFFSETS:
        raise ValueError("offsets fall, or do not end at the number of items")
    return end
