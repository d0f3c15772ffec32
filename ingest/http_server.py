"""An HTTP/1.1 server for one purpose: large bodies in, small answers out, as cheaply as Python allows.

Headers are parsed by httptools; a body of known length is received straight into the memory from which it is scanned and
written to disk, with no copy in between. Nothing is awaited until a request is complete: what decides on its fate before that
(route, token, bounds) is a plain call. Why not uvicorn: docs/decisions/http-server.md.

Bounded against hostile clients: the size and number of headers, the time a request takes to arrive, what is read ahead or
thrown away, and the number of connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import http
import logging
import socket
import time
from collections import deque
from typing import Protocol, TypeAlias, cast

import httptools
import numpy as np
from sonde.ingest.errors import HeadersTooLarge, Malformed, Overloaded, TooSlow

Headers: TypeAlias = list[tuple[bytes, bytes]]

MAX_HEADER_BYTES = 64 << 10
MAX_HEADERS = 200
FIRST_READ_BYTES = 16 << 10
"""Read at a time until a request's headers are there: they and the whole of a small request, or little of a large one."""
BUFFER_BYTES = 512 << 10
"""What a body is received into at first, however long it says it is; doubled as it really comes."""
SPARE_BUFFERS = 32
"""Kept for the next bodies: fresh memory costs a page fault each 4 KiB, a tenth of what a request costs in all."""
DRAIN_BYTES = 4 << 20
DRAIN_SECONDS = 2.0
"""How much of a refused request is read and thrown away, so that its sender gets to hear the answer."""
KEEP_ALIVE_SECONDS = 90.0
"""Longer than exporters pause between two exports (5 s for spans, 60 s for metrics): else they meet a closing connection."""
BACKLOG = 2_048
SWEEP_SECONDS = 0.25
_log = logging.getLogger(__name__)

STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus if status >= 200
}


class Response:
    """An answer; Content-Length, Date and Connection are added on the way out."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Exchange(Protocol):
    """One request whose body is awaited. Exactly one of `answer`, `refuse` and `abandon` ends it."""

    def hold(self, size: int) -> None:
        """`size` more bytes are held for the body; raises whatever refuses the request for that."""

    async def answer(self, body: bytes | memoryview) -> Response:
        """The body is complete. Raises nothing."""

    def refuse(self, error: Exception) -> Response:
        """The body will not be complete, for this reason."""

    def abandon(self) -> None:
        """The sender hung up."""


class App(Protocol):
    def begin(self, method: str, path: str, headers: dict[bytes, bytes]) -> Exchange | Response:
        """The headers of a request are there (names in lower case): go on to its body, or answer at once."""

    def failure(self, error: Exception) -> Response:
        """The answer to what never became a request."""


class Incoming:
    """A request on its way in, until it is answered."""

    __slots__ = (
        "chunks",
        "complete",
        "content",
        "discarded",
        "exchange",
        "head_only",
        "held",
        "keep_alive",
        "length",
        "response",
    )

    def __init__(self) -> None:
        self.exchange: Exchange | None = None
        self.response: Response | None = None
        """Decided already; sent when it is this request's turn."""
        self.chunks: list[bytes] = []
        self.content: Content | None = None
        """Where the body is received directly."""
        self.length = -1
        """As Content-Length says; -1 for chunked."""
        self.complete = False
        self.discarded = 0
        self.held = 0
        self.keep_alive = True
        self.head_only = False


class Content:
    """Memory for a body of `length` bytes, filled from the front."""

    __slots__ = ("filled", "length", "memory")

    def __init__(self, memory: memoryview, length: int) -> None:
        self.memory = memory
        self.length = length
        self.filled = 0

    def room(self) -> memoryview:
        return self.memory[self.filled : self.length]

    def grow(self) -> None:
        larger = new_memory(min(self.length, 2 * len(self.memory)))
        larger[: self.filled] = self.memory[: self.filled]
        self.memory = larger


def new_memory(size: int) -> memoryview:
    """Not cleared, unlike a bytearray."""
    return np.empty(size, np.uint8).data


