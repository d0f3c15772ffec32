"""Parts of MergeTree tables: what tells that a table has changed since it was read.

A part never changes, and its name says its partition and the blocks of rows it holds: `20260131_5_8_1` has those that were inserted
fifth to eighth. Parts are merged into ones that hold the same rows.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from sonde.storage.errors import StoreRefused

if TYPE_CHECKING:
    from sonde.query.reader import Reader
    from sonde.storage.store import Store

PART = re.compile(r"[^_]+_(\d+)_(\d+)_\d+")
"""The first and the last block of a part that no mutation has rewritten."""

Parts = Mapping[str, frozenset[str]]
"""Names by partition. The one partition of a table without any is called `all`."""
Blocks = tuple[int, int]


LOOK_SECONDS = 5.0
"""How long retention may have dropped a part before it is missed: nothing else changes a store that only this process writes."""


class PartsNow:
    """`parts_now`, asked again only where the store may have changed since. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: tuple[int, float, dict[str, Parts]] | None = None

    def of(self, reader: Reader) -> dict[str, Parts]:
        # Read before the parts are: an insert between makes them be looked at once more.
        changes, seen = self._store.changes, self._seen
        if seen and changes == seen[0] and time.monotonic() < seen[1]:
            return seen[2]
        found = parts_now(reader)
        if changes is not None:
            self._seen = changes, time.monotonic() + LOOK_SECONDS, found
        return found


def parts_now(reader: Reader) -> dict[str, Parts]:
    """The active parts of those tables that are held in memory in part (`held.py`, `held_points.py`).

    None where they can't be told: of tables on a cluster, and without leave to read `system.parts`.
    """
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
        return {}
    return {table: {partition: frozenset(names) for partition, names in own.items()} for table, own in found.items()}


class SeenParts:
    """The parts of one table that were seen when it was looked at last. Not thread-safe."""

    def __init__(self) -> None:
        self._parts: dict[str, frozenset[str]] = {}
        self._blocks: dict[str, list[Blocks]] = {}

    def change(self, partition: str, now: frozenset[str]) -> list[str] | None:
        """Which parts have rows that no part had which was seen before, in order.

        None where rows may have gone or changed: then nothing that was read of the partition is to be relied on.
        """
        before = self._parts.get(partition, frozenset())
        if now == before:
            return []
        known = self._blocks.get(partition, [])
        blocks = {name: blocks_of(name) for name in now}
        gone = [blocks_of(name) for name in before - now]
        self._parts[partition] = now
        self._blocks[partition] = joined([each for each in blocks.values() if each])
        if None in blocks.values() or not all(each and covered(each, self._blocks[partition]) for each in gone):
            return None
        return sorted(name for name in now - before if not covered(blocks[name] or (0, 0), known))


def blocks_of(part: str) -> Blocks | None:
    """None for one that a mutation has rewritten."""
    found = PART.fullmatch(part)
    return (int(found[1]), int(found[2])) if found else None


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
