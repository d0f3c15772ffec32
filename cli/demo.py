"""`sonde demo`: the telemetry of an imagined shop, sent to any OTLP endpoint at a chosen rate."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from threading import BoundedSemaphore, Event, Lock

from sonde.cli.api import ApiError, local_api, local_receiver
from sonde.cli.errors import CommandError, UsageError
from sonde.cli.fleet import Fleet
from sonde.cli.otlp_client import OtlpClient, SendFailed
from sonde.cli.progress import StatusLine
from sonde.cli.scenario import SECOND, Scenario
from sonde.cli.shop_metrics import Meters
from sonde.cli.shop_traces import Batch, Walker
from sonde.cli.units import parse_quantity

DESCRIPTION = """\
Imitates a shop: a dozen services on a fleet of 100 servers, 700 containers, 500 jobs and 150 deployments a day. It sends
traces with depth and errors, logs in trace context and metrics of every kind. In the middle of each period a bad
deployment of `checkout` goes out, fails and slows its requests, and is rolled back."""
EXAMPLES = """\
  sonde demo                                         to a sonde on this machine, until Ctrl-C
  sonde demo --rate 5000 --duration 2m               faster, for two minutes
  sonde demo --backfill 1h --duration 0s             one hour of history at once, then stop
  sonde demo --endpoint http://collector:4318 --protocol http
  sonde demo --serve                                 starts `sonde serve` too"""
TICK = SECOND // 20
REPORT_EVERY = 10 * SECOND
JOB_EVERY = 3_600 * SECOND // 500
ENDLESS_PERIOD = 20 * 60 * SECOND
REQUEST_SPANS = 512
FLUSH_EVERY_SECONDS = 1.0
SENDERS = 4


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--endpoint", metavar="URL", help="where to send (default: the address that the settings name)")
    parser.add_argument(
        "--protocol", choices=("grpc", "http"), default="grpc", help="OTLP/gRPC or OTLP/HTTP (default: grpc)"
    )
    parser.add_argument("--compression", choices=("gzip", "none"), default="gzip", help="(default: gzip)")
    parser.add_argument("--token", default="", metavar="SECRET", help="bearer token, where the receiver asks for one")
    parser.add_argument("--rate", default="500", metavar="N", help="spans a second (default: 500)")
    parser.add_argument(
        "--duration", default="", metavar="TIME", help="how long, such as 90s or 10m (default: until Ctrl-C)"
    )
    parser.add_argument(
        "--backfill", default="0s", metavar="TIME", help="send this much of the past first, as fast as it goes"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="the same seed makes the same shop (default: from the clock)"
    )
    parser.add_argument("--serve", action="store_true", help="start `sonde serve` as well")


@dataclass(slots=True)
class Tally:
    """What became of the records of one signal."""

    sent: int = 0
    accepted: int = 0
    rejected: int = 0


@dataclass(slots=True)
class Sender:
    """Sends requests from a few threads; `submit` waits when they all have work queued, so memory stays bounded, and
    meanwhile calls `waiting` a few times a second."""

    client: OtlpClient
    waiting: Callable[[], None] = lambda: None
    tallies: dict[str, Tally] = field(default_factory=lambda: {name: Tally() for name in ("traces", "logs", "metrics")})
    complaint: str = ""
    failure: SendFailed | None = None
    lock: Lock = field(default_factory=Lock)
    room: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(SENDERS * 2))
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(SENDERS, "send"))

    def submit(self, kind: str, batch: Batch) -> None:
        """Sends what the batch holds and empties it. Raises the SendFailed of an earlier request."""
        if self.failure is not None:
            raise self.failure
        if not batch.records:
            return
        records, body = batch.records, batch.take()
        while not self.room.acquire(timeout=TICK / SECOND):
            self.waiting()
        self.pool.submit(self.send, kind, body, records)

    def send(self, kind: str, body: bytes, records: int) -> None:
        try:
            answer = self.client.send(kind, body)
        except SendFailed as error:
            self.failure = error
            return
        finally:
            self.room.release()
        with self.lock:
            tally = self.tallies[kind]
            tally.sent += records
            tally.rejected += answer.rejected
            tally.accepted += records - answer.rejected
            self.complaint = answer.message or self.complaint

    def close(self) -> None:
        self.pool.shutdown(wait=True)
        self.client.close()

    def summary(self) -> str:
        parts = [
            f"{kind} {tally.accepted:,} accepted, {tally.rejected:,} rejected" for kind, tally in self.tallies.items()
        ]
        return "; ".join(parts) + (f". The receiver said: {self.complaint}" if self.complaint else "")


@dataclass(slots=True)
class Generator:
    """Simulates the shop up to a given time and hands full batches to the sender. `spans_each_ns` paces it."""

    sender: Sender
    walker: Walker
    meters: Meters
    scenario: Scenario
    rng: Random
    rate: float
    clock: int
    made: float = 0.0
    next_report: int = 0
    next_job: int = 0

    def advance(self, until: int) -> None:
        """Makes everything that happened from the last time until `until` (Unix ns)."""
        while self.clock < until:
            step = min(TICK, until - self.clock)
            self.clock += step
            self.scenario.advance(self.clock)
            self.made += self.rate * step / SECOND
            while self.made > 0:
                before = self.walker.spans.records
                self.walker.visit_shop(self.clock)
                self.made -= self.walker.spans.records - before
                self.flush_full()
            self.periodic()

    def periodic(self) -> None:
        if self.clock >= self.next_job:
            self.walker.run_job(self.rng.choice(self.walker.fleet.jobs), self.clock)
            self.next_job = self.clock + JOB_EVERY
        if self.clock >= self.next_report:
            self.meters.report(self.clock)
            self.sender.submit("metrics", self.meters.batch)
            self.next_report = self.clock + REPORT_EVERY

    def flush_full(self) -> None:
        if self.walker.spans.records >= REQUEST_SPANS:
            self.sender.submit("traces", self.walker.spans)
        if self.walker.logs.records >= REQUEST_SPANS:
            self.sender.submit("logs", self.walker.logs)

    def flush(self) -> None:
        self.sender.submit("traces", self.walker.spans)
        self.sender.submit("logs", self.walker.logs)
        self.sender.submit("metrics", self.meters.batch)


def build(sender: Sender, rate: float, seed: int, start: int, period: int) -> Generator:
    rng = Random(seed)
    fleet = Fleet.build(rng, start)
    spans, logs, metrics = Batch(), Batch(), Batch()
    meters = Meters(fleet, rng, metrics, start)
    walker = Walker(fleet, rng, spans, logs, meters)
    scenario = Scenario(walker, rng, start, period)
    return Generator(sender, walker, meters, scenario, rng, rate, start)


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for, in numbers. `duration` None means until interrupted; times in ns."""

    rate: float
    backfill: int
    duration: int | None
    seed: int

    @property
    def period(self) -> int:
        """How long the scenario takes: the whole run where that has an end."""
        return (
            self.backfill + self.duration
            if self.duration is not None and self.backfill + self.duration
            else ENDLESS_PERIOD
        )


