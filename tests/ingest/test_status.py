"""What each refusal becomes on the wire."""

from __future__ import annotations

import pytest
from google.protobuf import json_format
from google.rpc import status_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from sonde.ingest import errors, status
from sonde.ingest.signals import Signal

CASES: list[tuple[Exception, int, int, float | None]] = [
    # error, HTTP status, google.rpc code, seconds until it may be sent again
    (errors.Malformed("x"), 400, 3, None),
    (errors.Unauthenticated("x"), 401, 16, None),
    (errors.NotFound("x"), 404, 12, None),
    (errors.MethodNotAllowed("x"), 405, 12, None),
    (errors.TooSlow("x"), 408, 4, None),
    (errors.TooLarge("x"), 413, 8, None),
    (errors.UnsupportedMediaType("x"), 415, 3, None),
    (errors.HeadersTooLarge("x"), 431, 8, None),
    (errors.Overloaded("x", 0.2), 429, 14, 0.2),
    (errors.SpoolFull("x", 5.0), 503, 14, 5.0),
    (ValueError("inside"), 500, 13, None),
]


@pytest.mark.parametrize(("error", "http", "code", "retry"), CASES, ids=[type(case[0]).__name__ for case in CASES])
def test_every_refusal_has_its_codes(error: Exception, http: int, code: int, retry: float | None) -> None:
    assert status.codes_of(error) == status.Codes(http, code)
    assert status.retry_after_seconds(error) == retry
    assert (http in (429, 503)) == (retry is not None)  # the codes that OTLP clients retry


def all_refusals(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(all_refusals(child) for child in kind.__subclasses__()))


def test_the_table_covers_the_whole_tree() -> None:
    assert all_refusals(errors.RequestRefused) - {errors.RequestRefused} <= {type(case[0]) for case in CASES}


@pytest.mark.parametrize("error", [case[0] for case in CASES], ids=[type(case[0]).__name__ for case in CASES])
def test_protobuf_and_json_say_the_same(error: Exception) -> None:
    wanted = status.status_of(error)
    assert status_pb2.Status.FromString(status.encode_status(wanted, json=False)) == wanted
    assert json_format.Parse(status.encode_status(wanted, json=True), status_pb2.Status()) == wanted
    assert wanted.message == ("x" if isinstance(error, errors.RequestRefused) else status.FAULT_MESSAGE)


@pytest.mark.parametrize(("seconds", "header"), [(0.0, b"1"), (0.2, b"1"), (1.0, b"1"), (1.1, b"2"), (30, b"30")])
def test_retry_after_is_in_whole_seconds_and_never_early(seconds: float, header: bytes) -> None:
    assert status.retry_after_header(seconds) == header


RESPONSES = {
    Signal.TRACES: (ExportTraceServiceResponse, "rejected_spans"),
    Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points"),
    Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records"),
}


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("json", [False, True])
@pytest.mark.parametrize(
    ("rejected", "message"), [(1, "why"), (300, "ü" * 200), (2**40, "x"), (0, "a warning"), (5, "")]
)
def test_a_partial_success_is_what_the_official_classes_read(
    signal: Signal, json: bool, rejected: int, message: str
) -> None:
    kind, count = RESPONSES[signal]
    body = status.encode_success(signal, rejected, message, json=json)
    response = json_format.Parse(body, kind()) if json else kind.FromString(body)
    assert getattr(response.partial_success, count) == rejected
    assert response.partial_success.error_message == message


@pytest.mark.parametrize("signal", Signal)
def test_full_success_is_an_empty_response(signal: Signal) -> None:
    assert status.encode_success(signal, 0, "", json=False) == b""
    assert status.encode_success(signal, 0, "", json=True) == b"{}"
