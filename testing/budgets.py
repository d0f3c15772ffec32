"""What tests assert of telemetry: each function says what is wrong in words, or gives nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from sonde.testing.records import Log, Point, Span
from sonde.testing.trees import exception_text, log_line, short

Allowed: TypeAlias = str | re.Pattern[str]


def errors_in(spans: Iterable[Span], logs: Iterable[Log], allow: Sequence[Allowed]) -> list[str]:
    """A line for each span with an error or an exception, and each log record of an error, that nothing allows."""
    lines = []
    for span in spans:
        told = [exception_text(event.attributes) for event in span.exceptions]
        if span.status == "error" or told:
            said = "; ".join(told) or short(span.status_message)
            if not allowed((span.name, said, span.status_message), allow):
                lines.append(f"span {span.name!r}: {said or 'status is error'}")
    for log in logs:
        if log.is_error and not allowed(
            (log.scope, str(log.body), str(log.attributes.get("exception.type", ""))), allow
        ):
            lines.append(f"log {log_line(log).removeprefix('> ')}")
    return lines


def allowed(texts: Iterable[str], allow: Sequence[Allowed]) -> bool:
    """Whether one of the texts has one of the allowed ones in it."""
    return any(
        each.search(text) is not None if isinstance(each, re.Pattern) else each in text
        for text in texts
        for each in allow
    )


def quantile(values: Iterable[float], q: float) -> float:
    """Linear between the closest ranks, as numpy's. ValueError: there are no values, or `q` is not in 0 to 1."""
    ordered = sorted(values)
    if not ordered or not 0 <= q <= 1:
        raise ValueError("a quantile is between 0 and 1, of at least one value")
    place = q * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def identity(point: Point) -> str:
    """The same for all points of a series, and for no others."""
    return repr((point.name, sorted(point.resource.items()), point.scope, sorted(point.attributes.items())))


def latest(points: Iterable[Point]) -> list[Point]:
    """The last point of each series; of those with deltas all of them."""
    found: dict[Any, Point] = {}
    for place, point in enumerate(points):
        found[place if point.temporality == "delta" else identity(point)] = point
    return list(found.values())


def series_of(points: Iterable[Point]) -> dict[str, list[Mapping[str, Any]]]:
    """The attributes of each series that has points, by metric."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for point in points:
        found.setdefault(point.name, {})[identity(point)] = point.attributes
    return {name: list(series.values()) for name, series in found.items()}


def series_report(series: Mapping[str, list[Mapping[str, Any]]]) -> str:
    """The metrics with the most series, and the labels that make them."""
    lines = []
    for name, sets in sorted(series.items(), key=lambda item: -len(item[1]))[:5]:
        makers = sorted(labels_of(sets).items(), key=lambda item: -len(item[1]))[:2]
        told = ", ".join(
            f"{key} has {len(values)} values ({examples(values)})" for key, values in makers if len(values) > 1
        )
        lines.append(f"  {name}: {len(sets)} series{': ' + told if told else ''}")
    return "\n".join(lines)


def labels_of(sets: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, None]]:
    """The values of each label, in the order of appearance."""
    found: dict[str, dict[str, None]] = {}
    for attributes in sets:
        for key, value in attributes.items():
            found.setdefault(key, {})[str(value)] = None
    return found


def examples(values: Iterable[str]) -> str:
    shown = [short(value, 40) for value in list(values)[:3]]
    return ", ".join([*shown, "..."] if len(list(values)) > 3 else shown)
