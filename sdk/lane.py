"""What waits to be sent of one signal: records as the app made them, then requests, both within bounds."""

from __future__ import annotations

import contextlib
import itertools
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from sonde.sdk.sending import Outcome, Send, Signal, Verdict

log = logging.getLogger("sonde.sdk")

FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 1.0, 30.0
SAID_AGAIN_AFTER_SECONDS = 60.0
"""A receiver that refuses is spoken of at most so often."""

QUEUE_FULL, BUFFER_FULL = "queue full", "buffer full"
REFUSED, UNENCODABLE, UNSENT = "refused", "unencodable", "unsent at exit"


@dataclass(frozen=True)
class Bounds:
    """How much of a signal may wait, and how long."""

    records: int = 8192
    """Records that wait to be encoded; the oldest is dropped for one more."""
    batch: int = 512
    """Records of a request."""
    delay_seconds: float = 1.0
    """The longest that a record waits for a request to fill up."""
    bytes: int = 16 << 20
    """Encoded requests that wait for a receiver; the oldest is dropped for one more."""


@dataclass
class Counts:
    """What became of the records of a signal: `received` is the sum of all others."""

    received: int = 0
    waiting: int = 0
    sent: int = 0
    rejected: int = 0
    """Sent, but not taken: the receiver said so (partial success)."""
    dropped: dict[str, int] = field(default_factory=dict)
    """By reason."""
    requests: int = 0
    retries: int = 0
    bytes: int = 0
    """Encoded, before compression, of requests that were taken."""


class Request(NamedTuple):
    body: bytes
    records: int


class Lane:
    """One signal's way out. `add` and `add_encoded` may be called by any thread, the rest by the exporter's."""

    def __init__(
        self,
        signal: Signal,
        encode: Callable[[Sequence[Any]], bytes],
        make_send: Callable[[], Send],
        bounds: Bounds,
    ) -> None:
        self.signal = signal
        self.bounds = bounds
        self._encode = encode
        self._make_send = make_send
        self.begin()

    def begin(self) -> None:
        """Empty, with nothing counted, and with a connection of its own: at the start, and in a forked child."""
        self._send = self._make_send()
        self.records: deque[Any] = deque(maxlen=self.bounds.records)
        # Counting must cost nothing and lose nothing among threads: next() on a counter is one step of the interpreter.
        self._added = itertools.count()
        self._taken = 0
        self._handed_over: SimpleQueue[Request] = SimpleQueue()
        self._requests: deque[Request] = deque()
        self._bytes = 0
        self._counts = Counts()
        self._dropped: Counter[str] = Counter()
        self._failures = 0
        self._not_before = 0.0
        self._said = float("-inf")

    def add(self, record: Any) -> bool:
        """Keeps `record` for the next request; the oldest gives way where the queue is full. True where the exporter's thread
        has a reason to look: the first of a request, or the last."""
        next(self._added)
        records = self.records
        records.append(record)
        waiting = len(records)
        return waiting == 1 or waiting == self.bounds.batch

    def add_encoded(self, request: Request) -> None:
        """Keeps a request that its maker has encoded."""
        self._handed_over.put(request)

    def gather(self) -> None:
        """Turns all that waits into requests."""
        with contextlib.suppress(Empty):
            while True:
                request = self._handed_over.get_nowait()
                self._counts.received += request.records
                self._keep(request)
        while self.records:
            batch: list[Any] = []
            while self.records and len(batch) < self.bounds.batch:
                batch.append(self.records.popleft())
            self._taken += len(batch)
            for request in self._encoded(batch):
                self._keep(request)

    def _encoded(self, batch: Sequence[Any]) -> list[Request]:
        try:
            return [Request(self._encode(batch), len(batch))]
        except Exception:
            found = []
            for record in batch:
                try:
                    found.append(Request(self._encode([record]), 1))
                except Exception:
                    self._drop(UNENCODABLE, 1)
                    log.exception("one of the %s could not be encoded and is dropped", self.signal.value)
            return found

    def _keep(self, request: Request) -> None:
        self._requests.append(request)
        self._bytes += len(request.body)
        while self._bytes > self.bounds.bytes and len(self._requests) > 1:
            self._drop(BUFFER_FULL, self._next().records)

    def _next(self) -> Request:
        request = self._requests.popleft()
        self._bytes -= len(request.body)
        return request

    def _drop(self, reason: str, records: int) -> None:
        self._dropped[reason] += records

    @property
    def waits(self) -> bool:
        return bool(self._requests or self.records or not self._handed_over.empty())

    @property
    def full(self) -> bool:
        """Whether there is enough for a request."""
        return len(self.records) >= self.bounds.batch or not self._handed_over.empty()

    @property
    def due(self) -> float:
        """When there is something to do again, by time.monotonic(); for ever where nothing waits."""
        return self._not_before if self._requests else float("inf")

    def send_waiting(self, deadline: float = float("inf"), *, last: bool = False) -> bool:
        """Sends what waits until the receiver can't take more now; True where all is gone.

        With `last`, what the receiver does not take until `deadline` (of time.monotonic()) is dropped; one that can't be
        reached is not tried again.
        """
        while self._requests and (last or time.monotonic() >= self._not_before) and time.monotonic() < deadline:
            outcome = self._send(self._requests[0].body, deadline - time.monotonic())
            self._counts.requests += 1
            if outcome.verdict is not Verdict.LATER:
                self._settle(self._next(), outcome)
                continue
            self._later(outcome)
            wait = outcome.retry_after_seconds
            if not last or wait is None or time.monotonic() + wait >= deadline:
                break
            time.sleep(wait)
        gone = not self._requests
        while last and self._requests:
            self._drop(UNSENT, self._next().records)
        return gone

    def _later(self, outcome: Outcome) -> None:
        wait = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(self._failures, 10))
        wait *= random.uniform(0.5, 1.0)
        if outcome.retry_after_seconds is not None:
            wait = max(wait, min(outcome.retry_after_seconds, 600.0))
        if not self._failures:
            log.info("%s wait for their receiver: %s", self.signal.value, outcome.message)
        self._failures += 1
        self._counts.retries += 1
        self._not_before = time.monotonic() + wait

    def _settle(self, request: Request, outcome: Outcome) -> None:
        self._failures, self._not_before = 0, 0.0
        if outcome.verdict is Verdict.REFUSED:
            self._drop(REFUSED, request.records)
            self._say("%d of the %s were refused: %s", request.records, outcome.message)
            return
        rejected = min(outcome.rejected, request.records)
        self._counts.sent += request.records - rejected
        self._counts.rejected += rejected
        self._counts.bytes += len(request.body)
        if rejected:
            self._say("%d of the %s were not taken: %s", rejected, outcome.message)

    def _say(self, what: str, records: int, message: str) -> None:
        now = time.monotonic()
        if now - self._said >= SAID_AGAIN_AFTER_SECONDS:
            self._said = now
            log.warning(what, records, self.signal.value, message)

    def counts(self) -> Counts:
        """A copy. What the queue had to drop is what was added and is neither taken from it nor in it."""
        found = Counts(**vars(self._counts))
        taken, queued = self._taken, len(self.records)
        # A counter tells its number in no other way without counting on.
        added = int(repr(self._added).removeprefix("count(").removesuffix(")"))
        found.dropped = dict(self._dropped)
        if added > taken + queued:
            found.dropped[QUEUE_FULL] = added - taken - queued
        found.received += added
        found.waiting = queued + sum(request.records for request in list(self._requests))
        return found
