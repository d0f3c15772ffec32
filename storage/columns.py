"""Columns of a block, as numpy arrays: what the decode kernels produce and the Native encoder consumes.

A block is a `dict[str, Column]` keyed by the column names of a table in `schema.py`; every column has the same number
of rows. No value is ever a Python object. Text is never copied out of the request bytes: a `Strings` column points into
one shared buffer.

| ClickHouse type                       | column                                                              |
|---------------------------------------|---------------------------------------------------------------------|
| UInt*/Int*/Float*/Bool/DateTime64/... | 1-d ndarray of the matching dtype (Bool: uint8, DateTime64: int64)    |
| FixedString(N)                        | (rows, N) uint8 ndarray, C-contiguous                               |
| String, LowCardinality(String)        | `Strings`, or `Constant` where every row has the same text           |
| String                                | also `Packed`, as Native has it                                     |
| LowCardinality(String)                | also `Interned`, as numbers of texts                                |
| Nullable(T)                           | `Nullables`                                                         |
| Array(T), and each Nested sub-column  | `Lists`                                                             |
| Map(K, V)                             | `Maps`                                                              |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
U8: TypeAlias = npt.NDArray[np.uint8]
I64: TypeAlias = npt.NDArray[np.int64]
U64: TypeAlias = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Strings:
    """Byte strings as slices of one buffer.

    `buffer`: uint8[m]. `starts`, `lengths`: int64[rows], `0 <= start` and `start + length <= m`.
    Slices may overlap and come in any order; row i is `buffer[starts[i] : starts[i] + lengths[i]]`.
    """

    buffer: U8
    starts: I64
    lengths: I64

    def __len__(self) -> int:
        return len(self.starts)


@dataclass(frozen=True, slots=True)
class Packed:
    """Byte strings one behind the other, each a VarUInt of its length and its bytes. `data`: uint8[m]."""

    data: U8
    rows: int

    def __len__(self) -> int:
        return self.rows


@dataclass(frozen=True, slots=True)
class Interned:
    """Byte strings by their number among some texts. `ids`: int64[rows], 0 <= id < len(texts). A text may occur twice."""

    texts: Strings
    ids: I64

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Constant:
    """The same text in each of `rows` rows (tenant, for one)."""

    value: bytes
    rows: int

    def __len__(self) -> int:
        return self.rows


@dataclass(frozen=True, slots=True)
class Nullables:
    """`is_null`: uint8[rows], 1 where NULL. `values`: rows values; where NULL they are ignored and should be zero."""

    is_null: U8
    values: Column

    def __len__(self) -> int:
        return len(self.is_null)


@dataclass(frozen=True, slots=True)
class Lists:
    """`offsets`: uint64[rows], cumulative ends (ClickHouse's own convention). `values`: offsets[-1] items."""

    offsets: U64
    values: Column

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(frozen=True, slots=True)
class Maps:
    """`offsets` as in `Lists`; `keys` and `values` have offsets[-1] items each. A key may repeat within a row."""

    offsets: U64
    keys: Column
    values: Column

    def __len__(self) -> int:
        return len(self.offsets)


Column: TypeAlias = "Array | Strings | Packed | Interned | Constant | Nullables | Lists | Maps"
Block: TypeAlias = Mapping[str, Column]
