"""ClickHouse's HTTP interface, as far as clickhouse-connect needs it, over the embedded engine. For tests only.

With it the Store's HTTP path runs through the real client and a real socket where no server is at hand. Each request gets an
engine handle of its own, so that settings and databases of requests never mix, as on a server.

`Gate` stands between a client and a server, real or this one, and can be shut: the server is gone, and back again.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import selectors
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb
from ports import quiet_port

USER, PASSWORD = "tester", "open sesame"
TRANSPORT = {
    "query",
    "query_id",
    "database",
    "default_format",
    "compress",
    "decompress",
    "enable_http_compression",
    "session_id",
    "client_protocol_version",
    "send_progress_in_http_headers",
    "http_headers_progress_interval_ms",
    "wait_end_of_query",
    "buffer_size",
    "user",
    "password",
    "role",
}
"""Request parameters that are not settings."""
INSERT = re.compile(rb"\s*INSERT\s+INTO\s.*?\bFORMAT\s+(\w+)[ \t\f]*\r?\n?", re.IGNORECASE | re.DOTALL)
"""What stands before the data; as in ClickHouse one line's end at most, since a block of 13 columns begins with a CR."""


class Refusal(Exception):
    """An error as ClickHouse reports it."""

    def __init__(self, code: int, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class ClickHouseFront:
    """A running front. `connection`: what chdb.connect took for the engine that is open in this process."""

    def __init__(self, connection: str) -> None:
        self.connection = connection
        self.refusal: Refusal | None = None
        self.requests = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{USER}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/"

    def refuse(self, code: int | None, message: str = "overloaded") -> None:
        """Answer every request with this ClickHouse error code until told otherwise (None)."""
        self.refusal = None if code is None else Refusal(code, f"Code: {code}. DB::Exception: {message}")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # One packet an answer: two of them would meet the delayed acknowledgements of the other side.
            wbufsize = 1 << 16

            def do_GET(self) -> None:
                answer(self, front, b"")

            def do_POST(self) -> None:
                answer(self, front, read_body(self))

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


def read_body(request: BaseHTTPRequestHandler) -> bytes:
    """The request's body, whichever way its length is told."""
    if request.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length", 0)))
    body = b""
    while size := int(request.rfile.readline().split(b";")[0], 16):
        body += request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()
    return body


def answer(request: BaseHTTPRequestHandler, front: ClickHouseFront, body: bytes) -> None:
    """Run what was asked and write the response."""
    front.requests += 1
    parameters = dict(parse_qsl(urlsplit(request.path).query, keep_blank_values=True))
    headers = {"X-ClickHouse-Query-Id": parameters.get("query_id", ""), "X-ClickHouse-Server-Display-Name": "front"}
    try:
        authorize(request)
        if front.refusal:
            raise front.refusal
        kind, data, summary = run(front.connection, parameters, body)
        headers |= {"X-ClickHouse-Summary": json.dumps(summary), "Content-Type": "application/octet-stream"}
        if kind:
            headers["X-ClickHouse-Format"] = kind
        status = 200
    except Refusal as refusal:
        status, data = refusal.status, str(refusal).encode()
        headers["X-ClickHouse-Exception-Code"] = str(refusal.code)
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    with contextlib.suppress(ConnectionError):
        request.wfile.write(data)
        request.wfile.flush()


def authorize(request: BaseHTTPRequestHandler) -> None:
    given = request.headers.get("Authorization", "").removeprefix("Basic ")
    if base64.b64decode(given) != f"{USER}:{PASSWORD}".encode():
        raise Refusal(516, "Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)", 403)


def run(connection: str, parameters: dict[str, str], body: bytes) -> tuple[str, bytes, dict[str, str]]:
    """Format, bytes and summary of the answer to one request."""
    query = parameters.get("query", "").encode()
    statement, data = (query, body) if query else split_insert(body)
    values = {name.removeprefix("param_"): value for name, value in parameters.items() if name.startswith("param_")}
    settings = {k: v for k, v in parameters.items() if k not in TRANSPORT and not k.startswith("param_")}
    handle = chdb.connect(connection)
    try:
        if database := parameters.get("database"):
            handle.query(f"USE `{database}`")
        for name, value in settings.items():
            handle.query(f"SET {name} = '{value.replace(chr(39), chr(92) + chr(39))}'")
        if INSERT.fullmatch(statement) and data:
            return insert(handle, statement, data)
        if data:
            statement += b"\n" + data
        # With names a statement that answers rows always says something, one that does not says nothing.
        result = handle.query(statement.decode(), "TabSeparatedWithNames", params=values)
        return shaped(statement, result.bytes() or b"")
    except (RuntimeError, Exception) as error:
        raise refusal_of(str(error)) from error
    finally:
        handle.close()


def split_insert(body: bytes) -> tuple[bytes, bytes]:
    """An INSERT whose data follows it in the body; any other body is a statement."""
    match = INSERT.match(body)
    return (body[: match.end()], body[match.end() :]) if match else (body, b"")


def insert(handle: Any, statement: bytes, data: bytes) -> tuple[str, bytes, dict[str, str]]:
    """The embedded engine reads inserts from files."""
    file = os.memfd_create("front-insert")
    try:
        with os.fdopen(os.dup(file), "wb") as out:
            out.write(data)
        head, _, kind = statement.decode().strip().rpartition(" FORMAT ")
        result = handle.query(f"{head} FROM INFILE '/proc/self/fd/{file}' FORMAT {kind}")
        return "", b"", {"written_rows": str(result.rows_read()), "written_bytes": str(result.bytes_read())}
    finally:
        os.close(file)


def shaped(statement: bytes, data: bytes) -> tuple[str, bytes, dict[str, str]]:
    """What the client expects: the format it named, else TabSeparated, which has no line of names."""
    if match := re.search(rb"\bFORMAT\s+(\w+)\s*;?\s*$", statement, re.IGNORECASE):
        return match[1].decode(), data, {}
    if not data:
        return "", b"", {}
    return "TabSeparated", data.split(b"\n", 1)[1], {}


def refusal_of(said: str) -> Refusal:
    code = re.search(r"Code: (\d+)", said)
    return Refusal(int(code[1]) if code else 1002, said[code.start() :] if code else said)


class Gate:
    """A TCP forwarder to `host`:`port` that can be shut and opened again on the same port of its own."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.port = quiet_port()
        self._listener: socket.socket | None = None
        self._pairs: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.open()

    def open(self) -> None:
        """Let connections through (again)."""
        if self._listener is not None:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen()
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        """Refuse new connections and break those there are."""
        with self._lock:
            listener, self._listener = self._listener, None
            broken, self._pairs = self._pairs, set()
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for one in broken:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(near, listener), daemon=True).start()

    def _forward(self, near: socket.socket, listener: socket.socket) -> None:
        """Carry bytes both ways until one side ends."""
        with near, contextlib.suppress(OSError), socket.create_connection(self.target) as far:
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                if self._listener is not listener:  # it was shut meanwhile
                    return
                self._pairs |= {near, far}
            other = {near: far, far: near}
            with selectors.DefaultSelector() as ready:
                for one in other:
                    ready.register(one, selectors.EVENT_READ)
                while True:
                    for key, _ in ready.select():
                        one = key.fileobj
                        assert isinstance(one, socket.socket)
                        data = one.recv(1 << 16)
                        if not data:
                            return
                        other[one].sendall(data)
