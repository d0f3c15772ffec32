"""OTLP/HTTP over real connections: what each kind of request is answered, and that no client can hurt the receiver."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from receiving import (
    PATIENCE,
    REQUESTS,
    Answer,
    Running,
    Spooled,
    ask,
    connected,
    read_until_closed,
    running,
    traces,
    wait_until,
)
from sonde.ingest.accounts import UNKNOWN
from sonde.ingest.errors import SpoolFull
from sonde.ingest.limits import Limits
from sonde.ingest.signals import Signal
from sonde.ingest.status import varint

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
LIMIT = 1 << 20
RESPONSES = {
    Signal.TRACES: ExportTraceServiceResponse,
    Signal.METRICS: ExportMetricsServiceResponse,
    Signal.LOGS: ExportLogsServiceResponse,
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Receivers for the tests that only look at answers."""
    with running(tmp_path_factory.mktemp("spool"), max_request_bytes=LIMIT, body_timeout_seconds=PATIENCE) as up:
        yield up


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Receivers for requests that are to come too late."""
    with running(tmp_path_factory.mktemp("spool"), body_timeout_seconds=0.5) as up:
        yield up


def as_json(body: bytes) -> bytes:
    """A traces request in OTLP/JSON: ids in hex."""
    value = json_format.MessageToDict(ExportTraceServiceRequest.FromString(body), use_integers_for_enums=True)
    for resource in value["resourceSpans"]:
        for span in resource["scopeSpans"][0]["spans"]:
            for name in ("traceId", "spanId"):
                span[name] = base64.b64decode(span[name]).hex()
    return json.dumps(value).encode()


def status_in(answer: Answer) -> status_pb2.Status:
    """The google.rpc.Status of a refusal, in the encoding it says it has."""
    if answer.headers["content-type"] == "application/x-protobuf":
        return status_pb2.Status.FromString(answer.body)
    assert answer.headers["content-type"] == "application/json"
    return json_format.Parse(answer.body, status_pb2.Status())


# What is accepted.


@pytest.mark.parametrize("signal", Signal)
def test_protobuf_is_on_disk_when_it_is_answered(signal: Signal, tmp_path: Path) -> None:
    with running(tmp_path) as up:
        body = REQUESTS[signal](3)
        answer = up.post(f"/v1/{signal.value}", body, PROTOBUF)
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-type"] == "application/x-protobuf"
        assert up.spooled() == [Spooled("default", signal.value, body)]


def test_json_is_spooled_as_protobuf_and_answered_in_json(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        body = traces(3)
        answer = up.post("/v1/traces", as_json(body), JSON)
        assert (answer.status, answer.body) == (200, b"{}")
        assert answer.headers["content-type"] == "application/json"
        (spooled,) = up.spooled()
        assert ExportTraceServiceRequest.FromString(spooled.body) == ExportTraceServiceRequest.FromString(body)


COMPRESSED = [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstd.compress), ("identity", bytes)]


@pytest.mark.parametrize(("encoding", "compress"), COMPRESSED)
@pytest.mark.parametrize("spans", [1, 2_000])
def test_a_compressed_body_is_spooled_plain(encoding: str, compress: Any, spans: int, tmp_path: Path) -> None:
    with running(tmp_path) as up:
        body = traces(spans)
        answer = up.post("/v1/traces", compress(body), {**PROTOBUF, "Content-Encoding": encoding})
        assert answer.status == 200, answer
        assert [spooled.body for spooled in up.spooled()] == [body]


def test_a_large_json_body_is_compressed_and_transcoded_off_the_loop(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        body = traces(2_000)
        headers = {**JSON, "Content-Encoding": "gzip"}
        assert up.post("/v1/traces", gzip.compress(as_json(body)), headers).status == 200
        (spooled,) = up.spooled()
        assert len(ExportTraceServiceRequest.FromString(spooled.body).resource_spans[0].scope_spans[0].spans) == 2_000


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize(("headers", "body", "answered"), [(PROTOBUF, b"", b""), (JSON, b"{}", b"{}")])
def test_an_empty_request_succeeds(
    signal: Signal, headers: dict[str, str], body: bytes, answered: bytes, shared: Running
) -> None:
    answer = shared.post(f"/v1/{signal.value}", body, headers)
    assert (answer.status, answer.body) == (200, answered)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-protobuf; charset=utf-8",
        "Application/X-Protobuf",
        "application/x-protobuf;messageType=ExportTraceServiceRequest",
    ],
)
def test_parameters_and_case_of_the_content_type_are_tolerated(content_type: str, shared: Running) -> None:
    assert shared.post("/v1/traces", traces(), {"Content-Type": content_type}).status == 200


def test_json_with_a_charset_is_json(shared: Running) -> None:
    answer = shared.post("/v1/traces", b"{}", {"Content-Type": "application/json; charset=UTF-8"})
    assert (answer.status, answer.body) == (200, b"{}")


def test_a_chunked_body_of_many_small_pieces_is_read_whole(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        body = traces(500)
        pieces = (body[start : start + 37] for start in range(0, len(body), 37))
        assert up.post("/v1/traces", pieces, PROTOBUF).status == 200
        assert [spooled.body for spooled in up.spooled()] == [body]


def test_many_requests_share_a_connection_even_pipelined(tmp_path: Path) -> None:
    body = traces()
    head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: {len(body)}\r\n\r\n"
    with running(tmp_path) as up, connected(up.http) as sock:
        sock.sendall((head.encode() + body) * 20)
        answers = b""
        while answers.count(b"HTTP/1.1 200 OK") < 20:
            answers += sock.recv(65_536)
        assert len(up.spooled()) == 20


# Partial success.


@pytest.mark.parametrize("signal", Signal)
def test_full_success_leaves_partial_success_unset(signal: Signal, shared: Running) -> None:
    answer = shared.post(f"/v1/{signal.value}", REQUESTS[signal](2), PROTOBUF)
    assert not RESPONSES[signal].FromString(answer.body).HasField("partial_success")


@pytest.mark.parametrize("json_answer", [False, True])
def test_refused_records_are_counted_and_explained(json_answer: bool, tmp_path: Path) -> None:
    good, bad = traces(3), traces(2, trace_id=b"short")
    body = good + bad  # concatenated requests are one request
    with running(tmp_path) as up:
        headers = JSON if json_answer else PROTOBUF
        answer = up.post("/v1/traces", as_json(body) if json_answer else body, headers)
        assert answer.status == 200
        response = ExportTraceServiceResponse()
        if json_answer:
            assert json.loads(answer.body)["partialSuccess"]["rejectedSpans"] == "2"
            json_format.Parse(answer.body, response)
        else:
            response.ParseFromString(answer.body)
        assert response.partial_success.rejected_spans == 2
        assert "trace" in response.partial_success.error_message


def test_records_of_the_future_are_refused_by_the_clock_of_the_receiver(tmp_path: Path) -> None:
    late = time.time_ns() + 3_600 * 10**9
    body = traces(1) + traces(4, start_time_unix_nano=late, end_time_unix_nano=late + 5)
    with running(tmp_path, limits=Limits(max_future_seconds=60)) as up:
        response = ExportTraceServiceResponse.FromString(up.post("/v1/traces", body, PROTOBUF).body)
        assert response.partial_success.rejected_spans == 4


# What is refused: one table.

TOKEN = {"Authorization": "Bearer correct-horse"}
GZIP, DEFLATE, ZSTD = ({**PROTOBUF, "Content-Encoding": encoding} for encoding in ("gzip", "deflate", "zstd"))
BOMB = bytes(64 << 20)
REFUSED: list[tuple[str, str, str, bytes, dict[str, str], int, int, str]] = [
    # what, method, path, body, headers, HTTP status, google.rpc code, in the message
    ("no protobuf", "POST", "/v1/traces", b"\xff\xff\xff\xff", PROTOBUF, 400, 3, "byte"),
    ("no JSON", "POST", "/v1/traces", b"{", JSON, 400, 3, "not JSON"),
    ("wrong JSON", "POST", "/v1/logs", b'{"resourceLogs":7}', JSON, 400, 3, "resourceLogs: must be an array"),
    ("empty JSON body", "POST", "/v1/traces", b"", JSON, 400, 3, "not JSON"),
    ("truncated gzip", "POST", "/v1/traces", gzip.compress(traces(9))[:-3], GZIP, 400, 3, "ends too early"),
    ("no gzip", "POST", "/v1/traces", traces(), GZIP, 400, 3, "gzip"),
    ("no zstd", "POST", "/v1/traces", traces(), ZSTD, 400, 3, "zstd"),
    ("unknown path", "POST", "/v1/profiles", b"", PROTOBUF, 404, 12, "/v1/traces"),
    ("root", "POST", "/", b"", JSON, 404, 12, "/v1/logs"),
    ("GET", "GET", "/v1/traces", b"", {}, 405, 12, "POST"),
    ("PUT", "PUT", "/v1/metrics", b"x", PROTOBUF, 405, 12, "POST"),
    ("too large", "POST", "/v1/traces", bytes(LIMIT + 1), PROTOBUF, 413, 8, str(LIMIT)),
    ("gzip bomb", "POST", "/v1/traces", gzip.compress(BOMB), GZIP, 413, 8, "after decompression"),
    ("deflate bomb", "POST", "/v1/logs", zlib.compress(BOMB), DEFLATE, 413, 8, "after decompression"),
    ("zstd bomb", "POST", "/v1/logs", zstd.compress(BOMB), {**JSON, "Content-Encoding": "zstd"}, 413, 8, "after decompression"),
    ("no content type", "POST", "/v1/traces", traces(), {}, 415, 3, "Content-Type"),
    ("text", "POST", "/v1/traces", b"hi", {"Content-Type": "text/plain"}, 415, 3, "Content-Type 'text/plain'"),
    ("a form", "POST", "/v1/traces", b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 415, 3, "Content-Type"),
    ("brotli", "POST", "/v1/traces", b"x", {**PROTOBUF, "Content-Encoding": "br"}, 415, 3, "Content-Encoding 'br'"),
    ("tenant header", "POST", "/v1/traces", traces(), {**PROTOBUF, "X-Sonde-Tenant": "acme"}, 401, 16, "X-Sonde-Tenant"),
]  # fmt: skip


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def crowd(signal: Signal, records: int) -> bytes:
    """A request of so many records that say nothing, 2 bytes each."""
    metric = field(2, field(1, b"m") + field(5, b"\x0a\x00" * records))
    return field(1, field(2, metric if signal is Signal.METRICS else b"\x12\x00" * records))


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("repeated", [False, True])
def test_records_beyond_what_memory_holds_are_refused_at_the_door(
    signal: Signal, repeated: bool, tmp_path: Path
) -> None:
    """6 KB of gzip that would be a gigabyte in columns; as a resource in two parts it would be objects first."""
    body = crowd(signal, 3_000_000) + (field(1, b"\x0a\x00\x0a\x00") if repeated else b"")
    with running(tmp_path) as up:
        answer = up.post(f"/v1/{signal.value}", gzip.compress(body, 1), {**PROTOBUF, "Content-Encoding": "gzip"})
        assert answer.status == 413
        assert "3000000 records" in status_in(answer).message
        assert up.spooled() == []
        assert up.rejected() == {("default", signal.value, "too_large"): 1}


def test_a_header_on_two_lines_is_one(shared: Running) -> None:
    lines = b"Content-Encoding: gzip\r\nContent-Encoding: identity\r\n"
    body = gzip.compress(traces())
    answer = raw(shared, HEAD + lines + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert answer.startswith(b"HTTP/1.1 200 ")
    lines = b"Content-Encoding: deflate\r\nContent-Encoding: gzip\r\n"
    answer = raw(shared, HEAD + lines + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert answer.startswith(b"HTTP/1.1 415 ")


EXTRA_HEADER = {
    401: ("www-authenticate", 'Bearer realm="sonde"'),
    405: ("allow", "POST, OPTIONS"),
    415: ("accept-encoding", "gzip, deflate, zstd"),
}


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "http_status", "code", "message"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
def test_a_refusal_says_what_is_wrong_in_the_encoding_of_the_request(
    method: str,
    path: str,
    body: bytes,
    headers: dict[str, str],
    http_status: int,
    code: int,
    message: str,
    shared: Running,
) -> None:
    answer = ask(shared.http, method, path, body, headers)
    assert answer.status == http_status, answer
    assert (answer.headers["content-type"] == "application/x-protobuf") == (
        headers.get("Content-Type") == PROTOBUF["Content-Type"]
    )
    status = status_in(answer)
    assert status.code == code
    assert message in status.message
    assert "retry-after" not in answer.headers
    if http_status == 400:
        details = error_details_pb2.BadRequest()
        assert status.details[0].Unpack(details)
        assert message in details.field_violations[0].description
    if http_status in EXTRA_HEADER:
        name, value = EXTRA_HEADER[http_status]
        assert answer.headers[name] == value


@pytest.mark.parametrize("headers", [PROTOBUF, JSON])
def test_a_full_spool_is_503_with_retry_after(
    headers: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path) as up:

        def full(size: int) -> None:
            raise SpoolFull("the spool is full", retry_after_seconds=2.5)

        monkeypatch.setattr(up.spool._space, "admit", full)
        body = traces()
        answer = up.post("/v1/traces", as_json(body) if headers is JSON else body, headers)
        assert answer.status == 503
        assert answer.headers["retry-after"] == "3"
        status = status_in(answer)
        info = error_details_pb2.RetryInfo()
        assert status.code == 14
        assert status.details[0].Unpack(info)
        assert info.retry_delay.ToMilliseconds() == 2500
        assert up.rejected() == {("default", "traces", "spool_full"): 1}


def test_too_many_requests_at_once_are_429_and_room_comes_back(tmp_path: Path) -> None:
    with running(tmp_path, max_in_flight_requests=2) as up:
        with connected(up.http) as one, connected(up.http) as two:
            for sock in (one, two):  # two requests that have begun, and wait for their bodies
                sock.sendall(
                    b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 9\r\n\r\n"
                )
            wait_until(lambda: up.door.in_flight_requests == 2)
            answer = up.post("/v1/traces", traces(), PROTOBUF)
            assert answer.status == 429
            assert answer.headers["retry-after"] == "1"
            assert status_in(answer).code == 14
        wait_until(lambda: up.door.in_flight_requests == 0)
        assert up.post("/v1/traces", traces(), PROTOBUF).status == 200
        assert up.rejected() == {("default", "traces", "overloaded"): 1}


def test_bytes_in_flight_are_bounded_and_given_back(tmp_path: Path) -> None:
    with running(tmp_path, max_request_bytes=LIMIT, max_in_flight_bytes=LIMIT) as up:
        with connected(up.http) as slow:
            slow.sendall(
                b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000000\r\n\r\n"
            )
            slow.sendall(bytes(900_000))
            wait_until(lambda: up.door.in_flight_bytes >= 900_000)
            answer = up.post("/v1/traces", traces(8_000), PROTOBUF)
            assert answer.status == 429, answer
        wait_until(lambda: up.door.in_flight_bytes == 0)
        assert up.post("/v1/traces", traces(8_000), PROTOBUF).status == 200


def test_what_is_refused_whole_is_noted_for_the_ledger(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        up.post("/v1/traces", b"\xff", PROTOBUF)
        up.post("/v1/logs", b"\xff", {"Content-Type": "text/plain"})
        up.post("/v1/logs", b"\xff", {**PROTOBUF, "X-Sonde-Tenant": "acme"})
        wait_until(lambda: len(up.rejected()) == 3)
        assert up.rejected() == {
            ("default", "traces", "malformed"): 1,
            ("default", "logs", "unsupported_media_type"): 1,
            (UNKNOWN, "logs", "unauthenticated"): 1,
        }


def test_a_fault_is_500_and_tells_nothing_of_the_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path) as up:

        def broken(*_: object) -> None:
            raise RuntimeError("secret inside")

        monkeypatch.setattr(up.door, "prepare", broken)
        answer = up.post("/v1/traces", traces(), PROTOBUF)
        assert answer.status == 500
        assert status_in(answer).code == 13
        assert b"secret inside" not in answer.body
        assert up.rejected() == {("default", "traces", "fault"): 1}


# Tokens and tenants.


def test_a_token_says_whose_the_data_are(tmp_path: Path) -> None:
    with running(tmp_path, tokens=("acme=correct-horse", "other=battery-staple")) as up:
        assert up.post("/v1/traces", traces(), {**PROTOBUF, **TOKEN}).status == 200
        assert up.post("/v1/logs", b"", {**PROTOBUF, "Authorization": "bearer battery-staple"}).status == 200
        assert sorted(spooled.tenant for spooled in up.spooled()) == ["acme", "other"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong-secret"},
        {"Authorization": "Basic correct-horse"},
        {"Authorization": "correct-horse"},
        {"Authorization": "Bearer "},
        {**TOKEN, "X-Sonde-Tenant": "other"},
        {"X-Sonde-Tenant": "acme"},
    ],
)
def test_without_a_known_token_it_is_401(headers: dict[str, str], tmp_path: Path) -> None:
    with running(tmp_path, tokens=("acme=correct-horse",)) as up:
        answer = up.post("/v1/traces", traces(), {**PROTOBUF, **headers})
        assert answer.status == 401
        assert status_in(answer).code == 16
        assert up.spooled() == []


def test_a_trusted_proxy_names_the_tenant(tmp_path: Path) -> None:
    with running(tmp_path, trust_tenant_header=True) as up:
        assert up.post("/v1/traces", traces(), {**PROTOBUF, "X-Sonde-Tenant": "acme"}).status == 200
        assert up.post("/v1/traces", traces(), PROTOBUF).status == 200
        assert up.post("/v1/traces", traces(), {**PROTOBUF, "X-Sonde-Tenant": "../etc"}).status == 401
        assert sorted(spooled.tenant for spooled in up.spooled()) == ["acme", "default"]


# Browsers and people.

ORIGIN = {"Origin": "https://shop.example.org"}
PREFLIGHT = {**ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}


@pytest.mark.parametrize(
    ("origins", "allowed"),
    [
        (("https://shop.example.org",), "https://shop.example.org"),
        (("*",), "*"),
        (("https://else.example.org",), None),
        ((), None),
    ],
)
def test_cors_lets_the_listed_origins_in(origins: tuple[str, ...], allowed: str | None, tmp_path: Path) -> None:
    with running(tmp_path, cors_origins=origins, cors_headers=("X-App",)) as up:
        preflight = ask(up.http, "OPTIONS", "/v1/traces", b"", PREFLIGHT)
        answers = [
            preflight,
            up.post("/v1/traces", traces(), {**PROTOBUF, **ORIGIN}),
            up.post("/v1/traces", b"x", ORIGIN),
        ]
        assert [answer.status for answer in answers] == [204 if allowed else 403, 200, 415]
        assert {answer.headers.get("access-control-allow-origin") for answer in answers} == {allowed}
        if allowed:
            assert preflight.headers["access-control-allow-methods"] == "POST"
            assert preflight.headers["access-control-max-age"] == "7200"
            names = set(preflight.headers["access-control-allow-headers"].split(", "))
            assert names == {"content-type", "content-encoding", "authorization", "x-sonde-tenant", "x-app"}


def test_an_options_request_that_is_no_preflight_is_405(shared: Running) -> None:
    assert ask(shared.http, "OPTIONS", "/v1/traces").status == 405


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_person_who_looks_at_the_root_is_told_what_this_is(method: str, shared: Running) -> None:
    answer = ask(shared.http, method, "/")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert int(answer.headers["content-length"]) > 100
    assert (b"/v1/traces" in answer.body) == (method == "GET")


# Hostile clients.


def still_serves(up: Running) -> None:
    assert up.post("/v1/traces", traces(), PROTOBUF).status == 200
    leaves_nothing_behind(up)


def leaves_nothing_behind(up: Running) -> None:
    wait_until(lambda: up.door.in_flight_requests == 0 and up.door.in_flight_bytes == 0)


def raw(up: Running, data: bytes) -> bytes:
    with connected(up.http) as sock:
        sock.sendall(data)
        return read_until_closed(sock)


HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"


def test_a_body_announced_too_large_is_refused_before_it_is_sent(shared: Running) -> None:
    answer = raw(shared, HEAD + b"Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer
    still_serves(shared)


def test_a_client_that_waits_for_leave_gets_it(shared: Running) -> None:
    body = traces()
    with connected(shared.http) as sock:
        sock.sendall(HEAD + b"Connection: close\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert sock.recv(1000).startswith(b"HTTP/1.1 100 Continue")
        sock.sendall(body)
        assert read_until_closed(sock).startswith(b"HTTP/1.1 200 ")


def test_an_endless_chunked_body_is_cut_off_at_the_limit(shared: Running) -> None:
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    with connected(shared.http) as sock:
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        sent = 0
        try:
            while sent < 64 << 20:
                sock.sendall(chunk)
                sent += 65_536
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 32 << 20
    still_serves(shared)


@pytest.mark.parametrize("declared", [1_000, 900_000])
def test_a_body_shorter_than_declared_times_out(declared: int, hasty: Running) -> None:
    answer = raw(hasty, HEAD + b"Content-Length: %d\r\n\r\n" % declared + b"x" * 10)
    assert answer.startswith(b"HTTP/1.1 408 ")
    leaves_nothing_behind(hasty)


def drip(sock: socket.socket) -> None:
    """A byte now and then, for as long as anybody takes them."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        sock.sendall(b"x")
        time.sleep(0.02)


