"""Log records of `logging`, structlog and loguru as log records of OpenTelemetry, each once, with the trace it was written in.

What is hooked is `logging.Logger.callHandlers`, which every record passes that its logger lets through: levels, filters and
`disabled` are respected as they are. A handler on the root logger, as OpenTelemetry's own bridge adds it, is lost by dictConfig,
basicConfig(force=True) and Celery, and never hears of loggers that don't propagate, such as uvicorn's
(docs/decisions/sdk-logs.md). Handlers run first, for their filters add fields that belong to the record; its text and level
are taken before, since formatters colour them.

Left out are records of what sends telemetry: those of OpenTelemetry's exporters, and all that is written where instrumentation
is suppressed, such as in the exporter's thread. Nothing here raises; what could not be told is counted and said once.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import time_ns
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from opentelemetry._logs import Logger, LoggerProvider, LogRecord, SeverityNumber
from opentelemetry._logs._internal import ProxyLoggerProvider
from opentelemetry.context import get_current
from sonde.sdk.contexts import SUPPRESSED
from sonde.sdk.functions import FILE_PATH, FUNCTION_NAME, LINE_NUMBER
from sonde.sdk.imports import when_imported
from sonde.sdk.launched import STARTED_BY
from sonde.sdk.logs.emitting import emit
from sonde.sdk.plain import LONGEST_TEXT, cut, plain, shown
from sonde.sdk.raised import STACKTRACE, described

log = logging.getLogger("sonde.sdk")

STACK: Final = "code.stacktrace"
THREAD_ID, THREAD_NAME = "thread.id", "thread.name"
EVENT_NAME: Final = "otel.event.name"
LEFT_OUT = ("opentelemetry.exporter", "opentelemetry.sdk._logs", "opentelemetry.sdk._shared_internal")
"""Loggers that speak of sending log records: one record of theirs would make the next."""
OF_EVERY_RECORD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}) | {
    "color_message",  # uvicorn's: the message once more, in colours
    "_logger",  # structlog's, for its own formatter
    "_name",
    "_from_structlog",
    "_record",
}
"""Fields of a LogRecord that are no `extra` ones."""
MOST_FIELDS = 100
"""Further ones are told together, as one attribute; 128 attributes is what the OpenTelemetry SDK keeps of a record."""
CHANCE = 16
"""Characters that are found in another message by chance."""
MORE_FIELDS = "sonde.log.fields"
SEVERITY_TEXT = {"WARNING": "WARN", "CRITICAL": "FATAL"}
"""Names that OpenTelemetry has others for, as its own bridge tells them."""

_handled: ContextVar[tuple[logging.LogRecord, str] | None] = ContextVar("sonde_handled", default=None)
"""The record that is with its handlers just now, and its text."""
_telling: ContextVar[bool] = ContextVar("sonde_telling", default=False)


def severity(level: int) -> SeverityNumber:
    """Ten levels of `logging` are a name of OpenTelemetry's with four steps: 20 is INFO, 21 INFO2, 25 INFO4, above 53 FATAL4."""
    if level < logging.DEBUG:
        return SeverityNumber.TRACE if level > 0 else SeverityNumber.UNSPECIFIED
    if level >= logging.CRITICAL + 3:
        return SeverityNumber.FATAL4
    return SeverityNumber(1 + 4 * (level // 10) + min(level % 10, 3))


SEVERITIES = {level: severity(level) for level in (10, 20, 30, 40, 50)}


class Bridge:
    """Tells records to the loggers of `provider`, from `level` on."""

    def __init__(self, provider: LoggerProvider, level: int) -> None:
        self.provider = provider
        self.level = level
        self.failed = 0
        """Records that could not be told."""
        self._loggers: dict[str, Logger] = {}

    def tells(self, name: str | None, level: int) -> bool:
        return level >= self.level and not (name and name.startswith(LEFT_OUT))

    def tell(
        self,
        name: str,
        level: int,
        level_name: str,
        body: str,
        attributes: dict[str, Any],
        timestamp: int,
        event_name: str | None = None,
    ) -> None:
        """One record, in the current context. `timestamp` is in ns since the epoch."""
        context = get_current()
        if context.get(SUPPRESSED) or _telling.get():
            return
        token = _telling.set(True)
        try:
            logger = self._loggers.get(name)
            if logger is None:
                logger = self._loggers[name] = self.provider.get_logger(name)
            emit(
                logger,
                LogRecord(
                    timestamp=timestamp,
                    observed_timestamp=time_ns(),
                    context=context,
                    severity_text=SEVERITY_TEXT.get(level_name, level_name),
                    severity_number=SEVERITIES.get(level) or severity(level),
                    body=body,
                    attributes=attributes,
                    event_name=event_name,
                ),
            )
        except Exception as error:
            self.could_not(error)
        finally:
            _telling.reset(token)

    def could_not(self, error: Exception) -> None:
        self.failed += 1
        if self.failed == 1:
            log.warning("a log record can't be told: %s", shown(error))

    def tell_record(self, record: logging.LogRecord, text: str, level: int, level_name: str) -> None:
        """A record of `logging`, with its text and level as they were before its handlers ran."""
        try:
            fields = fields_of(record)
            event_name = fields.pop(EVENT_NAME, None)
            attributes = {
                FILE_PATH: record.pathname,
                LINE_NUMBER: record.lineno,
                FUNCTION_NAME: record.funcName,
                THREAD_ID: record.thread,
                THREAD_NAME: record.threadName,
            }
            if record.exc_info or record.exc_text or record.stack_info:
                attributes |= of_exception(record)
            if fields:
                attributes |= bounded(fields)
            name = record.name or "root"
            found = rendered_by_structlog(record)
            if found is not None:
                name, text = found.name or name, text if found.body is None else found.body
                attributes |= found.attributes | found.place
            created = int(record.created * 1e9)
            event = None if event_name is None else str(event_name)
        except Exception as error:
            self.could_not(error)
            return
        self.tell(name, level, level_name, text, attributes, created, event)


def text_of(record: logging.LogRecord) -> str:
    """The formatted message; where its arguments don't fit, the message and they."""
    try:
        text = record.getMessage()
        if type(text) is not str:
            text = shown(text)
    except Exception:
        text = f"{shown(record.msg)} {shown(record.args)}"
    return text if len(text) <= LONGEST_TEXT else cut(text, LONGEST_TEXT)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What `extra` and filters have added."""
    return {key: value for key, value in vars(record).items() if key not in OF_EVERY_RECORD}


def bounded(fields: Mapping[Any, Any]) -> dict[str, Any]:
    """Fields as attributes."""
    found = {key if type(key) is str and key else plain_key(key): plain(value) for key, value in fields.items()}
    if len(found) <= MOST_FIELDS:
        return found
    kept = list(found)[:MOST_FIELDS]
    return {key: found.pop(key) for key in kept} | {MORE_FIELDS: found}


def plain_key(key: Any) -> str:
    return str(next(iter(plain({key: None}))))


def of_exception(record: logging.LogRecord) -> dict[str, Any]:
    """Of one that was logged with `exc_info`, and the stack of `stack_info`."""
    found: dict[str, Any] = {}
    info = record.exc_info
    if isinstance(info, tuple) and len(info) == 3 and isinstance(info[1], BaseException):
        found = described(info[1], info[2])
    elif record.exc_text:
        found = {STACKTRACE: record.exc_text}  # a QueueHandler has left only this of it
    if record.stack_info:
        found[STACK] = record.stack_info
    return found


@dataclass(slots=True)
class Rendered:
    """What structlog has handed to `logging`, and what it was made of."""

    message: object
    """The record's, as it is."""
    name: str
    body: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    place: dict[str, Any] = field(default_factory=dict)
    """Of the program's code, where `logging` would have found structlog's."""


class OfThread(threading.local):
    error: BaseException | None = None


told = OfThread()
"""An exception that `sonde.sdk.exceptions` has told, while asyncio's handler of exceptions logs it. Of the thread and not of the
context, for from Python 3.12 on a program's own handler is run in that of the task."""
rendered: ContextVar[Rendered | None] = ContextVar("sonde_rendered", default=None)
forwarded: ContextVar[str | None] = ContextVar("sonde_forwarded", default=None)
"""The message that a sink of loguru's is writing just now."""


def rendered_by_structlog(record: logging.LogRecord) -> Rendered | None:
    found = rendered.get()
    if found is None or found.message is not record.msg:
        return None
    rendered.set(None)
    return found


def is_told(record: logging.LogRecord) -> bool:
    """Whether one of its handlers hands it on, what it tells is being told, or the process that made it tells it."""
    handled, error = _handled.get(), told.error
    if _telling.get() or (handled is not None and handled[0] is record):
        return True
    if record.process != os.getpid() and is_of_a_child(record):
        return True
    return error is not None and isinstance(record.exc_info, tuple) and record.exc_info[1] is error


def is_of_a_child(record: logging.LogRecord) -> bool:
    """Whether a child of multiprocessing's has made it and sent it here, as in logging's cookbook, that tells its records itself:
    one that was forked, or any where `sonde run` started the program."""
    if record.process is None or record.processName in (None, "MainProcess"):
        return False
    multiprocessing: Any = sys.modules.get("multiprocessing")
    forks = multiprocessing is not None and multiprocessing.get_start_method(allow_none=True) == "fork"
    return forks or STARTED_BY in os.environ


def is_loguru_s(text: str) -> bool:
    """Whether this is what a sink of loguru's hands to `logging`, alone or at the end of a line with time and level: it has been
    told. A short message within a text may be there by chance."""
    message = forwarded.get()
    if not message:
        return message is not None and not text.strip()
    first_line = text.partition("\n")[0].rstrip()
    return text.startswith(message) or first_line.endswith(message) or (len(message) > CHANCE and message in text)


def handled_text() -> str | None:
    """The text of the record of `logging` that is with its handlers just now: what one of them logs again is no other."""
    found = _handled.get()
    return None if found is None else found[1]


_bridge: Bridge | None = None
_hooked = False


def bridge(provider: LoggerProvider, level: str, left_alone: Iterable[str] = ()) -> Bridge:
    """From now on, in this process and those it forks; without those of logging, structlog and loguru that are `left_alone`.
    A second call changes provider and level."""
    global _bridge, _hooked
    _bridge = Bridge(provider, logging.getLevelNamesMapping()[level.upper()])
    if not _hooked:
        _hooked = True
        if "logging" not in left_alone:
            hook_handlers()
            when_imported("opentelemetry.sdk._logs._internal", leave_to_bridge)
            when_imported("opentelemetry.instrumentation.logging.handler", leave_to_bridge)
        for library in {"structlog", "loguru"}.difference(left_alone):
            when_imported(library, through(f"sonde.sdk.logs.of_{library}"))
    return _bridge


def unbridge() -> None:
    """Tells nothing from now on."""
    global _bridge
    _bridge = None


def current() -> Bridge | None:
    """The bridge of this process, where there is one."""
    return _bridge


def through(module: str) -> Callable[[ModuleType], None]:
    """Loads what hooks a library when the library is there. Nothing that goes wrong with it reaches the program."""

    def hook(library: ModuleType) -> None:
        from importlib import import_module

        try:
            import_module(module).hook(library)
        except Exception:
            log.warning("records of %s are not told", library.__name__, exc_info=True)

    return hook


def hook_handlers() -> None:
    kind: Any = logging.Logger
    call_handlers = kind.callHandlers

    def call_handlers_and_tell(self: logging.Logger, record: logging.LogRecord) -> None:
        bridge = _bridge
        if bridge is None or not bridge.tells(record.name, record.levelno) or is_told(record):
            call_handlers(self, record)
            return
        text, level, level_name = text_of(record), record.levelno, record.levelname
        token = _handled.set((record, text))
        try:
            call_handlers(self, record)
        finally:
            _handled.reset(token)
            if not is_loguru_s(text):
                bridge.tell_record(record, text, level, level_name)

    kind.callHandlers = as_of_logging(call_handlers_and_tell)


def as_of_logging(function: Any) -> Any:
    """`function`, such that its frame counts as one of logging's: handlers that look for who logged, such as those that hand
    records to loguru, go up the stack to the first frame of another file."""
    code: CodeType = function.__code__
    file = logging.Logger.handle.__code__.co_filename
    known = code.replace(co_filename=file, co_name="callHandlers", co_qualname="Logger.callHandlers")
    return FunctionType(known, function.__globals__, closure=function.__closure__)


def leave_to_bridge(module: ModuleType) -> None:
    """OpenTelemetry's own handler, where the program has added one for the same provider: what is told here it need not tell."""
    kind: Any = getattr(module, "LoggingHandler", None)
    if kind is None:
        return
    emit = kind.emit

    def emit_what_is_not_told(self: Any, record: logging.LogRecord) -> None:
        bridge = _bridge
        if bridge is not None and bridge.tells(record.name, record.levelno):
            provider = getattr(self, "_logger_provider", None)
            if provider is bridge.provider or isinstance(provider, ProxyLoggerProvider):
                return
        emit(self, record)

    kind.emit = emit_what_is_not_told
