"""Content-Encoding of OTLP/HTTP: gzip, deflate and zstd, inflated as a stream with a hard bound on the output.

A bomb stops at the bound: no more than one byte past it is ever produced. gzip and deflate go through isal, which
inflates three times faster than zlib; all three release the GIL.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from isal import isal_zlib
from sonde.ingest.errors import Malformed, TooLarge, UnsupportedMediaType

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GZIP_WINDOW = 31
ZLIB_WINDOW = 15
RAW_WINDOW = -15
BROKEN: Any = (isal_zlib.error, zstd.ZstdError)
ACCEPTED = "gzip, deflate, zstd"
MAX_STREAMS = 64
"""gzip members or zstd frames in one body. Each takes a pass over what is left, so thousands of empty ones are an attack."""


def content_encoding(header: str) -> str:
    """The one encoding that Content-Encoding names, "" for identity. UnsupportedMediaType for others, and for chains."""
    names = [name for part in header.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    if not names:
        return ""
    name = "gzip" if names[0] == "x-gzip" else names[0]  # the same thing: RFC 9110, 8.4.1.3
    if len(names) > 1 or name not in _STREAMS:
        raise UnsupportedMediaType(
            f"Content-Encoding {header.strip()!r} is not spoken here: send one of {ACCEPTED}, or none"
        )
    return name


def decompress(encoding: str, body: bytes | memoryview, limit: int) -> bytes | memoryview:
    """`body` without its `encoding` ("" or one that `content_encoding` gave).

    Several gzip members or zstd frames in a row are one body, as their formats say. TooLarge past `limit` bytes of
    output; Malformed for a stream that is broken, cut short, or followed by something else.
    """
    if not encoding:
        return body
    parts: list[bytes] = []
    room, rest = limit, body
    while rest or not parts:
        if len(parts) == MAX_STREAMS:
            raise Malformed(f"more than {MAX_STREAMS} {encoding} streams in one body: send one")
        stream = _STREAMS[encoding](rest, limit)
        try:
            part = stream.decompress(rest, room + 1)
        except BROKEN as error:
            raise Malformed(f"the body is not the {encoding} stream that Content-Encoding promises: {error}") from None
        room -= len(part)
        if room < 0:
            raise TooLarge(f"the body is larger than {limit} bytes after decompression: send smaller batches")
        if not stream.eof:
            raise Malformed(f"the {encoding} stream ends too early: {len(body)} bytes came, it is not complete")
        parts.append(part)
        rest = stream.unused_data
        if rest and encoding == "deflate":
            raise Malformed(f"{len(rest)} bytes follow the end of the deflate stream")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _gzip(_body: bytes | memoryview, _limit: int) -> Any:
    return isal_zlib.decompressobj(wbits=GZIP_WINDOW)


def _deflate(body: bytes | memoryview, _limit: int) -> Any:
    """HTTP's deflate is a zlib stream (RFC 9110, 8.4.1.2), but some clients send raw DEFLATE; the first two bytes tell."""
    zlib_header = len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return isal_zlib.decompressobj(wbits=ZLIB_WINDOW if zlib_header else RAW_WINDOW)


def _zstd(_body: bytes | memoryview, limit: int) -> Any:
    """A frame may ask for a window of gigabytes: bounded by twice what the output may be, so that an output just past the
    bound is still told from a broken stream."""
    window_log = min(max(limit.bit_length(), 10), 31)
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: window_log})


_STREAMS: dict[str, Callable[[bytes | memoryview, int], Any]] = {"gzip": _gzip, "deflate": _deflate, "zstd": _zstd}
