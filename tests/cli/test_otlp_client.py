"""The sender keeps to the OTLP specification: what it tries again, how long it waits, what it reports."""

from __future__ import annotations

import contextlib
import gzip
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from sonde.cli.errors import UsageError
from sonde.cli.otlp_client import JSON, PROTOBUF, OtlpClient, SendFailed, retry_after, retry_info, status_message


@dataclass
class Receiver:
    """A receiver that answers from a script, and remembers what it was sent."""

    script: list[tuple[int, dict[str, str], bytes]]
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def receiver(*script: tuple[int, dict[str, str], bytes]) -> Iterator[Receiver]:
    state = Receiver(list(script))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            state.times.append(time.monotonic())
            state.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            state.headers.append({key.lower(): value for key, value in self.headers.items()})
            status, headers, body = state.script.pop(0) if len(state.script) > 1 else state.script[0]
            self.send_response(status)
            for key, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def client_of(url: str, **more: object) -> Iterator[OtlpClient]:
    client = OtlpClient(url, "http", **more)  # type: ignore[arg-type]
    try:
        yield client
    finally:
        client.close()


OK = (200, {"Content-Type": PROTOBUF}, b"")


def test_a_request_arrives_as_it_is_gzipped_and_with_its_token() -> None:
    with receiver(OK) as there, client_of(there.url, token="hunter2") as client:
        assert client.send("traces", b"\x0a\x00") == (0, "")
    assert gzip.decompress(there.bodies[0]) == b"\x0a\x00"
    assert there.headers[0]["authorization"] == "Bearer hunter2"
    assert there.headers[0]["content-type"] == PROTOBUF
    assert "hunter2" not in repr(client)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (PROTOBUF, b""),
        (JSON, b'{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}'),
    ],
)
def test_partial_success_is_told(kind: str, body: bytes) -> None:
    if kind == PROTOBUF:
        answer = ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = 2
        answer.partial_success.error_message = "too old"
        body = answer.SerializeToString()
    with receiver((200, {"Content-Type": kind}, body)) as there, client_of(there.url) as client:
        assert client.send("traces", b"") == (2, "too old")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    with receiver((status, {}, b"later"), OK) as there, client_of(there.url) as client:
        client.send("logs", b"x")
    assert len(there.bodies) == 2


@pytest.mark.parametrize("status", [400, 401, 413, 415, 500])
def test_what_will_not_pass_is_told_at_once_with_the_receivers_own_words(status: int) -> None:
    body = Status(message="the third span has no id").SerializeToString()
    with receiver((status, {"Content-Type": PROTOBUF}, body)) as there, client_of(there.url) as client:
        with pytest.raises(SendFailed, match=f"answered {status}: the third span has no id") as error:
            client.send("traces", b"x")
        assert not error.value.unreachable
    assert len(there.bodies) == 1


def test_retry_after_is_waited_for() -> None:
    with receiver((503, {"Retry-After": "1"}, b""), OK) as there, client_of(there.url) as client:
        client.send("logs", b"x")
    assert there.times[1] - there.times[0] >= 1.0


def test_trying_again_ends_after_the_time_given() -> None:
    with client_of("http://127.0.0.1:9", retry_seconds=0.3) as client:
        with pytest.raises(
            SendFailed, match=r"were not taken within 0.3 s: no answer from http://127.0.0.1:9/v1/logs"
        ) as error:
            client.send("logs", b"x")
        assert error.value.unreachable


def test_trying_again_ends_when_the_sender_stops() -> None:
    with client_of("http://127.0.0.1:9", retry_seconds=60) as client:
        client.stopping.set()
        with pytest.raises(SendFailed, match="stopped before the logs were taken"):
            client.send("logs", b"x")


def test_an_endpoint_without_a_scheme_is_refused() -> None:
    with pytest.raises(UsageError, match=r"http://127.0.0.1:4317, not 'localhost:4317'"):
        OtlpClient("localhost:4317")


def test_json_does_not_travel_over_grpc() -> None:
    client = OtlpClient("http://127.0.0.1:9", "grpc")
    with contextlib.closing(client), pytest.raises(UsageError, match="--protocol http"):
        client.send("traces", b"{}", JSON)


def test_retry_info_is_read_from_the_status_details() -> None:
    from google.rpc.error_details_pb2 import RetryInfo

    info = RetryInfo()
    info.retry_delay.FromMilliseconds(1_500)
    status = Status()
    status.details.add().Pack(info)
    assert retry_info(status.SerializeToString()) == 1.5
    assert retry_info(b"") is None


@pytest.mark.parametrize(("header", "seconds"), [("3", 3.0), ("", 0.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0)])
def test_retry_after_in_seconds_counts(header: str, seconds: float) -> None:
    assert retry_after(header) == seconds


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        (JSON, b'{"code":3,"message":"no"}', "no"),
        ("text/html", b"<h1>Bad Gateway</h1>", "<h1>Bad"),
        (PROTOBUF, b"\xff", "\ufffd"),
    ],
)
def test_the_message_of_an_error_is_found_whatever_answered(kind: str, body: bytes, says: str) -> None:
    assert status_message(kind, body).startswith(says)
