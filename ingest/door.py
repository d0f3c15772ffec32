"""The one way in, for both protocols: authenticate, decompress, JSON to protobuf, scan, spool, and only then answer.
Where series are bounded, points of those too many are cut out between scan and spool.

Each request is a `Visit`. Whatever refuses it raises one of `errors.py`; the visit notes that in the ledger, and the
receiver that opened the visit turns it into an answer by `status.py`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from sonde.ingest.auth import Authenticator
from sonde.ingest.compression import decompress
from sonde.ingest.errors import Overloaded, RequestRefused, TooLarge
from sonde.ingest.json_otlp import transcode
from sonde.ingest.limits import Limits
from sonde.ingest.scan import Body, Scan, explain, scan
from sonde.ingest.series_limits import SeriesLimits
from sonde.ingest.signals import Signal
from sonde.ingest.spool import SpoolWriter

INLINE_BYTES = 4 << 20
"""Protobuf up to this size is scanned on the event loop (0.6 ms); handing it to a thread costs about 0.1 ms of its own."""
INLINE_COMPRESSED_BYTES = 8 << 10
"""Compressed bodies inflate up to a thousandfold, so even 8 KiB may cost 10 ms."""
INLINE_JSON_BYTES = 16 << 10
WORKERS = 4
RETRY_AFTER_SECONDS = 1.0
T = TypeVar("T")
STOPPING = "sonde is stopping: send again in a moment"


def warm_scan() -> None:
    """Load the scan kernels, or compile them where this machine never did (tens of seconds), before anybody waits."""
    for signal in Signal:
        scan(signal, b"", Limits(), time.time_ns())


@dataclass(frozen=True, slots=True)
class Accepted:
    """The request is on disk. `rejected` records of it were refused, for the reasons in `message`."""

    rejected: int = 0
    message: str = ""


class Door:
    """Takes requests in, within bounds on how many and how large at once. Used from one event loop."""

    def __init__(
        self,
        spool: SpoolWriter,
        authenticator: Authenticator,
        limits: Mapping[Signal, Limits],
        series_limits: SeriesLimits | None = None,
        *,
        max_request_bytes: int,
        max_in_flight_bytes: int,
        max_in_flight_requests: int,
    ) -> None:
        self.spool = spool
        self.authenticator = authenticator
        self.limits = limits
        self.series_limits = series_limits
        self.max_request_bytes = max_request_bytes
        self.max_in_flight_bytes = max_in_flight_bytes
        self.max_in_flight_requests = max_in_flight_requests
        self.in_flight_bytes = 0
        self.in_flight_requests = 0
        self._closed = False
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="ingest-door")
        self._one_large_json = threading.Lock()

    def visit(self, signal: Signal) -> Visit:
        return Visit(self, signal)

    def shut(self) -> None:
        """Refuse new requests, with a word to come again; those that are in go on."""
        self._closed = True

    def close(self) -> None:
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def empty(self) -> None:
        """Returns once no request is in flight."""
        while self.in_flight_requests:
            await asyncio.sleep(0.005)

    def admit(self) -> None:
        if self._closed:
            raise Overloaded(STOPPING, RETRY_AFTER_SECONDS)
        if self.in_flight_requests >= self.max_in_flight_requests:
            raise Overloaded(
                f"{self.in_flight_requests} requests are being received already (setting max_in_flight_requests): send again",
                RETRY_AFTER_SECONDS,
            )

    def prepare(
        self, tenant: str, signal: Signal, body: bytes | memoryview, encoding: str, json: bool
    ) -> tuple[Body, Scan, int]:
        """(protobuf, what a scan of it found, Unix nanoseconds of receipt). Runs on any thread."""
        plain = decompress(encoding, body, self.max_request_bytes)
        limits = self.limits[signal]
        if json:
            # Parsed JSON takes ten times its text in memory: of the large ones, one at a time.
            with self._one_large_json if len(plain) > INLINE_JSON_BYTES else nullcontext():
                plain = transcode(signal, plain, limits.max_depth)
        received = time.time_ns()
        found = scan(signal, plain, limits, received)
        if self.series_limits is None or signal is not Signal.METRICS:
            return plain, found, received
        kept = self.series_limits.apply(tenant, plain, found, limits, received)
        return kept.body, kept.found, received

    async def prepare_where_it_pays(
        self, tenant: str, signal: Signal, body: bytes | memoryview, encoding: str, json: bool
    ) -> tuple[Body, Scan, int]:
        bound = INLINE_COMPRESSED_BYTES if encoding else INLINE_JSON_BYTES if json else INLINE_BYTES
        if len(body) <= bound:
            return self.prepare(tenant, signal, body, encoding, json)
        return await self.on_worker(self.prepare, tenant, signal, body, encoding, json)

    async def on_worker(self, work: Callable[..., T], *arguments: Any) -> T:
        """What `work` returns, from a thread beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, work, *arguments)


