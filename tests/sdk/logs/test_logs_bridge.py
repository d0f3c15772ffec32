"""Records of `logging` are told once, whole, wherever their handlers are, and whatever is in them."""

from __future__ import annotations

import decimal
import io
import logging
import logging.config
import logging.handlers
import multiprocessing
import os
import queue
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.sdk._logs import LoggingHandler
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from sdk_programs import values
from sonde.sdk import logs
from sonde.sdk.otlp.logs import encode_logs
from told import Told, bridged

SPAN = SpanContext(0xA1, 0xB2, is_remote=False, trace_flags=TraceFlags(1))


@pytest.fixture
def told() -> Iterator[Told]:
    with bridged() as told:
        yield told


@pytest.fixture
def logger(request: pytest.FixtureRequest) -> Iterator[logging.Logger]:
    """One of its own for each test, which lets INFO through."""
    logger = logging.getLogger(f"tested.{request.node.name}")
    logger.setLevel(logging.INFO)
    yield logger
    logger.handlers.clear()
    logger.filters.clear()


def test_a_record_says_what_where_when_and_in_which_trace(told: Told, logger: logging.Logger) -> None:
    with trace.use_span(NonRecordingSpan(SPAN)):
        logger.warning("%s is %d", "stock", 3, extra={"thing": "tea", "left": 3})
    record = told.one
    assert (record.body, record.severity_number, record.severity_text) == ("stock is 3", SeverityNumber.WARN, "WARN")
    assert (record.trace_id, record.span_id, record.trace_flags) == (0xA1, 0xB2, 1)
    assert 0 <= record.observed_timestamp - record.timestamp < 60e9
    assert told.scopes == [logger.name]
    found = told.attributes()
    assert found.pop("code.line.number") > 0
    assert found.pop("thread.id") > 0
    assert found == {
        "thing": "tea",
        "left": 3,
        "code.file.path": __file__,
        "code.function.name": "test_a_record_says_what_where_when_and_in_which_trace",
        "thread.name": "MainThread",
    }


@pytest.mark.parametrize(
    ("level", "number", "text"),
    [
        (20, SeverityNumber.INFO, "INFO"),
        (25, SeverityNumber.INFO4, "Level 25"),
        (31, SeverityNumber.WARN2, "Level 31"),
        (40, SeverityNumber.ERROR, "ERROR"),
        (50, SeverityNumber.FATAL, "FATAL"),
        (70, SeverityNumber.FATAL4, "Level 70"),
    ],
)
def test_levels_are_severities(
    level: int, number: SeverityNumber, text: str, told: Told, logger: logging.Logger
) -> None:
    logger.log(level, "it")
    assert (told.one.severity_number, told.one.severity_text) == (number, text)


@pytest.mark.parametrize(("level", "number"), [(0, 0), (5, 1), (10, 5), (12, 7), (19, 8), (52, 23), (53, 24)])
def test_levels_of_every_kind_have_a_severity(level: int, number: int) -> None:
    assert logs.severity(level).value == number


def test_an_exception_is_told_by_the_conventions(told: Told, logger: logging.Logger) -> None:
    try:
        raise decimal.InvalidOperation("no number")
    except decimal.InvalidOperation:
        logger.exception("can't add")
    found = told.attributes()
    assert found["exception.type"] == "decimal.InvalidOperation"
    assert found["exception.message"] == "no number"
    assert found["exception.stacktrace"].startswith("Traceback (most recent call last):")
    assert found["exception.stacktrace"].endswith("decimal.InvalidOperation: no number\n")


def test_exc_info_without_an_exception_and_stacks_are_told_as_they_are(told: Told, logger: logging.Logger) -> None:
    logger.error("no exception", exc_info=True, stack_info=True)
    found = told.attributes()
    assert "exception.type" not in found
    assert found["code.stacktrace"].startswith("Stack (most recent call last)")


def test_only_records_from_the_level_on_that_the_logger_lets_through(told: Told, logger: logging.Logger) -> None:
    logger.setLevel(logging.DEBUG)
    logger.debug("below the bridge's level")
    logger.setLevel(logging.ERROR)
    logger.warning("below the logger's level")
    logger.addFilter(lambda record: "not this" not in record.getMessage())
    logger.error("not this")
    logger.error("this")
    logger.disabled = True
    logger.error("not this either")
    logger.disabled = False
    assert told.bodies == ["this"]


