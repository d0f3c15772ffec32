"""Columns from plain Python rows: for what is rare (resources and scopes) and for the slow twins.

A row is a mapping from column name to value: int for the integers, Bool and DateTime64 (ns, taken mod 2^64), float,
`bytes` for text and fixed strings, None for NULL, a sequence for an Array, a sequence of (key, value) for a Map.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain
from typing import Any

import numpy as np
from sonde.storage.columns import U64, Array, Block, Column, Lists, Maps, Nullables, Strings
from sonde.storage.native import Type, parse_type
from sonde.storage.schema import Table


def block_of_rows(table: Table, rows: Sequence[Mapping[str, Any]]) -> Block:
    """The columns of `rows`, in table order; which columns, the first row says (all rows must have the same)."""
    present = set(rows[0]) if rows else set()
    if unknown := present - {column.name for column in table.columns}:
        raise KeyError(f"table {table.name} has no columns {', '.join(sorted(unknown))}")
    return {
        column.name: column_of_values(parse_type(column.type), [row[column.name] for row in rows])
        for column in table.columns
        if column.name in present
    }


def column_of_values(kind: Type, values: Sequence[Any]) -> Column:
    """The column of type `kind` that holds `values`."""
    if kind.kind == "nullable":
        is_null = np.fromiter((value is None for value in values), np.uint8, len(values))
        return Nullables(is_null, column_of_values(kind.parts[0], [0 if value is None else value for value in values]))
    if kind.kind == "array":
        return Lists(ends(values), column_of_values(kind.parts[0], list(chain.from_iterable(values))))
    if kind.kind == "map":
        pairs = list(chain.from_iterable(values))
        keys = column_of_values(kind.parts[0], [key for key, _ in pairs])
        return Maps(ends(values), keys, column_of_values(kind.parts[1], [value for _, value in pairs]))
    if kind.kind in ("string", "dictionary"):
        return strings_of(values)
    if kind.kind == "bytes":
        return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), kind.width)
    if kind.dtype.startswith("f"):
        return np.array(values, kind.dtype)
    return wrapped(values, kind)


def strings_of(values: Iterable[bytes]) -> Strings:
    """Each text once in the buffer, in the order of first appearance."""
    place: dict[bytes, int] = {}
    texts: list[bytes] = []
    end = 0
    starts: list[int] = []
    lengths: list[int] = []
    for value in values:
        start = place.get(value)
        if start is None:
            start = place[value] = end
            texts.append(value)
            end += len(value)
        starts.append(start)
        lengths.append(len(value))
    buffer = np.frombuffer(b"".join(texts), np.uint8)
    return Strings(buffer, np.array(starts, np.int64), np.array(lengths, np.int64))


def ends(values: Sequence[Sequence[Any]]) -> U64:
    return np.fromiter(accumulate(map(len, values)), np.uint64, len(values))


def wrapped(values: Sequence[int], kind: Type) -> Array:
    """Integers taken modulo the width of `kind`, as the wire's fixed-width fields are."""
    unsigned = np.array([int(value) % (1 << 8 * kind.width) for value in values], f"u{kind.width}")
    return unsigned.view(kind.dtype)
