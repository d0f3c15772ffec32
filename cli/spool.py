"""`sonde spool`: what lies in the spool folder, segment by segment."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sonde.cli import settings
from sonde.cli.errors import CommandError, UsageError
from sonde.cli.units import human_bytes
from sonde.ingest.config import IngestConfig

DESCRIPTION = """\
Looks into the spool folder, whether or not sonde is running on it.

  ls       lists segments: open, sealed (waiting for the store) and quarantined, with what is in them
  cat      prints the requests of one segment as OTLP
  replay   gives quarantined segments back to the writer, once the reason for their quarantine is gone"""
EXAMPLES = """\
  sonde spool ls
  sonde spool cat 1767600000                         the beginning of an id is enough, where only one has it
  sonde spool cat 1767600000 --format protobuf > requests.pb
  sonde spool replay 1767600000
  sonde spool replay --all"""
SECOND = 1_000_000_000


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("ls", "cat", "replay"), help="what to do")
    parser.add_argument("segment", nargs="?", default="", help="a segment's id, or the beginning of one")
    parser.add_argument("--all", action="store_true", help="replay everything in quarantine")
    parser.add_argument("--json", action="store_true", help="ls: one JSON object a segment")
    parser.add_argument(
        "--format", choices=("json", "protobuf"), default="json", help="cat: (default: json, a line a request)"
    )
    settings.add_flags(parser, IngestConfig)


@dataclass(frozen=True, slots=True)
class Entry:
    """One segment as `ls` shows it."""

    id: str
    state: str
    tenant: str
    signal: str
    requests: int
    records: int
    bytes: int
    age_seconds: float
    reason: str
    path: str


def run(args: argparse.Namespace) -> int:
    config = settings.load(args).build(IngestConfig)
    if not config.spool_path.is_dir():
        raise CommandError(f"there is no spool at {config.spool_path}; say where it is with --spool")
    if args.action == "ls":
        return ls(config.spool_path, args.json)
    if args.action == "replay":
        return replay(config.spool_path, args.segment, args.all)
    return cat(config.spool_path, args.segment, args.format)


def entries(path: Path) -> Iterator[Entry]:
    """Live segments first, then those in quarantine, each oldest first."""
    from sonde.ingest.live_segments import LiveSegments
    from sonde.ingest.quarantine import quarantined
    from sonde.ingest.spool_folder import SegmentFile, SpoolFolder

    folder = SpoolFolder(path)
    live = LiveSegments(folder).look()
    for found in sorted(live.values(), key=lambda item: item.file):
        state = "sealed" if found.file.sealed else "open"
        where = folder.segments / found.file.name
        yield entry(
            found.file, state, found.tally.accepted.requests, found.tally.accepted.records, found.size, "", where
        )
    for item in quarantined(folder):
        file = SegmentFile.parse(item.path.name)
        if file is not None:
            counts = count(item.path)
            yield entry(
                file, "quarantined", *counts, item.path.stat().st_size, str(item.reason.get("what", "")), item.path
            )


def count(path: Path) -> tuple[int, int]:
    """Accepted requests and records in a segment file; zero where it is too damaged to tell."""
    from sonde.ingest.segment import DamagedSegment, read_segment

    try:
        accepted = read_segment(path.read_bytes()).tally.accepted
    except DamagedSegment:
        return 0, 0
    return accepted.requests, accepted.records


def entry(file: Any, state: str, requests: int, records: int, size: int, reason: str, path: Path) -> Entry:
    age = round((time.time_ns() - file.created_unix_nano) / SECOND, 1)
    return Entry(
        file.id, state, file.stream.tenant, file.stream.signal, requests, records, size, age, reason, str(path)
    )


def ls(path: Path, as_json: bool) -> int:
    found = list(entries(path))
    if as_json:
        for item in found:
            print(json.dumps(asdict(item)))
        return 0
    for item in found:
        what = (
            f"{item.requests} requests, {item.records} records, {human_bytes(item.bytes)}, {item.age_seconds:.0f} s old"
        )
        print(f"{item.id}  {item.state:<11}  {what}{'  ' + item.reason if item.reason else ''}")
    waiting = sum(item.state != "quarantined" for item in found)
    print(f"{path}: {waiting} segments for the store, {len(found) - waiting} in quarantine", file=sys.stderr)
    return 0


def find(path: Path, beginning: str) -> Entry:
    if not beginning:
        raise UsageError("say which segment: its id or the beginning of it, as `sonde spool ls` shows them")
    matching = [item for item in entries(path) if item.id.startswith(beginning)]
    if len(matching) != 1:
        what = f"{len(matching)} segments begin with" if matching else "no segment begins with"
        raise CommandError(f"{what} {beginning!r} in {path}; `sonde spool ls` shows them all")
    return matching[0]


def cat(path: Path, beginning: str, kind: str) -> int:
    """The requests of one segment, as they came: records that were refused are still in them."""
    from sonde.ingest.segment import DamagedSegment, Kind, read_segment
    from sonde.query.otlp_json import to_line

    if kind == "protobuf" and sys.stdout.isatty():
        raise CommandError("protobuf would garble the terminal: pipe it on, or into a file")
    item = find(path, beginning)
    data = Path(item.path).read_bytes()
    try:
        contents = read_segment(data)
    except DamagedSegment as error:
        raise CommandError(f"{item.path} is damaged: {error}") from error
    request_class = request_classes().get(item.signal)
    for frame in contents.frames:
        if frame.kind == Kind.REQUEST and frame.body_length and request_class is not None:
            body = bytes(frame.body_in(data))
            sys.stdout.buffer.write(to_line(request_class.FromString(body)) if kind == "json" else body)
    sys.stdout.buffer.flush()
    accepted, rejected = contents.tally.accepted, contents.tally.rejected
    refused = ", ".join(
        f"{reason} ({number.requests} requests, {number.records} records)" for reason, number in rejected.items()
    )
    counts = f"{accepted.requests} requests, {accepted.records} records, refused: {refused or 'none'}"
    print(f"{item.id} ({item.state}): {counts}", file=sys.stderr)
    return 0


def request_classes() -> dict[str, Any]:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    return {
        "traces": ExportTraceServiceRequest,
        "metrics": ExportMetricsServiceRequest,
        "logs": ExportLogsServiceRequest,
    }


def replay(path: Path, beginning: str, everything: bool) -> int:
    from sonde.ingest.quarantine import NotInQuarantine
    from sonde.ingest.quarantine import replay as give_back

    if everything == bool(beginning):
        raise UsageError("say which segment to replay: its id as `sonde spool ls` shows it, or --all")
    chosen = [item.id for item in entries(path) if item.state == "quarantined"] if everything else [beginning]
    try:
        for segment in chosen:
            print(f"{give_back(path, segment)} is back in the spool", file=sys.stderr)
    except NotInQuarantine as error:
        raise CommandError(str(error)) from error
    print(f"{len(chosen)} replayed; a running sonde stores them now, otherwise the next start does", file=sys.stderr)
    return 0
