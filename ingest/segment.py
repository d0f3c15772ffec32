"""The segment file: requests of one stream, as they came, each behind a small checksummed head.

A segment is itself an OTLP message. Protobuf merges repeated fields, so concatenated requests are one request, and a
reader skips the fields it does not know: every head is a length-delimited field whose number (19 800) lies in the
range that protobuf reserves for itself, so no version of OTLP will ever use it. `protoc --decode` reads a segment as it
is, and so does any OTLP library.

    segment = frame*                        the first is OPENED; where the owner closed it in order, the last is SEALED
    frame   = head body
    head    = tag(19800, LEN) length        5 bytes; the length of what follows, as a two-byte varint
              "sond" kind room              4 + 1 + 3 bytes; room: KiB that the body takes in columns, as estimated (room.py)
              body_length records           uint32 each; records = those accepted
              received_unix_nano            uint64
              identity                      16 bytes: xxh3_128 of the body, zero where there is none
              checksum                      8 bytes: xxh3_64 of all from "sond" on, without itself, seeded (below)
              extra                         the rest of the length; by kind
    kind    1 OPENED    extra: JSON of `Opened`
            2 REQUEST   extra: nothing, or number of reasons uint8, (reason uint8, count uint32)*, the records refused, and
                        counts: what the scan counted (counts.py); body: the request, if any was accepted
            3 REFUSALS  extra: JSON {reason: [requests, records]}, requests refused whole
            4 SEALED    extra: JSON of the `Tally` of all frames before

Numbers are little-endian. The checksum's seed is drawn for each segment and stored in OPENED (whose own seed is 0), so
that bytes in a request's body can't pass for a frame, not even where a reader looks for one behind damage.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple, TypeAlias

import xxhash
from sonde.ingest.accounts import Stream, Tally
from sonde.ingest.limits import Limits
from sonde.ingest.signature import signed

FORMAT = 2
Buffer: TypeAlias = bytes | bytearray | memoryview

_TAG = bytes([0xC2, 0xD5, 0x09])
"""Varint of (19 800 << 3) | 2."""
_MAGIC = b"sond"
_FIELDS = struct.Struct("<4sB3sIIQ16s")
_CHECKSUM_BYTES = 8
_PREFIX_BYTES = len(_TAG) + 2
_FIXED_BYTES = _FIELDS.size + _CHECKSUM_BYTES
_MAX_HEAD = 0x3FFF
MAX_FRAME_HEAD = _PREFIX_BYTES + _MAX_HEAD
"""No frame is longer, but for its body."""
_REJECTED = struct.Struct("<BI")
_NO_IDENTITY = bytes(16)
MAX_BODY_BYTES = 0xFFFF_FFFF
_MAX_ROOM = 0xFF_FFFF
TAIL_BYTES = 4096
"""A SEALED frame is found by looking at no more than this many bytes at the end of a file."""


class Kind(IntEnum):
    OPENED = 1
    REQUEST = 2
    REFUSALS = 3
    SEALED = 4


class DamagedSegment(Exception):
    """The file is not a whole segment; the message says where and what."""


class TornAtStart(DamagedSegment):
    """The file ends within its first frame. That frame is synced together with the first requests, so nothing that was
    acknowledged is in it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a segment says of itself in its first frame."""

    stream: Stream
    limits: Limits
    """The limits its requests were judged by."""
    created_unix_nano: int
    receiver: str
    """Which receiver process wrote it."""
    seed: int
    """Of the checksums of the frames that follow: uint64."""
    format: int = FORMAT

    def encode(self) -> bytes:
        """The OPENED frame."""
        text = json.dumps(asdict(self) | {"stream": list(self.stream), "limits": self.limits.as_dict()})
        return encode_head(Kind.OPENED, seed=0, extra=text.encode())

    @classmethod
    def decode(cls, extra: Buffer) -> Opened:
        """The inverse of `encode`, from the frame's extra; raises DamagedSegment."""
        values = json.loads(bytes(extra))
        if values["format"] != FORMAT:
            raise DamagedSegment(f"segment format {values['format']}: this sonde reads format {FORMAT} alone")
        values["stream"] = Stream(*values["stream"])
        values["limits"] = Limits.from_dict(values["limits"])
        return cls(**values)


