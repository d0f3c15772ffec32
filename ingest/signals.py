"""The three signals, and the names OTLP gives their parts."""

from __future__ import annotations

from enum import StrEnum


class Signal(StrEnum):
    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"

    @property
    def record(self) -> str:
        """What one record is called: the unit that partial success and the ledger count."""
        return {"traces": "span", "metrics": "data point", "logs": "log record"}[self.value]
