"""Golden traces: what a trace looked like when it was right, as a text file beside the test.

The text leaves out what differs from run to run: ids, times, durations, ports, processes and threads. Siblings stand in the
order of their starts; where they ran at the same time, in the order of their texts, for that is chance otherwise.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from sonde.testing.records import Span
from sonde.testing.trees import Trace

HEAD = "# A golden trace of sonde.testing. Written by: pytest --sonde-update-golden"
INDENT = "  "
CHANGING_KEYS = re.compile(
    r"""
    (.*\.)?port$ | thread\..* | process\..* | code\..* | os\..* | host\..* | network\.peer\..* | network\.local\..*
    | net\.(sock\.)?peer\..* | net\.host\..* | client\.address$ | user_agent\..* | exception\.stacktrace$ | .*\.(pid|thread_id)$
    | http\.(request|response)\.body\.size$ | http\.user_agent$ | messaging\.message\.id$ | .*_ip$
    """,
    re.VERBOSE,
)
"""Attributes that tell of the run or the machine, not of what the program does."""
CHANGING_TEXTS = (
    (re.compile(r"\b[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<uuid>"),
    (re.compile(r"\b(localhost|testserver|\d{1,3}(?:\.\d{1,3}){3}|\[::1?\]):\d{2,5}\b"), r"\1:<port>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b0x[0-9a-fA-F]{6,}\b"), "<address>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])([0-9a-f]{32}|[0-9a-f]{16})\b"), "<id>"),
    (re.compile(r"/tmp/[^\s'\",)]+|/private/var/[^\s'\",)]+"), "<temporary file>"),
)


def text_of(traces: Iterable[Trace], ignore: Collection[str] = ()) -> str:
    """`ignore`: attribute keys that are left out besides CHANGING_KEYS; a `*` at the end stands for any."""
    blocks = sorted("\n".join(forest(trace, trace.roots, ignore)) for trace in traces)
    return HEAD + "\n\n" + "\n\n".join(blocks) + "\n"


def forest(trace: Trace, spans: list[Span], ignore: Collection[str]) -> list[str]:
    """The lines of siblings with all below them."""
    return [
        line
        for group in at_once(spans)
        for text in sorted(tree(trace, span, ignore) for span in group)
        for line in text
    ]


def at_once(spans: list[Span]) -> Iterator[list[Span]]:
    """Siblings by start, those together that ran at the same time."""
    group: list[Span] = []
    until = 0
    for span in sorted(spans, key=lambda span: span.start_time_unix_nano):
        if group and span.start_time_unix_nano >= until:
            yield group
            group = []
        group.append(span)
        until = max(until, span.end_time_unix_nano) if len(group) > 1 else span.end_time_unix_nano
    if group:
        yield group


def tree(trace: Trace, span: Span, ignore: Collection[str]) -> list[str]:
    """A span's lines: its name, what is kept of its attributes and events, its children."""
    status = f", {span.status}" if span.status != "unset" else ""
    message = f": {steady(span.status_message)}" if span.status_message else ""
    lines = [f"{steady(span.name)} ({span.kind}{status}{message})", *attribute_lines(span.attributes, ignore)]
    for event in span.events:
        lines.append(f"{INDENT}! {steady(event.name)}")
        lines += [INDENT + line for line in attribute_lines(event.attributes, ignore)]
    return [*lines, *(INDENT + line for line in forest(trace, trace.children(span), ignore))]


def attribute_lines(attributes: Any, ignore: Collection[str]) -> list[str]:
    kept = {
        key: value for key, value in attributes.items() if not CHANGING_KEYS.match(key) and not ignored(key, ignore)
    }
    return [f"{INDENT}. {key} = {value_text(value)}" for key, value in sorted(kept.items())]


def ignored(key: str, ignore: Collection[str]) -> bool:
    return any(key.startswith(each[:-1]) if each.endswith("*") else key == each for each in ignore)


def value_text(value: Any) -> str:
    return steady(json.dumps(value, ensure_ascii=False, default=repr, sort_keys=True))


def steady(text: str) -> str:
    """Without what differs from run to run, and in one line."""
    for pattern, name in CHANGING_TEXTS:
        text = pattern.sub(name, text)
    return text.replace("\n", "\\n")


def path_of(test_file: Path, name: str) -> Path:
    """`tests/golden/test_shop/checkout.txt` for `tests/test_shop.py`. ValueError for a name that is no file's."""
    if not re.fullmatch(r"[\w.\- ]+", name) or name.startswith("."):
        raise ValueError(f"{name!r} can't be the name of a golden trace: letters, digits, spaces and -_. only")
    return test_file.parent / "golden" / test_file.stem / f"{name}.txt"


def differences(wanted: str, found: str, path: Path) -> str:
    """A unified diff; empty where there is none."""
    return "\n".join(
        difflib.unified_diff(wanted.splitlines(), found.splitlines(), str(path), "this run", lineterm="", n=4)
    )
