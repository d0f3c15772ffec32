"""OTLP/gRPC: the three Export services over grpc.aio, raw bytes in and out.

OTLP specification 1.11, "OTLP/gRPC". No generated code: the request's bytes go to the door as they are, and a response
is empty but for a partial success. gzip is inflated by grpc, which also holds to `max_request_bytes` after inflation.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from sonde.ingest import status
from sonde.ingest.auth import TENANT_HEADER
from sonde.ingest.door import Door
from sonde.ingest.errors import RequestRefused
from sonde.ingest.services import METHODS
from sonde.ingest.signals import Signal

DETAILS = "grpc-status-details-bin"
"""A google.rpc.Status, where every gRPC library looks for it."""
RETRY_INFO = "google.rpc.retryinfo-bin"
"""A bare google.rpc.RetryInfo, where the Python and C++ exporters look for it."""
CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
_log = logging.getLogger(__name__)

Export = Callable[[bytes, Any], Awaitable[bytes]]


class OtlpGrpc(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The handlers of the three methods."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._handlers = {
            method: grpc.unary_unary_rpc_method_handler(self._export(signal)) for method, signal in METHODS.items()
        }

    def service(self, details: Any) -> Any:
        return self._handlers.get(details.method)

    def _export(self, signal: Signal) -> Export:
        async def export(body: bytes, context: Any) -> bytes:
            try:
                with self._door.visit(signal) as visit:
                    authorization, tenant = _identity(context)
                    visit.enter(authorization, tenant)
                    visit.hold(len(body))
                    accepted = await visit.accept(body)
                return status.encode_success(signal, accepted.rejected, accepted.message, json=False)
            except Exception as error:
                if not isinstance(error, RequestRefused):
                    _log.exception("a request of %s failed", signal.value)
                refusal = error
            await _refuse(context, refusal)
            raise AssertionError("abort raises")

        return export


def _identity(context: Any) -> tuple[str, str]:
    """The headers `authorization` and `x-sonde-tenant`, "" where absent."""
    authorization = tenant = ""
    for name, value in context.invocation_metadata() or ():
        if name == "authorization":
            authorization = value
        elif name == TENANT_HEADER:
            tenant = value
    return authorization, tenant


async def _refuse(context: Any, error: Exception) -> None:
    details = status.status_of(error)
    trailers = [(DETAILS, details.SerializeToString())]
    if (seconds := status.retry_after_seconds(error)) is not None:
        trailers.append((RETRY_INFO, status.retry_info(seconds).SerializeToString()))
    await context.abort(CODES[details.code], details.message, tuple(trailers))


def create_server(door: Door, max_request_bytes: int, *, shared_port: bool) -> Any:
    """A grpc.aio server of the running event loop; the caller adds its port and starts it."""
    return grpc.aio.server(
        handlers=[OtlpGrpc(door)],
        options=[
            ("grpc.max_receive_message_length", max_request_bytes),
            # On by default: a second sonde on the same port would quietly take half of the data.
            ("grpc.so_reuseport", int(shared_port)),
            ("grpc.max_concurrent_streams", 1024),
            ("grpc.max_metadata_size", 16 << 10),
            ("grpc.absolute_max_metadata_size", 64 << 10),
            # Exporters that ping to keep idle connections open are not to be thrown out for it.
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ],
    )
