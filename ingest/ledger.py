"""The ledger: what became of every request, in accounts whose sums close.

    received = rejected + stored + deduplicated + quarantined + pending        in requests, and in records

for each tenant and signal, at any moment, across crashes. The doors count what they receive and reject, in the segments
themselves; the writer counts what it stored from the rows the engine took, and settles a segment's accounts in one SQLite
transaction. What no settlement covers yet is pending, and is counted from the segments that are there.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sonde.ingest.accounts import Count, Stream, Tally, total
from sonde.ingest.live_segments import LiveSegments
from sonde.ingest.spool_folder import SpoolFolder


@dataclass(slots=True)
class StreamAccounts:
    """Of one stream. `stored_rows` divides the stored records by table."""

    received: Count = field(default_factory=Count)
    rejected: dict[str, Count] = field(default_factory=dict)
    stored: Count = field(default_factory=Count)
    deduplicated: Count = field(default_factory=Count)
    quarantined: Count = field(default_factory=Count)
    pending: Count = field(default_factory=Count)
    stored_rows: dict[str, int] = field(default_factory=dict)

    @property
    def difference(self) -> Count:
        """What was received and can't be accounted for; nothing, or there is a defect."""
        parts = [*self.rejected.values(), self.stored, self.deduplicated, self.quarantined, self.pending]
        return self.received - total(parts)

    @property
    def balanced(self) -> bool:
        return not self.difference and self.stored.records == sum(self.stored_rows.values())

    def add(self, other: StreamAccounts) -> None:
        """Add `other` to this."""
        for name in ("received", "stored", "deduplicated", "quarantined", "pending"):
            count: Count = getattr(other, name)
            getattr(self, name).add(count.requests, count.records)
        for reason, count in other.rejected.items():
            self.rejected.setdefault(reason, Count()).add(count.requests, count.records)
        for table, rows in other.stored_rows.items():
            self.stored_rows[table] = self.stored_rows.get(table, 0) + rows

    def add_pending(self, tally: Tally) -> None:
        """Count a segment that is not settled: what its door accepted is pending."""
        self.add(StreamAccounts(received=tally.received, rejected=tally.rejected, pending=tally.accepted))

    def as_dict(self) -> dict[str, Any]:
        return {
            "balanced": self.balanced,
            "received": self.received.as_dict(),
            "rejected": {reason: count.as_dict() for reason, count in sorted(self.rejected.items())},
            "stored": self.stored.as_dict(),
            "deduplicated": self.deduplicated.as_dict(),
            "quarantined": self.quarantined.as_dict(),
            "pending": self.pending.as_dict(),
            "stored_rows": dict(sorted(self.stored_rows.items())),
        }


@dataclass(frozen=True, slots=True)
class Ledger:
    """The accounts at one moment."""

    streams: Mapping[Stream, StreamAccounts]
    live_segments: int
    """Segments not settled yet, open or sealed."""
    live_bytes: int
    quarantined_segments: int

    @property
    def balanced(self) -> bool:
        return all(accounts.balanced for accounts in self.streams.values())

    @property
    def total(self) -> StreamAccounts:
        result = StreamAccounts()
        for accounts in self.streams.values():
            result.add(accounts)
        return result

    def as_dict(self) -> dict[str, Any]:
        """For JSON. A tenant or signal of `_` was not known yet when the request was refused."""
        return {
            "balanced": self.balanced,
            "total": self.total.as_dict(),
            "streams": [
                {"tenant": stream.tenant, "signal": stream.signal, **accounts.as_dict()}
                for stream, accounts in sorted(self.streams.items())
            ],
            "live_segments": self.live_segments,
            "live_bytes": self.live_bytes,
            "quarantined_segments": self.quarantined_segments,
        }


class LedgerReader:
    """Reads the ledger of a spool folder, from any process, as often as one likes: segments are read once."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._folder = SpoolFolder(path)
        self._live = LiveSegments(self._folder)

    def read(self) -> Ledger:
        """The accounts now.

        The segments are looked at first and the settled accounts after: a segment that is settled in between is then in
        the accounts, which name it, and is left out here; one that appears in between is in neither. Either way each
        request is counted once.
        """
        live = self._live.look()
        with _reading(self._folder.ledger) as database:
            streams = _settled_accounts(database)
            settled = _settled_segments(database, live)
            quarantined = _number_quarantined(database)
        waiting = {segment: found for segment, found in live.items() if segment not in settled}
        for found in waiting.values():
            streams.setdefault(found.file.stream, StreamAccounts()).add_pending(found.tally)
        return Ledger(streams, len(waiting), sum(found.size for found in waiting.values()), quarantined)


def read_ledger(path: str | os.PathLike[str]) -> Ledger:
    """The accounts of the spool folder `path` at this moment. Reads only; works beside a running writer."""
    return LedgerReader(path).read()


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """One consistent view of the database; None where there is none yet."""
    if not path.exists():
        yield None
        return
    database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, timeout=30.0)
    try:
        database.execute("BEGIN")
        known = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'counts'").fetchone()
        yield database if known else None
    finally:
        database.close()


def _settled_accounts(database: sqlite3.Connection | None) -> dict[Stream, StreamAccounts]:
    streams: dict[Stream, StreamAccounts] = {}
    if database is None:
        return streams
    rows = database.execute("SELECT tenant, signal, account, detail, requests, records FROM counts")
    for tenant, signal, account, detail, requests, records in rows:
        accounts = streams.setdefault(Stream(tenant, signal), StreamAccounts())
        if account == "rejected":
            accounts.rejected[detail] = Count(requests, records)
        elif account == "stored_rows":
            accounts.stored_rows[detail] = records
        else:
            setattr(accounts, account, Count(requests, records))
    return streams


def _settled_segments(database: sqlite3.Connection | None, segments: Iterable[str]) -> set[str]:
    """Those of `segments` that the accounts cover, whether or not their files are gone."""
    if database is None:
        return set()
    sql = "SELECT 1 FROM segments WHERE segment = ? AND state <> 'claimed'"
    return {segment for segment in segments if database.execute(sql, (segment,)).fetchone()}


def _number_quarantined(database: sqlite3.Connection | None) -> int:
    if database is None:
        return 0
    (number,) = database.execute("SELECT count(*) FROM segments WHERE state IN ('quarantined', 'replaying')").fetchone()
    return int(number)
