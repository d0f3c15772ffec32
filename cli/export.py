"""`sonde export`: stored telemetry as OTLP, from a running sonde's query API."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPException
from typing import IO

from sonde.cli.api import Api, local_api
from sonde.cli.errors import CommandError
from sonde.cli.progress import StatusLine
from sonde.cli.units import human_bytes

DESCRIPTION = """\
Writes what a running sonde has stored as OTLP again: JSON with one request on each line, or protobuf as one long request.
`sonde import` reads both. A file appears under its name only when it is complete."""
EXAMPLES = """\
  sonde export --signal traces --output traces.jsonl
  sonde export --signal logs --start 2026-01-05T08:00:00Z --end 2026-01-05T09:00:00Z > logs.jsonl
  sonde export --signal metrics --format protobuf --output metrics.pb
  sonde export --signal traces --url http://old:8318 | sonde import - --endpoint http://new:4318"""
CHUNK_BYTES = 1 << 18
PATIENCE_SECONDS = 600.0
"""The longest silence of the service: it may have to search for long before it finds the next record."""
EVERYTHING = "1970-01-01T00:00:00Z"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--signal", choices=("traces", "metrics", "logs"), required=True, help="what to export")
    parser.add_argument(
        "--start",
        default="",
        metavar="TIME",
        help="from then on: 2026-01-31T10:00:00Z, Unix time, or -15m (default: everything)",
    )
    parser.add_argument("--end", default="", metavar="TIME", help="up to this time, exclusive (default: now)")
    parser.add_argument("--format", choices=("json", "protobuf"), default="json", help="(default: json)")
    parser.add_argument(
        "--output", default="-", metavar="FILE", help="file to write, - for standard output (default: -)"
    )
    parser.add_argument(
        "--url", default="", metavar="URL", help="query API to ask (default: the one that the settings name)"
    )
    parser.add_argument(
        "--tenant", default="", metavar="NAME", help="whose telemetry (default: the service's own default)"
    )


def run(args: argparse.Namespace) -> int:
    api = replace(Api(args.url, args.tenant) if args.url else local_api(args.tenant), timeout_seconds=PATIENCE_SECONDS)
    chosen = {"signal": args.signal, "format": args.format, "start": args.start or EVERYTHING, "end": args.end}
    parameters = {name: value for name, value in chosen.items() if value}
    if args.output == "-" and args.format == "protobuf" and sys.stdout.isatty():
        raise CommandError("protobuf would garble the terminal: name a file with --output, or pipe it on")
    with api.open("/api/export", parameters) as response, StatusLine() as line, output(args.output) as file:
        written = 0
        while data := read_chunk(response):
            file.write(data)
            written += len(data)
            line.show(f"exported {human_bytes(written)} of {args.signal}")
        file.flush()
    print(
        f"exported {human_bytes(written)} of {args.signal} to {'standard output' if args.output == '-' else args.output}",
        file=sys.stderr,
    )
    return 0


def read_chunk(response: IO[bytes]) -> bytes:
    """What comes next; empty at the proper end. CommandError where the answer breaks off, as a failed export does."""
    try:
        return response.read(CHUNK_BYTES)
    except (HTTPException, OSError) as error:
        raise CommandError(
            f"the export broke off and is not complete ({error}); see what the query service logged"
        ) from error


@contextlib.contextmanager
def output(name: str) -> Iterator[IO[bytes]]:
    """The file to write to. It takes its name when all is written, so half an export is never taken for a whole one."""
    if name == "-":
        yield sys.stdout.buffer
        return
    partial = f"{name}.part"
    try:
        with open(partial, "wb") as file:
            yield file
        os.replace(partial, name)
    except OSError as error:
        if isinstance(error, CommandError | BrokenPipeError):
            raise
        raise CommandError(f"{partial} can't be written: {error.strerror or error}") from error
