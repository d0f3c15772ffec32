"""A trace as a tree: who called whom, how long it took by itself, and the drawing of it in plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sonde.testing.choosing import chosen
from sonde.testing.records import NANO, Log, Span

INDENT = "  "
LONGEST_TEXT = 160
"""Characters of a name, message or log body in a drawing."""


@dataclass(frozen=True)
class Trace:
    """The spans of one trace, and the log records that name it."""

    trace_id: str
    spans: tuple[Span, ...]
    """By start."""
    logs: tuple[Log, ...] = ()
    _by_id: Mapping[str, Span] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {span.span_id: span for span in self.spans})

    @cached_property
    def _below(self) -> Mapping[str, list[Span]]:
        """The children of each span; under "" those whose parent is not here."""
        below: dict[str, list[Span]] = {}
        for span in self.spans:
            is_child = span.parent_span_id in self._by_id and span.parent_span_id != span.span_id
            below.setdefault(span.parent_span_id if is_child else "", []).append(span)
        return below

    @property
    def roots(self) -> list[Span]:
        """The spans whose parent is not here: one, unless a part of the trace is missing."""
        return list(self._below.get("", ()))

    @property
    def root(self) -> Span:
        """AssertionError where there is not exactly one."""
        roots = self.roots
        if len(roots) != 1:
            raise AssertionError(
                f"trace {self.trace_id} has {len(roots)} roots: {', '.join(span.name for span in roots)}"
            )
        return roots[0]

    @property
    def duration(self) -> float:
        """Seconds from the first start to the last end."""
        if not self.spans:
            return 0.0
        first = min(span.start_time_unix_nano for span in self.spans)
        return (max(span.end_time_unix_nano for span in self.spans) - first) / NANO

    def children(self, span: Span) -> list[Span]:
        """By start."""
        return list(self._below.get(span.span_id, ()))

    def parent(self, span: Span) -> Span | None:
        return self._by_id.get(span.parent_span_id) if span.parent_span_id != span.span_id else None

    def ancestors(self, span: Span) -> list[Span]:
        """From the parent to the root."""
        found: list[Span] = []
        seen = {span.span_id}
        while (above := self.parent(span)) is not None and above.span_id not in seen:
            seen.add(above.span_id)
            found.append(above)
            span = above
        return found

    def descendants(self, span: Span) -> list[Span]:
        """All below it, each before its own children."""
        return [below for below, depth in self.walk(span) if depth]

    def self_time(self, span: Span) -> float:
        """Seconds in which none of its children ran."""
        covered, until = 0, span.start_time_unix_nano
        for child in self.children(span):
            begin = max(child.start_time_unix_nano, until)
            end = min(child.end_time_unix_nano, span.end_time_unix_nano)
            covered += max(0, end - begin)
            until = max(until, end)
        return (span.end_time_unix_nano - span.start_time_unix_nano - covered) / NANO

    def find(
        self,
        name: Any = None,
        where: Callable[[Span], Any] | None = None,
        *,
        attributes: Mapping[str, Any] | None = None,
    ) -> Span:
        """The one span with this name and these attributes. AssertionError, with the tree, where there is none or several."""
        found = self.find_all(name, where, attributes=attributes)
        if len(found) != 1:
            raise AssertionError(f"{len(found)} spans of this trace are {name!r}:\n{self.draw()}")
        return found[0]

    def find_all(
        self,
        name: Any = None,
        where: Callable[[Span], Any] | None = None,
        *,
        attributes: Mapping[str, Any] | None = None,
    ) -> list[Span]:
        return chosen(self.spans, where, {"name": name}, attributes or {})

    def logs_of(self, span: Span) -> list[Log]:
        """By time."""
        return [log for log in self.logs if log.span_id == span.span_id]

    def tops(self) -> list[Span]:
        """Spans from which all others are reached: the roots, and one of each ring of spans that are each other's parents."""
        found = self.roots
        reached = {span.span_id for root in found for span, _ in self.walk(root)}
        for span in self.spans:
            if span.span_id not in reached:
                found.append(span)
                reached.update(below.span_id for below, _ in self.walk(span))
        return found

    def walk(self, start: Span) -> Iterator[tuple[Span, int]]:
        """The span and all below it, with their depths, parents before children; each once."""
        seen: set[str] = set()
        waiting = [(start, 0)]
        while waiting:
            span, depth = waiting.pop()
            if span.span_id not in seen:
                seen.add(span.span_id)
                yield span, depth
                waiting += [(child, depth + 1) for child in reversed(self.children(span))]

    def _drawn(self, top: Span) -> Iterator[str]:
        """The lines of the span and of what happened in it, by time: its children's and its logs'."""
        seen: set[str] = set()
        waiting: list[tuple[Span | Log, int]] = [(top, 0)]
        while waiting:
            each, depth = waiting.pop()
            if isinstance(each, Log):
                yield INDENT * depth + log_line(each)
            elif each.span_id not in seen:
                seen.add(each.span_id)
                yield from span_lines(each, depth, self.self_time(each))
                below: list[Span | Log] = [*self.children(each), *self.logs_of(each)]
                waiting += [(item, depth + 1) for item in sorted(below, key=when, reverse=True)]

    def draw(self, *, most_lines: int = 200) -> str:
        """The tree in plain text: durations, own time, errors, and the logs under their spans. At most so many lines."""
        lines: list[str] = []
        drawn = {span.span_id for span in self.spans}
        for top in self.tops():
            lines += self._drawn(top)
        loose = [log for log in self.logs if log.span_id not in drawn]
        lines += [f"{INDENT}{log_line(log)}" for log in loose]
        return bounded(lines, most_lines)

    def __str__(self) -> str:
        return self.draw()


def when(item: Span | Log) -> int:
    return item.time_unix_nano if isinstance(item, Log) else item.start_time_unix_nano


def span_lines(span: Span, depth: int, own_seconds: float) -> list[str]:
    margin = INDENT * depth
    service = f"  [{span.service}]" if depth == 0 and span.service else ""
    error = f"  ERROR {short(span.status_message)}".rstrip() if span.status == "error" else ""
    head = (
        f"{margin}{short(span.name)}{service}  {milliseconds(span.duration)} (own {milliseconds(own_seconds)}){error}"
    )
    below = margin + INDENT
    exceptions = [f"{below}! {exception_text(event.attributes)}" for event in span.exceptions]
    return [head, *exceptions]


def log_line(log: Log) -> str:
    return f"> {log.severity or log.severity_number} {log.scope}: {short(log.body)}"


def exception_text(attributes: Mapping[str, Any]) -> str:
    kind, message = attributes.get("exception.type", "exception"), attributes.get("exception.message", "")
    return f"{kind}: {short(message)}" if message else str(kind)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def short(value: object, most: int = LONGEST_TEXT) -> str:
    """One line of at most that many characters."""
    text = " ".join(str(value).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def bounded(lines: list[str], most: int) -> str:
    if len(lines) > most:
        lines = [*lines[:most], f"... {len(lines) - most} more lines"]
    return "\n".join(lines)


def traces_of(spans: Iterable[Span], logs: Iterable[Log]) -> list[Trace]:
    """The traces of these spans, in the order of their first starts."""
    grouped: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda span: (span.start_time_unix_nano, -span.end_time_unix_nano)):
        grouped.setdefault(span.trace_id, []).append(span)
    said: dict[str, list[Log]] = {}
    for log in sorted(logs, key=lambda log: log.time_unix_nano):
        said.setdefault(log.trace_id, []).append(log)
    return [Trace(trace_id, tuple(own), tuple(said.get(trace_id, ()))) for trace_id, own in grouped.items()]
