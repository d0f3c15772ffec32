"""Running receivers for the tests, on ports of the system's choice, with the real spool; and what they spooled."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sonde.ingest.config import IngestConfig
from sonde.ingest.door import Door
from sonde.ingest.limits import Limits
from sonde.ingest.receivers import Receivers, open_door, open_spool
from sonde.ingest.segment import Contents, Kind, TornAtStart, read_segment
from sonde.ingest.signals import Signal
from sonde.ingest.spool import SpoolWriter
from sonde.ingest.spool_folder import SpoolFolder

NOW = time.time_ns()
PATIENCE = 60.0
"""Seconds that a test waits for what must come about, on a machine however busy."""


class Spooled(NamedTuple):
    """One request on disk."""

    tenant: str
    signal: str
    body: bytes
    receiver: str = ""


@dataclass
class Running:
    """Receivers that listen, and their parts."""

    receivers: Receivers
    door: Door
    spool: SpoolWriter
    path: Path

    @property
    def http(self) -> tuple[str, int]:
        assert self.receivers.http_address is not None
        return self.receivers.http_address.host, self.receivers.http_address.port

    @property
    def grpc(self) -> str:
        return str(self.receivers.grpc_address)

    def post(self, path: str, body: bytes | Any = b"", headers: Mapping[str, str] | None = None) -> Answer:
        return ask(self.http, "POST", path, body, headers)

    def spooled(self) -> list[Spooled]:
        """Every request on disk, in the order in which they came; whoever received it."""
        return [request._replace(receiver="") for request in spooled_in(self.path)]

    def rejected(self) -> dict[tuple[str, str, str], int]:
        """Requests refused whole, by (tenant, signal, reason); waits for the first, since nobody syncs on their account."""
        deadline = time.monotonic() + PATIENCE
        while True:
            counts: dict[tuple[str, str, str], int] = {}
            for contents in segments_in(self.path):
                for reason, count in contents.tally.rejected.items():
                    key = (*contents.opened.stream, reason)
                    counts[key] = counts.get(key, 0) + count.requests
            if counts or time.monotonic() > deadline:
                return counts
            time.sleep(0.02)


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.005)


def segments_in(path: Path) -> list[Contents]:
    """Every segment of the spool folder `path`, also while receivers write to it."""
    folder = SpoolFolder(path)
    while True:
        try:
            return [read_segment((folder.segments / file.name).read_bytes()) for file in folder.list()]
        except (FileNotFoundError, TornAtStart):  # one was sealed, and so renamed, or begun meanwhile
            continue


def spooled_in(path: Path) -> list[Spooled]:
    return [
        Spooled(*contents.opened.stream, bytes(contents.body(frame)), contents.opened.receiver)
        for contents in segments_in(path)
        for frame in contents.frames
        if frame.kind == Kind.REQUEST
    ]


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


@contextmanager
def running(path: Path, limits: Limits | None = None, **settings: Any) -> Iterator[Running]:
    """Receivers with these settings, both protocols on ports of the system's choice."""
    values = {"otlp_grpc": "127.0.0.1:0", "otlp_http": "127.0.0.1:0", "spool": str(path), "spool_min_free_bytes": 0}
    config = IngestConfig(**{**values, **settings})
    all_limits = {signal: limits or config.limits() for signal in Signal}
    spool = open_spool(config, all_limits)
    door = open_door(config, all_limits, spool)
    receivers = Receivers(config, door)
    try:
        receivers.start()
        yield Running(receivers, door, spool, path)
        receivers.stop(PATIENCE)
    finally:
        spool.close()


def ask(
    address: tuple[str, int],
    method: str,
    path: str,
    body: bytes | Any = b"",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


@contextmanager
def connected(address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=PATIENCE) as sock:
        yield sock


def read_until_closed(sock: socket.socket) -> bytes:
    """All that comes until the other side hangs up, in order or not."""
    parts = []
    try:
        while part := sock.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def traces(spans: int = 1, name: str = "work", **fields: Any) -> bytes:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in range(spans):
        values = {
            "trace_id": b"t" * 16,
            "span_id": number.to_bytes(7, "big") + b"s",
            "start_time_unix_nano": NOW,
            "end_time_unix_nano": NOW + 1000,
        }
        scope.spans.add(name=name, **{**values, **fields})
    return request.SerializeToString()


def logs(records: int = 1) -> bytes:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for _ in range(records):
        scope.log_records.add(time_unix_nano=NOW).body.string_value = "hello"
    return request.SerializeToString()


def metrics(points: int = 1) -> bytes:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    for number in range(points):
        metric.gauge.data_points.add(time_unix_nano=NOW, as_int=number)
    return request.SerializeToString()


REQUESTS = {Signal.TRACES: traces, Signal.METRICS: metrics, Signal.LOGS: logs}
