"""From a chunk of requests to the blocks the store takes, each with the token that keeps it from being stored twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sonde.ingest.chunks import Chunk
from sonde.ingest.counts import total
from sonde.ingest.decoded import Decoded
from sonde.ingest.dimensions import Announcer, Told
from sonde.ingest.limits import Limits
from sonde.ingest.segment import Buffer, Contents
from sonde.ingest.signals import Signal
from sonde.storage.columns import I64, Block, Constant
from sonde.storage.native import encode_block
from sonde.storage.schema import table

NOT_RECORDS = frozenset({"exemplars"})
"""Row tables whose rows are parts of records that another table counts."""

_FAILURES_TOLD_APART = 64

Decode = Callable[[Signal, Sequence[Buffer], Sequence[int], Limits, I64 | None], Decoded]


class Mismatch(Exception):
    """The decoder kept other records than the door had accepted; the message says how many."""


@dataclass(frozen=True, slots=True)
class Insert:
    """One block for one table."""

    table: str
    block: memoryview | bytes
    columns: tuple[str, ...]
    rows: int
    token: str
    is_records: bool
    """Its rows are what the ledger counts."""


@dataclass(slots=True)
class Prepared:
    """A chunk ready for the store: dimensions first, so that no row is visible before what it refers to."""

    chunk: Chunk
    inserts: list[Insert] = field(default_factory=list)
    stored: Callable[[], None] = lambda: None
    """To be called when the store has all of it."""
    failure: Exception | None = None
    """Why it can't be stored; `inserts` is empty then."""


class Preparer:
    """Decodes and encodes. Threads may share it."""

    def __init__(self, decode: Decode, announcer: Announcer) -> None:
        self._decode = decode
        self._announcer = announcer
        self._announcing = threading.Lock()

    def prepare(self, segment: str, contents: Contents, chunk: Chunk) -> Prepared:
        """The blocks of `chunk`, or why there are none. Raises MemoryError alone: the chunk is not to blame for that."""
        try:
            return self._prepare(segment, contents, chunk)
        except MemoryError:
            raise
        except Exception as failure:
            return Prepared(chunk, failure=failure)

    def divide(self, segment: str, contents: Contents, chunk: Chunk) -> list[tuple[int, int]]:
        """Ranges that together are all of `chunk`, which can't be decoded as a whole: each can be, or is one request that can't.

        Where very many can't, the ranges of the rest are left as they are.
        """
        ranges: list[tuple[int, int]] = []
        failed = 0
        waiting = [(0, len(chunk.frames))]
        while waiting:
            first, end = waiting.pop()
            good = failed < _FAILURES_TOLD_APART and not self.prepare(segment, contents, chunk.part(first, end)).failure
            if good or end - first == 1 or failed >= _FAILURES_TOLD_APART:
                failed += not good
                ranges.append((first, end))
            else:
                middle = (first + end) // 2
                waiting += [(middle, end), (first, middle)]
        return ranges

    def _prepare(self, segment: str, contents: Contents, chunk: Chunk) -> Prepared:
        opened = contents.opened
        signal = Signal(opened.stream.signal)
        times = [frame.received_unix_nano for frame in chunk.frames]
        bodies = [contents.body(frame) for frame in chunk.frames]
        decoded = self._decode(signal, bodies, times, opened.limits, total(signal, chunk.frames))
        check_records(chunk, decoded)
        with self._announcing:
            announced = self._announcer.announce(opened.stream.tenant, decoded, times[0])
        prefix = f"{segment}/{chunk.label}"
        inserts = [
            as_insert(name, block, rows, opened.stream.tenant, f"{prefix}/{name}/{suffix}")
            for name, block, rows, suffix in announced
        ]
        for part in decoded.blocks:
            counts = part.table not in NOT_RECORDS
            inserts.append(
                as_insert(part.table, part.block, part.rows, opened.stream.tenant, f"{prefix}/{part.table}", counts)
            )

        told = Told.of(decoded)

        def stored() -> None:
            with self._announcing:
                self._announcer.mark(opened.stream.tenant, told, times[0])

        return Prepared(chunk, inserts, stored)


def check_records(chunk: Chunk, decoded: Decoded) -> None:
    """What was accepted at the door must be what comes out, record by record; raises Mismatch."""
    rows = sum(part.rows for part in decoded.blocks if part.table not in NOT_RECORDS)
    if not chunk.records == decoded.records == rows:
        raise Mismatch(
            f"the door accepted {chunk.records} records, the decoder kept {decoded.records} and made {rows} rows of them: "
            "scan and decode disagree, which is a defect of sonde's"
        )


def as_insert(name: str, block: Block, rows: int, tenant: str, token: str, is_records: bool = False) -> Insert:
    """The block with its tenant column, encoded."""
    whole = {"tenant": Constant(tenant.encode(), rows), **block}
    ordered = {column.name: whole[column.name] for column in table(name).columns if column.name in whole}
    return Insert(name, encode_block(table(name), ordered, rows), tuple(ordered), rows, token, is_records)
