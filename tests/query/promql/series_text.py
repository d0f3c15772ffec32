"""Series as scripts write them: `name{label="value"} 1 2+3x4 _ stale {{schema:0 count:1}}x2`.

A list of points is one value a step, None where there is no sample. `axn` stands for n + 1 times a, `a+bxn` for a and n more
that each grow by b, `_xn` for n steps without a sample.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from histogram_text import minus, parse_histogram, plus
from sonde.query.promql.histogram import Histogram
from sonde.query.promql.parser import parse
from sonde.query.promql.syntax import VectorSelector
from sonde.query.promql.windows import STALE

Point = float | Histogram | None
STALE_MARKER = float(np.array(STALE, np.int64).view(np.float64))
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy])")
_HISTOGRAM = r"\{\{[^}]*\}\}"
_NUMBER = r"(?:[+-]?(?:\d[\d_]*\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|inf|nan))"
_ITEM = re.compile(
    rf"(?P<blank>_)(?:x(?P<blanks>\d+))?"
    rf"|(?P<stale>stale)(?:x(?P<stales>\d+))?"
    rf"|(?P<first>{_HISTOGRAM}|{_NUMBER})(?:(?P<sign>[+-])(?P<step>{_HISTOGRAM}|{_NUMBER}))?(?:x(?P<times>\d+))?",
    re.IGNORECASE,
)
_START = re.compile(r"(?P<first>[+-]?[0-9.a-z]+?)(?:(?P<sign>[+-])(?P<step>[0-9.a-z]+?))?(?:x(?P<times>\d+))?")


@dataclass(frozen=True, slots=True)
class SeriesText:
    """One line of `load`, or of what an `eval` expects."""

    labels: dict[str, str]
    points: list[Point]
    texts: list[str]
    """As the points stand in the line, one a point."""
    is_starts: bool = False
    """The line has start times (`series@st`), in ms from each sample's time, and no samples."""


def milliseconds(text: str) -> int:
    """A duration with its units, or a number of seconds."""
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return round(float(text) * 1000)
    sign = -1 if text.startswith("-") else 1
    body = text.lstrip("+-")
    parts = _DURATION.findall(body)
    if not parts or "".join(number + unit for number, unit in parts) != body:
        raise ValueError(f"no duration: {text!r}")
    return sign * sum(round(float(number) * _UNITS_MS[unit]) for number, unit in parts)


def parse_series(line: str) -> SeriesText:
    """A line of a script; ValueError where it is none."""
    selector, rest = split_selector(line.strip())
    starts = rest.startswith("@st")
    rest = rest.removeprefix("@st")
    points, texts = _starts(rest) if starts else _points(rest)
    return SeriesText(_labels(selector), points, texts, starts)


def split_selector(line: str) -> tuple[str, str]:
    """The metric with its labels, and what follows."""
    depth, quote, at = 0, "", 0
    while at < len(line):
        character = line[at]
        if quote:
            at += character == "\\" and quote != "`"
            quote = "" if character == quote else quote
        elif character in "\"'`":
            quote = character
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if not depth:
                return line[: at + 1], line[at + 1 :]
        elif not depth and (character.isspace() or character == "@"):
            rest = line[at:].lstrip()
            if not rest.startswith("{") or rest.startswith("{{"):
                return line[:at], line[at:]
        at += 1
    return line, ""


def _labels(selector: str) -> dict[str, str]:
    """The labels; a selector of PromQL has to say one that is not empty, a series need not."""
    tree = parse(selector.replace("{", '{not_empty="x",', 1))
    assert isinstance(tree, VectorSelector)
    return {matcher.name: matcher.value for matcher in tree.matchers if matcher.value and matcher.name != "not_empty"}


def _value(text: str) -> float | Histogram:
    return parse_histogram(text) if text.startswith("{{") else float(text)


def _points(text: str) -> tuple[list[Point], list[str]]:
    points: list[Point] = []
    texts: list[str] = []
    at = 0
    text = text.strip()
    while at < len(text):
        item = _ITEM.match(text, at)
        if item is None or (item.end() < len(text) and not text[item.end()].isspace()):
            raise ValueError(f"no points at {text[at : at + 40]!r}")
        found = list(_expanded(item))
        points += found
        texts += [item[0]] * len(found)
        at = item.end()
        at += len(text[at:]) - len(text[at:].lstrip())
    return points, texts


def _expanded(item: re.Match[str]) -> Iterator[Point]:
    if item["blank"]:
        yield from [None] * int(item["blanks"] or 1)
    elif item["stale"]:
        yield from [STALE_MARKER] * (int(item["stales"]) + 1 if item["stales"] else 1)
    else:
        value = _value(item["first"])
        step = _value(item["step"]) if item["step"] else None
        yield value
        for _ in range(int(item["times"] or 0)):
            value = value if step is None else _next(value, step, item["sign"])
            yield value


def _next(value: float | Histogram, step: float | Histogram, sign: str) -> float | Histogram:
    if isinstance(value, Histogram):
        assert isinstance(step, Histogram)
        return plus(value, step) if sign == "+" else minus(value, step)
    assert not isinstance(step, Histogram)
    return value + step if sign == "+" else value - step


def _starts(text: str) -> tuple[list[Point], list[str]]:
    points: list[Point] = []
    words = text.split()
    for word in words:
        if word.startswith("_"):
            points += [None] * int(word[2:] or 1)
            continue
        item = _START.fullmatch(word)
        if item is None:
            raise ValueError(f"no start times: {word!r}")
        step = milliseconds(item["step"]) * (-1 if item["sign"] == "-" else 1) if item["step"] else 0
        points += [float(milliseconds(item["first"]) + step * n) for n in range(int(item["times"] or 0) + 1)]
    return points, words
