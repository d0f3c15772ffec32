"""One request to an OTLP receiver, by HTTP or gRPC, and what is to be made of the answer.

https://opentelemetry.io/docs/specs/otlp/: which failures may be tried again, Retry-After and RetryInfo, partial success.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

from sonde.sdk.errors import SdkError


class Signal(Enum):
    """The signals of OTLP; the value is the last part of the HTTP path."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


class Verdict(Enum):
    TAKEN = "taken"
    LATER = "later"
    """Not taken now: the receiver is away or busy."""
    REFUSED = "refused"
    """Never to be taken: trying again would be of no use."""


class Outcome(NamedTuple):
    verdict: Verdict
    message: str = ""
    """What the receiver, or the network, said."""
    rejected: int = 0
    """Records that a receiver did not take of a request that it took."""
    retry_after_seconds: float | None = None


Send = Callable[[bytes, float], Outcome]
"""Sends a request, which may take so many seconds. Raises nothing for what networks and receivers do."""

RETRYABLE_STATUS = frozenset({429, 502, 503, 504})
RETRYABLE_CODES = frozenset(
    {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS", "RESOURCE_EXHAUSTED"}
)
LARGEST_ANSWER = 64 * 1024
"""Bytes of an answer that are read; receivers say little."""
COMPRESSION_LEVEL = 1
"""zlib's quickest: levels above take several times as long for a few per cent."""


@dataclass(frozen=True)
class Destination:
    """Where the requests of one signal go."""

    url: str
    """http(s)://host:port/v1/traces; for gRPC http(s)://host:port"""
    signal: Signal
    protocol: Literal["http/protobuf", "grpc"] = "http/protobuf"
    headers: Mapping[str, str] = field(default_factory=dict)
    compression: Literal["none", "gzip"] = "gzip"
    timeout_seconds: float = 10.0
    """For one request."""
    certificate: str | None = None
    """File of the authorities that the receiver's certificate is checked against, rather than the system's."""
    client_certificate: str | None = None
    client_key: str | None = None


def sender(destination: Destination) -> Send:
    """What sends to `destination`. SdkError where its URL can't be one, or a certificate can't be read."""
    parts = checked(destination.url)
    try:
        if destination.protocol == "grpc":
            return GrpcSender(destination, parts).send
        return HttpSender(destination, parts).send
    except OSError as error:
        raise SdkError(f"the certificate or key for {destination.url} can't be read: {error}") from error


def checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port_is_one = parts.port is None or parts.port > 0
    except ValueError as error:
        raise SdkError(f"{url!r} is no URL ({error}); write for example http://127.0.0.1:4318") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_one:
        raise SdkError(f"{url!r} is no URL to send OTLP to; write for example http://127.0.0.1:4318")
    return parts


def tls(destination: Destination) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=destination.certificate)
    if destination.client_certificate:
        context.load_cert_chain(destination.client_certificate, destination.client_key)
    return context


class HttpSender:
    """OTLP/HTTP with protobuf bodies over one connection that is kept. For one thread."""

    def __init__(self, destination: Destination, parts: SplitResult) -> None:
        self._destination = destination
        self._parts = parts
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._tls = tls(destination) if parts.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None
        self._headers = {"Content-Type": "application/x-protobuf", "User-Agent": "sonde-sdk", **destination.headers}

    def send(self, body: bytes, timeout_seconds: float) -> Outcome:
        headers = self._headers
        if self._destination.compression == "gzip":
            body, headers = gzip.compress(body, COMPRESSION_LEVEL), headers | {"Content-Encoding": "gzip"}
        kept = self._connection is not None
        try:
            return self._post(body, headers, timeout_seconds)
        except (http.client.HTTPException, OSError) as error:
            self._close()
            # A kept connection may have been closed by the receiver for its idleness: that says nothing about now.
            if not kept or isinstance(error, TimeoutError):
                return Outcome(Verdict.LATER, f"{type(error).__name__}: {error}")
        try:
            return self._post(body, headers, timeout_seconds)
        except (http.client.HTTPException, OSError) as error:
            self._close()
            return Outcome(Verdict.LATER, f"{type(error).__name__}: {error}")

    def _post(self, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> Outcome:
        connection = self._connected(timeout_seconds)
        connection.request("POST", self._path, body, dict(headers))
        response = connection.getresponse()
        answer = response.read(LARGEST_ANSWER)
        if response.read(1):
            self._close()
        return of_http(response.status, response.headers.get("Retry-After"), answer)

    def _connected(self, timeout_seconds: float) -> http.client.HTTPConnection:
        timeout = min(timeout_seconds, self._destination.timeout_seconds)
        connection = self._connection
        if connection is None:
            host, port = self._parts.hostname or "", self._parts.port
            if self._tls is not None:
                connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)
            else:
                connection = http.client.HTTPConnection(host, port, timeout=timeout)
            self._connection = connection
        elif connection.sock is not None:
            connection.sock.settimeout(timeout)
        return connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def of_http(status: int, retry_after: str | None, answer: bytes) -> Outcome:
    if 200 <= status < 300:
        return partial_success(answer)
    message = f"HTTP {status} {status_message(answer)}".rstrip()
    if status in RETRYABLE_STATUS:
        return Outcome(Verdict.LATER, message, retry_after_seconds=seconds(retry_after))
    return Outcome(Verdict.REFUSED, message)


def seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, is not used by OTLP receivers."""
    with contextlib.suppress(ValueError):
        return max(0.0, float(retry_after)) if retry_after else None
    return None


def partial_success(answer: bytes) -> Outcome:
    """The answers of the three signals are alike: field 1 with how many were rejected, and why."""
    if not answer:
        return Outcome(Verdict.TAKEN)
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    try:
        found = ExportTraceServiceResponse.FromString(answer).partial_success
    except DecodeError:
        return Outcome(Verdict.TAKEN)
    return Outcome(Verdict.TAKEN, found.error_message, max(0, found.rejected_spans))


def status_message(answer: bytes) -> str:
    """What a google.rpc.Status says, or the beginning of a text."""
    if not answer:
        return ""
    from google.protobuf.message import DecodeError
    from google.rpc.status_pb2 import Status

    with contextlib.suppress(DecodeError, UnicodeDecodeError):
        message = str(Status.FromString(answer).message)
        if message:
            return message[:500]
    return answer[:200].decode("utf-8", "replace")


SERVICES = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}


class GrpcSender:
    """OTLP/gRPC. grpcio is loaded here, and where it is chosen only."""

    def __init__(self, destination: Destination, parts: SplitResult) -> None:
        self._destination = destination
        self._target = f"{parts.hostname}:{parts.port or 4317}"
        self._secure = parts.scheme == "https"
        self._metadata = tuple((name.lower(), value) for name, value in destination.headers.items())
        self._export: Any = None

    def send(self, body: bytes, timeout_seconds: float) -> Outcome:
        import grpc

        if self._export is None:
            self._export = self._channel(grpc).unary_unary(SERVICES[self._destination.signal])
        timeout = min(timeout_seconds, self._destination.timeout_seconds)
        try:
            return partial_success(self._export(body, timeout=timeout, metadata=self._metadata))
        except grpc.RpcError as error:
            return of_grpc(error)

    def _channel(self, grpc: Any) -> Any:
        gzip_wanted = self._destination.compression == "gzip"
        compression = grpc.Compression.Gzip if gzip_wanted else grpc.Compression.NoCompression
        if not self._secure:
            return grpc.insecure_channel(self._target, compression=compression)
        files = self._destination.certificate, self._destination.client_key, self._destination.client_certificate
        credentials = grpc.ssl_channel_credentials(*(read(path) for path in files))
        return grpc.secure_channel(self._target, credentials, compression=compression)


def read(path: str | None) -> bytes | None:
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()


def of_grpc(error: Any) -> Outcome:
    code, message = error.code().name, f"gRPC {error.code().name} {error.details()}"
    wait = retry_info(error)
    # RESOURCE_EXHAUSTED is final unless the receiver says when to come again.
    if code not in RETRYABLE_CODES or (code == "RESOURCE_EXHAUSTED" and wait is None):
        return Outcome(Verdict.REFUSED, message)
    return Outcome(Verdict.LATER, message, retry_after_seconds=wait)


def retry_info(error: Any) -> float | None:
    """Seconds of the RetryInfo among the details of a gRPC status."""
    from google.protobuf.message import DecodeError
    from google.rpc.error_details_pb2 import RetryInfo
    from google.rpc.status_pb2 import Status

    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            with contextlib.suppress(DecodeError):
                for detail in Status.FromString(value).details:
                    if detail.Is(RetryInfo.DESCRIPTOR):
                        found = RetryInfo()
                        detail.Unpack(found)
                        return float(max(0.0, found.retry_delay.seconds + found.retry_delay.nanos / 1e9))
    return None
