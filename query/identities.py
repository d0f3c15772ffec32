"""What rows refer to by fingerprint: resources, scopes and series, joined back a batch at a time.

Each is asked for once and kept while it is in use; the cache forgets its older half when it is full, so that an export
of any length runs in bounded memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from sonde.query.errors import QueryError
from sonde.query.reader import Reader, Row, select_list
from sonde.storage.schema import RESOURCES, SCOPES, SERIES, Table

T = TypeVar("T")
CACHE_SIZE = 20_000
CHUNK = 1_000
"""Ids in one question: a parameter holds about 20 bytes an id, and a server bounds the size of a request's form field."""


class Identities(Generic[T]):
    """The rows of one of the three tables by id, each turned into a `T` once."""

    def __init__(self, reader: Reader, table: Table, build: Callable[[Row], T], *, size: int = CACHE_SIZE) -> None:
        self._reader = reader
        self._table = table
        self._id = table.order_by[-1]
        self._build = build
        self._size = size
        self._known: dict[int, T] = {}

    def load(self, ids: Iterable[int]) -> dict[int, T]:
        """All of `ids`. QueryError where the store has rows that refer to an id it does not know."""
        wanted = sorted(set(ids))
        missing = [id for id in wanted if id not in self._known]
        if len(self._known) + len(missing) > self._size:
            self._forget(keep=set(wanted))
        for start in range(0, len(missing), CHUNK):
            self._fetch(missing[start : start + CHUNK])
        if unknown := [id for id in wanted if id not in self._known]:
            raise QueryError(
                f"{len(unknown)} ids are in the data but not in the table {self._table.name} ({unknown[0]:016x} is one).",
                hint="The store is damaged or was restored in part.",
            )
        return {id: self._known[id] for id in wanted}

    def _fetch(self, ids: list[int]) -> None:
        sql = f"""
            SELECT
              {select_list(self._table)}
            FROM {self._table.name}
            WHERE tenant = {{tenant:String}} AND {self._id} IN {{ids:Array(UInt64)}}
            LIMIT 1 BY {self._id}
        """
        for row in self._reader.rows(sql, {"ids": ids}):
            self._known[row[self._id]] = self._build(row)

    def _forget(self, keep: set[int]) -> None:
        half = list(self._known)[: len(self._known) // 2]
        for id in half:
            if id not in keep:
                del self._known[id]


def resources(reader: Reader, build: Callable[[Row], T]) -> Identities[T]:
    return Identities(reader, RESOURCES, build)


def scopes(reader: Reader, build: Callable[[Row], T]) -> Identities[T]:
    return Identities(reader, SCOPES, build)


def series(reader: Reader, build: Callable[[Row], T]) -> Identities[T]:
    return Identities(reader, SERIES, build)
