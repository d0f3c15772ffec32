"""The HTTP server alone, with an application that echoes: however the bytes are cut, each request is read as it was sent."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvloop
from receiving import PATIENCE, read_until_closed, wait_until
from sonde.ingest.addresses import Address, bind
from sonde.ingest.errors import TooLarge
from sonde.ingest.http_server import BUFFER_BYTES, FIRST_READ_BYTES, Exchange, HttpServer, Response

LIMIT = 4 << 20


class Echo:
    """Answers with path, size and checksum of the body; holds at most LIMIT bytes, and refuses /no at once."""

    def __init__(self) -> None:
        self.held = 0
        self.open = 0

    def begin(self, method: str, path: str, headers: dict[bytes, bytes]) -> Exchange | Response:
        if path == "/no":
            return Response(404, [], b"no")
        self.open += 1
        return Echoing(self, path)

    def failure(self, error: Exception) -> Response:
        return Response(400, [], str(error).encode())


class Echoing:
    def __init__(self, app: Echo, path: str) -> None:
        self.app = app
        self.path = path
        self.held = 0

    def hold(self, size: int) -> None:
        self.held += size
        if self.held > LIMIT:
            raise TooLarge("too large")

    async def answer(self, body: bytes | memoryview) -> Response:
        await asyncio.sleep(0)
        self.app.open -= 1
        return Response(200, [(b"x-path", self.path.encode())], f"{self.path} {digest(bytes(body))}".encode())

    def refuse(self, error: Exception) -> Response:
        self.app.open -= 1
        return Response(413, [], str(error).encode())

    def abandon(self) -> None:
        self.app.open -= 1


def digest(body: bytes) -> str:
    return f"{len(body)}-{hash(body) & 0xFFFF_FFFF:08x}"


@contextmanager
def serving(timeout_seconds: float = PATIENCE) -> Iterator[tuple[Echo, tuple[str, int]]]:
    sock = bind(Address("127.0.0.1", 0), "x")
    address = sock.getsockname()
    loop = uvloop.new_event_loop()
    app = Echo()

    async def start() -> HttpServer:
        server = HttpServer(app, sock, timeout_seconds=timeout_seconds)
        await server.start()
        return server

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield app, address
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(PATIENCE), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def echo() -> Iterator[tuple[Echo, tuple[str, int]]]:
    with serving() as running:
        yield running


def request(path: str, body: bytes, *, chunked: int = 0, close: bool = False, headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}{'Connection: close' + chr(13) + chr(10) if close else ''}"
    if not chunked:
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    pieces = [body[start : start + chunked] for start in range(0, len(body), chunked)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + framed + b"0\r\n\r\n"


def answers(received: bytes) -> list[tuple[int, bytes]]:
    """(status, body) of each answer in `received`."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head)[1])  # type: ignore[index]
        found.append((int(head[9:12]), rest[:length]))
        received = rest[length:]
    return found


SIZES = (
    0,
    1,
    100,
    FIRST_READ_BYTES - 100,
    FIRST_READ_BYTES,
    FIRST_READ_BYTES + 1,
    100_000,
    BUFFER_BYTES,
    BUFFER_BYTES + 1,
    3 * BUFFER_BYTES + 7,
)


