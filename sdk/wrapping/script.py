"""The script or module that Python runs as `__main__`: no import tells when its functions are there, for its code is the program.

They are there when that code has come below the last of them and calls something. Calls are looked at until then
(`sys.setprofile`), which slows the start of the program down, and is done only where the script is meant. The call that is
seen, often that of `main()`, has begun by then: it is not traced, everything that it calls is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from threading import current_thread, main_thread
from types import CodeType, FrameType, ModuleType
from typing import Any

from sonde.sdk.program import started_by


def script_names() -> tuple[str, ...]:
    """What patterns may call it: `__main__`, and the module that `python -m` runs."""
    module = started_by(sys.orig_argv)[0].module
    return ("__main__", module, f"{module}.__main__") if module else ("__main__",)


def when_defined(callback: Callable[[ModuleType], None]) -> None:
    """Calls back once with the module `__main__`: now, where its functions are there, or as soon as they are. RuntimeError where
    that can't be seen."""
    running = frame_of_body()
    if running is not None:
        is_too_early = not is_below_definitions(running)
    else:
        is_too_early = not hasattr(sys.modules["__main__"], "__file__") and current_thread() is main_thread()
    if is_too_early:
        watch_calls(callback)
    else:
        callback(sys.modules["__main__"])


def frame_of_body() -> FrameType | None:
    """That in which the script's code runs, where it is what calls this."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and not is_body(frame):
        frame = frame.f_back
    return frame


def is_body(frame: FrameType) -> bool:
    return frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__main__"


def is_below_definitions(frame: FrameType) -> bool:
    return frame.f_lineno > last_line_of_definitions(frame.f_code)


@cache
def last_line_of_definitions(code: CodeType) -> int:
    """Of the functions and classes in the code of a module; 0 where there are none."""
    found = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return max((last_line(one) for one in found if not one.co_name.startswith("<")), default=0)


def last_line(code: CodeType) -> int:
    own = max((line for _, _, line in code.co_lines() if line is not None), default=0)
    return max([own, *(last_line(constant) for constant in code.co_consts if isinstance(constant, CodeType))])


def watch_calls(callback: Callable[[ModuleType], None]) -> None:
    """Of this thread, until the script's functions are there or its code ends."""
    if sys.getprofile() is not None:
        raise RuntimeError("something else profiles the program")

    def look(frame: FrameType, event: str, argument: Any) -> None:
        calling = frame.f_back if event == "call" else frame
        if calling is None or not is_body(calling):
            return
        if event == "return" or (event in ("call", "c_call") and is_below_definitions(calling)):
            sys.setprofile(None)
            callback(sys.modules["__main__"])

    sys.setprofile(look)
