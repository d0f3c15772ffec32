"""The way out of a process: one thread that encodes and sends what its app tells.

The app's threads append to a queue and go on. The exporter's thread encodes what has gathered, keeps it as bytes while the
receiver is away, and sends it. Whatever happens is counted; nothing of it is the app's concern.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple

from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import TraceFlags
from sonde.sdk.contexts import attach, current, suppressed
from sonde.sdk.lane import Bounds, Counts, Lane, Request
from sonde.sdk.lifecycle import EXPORTER_PRIORITY, on_end_of_child
from sonde.sdk.otlp.logs import encode_logs
from sonde.sdk.otlp.metrics import encode_metrics, points_in
from sonde.sdk.otlp.spans import encode_spans
from sonde.sdk.sending import Send, Signal

ENCODERS: dict[Signal, Callable[[Sequence[Any]], bytes]] = {
    Signal.TRACES: encode_spans,
    Signal.LOGS: encode_logs,
    Signal.METRICS: b"".join,
}
"""Metrics come encoded, a collection at a time."""

EXIT_SECONDS = 5.0
"""What a process that ends may take for sending what is left."""
FORK_SECONDS = 0.5
"""What a fork may take for it: a parent that daemonises leaves by os._exit, which runs nothing."""


class Ask(NamedTuple):
    """What another thread wants of the exporter's: all that waits sent by then, and an answer whether it was."""

    deadline: float
    last: bool
    answer: SimpleQueue[bool]


class Exporter:
    """All three signals of a process. Its thread starts with the first record, and again in a forked child.

    `make_send` makes what sends a signal, once a process: connections are not shared. A signal that has none is not exported,
    and its processor is not to be asked for.
    """

    def __init__(
        self, make_send: Mapping[Signal, Callable[[], Send]], bounds: Mapping[Signal, Bounds] | None = None
    ) -> None:
        wanted = bounds or {}
        self._lanes = {
            signal: Lane(signal, ENCODERS[signal], make, wanted.get(signal, Bounds()))
            for signal, make in make_send.items()
        }
        self._begin()
        atexit.register(self._at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._before_fork, after_in_child=self._after_fork)

    def _begin(self) -> None:
        # SimpleQueue may be put to from a signal handler, whatever the thread it interrupts was doing.
        self._wake: SimpleQueue[Ask | None] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._owner = os.getpid()

    # What the app's threads call.

    def span_processor(self) -> SpanProcessor:
        return _Spans(self, self._lanes[Signal.TRACES])

    def log_processor(self) -> LogRecordProcessor:
        return _LogRecords(self, self._lanes[Signal.LOGS])

    def metric_exporter(self, **preferences: Any) -> MetricExporter:
        """`preferences` are MetricExporter's: preferred_temporality and preferred_aggregation."""
        return _Metrics(self, self._lanes[Signal.METRICS], **preferences)

    def add(self, lane: Lane, record: Any) -> None:
        """Keeps a record for its next request; never waits."""
        if lane.add(record) or self._thread is None:
            self.wake_up()

    def wake_up(self) -> None:
        self._wake.put(None)
        if self._thread is None and not self._closed:
            with self._starting:
                if self._thread is None:
                    self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="sonde-exporter", daemon=True)
        # None can be started while the interpreter ends: shutdown then sends by itself.
        with contextlib.suppress(RuntimeError):
            self._thread.start()

    def flush(self, timeout_seconds: float) -> bool:
        """Sends all that was added before; False where that took longer, or the receiver is away."""
        if not any(lane.waits for lane in self._lanes.values()):
            return True
        return self._ask(timeout_seconds, last=False)

    def shutdown(self, timeout_seconds: float = EXIT_SECONDS) -> bool:
        """Sends what is left and ends the thread. What the receiver does not take until then is dropped, and counted."""
        if self._closed:
            return True
        self._closed = True
        return self._ask(timeout_seconds, last=True)

    def counts(self) -> dict[Signal, Counts]:
        return {signal: lane.counts() for signal, lane in self._lanes.items()}

    def _ask(self, timeout_seconds: float, *, last: bool) -> bool:
        deadline = time.monotonic() + timeout_seconds
        thread = self._thread
        if thread is None or not thread.is_alive():
            return self._send_all(deadline, last=last)
        ask = Ask(deadline, last, SimpleQueue())
        self._wake.put(ask)
        try:
            return ask.answer.get(timeout=timeout_seconds)
        except Empty:
            return False

    # What the exporter's thread does.

    def _run(self) -> None:
        # Whatever instruments HTTP clients is not to trace this one.
        attach(suppressed(current()))
        while True:
            ask = self._wait()
            if ask is not None:
                ask.answer.put(self._send_all(ask.deadline, last=ask.last))
                if ask.last:
                    return
                continue
            for lane in self._lanes.values():
                lane.gather()
                lane.send_waiting()

    def _wait(self) -> Ask | None:
        """Until something is asked, a request is full, or the time of what waits has come."""
        lanes = self._lanes.values()
        due = min(lane.due for lane in lanes)
        while not any(lane.full for lane in lanes):
            try:
                wait = due - time.monotonic()
                ask = self._wake.get(timeout=None if wait == math.inf else max(0.0, wait))
            except Empty:
                return None
            if ask is not None:
                return ask
            due = min(due, time.monotonic() + min(lane.bounds.delay_seconds for lane in lanes))
        return self._asked()

    def _asked(self) -> Ask | None:
        """What was asked, where there is such; reasons to begin are as good as one."""
        with contextlib.suppress(Empty):
            while True:
                ask = self._wake.get_nowait()
                if ask is not None:
                    return ask
        return None

    def _send_all(self, deadline: float, *, last: bool) -> bool:
        for lane in self._lanes.values():
            lane.gather()
        gone = [lane.send_waiting(deadline, last=last) for lane in self._lanes.values()]
        return all(gone)

    # How a process ends, and how it becomes two.

    def _at_exit(self) -> None:
        if os.getpid() == self._owner:
            self.shutdown(EXIT_SECONDS)

    def _before_fork(self) -> None:
        if self._thread is not None and threading.current_thread() is not self._thread:
            self.flush(FORK_SECONDS)

    def _after_fork(self) -> None:
        """The child begins empty: what waits, and the connections, are its parent's."""
        for lane in self._lanes.values():
            lane.begin()
        self._begin()
        on_end_of_child(self.shutdown, EXPORTER_PRIORITY)


