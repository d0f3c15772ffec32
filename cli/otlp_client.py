"""An OTLP sender by the specification: gRPC or HTTP, gzip, partial success, and its rules for trying again.

It sends request bytes as they are, so what is sent is exactly what a file or a generator holds. Thread-safe.
"""

from __future__ import annotations

import gzip
import json
import random
import time
from dataclasses import dataclass, field
from threading import Event
from typing import Any, NamedTuple, Protocol

from sonde.cli.errors import CommandError, UsageError

SERVICES = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
REJECTED_FIELDS = {"traces": "rejected_spans", "metrics": "rejected_data_points", "logs": "rejected_log_records"}
RETRYABLE_HTTP = {429, 502, 503, 504}
RETRYABLE_GRPC = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
PROTOBUF, JSON = "application/x-protobuf", "application/json"
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.2, 10.0


class Answer(NamedTuple):
    """The receiver took the request, but for `rejected` records, about which `message` tells."""

    rejected: int
    message: str


class SendFailed(CommandError):
    """The receiver refused the request for good, or (`unreachable`) did not take it within the time given."""

    def __init__(self, message: str, unreachable: bool = False) -> None:
        super().__init__(message)
        self.unreachable = unreachable


class TryAgain(Exception):
    """Refused for now; `after_seconds` is what the receiver asked for, or 0."""

    def __init__(self, message: str, after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


class Transport(Protocol):
    def send(self, signal: str, body: bytes, content_type: str) -> Answer: ...
    def close(self) -> None: ...


@dataclass
class OtlpClient:
    """Sends to `endpoint` (http://host:port) by `protocol` ("grpc" or "http"). `retry_seconds` bounds one request's tries."""

    endpoint: str
    protocol: str = "grpc"
    compression: str = "gzip"
    token: str = field(default="", repr=False)
    timeout_seconds: float = 30.0
    retry_seconds: float = 60.0
    stopping: Event = field(default_factory=Event)
    """Once set, nothing is tried again: what is still to be sent gets one try."""
    trouble: str = ""
    """Why requests are being tried again right now; empty when the last one went through."""

    def __post_init__(self) -> None:
        if not self.endpoint.startswith(("http://", "https://")):
            raise UsageError(f"the endpoint must look like http://127.0.0.1:4317, not {self.endpoint!r}")
        self.transport: Transport = GrpcTransport(self) if self.protocol == "grpc" else HttpTransport(self)

    def send(self, signal: str, body: bytes, content_type: str = PROTOBUF) -> Answer:
        """Sends one request; tries again as the specification allows. SendFailed when that is no use or took too long."""
        deadline = time.monotonic() + self.retry_seconds
        wait = FIRST_WAIT_SECONDS
        while True:
            try:
                answer = self.transport.send(signal, body, content_type)
            except TryAgain as error:
                pause = max(error.after_seconds, wait * random.uniform(0.5, 1.0))
                if time.monotonic() + pause > deadline:
                    raise SendFailed(
                        f"the {signal} were not taken within {self.retry_seconds:g} s: {error}", unreachable=True
                    ) from error
                self.trouble = f"trying again: {error}"
                if self.stopping.wait(pause):
                    raise SendFailed(f"stopped before the {signal} were taken: {error}", unreachable=True) from error
                wait = min(wait * 2, LONGEST_WAIT_SECONDS)
            else:
                self.trouble = ""
                return answer

    def close(self) -> None:
        self.transport.close()


class HttpTransport:
    """OTLP/HTTP: protobuf or JSON bodies over pooled connections."""

    def __init__(self, client: OtlpClient) -> None:
        import urllib3  # loads slowly; `--help` must not wait for it

        self.client = client
        self.urllib3 = urllib3
        self.pool = urllib3.PoolManager(maxsize=8, timeout=client.timeout_seconds, retries=False)

    def send(self, signal: str, body: bytes, content_type: str) -> Answer:
        headers = {"Content-Type": content_type, "User-Agent": "sonde"}
        if self.client.token:
            headers["Authorization"] = f"Bearer {self.client.token}"
        if self.client.compression == "gzip":
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, 1)
        url = f"{self.client.endpoint.rstrip('/')}/v1/{signal}"
        try:
            response = self.pool.request("POST", url, body=body, headers=headers)
        except self.urllib3.exceptions.HTTPError as error:
            raise TryAgain(f"no answer from {url} ({type(error).__name__}); is a receiver listening there?") from error
        return self.read(signal, url, response)

    def read(self, signal: str, url: str, response: Any) -> Answer:
        kind = response.headers.get("Content-Type", "")
        if response.status == 200:
            return (
                read_json_answer(signal, response.data) if kind.startswith(JSON) else read_answer(signal, response.data)
            )
        message = f"{url} answered {response.status}: {status_message(kind, response.data)}"
        if response.status in RETRYABLE_HTTP:
            raise TryAgain(message, retry_after(response.headers.get("Retry-After", "")))
        raise SendFailed(message)

    def close(self) -> None:
        self.pool.clear()


