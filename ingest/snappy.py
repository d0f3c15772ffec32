"""The snappy block format, as Prometheus' remote write sends it: one block, no frames.

https://github.com/google/snappy/blob/main/format_description.txt
"""

from __future__ import annotations

from typing import Any

import cramjam
from sonde.ingest.errors import Malformed, TooLarge

MOST_LENGTH_BYTES = 5
MOST_GROWTH = 22
"""A copy of 64 bytes takes 3. Memory for what a block can't hold is not even taken."""
BROKEN: Any = cramjam.DecompressionError


def decompress_block(body: bytes | memoryview, limit: int) -> bytes:
    """What the block `body` holds. TooLarge where it says that it is more than `limit` bytes, before any is inflated;
    Malformed where it is not a whole block."""
    length = declared_length(body)
    if length > limit:
        raise TooLarge(
            f"the body is {length} bytes after decompression, more than {limit} (setting max_request_bytes): send smaller "
            "batches"
        )
    if length > MOST_GROWTH * len(body):
        raise Malformed(f"the snappy block says that its {len(body)} bytes become {length}: no block grows so much")
    plain = bytearray(length)
    try:
        written = cramjam.snappy.decompress_raw_into(body, plain)
    except BROKEN as error:
        raise Malformed(f"the body is not the snappy block that Content-Encoding promises: {error}") from None
    if written != length:
        raise Malformed(f"the snappy block says {length} bytes and holds {written}")
    return bytes(plain)


def declared_length(body: bytes | memoryview) -> int:
    """The length that a block begins with: a varint of 32 bits. Malformed where there is none."""
    length = 0
    for at, byte in enumerate(body[:MOST_LENGTH_BYTES]):
        length |= (byte & 0x7F) << 7 * at
        if byte < 0x80:
            if length >> 32:
                break
            return length
    raise Malformed(
        "the body does not begin as a snappy block does, with its length: remote write is always compressed"
    )
