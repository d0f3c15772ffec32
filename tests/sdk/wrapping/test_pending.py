"""Calls of traced functions: which of them are told, with OpenTelemetry's tracer and with ours."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import attach, detach, get_current
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from sonde.sdk import event, span
from sonde.sdk.calls import around
from sonde.sdk.functions import full_name
from sonde.sdk.raised import span_left_by
from sonde.sdk.wrapping.budget import Unpaid
from sonde.sdk.wrapping.pending import Pending, beginning
from sonde.sdk.wrapping.site import Site
from telling import named, telling

__all__ = ["telling"]

HOUR = 3_600_000_000_000


def traced(function: Any, min_duration_ns: int = HOUR) -> Any:
    """As a call that is short is; with a minimum of 0 it is long."""
    site = Site(function, min_duration_ns, HOUR, Unpaid())
    wrapped: Any = around(function, beginning(site))
    wrapped.site = site
    return wrapped


def long(function: Any) -> Any:
    return traced(function, 0)


def nothing() -> str:
    return "done"


def test_a_short_call_is_not_told(telling: InMemorySpanExporter) -> None:
    function = traced(nothing)
    assert function() == "done"
    assert not telling.get_finished_spans()
    assert (function.site.dropped, function.site.kept) == (1, 0)
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_long_call_is_told_with_its_times_and_place(telling: InMemorySpanExporter) -> None:
    function = long(nothing)
    with span("caller") as caller:
        function()
    told = named(telling)[full_name(nothing)]
    assert told.attributes == function.site.attributes
    assert told.parent == caller.get_span_context()
    assert told.start_time is not None
    assert told.end_time is not None
    outer = named(telling)["caller"]
    assert (outer.start_time or 0) <= told.start_time <= told.end_time <= (outer.end_time or 0)
    assert (function.site.dropped, function.site.kept) == (0, 1)


def starts_a_child() -> None:
    with span("child"):
        pass


def test_a_short_call_with_a_child_is_told_and_so_are_its_callers(telling: InMemorySpanExporter) -> None:
    inner = traced(starts_a_child)

    def middle() -> None:
        traced(nothing)()
        inner()

    def outer() -> None:
        traced(middle)()

    traced(outer)()
    finished = telling.get_finished_spans()
    by_id = {one.context.span_id: one for one in finished if one.context}
    parents = [by_id[one.parent.span_id].name.rpartition(".")[2] if one.parent else None for one in finished]
    assert [one.name.rpartition(".")[2] for one in finished] == ["child", "starts_a_child", "middle", "outer"]
    assert parents == ["starts_a_child", "middle", "outer", None]
    starts = [one.start_time or 0 for one in reversed(finished)]
    assert starts == sorted(starts)


@pytest.mark.parametrize(
    "told",
    [
        lambda: event("reserved"),
        lambda: trace.get_current_span().set_attribute("size", 3),
        lambda: trace.get_current_span().update_name("renamed"),
        lambda: trace.get_current_span().set_status(StatusCode.OK),
        lambda: trace.get_current_span().get_span_context(),
        lambda: trace.get_current_span().is_recording(),
        lambda: trace.get_current_span().attributes,  # type: ignore[attr-defined]
    ],
)
def test_a_short_call_whose_span_is_asked_for_is_told(
    told: Callable[[], object], telling: InMemorySpanExporter
) -> None:
    traced(told)()
    assert len(telling.get_finished_spans()) == 1


def test_what_is_said_to_the_current_span_is_said_of_the_call(telling: InMemorySpanExporter) -> None:
    def says() -> None:
        here = trace.get_current_span()
        assert isinstance(here, Pending)
        here.set_attributes({"a": 1, "b": "c"})
        here.set_attribute("d", True)
        here.add_event("happened", {"e": 2})
        here.add_link(here.get_span_context())
        here.update_name("renamed")
        here.record_exception(ValueError("noted"))
        here.set_status(StatusCode.OK)

    traced(says)()
    told = named(telling)["renamed"]
    assert dict(told.attributes or {}).items() >= {"a": 1, "b": "c", "d": True}.items()
    assert [one.name for one in told.events] == ["happened", "exception"]
    assert len(told.links) == 1
    assert told.status.status_code is StatusCode.OK


def fails() -> None:
    raise KeyError("no such thing")


def test_a_call_that_fails_is_told_as_an_error(telling: InMemorySpanExporter) -> None:
    with pytest.raises(KeyError) as raised:
        traced(fails)()
    told = named(telling)[full_name(fails)]
    assert span_left_by(raised.value) == told.context
    assert told.status.description == "KeyError: 'no such thing'"
    assert [one.name for one in told.events] == ["exception"]


def test_what_goes_through_several_calls_is_recorded_where_it_was_raised(telling: InMemorySpanExporter) -> None:
    inner = traced(fails)

    def passes_on() -> None:
        inner()

    def turns() -> None:
        try:
            traced(passes_on)()
        except KeyError as error:
            raise OSError("away") from error

    with pytest.raises(OSError, match="away"):
        traced(turns)()
    told = {one.name.rpartition(".")[2]: one for one in telling.get_finished_spans()}
    assert {name: one.status.status_code for name, one in told.items()} == dict.fromkeys(
        ("fails", "passes_on", "turns"), StatusCode.ERROR
    )
    recorded = {name: [dict(one.attributes or {})["exception.type"] for one in of.events] for name, of in told.items()}
    assert recorded == {"fails": ["KeyError"], "passes_on": [], "turns": ["OSError"]}


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("says nothing")


def test_what_goes_wrong_with_telemetry_does_not_reach_the_program(telling: InMemorySpanExporter) -> None:
    """An exception that can't be written down, and a processor that fails."""

    class Failing(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            raise RuntimeError("full")

    def unspeakable() -> None:
        raise Unspeakable

    with pytest.raises(Unspeakable):
        traced(unspeakable)()
    provider: Any = trace.get_tracer_provider()
    provider.add_span_processor(Failing())
    assert long(nothing)() == "done"
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_task_that_is_cancelled_is_no_error_and_short_ones_are_not_told(telling: InMemorySpanExporter) -> None:
    async def waits() -> None:
        await asyncio.sleep(60)

    async def cancel(function: Any) -> None:
        task = asyncio.create_task(function())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel(traced(waits)))
    assert not telling.get_finished_spans()
    asyncio.run(cancel(long(waits)))
    (told,) = telling.get_finished_spans()
    assert told.status.status_code is StatusCode.UNSET


