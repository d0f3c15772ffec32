"""What belongs to one test: its slice of the telemetry, kept as OTLP messages.

Spans and records of this process come as the SDK's objects, at once when they end, and are encoded when somebody asks. What others
send comes as OTLP already. Either way one list of messages is what all questions are asked of, the store's tables included.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sonde.testing.records import Log, Point, Span, logs_of, points_of, spans_of

TRACES, LOGS, METRICS = "traces", "logs", "metrics"


@dataclass(frozen=True, slots=True)
class Batch:
    """One request to export a signal."""

    signal: str
    message: Any
    """An Export*ServiceRequest."""
    received_unix_nano: int


class Slice:
    """Thread-safe: spans end, and requests come, on any thread.

    `tenant`: whose rows they are in the store. `collect` gives what was measured of the app's metrics up to now, as messages.
    """

    def __init__(self, tenant: str, collect: Callable[[Slice], Iterable[Any]]) -> None:
        self.tenant = tenant
        self.started_unix_nano = time.time_ns()
        self.batches: list[Batch] = []
        self.open_spans: dict[int, str] = {}
        """Names of the spans that have begun and not ended, by span id."""
        self.refused: list[str] = []
        """Why records are not in the store's tables, a word each; known once somebody has asked those."""
        self.over = False
        self._collect = collect
        self._ended: list[Any] = []
        self._emitted: list[Any] = []
        self._spans: list[Span] = []
        self._logs: list[Log] = []
        self._points: list[Point] = []
        self._read = 0
        self._cleared = False
        self.changed = threading.Condition(threading.RLock())
        """Told whenever something has come."""

    def clear(self) -> None:
        """Let go of everything, now and later: traces that began in it may remember it for long."""
        with self.changed:
            self.over = self._cleared = True
            for kept in (
                self.batches,
                self.open_spans,
                self._ended,
                self._emitted,
                self._spans,
                self._logs,
                self._points,
            ):
                kept.clear()
            self._read = 0

    # ---- what comes in ----

    def began(self, span_id: int, name: str) -> None:
        with self.changed:
            if not self._cleared:
                self.open_spans[span_id] = name

    def ended(self, span_id: int, span: Any) -> None:
        """A ReadableSpan of the SDK."""
        with self.changed:
            self.open_spans.pop(span_id, None)
            if not self._cleared:
                self._ended.append(span)
            self.changed.notify_all()

    def emitted(self, record: Any) -> None:
        """A ReadableLogRecord of the SDK."""
        with self.changed:
            if not self._cleared:
                self._emitted.append(record)
            self.changed.notify_all()

    def received(self, signal: str, message: Any) -> None:
        """A request from outside."""
        with self.changed:
            if not self._cleared:
                self.batches.append(Batch(signal, message, time.time_ns()))
            self.changed.notify_all()

    # ---- what is asked ----

    def spans(self) -> list[Span]:
        """By start."""
        with self.changed:
            self._read_on()
            return sorted(self._spans, key=lambda span: span.start_time_unix_nano)

    def logs(self) -> list[Log]:
        """By time."""
        with self.changed:
            self._read_on()
            return sorted(self._logs, key=lambda log: log.time_unix_nano)

    def points(self, *, collect: bool = True) -> list[Point]:
        """All that was collected up to now, in order; the metrics of this process are collected once more before."""
        if collect:
            self.collect()
        with self.changed:
            self._read_on()
            return list(self._points)

    def collect(self) -> None:
        """Ask the app's instruments of this process. After the slice is over that gives nothing more."""
        if self.over:
            return
        for message in self._collect(self):
            self.received(METRICS, message)

    def flush(self) -> None:
        """Encode what the SDK has given since the last time."""
        with self.changed:
            ended, self._ended = self._ended, []
            emitted, self._emitted = self._emitted, []
            if ended:
                from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

                self.received(TRACES, encode_spans(ended))
            if emitted:
                from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs

                self.received(LOGS, encode_logs(emitted))

    def _read_on(self) -> None:
        self.flush()
        for batch in self.batches[self._read :]:
            if batch.signal == TRACES:
                self._spans += spans_of(batch.message)
            elif batch.signal == LOGS:
                self._logs += logs_of(batch.message)
            else:
                self._points += points_of(batch.message)
        self._read = len(self.batches)
