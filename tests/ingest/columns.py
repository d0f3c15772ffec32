"""Columns of a block as plain Python values, to compare what kernels and twins give."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from sonde.ingest.decoded import Decoded
from sonde.storage.columns import Block, Column, Constant, Interned, Lists, Maps, Nullables, Packed, Strings


def values_of(column: Column) -> list[Any]:
    """One Python value a row: int, bytes (text and ids), a list, a list of pairs; a double as its eight bytes."""
    match column:
        case Strings():
            data = column.buffer.tobytes()
            spans = zip(column.starts.tolist(), column.lengths.tolist(), strict=True)
            return [data[start : start + length] for start, length in spans]
        case Interned():
            texts = values_of(column.texts)
            return [texts[place] for place in column.ids.tolist()]
        case Packed():
            return unpacked(column.data.tobytes(), column.rows)
        case Constant():
            return [column.value] * column.rows
        case Nullables():
            values = values_of(column.values)
            return [None if null else value for null, value in zip(column.is_null.tolist(), values, strict=True)]
        case Lists():
            return split(column.offsets, values_of(column.values))
        case Maps():
            return split(column.offsets, list(zip(values_of(column.keys), values_of(column.values), strict=True)))
        case np.ndarray():
            if column.ndim == 2:
                return [row.tobytes() for row in column]
            if column.dtype == np.float64:
                return [struct.pack("<d", value) for value in column.tolist()]
            return column.tolist()
    raise TypeError(type(column))


def unpacked(data: bytes, rows: int) -> list[bytes]:
    """The texts, each behind its length in LEB128."""
    values, at = [], 0
    for _ in range(rows):
        length = shift = 0
        while True:
            byte = data[at]
            length |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                break
        values.append(data[at : at + length])
        at += length
    assert at == len(data)
    return values


def split(offsets: Any, items: list[Any]) -> list[list[Any]]:
    ends = offsets.tolist()
    assert len(items) == (ends[-1] if ends else 0)
    return [items[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def rows_of(block: Block) -> dict[str, list[Any]]:
    return {name: values_of(column) for name, column in sorted(block.items())}


def tables_of(decoded: Decoded) -> dict[str, dict[str, list[Any]]]:
    for block in decoded.blocks:
        for name, column in block.block.items():
            assert len(column) == block.rows, f"{block.table}.{name}"
    return {block.table: rows_of(block.block) for block in decoded.blocks}
