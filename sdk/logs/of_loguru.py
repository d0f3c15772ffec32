"""What loguru logs, with `extra` and exceptions, by a sink of its own.

The sink is told of first, and is there again after `logger.remove()` and `logger.configure(handlers=...)`, with which most programs
begin. Its number is none that the program's sinks could have. What other sinks hand to `logging` is not told twice, nor what
`logging` hands to loguru.
"""

from __future__ import annotations

import logging
from types import ModuleType
from typing import Any

from sonde.sdk import logs
from sonde.sdk.functions import FILE_PATH, FUNCTION_NAME, LINE_NUMBER
from sonde.sdk.logs import THREAD_ID, THREAD_NAME, bounded, forwarded, handled_text
from sonde.sdk.plain import LONGEST_TEXT, cut
from sonde.sdk.raised import described

log = logging.getLogger("sonde.sdk")

OWN_ID = -1


def hook(loguru: ModuleType) -> None:
    add_sink(loguru.logger)
    kind: Any = type(loguru.logger)
    remove = kind.remove

    def remove_all_but_own(self: Any, handler_id: int | None = None) -> None:
        try:
            remove(self, handler_id)
        finally:
            if OWN_ID not in self._core.handlers:
                add_sink(self)

    kind.remove = remove_all_but_own
    remember_what_is_handed_on()


def add_sink(logger: Any) -> None:
    bridge = logs.current()
    if bridge is None:
        return
    made = logger.add(tell, level=bridge.level, format="", colorize=False, backtrace=False, diagnose=False)
    core = logger._core
    with core.lock:
        handlers = dict(core.handlers)
        core.handlers = {OWN_ID: handlers.pop(made), **handlers}
        if core.handlers_count == made + 1:
            core.handlers_count = made


def tell(message: Any) -> None:
    """The sink. A function of a module, for a logger with its sinks may be copied, or sent to another process."""
    bridge, record = logs.current(), message.record
    name, level, body = record["name"] or "loguru", record["level"], cut(record["message"], LONGEST_TEXT)
    if bridge is None or not bridge.tells(name, level.no) or body == handled_text():
        return
    try:
        error = record["exception"]
        attributes = {
            FILE_PATH: record["file"].path,
            LINE_NUMBER: record["line"],
            FUNCTION_NAME: record["function"],
            THREAD_ID: record["thread"].id,
            THREAD_NAME: record["thread"].name,
            **(described(error.value, error.traceback) if error is not None and error.value is not None else {}),
            **bounded(record["extra"]),
        }
        timestamp = int(record["time"].timestamp() * 1e9)
    except Exception as failure:
        bridge.could_not(failure)
        return
    bridge.tell(name, level.no, level.name, body, attributes, timestamp)


def remember_what_is_handed_on() -> None:
    """While a sink that may hand a message to `logging` writes it."""
    from loguru import _simple_sinks

    for kind in (_simple_sinks.StandardSink, _simple_sinks.CallableSink, _simple_sinks.StreamSink):
        remember(kind)


def remember(kind: Any) -> None:
    write = kind.write

    def write_what_is_told(self: Any, message: Any) -> None:
        token = forwarded.set(message.record["message"])
        try:
            write(self, message)
        finally:
            forwarded.reset(token)

    kind.write = write_what_is_told
