"""Prometheus remote write over HTTP: POST /prometheus/api/v1/write, 1.0 and 2.0, on the port of OTLP/HTTP.

https://prometheus.io/docs/specs/prw/remote_write_spec/ and .../remote_write_spec_2_0/. Answers are text; a 2.0 request's say in
headers how much was written. What is refused for now is 503, not 429: Prometheus throws away what is answered 429 unless it
was told to try again (retry_on_http_429).
"""

from __future__ import annotations

import time
from dataclasses import replace
from email.message import Message
from typing import NamedTuple

from sonde.ingest import status
from sonde.ingest.config import IngestConfig
from sonde.ingest.door import Door, Visit
from sonde.ingest.errors import MethodNotAllowed, Overloaded, UnsupportedMediaType
from sonde.ingest.http_receiver import PROTOBUF, WRITE_PATH, Cors, Export, OtlpHttp, refusal
from sonde.ingest.http_server import Exchange, Headers, Response
from sonde.ingest.limits import Limits
from sonde.ingest.remote_write import Transcoder, Version
from sonde.ingest.remote_write_verdicts import Written, kept
from sonde.ingest.scan import Body, Scan, scan
from sonde.ingest.series_limits import Kept
from sonde.ingest.signals import Signal
from sonde.ingest.snappy import decompress_block

MEMORY_FOLDER = "remote_write"
"""In the spool folder."""
ENCODING = b"snappy"
TEXT = b"text/plain; charset=utf-8"
INLINE_BYTES = 4 << 10
"""Compressed; what is larger is transcoded on a worker, for that may take milliseconds."""


class RemoteWriteHttp:
    """What the server asks for each request: remote write at its path, and at every other what `otlp` says."""

    def __init__(self, otlp: OtlpHttp, door: Door, config: IngestConfig) -> None:
        self._otlp = otlp
        self._door = door
        self._cors = Cors(config.cors_origins, config.cors_headers, config.cors_max_age_seconds)
        self._transcoder = Transcoder(config.spool_path / MEMORY_FOLDER)

    def begin(self, method: str, path: str, headers: dict[bytes, bytes]) -> Exchange | Response:
        if path != WRITE_PATH:
            return self._otlp.begin(method, path, headers)
        cors = self._cors.headers(headers.get(b"origin", b""))
        if method == "OPTIONS" and self._cors.asked(headers):
            return self._cors.preflight(headers, known=True)
        if method != "POST":
            return write_refusal(MethodNotAllowed(f"{path} takes POST, not {method}"), None, cors)
        write = Write(self._door.visit(Signal.METRICS), self._door, self._transcoder, cors)
        try:
            write.enter(headers, self._door.max_request_bytes)
        except Exception as error:
            return write.refuse(error)
        return write

    def failure(self, error: Exception) -> Response:
        return self._otlp.failure(error)


class Prepared(NamedTuple):
    """A request that may go to the spool."""

    body: Body
    found: Scan
    received_unix_nano: int
    written: Written


class Write(Export):
    """One remote-write request: the server's `Exchange`."""

    __slots__ = ("_door", "_transcoder", "_version")

    def __init__(self, visit: Visit, door: Door, transcoder: Transcoder, cors: Headers) -> None:
        super().__init__(visit, Signal.METRICS, PROTOBUF, cors)
        self._door = door
        self._transcoder = transcoder
        self._version: Version | None = None

    def check_content(self, headers: dict[bytes, bytes]) -> None:
        self._version = version_of(headers.get(b"content-type", b"").decode("latin-1"))
        encoding = headers.get(b"content-encoding", b"")
        if encoding.strip().lower() != ENCODING:
            raise UnsupportedMediaType(
                f"Content-Encoding {encoding.decode('latin-1')!r} is not spoken here: remote write is always snappy (block "
                "format)"
            )

    async def answer(self, body: bytes | memoryview) -> Response:
        try:
            with self._visit as visit:
                prepared = await self._prepare_where_it_pays(body)
                visit.hold_instead(len(prepared.body))
                await visit.keep(prepared.body, prepared.found, prepared.received_unix_nano)
        except Exception as error:
            return self._refusal(error)
        return write_answer(prepared.written, self._version, self._cors)

    async def _prepare_where_it_pays(self, body: bytes | memoryview) -> Prepared:
        if len(body) <= INLINE_BYTES:
            return self.prepare(body)
        return await self._door.on_worker(self.prepare, body)

    def prepare(self, body: bytes | memoryview) -> Prepared:
        """Decompress, transcode, scan, hold to the bounds on series. Runs on any thread."""
        tenant = self._visit.tenant
        assert self._version is not None
        assert tenant is not None
        limits: Limits = self._door.limits[Signal.METRICS]
        plain = decompress_block(body, self._door.max_request_bytes)
        made = self._transcoder.transcode(self._version, tenant, plain, limits.max_buckets)
        received = time.time_ns()
        passed = Kept(made.body, scan(Signal.METRICS, made.body, limits, received), None)
        if self._door.series_limits is not None:
            passed = self._door.series_limits.apply(tenant, made.body, passed.found, limits, received)
        found = passed.found
        counts = tuple(a + b for a, b in zip(found.rejected, made.refusals.counts, strict=True))
        whole = replace(found, records=found.records + made.refusals.records, rejected=counts)
        return Prepared(passed.body, whole, received, kept(made, found, passed.over, limits, received))

    def _refusal(self, error: Exception) -> Response:
        self._log_fault(error)
        return write_refusal(error, self._version, self._cors)


def version_of(content_type: str) -> Version:
    """Which message a Content-Type promises; without `proto` it is that of 1.0. UnsupportedMediaType."""
    header = Message()
    header["content-type"] = content_type
    if header.get_content_type().encode() == PROTOBUF:
        named = header.get_param("proto", Version.V1)
        if named in set(Version):
            return Version(str(named))
    raise UnsupportedMediaType(
        f"Content-Type {content_type!r} is not spoken here: send application/x-protobuf (remote write 1.0) or "
        f"application/x-protobuf;proto={Version.V2} (2.0)"
    )


def write_answer(written: Written, version: Version | None, cors: Headers) -> Response:
    """204 where everything was written; 400 with what was not, which is not to be sent again."""
    headers = [*statistics(written, version), *cors]
    if not written.refused:
        return Response(204, headers, b"")
    return Response(400, [(b"content-type", TEXT), *headers], f"{written.refused}\n".encode())


def write_refusal(error: Exception, version: Version | None, cors: Headers) -> Response:
    """The answer to a request of which nothing was written."""
    like_otlp = refusal(error, json=True, cors=cors)
    code = 503 if isinstance(error, Overloaded) else like_otlp.status
    headers = [header for header in like_otlp.headers if header[0] not in (b"content-type", b"accept-encoding")]
    if isinstance(error, UnsupportedMediaType):
        headers.append((b"accept-encoding", ENCODING))
    headers += [(b"content-type", TEXT), *statistics(Written(), version)]
    return Response(code, headers, f"{status.message_of(error)}\n".encode())


def statistics(written: Written, version: Version | None) -> Headers:
    """What a 2.0 sender is told in numbers."""
    if version != Version.V2:
        return []
    return [
        (b"x-prometheus-remote-write-samples-written", b"%d" % written.samples),
        (b"x-prometheus-remote-write-histograms-written", b"%d" % written.histograms),
        (b"x-prometheus-remote-write-exemplars-written", b"%d" % written.exemplars),
    ]
