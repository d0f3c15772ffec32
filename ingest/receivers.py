"""The receivers of one process: OTLP/gRPC, OTLP/HTTP and remote write before one door, on one event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

import uvloop
from sonde.ingest.addresses import Address, CannotListen, bind, join
from sonde.ingest.auth import Authenticator
from sonde.ingest.config import IngestConfig
from sonde.ingest.door import Door, warm_scan
from sonde.ingest.grpc_receiver import create_server
from sonde.ingest.http_receiver import OtlpHttp
from sonde.ingest.http_server import HttpServer
from sonde.ingest.limits import Limits
from sonde.ingest.remote_write_receiver import RemoteWriteHttp
from sonde.ingest.series_limits import SeriesLimits
from sonde.ingest.signals import Signal
from sonde.ingest.space import SpaceLimits
from sonde.ingest.spool import SpoolWriter


def open_spool(
    config: IngestConfig, limits: Mapping[Signal, Limits], on_sealed: Callable[[], None] | None = None
) -> SpoolWriter:
    """This process's end of the spool folder, recovered from whatever died before."""
    return SpoolWriter(
        config.spool_path,
        limits=limits,
        space=SpaceLimits(config.spool_max_bytes, config.spool_max_age_seconds, config.spool_min_free_bytes),
        segment_bytes=config.segment_bytes,
        segment_age_seconds=config.segment_age_seconds,
        on_sealed=on_sealed,
    )


def open_door(config: IngestConfig, limits: Mapping[Signal, Limits], spool: SpoolWriter) -> Door:
    return Door(
        spool,
        Authenticator.from_config(config),
        limits,
        SeriesLimits.from_config(config),
        max_request_bytes=config.max_request_bytes,
        max_in_flight_bytes=config.max_in_flight_bytes,
        max_in_flight_requests=config.max_in_flight_requests,
    )


class Receivers:
    """`start` returns once both ports are open; `stop` returns once nothing is being received any more.

    `shared_ports`: this process joins ports that others listen on too; `config` then names the very port numbers.
    """

    def __init__(self, config: IngestConfig, door: Door, *, shared_ports: bool = False) -> None:
        self.failure: str | None = None
        self.grpc_address: Address | None = None
        self.http_address: Address | None = None
        self._config = config
        self._door = door
        self._shared_ports = shared_ports
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="ingest-receive", daemon=True)
        self._grpc: Any = None
        self._http: HttpServer | None = None

    def start(self) -> None:
        """CannotListen where a port is taken; nothing is left running then."""
        warm_scan()
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        except BaseException:
            self._end()
            raise

    def stop(self, timeout_seconds: float) -> None:
        """Stop listening, answer what is in flight for at most `timeout_seconds`, then cut it off."""
        asyncio.run_coroutine_threadsafe(self._stop(timeout_seconds), self._loop).result()
        self._end()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        try:
            await self._listen()
        except BaseException:
            await self._stop(0.0)
            raise

    async def _listen(self) -> None:
        config = self._config
        if (address := config.http_address) is not None:
            sock = join(address, "otlp_http") if self._shared_ports else bind(address, "otlp_http")
            self.http_address = Address(address.host, sock.getsockname()[1])
            self._http = HttpServer(
                RemoteWriteHttp(OtlpHttp(self._door, config), self._door, config),
                sock,
                timeout_seconds=config.body_timeout_seconds,
                max_connections=config.max_connections,
            )
            await self._http.start()
        if (address := config.grpc_address) is not None:
            self._grpc = create_server(self._door, config.max_request_bytes, shared_port=self._shared_ports)
            self.grpc_address = _add_port(self._grpc, address)
            await self._grpc.start()

    async def _stop(self, timeout_seconds: float) -> None:
        self._door.shut()
        stopping = []
        if self._grpc is not None:
            stopping.append(self._grpc.stop(timeout_seconds))
        if self._http is not None:
            stopping.append(self._http.stop(timeout_seconds))
        await asyncio.gather(*stopping, return_exceptions=True)
        self._door.close()


def _add_port(server: Any, address: Address) -> Address:
    try:
        port = server.add_insecure_port(str(address))
    except RuntimeError as error:
        raise CannotListen(
            f"can't listen on {address}: {_reason(address) or error}; stop what holds that port, or set otlp_grpc to another"
        ) from error
    return Address(address.host, port)


def _reason(address: Address) -> str:
    """grpc only says that it failed: ask the system why."""
    with socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET) as probe:
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            return error.strerror or str(error)
    return ""
