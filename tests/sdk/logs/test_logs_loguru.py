"""Messages of loguru are told once, with `extra` and exceptions, whatever sinks the program has."""

from __future__ import annotations

import copy
import inspect
import io
import logging
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from sonde.sdk.logs import of_loguru
from told import Told, bridged

SPAN = SpanContext(0xA1, 0xB2, is_remote=False, trace_flags=TraceFlags(1))


@pytest.fixture
def told() -> Iterator[Told]:
    with bridged() as told:
        logger.remove()
        yield told
    logger.remove()


def test_a_message_is_told_with_what_belongs_to_it(told: Told) -> None:
    with trace.use_span(NonRecordingSpan(SPAN)):
        logger.bind(thing="tea").warning("{} left of {}", 3, "tea", shelf={"row": 7})
    record = told.one
    assert (record.body, record.severity_number, record.severity_text) == ("3 left of tea", SeverityNumber.WARN, "WARN")
    assert (record.trace_id, record.span_id) == (0xA1, 0xB2)
    assert 0 <= record.observed_timestamp - record.timestamp < 60e9
    assert told.scopes == [__name__]
    found = told.attributes()
    assert found.pop("code.line.number") > 0
    assert found.pop("thread.id") > 0
    assert found == {
        "thing": "tea",
        "shelf": {"row": 7},
        "code.file.path": __file__,
        "code.function.name": "test_a_message_is_told_with_what_belongs_to_it",
        "thread.name": "MainThread",
    }


def test_an_exception_is_told_by_the_conventions(told: Told) -> None:
    try:
        raise ValueError("no number")
    except ValueError:
        logger.exception("can't add")
    found = told.attributes()
    assert (found["exception.type"], found["exception.message"]) == ("ValueError", "no number")
    assert found["exception.stacktrace"].endswith("ValueError: no number\n")


def test_messages_are_told_from_the_level_on(told: Told) -> None:
    logger.debug("too low")
    logger.success("it")
    assert (told.bodies, told.one.severity_number, told.one.severity_text) == (["it"], SeverityNumber.INFO4, "SUCCESS")


def test_what_the_program_disables_is_not_told(told: Told) -> None:
    logger.disable(__name__)
    logger.info("it")
    logger.enable(__name__)
    assert told.bodies == []


def test_sinks_of_the_program_have_the_numbers_they_would_have(told: Told) -> None:
    written = io.StringIO()
    first = logger.add(written, format="{message}")
    logger.info("one")
    second = logger.add(written, format="{message}")
    assert second == first + 1
    logger.remove(first)
    logger.remove(second)
    logger.configure(handlers=[{"sink": written, "format": "{message}"}])
    logger.info("two")
    logger.remove()
    logger.info("three")
    assert told.bodies == ["one", "two", "three"]
    assert written.getvalue() == "one\ntwo\n"


class Propagate(logging.Handler):
    """loguru's own documentation has it, for what goes to `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)


class Intercept(logging.Handler):
    """loguru's own documentation has it, for what comes from `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        frame, depth = inspect.currentframe(), 0
        while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
            frame, depth = frame.f_back, depth + 1
        logger.opt(depth=depth, exception=record.exc_info).log(record.levelname, record.getMessage())


def test_what_a_sink_hands_to_logging_is_told_once(told: Told) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logging.getLogger(__name__).addHandler(handler)
    logger.add(Propagate(), format="{message}")
    logger.add(lambda message: logging.getLogger(__name__).error(f"handed on: {message}"), format="{time} {message}")
    logger.warning("it")
    logging.getLogger(__name__).removeHandler(handler)
    assert told.bodies == ["it"]
    assert len(written.getvalue().splitlines()) >= 2


@pytest.mark.parametrize("message", ["a", "an error, and what is to be said of it"])
def test_a_sink_that_has_something_of_its_own_to_say_is_told_too(message: str, told: Told) -> None:
    def sink(line: Any) -> None:
        logging.getLogger(__name__).warning("can't write to disk")

    def handing_on(line: Any) -> None:
        try:
            raise ValueError("no number")
        except ValueError:
            logging.getLogger(__name__).warning(str(line), exc_info=True)

    logger.add(sink, format="{message}")
    logger.add(handing_on, format="{time} | {level} | {message}")
    logger.warning(message)
    assert [body.rstrip() for body in told.bodies] == [message, "can't write to disk"]


def test_what_logging_hands_to_loguru_is_told_once_and_loguru_finds_who_logged(told: Told) -> None:
    written = io.StringIO()
    logger.add(written, format="{function} {message}")
    handler, own = Intercept(), logging.getLogger(__name__)
    own.addHandler(handler)
    own.warning("%s of logging", "it", extra={"thing": "tea"})
    own.removeHandler(handler)
    logger.warning("it of loguru")
    assert told.bodies == ["it of logging", "it of loguru"]
    assert told.records[0].attributes["thing"] == "tea"
    here = "test_what_logging_hands_to_loguru_is_told_once_and_loguru_finds_who_logged"
    assert written.getvalue() == f"{here} it of logging\n{here} it of loguru\n"


def test_the_same_words_said_by_both_are_told_twice(told: Told) -> None:
    logging.getLogger(__name__).warning("it")
    logger.warning("it")
    assert told.bodies == ["it", "it"]


def test_a_logger_may_be_copied_and_sent(told: Told) -> None:
    for other in (copy.deepcopy(logger), pickle.loads(pickle.dumps(logger))):
        other.info("it")
    assert told.bodies == ["it", "it"]
    assert of_loguru.OWN_ID in logger._core.handlers  # type: ignore[attr-defined]


def test_values_of_any_kind_are_told(told: Told) -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError("no text")

        __repr__ = __str__

    values: dict[str, Any] = {"broken": Broken(), "kind": int}
    logger.bind(**values).info("it")
    found = told.attributes()
    assert (found["broken"], found["kind"]) == ("<Broken that can't be shown: ValueError>", "<class 'int'>")
