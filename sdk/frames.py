"""The frames of an exception: which are the program's own, and the source around those.

Own is what lies neither in the standard library nor among installed packages, and of installed ones the package that is run.
Local variables are never looked at; of the source, what looks like a secret is blotted out (`sonde.sdk.secrets`).
"""

from __future__ import annotations

import linecache
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from functools import cache, lru_cache
from types import FrameType, TracebackType
from typing import Any

from sonde.sdk import secrets
from sonde.sdk.functions import passes_on
from sonde.sdk.plain import cut
from sonde.sdk.program import SERVERS, program_of

FIRST_FRAMES, LAST_FRAMES = 10, 40
"""Of more, those between are left out, and their number is told."""
FRAMES_WITH_SOURCE = 10
"""The innermost of the program's own."""
LINES_AROUND = 3
LINES_READ_BEFORE = 200
LONGEST_LINE = 200
"""Characters."""
MOST_SOURCE = 16 * 1024
"""Characters of source in all."""
LARGEST_FILE = 2 << 20
"""Bytes of a file that is read for its lines."""
PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
OWN_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep

TOOLS = SERVERS | {"celery", "coverage", "django", "flask", "pytest", "sonde"}
"""Modules that are run, and yet are not what is run."""

MARGIN = re.compile(r" *\| ")
"""Before the lines of exceptions of a group."""

Frame = dict[str, Any]


def frames(trace: TracebackType | None, *, source: bool) -> list[Frame]:
    """Outermost first: `file`, `line`, `function`, `module`, `own`; with `source` also `source`, the lines around that line, and
    `source_from`, the number of the first. Where frames are left out there is one with nothing but `left_out`, their number."""
    found = [(each, of_frame(each, line)) for each, line in traceback.walk_tb(trace)]
    if source:
        add_source(found)
    all_frames = [each for _, each in found]
    between = len(all_frames) - FIRST_FRAMES - LAST_FRAMES
    if between <= 0:
        return all_frames
    return [*all_frames[:FIRST_FRAMES], {"left_out": between}, *all_frames[-LAST_FRAMES:]]


def of_frame(frame: FrameType, line: int | None) -> Frame:
    code, module = frame.f_code, str(frame.f_globals.get("__name__", ""))
    return {
        "file": code.co_filename,
        "line": line or 0,
        "function": code.co_qualname,
        "module": module,
        "own": is_own(code.co_filename, module) and not passes_on(code),
    }


def is_own(file: str, module: str) -> bool:
    if module.partition(".")[0] in run_packages():
        return True
    if file.startswith("<"):
        return module == "__main__"
    path = os.path.abspath(file)
    if os.path.dirname(path) == os.path.dirname(sys.executable):
        return False  # the script by which a package is run
    return not (path.startswith((OWN_FOLDER, *standard_library())) or any(folder in path for folder in PACKAGES))


@cache
def standard_library() -> tuple[str, ...]:
    return tuple({os.path.abspath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib")})


@cache
def run_packages() -> frozenset[str]:
    """Of the module that was started, or that a server was told to serve."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    started = spec.name if spec is not None else ""
    names = {name.partition(".")[0] for name in (started, program_of(sys.orig_argv).module)}
    return frozenset(names - TOOLS - sys.stdlib_module_names - {""})


def add_source(found: list[tuple[FrameType, Frame]]) -> None:
    left = MOST_SOURCE
    own = [(frame, told) for frame, told in found[-LAST_FRAMES:] if told["own"]]
    for frame, told in own[: -FRAMES_WITH_SOURCE - 1 : -1]:
        lines = lines_around(frame, told["line"])
        size = sum(map(len, lines))
        if lines and size <= left:
            left -= size
            told["source"], told["source_from"] = list(lines), max(1, told["line"] - LINES_AROUND)


def lines_around(frame: FrameType, line: int) -> tuple[str, ...]:
    file = frame.f_code.co_filename
    if line < 1 or is_large(file):
        return ()
    linecache.lazycache(file, frame.f_globals)
    return lines_at(file, line)


@lru_cache(256)
def lines_at(file: str, line: int) -> tuple[str, ...]:
    """What stands above is gone through as well, for it may say that these are a secret's. A program that fails, fails again: what
    took a millisecond is kept."""
    lines = linecache.getlines(file)
    first, begin = (max(0, line - 1 - around) for around in (LINES_AROUND, LINES_READ_BEFORE))
    shown = secrets.in_source(each.rstrip("\r\n") for each in lines[begin : line + LINES_AROUND])
    return tuple(cut(text, LONGEST_LINE) for number, text in enumerate(shown, begin) if number >= first)


def is_large(file: str) -> bool:
    try:
        return os.path.getsize(file) > LARGEST_FILE
    except OSError:
        return False  # no file: a loader may have the source


def blotted_stacktrace(text: str, *, source: bool) -> str:
    """A stack trace as Python prints it, without what looks like a secret, and without lines of source unless `source`."""
    return "\n".join(blotted_lines(text.split("\n"), source))


def blotted_lines(lines: list[str], source: bool) -> Iterator[str]:
    in_frame = False
    for line in lines:
        margin = MARGIN.match(line)
        text = line[margin.end() :] if margin else line
        if text.startswith('  File "'):
            in_frame = True
            yield line
        elif in_frame and text.startswith("    "):
            if source:
                yield from secrets.in_source([line])
        else:
            in_frame = False
            yield secrets.in_text(line)
