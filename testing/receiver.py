"""An OTLP receiver for what runs outside of this process: subprocesses and containers under test.

OTLP/HTTP in protobuf and JSON, with the gateway's encodings, and OTLP/gRPC. Each slice has an address of its own, so that what a
test's subprocess sends late does not count as the next test's: a path before `/v1/traces`, and for gRPC a header. Without either it
is the present test's.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.message import DecodeError
from sonde.ingest.compression import content_encoding, decompress
from sonde.ingest.errors import Malformed, NotFound, RequestRefused
from sonde.ingest.json_otlp import transcode
from sonde.ingest.limits import Limits
from sonde.ingest.services import METHODS, REQUESTS
from sonde.ingest.signals import Signal
from sonde.ingest.status import codes_of, encode_status, encode_success, message_of, status_of
from sonde.testing.slices import Slice

SLICE_HEADER = "x-sonde-test"
MAX_BYTES = 64 << 20
MAX_DEPTH = Limits().max_depth


class Receiver:
    """Listens on a free port of `host` from the start on. Thread-safe."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._slices: dict[str, Slice | None] = {}
        self._present: Slice | None = None
        self._server = Server((host, 0), Handler)
        self._server.receiver = self
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="sonde-testing", daemon=True
        )
        self._thread.start()
        self._grpc: Any = None
        self._grpc_port = 0

    def present(self, own: Slice) -> None:
        """Take requests for `own` from now on."""
        self._slices[own.tenant] = self._present = own

    def forget(self, own: Slice) -> None:
        """Its test is over: what still comes is answered, and left."""
        if own.tenant in self._slices:
            self._slices[own.tenant] = None
        if self._present is own:
            self._present = None

    def endpoint(self, own: Slice) -> str:
        return f"http://{self._host}:{self.port}/{own.tenant}"

    def header(self, own: Slice) -> str:
        """What says by gRPC whose a request is, as OTEL_EXPORTER_OTLP_HEADERS has it."""
        return f"{SLICE_HEADER}={own.tenant}"

    @property
    def grpc_endpoint(self) -> str:
        """Listens from the first time on."""
        if self._grpc is None:
            self._start_grpc()
        return f"http://{self._host}:{self._grpc_port}"

    def take(self, signal: Signal, slice_name: str, body: bytes | memoryview) -> None:
        """Put a request into its slice. Malformed, NotFound."""
        if slice_name and slice_name not in self._slices:
            raise NotFound(f"there is no test {slice_name!r} here")
        try:
            message = REQUESTS[signal].FromString(bytes(body))
        except DecodeError as error:
            raise Malformed(f"the body is no Export{signal.value} request: {error}") from None
        own = self._slices[slice_name] if slice_name else self._present
        if own is not None:
            own.received(signal.value, message)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        if self._grpc is not None:
            self._grpc.stop(None).wait()

    def _start_grpc(self) -> None:
        import grpc

        self._grpc = grpc.server(
            ThreadPoolExecutor(4, thread_name_prefix="sonde-testing-grpc"),
            handlers=[grpc_handlers(self)],
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", MAX_BYTES)],
        )
        self._grpc_port = self._grpc.add_insecure_port(f"{self._host}:0")
        self._grpc.start()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_POST(self) -> None:
        is_json = self.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
        try:
            answer, status = self._taken(is_json), 200
        except RequestRefused as error:
            answer, status = encode_status(status_of(error), json=is_json), codes_of(error).http
            self.log_error("%s", message_of(error))
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if is_json else "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _taken(self, is_json: bool) -> bytes:
        body = self._body()
        name, _, path = self.path.partition("?")[0].strip("/").rpartition("v1/")
        if path not in tuple(Signal):
            raise NotFound(f"{self.path} is no path of OTLP: POST /v1/traces, /v1/metrics or /v1/logs")
        signal = Signal(path)
        plain = decompress(content_encoding(self.headers.get("content-encoding", "")), body, MAX_BYTES)
        if is_json:
            plain = transcode(signal, plain, MAX_DEPTH)
        self.server.receiver.take(signal, name.strip("/"), plain)
        return encode_success(signal, 0, "", json=is_json)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", "").lower():
            return self.rfile.read(min(int(self.headers.get("content-length") or 0), MAX_BYTES))
        parts = []
        while size := int(self.rfile.readline(100).partition(b";")[0], 16):
            parts.append(self.rfile.read(min(size, MAX_BYTES)))
            self.rfile.readline(10)
        self.rfile.readline(10)
        return b"".join(parts)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing on the terminal of a test run."""


def grpc_handlers(receiver: Receiver) -> Any:
    """The handlers of the three methods."""
    import grpc

    codes = {code.value[0]: code for code in grpc.StatusCode}

    def export(signal: Signal) -> Any:
        def taken(body: bytes, context: Any) -> bytes:
            name = next((value for key, value in context.invocation_metadata() if key == SLICE_HEADER), "")
            try:
                receiver.take(signal, name, body)
            except RequestRefused as error:
                context.abort(codes[codes_of(error).grpc], message_of(error))
            return encode_success(signal, 0, "", json=False)

        return grpc.unary_unary_rpc_method_handler(taken)

    handlers = {method: export(signal) for method, signal in METHODS.items()}

    class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            return handlers.get(details.method)

    return Handlers()
