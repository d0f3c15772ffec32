"""Labels of many series, column by column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LabelColumn:
    """One label of n series, each value kept once."""

    codes: NDArray[np.int32]
    """(n,) index into `values`; 0 where a series has not the label."""
    values: NDArray[Any]
    """dtype object, str; `values[0]` is always "", and no value stands twice."""


@dataclass(frozen=True, slots=True)
class LabelTable:
    """The labels of `size` series. Grouping and joining work on codes; texts are looked at only where they are needed."""

    size: int
    columns: Mapping[str, LabelColumn]
    """By label name, `__name__` among them. A name whose column is all 0 may be there or not."""

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, str]]) -> LabelTable:
        """A table from one dict a series; empty values are the same as absent ones."""
        dicts = list(rows)
        names = sorted({name for row in dicts for name, value in row.items() if value})
        return cls(len(dicts), {name: column_of([row.get(name, "") for row in dicts]) for name in names})

    def row(self, index: int) -> dict[str, str]:
        """The labels of one series, by name in order; absent ones left out."""
        found = {name: column.values[column.codes[index]] for name, column in sorted(self.columns.items())}
        return {name: value for name, value in found.items() if value}

    def rows(self) -> list[dict[str, str]]:
        return [self.row(index) for index in range(self.size)]


def column_of(texts: Iterable[str]) -> LabelColumn:
    """The column of these values, one a series."""
    known = {"": 0}
    codes = np.fromiter((known.setdefault(text, len(known)) for text in texts), np.int32)
    values = np.empty(len(known), object)
    values[:] = list(known)
    return LabelColumn(codes, values)
