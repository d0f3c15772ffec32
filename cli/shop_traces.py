"""Walks the shop's journeys and writes down what each service would have sent: spans, and logs in their context.

Span (trace.proto): trace_id 1, span_id 2, trace_state 3, parent_span_id 4, start 7, end 8, attributes 9, events 11, links 13,
status 15, flags 16. LogRecord (logs.proto): time 1, severity_number 2, severity_text 3, body 5, attributes 6, flags 8,
trace_id 9, span_id 10, observed 11, event_name 12.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, Protocol

from sonde.cli.fleet import Container, Fleet, Job
from sonde.cli.otlp_wire import Value, attribute, attributes, chunk, fixed64, number, text
from sonde.cli.shop import JOB_STEPS, JOURNEYS, Step, span_head

MS = 1_000_000
SAMPLED_FLAGS = b"\x85\x01\x01\x03\x00\x00"
"""Span.flags (16, fixed32) = 0x301: sampled, and the parent is known to be remote."""
LOG_FLAGS = b"\x45\x01\x00\x00\x00"
"""LogRecord.flags (8, fixed32) = 1: sampled."""
INFO, WARN, ERROR = 9, 13, 17
SEVERITY_TEXT = {INFO: "INFO", WARN: "WARN", ERROR: "ERROR"}
PLAIN_ERROR_SHARE = 0.002
OWN_TIME_SIGMA = 0.35
EXCEPTIONS = {
    "python": (
        "TimeoutError",
        'Traceback (most recent call last):\n  File "/app/service/{0}.py", line 118, in handle\n',
    ),
    "java": ("java.util.concurrent.TimeoutException", "\tat com.shop.{0}.Handler.handle(Handler.java:118)\n"),
    "go": (
        "*errors.errorString",
        "goroutine 118 [running]:\nmain.handle(0xc000182000)\n\t/app/{0}/handler.go:118 +0x1d\n",
    ),
    "nodejs": ("TypeError", "    at handle (/app/{0}/handler.js:118:15)\n"),
    "dotnet": ("System.TimeoutException", "   at Shop.{0}.Handler.Handle() in /app/Handler.cs:line 118\n"),
    "rust": ("ServiceError", "   0: shop::{0}::handle\n             at ./src/handler.rs:118\n"),
}
SCOPES = {
    (language, layer): text(1, name.format(layer)) + text(2, version)
    for language, name, version in (
        ("python", "opentelemetry.instrumentation.{}", "0.66b0"),
        ("java", "io.opentelemetry.{}-3.0", "2.14.0-alpha"),
        ("go", "go.opentelemetry.io/contrib/instrumentation/{}", "0.60.0"),
        ("nodejs", "@opentelemetry/instrumentation-{}", "0.57.2"),
        ("dotnet", "OpenTelemetry.Instrumentation.{}", "1.11.1"),
        ("rust", "opentelemetry-{}", "0.28.0"),
    )
    for layer in ("web", "rpc", "db", "messaging", "app", "log")
}


class Fault(NamedTuple):
    """What a bad version does: the share of its requests that fail, and how many times slower it is."""

    error_share: float
    slowdown: float


class Requests(Protocol):
    """Who counts the requests that were served: `shop_metrics.Meters`."""

    def served(
        self, container: Container, step: Step, seconds: float, failed: bool, context: bytes, end: int
    ) -> None: ...


class Outcome(NamedTuple):
    end: int
    failed: bool


@dataclass(slots=True)
class Batch:
    """Encoded records, grouped as OTLP groups them: by resource, then scope."""

    groups: dict[bytes, dict[bytes, list[bytes]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    records: int = 0

    def add(self, resource: bytes, scope: bytes, record: bytes, records: int = 1) -> None:
        self.groups[resource][scope].append(record)
        self.records += records

    def take(self) -> bytes:
        """The ExportXServiceRequest of everything so far : Resource* 1 (resource 1, Scope* 2 (scope 1, record 2))."""
        body = b"".join(
            chunk(1, chunk(1, resource) + b"".join(encode_scope(scope, records) for scope, records in scopes.items()))
            for resource, scopes in self.groups.items()
        )
        self.groups.clear()
        self.records = 0
        return body


def encode_scope(scope: bytes, records: Iterable[bytes]) -> bytes:
    return chunk(2, chunk(1, scope) + b"".join(chunk(2, record) for record in records))


@dataclass(slots=True)
class Walker:
    """Turns journeys into spans and logs. `faults` is keyed by (service, version); `meters` hears of every request."""

    fleet: Fleet
    rng: Random
    spans: Batch
    logs: Batch
    meters: Requests
    faults: dict[tuple[str, str], Fault] = field(default_factory=dict)

    def visit_shop(self, end: int) -> None:
        """One visitor's request that was all over by about `end` (Unix ns)."""
        step = self.rng.choices([step for _, step in JOURNEYS], [weight for weight, _ in JOURNEYS])[0]
        start = end - 2_000 * MS
        self.serve(step, self.fleet.pick(step.service), self.new_id(16), b"", start)

    def run_job(self, job: Job, end: int) -> None:
        """One run of a scheduled job."""
        trace, span = self.new_id(16), self.new_id(8)
        start = cursor = end - 20_000 * MS
        worker = self.fleet.pick("fulfilment")
        stand_in = Container(worker.service, 0, worker.version, worker.server, job.name, job.resource, start)
        failed = False
        for step in JOB_STEPS:
            cursor, step_failed = self.call(step, stand_in, trace, span, cursor)
            failed = failed or step_failed
        head = span_head(f"job {job.name}", 1, {"job.name": job.name, "job.attempt": 1})
        self.add_span(stand_in, "app", head, trace, span, b"", start, cursor, status(failed, "a step failed"))
        severity, words = (ERROR, "failed") if failed else (INFO, "finished")
        self.log(stand_in, severity, f"job {job.name} {words} after {(cursor - start) // MS} ms", trace, span, cursor)

    def new_id(self, size: int) -> bytes:
        return (self.rng.getrandbits(size * 8) | 1).to_bytes(size, "big")

    def own_time(self, step: Step, container: Container) -> int:
        """Nanoseconds that the step itself takes: log-normal around its median."""
        slowdown = self.fault(container).slowdown if step.service else 1.0
        return int(step.ms * MS * slowdown * math.exp(self.rng.gauss(0.0, OWN_TIME_SIGMA)))

    def fault(self, container: Container) -> Fault:
        return self.faults.get((container.service.name, container.version), Fault(PLAIN_ERROR_SHARE, 1.0))

    def call(self, step: Step, caller: Container, trace: bytes, parent: bytes, start: int) -> Outcome:
        """The caller's side of a step: its client, producer or internal span, and whatever lies beneath."""
        span = self.new_id(8)
        if step.service:
            there = start + self.network()
            end, failed = self.serve(step, self.fleet.pick(step.service), trace, span, there)
            end += self.network()
        else:
            end, failed = self.work(step, caller, trace, span, start)
            failed = failed or self.rng.random() < PLAIN_ERROR_SHARE / 10
        details = self.details(step, failed)
        if step.consumer:
            self.consume(step.consumer, trace, span, end)
        extra = details + status(failed, f"{step.name} failed")
        self.add_span(caller, step.layer, step.outer, trace, span, parent, start, end, extra)
        return Outcome(end, failed)

    def serve(
        self, step: Step, callee: Container, trace: bytes, parent: bytes, start: int, link: bytes = b""
    ) -> Outcome:
        """The callee's side: its server or consumer span, its logs and its metrics."""
        span = self.new_id(8)
        end, failed = self.work(step, callee, trace, span, start)
        broke_here = not failed and self.rng.random() < self.fault(callee).error_share
        failed = failed or broke_here
        extra = link + self.details(step, failed) + status(failed, "")
        if broke_here:
            extra += self.exception(callee, step, trace, span, start, end)
        self.add_span(callee, step.layer, step.inner, trace, span, parent, start, end, extra)
        self.meters.served(callee, step, (end - start) / 1e9, failed, trace + span, end)
        self.access_log(step, callee, failed, trace, span, start, end)
        return Outcome(end, failed)

    def work(self, step: Step, container: Container, trace: bytes, span: bytes, start: int) -> Outcome:
        """The step's own time, a third before its calls and the rest after them; a failed call usually fails the step."""
        own = self.own_time(step, container)
        cursor = latest = start + own // 3
        for called in step.calls:
            if called.chance < 1.0 and self.rng.random() > called.chance:
                continue
            for _ in range(self.rng.randint(*called.times)):
                end, failed = self.call(called, container, trace, span, cursor)
                latest = max(latest, end)
                if not step.parallel:
                    cursor = end
                if failed and self.rng.random() < 0.8:
                    return Outcome(latest + own // 10, True)
        return Outcome(latest + own * 2 // 3, False)

    def consume(self, step: Step, trace: bytes, producer: bytes, sent: int) -> None:
        """The consumer's own trace, linked to the producer's span (Span.Link: trace_id 1, span_id 2, attributes 4)."""
        link = (
            chunk(1, trace) + chunk(2, producer) + attribute(4, "messaging.kafka.offset", self.rng.randrange(1 << 32))
        )
        start = sent + int(self.rng.expovariate(1 / 20.0) * MS)
        self.serve(step, self.fleet.pick(step.service), self.new_id(16), b"", start, chunk(13, link))

    def network(self) -> int:
        return int(self.rng.uniform(0.1, 0.6) * MS)

    def details(self, step: Step, failed: bool) -> bytes:
        """Attributes that differ from span to span."""
        if step.layer == "web":
            code = 500 if failed else 200
            path = step.path.replace("{}", str(self.rng.randrange(5_000)))
            return attributes(
                9, {"http.response.status_code": code, "url.path": path, "user.id": f"u{self.rng.randrange(20_000)}"}
            )
        if step.layer == "rpc":
            return attributes(
                9, {"rpc.grpc.status_code": 13 if failed else 0, "rpc.message.size": self.rng.randrange(64, 4_096)}
            )
        if step.layer == "db":
            return attributes(
                9, {"db.response.returned_rows": self.rng.randrange(40), "db.cache_hit_ratio": self.rng.random()}
            )
        if step.layer == "messaging":
            return attributes(9, {"messaging.message.id": f"{self.rng.getrandbits(64):016x}", "messaging.batch": False})
        return attributes(9, {"thread.id": self.rng.randrange(64), "retry": failed})

    def exception(self, container: Container, step: Step, trace: bytes, span: bytes, start: int, at: int) -> bytes:
        """The exception event (Span.Event: time 1, name 2, attributes 3), and the error log of the same."""
        kind, frames = EXCEPTIONS[container.service.language]
        message = f"{step.name}: deadline exceeded after {(at - start) // MS} ms"
        values: dict[str, Value] = {
            "exception.type": kind,
            "exception.message": message,
            "exception.stacktrace": frames.format(container.service.name) + f"{kind}: {message}",
            "exception.escaped": False,
        }
        self.log(container, ERROR, message, trace, span, at, attributes(6, values))
        return chunk(11, fixed64(1, at) + text(2, "exception") + attributes(3, values))

    def add_span(
        self,
        container: Container,
        layer: str,
        head: bytes,
        trace: bytes,
        span: bytes,
        parent: bytes,
        start: int,
        end: int,
        extra: bytes,
    ) -> None:
        ids = b"\x0a\x10" + trace + b"\x12\x08" + span + (b"\x22\x08" + parent if parent else b"")
        record = ids + head + fixed64(7, start) + fixed64(8, end) + extra + SAMPLED_FLAGS
        self.spans.add(container.resource, SCOPES[container.service.language, layer], record)

    def access_log(
        self, step: Step, container: Container, failed: bool, trace: bytes, span: bytes, start: int, end: int
    ) -> None:
        """One line of three for what went well, one for each failure; the payment service logs events with a structured body."""
        if not failed and self.rng.random() > 0.33:
            return
        took = (end - start) // MS
        severity = ERROR if failed else WARN if took > 1_000 else INFO
        values: dict[str, Value] = {
            "http.route": step.name,
            "duration_ms": (end - start) / MS,
            "thread.id": self.rng.randrange(64),
        }
        if container.service.name == "payment" and not failed:
            cents = self.rng.randrange(500, 50_000)
            fields: dict[str, Value] = {
                "amount_cents": cents,
                "currency": "EUR",
                "captured": True,
                "provider": "cards.example",
            }
            body = chunk(6, attributes(1, fields))
            self.log(container, INFO, body, trace, span, end, attributes(6, values) + text(12, "payment.captured"))
            return
        words = "failed" if failed else "ok"
        self.log(container, severity, f"{step.name} {words} in {took} ms", trace, span, end, attributes(6, values))

    def announce_deployment(self, service: str, version: str, words: str, at: int) -> None:
        """An event among the service's logs: what was brought out, by whom."""
        container = self.fleet.by_service[service][0]
        values: dict[str, Value] = {"deployment.name": service, "service.version": version, "vcs.ref.head.name": "main"}
        extra = attributes(6, values) + text(12, "deployment")
        self.log(container, INFO, f"{words} {service} {version}", b"", b"", at, extra)

    def log(
        self,
        container: Container,
        severity: int,
        body: str | bytes,
        trace: bytes,
        span: bytes,
        at: int,
        extra: bytes = b"",
    ) -> None:
        """`body` is text, or an encoded AnyValue."""
        value = text(1, body) if isinstance(body, str) else body
        record = (
            fixed64(1, at)
            + fixed64(11, at + 50_000)
            + number(2, severity)
            + text(3, SEVERITY_TEXT[severity])
            + chunk(5, value)
            + extra
            + (b"\x4a\x10" + trace + b"\x52\x08" + span + LOG_FLAGS if trace else b"")
        )
        self.logs.add(container.resource, SCOPES[container.service.language, "log"], record)


def status(failed: bool, message: str) -> bytes:
    """Status (message 2, code 3) as Span field 15; unset where nothing failed."""
    if not failed:
        return b""
    return chunk(15, (text(2, message) if message else b"") + number(3, 2))
