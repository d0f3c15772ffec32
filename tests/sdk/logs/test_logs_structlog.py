"""Events of structlog are told once, with their fields, whoever writes them."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from told import Told, bridged

SPAN = SpanContext(0xA1, 0xB2, is_remote=False, trace_flags=TraceFlags(1))
STAMP = structlog.processors.TimeStamper(fmt="iso")
SHARED: list[Any] = [structlog.stdlib.add_logger_name, structlog.stdlib.add_log_level, STAMP]


@pytest.fixture
def told() -> Iterator[Told]:
    with bridged() as told:
        yield told
    structlog.reset_defaults()
    logging.getLogger("tested.structlog").handlers.clear()


def printing(*processors: Any) -> Any:
    """A logger whose events structlog writes by itself, and what it has written."""
    written = io.StringIO()
    structlog.configure(
        processors=list(processors),
        logger_factory=structlog.PrintLoggerFactory(written),
        cache_logger_on_first_use=False,
    )
    return structlog.get_logger(), written


def by_logging(*processors: Any) -> Any:
    logging.getLogger("tested.structlog").setLevel(logging.INFO)
    structlog.configure(
        processors=list(processors),
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    return structlog.get_logger("tested.structlog")


@pytest.mark.parametrize("renderer", [structlog.dev.ConsoleRenderer(), structlog.processors.JSONRenderer()])
def test_an_event_that_structlog_prints_is_told_with_its_fields(renderer: Any, told: Told) -> None:
    log, written = printing(structlog.processors.add_log_level, STAMP, renderer)
    with trace.use_span(NonRecordingSpan(SPAN)):
        log.bind(user={"id": 7}).warning("stock is low", thing="tea", left=3, level_of="water")
    assert "stock is low" in written.getvalue()
    record = told.one
    assert (record.body, record.severity_number, record.severity_text) == ("stock is low", SeverityNumber.WARN, "WARN")
    assert (record.trace_id, record.span_id) == (0xA1, 0xB2)
    assert told.scopes == [__name__]
    found = told.attributes()
    assert found.pop("code.line.number") > 0
    assert found.pop("thread.id") > 0
    assert found == {
        "user": {"id": 7},
        "thing": "tea",
        "left": 3,
        "level_of": "water",
        "code.file.path": __file__,
        "code.function.name": "test_an_event_that_structlog_prints_is_told_with_its_fields",
        "thread.name": "MainThread",
    }


def test_structlog_as_it_comes_is_told(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()
    structlog.get_logger().info("it", thing="tea")
    assert "it" in capsys.readouterr().out
    assert (told.bodies, told.attributes()["thing"]) == (["it"], "tea")


@pytest.mark.parametrize(
    "renderer",
    [
        structlog.processors.JSONRenderer(),
        structlog.processors.KeyValueRenderer(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        structlog.stdlib.render_to_log_kwargs,
    ],
)
def test_an_event_that_goes_to_logging_is_told_once_with_its_fields(renderer: Any, told: Told) -> None:
    log = by_logging(*SHARED[:0], renderer)
    log.info("stock is low", thing="tea", left=[3])
    logging.getLogger("tested.structlog").info("not of structlog")
    assert told.bodies == ["stock is low", "not of structlog"]
    assert told.scopes == ["tested.structlog"] * 2
    found = dict(told.records[0].attributes)
    assert (found["thing"], found["left"]) == ("tea", (3,))
    assert "thing" not in told.records[1].attributes
    assert found["code.function.name"] == "test_an_event_that_goes_to_logging_is_told_once_with_its_fields"
    assert not {"_logger", "_name", "event"} & set(found)


def test_what_processors_for_logging_add_is_where_the_record_has_it(told: Told) -> None:
    by_logging(*SHARED, structlog.processors.JSONRenderer()).error("it")
    assert (told.scopes, told.one.severity_text) == (["tested.structlog"], "ERROR")
    assert not {"level", "logger", "timestamp"} & set(told.attributes())


def test_a_time_of_the_programs_own_is_a_field(told: Told) -> None:
    log, _ = printing(structlog.processors.JSONRenderer())
    log.info("sold", timestamp="2020-01-01T00:00:00Z", level=5)
    found = told.attributes()
    assert (found["timestamp"], found["level"]) == ("2020-01-01T00:00:00Z", 5)


def test_an_event_that_logging_lets_not_through_is_not_told_nor_mistaken_for_the_next(told: Told) -> None:
    log = by_logging(structlog.processors.KeyValueRenderer())
    logger = logging.getLogger("tested.structlog")
    logger.addFilter(reject := lambda record: "refused" not in record.getMessage())
    log.warning("refused", thing="tea")
    logger.removeFilter(reject)
    logger.setLevel(logging.ERROR)
    log.warning("too low", thing="tea")
    logger.error("another")
    assert told.bodies == ["another"]
    assert "thing" not in told.attributes()


@pytest.mark.parametrize(
    "format_it", [[], [structlog.processors.format_exc_info], [structlog.processors.dict_tracebacks]]
)
@pytest.mark.parametrize("printed", [True, False])
def test_exceptions_are_told_by_the_conventions(format_it: list[Any], printed: bool, told: Told) -> None:
    renderer: Any = structlog.processors.JSONRenderer() if format_it else structlog.processors.KeyValueRenderer()
    log = printing(*format_it, renderer)[0] if printed else by_logging(*format_it, renderer)
    try:
        raise ValueError("no number")
    except ValueError:
        log.exception("can't add")
    found = told.attributes()
    assert (told.one.body, told.one.severity_number) == ("can't add", SeverityNumber.ERROR)
    assert (found["exception.type"], found["exception.message"]) == ("ValueError", "no number")
    assert "Traceback" in found["exception.stacktrace"]
    assert not isinstance(found.get("exception"), str)


def test_an_event_that_is_dropped_is_not_told(told: Told) -> None:
    def drop(*_: Any) -> Any:
        raise structlog.DropEvent

    log, _ = printing(drop, structlog.processors.JSONRenderer())
    log.info("it")
    with structlog.testing.capture_logs() as captured:
        structlog.get_logger().info("captured")
    assert [one["event"] for one in captured] == ["captured"]
    assert told.bodies == []


def test_the_configuration_is_what_the_program_has_set(told: Told) -> None:
    own = [structlog.processors.add_log_level, structlog.processors.JSONRenderer()]
    structlog.configure(processors=own)
    assert structlog.get_config()["processors"] is own
    bound = structlog.get_logger().bind(a=1).bind(b=2)
    assert bound.__dict__["_processors"] is own
    assert repr(own) in repr(bound)


def test_callsite_processors_find_the_program(told: Told) -> None:
    log, _ = printing(structlog.processors.CallsiteParameterAdder(), structlog.processors.JSONRenderer())
    log.info("it")
    assert told.attributes()["func_name"] == "test_callsite_processors_find_the_program"
