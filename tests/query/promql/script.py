"""Scripts of `load`, `clear` and `eval` with what is expected: Prometheus' format of tests for PromQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from memory_source import MemorySource
from series_text import SeriesText, milliseconds, parse_series

_EVAL = re.compile(
    r"eval(?:_(?P<outcome>\w+))?\s+(?:instant(?:\s+at\s+(?P<at>\S+))?"
    r"|range\s+from\s+(?P<start>\S+)\s+to\s+(?P<end>\S+)\s+step\s+(?P<step>\S+))\s+(?P<query>.*)"
)
_EXPECT = re.compile(r"expect\s+(?P<what>\w+)(?:\s+(?P<how>msg|regex)\s*:)?\s*(?P<text>.*)")
_RANGE_VECTOR = re.compile(r"vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+|inf|nan)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Expectation:
    """`expect what [how:text]`."""

    what: str
    how: str
    text: str


@dataclass(slots=True)
class Case:
    """One `eval`, with the samples loaded before it."""

    where: str
    query: str
    start_ms: int
    end_ms: int
    step_ms: int
    """0 for an instant query."""
    source: MemorySource
    expectations: list[Expectation] = field(default_factory=list)
    series: list[SeriesText] = field(default_factory=list)
    scalar: float | None = None

    def expected(self, what: str) -> list[Expectation]:
        return [one for one in self.expectations if one.what == what]

    def sample_times(self) -> range | None:
        """When the points of an expected range vector were taken, in ms; None where none is expected."""
        for one in self.expected("range"):
            match = _RANGE_VECTOR.fullmatch(one.text)
            assert match is not None, f"no range vector: {one.text}"
            start, end, step = map(milliseconds, match.groups())
            return range(start, end + 1, step)
        return None


def cases_of(path: Path) -> list[Case]:
    """Every `eval` of a script. ValueError, with the line, where the script can't be read."""
    found: list[Case] = []
    source = MemorySource()
    for number, head, block in _commands(path.read_text()):
        try:
            if head == "clear":
                source = MemorySource()
            elif head.startswith("load"):
                source = _loaded(source, head, block)
            else:
                found.append(_case(f"{path.name}:{number}", head, block, source))
        except Exception as error:
            raise ValueError(f"{path.name}:{number}: {error}") from error
    return found


def _commands(text: str) -> Iterator[tuple[int, str, list[str]]]:
    """(line number, first line, further lines) of each command, without comments."""
    head: tuple[int, str] | None = None
    block: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if stripped == "clear" or re.match(r"(load|load_with_nhcb|eval|eval_\w+)\s", stripped):
            if head:
                yield *head, block
            head, block = (number, stripped), []
        else:
            block.append(stripped)
    if head:
        yield *head, block


def _loaded(source: MemorySource, head: str, block: list[str]) -> MemorySource:
    command, interval = head.split()
    return source.with_series([parse_series(line) for line in block], milliseconds(interval), nhcb=command != "load")


def _case(where: str, head: str, block: list[str], source: MemorySource) -> Case:
    match = _EVAL.fullmatch(head)
    if match is None:
        raise ValueError(f"no eval: {head!r}")
    if match["start"]:
        times = milliseconds(match["start"]), milliseconds(match["end"]), milliseconds(match["step"])
    else:
        times = milliseconds(match["at"] or "0"), milliseconds(match["at"] or "0"), 0
    case = Case(where, match["query"], *times, source)
    if match["outcome"]:
        case.expectations.append(Expectation(match["outcome"], "", ""))
    for line in block:
        if expect := _EXPECT.fullmatch(line):
            case.expectations.append(Expectation(expect["what"], expect["how"] or "", expect["text"]))
        elif failure := re.fullmatch(r"expected_fail_(message|regexp)\s+(.*)", line):
            how = "msg" if failure[1] == "message" else "regex"
            case.expectations.append(Expectation("fail", how, failure[2]))
        elif _NUMBER.fullmatch(line):
            case.scalar = float(line)
        else:
            case.series.append(parse_series(line))
    return case
