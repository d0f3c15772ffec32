"""Pages of a newest-first answer, stable while rows keep arriving.

A cursor is opaque text that says where the last page ended: the key of its last row, and how many rows with that very
key have been given out already (identical rows do exist: a log line may come twice within a nanosecond). It also
carries the question's time range, so that `-15m` means the same on every page, and a digest of the question, so that a
cursor is never continued under other filters. What it holds is used as values only; nothing is gained by forging one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from sonde.query.errors import InvalidCursor
from sonde.query.times import MAX_NANO, TimeRange

MAX_LENGTH = 8_192
"""A metric's name may stand in one."""
VERSION = 1
MAX_U64 = 2**64 - 1
Row = TypeVar("Row")
Key: TypeAlias = tuple[Any, ...]
"""Unsigned 64-bit integers and texts."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """`key`: what orders the rows, most significant first; `skip`: rows with that key given out so far."""

    range: TimeRange
    key: Key
    skip: int
    question: str

    def encode(self) -> str:
        values = [VERSION, self.range.start_nano, self.range.end_nano, list(self.key), self.skip, self.question]
        text = json.dumps(values, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def digest(*parts: object) -> str:
    """What identifies a question: everything but its time range, limit and cursor."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def decode(text: str, question: str, shape: Sequence[type]) -> Cursor:
    """The cursor in `text`, given out for `question` with a key of these types; InvalidCursor for anything else."""
    try:
        if len(text) > MAX_LENGTH:
            raise ValueError("too long")
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        version, start, end, key, skip, asked = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if version != VERSION or [type(part) for part in key] != list(shape):
            raise ValueError("not a cursor")
        numbers = [start, end, skip, *(part for part in key if not isinstance(part, str))]
        if not all(type(number) is int and 0 <= number <= MAX_U64 for number in numbers) or not start < end <= MAX_NANO:
            raise ValueError("out of range")
        "".join(part for part in key if isinstance(part, str)).encode()
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise InvalidCursor("The cursor is not one that this service gave out.") from None
    if asked != question:
        raise InvalidCursor("The cursor belongs to another question: its filters were different.")
    return Cursor(TimeRange(start, end), tuple(key), skip, question)


def page(
    rows: Sequence[Row],
    limit: int,
    key_of: Callable[[Row], Key],
    before: Cursor | None,
    range: TimeRange,
    question: str,
) -> tuple[Sequence[Row], str | None]:
    """The first `limit` of `rows` (which holds one more where there is a next page), and the cursor to go on from."""
    if len(rows) <= limit:
        return rows, None
    rows = rows[:limit]
    key = key_of(rows[-1])
    skip = sum(key_of(row) == key for row in rows)
    if before is not None and before.key == key:
        skip += before.skip
    return rows, Cursor(range, key, skip, question).encode()
