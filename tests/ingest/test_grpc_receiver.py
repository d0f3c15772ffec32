"""OTLP/gRPC over real channels: answers, refusals with their details, limits, and stopping."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from receiving import PATIENCE, REQUESTS, Running, Spooled, connected, running, traces, wait_until
from sonde.ingest.errors import SpoolFull
from sonde.ingest.grpc_receiver import DETAILS, RETRY_INFO
from sonde.ingest.services import METHODS
from sonde.ingest.signals import Signal

METHOD = {signal: method for method, signal in METHODS.items()}
LIMIT = 1 << 20
LARGE = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]

Export = Callable[..., bytes]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("spool"), max_request_bytes=LIMIT) as up:
        yield up


def call(up: Running, method: str, body: bytes, **options: Any) -> bytes:
    """One call over a channel of its own, with the bytes as they are."""
    with grpc.insecure_channel(up.grpc, options=LARGE) as channel:
        answer: bytes = channel.unary_unary(method)(body, timeout=PATIENCE, **options)
        return answer


def export(up: Running, signal: Signal, body: bytes, **options: Any) -> bytes:
    return call(up, METHOD[signal], body, **options)


def refused(up: Running, signal: Signal, body: bytes, **options: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        export(up, signal, body, **options)
    return caught.value


def trailers(error: Any) -> dict[str, Any]:
    return dict(error.trailing_metadata())


def details(error: Any) -> status_pb2.Status:
    status = status_pb2.Status.FromString(trailers(error)[DETAILS])
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    return status


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize(
    "compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate]
)
def test_a_request_is_on_disk_when_it_is_answered(signal: Signal, compression: Any, tmp_path: Path) -> None:
    with running(tmp_path) as up:
        body = REQUESTS[signal](50)
        assert export(up, signal, body, compression=compression) == b""
        assert up.spooled() == [Spooled("default", signal.value, body)]


@pytest.mark.parametrize("signal", Signal)
def test_an_empty_request_succeeds(signal: Signal, shared: Running) -> None:
    assert export(shared, signal, b"") == b""


def test_refused_records_are_counted_and_explained(shared: Running) -> None:
    answer = export(shared, Signal.TRACES, traces(3) + traces(2, trace_id=b"short"))
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert partial.rejected_spans == 2
    assert "trace" in partial.error_message


def test_malformed_bytes_are_invalid_argument_with_bad_request_details(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        error = refused(up, Signal.LOGS, b"\xff\xff\xff")
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        violation = error_details_pb2.BadRequest()
        assert details(error).details[0].Unpack(violation)
        assert "byte" in violation.field_violations[0].description
        assert up.rejected() == {("default", "logs", "malformed"): 1}


def test_a_full_spool_is_unavailable_with_retry_info(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path) as up:

        def full(size: int) -> None:
            raise SpoolFull("the spool is full", retry_after_seconds=2.5)

        monkeypatch.setattr(up.spool._space, "admit", full)
        error = refused(up, Signal.METRICS, REQUESTS[Signal.METRICS]())
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert error.details() == "the spool is full"
        info = error_details_pb2.RetryInfo()
        assert details(error).details[0].Unpack(info)
        assert info.retry_delay.ToMilliseconds() == 2500
        assert error_details_pb2.RetryInfo.FromString(trailers(error)[RETRY_INFO]) == info
        assert up.rejected() == {("default", "metrics", "spool_full"): 1}


def test_too_many_requests_at_once_are_unavailable_with_retry_info(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path, max_in_flight_requests=1) as up:
        monkeypatch.setattr(up.door, "in_flight_requests", 1)
        error = refused(up, Signal.TRACES, traces())
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert RETRY_INFO in trailers(error)
        monkeypatch.undo()
        assert export(up, Signal.TRACES, traces()) == b""


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
@pytest.mark.parametrize("size", [LIMIT + 1, 64 << 20])
def test_too_large_is_resource_exhausted_without_leave_to_retry(compression: Any, size: int, shared: Running) -> None:
    error = refused(shared, Signal.TRACES, bytes(size), compression=compression)
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert RETRY_INFO not in trailers(error)
    assert DETAILS not in trailers(error)
    assert export(shared, Signal.TRACES, traces()) == b""


def test_a_request_of_exactly_the_limit_passes(shared: Running) -> None:
    head, tail = traces(), b"\xc2\x3e"  # an unknown field (1000, LEN) fills the rest
    rest = LIMIT - len(head) - len(tail) - 3
    filler = tail + bytes([rest & 0x7F | 0x80, rest >> 7 & 0x7F | 0x80, rest >> 14]) + bytes(rest)
    assert len(head + filler) == LIMIT
    assert export(shared, Signal.TRACES, head + filler) == b""


@pytest.mark.parametrize(
    ("metadata", "tenant"),
    [
        ((("authorization", "Bearer correct-horse"),), "acme"),
        ((("authorization", "bearer battery-staple"), ("x-sonde-tenant", "other")), "other"),
        ((), None),
        ((("authorization", "Bearer wrong-secret"),), None),
        ((("authorization", "Bearer correct-horse"), ("x-sonde-tenant", "other")), None),
    ],
)
def test_a_token_in_the_metadata_says_whose_the_data_are(
    metadata: tuple[tuple[str, str], ...], tenant: str | None, tmp_path: Path
) -> None:
    with running(tmp_path, tokens=("acme=correct-horse", "other=battery-staple")) as up:
        if tenant is None:
            error = refused(up, Signal.TRACES, traces(), metadata=metadata)
            assert error.code() == grpc.StatusCode.UNAUTHENTICATED
            assert details(error).code == 16
            assert up.spooled() == []
        else:
            export(up, Signal.TRACES, traces(), metadata=metadata)
            assert [spooled.tenant for spooled in up.spooled()] == [tenant]


def test_an_unknown_method_is_unimplemented(shared: Running) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(shared, "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export", b"")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_fault_is_internal_and_tells_nothing_of_the_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path) as up:

        def broken(*_: object) -> None:
            raise RuntimeError("secret inside")

        monkeypatch.setattr(up.door, "prepare", broken)
        error = refused(up, Signal.TRACES, traces())
        assert error.code() == grpc.StatusCode.INTERNAL
        assert "secret" not in error.details()
        assert up.rejected() == {("default", "traces", "fault"): 1}


def test_many_calls_at_once_share_a_channel(tmp_path: Path) -> None:
    with running(tmp_path) as up, grpc.insecure_channel(up.grpc) as channel:
        method = channel.unary_unary(METHOD[Signal.TRACES])
        calls = [method.future(traces(name=f"c{number}"), timeout=PATIENCE) for number in range(300)]
        assert [call.result() for call in calls] == [b""] * 300
        assert len(up.spooled()) == 300


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\0" * 100_000])
def test_what_is_not_http2_does_no_harm(garbage: bytes, shared: Running) -> None:
    host, _, port = shared.grpc.rpartition(":")
    with connected((host, int(port))) as sock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sock.sendall(garbage)
    assert export(shared, Signal.TRACES, traces()) == b""


def test_calls_in_flight_are_answered_when_stopping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[bytes] = []
    with running(tmp_path) as up:
        prepare = up.door.prepare

        def slowly(*arguments: Any) -> Any:
            time.sleep(0.5)
            return prepare(*arguments)

        monkeypatch.setattr(up.door, "prepare", slowly)
        thread = threading.Thread(target=lambda: answers.append(export(up, Signal.TRACES, traces())))
        thread.start()
        wait_until(lambda: up.door.in_flight_requests)
    thread.join()
    assert answers == [b""]
