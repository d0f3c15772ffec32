"""Rows in ClickHouse's RowBinary format, in plain Python: exact for every column type of the schema, and nothing to compile.

A row is a mapping from column name to value as `sonde.ingest.rows` has them: int (taken modulo the type's width), float, bytes for
text and fixed strings, None for NULL, a sequence for an Array, a sequence of (key, value) for a Map.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

from sonde.storage.native import Type, parse_type, varuint
from sonde.storage.schema import Table

Put: TypeAlias = Callable[[bytearray, Any], None]


def rows_of(table: Table, rows: Sequence[Mapping[str, Any]]) -> tuple[bytes, tuple[str, ...]]:
    """The body, and the names of its columns: those of the first row, in table order (all rows have the same)."""
    present = [column for column in table.columns if column.name in rows[0]]
    if unknown := rows[0].keys() - {column.name for column in present}:
        raise KeyError(f"table {table.name} has no columns {', '.join(sorted(unknown))}")
    puts = [(column.name, put_of(column.type)) for column in present]
    out = bytearray()
    for row in rows:
        for name, put in puts:
            put(out, row[name])
    return bytes(out), tuple(name for name, _ in puts)


@cache
def put_of(spelled: str) -> Put:
    return put_for(parse_type(spelled))


def put_for(kind: Type) -> Put:
    """What appends a value of the type `kind`."""
    match kind.kind:
        case "fixed":
            return put_float(kind) if kind.dtype.startswith("f") else put_int(kind.width)
        case "bytes":
            return put_bytes(kind.width)
        case "string" | "dictionary":
            return put_text
        case "nullable":
            return put_nullable(put_for(kind.parts[0]))
        case "array":
            return put_array(put_for(kind.parts[0]))
        case "map":
            return put_map(put_for(kind.parts[0]), put_for(kind.parts[1]))
    raise ValueError(f"RowBinary of {kind.kind} is not written here")


def put_int(width: int) -> Put:
    modulus = 1 << 8 * width

    def put(out: bytearray, value: Any) -> None:
        out += (int(value) % modulus).to_bytes(width, "little")

    return put


def put_float(kind: Type) -> Put:
    pack = struct.Struct({"f4": "<f", "f8": "<d"}[kind.dtype]).pack

    def put(out: bytearray, value: Any) -> None:
        out += pack(value)

    return put


def put_bytes(width: int) -> Put:
    def put(out: bytearray, value: Any) -> None:
        if len(value) != width:
            raise ValueError(f"{len(value)} bytes where there should be {width}")
        out += value

    return put


def put_text(out: bytearray, value: Any) -> None:
    out += varuint(len(value))
    out += value


def put_nullable(inner: Put) -> Put:
    def put(out: bytearray, value: Any) -> None:
        out.append(value is None)
        if value is not None:
            inner(out, value)

    return put


def put_array(inner: Put) -> Put:
    def put(out: bytearray, value: Any) -> None:
        out += varuint(len(value))
        for item in value:
            inner(out, item)

    return put


def put_map(key: Put, inner: Put) -> Put:
    def put(out: bytearray, value: Any) -> None:
        out += varuint(len(value))
        for name, item in value:
            key(out, name)
            inner(out, item)

    return put
