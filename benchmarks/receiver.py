"""A receiver that takes all telemetry and does nothing with it, so that only the app costs: OTLP/HTTP, and a Datadog agent."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator


def receive(port: int) -> None:
    """Answers what an OTLP receiver and a Datadog agent would; GET /spans tells and forgets what came."""
    import gzip
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    bodies: list[tuple[str, bytes]] = []

    def spans(path: str, body: bytes) -> int:
        if path != "/v1/traces":
            return 0
        request = ExportTraceServiceRequest.FromString(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        return sum(len(scope.spans) for each in request.resource_spans for scope in each.scope_spans)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found

        def do_POST(self) -> None:
            bodies.append((self.path, self.body()))
            otlp = self.path == "/v1/traces"
            self.answer(b"" if otlp else b"{}", "application/x-protobuf" if otlp else "application/json")

        do_PUT = do_POST

        def do_GET(self) -> None:
            if self.path != "/spans":
                return self.answer(b'{"endpoints": ["/v0.4/traces"]}', "application/json")
            told = {"spans": sum(spans(*each) for each in bodies), "bytes": sum(len(body) for _, body in bodies)}
            bodies.clear()
            return self.answer(json.dumps(told).encode(), "application/json")

        def log_message(self, format: str, *arguments: object) -> None:
            """What is printed is the report."""

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


@contextlib.contextmanager
def receiving() -> Iterator[str]:
    """The URL of one that runs in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([sys.executable, __file__, str(port)])
    try:
        while not answers(url):
            if process.poll() is not None:
                raise SystemExit("the receiver did not start")
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    with contextlib.suppress(OSError):
        return bool(told(url))
    return False


def told(url: str) -> dict[str, int]:
    """`spans`, of OTLP only, and `bytes` that came since it was asked last."""
    with urllib.request.urlopen(f"{url}/spans", timeout=60) as answer:
        return dict(json.load(answer))


if __name__ == "__main__":
    receive(int(sys.argv[1]))