def read_plan(args: argparse.Namespace) -> Plan:
    rate = quantity("--rate", args.rate, "")
    if rate <= 0:
        raise UsageError("--rate must be more than 0 spans a second")
    backfill = int(quantity("--backfill", args.backfill, "seconds") * SECOND)
    duration = int(quantity("--duration", args.duration, "seconds") * SECOND) if args.duration else None
    return Plan(rate, backfill, duration, args.seed if args.seed is not None else time.time_ns())


def quantity(flag: str, text: str, unit: str) -> float:
    try:
        return parse_quantity(text, unit)
    except ValueError as error:
        raise UsageError(f"{flag}: {text!r} is not understood: {error}") from error


def run(args: argparse.Namespace) -> int:
    plan = read_plan(args)
    endpoint = args.endpoint or local_receiver(args.protocol)
    stopped = Event()
    with contextlib.ExitStack() as stack:
        stack.enter_context(stopping(stopped))
        if args.serve:
            stack.enter_context(serving(stopped))
        sender = Sender(OtlpClient(endpoint, args.protocol, args.compression, args.token, stopping=stopped))
        print(f"demo: a shop at {plan.rate:g} spans/s to {endpoint} (seed {plan.seed})", file=sys.stderr)
        try:
            send_all(sender, plan, stopped)
        finally:
            sender.close()
            print(f"demo: {sender.summary()}", file=sys.stderr)
        if sender.failure is not None:
            raise sender.failure
    return 0


def send_all(sender: Sender, plan: Plan, stopped: Event) -> None:
    start = time.time_ns() - plan.backfill
    end = None if plan.duration is None else start + plan.backfill + plan.duration
    generator = build(sender, plan.rate, plan.seed, start, plan.period)
    flushed, began = time.monotonic(), time.monotonic()
    with StatusLine() as line:

        def present() -> int:
            return time.time_ns() if end is None else min(time.time_ns(), end)

        def report() -> None:
            if line.due():
                event = sender.client.trouble or generator.scenario.event
                line.show(describe(sender, event, present() - generator.clock, began))

        sender.waiting = report
        while not stopped.is_set() and (end is None or generator.clock < end):
            behind = present() - generator.clock
            generator.advance(generator.clock + min(behind, 10 * TICK))
            if time.monotonic() - flushed >= FLUSH_EVERY_SECONDS:
                generator.flush()
                flushed = time.monotonic()
            report()
            if behind <= TICK:
                stopped.wait(TICK / SECOND)
        generator.flush()


def describe(sender: Sender, event: str, behind: int, began: float) -> str:
    tallies = sender.tallies.values()
    sent, accepted, rejected = (
        sum(getattr(tally, name) for tally in tallies) for name in ("sent", "accepted", "rejected")
    )
    rate = sent / max(time.monotonic() - began, 0.001)
    late = f", {behind / SECOND:.0f} s to catch up" if behind > 2 * SECOND else ""
    return f"sent {sent:,} records ({rate:,.0f}/s), accepted {accepted:,}, rejected {rejected:,}{late} | {event}"


@contextlib.contextmanager
def stopping(stopped: Event) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM asks for an orderly end; the second is as usual."""
    previous: dict[int, Callable[..., object] | int | None] = {}

    def stop(number: int, frame: object) -> None:
        stopped.set()
        restore()

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        previous[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        restore()


@contextlib.contextmanager
def serving(stopped: Event) -> Iterator[None]:
    """`sonde serve` as a child for as long as the demo runs."""
    child = subprocess.Popen([sys.executable, "-m", "sonde.cli", "serve"], start_new_session=True)
    try:
        wait_until_ready(child, stopped)
        yield
    finally:
        if child.poll() is None:
            os.kill(child.pid, signal.SIGTERM)
        code = child.wait()
    if code:
        raise CommandError(f"sonde serve ended with exit code {code}; its own words are above")


def wait_until_ready(child: subprocess.Popen[bytes], stopped: Event) -> None:
    """Returns once /readyz says so. CommandError when the child ended before."""
    api = local_api()
    while not stopped.is_set():
        if child.poll() is not None:
            raise CommandError("sonde serve did not start; its own words are above")
        with contextlib.suppress(ApiError):
            api.open("/readyz").close()
            return
        stopped.wait(0.2)
