"""A load generator in a process of its own: OTLP over gRPC or HTTP, N requests in flight, each acknowledged.

    python benchmarks/load.py --protocol grpc --address 127.0.0.1:4317 --requests 2000 --in-flight 8

The requests are `payload.py`'s, made before the clock starts. Each is sent with fresh ids and times, written over those
of its template, so that no two are the same bytes and every record lies in the present. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import numpy as np
import payload
import uvloop
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

GRPC_METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
MAKE = {"traces": payload.trace_requests, "metrics": payload.number_requests, "logs": payload.log_requests}
RETRY_SECONDS = 0.05
Send = Callable[[bytes], Awaitable[bool]]


class Template:
    """One serialized request, and where its ids and times stand in it."""

    def __init__(self, signal: str, body: bytes, at_unix_nano: int) -> None:
        self.bytes = np.frombuffer(body, np.uint8)
        self.at_unix_nano = at_unix_nano
        ids, times = places(signal, body)
        self.ids = (
            np.concatenate([np.arange(start, start + size) for start, size in ids]) if ids else np.empty(0, np.int64)
        )
        self.time_slots = np.array(times, np.int64)[:, None] + np.arange(8)
        self.times = self.bytes[self.time_slots].copy().view("<u8").reshape(-1)

    def fresh(self, rng: np.random.Generator, now_unix_nano: int) -> bytes:
        """The request with random ids, as if it had been recorded at `now_unix_nano`."""
        out = self.bytes.copy()
        out[self.ids] = np.frombuffer(rng.bytes(len(self.ids)), np.uint8)
        times = self.times + np.uint64(now_unix_nano - self.at_unix_nano)
        out[self.time_slots] = times.view(np.uint8).reshape(-1, 8)
        return out.tobytes()


def places(signal: str, body: bytes) -> tuple[list[tuple[int, int]], list[int]]:
    """Where the (start, length) of each id and the start of each eight-byte time lie in `body`."""
    ids: list[tuple[int, int]] = []
    times: list[int] = []
    at = 0
    for tag, value in fields(signal, body):
        pattern = tag + (bytes([len(value)]) if len(value) != 8 or tag in ID_TAGS else b"") + value
        at = body.index(pattern, at) + len(pattern)
        if tag in ID_TAGS:
            ids.append((at - len(value), len(value)))
        else:
            times.append(at - 8)
    return ids, times


# Tags as they stand in the serialized message; ids are LEN (wire type 2), times fixed64 (1).
TRACE_ID, SPAN_ID, PARENT_ID, START, END = b"\x0a", b"\x12", b"\x22", b"\x39", b"\x41"
LOG_TIME, LOG_TRACE_ID, LOG_SPAN_ID, OBSERVED = b"\x09", b"\x4a", b"\x52", b"\x59"
POINT_START, POINT_TIME = b"\x11", b"\x19"
ID_TAGS = {TRACE_ID, SPAN_ID, PARENT_ID, LOG_TRACE_ID, LOG_SPAN_ID}


def fields(signal: str, body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(tag, content) of the ids and times of all records, in the order in which they are serialized."""
    if signal == "traces":
        for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource_spans.scope_spans:
                for span in scope.spans:
                    yield TRACE_ID, span.trace_id
                    yield SPAN_ID, span.span_id
                    if span.parent_span_id:
                        yield PARENT_ID, span.parent_span_id
                    yield START, struct.pack("<Q", span.start_time_unix_nano)
                    yield END, struct.pack("<Q", span.end_time_unix_nano)
    elif signal == "logs":
        for resource_logs in ExportLogsServiceRequest.FromString(body).resource_logs:
            for scope in resource_logs.scope_logs:
                for record in scope.log_records:
                    yield LOG_TIME, struct.pack("<Q", record.time_unix_nano)
                    if record.trace_id:
                        yield LOG_TRACE_ID, record.trace_id
                        yield LOG_SPAN_ID, record.span_id
                    yield OBSERVED, struct.pack("<Q", record.observed_time_unix_nano)
    else:
        for resource_metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scope in resource_metrics.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.sum.data_points or metric.gauge.data_points:
                        yield POINT_START, struct.pack("<Q", point.start_time_unix_nano)
                        yield POINT_TIME, struct.pack("<Q", point.time_unix_nano)


@dataclass
class Result:
    acknowledged: int = 0
    refused: int = 0
    """Answers that said to come again; the request was sent again."""
    sent_bytes: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)


class Source:
    """The requests to send: an iterator that makes each when it is asked for."""

    def __init__(self, signal: str, distinct: int, records: int, requests: int, seconds: float) -> None:
        at = time.time_ns()
        bodies = MAKE[signal](distinct, at_unix_nano=at, records=records)
        self.templates = [Template(signal, body, at) for body in bodies]
        self.left = requests
        self.seconds = seconds
        self.started = 0.0
        self._rng = np.random.default_rng(1)
        self._next = 0

    def __iter__(self) -> Iterator[bytes]:
        self.started = time.perf_counter()
        while self.left and not (self.seconds and time.perf_counter() - self.started >= self.seconds):
            self.left -= 1
            template = self.templates[self._next % len(self.templates)]
            self._next += 1
            yield template.fresh(self._rng, time.time_ns())


