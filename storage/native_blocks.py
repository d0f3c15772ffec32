"""ClickHouse's Native format, read into arrays without an object a value: what large answers come as.

The format is the one `native.py` writes. An answer is a stream of blocks, cut into chunks anywhere.

| type                            | column                                                          |
|---------------------------------|-----------------------------------------------------------------|
| fixed width                     | ndarray of that dtype (DateTime64: int64 ticks; Bool: uint8)      |
| LowCardinality(String)          | `Dictionary`                                                    |
| String                          | `Dictionary`, each value on its own: for small answers          |
| Nullable(fixed width)           | masked array                                                    |
| Array(T)                        | `ListColumn`                                                    |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from sonde.storage.columns import I64, Array
from sonde.storage.errors import StoreUnavailable
from sonde.storage.native import Type, parse_type


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Texts, each of them held once: row i is `values[codes[i]]`. Bytes that are not UTF-8 read as U+FFFD."""

    codes: Array
    values: list[str]

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True, slots=True)
class ListColumn:
    """Lists: row i is `items[ends[i - 1] : ends[i]]`, from 0 for the first."""

    ends: I64
    items: Any
    """A column."""

    def __len__(self) -> int:
        return len(self.ends)


NativeColumn: TypeAlias = Array | Dictionary | ListColumn
NativeBlock: TypeAlias = dict[str, Any]
"""By name in the order of the SELECT, each a `NativeColumn`; all have the same number of rows."""

INDEX_TYPES = ("u1", "u2", "u4", "u8")
HAS_ADDITIONAL_KEYS = 0x200
EXCEPTION = b"Code: "


class Chunks:
    """Bytes by count from chunks that end anywhere."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._now = memoryview(b"")

    def ended(self) -> bool:
        """Whether nothing is left."""
        while not self._now:
            found = next(self._chunks, None)
            if found is None:
                return True
            self._now = memoryview(found)
        return False

    def take(self, count: int) -> memoryview:
        """The next `count` bytes. StoreUnavailable where the answer ends before."""
        while len(self._now) < count:
            found = next(self._chunks, None)
            if found is None:
                raise StoreUnavailable("the store's answer ended in the middle of a block.")
            self._now = memoryview(found) if not self._now else memoryview(bytes(self._now) + found)
        taken, self._now = self._now[:count], self._now[count:]
        return taken

    def array(self, count: int, dtype: str) -> Array:
        """(count,) read-only."""
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize), dtype)

    def varuint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def text(self) -> str:
        return str(self.take(self.varuint()), "utf-8", "replace")


def read_blocks(chunks: Iterable[bytes]) -> Iterator[NativeBlock]:
    """The blocks of a Native answer, as they come; those without rows are left out."""
    source = Chunks(chunks)
    while not source.ended():
        columns, rows = source.varuint(), source.varuint()
        block = {}
        for _ in range(columns):
            name, kind = source.text(), parse_type(source.text())
            if rows:
                read_prefix(source, kind)
                block[name] = read_column(source, kind, rows)
        if rows:
            yield block


def read_prefix(source: Chunks, kind: Type) -> None:
    """The state in front of a column's data: a version, for each of its dictionaries."""
    if kind.kind == "dictionary":
        source.take(8)
    for part in kind.parts:
        read_prefix(source, part)


def read_column(source: Chunks, kind: Type, rows: int) -> NativeColumn:
    match kind.kind:
        case "fixed":
            return source.array(rows, kind.dtype)
        case "dictionary":
            return read_dictionary(source, rows)
        case "string":
            return Dictionary(np.arange(rows), [source.text() for _ in range(rows)])
        case "bytes":
            return source.array(rows * kind.width, "u1").reshape(rows, kind.width)
        case "nullable":
            missing = source.array(rows, "u1").astype(bool)
            return np.ma.MaskedArray(read_column(source, kind.parts[0], rows), missing)
        case "array":
            ends = source.array(rows, "i8")
            return ListColumn(ends, read_column(source, kind.parts[0], int(ends[-1])))
    raise ValueError(f"the Native decoder does not read a {kind.kind}: select its parts")


def read_dictionary(source: Chunks, rows: int) -> Dictionary:
    if not rows:
        return Dictionary(np.empty(0, np.uint8), [])
    flags = int(source.array(1, "u8")[0])
    if not flags & HAS_ADDITIONAL_KEYS or flags & 0xFF >= len(INDEX_TYPES):
        raise ValueError(f"a LowCardinality column with flags {flags:#x}, which the Native decoder does not read")
    values = [source.text() for _ in range(int(source.array(1, "u8")[0]))]
    return Dictionary(source.array(int(source.array(1, "u8")[0]), INDEX_TYPES[flags & 0xFF]), values)


def joined(parts: list[Any]) -> Any:
    """One column of those of several blocks; dictionaries become one."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, ListColumn):
        starts = np.cumsum([0, *(part.ends[-1] for part in parts[:-1])])
        ends = np.concatenate([part.ends + start for part, start in zip(parts, starts, strict=True)])
        return ListColumn(ends, joined([part.items for part in parts if len(part.items)] or [first.items]))
    if isinstance(first, Dictionary):
        known: dict[str, int] = {}
        codes = []
        for part in parts:
            code = np.fromiter((known.setdefault(value, len(known)) for value in part.values), np.int64)
            codes.append(code[part.codes])
        return Dictionary(np.concatenate(codes), list(known))
    if isinstance(first, np.ma.MaskedArray):
        data = np.concatenate([part.data for part in parts])
        return np.ma.MaskedArray(data, np.concatenate([np.ma.getmaskarray(part) for part in parts]))
    return np.concatenate(parts)


def whole(blocks: Iterable[NativeBlock]) -> NativeBlock | None:
    """All blocks as one; None where there are no rows."""
    found = list(blocks)
    return {name: joined([block[name] for block in found]) for name in found[0]} if found else None
