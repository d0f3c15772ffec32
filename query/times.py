"""Times and durations as people write them, to nanoseconds and back."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from sonde.query.errors import InvalidParameter

MAX_NANO = 2**63 - 1
"""The last instant the store can sort by: 2262-04-11T23:47:16.854775807Z."""
UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
TIME_HINT = (
    "Write 2026-01-31T10:00:00Z (RFC 3339), unix seconds, ms, us or ns, `now`, or relative to now: -15m, -2h30m, -7d."
)
DURATION_HINT = "Write a number with a unit: 250us, 150ms, 1.5s, 2m, 1h30m."
DEFAULT_RANGE = 3_600_000_000_000
MAX_LENGTH = 64

_DURATION = re.compile(r"(\d{1,19}(?:\.\d{1,9})?)(ns|us|µs|μs|ms|s|m|h|d|w)", re.ASCII)
_RFC3339 = re.compile(
    # A `+` that was not escaped in a URL arrives as a space.
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:([Zz])|([ +-])(\d\d):(\d\d))",
    re.ASCII,
)
_UNIX = re.compile(r"(\d{1,19})(?:\.(\d{1,9}))?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Half open: `start_nano <= time < end_nano`, ns since 1970."""

    start_nano: int
    end_nano: int

    @property
    def parameters(self) -> dict[str, int]:
        return {"start": self.start_nano, "end": self.end_nano}


def parse_duration(text: str, parameter: str = "duration") -> int:
    """Nanoseconds of `150ms` or `1h30m`; a fraction of a nanosecond is cut off."""
    total, position = Fraction(0), 0
    if len(text) <= MAX_LENGTH:
        while found := _DURATION.match(text, position):
            total += Fraction(found.group(1)) * UNITS[found.group(2)]
            position = found.end()
    if position == 0 or position != len(text):
        raise InvalidParameter(parameter, f"{parameter} is not a duration: {text[:MAX_LENGTH]!r}", hint=DURATION_HINT)
    if total > MAX_NANO:
        raise InvalidParameter(parameter, f"{parameter} is longer than 292 years", hint=DURATION_HINT)
    return int(total)


def parse_time(text: str, now_nano: int, parameter: str = "time") -> int:
    """Nanoseconds since 1970 of an instant in any of the spellings of `TIME_HINT`.

    A bare number is taken by its size: below 1e11 seconds (year 5138), below 1e14 milliseconds, below 1e17
    microseconds, else nanoseconds; the first two may have a fraction.
    """
    text = text.strip()
    try:
        nano = _parse_time(text, now_nano, parameter) if 0 < len(text) <= MAX_LENGTH else None
    except (ValueError, OverflowError):
        nano = None
    if nano is None:
        raise InvalidParameter(parameter, f"{parameter} is not a time: {text[:MAX_LENGTH]!r}", hint=TIME_HINT)
    if not 0 <= nano <= MAX_NANO:
        raise InvalidParameter(parameter, f"{parameter} must lie between 1970 and 2262: {text!r}", hint=TIME_HINT)
    return nano


def _parse_time(text: str, now_nano: int, parameter: str) -> int | None:
    if text.startswith("now"):
        text = text[3:]
        if not text:
            return now_nano
        if text[0] not in "+- ":
            return None
    if text[0] in "+-":
        distance = parse_duration(text[1:], parameter)
        return now_nano - distance if text[0] == "-" else now_nano + distance
    if found := _UNIX.fullmatch(text):
        return _unix(found.group(1), found.group(2) or "")
    if _DATE.fullmatch(text):
        text += "T00:00:00Z"
    if found := _RFC3339.fullmatch(text):
        return _rfc3339(found)
    return None


def _unix(whole: str, fraction: str) -> int | None:
    number = int(whole)
    scale = 10**9 if number < 10**11 else 10**6 if number < 10**14 else 10**3 if number < 10**17 else 1
    if fraction and scale < 10**6:
        return None
    return number * scale + int(Fraction(f"0.{fraction or 0}") * scale)


def _rfc3339(found: re.Match[str]) -> int | None:
    date, hour, minute, second, fraction, utc, sign, offset_hour, offset_minute = found.groups()
    leap = int(second == "60")  # RFC 3339 5.6 allows it; it is the second after :59 here, as in POSIX time
    moment = datetime.fromisoformat(f"{date}T{hour}:{minute}:{int(second) - leap:02}+00:00") + timedelta(seconds=leap)
    seconds = int((moment - _EPOCH) // timedelta(seconds=1))
    if not utc:
        if int(offset_hour) > 23 or int(offset_minute) > 59:
            return None
        offset = int(offset_hour) * 3600 + int(offset_minute) * 60
        seconds += offset if sign == "-" else -offset
    return seconds * 10**9 + int((fraction or "0").ljust(9, "0"))


def time_range(start: str | None, end: str | None, *, now_nano: int | None = None) -> TimeRange:
    """The range of a request. Without `end` it ends now; without `start` it begins an hour before its end."""
    now = time.time_ns() if now_nano is None else now_nano
    end_nano = parse_time(end, now, "end") if end else now
    start_nano = parse_time(start, now, "start") if start else max(0, end_nano - DEFAULT_RANGE)
    if start_nano >= end_nano:
        raise InvalidParameter(
            "start",
            f"start ({format_time(start_nano)}) must be before end ({format_time(end_nano)})",
            hint="start is inclusive, end exclusive; without `end` the range ends now.",
        )
    return TimeRange(start_nano, end_nano)


def format_time(nano: int) -> str:
    """RFC 3339 in UTC with all nine digits: `2026-01-31T10:00:00.123456789Z`. `nano` may be any unsigned 64-bit value."""
    seconds, fraction = divmod(nano, 10**9)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{fraction:09}Z"
