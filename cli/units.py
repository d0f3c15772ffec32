"""Sizes, times and shares as people write them: `64MiB`, `200ms`, `14d`, `1h30m`, `85%`, and back again."""

from __future__ import annotations

import re

SIZES = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
TIMES = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3_600.0,
    "d": 86_400.0,
    "w": 604_800.0,
}
EXAMPLES = {"bytes": "64MiB", "seconds": "200ms, 5s or 14d", "days": "14 or 14d", "ratio": "0.85 or 85%"}
PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
NUMBER = re.compile(r"[+-]?\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?")


def unit_of(name: str) -> str:
    """The unit that a setting's name ends in: "bytes", "seconds", "days", "ratio", or "" for none."""
    suffix = name.rpartition("_")[2]
    return suffix if suffix in EXAMPLES else ""


def parse_quantity(text: str, unit: str) -> float:
    """The number of `unit` that `text` says; a bare number counts in `unit` itself. ValueError says what to write."""
    lowered = text.strip().lower()
    if NUMBER.fullmatch(lowered):
        return float(lowered)
    if unit == "bytes":
        return parse_size(lowered)
    if unit in ("seconds", "days"):
        return parse_time(lowered) / (TIMES["d"] if unit == "days" else 1.0)
    if unit == "ratio" and lowered.endswith("%") and NUMBER.fullmatch(lowered[:-1]):
        return float(lowered[:-1]) / 100
    raise ValueError(f"write a number, such as {EXAMPLES[unit]}" if unit else "write a plain number")


def parse_size(lowered: str) -> float:
    match = PART.fullmatch(lowered)
    if match and match[2] in SIZES:
        return float(match[1]) * SIZES[match[2]]
    raise ValueError("write a size such as 64MiB (2^20 bytes) or 64MB (10^6 bytes)")


def parse_time(lowered: str) -> float:
    parts = PART.findall(lowered)
    if not parts or PART.sub("", lowered).strip() or any(suffix not in TIMES for _, suffix in parts):
        raise ValueError("write a time such as 200ms, 5s, 10m, 1h30m or 14d")
    return sum(float(number) * TIMES[suffix] for number, suffix in parts)


def format_quantity(value: float, unit: str) -> str:
    """`value` in the largest unit that keeps it whole: 67108864 bytes is `64MiB`, 0.2 seconds `200ms`, 14 days `14d`."""
    if unit == "ratio":
        return f"{value * 100:g}%"
    if unit == "days":
        return f"{value:g}d" if value else "0"
    if not value or unit not in ("bytes", "seconds"):
        return f"{value:g}" if isinstance(value, float) else str(value)
    names = ("TiB", "GiB", "MiB", "KiB") if unit == "bytes" else ("d", "h", "m", "s", "ms", "us", "ns")
    for name in names:
        size = (SIZES if unit == "bytes" else TIMES)[name.lower()]
        count = round(value / size, 9)
        if count >= 1 and count == round(count):
            return f"{int(count)}{name}"
    return str(value) if unit == "bytes" else f"{value:g}s"


def human_bytes(count: float) -> str:
    """A byte count to read, not to parse back: `1.4 GiB`."""
    for name in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {name}" if name == "B" else f"{count:.1f} {name}"
        count /= 1024
    return f"{count:.1f} TiB"