class Visit:
    """One request on its way in: `with door.visit(signal) as visit`. Gives its memory back and notes its refusal at the end."""

    __slots__ = ("_bytes", "_door", "_inside", "_signal", "tenant")

    def __init__(self, door: Door, signal: Signal) -> None:
        self.tenant: str | None = None
        self._door = door
        self._signal = signal
        self._bytes = 0
        self._inside = False

    def __enter__(self) -> Visit:
        return self

    def enter(self, authorization: str, tenant_header: str) -> None:
        """Authenticate by these two headers ("" where absent), then take a place among the requests in flight."""
        self.tenant = self._door.authenticator.tenant(authorization, tenant_header)
        self._door.admit()
        self._door.in_flight_requests += 1
        self._inside = True

    def hold(self, size: int) -> None:
        """Count `size` more bytes that this request holds in memory. TooLarge, or Overloaded where memory is short."""
        door = self._door
        self._bytes += size
        door.in_flight_bytes += size
        if self._bytes > door.max_request_bytes:
            raise TooLarge(
                f"the request is larger than {door.max_request_bytes} bytes (setting max_request_bytes): send smaller batches"
            )
        if door.in_flight_bytes > door.max_in_flight_bytes:
            raise Overloaded(
                f"{door.in_flight_bytes} bytes of requests are being received (setting max_in_flight_bytes): send again",
                RETRY_AFTER_SECONDS,
            )

    async def accept(self, body: bytes | memoryview, *, encoding: str = "", json: bool = False) -> Accepted:
        """Scan `body` (which `hold` has counted) and have it on disk. Returns when it is synced."""
        assert self.tenant is not None
        plain, found, received = await self._door.prepare_where_it_pays(self.tenant, self._signal, body, encoding, json)
        if plain is not body:
            self.hold_instead(len(plain))
        await self.keep(plain, found, received)
        if not found.rejected_total:
            return Accepted()
        return Accepted(found.rejected_total, explain(found, self._signal))

    def hold_instead(self, size: int) -> None:
        """Hold `size` bytes in place of all that was held so far."""
        self._release()
        self.hold(size)

    async def keep(self, plain: Body, found: Scan, received_unix_nano: int) -> None:
        """Have on disk what a scan found in `plain`. Returns when it is synced."""
        assert self.tenant is not None
        await self._door.spool.append_async(
            self.tenant,
            self._signal,
            plain,
            received_unix_nano=received_unix_nano,
            records=found.accepted,
            rejected=found.rejected,
            counts=found.counts,
            room=found.room,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave(error)

    def leave(self, error: BaseException | None = None) -> None:
        """What `__exit__` does, for a request whose way in is not one block of code. To be called once."""
        self._release()
        if self._inside:
            self._door.in_flight_requests -= 1
        if isinstance(error, RequestRefused):
            self._door.spool.note_refused(self.tenant, self._signal, error.reason)
        elif isinstance(error, Exception):
            self._door.spool.note_refused(self.tenant, self._signal, "fault")

    def _release(self) -> None:
        self._door.in_flight_bytes -= self._bytes
        self._bytes = 0
