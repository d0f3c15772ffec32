"""The whole backend as users start it: `sonde serve` in a process of its own, on the embedded store."""

from __future__ import annotations

import errno
import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest
from clickhouse_http import Gate
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from running import Running, serving, sonde

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One running server for the tests that leave it running."""
    with serving(tmp_path_factory.mktemp("serve")) as running:
        yield running


def log_request(service: str, body: str, at: int | None = None) -> bytes:
    record = {"timeUnixNano": str(at or time.time_ns()), "severityNumber": 9, "body": {"stringValue": body}}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    return json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]}).encode()


def test_it_says_where_to_send_and_where_to_look(server: Running) -> None:
    assert set(server.urls) == {"grpc", "http", "query"}
    assert "kept: traces 14 days, logs 30 days, metrics 90 days" in server.output
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT={server.urls['grpc']}" in server.output
    assert "Traceback" not in server.output


def test_it_is_healthy_and_ready(server: Running) -> None:
    assert server.get("/healthz")["status"] == "ok"
    assert server.get("/readyz")["status"] == "ready"


def test_a_log_record_sent_over_http_is_found(server: Running) -> None:
    status, _ = server.post("/v1/logs", log_request("over-http", "hello"))
    assert status == 200
    found = server.wait_for("/api/logs?service=over-http", lambda answer: answer["logs"])
    assert found["logs"][0]["body"] == "hello"


def test_spans_of_the_official_exporter_arrive_over_grpc(server: Running) -> None:
    provider = TracerProvider(resource=Resource.create({"service.name": "over-grpc"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(server.urls["grpc"], insecure=True)))
    with provider.get_tracer("test").start_as_current_span("GET /basket"):
        pass
    provider.shutdown()
    found = server.wait_for("/api/spans?service=over-grpc", lambda answer: answer["spans"])
    assert found["spans"][0]["name"] == "GET /basket"


def test_what_is_refused_is_counted_in_the_ledger(server: Running) -> None:
    status, _ = server.post("/v1/traces", b"{")
    assert status == 400
    ledger = server.wait_for("/api/ledger", lambda answer: "malformed" in answer["total"]["rejected"])
    assert ledger["balanced"]


def test_a_second_process_on_the_same_folder_is_told_so(server: Running) -> None:
    flags = ("--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0", "--query", "127.0.0.1:0")
    done = sonde("serve", *flags, cwd=server.folder)
    printed = done.stderr.decode()
    assert done.returncode == 1
    assert f"is open in another process (pid {server.process.pid})" in printed
    assert len(printed.splitlines()) == 2, "the start's first line and the sentence, nothing of the engine's own"
    assert "Traceback" not in printed


@pytest.mark.parametrize(("flag", "name"), [("--otlp-grpc", "grpc"), ("--otlp-http", "http"), ("--query", "query")])
def test_a_taken_port_is_told_before_anything_starts(server: Running, flag: str, name: str, tmp_path: Path) -> None:
    taken = server.urls[name].removeprefix("http://")
    others = [
        part for other in ("--otlp-grpc", "--otlp-http", "--query") if other != flag for part in (other, "127.0.0.1:0")
    ]
    done = sonde("serve", flag, taken, *others, cwd=tmp_path)
    printed = done.stderr.decode()
    assert done.returncode == 1
    assert f"can't listen on {taken}" in printed
    assert flag.removeprefix("--").replace("-", "_") in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "data").exists()


def test_export_and_import_carry_everything_to_another_sonde(server: Running, tmp_path: Path) -> None:
    for index in range(20):
        server.post("/v1/logs", log_request("carried", f"record {index}"))
    server.wait_for("/api/logs?service=carried", lambda answer: len(answer["logs"]) == 20)
    exported = tmp_path / "logs.jsonl"
    done = sonde("export", "--signal", "logs", "--url", server.urls["query"], "--output", str(exported), cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    protobuf = sonde("export", "--signal", "logs", "--format", "protobuf", "--url", server.urls["query"], cwd=tmp_path)
    with serving(tmp_path) as other:
        done = sonde("import", "logs.jsonl", "--endpoint", other.urls["http"], cwd=tmp_path)
        assert done.returncode == 0, done.stderr.decode()
        assert b"0 refused" in done.stderr
        found = other.wait_for("/api/logs?service=carried", lambda answer: len(answer["logs"]) == 20)
        assert {log["body"] for log in found["logs"]} == {f"record {index}" for index in range(20)}
        argv = ("import", "-", "--signal", "logs", "--format", "protobuf", "--endpoint", other.urls["http"])
        done = sonde(*argv, cwd=tmp_path, stdin=protobuf.stdout)
        assert done.returncode == 0, done.stderr.decode()
        other.wait_for("/api/logs?service=carried", lambda answer: len(answer["logs"]) == 40)
        assert other.stop() == 0


def test_import_tells_what_was_rejected_and_why(server: Running, tmp_path: Path) -> None:
    old = time.time_ns() - 400 * 86_400 * 10**9
    (tmp_path / "logs.jsonl").write_bytes(log_request("old", "old", old) + b"\n" + log_request("new", "new") + b"\n")
    done = sonde("import", "logs.jsonl", "--endpoint", server.urls["http"], cwd=tmp_path)
    printed = done.stderr.decode()
    assert done.returncode == 1
    assert "2 requests sent (2 of logs): 2 accepted, 0 refused" in printed
    assert "1 records of logs rejected" in printed
    assert "too_old" in printed or "older" in printed or "too old" in printed


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_demo_is_taken_whole(server: Running, protocol: str, tmp_path: Path) -> None:
    before = server.get("/api/ledger")["total"]
    argv = ("demo", "--duration", "3", "--rate", "300", "--protocol", protocol, "--endpoint", server.urls[protocol])
    done = sonde(*argv, cwd=tmp_path)
    printed = done.stderr.decode()
    assert done.returncode == 0, printed
    assert printed.count(" 0 rejected") == 3
    assert "bad deployment of checkout 2.4.1" in printed or "rolled back" in printed or "all is well" in printed
    ledger = server.wait_for("/api/ledger", lambda answer: answer["total"]["pending"]["requests"] == 0)
    assert ledger["balanced"]
    assert ledger["total"]["rejected"] == before["rejected"]
    assert ledger["total"]["stored"]["records"] - before["stored"]["records"] > 3_000
    services = {service["name"] for service in server.get("/api/services")["services"]}
    assert {"gateway", "storefront", "checkout", "jobs"} <= services


def test_doctor_finds_a_running_sonde_healthy(server: Running) -> None:
    flags = [
        part
        for name, flag in (("grpc", "--otlp-grpc"), ("http", "--otlp-http"), ("query", "--query"))
        for part in (flag, server.urls[name][7:])
    ]
    done = sonde("doctor", "--json", *flags, cwd=server.folder)
    findings = json.loads(done.stdout)
    assert done.returncode == 0
    assert {finding["level"] for finding in findings} == {"ok"}, findings
    assert any("open in the running sonde" in finding["what"] for finding in findings)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_flushes_everything_and_exits_with_0(number: signal.Signals, tmp_path: Path) -> None:
    with serving(tmp_path, "--segment-age-seconds", "1h") as running:
        for index in range(5):
            assert running.post("/v1/logs", log_request("flushed", f"record {index}"))[0] == 200
        assert running.get("/api/ledger")["total"]["pending"]["records"] == 5
        assert running.stop(number) == 0
        assert "5 records were stored, nothing is left in the spool" in running.output
    with serving(tmp_path) as running:
        assert len(running.get("/api/logs?service=flushed")["logs"]) == 5
        assert running.stop() == 0


def test_what_was_acknowledged_before_a_kill_is_stored_after_the_next_start(tmp_path: Path) -> None:
    with serving(tmp_path, "--segment-age-seconds", "1h") as running:
        assert running.post("/v1/logs", log_request("killed", "still here"))[0] == 200
        running.process.kill()
    with serving(tmp_path) as running:
        found = running.wait_for("/api/logs?service=killed", lambda answer: answer["logs"])
        assert [log["body"] for log in found["logs"]] == ["still here"]
        assert running.get("/api/ledger")["balanced"]
        assert running.stop() == 0


def test_several_receiver_processes_share_ports_and_spool_and_stop_together(tmp_path: Path) -> None:
    with serving(tmp_path, "--receivers", "2") as running:
        for index in range(10):
            assert running.post("/v1/logs", log_request("shared", f"record {index}"))[0] == 200
        running.wait_for("/api/logs?service=shared", lambda answer: len(answer["logs"]) == 10)
        port = int(running.urls["http"].rpartition(":")[2])
        assert running.stop() == 0
        assert "Traceback" not in running.output
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def test_the_query_half_alone_reads_a_store_that_nobody_has_open(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        running.post("/v1/logs", log_request("kept", "hello"))
        assert running.stop() == 0
    with serving(tmp_path, command="query") as running:
        assert len(running.get("/api/logs?service=kept")["logs"]) == 1
        assert running.stop() == 0


def test_the_two_halves_meet_in_a_clickhouse_server(gate: Gate, gate_url: str, tmp_path: Path) -> None:
    flags = ("--store", gate_url, "--database", f"halves_{tmp_path.name}")
    with serving(tmp_path, *flags, command="ingest") as ingest, serving(tmp_path, *flags, command="query") as query:
        assert "password" not in ingest.output
        assert ingest.post("/v1/logs", log_request("halved", "hello"))[0] == 200
        query.wait_for("/api/logs?service=halved", lambda answer: answer["logs"])
        gate.shut()
        assert ingest.post("/v1/logs", log_request("halved", "while the server was away"))[0] == 200
        gate.open()
        found = query.wait_for("/api/logs?service=halved", lambda answer: len(answer["logs"]) == 2)
        assert {log["body"] for log in found["logs"]} == {"hello", "while the server was away"}
        with pytest.raises(HTTPError, match="503"):
            query.get("/api/ledger")
        assert (ingest.stop(), query.stop()) == (0, 0)
        assert "2 records were stored, nothing is left in the spool" in ingest.output


@pytest.mark.parametrize(("flag", "what"), [("--store", "store"), ("--spool", "spool")])
def test_a_folder_that_can_not_be_made_is_told_in_a_sentence(flag: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    value = f"chdb://{tmp_path}/file/x" if what == "store" else f"{tmp_path}/file/x"
    ports = ("--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0", "--query", "127.0.0.1:0")
    done = sonde("serve", *ports, flag, value, cwd=tmp_path)
    printed = done.stderr.decode()
    assert done.returncode == 1
    assert what in printed
    assert "Traceback" not in printed