class GrpcTransport:
    """OTLP/gRPC with raw bytes as requests."""

    def __init__(self, client: OtlpClient) -> None:
        import grpc

        self.client = client
        self.grpc = grpc
        host = client.endpoint.partition("://")[2].rstrip("/")
        compression = grpc.Compression.Gzip if client.compression == "gzip" else grpc.Compression.NoCompression
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        secure = client.endpoint.startswith("https://")
        self.channel = (
            grpc.secure_channel(host, grpc.ssl_channel_credentials(), options, compression)
            if secure
            else grpc.insecure_channel(host, options, compression)
        )
        self.calls = {signal: self.channel.unary_unary(path) for signal, path in SERVICES.items()}
        self.metadata = (("authorization", f"Bearer {client.token}"),) if client.token else ()

    def send(self, signal: str, body: bytes, content_type: str) -> Answer:
        if content_type != PROTOBUF:
            raise UsageError("JSON bodies travel over OTLP/HTTP only: use --protocol http")
        try:
            response = self.calls[signal](body, timeout=self.client.timeout_seconds, metadata=self.metadata)
        except self.grpc.RpcError as error:
            raise self.judge(error) from error
        return read_answer(signal, response)

    def judge(self, error: Any) -> Exception:
        code, details = error.code().name, error.details()
        message = f"{self.client.endpoint} answered {code}: {details}"
        after = retry_info(dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b""))
        if code in RETRYABLE_GRPC or (code == "RESOURCE_EXHAUSTED" and after is not None):
            return TryAgain(message, after or 0.0)
        return SendFailed(message)

    def close(self) -> None:
        self.channel.close()


def read_answer(signal: str, data: bytes) -> Answer:
    """The Export*ServiceResponse: all three have the same shape, partial_success 1 (rejected 1, error_message 2)."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    partial = ExportTraceServiceResponse.FromString(data).partial_success
    return Answer(partial.rejected_spans, partial.error_message)


def read_json_answer(signal: str, data: bytes) -> Answer:
    partial = (json.loads(data or b"{}") or {}).get("partialSuccess") or {}
    head, *tail = REJECTED_FIELDS[signal].split("_")
    name = head + "".join(part.title() for part in tail)
    return Answer(int(partial.get(name, 0)), partial.get("errorMessage", ""))


def status_message(kind: str, data: bytes) -> str:
    """The sentence in an error's google.rpc.Status body, or the body's beginning where it is something else."""
    from google.rpc.status_pb2 import Status

    try:
        if kind.startswith(PROTOBUF):
            return str(Status.FromString(data).message)
        if kind.startswith(JSON):
            return str(json.loads(data).get("message", ""))
    except Exception:  # a proxy in between may answer anything, under any content type
        pass
    return data[:200].decode("utf-8", "replace").strip()


def retry_after(header: str) -> float:
    """Seconds that a Retry-After header asks for; its date form counts as none."""
    return float(header) if header.strip().isdigit() else 0.0


def retry_info(details: bytes) -> float | None:
    """Seconds that a RetryInfo in the status details asks for; None where there is none."""
    from google.rpc.error_details_pb2 import RetryInfo
    from google.rpc.status_pb2 import Status

    for detail in Status.FromString(details).details:
        info = RetryInfo()
        if detail.Unpack(info):
            return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    return None
