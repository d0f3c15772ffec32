"""What structlog logs, with the fields of its events.

The last processor of a chain renders: here it is watched, wherever a bound logger runs its chain, for what it is given are all the
fields. Where the result goes to `logging`, the record that comes of it is told with these fields (`sonde.sdk.logs.rendered`);
where structlog prints it or writes it by itself, the event is told here. Being no part of the configuration, this lasts
through `structlog.configure`, and `structlog.get_config()` shows what the program has set.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from time import time, time_ns
from types import FrameType, ModuleType
from typing import Any

from sonde.sdk import logs
from sonde.sdk.functions import FILE_PATH, FUNCTION_NAME, LINE_NUMBER
from sonde.sdk.logs import (
    STACK,
    THREAD_ID,
    THREAD_NAME,
    Bridge,
    Rendered,
    bounded,
    rendered,
)
from sonde.sdk.plain import LONGEST_TEXT, cut, shown
from sonde.sdk.raised import STACKTRACE, described

LEVELS = {
    "debug": logging.DEBUG,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "err": logging.ERROR,
    "error": logging.ERROR,
    "exception": logging.ERROR,
    "failure": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
"""By the method that was called; others (info, msg, log) are INFO."""
EVENT = ("event", "message", "msg")
"""What the field is called that holds the message; the first that is there."""
OF_THE_RECORD = frozenset({"exc_info", "stack", "stack_info", "_record", "_from_structlog"})
OF_TESTS = ("CapturingLogger", "ReturnLogger")
"""Loggers that write nothing anywhere."""
PROCESSORS = "_processors"


def hook(structlog: ModuleType) -> None:
    from structlog._base import BoundLoggerBase

    kind: Any = BoundLoggerBase
    kind._processors = property(watched_processors, set_processors)


def set_processors(bound: Any, processors: Any) -> None:
    bound.__dict__[PROCESSORS] = processors.own if type(processors) is Chain else processors


def watched_processors(bound: Any) -> Any:
    """Made anew each time: a configuration's list may be changed in place, as structlog's own capture_logs does."""
    own = bound.__dict__[PROCESSORS]
    return Chain(own) if isinstance(own, (list, tuple)) and own else own


class Chain(list[Any]):
    """Processors, the last of them watched."""

    def __init__(self, own: Sequence[Any]) -> None:
        super().__init__(own)
        self.own = own
        self[-1] = Last(own[-1])


class Last:
    """A processor that renders, and what happens to be told of it."""

    __slots__ = ("own",)

    def __init__(self, own: Any) -> None:
        self.own = own

    def __repr__(self) -> str:
        return repr(self.own)

    def __call__(self, logger: Any, method: str, event: Any) -> Any:
        bridge = logs.current()
        level = LEVELS.get(method, logging.INFO)
        if bridge is None or level < bridge.level or type(logger).__name__ in OF_TESTS:
            return self.own(logger, method, event)
        fields = dict(event) if isinstance(event, Mapping) else {}  # renderers take out what they write
        result = self.own(logger, method, event)
        try:
            if isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
                hand_to_logging(logger, level, fields, result)
            else:
                tell(bridge, level, fields, result)
        except Exception as error:
            bridge.could_not(error)
        return result


def hand_to_logging(logger: Any, level: int, fields: dict[str, Any], result: Any) -> None:
    """What is known of the record that comes of this. It is told when it is handed to its handlers, if it is."""
    message, is_rendered = message_in(result)
    if not fields or message is None or not logger.isEnabledFor(level):
        return
    found = Rendered(message, name_in(fields))
    if is_rendered:  # else the fields are `extra` ones
        found.body, found.attributes = body_of(fields, result), attributes_of(fields, level)
    if type(logger).findCaller is logging.Logger.findCaller:  # one of structlog's own looks further
        found.place = place_of(caller()[0])
    rendered.set(found)


def message_in(result: Any) -> tuple[object, bool]:
    """What becomes the message of a record, and whether that holds the fields too."""
    if isinstance(result, (str, bytes)):
        return result, True
    if isinstance(result, tuple) and result and result[0]:
        return result[0][0], isinstance(result[0][0], Mapping)
    return (result.get("msg"), False) if isinstance(result, Mapping) else (None, False)


def tell(bridge: Bridge, level: int, fields: dict[str, Any], result: Any) -> None:
    """An event that structlog writes by itself."""
    frame, module = caller()
    name = name_in(fields) or module
    if bridge.tells(name, level):
        attributes = place_of(frame) | of_thread() | attributes_of(fields, level)
        bridge.tell(name, level, logging.getLevelName(level), body_of(fields, result), attributes, time_ns())


def caller() -> tuple[FrameType, str]:
    """The program's frame, and its module."""
    from structlog._frames import _find_first_app_frame_and_name

    return _find_first_app_frame_and_name([__name__])


def place_of(frame: FrameType) -> dict[str, Any]:
    return {FILE_PATH: frame.f_code.co_filename, LINE_NUMBER: frame.f_lineno, FUNCTION_NAME: frame.f_code.co_name}


def of_thread() -> dict[str, Any]:
    thread = threading.current_thread()
    return {THREAD_ID: thread.ident, THREAD_NAME: thread.name}


def name_in(fields: Mapping[str, Any]) -> str:
    """The name that structlog.stdlib.add_logger_name has added."""
    name = fields.get("logger")
    return name if isinstance(name, str) else ""


def body_of(fields: Mapping[str, Any], result: Any) -> str:
    """The event, also where EventRenamer has given it another name; else what was rendered."""
    for key in EVENT:
        if key in fields:
            return text(fields[key])
    return text(result)


def text(value: Any) -> str:
    return cut(value, LONGEST_TEXT) if isinstance(value, str) else shown(value)


def attributes_of(fields: Mapping[str, Any], level: int) -> dict[str, Any]:
    found = exception_in(fields)
    if isinstance(fields.get("stack"), str):
        found[STACK] = fields["stack"]
    body = next((key for key in EVENT if key in fields), None)
    kept = {
        key: value
        for key, value in fields.items()
        if key not in OF_THE_RECORD and key != body and not is_told(key, value, level)
    }
    if STACKTRACE in found and isinstance(kept.get("exception"), str):
        del kept["exception"]
    return found | bounded(kept)


def is_told(key: str, value: Any, level: int) -> bool:
    """Whether a field says what the record has a place of its own for."""
    if key == "level":
        return value in LEVELS or value in ("info", "notset")
    if key == "logger":
        return isinstance(value, str)
    if key == "level_number":
        return bool(value == level)
    return key == "timestamp" and is_now(value)


def is_now(value: Any) -> bool:
    """Whether structlog's TimeStamper has made this, and not the program."""
    try:
        seconds = datetime.fromisoformat(value).timestamp() if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        return False
    return abs(seconds - time()) < 60


def exception_in(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Of `exc_info`, or of what structlog.processors.format_exc_info and its like have made of it."""
    info = fields.get("exc_info")
    if isinstance(info, BaseException):
        return described(info, info.__traceback__)
    if isinstance(info, tuple) and len(info) == 3 and isinstance(info[1], BaseException):
        return described(info[1], info[2])
    kind, active, trace = sys.exc_info()
    formatted = fields.get("exception")
    if active is not None and kind is not None and (info or kind.__name__ in str(formatted)):
        return described(active, trace)
    return {STACKTRACE: formatted} if isinstance(formatted, str) else {}
