"""Queries that differ in nothing but their values have one shape: what tells N+1 queries from different ones."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sonde.testing.records import Span
from sonde.testing.trees import Trace

STATEMENT_KEYS = ("db.query.text", "db.statement")
"""The convention's name now, and its older one."""
LITERALS = re.compile(
    r"""
    --[^\n]*                        # comments carry ids of traces and requests
    | /\*.*?\*/
    | '(?:[^'\\]|''|\\.)*'          # texts
    | \b0x[0-9a-fA-F]+\b | \b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b
    | [:@$]\w+ | %\(\w+\)s | %s | \$\d+ | \?   # places of parameters
    """,
    re.VERBOSE | re.DOTALL,
)
LISTS = re.compile(r"\(\s*\?(?:\s*,\s*\?)*\s*\)")
LISTS_OF_LISTS = re.compile(r"\(\?\)(?:\s*,\s*\(\?\))+")
CASTS = re.compile(r"::(\w+)")


def shape(statement: str) -> str:
    """The statement with `?` for every value, `(?)` for every list of them, and single spaces."""
    held = CASTS.sub(r" CAST \1", statement)
    text = LITERALS.sub(lambda found: "" if found[0].startswith(("--", "/*")) else "?", held)
    return LISTS_OF_LISTS.sub("(?)", LISTS.sub("(?)", " ".join(text.split()))).strip().rstrip(";")


def statement_of(span: Span) -> str:
    """Empty where it is no query, or does not tell."""
    return next((str(span.attributes[key]) for key in STATEMENT_KEYS if key in span.attributes), "")


@dataclass(frozen=True, slots=True)
class Repeated:
    """Queries of one shape under one parent."""

    shape: str
    parent: Span | None
    """None: the test itself, or a part of the program that made no span."""
    spans: tuple[Span, ...]

    @property
    def seconds(self) -> float:
        return sum(span.duration for span in self.spans)

    def __str__(self) -> str:
        below = f"under {self.parent.name!r}" if self.parent else "under no span"
        return f"{len(self.spans)} times {below}, {self.seconds * 1000:.1f} ms in all:\n    {self.shape}"


def repeated(traces: Iterable[Trace], least: int) -> list[Repeated]:
    """The shapes that `least` or more sibling queries have, most repeated first. Roots of all traces are siblings."""
    groups: dict[tuple[str, str], list[Span]] = {}
    parents: dict[str, Span | None] = {}
    for trace in traces:
        for span in trace.spans:
            if statement := statement_of(span):
                parent = trace.parent(span)
                above = parent.span_id if parent else ""
                parents[above] = parent
                groups.setdefault((above, shape(statement)), []).append(span)
    found = [
        Repeated(text, parents[above], tuple(spans)) for (above, text), spans in groups.items() if len(spans) >= least
    ]
    return sorted(found, key=lambda each: -len(each.spans))
