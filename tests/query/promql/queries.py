"""The queries of the conformance scripts, for tests of the language alone."""

from __future__ import annotations

import re

from conformance import path_of

EVAL = re.compile(
    r"eval(?P<outcome>_\w+)? (?:instant(?: at \S+)?|range from \S+ to \S+ step \S+)\s+(?P<query>.*)",
)


def conformance_queries() -> list[tuple[str, str, bool]]:
    """(where, query, whether a failure is expected) of every evaluation in the scripts."""
    found: list[tuple[str, str, bool]] = []
    for path in sorted(path_of("promql").glob("*.test")):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines, 1):
            if match := EVAL.match(line.strip()):
                expected = "".join(_indented(lines[number:]))
                fails = match["outcome"] == "_fail" or "expect fail" in expected
                found.append((f"{path.name}:{number}", match["query"], fails))
    return found


def _indented(lines: list[str]) -> list[str]:
    block = []
    for line in lines:
        if not line[:1].isspace():
            break
        block.append(line)
    return block