def test_a_body_that_drips_in_times_out(hasty: Running) -> None:
    with connected(hasty.http) as sock:
        sock.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            drip(sock)
    leaves_nothing_behind(hasty)


def test_headers_that_drip_in_time_out(hasty: Running) -> None:
    with connected(hasty.http) as sock:
        sock.sendall(HEAD[:-4])
        assert read_until_closed(sock).startswith(b"HTTP/1.1 408 ")
    with connected(hasty.http) as silent:
        assert read_until_closed(silent).startswith(b"HTTP/1.1 408 ")
    leaves_nothing_behind(hasty)


@pytest.mark.parametrize(
    "flood",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * (1 << 20),
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Many: a\r\n" * 60_000,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Many: a\r\n" * 500 + b"\r\n",
        b"GET /" + b"a" * (1 << 20),
    ],
)
def test_headers_without_end_are_refused(flood: bytes, shared: Running) -> None:
    with connected(shared.http) as sock:
        try:
            for start in range(0, len(flood), 50_000):
                sock.sendall(flood[start : start + 50_000])
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = read_until_closed(sock)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    still_serves(shared)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS hello
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"\0" * 5_000,
    ],
)
def test_what_is_not_http_is_hung_up_on(garbage: bytes, shared: Running) -> None:
    answer = raw(shared, garbage)
    assert answer == b"" or answer[9:12] in (b"400", b"408")
    still_serves(shared)