@pytest.mark.parametrize("seed", range(30))
def test_requests_are_read_as_they_were_sent_however_they_are_cut(
    seed: int, echo: tuple[Echo, tuple[str, int]]
) -> None:
    rng = random.Random(seed)
    _, address = echo
    stream, wanted = b"", []
    count = rng.randrange(1, 6)
    for number in range(count):
        body = rng.randbytes(rng.choice(SIZES))
        refused = rng.random() < 0.2
        path = "/no" if refused else f"/r{number}"
        chunked = rng.choice((0, 0, 1_000, 70_000))
        stream += request(path, body, chunked=chunked, close=number == count - 1)
        wanted.append((404, b"no") if refused else (200, f"{path} {digest(body)}".encode()))
    with socket.create_connection(address, timeout=PATIENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def send() -> None:
            at = 0
            while at < len(stream):
                size = rng.choice((1, 10, 1_000, 20_000, 500_000)) if at > len(stream) - 300_000 else 200_000
                sock.sendall(stream[at : at + size])
                at += size
                if rng.random() < 0.05:
                    time.sleep(0.001)

        sender = threading.Thread(target=send)
        sender.start()
        received = read_until_closed(sock)
        sender.join()
    assert answers(received) == wanted


def test_headers_byte_by_byte_are_read_whole(echo: tuple[Echo, tuple[str, int]]) -> None:
    _, address = echo
    with socket.create_connection(address, timeout=PATIENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request("/slow?query=1", b"body", close=True):
            sock.sendall(bytes([byte]))
        assert answers(read_until_closed(sock)) == [(200, f"/slow {digest(b'body')}".encode())]


@pytest.mark.parametrize("body", [b"", b"x" * 100, b"x" * 300_000])
def test_an_offer_to_upgrade_is_ignored_and_the_request_answered(
    body: bytes, echo: tuple[Echo, tuple[str, int]]
) -> None:
    _, address = echo
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    with socket.create_connection(address, timeout=PATIENCE) as sock:
        sock.sendall(request("/one", body, headers=offer) + request("/two", body, close=True))
        assert [answer[1].split()[0] for answer in answers(read_until_closed(sock))] == [b"/one", b"/two"]


@pytest.mark.parametrize("chunked", [0, 50_000])
def test_a_refusal_midway_is_heard_and_the_connection_goes_on(chunked: int, echo: tuple[Echo, tuple[str, int]]) -> None:
    app, address = echo
    with socket.create_connection(address, timeout=PATIENCE) as sock:
        sock.sendall(request("/big", bytes(LIMIT + 1_000_000), chunked=chunked) + request("/next", b"", close=True))
        received = answers(read_until_closed(sock))
    assert received == [(413, b"too large"), (200, f"/next {digest(b'')}".encode())]
    assert app.open == 0


def test_a_refused_body_without_end_is_cut_off(echo: tuple[Echo, tuple[str, int]]) -> None:
    app, address = echo
    with socket.create_connection(address, timeout=PATIENCE) as sock:
        sock.sendall(b"POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        sent = 0
        try:
            while sent < 64 << 20:
                sent += sock.send(bytes(1 << 20))
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 32 << 20
    assert app.open == 0


def test_a_client_that_never_reads_its_answers_is_not_read_from_for_ever() -> None:
    with serving(timeout_seconds=1.0) as (app, address), socket.create_connection(address, timeout=3) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        pipelined = request("/again", b"") * 1_000
        sent = 0
        try:
            while sent < 256 << 20:
                sent += sock.send(pipelined)
        except (TimeoutError, BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 64 << 20
        assert app.open < 1_000


def test_a_connection_that_closes_between_requests_leaves_nothing(echo: tuple[Echo, tuple[str, int]]) -> None:
    app, address = echo
    for cut in (10, 60, 200, 20_000):
        with socket.create_connection(address, timeout=PATIENCE) as sock:
            sock.sendall(request("/cut", bytes(100_000))[:cut])
    wait_until(lambda: app.open == 0)


def test_an_idle_connection_is_closed_when_stopping_and_a_busy_one_answered() -> None:
    with serving() as (app, address):
        idle = socket.create_connection(address, timeout=PATIENCE)
        idle.sendall(request("/first", b""))
        assert idle.recv(10_000).startswith(b"HTTP/1.1 200 OK")
        busy = socket.create_connection(address, timeout=PATIENCE)
        whole = request("/late", b"x" * 1_000)
        busy.sendall(whole[:500])
        wait_until(lambda: app.open == 1)
        threading.Timer(0.3, busy.sendall, [whole[500:]]).start()
    with idle, busy:
        assert idle.recv(100) == b""
        received = read_until_closed(busy)
        assert received.startswith(b"HTTP/1.1 200 OK")
        assert b"connection: close" in received
