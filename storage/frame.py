"""What a query answers: columns, with numpy arrays where the type has a numpy dtype."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sonde.storage.native import FIXED

ARRAY_TYPES = {name: kind for name, kind in FIXED.items() if not name.startswith("Date")}


@dataclass(frozen=True, slots=True)
class Frame:
    """The answer to a select.

    | ClickHouse type                  | column                                                                        |
    |----------------------------------|-------------------------------------------------------------------------------|
    | UInt*, Int*, Float*              | ndarray of that dtype (up to 64 bits; not Nullable)                            |
    | Bool                             | bool ndarray                                                                   |
    | DateTime64                       | int64 ndarray of its ticks: Unix nanoseconds for DateTime64(9)                 |
    | DateTime                         | int64 ndarray of Unix seconds                                                  |
    | String, LowCardinality(String)   | list of str; bytes that are not UTF-8 as hexadecimal digits                    |
    | FixedString                      | list of bytes                                                                  |
    | Nullable(T)                      | list with None                                                                 |
    | Array(T)                         | list of lists                                                                  |
    | Map(K, V)                        | list of dicts: select mapKeys(m), mapValues(m) where a key may repeat          |
    """

    names: tuple[str, ...]
    columns: tuple[Any, ...]
    types: tuple[str, ...]

    def __getitem__(self, name: str) -> Any:
        return self.columns[self.names.index(name)]

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def rows(self) -> Iterator[dict[str, Any]]:
        """Plain Python values, row by row."""
        plain = [column.tolist() if isinstance(column, np.ndarray) else column for column in self.columns]
        for values in zip(*plain, strict=True):
            yield dict(zip(self.names, values, strict=True))


def as_frame(names: Sequence[str], types: Sequence[str], columns: Sequence[Sequence[Any]]) -> Frame:
    """The frame of columns as the client reads them (DateTime and DateTime64 as integers)."""
    arrays = tuple(as_array(kind, column) for kind, column in zip(types, columns, strict=True))
    return Frame(tuple(names), arrays, tuple(types))


def as_array(kind: str, column: Sequence[Any]) -> Any:
    head = kind.partition("(")[0]
    if head in ("DateTime64", "DateTime"):
        return np.array(column, np.int64)
    if head == "Bool":
        return np.array(column, np.bool_)
    return np.array(column, ARRAY_TYPES[head]) if head in ARRAY_TYPES else list(column)
