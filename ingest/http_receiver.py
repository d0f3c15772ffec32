"""OTLP/HTTP: POST /v1/traces, /v1/metrics and /v1/logs, in protobuf and JSON.

OTLP specification 1.11, "OTLP/HTTP". The answer has the Content-Type of the request; a refusal carries a
google.rpc.Status in it. `http_server.py` does the talking.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sonde.ingest import status
from sonde.ingest.auth import TENANT_HEADER
from sonde.ingest.compression import ACCEPTED, content_encoding
from sonde.ingest.config import IngestConfig
from sonde.ingest.door import Door, Visit
from sonde.ingest.errors import (
    MethodNotAllowed,
    NotFound,
    RequestRefused,
    TooLarge,
    Unauthenticated,
    UnsupportedMediaType,
)
from sonde.ingest.http_server import Headers, Response
from sonde.ingest.signals import Signal

PATHS = {f"/v1/{signal.value}": signal for signal in Signal}
WRITE_PATH = "/prometheus/api/v1/write"
"""Of Prometheus remote write, which `remote_write_receiver.py` takes."""
PROTOBUF = b"application/x-protobuf"
JSON = b"application/json"
CORS_HEADERS = ("content-type", "content-encoding", "authorization", TENANT_HEADER)
ABOUT = (
    "This is the OTLP/HTTP receiver of sonde, an observability backend.\n"
    "Send OpenTelemetry data here: OTEL_EXPORTER_OTLP_ENDPOINT=http://{host} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n"
    "POST " + ", ".join(PATHS) + " (application/x-protobuf or application/json).\n"
    f"Prometheus remote write goes to {WRITE_PATH}.\n"
    "What was sent can be looked at through the query service: http://127.0.0.1:8318/ unless configured otherwise.\n"
)
_TENANT_HEADER = TENANT_HEADER.encode()
_log = logging.getLogger(__name__)


class OtlpHttp:
    """What the server asks for each request. Thin: it reads headers, and leaves the rest to the door."""

    def __init__(self, door: Door, config: IngestConfig) -> None:
        self._door = door
        self._cors = Cors(config.cors_origins, config.cors_headers, config.cors_max_age_seconds)

    def begin(self, method: str, path: str, headers: dict[bytes, bytes]) -> Export | Response:
        cors = self._cors.headers(headers.get(b"origin", b""))
        if method == "OPTIONS" and self._cors.asked(headers):
            return self._cors.preflight(headers, path in PATHS)
        if path == "/" and method in ("GET", "HEAD"):
            return Response(200, [(b"content-type", b"text/plain; charset=utf-8"), *cors], about(headers))
        media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        try:
            signal = route(path, method)
        except RequestRefused as error:
            return refusal(error, json=media_type != PROTOBUF, cors=cors)
        export = Export(self._door.visit(signal), signal, media_type, cors)
        try:
            export.enter(headers, self._door.max_request_bytes)
        except Exception as error:
            return export.refuse(error)
        return export

    def failure(self, error: Exception) -> Response:
        return refusal(error, json=True)


class Export:
    """One request to export a signal: the server's `Exchange`."""

    __slots__ = ("_cors", "_encoding", "_media_type", "_signal", "_visit")

    def __init__(self, visit: Visit, signal: Signal, media_type: bytes, cors: Headers) -> None:
        self._visit = visit
        self._signal = signal
        self._media_type = media_type
        self._cors = cors
        self._encoding = ""

    def enter(self, headers: dict[bytes, bytes], max_request_bytes: int) -> None:
        """All that the headers decide. Raises what refuses the request for them."""
        authorization, tenant = headers.get(b"authorization", b""), headers.get(_TENANT_HEADER, b"")
        self._visit.enter(authorization.decode("latin-1"), tenant.decode("latin-1"))
        self.check_content(headers)
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > max_request_bytes:
            raise TooLarge(
                f"the request is {int(length)} bytes, more than {max_request_bytes} (setting max_request_bytes): send smaller "
                "batches"
            )

    def check_content(self, headers: dict[bytes, bytes]) -> None:
        """UnsupportedMediaType where Content-Type or Content-Encoding are none that this takes."""
        if self._media_type not in (PROTOBUF, JSON):
            raise UnsupportedMediaType(
                f"Content-Type {self._media_type.decode('latin-1')!r} is not spoken here: send application/x-protobuf "
                "or application/json"
            )
        self._encoding = content_encoding(headers.get(b"content-encoding", b"").decode("latin-1"))

    def hold(self, size: int) -> None:
        self._visit.hold(size)

    async def answer(self, body: bytes | memoryview) -> Response:
        json = self._media_type == JSON
        try:
            with self._visit as visit:
                accepted = await visit.accept(body, encoding=self._encoding, json=json)
        except Exception as error:
            return self._refusal(error)
        content = status.encode_success(self._signal, accepted.rejected, accepted.message, json=json)
        return Response(200, [(b"content-type", JSON if json else PROTOBUF), *self._cors], content)

    def refuse(self, error: Exception) -> Response:
        self._visit.leave(error)
        return self._refusal(error)

    def abandon(self) -> None:
        self._visit.leave()

    def _refusal(self, error: Exception) -> Response:
        self._log_fault(error)
        return refusal(error, json=self._media_type != PROTOBUF, cors=self._cors)

    def _log_fault(self, error: Exception) -> None:
        if not isinstance(error, RequestRefused):
            _log.error("a request of %s failed", self._signal.value, exc_info=error)