FLAGS: Final = 3
"""Place in a SpanContext, which is a tuple."""
SAMPLED = TraceFlags.SAMPLED


class _Spans(SpanProcessor):
    def __init__(self, exporter: Exporter, lane: Lane) -> None:
        self._exporter, self._lane = exporter, lane

    def on_end(self, span: ReadableSpan) -> None:
        context = span._context
        # Exporter.add, without the call: this is done for every span, in the app's thread.
        if (
            context is not None
            and context[FLAGS] & SAMPLED
            and (self._lane.add(span) or self._exporter._thread is None)
        ):
            self._exporter.wake_up()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        self._exporter.flush(EXIT_SECONDS)


class _LogRecords(LogRecordProcessor):
    def __init__(self, exporter: Exporter, lane: Lane) -> None:
        self._exporter, self._lane = exporter, lane

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        record, scope = log_record.log_record, log_record.instrumentation_scope
        resource = log_record.resource or Resource.get_empty()
        self._exporter.add(self._lane, ReadableLogRecord(record, resource, scope, log_record.limits))

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        self._exporter.flush(EXIT_SECONDS)


class _Metrics(MetricExporter):
    """Encodes in the reader's thread, which has its own, and hands the request over."""

    def __init__(self, exporter: Exporter, lane: Lane, **preferences: Any) -> None:
        super().__init__(**preferences)
        self._exporter, self._lane = exporter, lane

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> MetricExportResult:
        points = points_in(metrics_data)
        if points:
            self._lane.add_encoded(Request(encode_metrics(metrics_data), points))
            self._exporter.wake_up()
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._exporter.flush(timeout_millis / 1000)

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        self._exporter.flush(min(EXIT_SECONDS, timeout_millis / 1000))