async def drive(source: Source, senders: list[Send], rate: float) -> Result:
    """Send all of `source`, each sender one request after the other; `rate` requests a second over all, 0 for no bound."""
    result = Result()
    bodies = iter(source)
    start = time.perf_counter()

    async def one(send: Send) -> None:
        for body in bodies:
            if rate and (ahead := start + result.acknowledged / rate - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            began = time.perf_counter()
            while not await send(body):
                result.refused += 1
                await asyncio.sleep(RETRY_SECONDS)
            result.latencies.append(time.perf_counter() - began)
            result.acknowledged += 1
            result.sent_bytes += len(body)

    await asyncio.gather(*(one(send) for send in senders))
    result.seconds = time.perf_counter() - start
    return result


def grpc_sender(channel: Any, signal: str) -> Send:
    call = channel.unary_unary(GRPC_METHODS[signal])

    async def send(body: bytes) -> bool:
        try:
            answer = await call(body)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            return False
        if answer:
            raise RuntimeError(f"records were refused: {answer!r}")
        return True

    return send


class HttpConnection(asyncio.Protocol):
    """Just enough of HTTP/1.1 to post and to read an answer with a Content-Length: the load must not outweigh the loaded."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.answer: asyncio.Future[tuple[int, bytes]] | None = None
        self.received = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, content = self.received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(content) >= length and self.answer is not None:
            self.received = content[length:]
            self.answer.set_result((int(head[9:12]), content[:length]))

    def connection_lost(self, error: Exception | None) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(ConnectionError(f"the receiver hung up: {error}"))

    async def post(self, head: bytes, body: bytes) -> tuple[int, bytes]:
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.writelines([head % len(body), body])
        return await self.answer


async def http_sender(host: str, port: int, signal: str) -> Send:
    _, connection = await asyncio.get_running_loop().create_connection(HttpConnection, host, port)
    head = (
        f"POST /v1/{signal} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n"
    ).encode()

    async def send(body: bytes) -> bool:
        status, content = await connection.post(head, body)
        if status in (429, 503):
            return False
        if status != 200 or content:
            raise RuntimeError(f"HTTP {status}: {content!r}")
        return True

    return send


async def run(arguments: argparse.Namespace, source: Source) -> Result:
    host, _, port = arguments.address.rpartition(":")
    if arguments.protocol == "http":
        senders = [await http_sender(host, int(port), arguments.signal) for _ in range(arguments.in_flight)]
        return await drive(source, senders, arguments.rate)
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    channels = [grpc.aio.insecure_channel(arguments.address, options=options) for _ in range(arguments.connections)]
    try:
        senders = [
            grpc_sender(channels[number % len(channels)], arguments.signal) for number in range(arguments.in_flight)
        ]
        return await drive(source, senders, arguments.rate)
    finally:
        for channel in channels:
            await channel.close()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", choices=("grpc", "http"), default="grpc")
    parser.add_argument("--address", default="127.0.0.1:4317", metavar="HOST:PORT")
    parser.add_argument("--signal", choices=sorted(MAKE), default="traces")
    parser.add_argument("--requests", type=int, default=2_000, help="requests to send")
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after this time; 0: after all requests")
    parser.add_argument("--records", type=int, default=payload.RECORDS_PER_REQUEST, help="records in a request")
    parser.add_argument("--in-flight", type=int, default=8, help="requests in flight at once")
    parser.add_argument("--connections", type=int, default=1, help="gRPC connections to spread them over")
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second; 0: as many as are acknowledged")
    parser.add_argument("--distinct", type=int, default=32, help="templates to make before the clock starts")
    parser.add_argument(
        "--wait", action="store_true", help="make the templates, say `ready`, and start at a line on stdin"
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    source = Source(arguments.signal, arguments.distinct, arguments.records, arguments.requests, arguments.seconds)
    if arguments.wait:
        print("ready", flush=True)
        sys.stdin.readline()
    before = resource.getrusage(resource.RUSAGE_SELF)
    result = uvloop.run(run(arguments, source))
    after = resource.getrusage(resource.RUSAGE_SELF)
    latencies = np.array(result.latencies or [0.0]) * 1000
    report = {
        "protocol": arguments.protocol,
        "signal": arguments.signal,
        "requests": result.acknowledged,
        "records": result.acknowledged * arguments.records,
        "bytes": result.sent_bytes,
        "sent_again": result.refused,
        "seconds": round(result.seconds, 3),
        "records_per_second": round(result.acknowledged * arguments.records / result.seconds),
        "ack_ms": {f"p{q}": round(float(np.percentile(latencies, q)), 2) for q in (50, 90, 99, 100)},
        "client_cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 3),
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
