"""The ledger's writing side: claims before a segment is stored, settlements after. Only the writer process has one.

A claim fixes, durably and before the first insert, everything about a segment's storing that depends on more than its own
bytes: which of its requests repeat an earlier one. So whatever happens between, a second try builds the very same blocks under
the very same tokens, and the engine keeps each once.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from sonde.ingest.accounts import Count, Stream, Tally
from sonde.ingest.deduplication import SEEN, Requests
from sonde.ingest.ledger import StreamAccounts

_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS counts (
    tenant TEXT NOT NULL,
    signal TEXT NOT NULL,
    account TEXT NOT NULL,          -- received, rejected, stored, deduplicated, quarantined; stored_rows: records alone
    detail TEXT NOT NULL,           -- the reason of rejected, the table of stored_rows
    requests INTEGER NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (tenant, signal, account, detail)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segments (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    segment TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('claimed', 'settled', 'quarantined', 'replaying')),
    duplicates TEXT NOT NULL,       -- JSON: positions of the requests that repeat an earlier one
    divided TEXT NOT NULL,          -- JSON: {chunk: [[first, end], ...]}, see Claim
    settlement TEXT NOT NULL        -- JSON of the Settlement where quarantined, else empty
);
CREATE INDEX IF NOT EXISTS unsettled ON segments (state) WHERE state <> 'settled';
CREATE TABLE IF NOT EXISTS identities (
    segment TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    signal TEXT NOT NULL,
    newest_unix_nano INTEGER NOT NULL,
    requests BLOB NOT NULL          -- deduplication.SEEN of each request
);
CREATE INDEX IF NOT EXISTS identities_by_age ON identities (tenant, signal, newest_unix_nano);
COMMIT;
"""
_CLAIM = "segment, duplicates, divided, settlement"
_KEEP_SETTLED = 1_000
"""So many settled segments are remembered though their files are gone: a reader may have listed them just before."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right, and the duty, to store one segment."""

    segment: str
    duplicates: frozenset[int]
    """Positions among the segment's requests of those that came before; they are not stored again."""
    divided: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)
    """Of chunks that the decoder refused as a whole: the ranges of requests that are stored apart, each under its own token."""
    before: Settlement | None = None
    """Of a segment that comes back from quarantine: what its accounts say so far."""


@dataclass(slots=True)
class Settlement:
    """What became of a segment."""

    tally: Tally = field(default_factory=Tally)
    """What its door counted: received = accepted + rejected."""
    stored: Count = field(default_factory=Count)
    deduplicated: Count = field(default_factory=Count)
    quarantined: Count = field(default_factory=Count)
    stored_rows: dict[str, int] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    """Of the blocks that the store took of a segment that is quarantined all the same; a replay leaves them out."""

    def accounts(self) -> StreamAccounts:
        return StreamAccounts(
            received=self.tally.received,
            rejected=self.tally.rejected,
            stored=self.stored,
            deduplicated=self.deduplicated,
            quarantined=self.quarantined,
            stored_rows=self.stored_rows,
        )

    def as_dict(self) -> dict[str, Any]:
        counts = {name: [count.requests, count.records] for name, count in self._counts().items()}
        return {"tally": self.tally.as_dict(), **counts, "stored_rows": self.stored_rows, "tokens": self.tokens}

    def _counts(self) -> dict[str, Count]:
        return {"stored": self.stored, "deduplicated": self.deduplicated, "quarantined": self.quarantined}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settlement:
        counts = {name: Count(*values[name]) for name in ("stored", "deduplicated", "quarantined")}
        return cls(
            Tally.from_dict(values["tally"]), **counts, stored_rows=values["stored_rows"], tokens=values["tokens"]
        )


