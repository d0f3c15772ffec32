"""`sonde spool` over a real spool folder, with nothing running on it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sonde.cli.main import main
from sonde.ingest.quarantine import set_aside
from sonde.ingest.signals import Signal
from sonde.ingest.spool import SpoolWriter
from sonde.ingest.spool_folder import SpoolFolder


def request() -> bytes:
    message = ExportTraceServiceRequest()
    span = message.resource_spans.add().scope_spans.add().spans.add(name="GET /basket")
    span.trace_id = bytes(range(16))
    span.span_id = bytes(range(8))
    return message.SerializeToString()


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one sealed segment of two requests, another in quarantine."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data" / "spool"
    for tenant in ("shop", "default"):
        writer = SpoolWriter(path, segment_age_seconds=60)
        for _ in range(2):
            writer.append(tenant, Signal.TRACES, request(), received_unix_nano=time.time_ns(), records=1).result(60)
        writer.close()
    folder = SpoolFolder(path)
    first = folder.list()[0]
    set_aside(folder, first.id, {"what": "the store refused column `x`"})
    return path


def test_ls_shows_what_waits_and_what_is_in_quarantine_and_why(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spool", "ls"]) == 0
    printed = capsys.readouterr()
    assert "sealed       2 requests, 2 records" in printed.out
    assert "quarantined  2 requests, 2 records" in printed.out
    assert "the store refused column `x`" in printed.out
    assert "1 segments for the store, 1 in quarantine" in printed.err


def test_ls_speaks_json(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spool", "ls", "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(item["state"], item["tenant"], item["signal"], item["records"]) for item in found] == [
        ("sealed", "default", "traces", 2),
        ("quarantined", "shop", "traces", 2),
    ]


def test_cat_prints_the_requests_as_otlp_json(spool: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    identity = SpoolFolder(spool).list()[0].id
    assert main(["spool", "cat", identity[:40]]) == 0
    lines = capsysbinary.readouterr().out.splitlines()
    assert len(lines) == 2
    span = json.loads(lines[0])["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert (span["name"], span["traceId"]) == ("GET /basket", bytes(range(16)).hex())


def test_cat_gives_back_the_very_bytes(spool: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    identity = SpoolFolder(spool).list()[0].id
    assert main(["spool", "cat", identity, "--format", "protobuf"]) == 0
    assert capsysbinary.readouterr().out == request() * 2


def test_replay_gives_quarantined_segments_back(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spool", "replay", "--all"]) == 0
    assert "1 replayed" in capsys.readouterr().err
    assert len(SpoolFolder(spool).list()) == 2
    assert not list((spool / "quarantine").iterdir())


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["cat"], 2, "say which segment"),
        (["cat", "999"], 1, "no segment begins with '999'"),
        (["cat", "1"], 1, "2 segments begin with '1'"),
        (["replay"], 2, "say which segment to replay"),
        (["replay", "999"], 1, "no segment in quarantine"),
        (["ls", "--spool", "elsewhere"], 1, "there is no spool at"),
    ],
)
def test_mistakes_are_met_with_a_sentence(
    spool: Path, argv: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["spool", *argv]) == code
    assert says in capsys.readouterr().err