class Frame(NamedTuple):
    """One frame's head as read, and where its body lies in what it was read from."""

    kind: int
    offset: int
    body_start: int
    body_length: int
    records: int
    received_unix_nano: int
    identity: bytes
    extra: Buffer
    room: int = 0
    """Bytes that the body takes in columns, as estimated at the door."""

    @property
    def end(self) -> int:
        return self.body_start + self.body_length

    def body_in(self, buffer: Buffer) -> Buffer:
        """The request, as a slice of what the frame was read from."""
        return buffer[self.body_start : self.end]

    def rejected(self) -> tuple[int, ...]:
        """Of a REQUEST: records refused, indexed by Reason (as far as the last one that occurs)."""
        counts: list[int] = []
        for reason, count in _REJECTED.iter_unpack(self.extra[1 : self._counts_start]):
            counts.extend([0] * (reason + 1 - len(counts)))
            counts[reason] = count
        return tuple(counts)

    @property
    def counts(self) -> Buffer:
        """Of a REQUEST: what its scan counted, as `counts.py` has it; empty where there is nothing."""
        return self.extra[self._counts_start :]

    @property
    def _counts_start(self) -> int:
        return 1 + self.extra[0] * _REJECTED.size if len(self.extra) else 0

    def count_into(self, tally: Tally) -> None:
        """Add what this frame stands for to `tally`."""
        if self.kind == Kind.REQUEST:
            tally.add_request(self.records, self.rejected() if len(self.extra) else ())
        elif self.kind == Kind.REFUSALS:
            for reason, (requests, records) in json.loads(bytes(self.extra)).items():
                tally.reject(reason, requests, records)


