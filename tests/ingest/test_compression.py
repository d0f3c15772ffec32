"""Content-Encoding: what is spoken, what is refused, and that no body grows past its bound."""

from __future__ import annotations

import gzip
import random
import resource
import sys
import zlib

import pytest
from isal import isal_zlib
from sonde.ingest import compression
from sonde.ingest.compression import content_encoding, decompress
from sonde.ingest.errors import Malformed, TooLarge, UnsupportedMediaType

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMIT = 1 << 20


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


COMPRESS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "raw deflate": raw_deflate,
    "zstd": zstd.compress,
    "isal gzip": lambda data: isal_zlib.compress(data, wbits=31),
}
ENCODING = {"raw deflate": "deflate", "isal gzip": "gzip"}


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("", ""),
        ("identity", ""),
        ("gzip", "gzip"),
        (" GZIP ", "gzip"),
        ("x-gzip", "gzip"),
        ("deflate", "deflate"),
        ("zstd", "zstd"),
        ("identity, gzip", "gzip"),
        (",gzip,", "gzip"),
    ],
)
def test_the_encodings_that_are_spoken(header: str, encoding: str) -> None:
    assert content_encoding(header) == encoding


@pytest.mark.parametrize("header", ["br", "gzip, gzip", "gzip, zstd", "snappy", "gzip;q=1", "none"])
def test_an_encoding_that_is_not_spoken_is_refused_by_name(header: str) -> None:
    with pytest.raises(UnsupportedMediaType, match="gzip, deflate, zstd"):
        content_encoding(header)


@pytest.mark.parametrize("name", COMPRESS)
@pytest.mark.parametrize("size", [0, 1, 100, 70_000, LIMIT - 1, LIMIT])
def test_what_was_compressed_comes_back(name: str, size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert decompress(ENCODING.get(name, name), COMPRESS[name](data), LIMIT) == data


@pytest.mark.parametrize("name", COMPRESS)
def test_one_byte_over_the_bound_is_refused(name: str) -> None:
    body = COMPRESS[name](random.Random(1).randbytes(LIMIT + 1))
    with pytest.raises(TooLarge, match=str(LIMIT)):
        decompress(ENCODING.get(name, name), body, LIMIT)


@pytest.mark.parametrize("name", COMPRESS)
def test_a_bomb_stops_at_the_bound(name: str) -> None:
    bomb = COMPRESS[name](bytes(256 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooLarge):
        decompress(ENCODING.get(name, name), bomb, LIMIT)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB; the bomb would take 256 MiB


@pytest.mark.parametrize("name", COMPRESS)
def test_a_stream_cut_anywhere_is_malformed(name: str) -> None:
    body = COMPRESS[name](b"the quick brown fox " * 10)
    for end in range(len(body)):
        with pytest.raises(Malformed):
            decompress(ENCODING.get(name, name), body[:end], LIMIT)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_bytes_that_are_no_stream_are_malformed(encoding: str) -> None:
    rng = random.Random(7)
    for size in (1, 2, 10, 1000):
        with pytest.raises((Malformed, TooLarge)):
            decompress(encoding, b"\xff" + rng.randbytes(size), LIMIT)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_streams_in_a_row_are_one_body(encoding: str) -> None:
    body = COMPRESS[encoding](b"one ") + COMPRESS[encoding](b"two")
    assert decompress(encoding, body, LIMIT) == b"one two"


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_streams_in_a_row_share_one_bound(encoding: str) -> None:
    with pytest.raises(TooLarge):
        decompress(encoding, COMPRESS[encoding](bytes(LIMIT // 2 + 1)) * 2, LIMIT)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_flood_of_empty_streams_is_refused(encoding: str) -> None:
    with pytest.raises(Malformed, match=str(compression.MAX_STREAMS)):
        decompress(encoding, COMPRESS[encoding](b"") * 100_000, LIMIT)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_something_after_the_stream_is_malformed(encoding: str) -> None:
    with pytest.raises(Malformed):
        decompress(encoding, COMPRESS[encoding](b"data") + b"rubbish", LIMIT)


def test_a_zstd_window_larger_than_the_bound_is_refused() -> None:
    options = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    compressor = zstd.ZstdCompressor(options=options)
    body = compressor.compress(bytes(1000)) + compressor.flush()
    with pytest.raises(Malformed, match="zstd"):
        decompress("zstd", body, LIMIT)
