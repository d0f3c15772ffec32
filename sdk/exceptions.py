"""Exceptions that nobody handles are told as log records: of the main program, of threads, of asyncio's tasks and callbacks, and
those that Python can't raise, such as in `__del__`.

What ends the process is FATAL, everything else ERROR. With the attributes of the conventions goes `sonde.exception.frames`, the
frames with the program's own marked, and the source around those (`sonde.sdk.frames`). The trace is that of the current span,
or else of the innermost span that the exception has left. No span gets it: those it has left have it as an event, and one that
is still current is not its own.

Hooks of the program are called as they would have been, before or after this is set up; KeyboardInterrupt, SystemExit and their
like are no errors.
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from time import time_ns
from types import ModuleType, TracebackType
from typing import Any

from opentelemetry import _logs
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context, get_current
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, get_current_span, set_span_in_context
from sonde.sdk import logs
from sonde.sdk.imports import when_imported
from sonde.sdk.logs import THREAD_ID, THREAD_NAME
from sonde.sdk.plain import cut, shown
from sonde.sdk.raised import MESSAGE, STACKTRACE, TYPE, described, span_left_by

SCOPE = "sonde.sdk.exceptions"
WHERE, SAID, FRAMES, TASK = (
    "sonde.exception.where",
    "sonde.exception.said",
    "sonde.exception.frames",
    "sonde.exception.task",
)
"""Where: main, thread, task or unraisable. Said: what Python says of it besides. Task: the name of asyncio's."""
NO_ERRORS = (KeyboardInterrupt, SystemExit, GeneratorExit)
CANCELLED = ("CancelledError", "Cancelled", "GreenletExit")
"""Of asyncio, trio and gevent, by name: none of them is loaded for it."""
LONGEST_SAID = 1000
FRAMES_A_MINUTE = 200


class Recorder:
    def __init__(self, level: int, *, source: bool) -> None:
        self._level = level
        self._source = source
        self._ended_by = 0
        """The exception of the main program that was told, by its id."""
        self._minute = self._looked = 0

    def tell(
        self,
        error: BaseException | None,
        trace: TracebackType | None,
        where: str,
        severity: SeverityNumber = SeverityNumber.ERROR,
        context: Context | None = None,
        more: Mapping[str, Any] = {},
    ) -> bool:
        """With the attributes of `more` besides. False where it is not told. Nothing that goes wrong with it is raised: the hooks
        of the program are still to be called."""
        if error is None or is_no_error(error) or (self._level > logging.ERROR and severity is SeverityNumber.ERROR):
            return False
        try:
            attributes = self.attributes(error, trace) | {WHERE: where, **more}
            first_line = attributes[MESSAGE].partition("\n")[0]
            kind = attributes[TYPE]
            _logs.get_logger(SCOPE).emit(
                LogRecord(
                    timestamp=time_ns(),
                    context=trace_of(error, context),
                    severity_text=severity.name,
                    severity_number=severity,
                    body=f"{kind}: {first_line}" if first_line else kind,
                    attributes=attributes,
                )
            )
        except Exception as failure:
            logs.log.warning("an exception can't be told: %s", shown(failure))
            return False
        return True

    def attributes(self, error: BaseException, trace: TracebackType | None) -> dict[str, Any]:
        from sonde.sdk import frames, secrets

        found = described(error, trace)
        found[MESSAGE] = secrets.in_text(found[MESSAGE])
        found[STACKTRACE] = frames.blotted_stacktrace(found[STACKTRACE], source=self._source)
        if self.may_look_closer():
            found[FRAMES] = frames.frames(trace, source=self._source)
        return found

    def may_look_closer(self) -> bool:
        """A program that fails all the time is not to be slowed by what is told of it: frames are looked at so often a minute."""
        minute = time_ns() // 60_000_000_000
        if minute != self._minute:
            self._minute, self._looked = minute, 0
        self._looked += 1
        return self._looked <= FRAMES_A_MINUTE

    # Where exceptions come out.

    def of_program(self, error: BaseException | None, trace: TracebackType | None) -> None:
        """Python itself has noted it before it calls the hook: others call that as well, and go on."""
        ends = error is getattr(sys, "last_value", None) and not hasattr(sys, "ps1")
        self._ended_by = id(error)
        self.tell(error, trace, "main", SeverityNumber.FATAL if ends else SeverityNumber.ERROR)

    def at_exit(self) -> None:
        """Where the program's own hook has taken the place of this one."""
        error = getattr(sys, "last_value", None)
        if error is not None and id(error) != self._ended_by and not hasattr(sys, "ps1"):
            self.of_program(error, error.__traceback__)

    def of_child(self, error: BaseException) -> None:
        """What ends a child of multiprocessing's."""
        self.tell(error, error.__traceback__, "main", SeverityNumber.FATAL)

    def of_thread(self, error: BaseException | None, trace: TracebackType | None, thread: Any) -> None:
        of = {} if thread is None else {THREAD_NAME: thread.name, THREAD_ID: thread.ident}
        self.tell(error, trace, "thread", more=of)

    def of_loop(self, context: dict[str, Any]) -> BaseException | None:
        """By what asyncio gives to exception handlers; the exception that was told."""
        error = context.get("exception")
        if not isinstance(error, BaseException):
            return None
        of: Any = context.get("task") or context.get("future")
        more = {SAID: cut(shown(context.get("message")), LONGEST_SAID)}
        if hasattr(of, "get_name"):
            more[TASK] = shown(of.get_name())
        own = context_in(of or context.get("handle"))
        return error if self.tell(error, error.__traceback__, "task", context=own, more=more) else None

    def unraisable(self, args: Any) -> None:
        said = f"{args.err_msg or 'Exception ignored in'}: {shown(args.object)}"
        self.tell(args.exc_value, args.exc_traceback, "unraisable", more={SAID: cut(said, LONGEST_SAID)})