def encode_head(
    kind: Kind,
    *,
    seed: int,
    body: Buffer = b"",
    records: int = 0,
    received_unix_nano: int = 0,
    room: int = 0,
    extra: bytes = b"",
    counts: bytes = b"",
) -> bytes:
    """The head of a frame, to be written in front of `body`. One pass over the body, for its identity.

    `counts`: of the scan of `body`, not signed yet; they go behind `extra`.
    """
    identity = xxhash.xxh3_128_digest(body) if len(body) else _NO_IDENTITY
    if counts:
        extra += signed(counts, identity, len(body))
    length = _FIXED_BYTES + len(extra)
    if length > _MAX_HEAD:
        raise ValueError(f"a frame's head holds at most {_MAX_HEAD} bytes, not {length}")
    kib = min(-(-room // 1024), _MAX_ROOM).to_bytes(3, "little")
    fields = _FIELDS.pack(_MAGIC, kind, kib, len(body), records, received_unix_nano, identity)
    checksum = xxhash.xxh3_64_digest(fields + extra, seed)
    return b"".join((_TAG, bytes((0x80 | length & 0x7F, length >> 7)), fields, checksum, extra))


def encode_request(
    seed: int,
    body: Buffer,
    received_unix_nano: int,
    records: int,
    rejected: Sequence[int],
    counts: bytes = b"",
    room: int = 0,
) -> bytes:
    """The head of a REQUEST. `body` is what will be written after it (empty where nothing was accepted); `counts` what the scan
    counted of it, where the decoder may rely on that (counts.py); `room` the bytes that its columns will take (room.py)."""
    reasons = [_REJECTED.pack(reason, count) for reason, count in enumerate(rejected) if count]
    return encode_head(
        Kind.REQUEST,
        seed=seed,
        body=body,
        records=records,
        received_unix_nano=received_unix_nano,
        room=room,
        extra=bytes([len(reasons)]) + b"".join(reasons) if reasons or counts else b"",
        counts=counts,
    )


def encode_refusals(seed: int, reasons: Mapping[str, tuple[int, int]]) -> bytes:
    """A REFUSALS frame: for each reason the number of requests refused whole, and of records known to be in them."""
    return encode_head(Kind.REFUSALS, seed=seed, extra=json.dumps(reasons).encode())


def encode_sealed(seed: int, tally: Tally) -> bytes:
    """The SEALED frame that closes a segment."""
    return encode_head(Kind.SEALED, seed=seed, extra=json.dumps(tally.as_dict(), separators=(",", ":")).encode())


def head_at(buffer: Buffer, offset: int, seed: int) -> Frame | None:
    """The frame whose whole head is at `offset`, or None where there is none. The body need not be in `buffer`."""
    fixed = offset + _PREFIX_BYTES
    if len(buffer) < fixed + _FIXED_BYTES or bytes(buffer[offset : offset + len(_TAG)]) != _TAG:
        return None
    length = (buffer[offset + 3] & 0x7F) | buffer[offset + 4] << 7
    body_start = fixed + length
    if length < _FIXED_BYTES or len(buffer) < body_start:
        return None
    magic, kind, kib, body_length, records, received_unix_nano, identity = _FIELDS.unpack_from(buffer, fixed)
    checksum_start = fixed + _FIELDS.size
    extra = buffer[fixed + _FIXED_BYTES : body_start]
    covered = bytes(buffer[fixed:checksum_start]) + bytes(extra)
    checksum = bytes(buffer[checksum_start : checksum_start + _CHECKSUM_BYTES])
    if magic != _MAGIC or xxhash.xxh3_64_digest(covered, seed) != checksum:
        return None
    room = int.from_bytes(kib, "little") * 1024
    return Frame(kind, offset, body_start, body_length, records, received_unix_nano, identity, extra, room)


def frame_at(buffer: Buffer, offset: int, seed: int) -> Frame | None:
    """The whole frame that begins at `offset`, head and body checked, or None where there is none."""
    frame = head_at(buffer, offset, seed)
    if frame is None or frame.end > len(buffer):
        return None
    if frame.body_length and xxhash.xxh3_128_digest(frame.body_in(buffer)) != frame.identity:
        return None
    return frame


def read_opened(buffer: Buffer) -> tuple[Opened, int]:
    """The OPENED frame at the start of `buffer` and where it ends; raises DamagedSegment."""
    frame = frame_at(buffer, 0, 0)
    if frame is None and _ends_within_frame(buffer):
        raise TornAtStart(f"the file has {len(buffer)} bytes, and its first frame needs more")
    if frame is None or frame.kind != Kind.OPENED:
        raise DamagedSegment("the file does not begin with a whole OPENED frame: it is no segment, or a torn one")
    try:
        return Opened.decode(frame.extra), frame.end
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedSegment(f"the OPENED frame can't be understood ({error}): written by another version?") from error


def _ends_within_frame(buffer: Buffer) -> bool:
    if len(buffer) < _PREFIX_BYTES + _FIXED_BYTES:
        return True
    return len(buffer) < _PREFIX_BYTES + ((buffer[3] & 0x7F) | buffer[4] << 7)


def walk(buffer: Buffer, offset: int, seed: int) -> Iterator[Frame]:
    """The whole frames from `offset` on; ends at the first place where there is none."""
    while (frame := frame_at(buffer, offset, seed)) is not None:
        yield frame
        offset = frame.end


@dataclass(slots=True)
class Contents:
    """A segment as read from `buffer`."""

    buffer: Buffer
    opened: Opened
    frames: list[Frame] = field(default_factory=list)
    """REQUEST and REFUSALS frames, in order."""
    tally: Tally = field(default_factory=Tally)
    """Of `frames`."""
    end: int = 0
    """Where the last whole frame ends; bytes behind it are a torn tail."""
    sealed: bool = False

    def body(self, frame: Frame) -> Buffer:
        return frame.body_in(self.buffer)


def read_segment(buffer: Buffer) -> Contents:
    """All of a segment, checked.

    A torn tail is left out: it can only be what was being written when the process or the machine went down, and nothing
    of that was acknowledged. Raises DamagedSegment where more than that is wrong: a whole frame lies behind the damage,
    or the frames are not those the SEALED frame counted.
    """
    opened, offset = read_opened(buffer)
    contents = Contents(buffer, opened, end=offset)
    counted: Tally | None = None
    for frame in walk(buffer, offset, opened.seed):
        if counted is not None:
            raise DamagedSegment(f"a frame at byte {frame.offset} follows the SEALED frame")
        if frame.kind == Kind.SEALED:
            counted = Tally.from_dict(json.loads(bytes(frame.extra)))
        else:
            frame.count_into(contents.tally)
            contents.frames.append(frame)
        contents.end = frame.end
    contents.sealed = counted is not None
    if counted is not None and counted != contents.tally:
        raise DamagedSegment(f"it was sealed with {counted.as_dict()} but holds {contents.tally.as_dict()}")
    if (behind := _frame_behind(buffer, contents.end, opened.seed)) is not None:
        raise DamagedSegment(f"bytes {contents.end} to {behind} are no frame, yet a whole one follows them")
    return contents


def _frame_behind(buffer: Buffer, offset: int, seed: int) -> int | None:
    """Where the next whole frame begins at or behind `offset`, or None."""
    rest = bytes(buffer[offset:])
    at = rest.find(_TAG)
    while at >= 0:
        if frame_at(rest, at, seed) is not None:
            return offset + at
        at = rest.find(_TAG, at + 1)
    return None


def sealed_tally(opened: Opened, tail: bytes) -> Tally | None:
    """The tally in the SEALED frame at the very end of `tail` (the file's last TAIL_BYTES); None where there is none."""
    at = tail.rfind(_TAG)
    frame = frame_at(tail, at, opened.seed) if at >= 0 else None
    if frame is None or frame.kind != Kind.SEALED or frame.end != len(tail):
        return None
    values: dict[str, Any] = json.loads(bytes(frame.extra))
    return Tally.from_dict(values)