class LedgerWriter:
    """Thread-safe. Every method that changes something has synced it to disk on return."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30.0)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def state(self, segment: str) -> str | None:
        """claimed, settled, quarantined, replaying, or None for a segment that was never claimed."""
        with self._lock:
            row = self._database.execute("SELECT state FROM segments WHERE segment = ?", (segment,)).fetchone()
        return None if row is None else str(row[0])

    def claims(self) -> list[Claim]:
        """Segments that were claimed and are not settled, in the order of their claims: to be done first, and again."""
        with self._lock:
            rows = self._database.execute(
                f"SELECT {_CLAIM} FROM segments WHERE state IN ('claimed', 'replaying') ORDER BY number"
            ).fetchall()
        return [_claim(*row) for row in rows]

    def claim_of(self, segment: str) -> Claim:
        """The claim on a segment that was claimed before; KeyError where it was not."""
        with self._lock:
            row = self._database.execute(f"SELECT {_CLAIM} FROM segments WHERE segment = ?", (segment,)).fetchone()
        if row is None:
            raise KeyError(segment)
        return _claim(*row)

    def remembered(self) -> list[tuple[Stream, Requests]]:
        """The requests of segments claimed lately, oldest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT tenant, signal, requests FROM identities ORDER BY newest_unix_nano"
            ).fetchall()
        return [(Stream(tenant, signal), np.frombuffer(requests, SEEN)) for tenant, signal, requests in rows]

    def claim(
        self, segment: str, stream: Stream, duplicates: Sequence[int], requests: Requests, horizon_unix_nano: int
    ) -> Claim:
        """Claim a segment for the first time. `requests` are remembered; those before the horizon are forgotten."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO segments (segment, state, duplicates, divided, settlement)"
                " VALUES (?, 'claimed', ?, '{}', '')",
                (segment, json.dumps(list(duplicates))),
            )
            if len(requests):
                newest = int(requests["received_unix_nano"].max())
                database.execute(
                    "INSERT OR REPLACE INTO identities VALUES (?, ?, ?, ?, ?)",
                    (segment, stream.tenant, stream.signal, newest, requests.tobytes()),
                )
            database.execute(
                "DELETE FROM identities WHERE tenant = ? AND signal = ? AND newest_unix_nano < ?",
                (stream.tenant, stream.signal, horizon_unix_nano),
            )
        return Claim(segment, frozenset(duplicates))

    def claim_again(self, segment: str) -> Claim:
        """Claim a segment that is back from quarantine: with the duplicates it was claimed with at first."""
        with self._transaction() as database:
            database.execute("UPDATE segments SET state = 'replaying' WHERE segment = ?", (segment,))
        return self.claim_of(segment)

    def divide(self, claim: Claim, chunk: str, ranges: Sequence[Sequence[int]]) -> Claim:
        """Fix how a chunk is divided, before anything of it is stored; the claim that says so."""
        divided = {**claim.divided, chunk: [list(each) for each in ranges]}
        with self._transaction() as database:
            database.execute("UPDATE segments SET divided = ? WHERE segment = ?", (json.dumps(divided), claim.segment))
        return replace(claim, divided=divided)

    def settle(self, claim: Claim, stream: Stream, settlement: Settlement, *, quarantined: bool) -> None:
        """Put what became of a claimed segment into the accounts, in the place of what they said of it before."""
        state, text = ("quarantined", json.dumps(settlement.as_dict())) if quarantined else ("settled", "")
        with self._transaction() as database:
            database.execute(
                "UPDATE segments SET state = ?, settlement = ? WHERE segment = ?", (state, text, claim.segment)
            )
            if claim.before is not None:
                _count(database, stream, claim.before.accounts(), -1)
            _count(database, stream, settlement.accounts(), 1)

    def forget(self, gone: Sequence[str]) -> None:
        """Forget settled segments whose removal is synced, but for the latest."""
        with self._transaction() as database:
            (newest,) = database.execute("SELECT coalesce(max(number), 0) FROM segments").fetchone()
            database.executemany(
                "DELETE FROM segments WHERE segment = ? AND state = 'settled' AND number <= ?",
                [(segment, newest - _KEEP_SETTLED) for segment in gone],
            )

    def settled(self) -> list[str]:
        """Segments that are stored; their files are gone, or should be."""
        with self._lock:
            rows = self._database.execute("SELECT segment FROM segments WHERE state = 'settled' ORDER BY number")
            return [segment for (segment,) in rows]

    def _transaction(self) -> _Transaction:
        return _Transaction(self._database, self._lock)


class _Transaction:
    """All or nothing, and synced."""

    def __init__(self, database: sqlite3.Connection, lock: threading.Lock) -> None:
        self._database = database
        self._lock = lock

    def __enter__(self) -> sqlite3.Connection:
        self._lock.acquire()
        try:
            self._database.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._lock.release()
            raise
        return self._database

    def __exit__(self, kind: object, *details: object) -> None:
        try:
            if kind is None:
                self._database.execute("COMMIT")
        finally:
            try:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
            finally:
                self._lock.release()


def _claim(segment: str, duplicates: str, divided: str, settlement: str) -> Claim:
    before = Settlement.from_dict(json.loads(settlement)) if settlement else None
    return Claim(segment, frozenset(json.loads(duplicates)), json.loads(divided), before)


def _count(database: sqlite3.Connection, stream: Stream, accounts: StreamAccounts, sign: int) -> None:
    """Add `accounts` to the sums, or take them out (`sign` -1)."""
    rows = [
        ("received", "", accounts.received),
        ("stored", "", accounts.stored),
        ("deduplicated", "", accounts.deduplicated),
        ("quarantined", "", accounts.quarantined),
        *(("rejected", reason, count) for reason, count in accounts.rejected.items()),
        *(("stored_rows", table, Count(0, rows)) for table, rows in accounts.stored_rows.items()),
    ]
    database.executemany(
        "INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET requests = requests + excluded.requests, records = records + excluded.records",
        [(*stream, account, detail, sign * count.requests, sign * count.records) for account, detail, count in rows],
    )
