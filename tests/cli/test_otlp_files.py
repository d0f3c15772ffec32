"""OTLP files become requests without a byte of telemetry changed or lost."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sonde.cli import otlp_files
from sonde.cli.errors import CommandError
from sonde.cli.otlp_client import JSON, PROTOBUF
from sonde.cli.otlp_files import Request, open_source, read_requests

SPAN_LINE = b'{"resourceSpans":[{"resource":{"attributes":[]}}]}'
LOG_LINE = b'{"resourceLogs":[]}'


def read(path: Path, kind: str = "", signal: str = "") -> list[Request]:
    source = open_source(str(path))
    with source.raw:
        return list(read_requests(source, kind, signal))


def message(resources: int) -> bytes:
    request = ExportTraceServiceRequest()
    for index in range(resources):
        request.resource_spans.add().schema_url = f"https://example.org/{index}"
    return request.SerializeToString()


def test_each_line_of_json_is_one_request_of_its_own_signal(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(SPAN_LINE + b"\n\n" + LOG_LINE + b"\r\n" + SPAN_LINE)
    found = read(path)
    assert [(item.signal, item.content_type, item.body) for item in found] == [
        ("traces", JSON, SPAN_LINE),
        ("logs", JSON, LOG_LINE),
        ("traces", JSON, SPAN_LINE),
    ]
    assert [item.position for item in found] == ["line 1", "line 3", "line 4"]


def test_a_json_document_of_many_lines_is_one_request(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.write_bytes(b'{\n  "resourceSpans": [\n  ]\n}\n')
    (found,) = read(path)
    assert found.signal == "traces"
    assert found.body == path.read_bytes()


def test_gzip_is_recognised_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    path.write_bytes(gzip.compress(SPAN_LINE + b"\n" + SPAN_LINE))
    assert [item.body for item in read(path)] == [SPAN_LINE, SPAN_LINE]


def test_protobuf_is_cut_between_resources_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_files, "REQUEST_BYTES", 100)
    path = tmp_path / "traces.pb"
    path.write_bytes(message(50))
    found = read(path)
    assert len(found) > 5
    assert all(item.content_type == PROTOBUF and item.signal == "traces" for item in found)
    assert b"".join(item.body for item in found) == message(50)
    assert sum(len(ExportTraceServiceRequest.FromString(item.body).resource_spans) for item in found) == 50


def test_protobuf_without_a_suffix_is_told_by_its_first_byte(tmp_path: Path) -> None:
    path = tmp_path / "spans"
    path.write_bytes(message(1))
    assert read(path)[0].content_type == PROTOBUF


def test_an_empty_file_holds_no_requests(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.touch()
    assert read(path) == []


@pytest.mark.parametrize(
    ("name", "content", "signal", "says"),
    [
        ("x.jsonl", SPAN_LINE + b"\n{oops\n", "", "line 2: not one JSON object on a line"),
        ("x.jsonl", b"[1]", "", "neither JSON lines nor one JSON document"),
        ("x.jsonl", b'{"spans":[]}', "", "none of resourceSpans"),
        ("x.jsonl", LOG_LINE, "traces", "holds logs, but --signal says traces"),
        ("x.pb", b"\x0a\x00", "", "add --signal"),
        ("traces-and-logs.pb", b"\x0a\x00", "", "add --signal"),
        ("trace.pb", message(3)[:-1], "", "the file ends within a message"),
        ("trace.pb", b"\x08\x01", "", "no OTLP protobuf"),
        ("trace.pb", b"\xff" * 20, "", "no OTLP protobuf"),
    ],
)
def test_what_is_no_otlp_is_told_with_its_place(
    tmp_path: Path, name: str, content: bytes, signal: str, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CommandError, match=says):
        read(path, signal=signal)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        open_source(str(tmp_path / "none.pb"))
