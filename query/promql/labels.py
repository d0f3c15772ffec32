"""Labels of many series, column by column."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sonde.query.promql.quoting import quote

NAME = "__name__"
METADATA = (NAME, "__type__", "__unit__")
"""What says which metric a series is of; lost together where a function makes something else of its samples."""


@dataclass(frozen=True, slots=True)
class LabelColumn:
    """One label of n series, each value kept once."""

    codes: NDArray[np.int32]
    """(n,) index into `values`; 0 where a series has not the label."""
    values: NDArray[Any]
    """dtype object, str; `values[0]` is always "", and no value stands twice."""

    def texts(self) -> NDArray[Any]:
        """(n,) the value of every series."""
        return self.values[self.codes]


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

    @classmethod
    def empty(cls, size: int) -> LabelTable:
        """Series without labels."""
        return cls(size, {})

    def row(self, index: int) -> dict[str, str]:
        """The labels of one series, by name in order; absent ones left out."""
        found = {name: column.values[column.codes[index]] for name, column in sorted(self.columns.items())}
        return {name: value for name, value in found.items() if value}

    def rows(self) -> list[dict[str, str]]:
        return [self.row(index) for index in range(self.size)]

    def column(self, name: str) -> LabelColumn:
        """The column of a label, also of one that no series has."""
        found = self.columns.get(name)
        return found if found is not None else constant_column("", self.size)

    def text(self, name: str, index: int) -> str:
        """The value of one label of one series; "" where it has not the label."""
        column = self.columns.get(name)
        return "" if column is None else str(column.values[column.codes[index]])

    def take(self, rows: NDArray[Any]) -> LabelTable:
        """These series, by index or mask, in this order."""
        columns = {name: LabelColumn(column.codes[rows], column.values) for name, column in self.columns.items()}
        size = int(np.count_nonzero(rows)) if rows.dtype == bool else len(rows)
        return LabelTable(size, columns)

    def keep(self, names: Collection[str]) -> LabelTable:
        """The same series with only these labels."""
        return LabelTable(self.size, {name: column for name, column in self.columns.items() if name in names})

    def without(self, names: Collection[str]) -> LabelTable:
        """The same series without these labels."""
        return LabelTable(self.size, {name: column for name, column in self.columns.items() if name not in names})

    def with_column(self, name: str, column: LabelColumn) -> LabelTable:
        """The same series with this label as given."""
        return LabelTable(self.size, {**self.columns, name: column})

    def without_where(self, names: Collection[str], rows: NDArray[np.bool_]) -> LabelTable:
        """The same series, `rows` of them without these labels."""
        if rows.all():
            return self.without(names)
        cleared = {
            name: LabelColumn(np.where(rows, np.int32(0), self.columns[name].codes), self.columns[name].values)
            for name in names
            if name in self.columns
        }
        return LabelTable(self.size, {**self.columns, **cleared})


def column_of(texts: Iterable[str]) -> LabelColumn:
    """The column of these values, one a series."""
    known = {"": 0}
    codes = np.fromiter((known.setdefault(text, len(known)) for text in texts), np.int32)
    return LabelColumn(codes, values_of(known))


def constant_column(text: str, size: int) -> LabelColumn:
    """The column of a label that all series share."""
    return LabelColumn(np.full(size, 1 if text else 0, np.int32), values_of(["", text] if text else [""]))


def mapped_column(column: LabelColumn, texts: Sequence[str]) -> LabelColumn:
    """A column with `texts[code]` where `column` has the code; texts may stand more than once."""
    new = column_of(texts)
    return LabelColumn(new.codes[column.codes], new.values)


def values_of(texts: Collection[str]) -> NDArray[Any]:
    values = np.empty(len(texts), object)
    values[:] = list(texts)
    return values


def concatenated(tables: Sequence[LabelTable]) -> LabelTable:
    """The series of one table after another."""
    if len(tables) == 1:
        return tables[0]
    names = sorted({name for table in tables for name in table.columns})
    columns = {name: _joined([table.column(name) for table in tables]) for name in names}
    return LabelTable(sum(table.size for table in tables), columns)


def _joined(columns: Sequence[LabelColumn]) -> LabelColumn:
    if all(column.values is columns[0].values for column in columns):
        return LabelColumn(np.concatenate([column.codes for column in columns]), columns[0].values)
    known: dict[str, int] = {}
    codes = []
    for column in columns:
        new_code = np.fromiter((known.setdefault(text, len(known)) for text in column.values), np.int32)
        codes.append(new_code[column.codes])
    return LabelColumn(np.concatenate(codes), values_of(known))


def labels_text(labels: Mapping[str, str]) -> str:
    """`{a="1", b="2"}`, as Prometheus prints labels in messages."""
    return "{" + ", ".join(f"{name}={quote(value)}" for name, value in sorted(labels.items())) + "}"
