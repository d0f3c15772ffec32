"""OTLP messages as rows of the store: what the gateway stores of them, column by column.

By the plain twins of the decoder, which need no compiled kernels: those take seconds to be ready, and a test has few rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sonde.ingest.decoded import Decoded
from sonde.ingest.dimensions import resource_row, scope_row
from sonde.ingest.limits import Limits, Reason
from sonde.ingest.signals import Signal
from sonde.ingest.twin import records_slowly
from sonde.ingest.twin_metrics import points_slowly
from sonde.testing.slices import METRICS, TRACES, Batch

Rows: TypeAlias = list[dict[str, Any]]

LIMITS = Limits(max_future_seconds=0)
"""The gateway's, but for the time: a test may hold the clock where it likes."""


@dataclass
class SliceRows:
    """The rows of one tenant, told batch by batch; resources, scopes and series once."""

    tenant: str
    refused: list[str] = field(default_factory=list)
    """Why records were refused, one word each."""
    _told: dict[str, set[int]] = field(default_factory=lambda: {"resources": set(), "scopes": set(), "series": set()})

    def of(self, batch: Batch) -> list[tuple[str, Rows]]:
        """Rows by table, what others refer to first."""
        body, received = batch.message.SerializeToString(), batch.received_unix_nano
        if batch.signal == METRICS:
            slow = points_slowly([body], [received], LIMITS)
            self._note(slow.verdicts)
            dimensions = self._dimensions(slow.resources, slow.scopes, slow.series, received)
            return [*dimensions, *((name, self._owned(rows)) for name, rows in slow.rows.items())]
        signal, table = (Signal.TRACES, "spans") if batch.signal == TRACES else (Signal.LOGS, "logs")
        decoded = Decoded(0)
        judged = list(records_slowly(signal, body, received, LIMITS, decoded))
        self._note([reason for _, reason in judged])
        rows = [row for row, reason in judged if reason is None]
        dimensions = self._dimensions(decoded.resources, decoded.scopes, {}, received)
        return [*dimensions, *([(table, self._owned(rows))] if rows else [])]

    def _note(self, verdicts: list[Reason | None]) -> None:
        self.refused += [reason.label for reason in verdicts if reason is not None]

    def _dimensions(
        self,
        resources: Mapping[int, tuple[bytes, bytes]],
        scopes: Mapping[int, tuple[bytes, bytes]],
        series: Mapping[int, dict[str, Any]],
        received: int,
    ) -> Iterator[tuple[str, Rows]]:
        seen = {"first_seen": received, "last_seen": received}
        for table, rows in (
            ("resources", {each: resource_row(each, *resources[each]) for each in self._fresh("resources", resources)}),
            ("scopes", {each: scope_row(each, *scopes[each]) for each in self._fresh("scopes", scopes)}),
            ("series", {each: series[each] for each in self._fresh("series", series)}),
        ):
            if rows:
                yield table, self._owned([{**row, **seen} for row in rows.values()])

    def _fresh(self, table: str, known: Iterable[int]) -> list[int]:
        """Those that the table was not told of."""
        fresh = [each for each in known if each not in self._told[table]]
        self._told[table].update(fresh)
        return fresh

    def _owned(self, rows: Rows) -> Rows:
        return [{"tenant": self.tenant.encode(), **row} for row in rows]
