"""`@traced`, `span` and `event`: with OpenTelemetry's tracer and with ours, in memory."""

from __future__ import annotations

import asyncio
import functools
import inspect
import subprocess
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv.attributes import code_attributes
from opentelemetry.trace import SpanKind, StatusCode
from sonde.sdk import event, functions, span, traced
from sonde.sdk.raised import span_left_by
from telling import named, telling

__all__ = ["telling"]


class Cart:
    @traced
    def total(self, price: int, *, count: int = 2) -> int:
        return price * count

    @traced
    @classmethod
    def empty(cls) -> str:
        return cls.__name__

    @classmethod
    @traced
    def full(cls) -> str:
        return cls.__name__

    @traced(name="check")
    @staticmethod
    def check(text: str) -> str:
        return text


def test_a_function_is_a_span_that_says_where_it_is_written(telling: InMemorySpanExporter) -> None:
    assert (Cart().total(3), Cart.empty(), Cart.full(), Cart.check("a")) == (6, "Cart", "Cart", "a")
    assert list(named(telling)) == [f"{__name__}.Cart.{name}" for name in ("total", "empty", "full")] + ["check"]
    told = named(telling)[f"{__name__}.Cart.total"]
    code = inspect.unwrap(Cart.total).__code__
    assert dict(told.attributes or {}) == {
        code_attributes.CODE_FUNCTION_NAME: told.name,
        code_attributes.CODE_FILE_PATH: __file__,
        code_attributes.CODE_LINE_NUMBER: code.co_firstlineno,
    }
    assert (told.kind, told.status.status_code) == (SpanKind.INTERNAL, StatusCode.UNSET)


def test_what_is_traced_looks_like_what_it_was() -> None:
    assert str(inspect.signature(Cart.total)) == "(self, price: 'int', *, count: 'int' = 2) -> 'int'"
    assert Cart.total.__qualname__ == "Cart.total"
    assert inspect.isgeneratorfunction(traced(counting))
    assert inspect.iscoroutinefunction(traced(asyncio.sleep))
    assert inspect.isasyncgenfunction(traced(ticking))


def test_arguments_of_the_decorator(telling: InMemorySpanExporter) -> None:
    @traced(name="ask", attributes={"peer": "stock"}, kind=SpanKind.CLIENT)
    def ask() -> None:
        assert trace.get_current_span().is_recording()

    ask()
    told = named(telling)["ask"]
    assert told.kind is SpanKind.CLIENT
    assert (told.attributes or {})["peer"] == "stock"


def test_what_is_called_without_being_a_function_can_be_traced(telling: InMemorySpanExporter) -> None:
    assert traced(functools.partial(int, base=2))("101") == 5
    assert list(named(telling)) == ["functools.partial"]


def failing() -> None:
    raise KeyError("no such thing")


def test_an_exception_is_recorded_and_goes_on(telling: InMemorySpanExporter) -> None:
    with pytest.raises(KeyError, match="no such thing"):
        traced(name="f")(failing)()
    told = named(telling)["f"]
    assert told.status.status_code is StatusCode.ERROR
    assert told.status.description == "KeyError: 'no such thing'"
    assert [one.name for one in told.events] == ["exception"]


def test_the_innermost_span_that_an_exception_left_is_known(telling: InMemorySpanExporter) -> None:
    """For who tells of it when nobody has handled it."""
    with pytest.raises(KeyError) as raised, span("outer"):
        traced(name="f")(failing)()
    assert span_left_by(raised.value) == named(telling)["f"].context


def test_what_is_no_exception_is_no_error(telling: InMemorySpanExporter) -> None:
    """A task that is cancelled, a program that is told to exit."""

    @traced(name="waits")
    async def waits() -> None:
        await asyncio.sleep(60)

    @traced(name="exits")
    def exits() -> None:
        raise SystemExit

    async def cancel() -> None:
        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    with pytest.raises(SystemExit):
        exits()
    assert {name: one.status.status_code for name, one in named(telling).items()} == {
        "waits": StatusCode.UNSET,
        "exits": StatusCode.UNSET,
    }
    assert not any(one.events for one in named(telling).values())


def test_children_of_coroutines_are_theirs_while_tasks_take_turns(telling: InMemorySpanExporter) -> None:
    @traced(name="outer")
    async def outer(number: int) -> None:
        await asyncio.sleep(0)
        with span("inner", number=number):
            await asyncio.sleep(0)

    async def both() -> None:
        await asyncio.gather(outer(1), outer(2))

    asyncio.run(both())
    finished = telling.get_finished_spans()
    outers = {one.context.span_id for one in finished if one.name == "outer" and one.context}
    parents = [one.parent.span_id for one in finished if one.name == "inner" and one.parent]
    assert len(outers) == 2
    assert set(parents) == outers


def counting(stop: int = 3) -> Generator[int, str, str]:
    """Says what it is sent, and what is thrown into it."""
    said = []
    for number in range(stop):
        try:
            said.append((yield number) or "-")
        except ValueError as error:
            said.append(str(error))
    return "".join(said)


def driven(generator: Generator[int, str, str]) -> tuple[list[int], str]:
    found = [next(generator), generator.send("a"), generator.throw(ValueError("b"))]
    with pytest.raises(StopIteration) as end:
        next(generator)
    return found, end.value.value