def test_a_logger_that_does_not_propagate_and_has_no_handlers_is_told(told: Told, logger: logging.Logger) -> None:
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    logger.info("it")
    assert told.bodies == ["it"]


def test_what_filters_of_handlers_add_is_told_and_what_formatters_change_is_not(
    told: Told, logger: logging.Logger
) -> None:
    class Coloured(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            record.levelname, record.msg = f"\033[31m{record.levelname}", f"\033[31m{record.msg}"
            return super().format(record)

    def number_requests(record: logging.LogRecord) -> bool:
        record.request_id = "r-1"
        return True

    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(Coloured())
    handler.addFilter(number_requests)
    logger.addHandler(handler)
    logger.error("it")
    assert (told.one.body, told.one.severity_text) == ("it", "ERROR")
    assert told.attributes()["request_id"] == "r-1"


@pytest.fixture
def configuration() -> Iterator[None]:
    """Gives back what configuring `logging` changes."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    disabled = {name: found.disabled for name, found in root.manager.loggerDict.items() if hasattr(found, "disabled")}
    yield
    root.handlers[:], root.level = handlers, level
    for name, was in disabled.items():
        logging.getLogger(name).disabled = was


CONFIG = """
[loggers]
keys=root
[handlers]
keys=none
[formatters]
keys=
[logger_root]
level=INFO
handlers=none
[handler_none]
class=NullHandler
args=()
"""


@pytest.mark.usefixtures("configuration")
def test_a_program_may_configure_logging_as_it_likes(told: Told, logger: logging.Logger, tmp_path: Path) -> None:
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "root": {"level": "INFO"}})
    logger.info("after dictConfig")
    (tmp_path / "logging.ini").write_text(CONFIG)
    logging.config.fileConfig(tmp_path / "logging.ini", disable_existing_loggers=False)
    logger.info("after fileConfig")
    logging.basicConfig(force=True, stream=io.StringIO(), level=logging.INFO)
    logger.info("after basicConfig")
    logging.getLogger().handlers.clear()
    logger.info("after all handlers")
    assert told.bodies == ["after dictConfig", "after fileConfig", "after basicConfig", "after all handlers"]


@pytest.mark.parametrize("other", [False, True])
def test_a_handler_of_opentelemetrys_for_the_same_provider_tells_only_what_is_below_the_level(
    other: bool, told: Told, logger: logging.Logger
) -> None:
    from opentelemetry.instrumentation.logging.handler import LoggingHandler as OtherHandler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        handler: Any = (OtherHandler if other else LoggingHandler)(logging.DEBUG, told.provider)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.debug("by the handler")
    logger.info("once")
    assert told.bodies == ["by the handler", "once"]


def test_a_handler_of_opentelemetrys_for_another_provider_tells_it_there(told: Told, logger: logging.Logger) -> None:
    other = Told()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        logger.addHandler(LoggingHandler(logging.INFO, other.provider))
    logger.info("it")
    assert told.bodies == other.bodies == ["it"]


def test_a_record_that_a_handler_hands_on_is_told_once(told: Told, logger: logging.Logger) -> None:
    class HandOn(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logging.getLogger("tested.other").handle(record)
            logging.getLogger("tested.other").warning("another one")

    logger.addHandler(HandOn())
    logger.info("it")
    assert told.bodies == ["another one", "it"]


def test_a_record_that_a_queue_carries_to_its_handlers_is_told_once(told: Told, logger: logging.Logger) -> None:
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    logger.addHandler(logging.handlers.QueueHandler(waiting))
    listener = logging.handlers.QueueListener(waiting, logging.NullHandler())
    listener.start()
    logger.info("it")
    listener.stop()
    assert told.bodies == ["it"]


def test_a_record_that_a_program_has_made_by_hand_is_told(told: Told, logger: logging.Logger) -> None:
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    logger.handle(logging.makeLogRecord({"msg": "by hand", "levelno": 40, "levelname": "ERROR", "name": None}))
    logger.propagate = True
    assert (told.bodies, told.scopes) == (["by hand"], ["root"])


@pytest.mark.parametrize(
    ("process", "started_by", "method", "times"),
    [
        ("Process-1", "1", "spawn", 0),
        ("Process-1", None, "fork", 0),
        ("Process-1", None, "spawn", 1),
        ("MainProcess", "1", "fork", 1),
    ],
)
def test_a_record_of_another_process_is_told_here_where_that_does_not_tell_it(
    process: str, started_by: str | None, method: str, times: int, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: method)
    monkeypatch.delenv(logs.STARTED_BY, raising=False)
    if started_by:
        monkeypatch.setenv(logs.STARTED_BY, started_by)
    sent = {"name": "tested.sent", "msg": "it", "levelno": 40, "process": os.getpid() + 1, "processName": process}
    logging.getLogger("tested.sent").handle(logging.makeLogRecord(sent))
    assert told.bodies == ["it"] * times


def test_records_of_what_sends_telemetry_are_left_out(told: Told, logger: logging.Logger) -> None:
    for name in ("opentelemetry.exporter.otlp", "opentelemetry.sdk._shared_internal"):
        logging.getLogger(name).error("can't be sent")
    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    logger.error("by the exporter's thread")
    detach(token)
    assert told.bodies == []


def test_what_is_logged_while_a_record_is_told_is_not_told(told: Told, logger: logging.Logger) -> None:
    class Chatty:
        def on_emit(self, record: Any) -> None:
            logger.error("a processor has something to say")

        def shutdown(self) -> None: ...

        def force_flush(self, timeout_millis: int = 0) -> bool:
            return True

        def enabled(self, **_: Any) -> bool:
            return True

    told.provider.add_log_record_processor(Chatty())  # type: ignore[arg-type]
    logger.info("it")
    assert told.bodies == ["it"]


def test_a_processor_that_fails_is_counted_and_the_program_goes_on(
    told: Told, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(record: Any) -> None:
        raise RuntimeError("out of order")

    told.provider._multi_log_record_processor.on_emit = fail  # type: ignore[method-assign]
    logger.info("it")
    logger.info("it")
    found = logs.current()
    assert found is not None
    assert found.failed == 2
    assert [record.getMessage() for record in caplog.records if record.name == "sonde.sdk"] == [
        "a log record can't be told: RuntimeError('out of order')"
    ]


class Broken:
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (("no %d here", "number"), "no %d here ('number',)"),
        (("%s", Broken()), "%s <tuple that can't be shown: ValueError>"),
        ((Broken(),), "<Broken that can't be shown: ValueError> ()"),
        (({"a": 1},), "{'a': 1}"),
        (("x" * 100_000,), "x" * 65_536 + "... (34464 more characters)"),
    ],
)
def test_messages_that_are_none_are_told_all_the_same(
    arguments: tuple[Any, ...], body: str, told: Told, logger: logging.Logger
) -> None:
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    logger.info(*arguments)
    logger.propagate = True
    assert told.bodies == [body]


def test_many_fields_are_all_told(told: Told, logger: logging.Logger) -> None:
    logger.info("it", extra={f"field{number}": number for number in range(130)})
    found = told.attributes()
    assert sum(key.startswith("field") for key in found) == 100
    assert found["sonde.log.fields"] == {f"field{number}": number for number in range(100, 130)}


@given(values)
def test_fields_of_any_kind_are_told_and_can_be_sent(value: Any) -> None:
    logger = logging.getLogger("tested.fields")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    with bridged() as told:
        logger.warning("it", extra={"field": value, "broken": Broken(), "deep": [[[[[[[[value]]]]]]]]})
        assert "field" in told.attributes()
        assert encode_logs(told.exporter.get_finished_logs())


def test_the_stack_that_handlers_see_is_that_of_logging(told: Told, logger: logging.Logger) -> None:
    """As handlers look for who logged that hand records on, such as to loguru."""
    seen = []

    class Looking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            import inspect

            frame = inspect.currentframe()
            frame = frame.f_back if frame else None
            while frame is not None and frame.f_code.co_filename == logging.__file__:
                frame = frame.f_back
            seen.append(frame.f_code.co_name if frame else "")

    logger.addHandler(Looking())
    logger.info("it")
    assert seen == ["test_the_stack_that_handlers_see_is_that_of_logging"]
    assert told.bodies == ["it"]