def is_no_error(error: BaseException) -> bool:
    if isinstance(error, Exception):
        return False
    return isinstance(error, NO_ERRORS) or type(error).__name__ in CANCELLED


def trace_of(error: BaseException, context: Context | None) -> Context:
    found = get_current() if context is None else context
    if get_current_span(found).get_span_context().is_valid:
        return found
    left = span_left_by(error)
    # An empty context would stand for the current one.
    return set_span_in_context(INVALID_SPAN if left is None else NonRecordingSpan(left), found)


def context_in(of: Any) -> Context:
    """That of a task or a callback. The current one is of whatever was being done when asyncio noticed."""
    own = of.get_context() if hasattr(of, "get_context") else getattr(of, "_context", None)
    try:
        return Context() if own is None else own.run(get_current)
    except RuntimeError:  # It has been entered: it is the current one.
        return get_current()


def record_unhandled(level: str, *, source: bool) -> Recorder:
    """From now on, in this process and those it forks; those that `level` lets through, with source or without."""
    recorder = Recorder(logging.getLevelNamesMapping()[level.upper()], source=source)
    hook_program(recorder)
    when_imported("multiprocessing.process", lambda module: hook_children(recorder, module.BaseProcess))
    hook_threads(recorder)
    hook_unraisable(recorder)
    when_imported("asyncio.base_events", in_module(recorder, "BaseEventLoop"))
    when_imported("uvloop", in_module(recorder, "Loop"))
    return recorder


def hook_program(recorder: Recorder) -> None:
    before = sys.excepthook

    def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        recorder.of_program(error, trace)
        before(kind, error, trace)

    sys.excepthook = excepthook
    atexit.register(recorder.at_exit)


def hook_children(recorder: Recorder, kind: Any) -> None:
    """Where a child of multiprocessing's does what it is for, however it was started. The exception that ends it is handled there:
    multiprocessing prints it, and from Python 3.13 on does so before its finalizers run."""
    bootstrap = getattr(kind, "_bootstrap", None)
    if bootstrap is None:
        logs.log.debug("exceptions that end children are not told: multiprocessing is another one")
        return

    def bootstrap_telling(self: Any, *args: Any, **kwargs: Any) -> Any:
        run = self.run

        def run_and_tell() -> None:
            try:
                run()
            except BaseException as error:
                if error.__traceback__ is not None:
                    error.__traceback__ = error.__traceback__.tb_next  # as it would be without this
                recorder.of_child(error)
                raise

        self.run = run_and_tell
        return bootstrap(self, *args, **kwargs)

    kind._bootstrap = bootstrap_telling


def hook_threads(recorder: Recorder) -> None:
    """Where a thread calls threading.excepthook, which the program may set at any time."""
    module: Any = threading
    make = getattr(module, "_make_invoke_excepthook", None)
    if make is None:
        logs.log.debug("exceptions of threads are not told: threading is another one")
        return

    def make_telling() -> Callable[[threading.Thread], None]:
        invoke = make()

        def tell_and_invoke(thread: threading.Thread) -> None:
            _, error, trace = sys.exc_info()
            recorder.of_thread(error, trace, thread)
            invoke(thread)

        return tell_and_invoke

    module._make_invoke_excepthook = make_telling


def hook_unraisable(recorder: Recorder) -> None:
    before = sys.unraisablehook

    def unraisablehook(args: Any) -> None:
        recorder.unraisable(args)
        before(args)

    sys.unraisablehook = unraisablehook


def in_module(recorder: Recorder, name: str) -> Callable[[ModuleType], None]:
    return lambda module: hook_loop(recorder, getattr(module, name))


def hook_loop(recorder: Recorder, kind: Any) -> None:
    """Loops of the program may have handlers of their own: where there is none, asyncio logs what is told here."""
    call = kind.call_exception_handler

    def call_exception_handler(self: Any, context: dict[str, Any]) -> None:
        before, logs.told.error = logs.told.error, recorder.of_loop(context)
        try:
            call(self, context)
        finally:
            logs.told.error = before

    kind.call_exception_handler = call_exception_handler