def test_a_generator_is_driven_as_it_would_be_and_its_span_is_its_own(telling: InMemorySpanExporter) -> None:
    assert driven(traced(counting)()) == driven(counting()) == ([0, 1, 2], "ab-")
    assert list(named(telling)) == [f"{__name__}.counting"]


def test_a_generators_span_is_current_in_it_and_not_between_its_items(telling: InMemorySpanExporter) -> None:
    @traced(name="pages")
    def pages() -> Iterator[trace.Span]:
        for _ in range(2):
            with span("page"):
                pass
            yield trace.get_current_span()

    with span("consumer") as consumer:
        for current in pages():
            assert current is not consumer
            assert trace.get_current_span() is consumer
            with span("consumed"):
                pass
    by_id = {one.context.span_id: one.name for one in telling.get_finished_spans() if one.context}
    parents = [(one.name, by_id[one.parent.span_id]) for one in telling.get_finished_spans() if one.parent]
    assert sorted(parents) == [("consumed", "consumer")] * 2 + [("page", "pages")] * 2 + [("pages", "consumer")]


def test_a_generator_that_is_closed_cleans_up_and_is_no_error(telling: InMemorySpanExporter) -> None:
    cleaned: list[bool] = []

    @traced(name="rows")
    def rows() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            cleaned.append(trace.get_current_span().is_recording())

    generator = rows()
    assert next(generator) == 1
    generator.close()  # type: ignore[attr-defined]
    assert cleaned == [True]
    assert named(telling)["rows"].status.status_code is StatusCode.UNSET
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_generator_that_is_never_asked_is_no_span(telling: InMemorySpanExporter) -> None:
    traced(counting)()
    assert not telling.get_finished_spans()


def test_a_generator_that_fails_is_an_error(telling: InMemorySpanExporter) -> None:
    generator = traced(counting)()
    next(generator)
    with pytest.raises(OSError, match="away"):
        generator.throw(OSError("away"))
    told = named(telling)[f"{__name__}.counting"]
    assert told.status.description == "OSError: away"


async def ticking(stop: int = 3) -> AsyncIterator[Any]:
    said = []
    for number in range(stop):
        await asyncio.sleep(0)
        try:
            said.append((yield number) or "-")
        except ValueError as error:
            said.append(str(error))
    yield "".join(said)


def test_an_asynchronous_generator_is_driven_as_it_would_be(telling: InMemorySpanExporter) -> None:
    async def drive(generator: Any) -> list[Any]:
        found = [await anext(generator), await generator.asend("a"), await generator.athrow(ValueError("b"))]
        found += [one async for one in generator]
        return found

    assert asyncio.run(drive(traced(ticking)())) == asyncio.run(drive(ticking())) == [0, 1, 2, "ab-"]
    assert list(named(telling)) == [f"{__name__}.ticking"]


def test_an_asynchronous_generators_span_is_not_current_between_its_items(telling: InMemorySpanExporter) -> None:
    cleaned: list[bool] = []

    @traced(name="ticks")
    async def ticks() -> AsyncIterator[trace.Span]:
        try:
            while True:
                await asyncio.sleep(0)
                yield trace.get_current_span()
        finally:
            await asyncio.sleep(0)
            cleaned.append(trace.get_current_span().is_recording())

    async def consume() -> None:
        async with span("consumer") as consumer:
            generator = ticks()
            async for current in generator:
                assert current is not consumer
                assert trace.get_current_span() is consumer
                break
            await generator.aclose()  # type: ignore[attr-defined]
            assert trace.get_current_span() is consumer

    asyncio.run(consume())
    assert cleaned == [True]
    assert named(telling)["ticks"].status.status_code is StatusCode.UNSET
    assert list(named(telling)) == ["ticks", "consumer"]


def test_a_block_is_a_span_with_attributes_of_both_kinds(telling: InMemorySpanExporter) -> None:
    with span("reserve", {"item.count": 3}, country="de") as reserve:
        assert trace.get_current_span() is reserve
    with pytest.raises(KeyError), span("fails"):
        raise KeyError
    assert dict(named(telling)["reserve"].attributes or {}) == {"item.count": 3, "country": "de"}
    assert named(telling)["fails"].status.status_code is StatusCode.ERROR


def test_an_event_is_one_of_the_current_span(telling: InMemorySpanExporter) -> None:
    with span("reserve"):
        event("reserved", {"warehouse.name": "north"}, shelf=3)
    (told,) = named(telling)["reserve"].events
    assert told.name == "reserved"
    assert dict(told.attributes or {}) == {"warehouse.name": "north", "shelf": 3}


def test_attributes_are_named_as_the_conventions_have_it() -> None:
    assert functions.FUNCTION_NAME == code_attributes.CODE_FUNCTION_NAME
    assert functions.FILE_PATH == code_attributes.CODE_FILE_PATH
    assert functions.LINE_NUMBER == code_attributes.CODE_LINE_NUMBER


def test_only_the_api_is_loaded() -> None:
    code = "import sonde.sdk.spans, sonde.sdk.instruments, sonde.sdk.wrapping, sys; print('opentelemetry.sdk' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