def route(path: str, method: str) -> Signal:
    """The signal that `path` takes. NotFound, MethodNotAllowed."""
    signal = PATHS.get(path)
    if signal is None:
        raise NotFound(
            f"there is nothing at {path}: OTLP goes to {', '.join(PATHS)}, Prometheus remote write to {WRITE_PATH}"
        )
    if method != "POST":
        raise MethodNotAllowed(f"{path} takes POST, not {method}")
    return signal


def refusal(error: Exception, *, json: bool, cors: Iterable[tuple[bytes, bytes]] = ()) -> Response:
    """The answer to a request that `error` refused."""
    codes = status.codes_of(error)
    headers = [(b"content-type", JSON if json else PROTOBUF), *cors]
    if (seconds := status.retry_after_seconds(error)) is not None:
        headers.append((b"retry-after", status.retry_after_header(seconds)))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", b"POST, OPTIONS"))
    elif isinstance(error, Unauthenticated):
        headers.append((b"www-authenticate", b'Bearer realm="sonde"'))
    elif isinstance(error, UnsupportedMediaType):
        headers.append((b"accept-encoding", ACCEPTED.encode()))
    return Response(codes.http, headers, status.encode_status(status.status_of(error), json=json))


def about(headers: dict[bytes, bytes]) -> bytes:
    host = headers.get(b"host", b"127.0.0.1:4318").decode("latin-1")
    return ABOUT.format(host=host).encode()


class Cors:
    """Which web pages may send from a browser (the Fetch standard's CORS protocol)."""

    def __init__(self, origins: Iterable[str], extra_headers: Iterable[str], max_age_seconds: int) -> None:
        self._origins = {origin.encode() for origin in origins}
        self._any = b"*" in self._origins
        names = (*CORS_HEADERS, *(name.lower() for name in extra_headers))
        self._leave = [
            (b"access-control-allow-methods", b"POST"),
            (b"access-control-allow-headers", ", ".join(names).encode()),
            (b"access-control-max-age", b"%d" % max_age_seconds),
        ]

    def asked(self, headers: dict[bytes, bytes]) -> bool:
        """True for a preflight request."""
        return b"origin" in headers and b"access-control-request-method" in headers

    def headers(self, origin: bytes) -> Headers:
        """What an answer to a page of `origin` carries, so that the browser lets the page read it."""
        if not origin or not self._origins:
            return []
        if self._any:
            return [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"retry-after")]
        vary = (b"vary", b"origin")
        if origin not in self._origins:
            return [vary]
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"retry-after"),
            vary,
        ]

    def preflight(self, headers: dict[bytes, bytes], known: bool) -> Response:
        allowed = self.headers(headers[b"origin"])
        if not known or not any(name == b"access-control-allow-origin" for name, _ in allowed):
            text = b"this origin may not send to sonde from a browser (setting cors_origins)\n"
            return Response(403, [(b"content-type", b"text/plain; charset=utf-8"), *allowed], text)
        return Response(204, [*allowed, *self._leave], b"")
