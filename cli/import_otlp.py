"""`sonde import`: OTLP files to any OTLP endpoint."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from sonde.cli.api import local_receiver
from sonde.cli.errors import CommandError
from sonde.cli.otlp_client import Answer, OtlpClient, SendFailed
from sonde.cli.otlp_files import Request, Source, open_source, read_requests
from sonde.cli.progress import StatusLine, bar
from sonde.cli.units import human_bytes

DESCRIPTION = """\
Sends OTLP files: JSON lines (what `sonde export` and the Collector's file exporter write), a single JSON document, or
protobuf; gzip is recognised. Tries again as the OTLP specification says, and ends with what was accepted and refused."""
EXAMPLES = """\
  sonde import traces.jsonl logs.jsonl.gz
  sonde import metrics.pb                            the signal is told by the name
  sonde import dump.bin --signal logs --endpoint http://collector:4318
  sonde export --signal traces --url http://old:8318 | sonde import -"""
SENDERS = 4


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="files to send; - for standard input")
    parser.add_argument(
        "--endpoint", default="", metavar="URL", help="OTLP/HTTP (default: the one that the settings name)"
    )
    parser.add_argument(
        "--signal", choices=("traces", "metrics", "logs"), default="", help="where the files do not say it themselves"
    )
    parser.add_argument(
        "--format", choices=("json", "protobuf"), default="", help="(default: told by name and content)"
    )
    parser.add_argument("--compression", choices=("gzip", "none"), default="gzip", help="(default: gzip)")
    parser.add_argument("--token", default="", metavar="SECRET", help="bearer token, where the receiver asks for one")
    parser.add_argument(
        "--retry-seconds", type=float, default=120.0, metavar="N", help="patience with one request (default: 120)"
    )


@dataclass(slots=True)
class Outcome:
    """What became of the requests of all files. `reasons` counts the receiver's sentences, refused requests and partial ones."""

    requests: int = 0
    refused: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    signals: Counter[str] = field(default_factory=Counter)

    def note(self, source: Source, request: Request, future: Future[Answer]) -> None:
        """Counts one finished request; one that can't be sent at all ends the import."""
        self.requests += 1
        self.signals[request.signal] += 1
        try:
            answer = future.result()
        except SendFailed as error:
            if error.unreachable:
                raise
            self.refused += 1
            self.reasons[f"{source.name}, {request.position}: {error}"] += 1
            return
        if answer.rejected:
            self.rejected[request.signal] += answer.rejected
        if answer.message:
            self.reasons[answer.message] += 1

    def summary(self) -> str:
        kinds = ", ".join(f"{count} of {signal}" for signal, count in sorted(self.signals.items())) or "none"
        lines = [
            f"{self.requests} requests sent ({kinds}): {self.requests - self.refused} accepted, {self.refused} refused"
        ]
        lines += [
            f"  {count} records of {signal} rejected within accepted requests"
            for signal, count in self.rejected.items()
        ]
        lines += [f"  {count} x {reason}" for reason, count in self.reasons.most_common(20)]
        return "\n".join(lines)


def run(args: argparse.Namespace) -> int:
    endpoint = args.endpoint or local_receiver("http")
    client = OtlpClient(endpoint, "http", args.compression, args.token, retry_seconds=args.retry_seconds)
    outcome = Outcome()
    try:
        with StatusLine() as line, ThreadPoolExecutor(SENDERS) as pool:
            for name in args.files:
                send_file(open_source(name), args, client, pool, outcome, line)
    except CommandError:
        print(outcome.summary(), file=sys.stderr)
        raise
    finally:
        client.close()
    print(outcome.summary(), file=sys.stderr)
    return 1 if outcome.refused or outcome.rejected else 0


def send_file(
    source: Source,
    args: argparse.Namespace,
    client: OtlpClient,
    pool: ThreadPoolExecutor,
    outcome: Outcome,
    line: StatusLine,
) -> None:
    """Keeps a few requests under way; reads on only as the oldest is answered, so memory stays bounded."""
    waiting: list[tuple[Request, Future[Answer]]] = []
    with source.raw:
        for request in read_requests(source, args.format, args.signal):
            waiting.append((request, pool.submit(client.send, request.signal, request.body, request.content_type)))
            if len(waiting) >= 2 * SENDERS:
                outcome.note(source, *waiting.pop(0))
            if line.due():
                line.show(describe(source, outcome, client.trouble))
    for item in waiting:
        outcome.note(source, *item)


def describe(source: Source, outcome: Outcome, trouble: str) -> str:
    done = bar(source.read_bytes / source.size) if source.size else ""
    read = f" {human_bytes(source.read_bytes)}" if source.size else ""
    return f"{source.name} {done}{read}, {outcome.requests} requests answered {trouble}".rstrip()
