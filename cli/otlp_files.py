"""OTLP files as requests: JSON lines (one request a line, or one for the whole file), and protobuf of any length.

Concatenated OTLP is OTLP, so a protobuf file of any size is one message; it is cut between its Resource* fields into
requests of a size that every receiver takes.
"""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from sonde.cli.errors import CommandError, UsageError
from sonde.cli.otlp_client import JSON, PROTOBUF

REQUEST_BYTES = 4 << 20
KEYS = {"resourceSpans": "traces", "resourceMetrics": "metrics", "resourceLogs": "logs"}
RESOURCE_TAG = 0x0A
"""Field 1, length-delimited: resource_spans, resource_metrics or resource_logs."""
MAX_VARINT_BYTES = 10
MAX_FIELD_BYTES = 1 << 30
LEN = 2


@dataclass(frozen=True, slots=True)
class Request:
    signal: str
    content_type: str
    body: bytes
    position: str
    """Where in the input it stands, for a person."""


@dataclass(slots=True)
class Source:
    """An input and how far it has been read: `read_bytes` of `size` (0 where unknown), counted before decompression."""

    name: str
    raw: BinaryIO
    size: int

    @property
    def read_bytes(self) -> int:
        try:
            return self.raw.tell()
        except OSError:  # a pipe
            return 0


def open_source(name: str) -> Source:
    """The file `name`, or standard input for `-`."""
    if name == "-":
        return Source("standard input", sys.stdin.buffer, 0)
    path = Path(name)
    try:
        return Source(name, path.open("rb"), path.stat().st_size)
    except OSError as error:
        raise CommandError(f"{name} can't be read: {error.strerror or error}") from error


def read_requests(source: Source, kind: str, signal: str) -> Iterator[Request]:
    """The requests of one input. `kind`: "json", "protobuf", or "" to tell by name and content; `signal` may be empty."""
    stream = unpacked(source)
    kind = kind or kind_of(source.name, stream.peek(64)[:64])
    if kind == "json":
        yield from read_json(source.name, stream, signal)
    else:
        yield from read_protobuf(source.name, stream, signal or signal_of_name(source.name))


def unpacked(source: Source) -> io.BufferedReader:
    """The input without its gzip, which is told by its first two bytes."""
    stream = (
        source.raw if isinstance(source.raw, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", source.raw))
    )
    if stream.peek(2)[:2] == b"\x1f\x8b":
        return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=stream)), 1 << 18)
    return stream


def kind_of(name: str, head: bytes) -> str:
    suffixes = Path(name).suffixes
    if {".json", ".jsonl", ".ndjson"} & set(suffixes):
        return "json"
    if {".pb", ".bin", ".binpb", ".otlp", ".seg"} & set(suffixes):
        return "protobuf"
    return "json" if head.lstrip()[:1] == b"{" else "protobuf"  # a protobuf file may begin with 0x0a, a newline


def signal_of_name(name: str) -> str:
    """The signal that a file's name speaks of; protobuf bytes themselves do not tell."""
    lowered = Path(name).name.lower()
    found = [
        signal
        for word, signal in (("trace", "traces"), ("span", "traces"), ("metric", "metrics"), ("log", "logs"))
        if word in lowered
    ]
    if len(found) == 1:
        return found[0]
    raise UsageError(
        f"{name}: protobuf does not say of itself which signal it is; add --signal traces, metrics or logs"
    )


def read_json(name: str, stream: IO[bytes], signal: str) -> Iterator[Request]:
    """One request from each line; a file that is a single, many-line JSON document is one request."""
    for index, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            found = signal_of_json(line)
        except ValueError as error:
            if index == 1:
                yield whole_document(name, line + stream.read(), signal)
                return
            raise CommandError(f"{name}, line {index}: not one JSON object on a line: {error}") from error
        yield Request(check_signal(found, signal, f"{name}, line {index}"), JSON, line.strip(), f"line {index}")


def whole_document(name: str, text: bytes, signal: str) -> Request:
    try:
        return Request(check_signal(signal_of_json(text), signal, name), JSON, text, "the document")
    except ValueError as error:
        raise CommandError(f"{name} is neither JSON lines nor one JSON document: {error}") from error


def signal_of_json(text: bytes) -> str:
    """The signal that a request's key names, or "". ValueError where it is no JSON object."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    return next((KEYS[key] for key in value if key in KEYS), "")


def check_signal(found: str, wanted: str, where: str) -> str:
    if not found and not wanted:
        raise CommandError(f"{where}: none of {', '.join(KEYS)} is in it, so it is no OTLP request")
    if found and wanted and found != wanted:
        raise CommandError(f"{where}: holds {found}, but --signal says {wanted}")
    return found or wanted


def read_protobuf(name: str, stream: IO[bytes], signal: str) -> Iterator[Request]:
    """Requests of about REQUEST_BYTES, cut between top-level fields. What is no Resource* field is left out (spool segments
    have such)."""
    parts: list[bytes] = []
    size = start = position = 0
    while (field := read_field(name, stream, position)) is not None:
        tag, data = field
        position += len(data)
        if tag != RESOURCE_TAG:
            continue
        parts.append(data)
        size += len(data)
        if size >= REQUEST_BYTES:
            yield Request(signal, PROTOBUF, b"".join(parts), f"bytes {start} to {position}")
            parts, size, start = [], 0, position
    if parts:
        yield Request(signal, PROTOBUF, b"".join(parts), f"bytes {start} to {position}")


def read_field(name: str, stream: IO[bytes], position: int) -> tuple[int, bytes] | None:
    """The next top-level field, tag and all, or None at the end of the stream."""
    try:
        tag, tag_bytes = read_varint(stream)
        if not tag_bytes:
            return None
        length, length_bytes = read_varint(stream)
        if tag & 7 != LEN or not length_bytes or length > MAX_FIELD_BYTES:
            raise ValueError("a field of a kind or length that OTLP does not have")
        data = stream.read(length)
        if len(data) < length:
            raise ValueError("the file ends within a message: it is cut short")
    except ValueError as error:
        raise CommandError(f"{name}, byte {position}: this is no OTLP protobuf, {error}") from error
    return tag, tag_bytes + length_bytes + data


def read_varint(stream: IO[bytes]) -> tuple[int, bytes]:
    """A varint and its bytes, which are none at the end of the stream. ValueError where it is cut short or too long."""
    value, taken = 0, b""
    for shift in range(0, 7 * MAX_VARINT_BYTES, 7):
        byte = stream.read(1)
        if not byte:
            if taken:
                raise ValueError("the file ends within a number: it is cut short")
            return 0, b""
        taken += byte
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value, taken
    raise ValueError("a number of more than ten bytes")
