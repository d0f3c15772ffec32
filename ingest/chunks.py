"""A segment in portions that are stored at once: what bounds the writer's memory.

Where a portion ends is a function of the segment alone, not of settings nor of what was stored before, so that a portion done
again after a crash has the same number and with it the same tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sonde.ingest.segment import Contents, Frame, Kind

CHUNK_BYTES = 40 << 20
"""Requests together; a segment of the default size, which ends a little above it, is one chunk. Part of the segment format:
with another value the blocks of a segment in flight would have other tokens."""
CHUNK_RECORDS = 1 << 20
"""Records together. Only records of a few bytes each reach it: a data point may be 2 bytes on the wire and is 100 in columns.
Part of the segment format as well."""
CHUNK_ROOM = 1 << 29
"""Bytes in columns together, as estimated: reached by records of very many tiny parts, or by as many resources. Part of the
segment format too; requests spooled before their room was noted have none."""


@dataclass(slots=True)
class Chunk:
    """Some requests of a segment, in order, under a label that no other chunk of it has."""

    label: str
    frames: list[Frame] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    """Of each frame, among all requests of the segment that have a body."""

    @property
    def records(self) -> int:
        return sum(frame.records for frame in self.frames)

    def without(self, duplicates: frozenset[int]) -> Chunk:
        """The chunk with the requests at these positions left out."""
        if duplicates.isdisjoint(self.positions):
            return self
        kept = [(frame, at) for frame, at in zip(self.frames, self.positions, strict=True) if at not in duplicates]
        return Chunk(self.label, [frame for frame, _ in kept], [at for _, at in kept])

    def part(self, first: int, end: int) -> Chunk:
        """The chunk's requests from `first` to before `end`, as a chunk with a label of its own."""
        return Chunk(f"{self.label}.{first}-{end}", self.frames[first:end], self.positions[first:end])


def requests_of(contents: Contents) -> list[Frame]:
    """The frames that have a body: all there is to store."""
    return [frame for frame in contents.frames if frame.kind == Kind.REQUEST and frame.body_length]


def chunks_of(requests: list[Frame]) -> Iterator[Chunk]:
    """`requests` divided into chunks of at most CHUNK_BYTES, CHUNK_RECORDS and CHUNK_ROOM, or of one request where it alone is
    larger."""
    chunk = Chunk("0")
    size = records = room = 0
    for position, frame in enumerate(requests):
        size += frame.body_length
        records += frame.records
        room += frame.room
        if chunk.frames and (size > CHUNK_BYTES or records > CHUNK_RECORDS or room > CHUNK_ROOM):
            yield chunk
            chunk = Chunk(str(int(chunk.label) + 1))
            size, records, room = frame.body_length, frame.records, frame.room
        chunk.frames.append(frame)
        chunk.positions.append(position)
    if chunk.frames:
        yield chunk