def test_a_client_that_hangs_up_midway_leaves_nothing_behind(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        for _ in range(20):
            with connected(up.http) as sock:
                sock.sendall(HEAD + b"Content-Length: 100000\r\n\r\n" + bytes(50_000))
        wait_until(lambda: up.door.in_flight_requests == 0 and up.door.in_flight_bytes == 0)
        assert up.spooled() == []
        still_serves(up)


def test_connections_beyond_the_bound_are_told_to_come_again(tmp_path: Path) -> None:
    with running(tmp_path, max_connections=50) as up:
        held = [socket.create_connection(up.http, timeout=PATIENCE) for _ in range(50)]
        try:
            wait_until(lambda: len(up.receivers._http.connections) == 50)  # type: ignore[union-attr]
            with connected(up.http) as one_more:
                assert read_until_closed(one_more).startswith(b"HTTP/1.1 429 ")
        finally:
            for sock in held:
                sock.close()
        wait_until(lambda: not up.receivers._http.connections)  # type: ignore[union-attr]
        still_serves(up)


def test_many_clients_at_once_are_all_served(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        answers: list[int] = []

        def send(number: int) -> None:
            for _ in range(5):
                answers.append(up.post("/v1/traces", traces(name=f"c{number}"), PROTOBUF).status)

        threads = [threading.Thread(target=send, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [200] * 200
        assert len(up.spooled()) == 200


# Stopping.


def test_requests_in_flight_are_answered_when_stopping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path) as up:
        body = traces()
        sock = socket.create_connection(up.http, timeout=PATIENCE)
        sock.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body[:10])
        wait_until(lambda: up.door.in_flight_requests == 1)
        shut = up.door.shut

        def shut_and_send_the_rest() -> None:
            shut()
            sock.sendall(body[10:])

        monkeypatch.setattr(up.door, "shut", shut_and_send_the_rest)
    with sock:
        assert read_until_closed(sock).startswith(b"HTTP/1.1 200 ")