class HttpServer:
    """`app` on a bound socket, on the running event loop."""

    def __init__(
        self, app: App, sock: socket.socket, *, timeout_seconds: float = 30.0, max_connections: int = 4_096
    ) -> None:
        self.app = app
        self.timeout_seconds = timeout_seconds
        self.max_connections = max_connections
        self.connections: set[Connection] = set()
        self.loop = asyncio.get_running_loop()
        self.first_read = new_memory(FIRST_READ_BYTES)
        self.stopping = False
        self._sock = sock
        self._spare: list[memoryview] = []
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._date = (0, b"")

    async def start(self) -> None:
        self._server = await self.loop.create_server(lambda: Connection(self), sock=self._sock, backlog=BACKLOG)
        self._sweeper = asyncio.create_task(self._sweep())

    async def stop(self, timeout_seconds: float) -> None:
        """Stop listening, let requests finish for so long, close every connection."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        deadline = self.loop.time() + timeout_seconds
        for connection in list(self.connections):
            connection.close_when_idle()
        while self.connections and self.loop.time() < deadline:
            await asyncio.sleep(0.005)
        for connection in list(self.connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _sweep(self) -> None:
        """One timer for all connections: a timer each would be set three times a request."""
        while True:
            await asyncio.sleep(min(SWEEP_SECONDS, self.timeout_seconds / 4))
            now = self.loop.time()
            for connection in list(self.connections):
                if connection.deadline < now:
                    connection.late()

    def take_memory(self, size: int) -> memoryview:
        if size <= BUFFER_BYTES and self._spare:
            return self._spare.pop()
        return new_memory(BUFFER_BYTES if size <= BUFFER_BYTES and size > FIRST_READ_BYTES else size)

    def give_back(self, memory: memoryview) -> None:
        """Only what nobody looks at any more."""
        if len(memory) == BUFFER_BYTES and len(self._spare) < SPARE_BUFFERS:
            self._spare.append(memory)

    def date(self) -> bytes:
        now = int(time.time())
        if self._date[0] != now:
            self._date = now, f"date: {email.utils.formatdate(now, usegmt=True)}\r\n".encode()
        return self._date[1]


class Connection(asyncio.BufferedProtocol):
    """One connection. Requests are answered in the order in which they came, one at a time."""

    def __init__(self, server: HttpServer) -> None:
        self.deadline = server.loop.time() + server.timeout_seconds
        self._server = server
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[Incoming] = deque()
        """Requests not answered yet; the last may still be coming in."""
        self._receiving: Incoming | None = None
        self._task: asyncio.Task[None] | None = None
        self._direct: Content | None = None
        self._served = False
        self._deaf = False
        """Whatever still comes is not looked at: the connection closes when the last request in the queue is answered."""
        self._reading = True
        self._writable = True
        self._closing = False
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._in_headers = True
        self._header_bytes = 0

    # ---------------------------------------------------------------- what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its bases
        self._server.connections.add(self)
        if len(self._server.connections) > self._server.max_connections:
            self._fail(Overloaded("too many connections are open (setting max_connections): send again in a moment"))

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)
        self._closing = True
        for incoming in self._queue:
            if incoming.exchange is not None and (self._task is None or incoming is not self._queue[0]):
                incoming.exchange.abandon()
        if self._task is not None:
            self._task.cancel()

    def get_buffer(self, hint: int) -> memoryview:
        if self._direct is None:
            return self._server.first_read
        room = self._direct.room()
        return room if len(room) else self._server.first_read[: self._direct.length - self._direct.filled]

    def buffer_updated(self, count: int) -> None:
        if self._closing or self._deaf:
            return
        if self._direct is not None:
            self._receive_directly(self._direct, count)
        else:
            self._feed(self._server.first_read[:count])

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        """The client does not read its answers: it gets no more of them, and is not read from either."""
        self._writable = False
        self.deadline = self._server.loop.time() + self._server.timeout_seconds
        self._pause()

    def resume_writing(self) -> None:
        self._writable = True
        self._advance()

    # ---------------------------------------------------------------- headers, and bodies by way of the parser

    def _feed(self, data: memoryview) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserCallbackError as error:
            self._fail(error)
            return
        except httptools.HttpParserError as error:
            self._fail(Malformed(f"this is not HTTP/1.1 as it should be: {error}"))
            return
        if self._in_headers and self._receiving is not None and not self._deaf:
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES or len(self._headers) > MAX_HEADERS:
                self._fail(too_many_headers())
        else:
            self._receive_the_rest_directly()
        self._advance()

    def _ignore_upgrade(self, rest: memoryview) -> None:
        """Nobody is upgraded here: the request is answered as it is (RFC 9110, 7.8). The parser took it to end with its
        headers; `rest` is what follows them."""
        self._parser = httptools.HttpRequestParser(self)
        incoming = self._queue[-1]
        body = rest[: max(incoming.length, 0)]
        if incoming.length < 0:
            self._fail(Malformed("an offer to upgrade and a chunked body in one request are not understood here"))
        elif incoming.length > 0 and not self._deaf:
            incoming.complete = False
            self._begin_directly(incoming, bytes(body))
        if len(rest) > len(body):
            self._feed(rest[len(body) :])
        self._advance()

    def on_message_begin(self) -> None:
        self._receiving = Incoming()
        self._url = b""
        self._headers = []
        self._in_headers = True
        self._header_bytes = 0
        self.deadline = self._server.loop.time() + self._server.timeout_seconds

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        incoming = self._receiving
        assert incoming is not None
        self._in_headers = False
        self.deadline = self._server.loop.time() + self._server.timeout_seconds
        headers = joined(self._headers)
        method = self._parser.get_method().decode("latin-1")
        incoming.keep_alive = self._parser.should_keep_alive()
        incoming.head_only = method == "HEAD"
        length = headers.get(b"content-length", b"")
        incoming.length = int(length) if length.isdigit() else -1 if b"transfer-encoding" in headers else 0
        self._queue.append(incoming)
        if len(self._headers) > MAX_HEADERS:
            begun: Exchange | Response = self._server.app.failure(too_many_headers())
            incoming.keep_alive = False
        else:
            path = self._url.partition(b"?")[0].decode("latin-1")
            begun = self._server.app.begin(method, path, headers)
        waits_for_leave = headers.get(b"expect", b"").lower() == b"100-continue"
        if isinstance(begun, Response):
            incoming.response = begun
            if waits_for_leave:  # it is spared the sending: there is nothing to throw away
                self._hear_no_more(incoming)
            self.deadline = min(self.deadline, self._server.loop.time() + DRAIN_SECONDS)
            return
        incoming.exchange = begun
        if waits_for_leave and incoming is self._queue[0]:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, chunk: bytes) -> None:
        incoming = self._receiving
        assert incoming is not None
        if incoming.response is not None:
            self._discard(incoming, len(chunk))
            return
        if self._hold(incoming, len(chunk)):
            incoming.chunks.append(chunk)

    def on_message_complete(self) -> None:
        if self._receiving is not None:
            self._receiving.complete = True
            self._receiving = None
            self._in_headers = True
            self._header_bytes = 0

    # ---------------------------------------------------------------- bodies of known length

    def _receive_the_rest_directly(self) -> None:
        """The parser has had the headers and the first of the body: from here on, bytes go where they are to stay."""
        incoming = self._receiving
        if incoming is None or self._in_headers or incoming.complete or incoming.length < 0 or self._deaf:
            return
        first, incoming.chunks = b"".join(incoming.chunks), []
        self._receiving = None
        self._parser = httptools.HttpRequestParser(self)  # the old one still waits for the body
        self._begin_directly(incoming, first)

    def _begin_directly(self, incoming: Incoming, first: bytes) -> None:
        """`first` is the beginning of the body; of a refused request, it may be thrown away already."""
        content = Content(memoryview(b""), incoming.length)
        content.filled = max(len(first), incoming.discarded)
        if incoming.response is None:
            size = min(incoming.length, BUFFER_BYTES)
            if self._hold(incoming, size - incoming.held):
                content.memory = self._server.take_memory(size)
                content.memory[: len(first)] = first
                incoming.content = content
        self._direct = content
        self._end_directly(incoming, content)

    def _receive_directly(self, content: Content, count: int) -> None:
        incoming = self._queue[-1]
        content.filled += count
        if incoming.content is None:
            self._discard(incoming, count)
        elif content.filled == len(content.memory) < content.length:
            size = min(content.length, 2 * len(content.memory)) - len(content.memory)
            if self._hold(incoming, size):
                content.grow()
            else:
                incoming.content = None
                content.memory = memoryview(b"")
        self._end_directly(incoming, content)
        self._advance()

    def _end_directly(self, incoming: Incoming, content: Content) -> None:
        if content.filled == content.length and not self._deaf:
            incoming.complete = True
            self._direct = None
            self._in_headers = True
            self._header_bytes = 0

    def _hold(self, incoming: Incoming, size: int) -> bool:
        """Count memory against the bounds; False where that refused the request."""
        assert incoming.exchange is not None
        incoming.held += size
        try:
            incoming.exchange.hold(size)
        except Exception as error:
            self._refuse(incoming, error)
            return False
        return True

    def _refuse(self, incoming: Incoming, error: Exception) -> None:
        assert incoming.exchange is not None
        incoming.response = incoming.exchange.refuse(error)
        incoming.exchange = None
        incoming.chunks = []
        self.deadline = self._server.loop.time() + DRAIN_SECONDS

    def _discard(self, incoming: Incoming, size: int) -> None:
        """Throw away what comes of a request that is refused; too much of it, and the connection is given up."""
        incoming.discarded += size
        if incoming.discarded > DRAIN_BYTES:
            self._hear_no_more(incoming)

    def _hear_no_more(self, incoming: Incoming) -> None:
        """`incoming` is answered as far as it came, and the connection closed then."""
        incoming.complete, incoming.keep_alive = True, False
        self._deaf = True
        self._direct = None

    # ---------------------------------------------------------------- answers

    def _advance(self) -> None:
        """Answer what can be answered, in order; read on where nothing waits."""
        while self._queue and self._task is None and self._writable and not self._closing:
            incoming = self._queue[0]
            if not incoming.complete:
                break
            if incoming.response is None:
                self._task = self._server.loop.create_task(self._answer(incoming))
                break
            self._send(incoming, incoming.response)
        if self._closing:
            return
        # One request is received while another is worked on, no more.
        if self._writable and (len(self._queue) < 2 or self._direct is not None):
            self._resume()
        else:
            self._pause()

    async def _answer(self, incoming: Incoming) -> None:
        assert incoming.exchange is not None
        if self._queue[-1].complete and self._receiving is None:
            self.deadline = float("inf")
        content = incoming.content
        body: bytes | memoryview = b"".join(incoming.chunks) if content is None else content.memory[: content.length]
        response = await incoming.exchange.answer(body)
        incoming.exchange = None
        if content is not None:
            self._server.give_back(content.memory)
        self._task = None
        if not self._closing:
            self._send(incoming, response)
            self._advance()

    def _send(self, incoming: Incoming, response: Response) -> None:
        self._queue.popleft()
        self._served = True
        keep_alive = incoming.keep_alive and not self._server.stopping
        self._write(response, keep_alive=keep_alive, head_only=incoming.head_only)
        if not keep_alive:
            self._close()
        elif not self._queue and self._receiving is None:
            self.deadline = self._server.loop.time() + KEEP_ALIVE_SECONDS

    def _write(self, response: Response, *, keep_alive: bool, head_only: bool) -> None:
        parts = [STATUS_LINES[response.status], self._server.date()]
        parts += [b"%s: %s\r\n" % header for header in response.headers]
        if response.status != 204:
            parts.append(b"content-length: %d\r\n" % len(response.body))
        parts.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
        if not head_only:
            parts.append(response.body)
        self._transport.write(b"".join(parts))

    def _fail(self, error: Exception) -> None:
        """Answer what is no request, after all that came before it has been answered; then hang up."""
        if self._closing or self._deaf:
            return
        if isinstance(error, httptools.HttpParserCallbackError):
            _log.error("a request could not be taken in", exc_info=error)
        if self._queue and not (last := self._queue[-1]).complete:
            if last.exchange is not None:
                self._refuse(last, error)
        else:
            last = Incoming()
            last.response = self._server.app.failure(error)
            self._queue.append(last)
        self._receiving = None
        self._hear_no_more(last)
        self._advance()

    # ---------------------------------------------------------------- ends

    def late(self) -> None:
        """The deadline has passed: of a request that does not come in, of a refusal, or of an idle connection."""
        self.deadline = float("inf")
        seconds = self._server.timeout_seconds
        receiving = self._queue[-1] if self._queue and not self._queue[-1].complete else None
        if not self._writable or (self._served and receiving is None and self._receiving is None):
            self._close()
        elif receiving is None:
            self._fail(TooSlow(f"the headers did not arrive within {seconds:g} s (setting body_timeout_seconds)"))
        else:
            if receiving.exchange is not None:
                self._refuse(
                    receiving, TooSlow(f"the body did not arrive within {seconds:g} s (setting body_timeout_seconds)")
                )
            self._hear_no_more(receiving)
            self._advance()

    def close_when_idle(self) -> None:
        if not self._queue and self._receiving is None:
            self._close()

    def abort(self) -> None:
        self._closing = True
        self._transport.abort()

    def _close(self) -> None:
        self._closing = True
        self._transport.close()

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                self._transport.pause_reading()

    def _resume(self) -> None:
        if not self._reading:
            self._reading = True
            with contextlib.suppress(RuntimeError):
                self._transport.resume_reading()


def joined(lines: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Header lines by name; those of the same name are one, with commas (RFC 9110, 5.3), so that none hides another."""
    headers = dict(lines)
    if len(headers) < len(lines):
        headers = {}
        for name, value in lines:
            headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


def too_many_headers() -> HeadersTooLarge:
    return HeadersTooLarge(f"request line and headers are more than {MAX_HEADER_BYTES} bytes or {MAX_HEADERS} lines")
