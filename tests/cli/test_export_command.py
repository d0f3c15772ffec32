"""`sonde export` writes a whole file or none."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sonde.cli.main import main


@contextlib.contextmanager
def answering(body: bytes) -> Iterator[tuple[str, list[str]]]:
    """A server that gives `body` as the raw rest of a chunked answer; its URL, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_a_whole_answer_becomes_a_file(tmp_path: Path) -> None:
    with answering(b"3\r\n{}\n\r\n0\r\n\r\n") as (url, asked):
        assert (
            main(["export", "--signal", "logs", "--url", url, "--output", str(tmp_path / "x"), "--start", "-15m"]) == 0
        )
    assert (tmp_path / "x").read_bytes() == b"{}\n"
    assert asked == ["/api/export?signal=logs&format=json&start=-15m"]


def test_without_a_start_everything_is_asked_for(tmp_path: Path) -> None:
    with answering(b"0\r\n\r\n") as (url, asked):
        assert main(["export", "--signal", "logs", "--url", url, "--output", str(tmp_path / "x")]) == 0
    assert "start=1970-01-01T00%3A00%3A00Z" in asked[0]


def test_an_answer_that_breaks_off_leaves_no_file_of_that_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(b"3\r\n{}\n\r\n9\r\n{") as (url, _):
        assert main(["export", "--signal", "logs", "--url", url, "--output", str(tmp_path / "x")]) == 1
    assert "broke off and is not complete" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_file_that_can_not_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(b"0\r\n\r\n") as (url, _):
        assert main(["export", "--signal", "logs", "--url", url, "--output", str(tmp_path / "none" / "x")]) == 1
    assert "can't be written: No such file or directory" in capsys.readouterr().err