def test_a_generator_is_one_call_and_its_children_are_its_own(telling: InMemorySpanExporter) -> None:
    def items() -> Iterator[int]:
        yield 1
        starts_a_child()
        yield 2

    with span("consumer") as consumer:
        for _ in traced(items)():
            assert trace.get_current_span() is consumer
    by_id = {one.context.span_id: one.name for one in telling.get_finished_spans() if one.context}
    child = named(telling)["child"]
    assert child.parent is not None
    assert by_id[child.parent.span_id].endswith("items")


def test_a_call_is_told_after_all_when_a_thread_that_it_started_has_something_to_tell(
    telling: InMemorySpanExporter,
) -> None:
    """A thread takes the context of who started it, which may have ended by then."""
    contexts = []

    def starts_something() -> None:
        contexts.append(get_current())

    traced(starts_something)()
    assert not telling.get_finished_spans()
    trace.get_tracer("test").start_span("later", contexts[0]).end()
    call, later = telling.get_finished_spans()
    assert later.parent == call.context
    assert (call.end_time or 0) <= (later.start_time or 0)


def test_tasks_that_start_one_another_keep_nothing_of_those_before_in_memory() -> None:
    """Each takes the context of the one before, which has ended by then."""
    context, calls = get_current(), []

    def next_one() -> None:
        calls.append(get_current())

    function = traced(next_one)
    for _ in range(200):
        token = attach(context)
        function()
        detach(token)
        context = calls.pop()
    gc.collect()
    assert sum(type(one) is Pending for one in gc.get_objects()) <= 2


def test_a_call_in_the_context_of_one_that_is_over_belongs_to_what_is_there(telling: InMemorySpanExporter) -> None:
    contexts = []

    def starts_something() -> None:
        contexts.append(get_current())

    with span("around") as outer:
        traced(starts_something)()
        long(starts_something)()
    for context in contexts:
        token = attach(context)
        long(nothing)()
        detach(token)
    told, _, *later = telling.get_finished_spans()
    parents = [one.parent.span_id for one in later if one.parent]
    assert parents == [outer.get_span_context().span_id, told.context.span_id if told.context else 0]


def test_threads_that_ask_at_once_get_the_same_span(telling: InMemorySpanExporter) -> None:
    contexts = []
    traced(lambda: contexts.append(get_current()))()
    started = threading.Barrier(4)
    asked: list[int] = []

    def ask() -> None:
        started.wait()
        asked.append(trace.get_current_span(contexts[0]).get_span_context().span_id)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 4
    assert len(set(asked)) == 1
    assert len(telling.get_finished_spans()) == 1


def test_an_app_that_ends_the_current_span_by_itself_ends_it_once(
    telling: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    long(lambda: trace.get_current_span().end())()
    assert len(telling.get_finished_spans()) == 1
    assert not caplog.records


def test_without_a_provider_a_call_is_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    assert long(nothing)() == "done"
    long(starts_a_child)()
