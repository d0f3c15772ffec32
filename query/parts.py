"""Parts of MergeTree tables: what tells that a table has changed since it was read.

A part never changes, and its name says its partition and the blocks of rows it holds: `20260131_5_8_1` has those that were inserted
fifth to eighth. Parts are merged into ones that hold the same rows.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sonde.storage.errors import StoreRefused

if TYPE_CHECKING:
    from sonde.query.reader import Reader
    from sonde.storage.store import Store

PART = re.compile(r"[^_]+_(\d+)_(\d+)_\d+(?:_(\d+))?")
"""The first and the last block of a part, and the last mutation that it has been through."""
LOOK_SECONDS = 5.0
"""How long retention may have dropped a part before it is missed: nothing else changes a store that only this process writes."""

Blocks = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Parts:
    """The active parts of those tables that are held in memory in part (`held.py`, `held_points.py`)."""

    asked: float
    """When, on a clock of this process's own."""
    names: Mapping[str, Mapping[str, frozenset[str]]]
    """By table and partition; the one partition of a table without any is called `all`."""

    def of(self, table: str, partition: str) -> frozenset[str]:
        return self.names.get(table, {}).get(partition, frozenset())


class PartsNow:
    """`parts_now`, asked again only where the store may have changed since. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: tuple[int, Parts] | None = None

    def of(self, reader: Reader) -> Parts:
        # Read before the parts are: an insert between makes them be looked at once more.
        changes, seen = self._store.changes, self._seen
        if seen and changes == seen[0] and time.monotonic() < seen[1].asked + LOOK_SECONDS:
            return seen[1]
        found = parts_now(reader)
        if changes is not None:
            self._seen = changes, found
        return found


def parts_now(reader: Reader) -> Parts:
    """What there is now; none where it can't be told: of tables on a cluster, and without leave to read `system.parts`."""
    asked = time.monotonic()
    sql = """
        SELECT table, name
        FROM system.parts
        WHERE database = currentDatabase()
          AND active
          AND (table IN ('series', 'metrics') OR startsWith(table, 'points_'))
    """
    found: dict[str, dict[str, set[str]]] = {}
    try:
        for block in reader.blocks(sql):
            for table, name in zip(block["table"].values, block["name"].values, strict=True):
                found.setdefault(table, {}).setdefault(name.partition("_")[0], set()).add(name)
    except StoreRefused:
        return Parts(asked, {})
    names = {table: {part: frozenset(names) for part, names in own.items()} for table, own in found.items()}
    return Parts(asked, names)


@dataclass(slots=True)
class Seen:
    """What was seen of a partition."""

    asked: float = 0.0
    parts: frozenset[str] = frozenset()
    blocks: list[Blocks] = field(default_factory=list)
    mutation: int = 0


class SeenParts:
    """The parts of one table that were seen when it was looked at last. Not thread-safe."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._seen: dict[str, Seen] = {}

    def change(self, partition: str, now: Parts) -> list[str] | None:
        """Which parts have rows that no part had which was seen before, in order; none where `now` is older than what was seen.

        None where rows may have gone or changed: then nothing that was read of the partition is to be relied on.
        """
        parts = now.of(self._table, partition)
        seen = self._seen.setdefault(partition, Seen())
        if parts == seen.parts or now.asked < seen.asked:
            return []
        told = {name: found for name in parts if (found := PART.fullmatch(name))}
        blocks = {name: (int(found[1]), int(found[2])) for name, found in told.items()}
        mutation = max((int(found[3] or 0) for found in told.values()), default=0)
        gone = [found for name in seen.parts - parts if (found := PART.fullmatch(name))]
        self._seen[partition] = Seen(now.asked, parts, joined(blocks.values()), mutation)
        there = self._seen[partition].blocks
        if len(told) < len(parts) or (seen.parts and mutation > seen.mutation):
            return None
        if not all(covered((int(found[1]), int(found[2])), there) for found in gone):
            return None
        return sorted(name for name in parts - seen.parts if not covered(blocks[name], seen.blocks))


def covered(blocks: Blocks, by: Iterable[Blocks]) -> bool:
    return any(first <= blocks[0] and blocks[1] <= last for first, last in by)


def joined(blocks: Iterable[Blocks]) -> list[Blocks]:
    """The same numbers in as few intervals as can be, in order."""
    found: list[Blocks] = []
    for first, last in sorted(blocks):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found
