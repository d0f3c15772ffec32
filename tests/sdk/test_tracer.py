"""Spans that cost less: whatever an app does, what is exported and said is what the OpenTelemetry SDK's own tracer gives."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import json
import logging
import os
import random
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sdk_programs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import context as context_api
from opentelemetry import trace as trace_api
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as reference_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan
from opentelemetry.sdk import trace as sdk_trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, ReadableSpan, SpanLimits, SpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from opentelemetry.trace.status import StatusCode
from sdk_programs import Block, Counting, limits, programs, samplers
from sonde.sdk import recording
from sonde.sdk.otlp.spans import encode_spans
from sonde.sdk.tracer import TracerProvider

RESOURCE = Resource({"service.name": "shop"})
NOW = 1_700_000_000_000_000_000


class Kept(SpanProcessor):
    def __init__(self) -> None:
        self.started: list[str] = []
        self.spans: list[ReadableSpan] = []

    def on_start(self, span: sdk_trace.Span, parent_context: Context | None = None) -> None:
        self.started.append(f"{span.name} {span.parent} {dict(span.attributes or {})} {parent_context is None}")

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


@contextmanager
def listening(heard: list[str]) -> Iterator[None]:
    """What OpenTelemetry logs, as it would be read."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(f"{record.name}: {record.getMessage()}")

    logger, handler = logging.getLogger("opentelemetry"), Handler()
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = True


def run(
    kind: type[sdk_trace.TracerProvider],
    program: list[Block],
    sampler: Sampler,
    ids: IdGenerator,
    limits: dict[str, Any],
) -> tuple[Kept, list[str]]:
    kept, heard = Kept(), []
    with listening(heard):
        provider = kind(sampler, RESOURCE, shutdown_on_exit=False, id_generator=ids, span_limits=SpanLimits(**limits))
        provider.add_span_processor(kept)
        tracer = provider.get_tracer("shop", "1", "https://schema", {"scope": 1})
        for block in program:
            try:
                block.run(tracer, heard)
            except BaseException as error:
                heard.append(f"{type(error).__name__}: {error.args}")
    assert not context_api.get_current(), "the context is again what it was"
    return kept, heard


FRAME_ELSEWHERE = re.compile(rf'  File "(?!{re.escape(sdk_programs.__file__)}").*\n(?:    .*\n)*')


def comparable(request: ExportTraceServiceRequest) -> list[ProtoSpan]:
    """Spans; of an exception's stack only this file's frames: between them are those of the tracers."""
    spans = [span for each in request.resource_spans for scope in each.scope_spans for span in scope.spans]
    for span in spans:
        for event in span.events:
            for attribute in event.attributes:
                if attribute.key == "exception.stacktrace":
                    attribute.value.string_value = FRAME_ELSEWHERE.sub("", attribute.value.string_value)
        for link in span.links:
            # The reference leaves it out.
            link.ClearField("trace_state")
    return spans


def readable(span: ReadableSpan) -> dict[str, Any]:
    """All that a ReadableSpan tells."""
    named = ("name", "context", "kind", "parent", "start_time", "end_time", "resource", "instrumentation_scope")
    counted = ("dropped_attributes", "dropped_events", "dropped_links", "attributes")
    try:
        as_json = json.loads(span.to_json())
    except TypeError as error:
        as_json = str(error)
    else:
        for event in as_json["events"]:
            event["attributes"].pop("exception.stacktrace", None)
    return {
        "json": as_json,
        **{name: repr(getattr(span, name)) for name in (*named, *counted)},
        "status": (span.status.status_code, span.status.description),
        "types": [type(span.events), type(span.links), type(span.attributes)],
    }


@given(programs, samplers, st.booleans(), st.sampled_from([0, 0, 2, 5]), limits)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_what_is_exported_and_said_is_what_the_sdk_gives(
    program: list[Block], sampler: Sampler, is_random: bool, invalid_every: int, limits: dict[str, Any]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sdk_trace, "time_ns", lambda: NOW)
        patch.setattr(recording, "time_ns", lambda: NOW)
        theirs, wanted = run(sdk_trace.TracerProvider, program, sampler, Counting(is_random, invalid_every), limits)
        ours, heard = run(TracerProvider, program, sampler, Counting(is_random, invalid_every), limits)
    assert heard == wanted
    assert ours.started == theirs.started
    assert all(type(span) is recording.Span for span in ours.spans)
    assert [readable(span) for span in ours.spans] == [readable(span) for span in theirs.spans]
    expected = comparable(reference_spans(theirs.spans))
    assert comparable(reference_spans(ours.spans)) == expected
    assert comparable(ExportTraceServiceRequest.FromString(encode_spans(ours.spans))) == expected


@pytest.fixture
def kept() -> Kept:
    return Kept()


def provider_of(kept: Kept, **settings: Any) -> TracerProvider:
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False, **settings)
    provider.add_span_processor(kept)
    return provider


def test_tracers_and_spans_are_the_sdks_to_whoever_asks(kept: Kept) -> None:
    provider = provider_of(kept)
    tracer = provider.get_tracer("shop")
    assert isinstance(provider, sdk_trace.TracerProvider)
    assert isinstance(tracer, sdk_trace.Tracer)
    assert provider.get_tracer("shop") is tracer
    with tracer.start_as_current_span("a") as span:
        assert isinstance(span, sdk_trace.Span)
        assert isinstance(span, ReadableSpan)


def test_what_a_processor_is_given_at_the_end_changes_no_more(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    with provider_of(kept).get_tracer("shop").start_as_current_span("a", attributes={"a": 1}) as span:
        span.add_event("first")
    before = encode_spans(kept.spans)
    span.set_attribute("a", 2)
    span.set_attributes({"b": 2})
    span.add_event("second")
    span.add_link(SpanContext(1, 2, False))
    span.set_status(StatusCode.ERROR)
    span.update_name("b")
    span.end(5)
    assert encode_spans(kept.spans) == before
    assert len(kept.spans) == 1
    assert len(caplog.records) == 7


def test_a_thread_that_was_about_to_set_an_attribute_does_not_change_an_ended_span(kept: Kept) -> None:
    span = provider_of(kept).get_tracer("shop").start_span("a")
    held = span._attributes  # type: ignore[attr-defined]
    span.end()
    held["late"] = 1
    assert not kept.spans[0].attributes


def test_of_many_threads_that_end_a_span_one_does(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    tracer = provider_of(kept).get_tracer("shop")
    spans = [tracer.start_span(str(number)) for number in range(200)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        together([lambda: [span.end() for span in spans]] * 4)
    finally:
        sys.setswitchinterval(interval)
    assert sorted(int(span.name) for span in kept.spans) == list(range(200))
    assert len(caplog.records) == 600


def together(work: list[Callable[[], Any]]) -> None:
    start = threading.Barrier(len(work))

    def run(each: Callable[[], Any]) -> None:
        start.wait()
        each()

    threads = [threading.Thread(target=run, args=(each,)) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_what_threads_add_to_one_span_is_all_there(kept: Kept) -> None:
    span = provider_of(kept).get_tracer("shop").start_span("a")

    def add(number: int) -> None:
        for each in range(20):
            span.set_attribute(f"{number}.{each}", each)
            span.add_event(f"{number}.{each}")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        together([lambda number=number: add(number) for number in range(4)])  # type: ignore[misc]
    finally:
        sys.setswitchinterval(interval)
    span.end()
    wanted = {f"{number}.{each}" for number in range(4) for each in range(20)}
    assert set(kept.spans[0].attributes or {}) == wanted
    assert {event.name for event in kept.spans[0].events} == wanted


def test_each_thread_has_its_own_current_span(kept: Kept) -> None:
    tracer = provider_of(kept).get_tracer("shop")

    def work(number: int) -> None:
        for each in range(50):
            with tracer.start_as_current_span(f"{number}"), tracer.start_as_current_span(f"{number}.{each}"):
                pass

    together([lambda number=number: work(number) for number in range(4)])  # type: ignore[misc]
    names = {span.context.span_id: span.name for span in kept.spans}
    inner = [span for span in kept.spans if span.parent is not None]
    assert len(inner) == 200
    assert all(span.name.startswith(names[span.parent.span_id]) for span in inner if span.parent is not None)


def test_tasks_have_their_own_current_span_and_their_makers_as_parent(kept: Kept) -> None:
    tracer = provider_of(kept).get_tracer("shop")

    async def task(number: int) -> None:
        with tracer.start_as_current_span(str(number)) as span:
            for _ in range(5):
                await asyncio.sleep(0)
                assert trace_api.get_current_span() is span

    async def main() -> None:
        with tracer.start_as_current_span("main") as span:
            await asyncio.gather(*(task(number) for number in range(20)))
            assert trace_api.get_current_span() is span

    asyncio.run(main())
    *tasks, main_span = kept.spans
    assert len(tasks) == 20
    assert all(span.parent == main_span.context for span in tasks)


@pytest.mark.parametrize("kind", [sdk_trace.TracerProvider, TracerProvider])
def test_it_decorates_functions_coroutines_and_methods(kept: Kept, kind: type[sdk_trace.TracerProvider]) -> None:
    provider = kind(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(kept)
    tracer = provider.get_tracer("shop")
    traced = tracer.start_as_current_span("work", attributes={"a": 1})

    @traced
    def factorial(number: int) -> int:
        """Recursive: a span within a span."""
        return 1 if number < 2 else number * factorial(number - 1)

    @tracer.start_as_current_span("later")
    async def later(number: int) -> int:
        await asyncio.sleep(0)
        return int(trace_api.get_current_span() is not trace_api.INVALID_SPAN) + number

    class Cart:
        @tracer.start_as_current_span("method")
        def total(self) -> int:
            raise ValueError("empty")

    assert factorial(3) == 6
    assert factorial.__doc__ == "Recursive: a span within a span."
    assert asyncio.run(later(1)) == 2
    with pytest.raises(ValueError, match="empty"):
        Cart().total()
    assert [span.name for span in kept.spans] == ["work", "work", "work", "later", "method"]
    assert kept.spans[0].parent == kept.spans[1].context
    assert kept.spans[4].status.description == "ValueError: empty"


def test_a_span_left_in_another_context_is_ended_and_said(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    entered = provider_of(kept).get_tracer("shop").start_as_current_span("a")
    other = contextvars.copy_context()
    other.run(entered.__enter__)
    entered.__exit__(None, None, None)
    assert [span.name for span in kept.spans] == ["a"]
    assert "Failed to detach context" in caplog.text


@pytest.mark.parametrize("kind", [sdk_trace.TracerProvider, TracerProvider])
def test_to_leave_a_span_twice_is_to_leave_it_once(
    kept: Kept, kind: type[sdk_trace.TracerProvider], caplog: pytest.LogCaptureFixture
) -> None:
    provider = kind(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(kept)
    entered = provider.get_tracer("shop").start_as_current_span("a")
    entered.__enter__()
    entered.__exit__(None, None, None)
    entered.__exit__(None, None, None)
    entered.__exit__(ValueError, ValueError(), None)
    assert len(kept.spans) == 1
    assert not caplog.records


def test_what_else_the_context_holds_stays(kept: Kept) -> None:
    tracer = provider_of(kept).get_tracer("shop")
    token = context_api.attach(context_api.set_value("basket", 1))
    try:
        with tracer.start_as_current_span("a"), tracer.start_as_current_span("b"):
            assert context_api.get_value("basket") == 1
    finally:
        context_api.detach(token)
    with tracer.start_as_current_span("a"):
        inner = context_api.attach(context_api.set_value("basket", 2))
        with tracer.start_as_current_span("b"):
            assert context_api.get_value("basket") == 2
        context_api.detach(inner)
        assert context_api.get_value("basket") is None


def test_an_app_that_seeds_random_does_not_get_the_same_ids_again(kept: Kept) -> None:
    tracer = provider_of(kept).get_tracer("shop")
    for _ in range(2):
        random.seed(1)
        tracer.start_span("a").end()
    assert len({span.context.trace_id for span in kept.spans}) == 2
    assert all(span.context.trace_flags == 3 for span in kept.spans)


def test_ids_are_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    ids, drawn = recording.RandomIds(), iter([0, 0, 7, 0, 8])
    monkeypatch.setattr(ids, "bits", lambda count: next(drawn))
    assert (ids.generate_span_id(), ids.generate_trace_id()) == (7, 8)


def test_ids_and_processors_that_an_app_brings_are_its_own(kept: Kept) -> None:
    ids, processors = RandomIdGenerator(), ConcurrentMultiSpanProcessor(2)
    provider = TracerProvider(None, RESOURCE, False, processors, ids)
    provider.add_span_processor(kept)
    assert provider.id_generator is ids
    with provider.get_tracer("shop").start_as_current_span("a"):
        pass
    assert [span.name for span in kept.spans] == ["a"]
    assert len(kept.started) == 1
    provider.shutdown()


def test_processors_are_called_in_order_for_what_they_listen_to() -> None:
    heard: list[str] = []

    class Full(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            heard.append(f"start {span.is_recording()}")

        def _on_ending(self, span: Any) -> None:
            heard.append(f"ending {span.is_recording()}")

        def on_end(self, span: ReadableSpan) -> None:
            heard.append("end")

    class Last(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            heard.append("last")

    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    for processor in (Full(), SpanProcessor(), Last()):
        provider.add_span_processor(processor)
    assert len(provider._active_span_processor._span_processors) == 3
    provider.get_tracer("shop").start_span("a").end()
    assert heard == ["start True", "ending False", "end", "last"]


def test_a_processor_replaced_by_another_is_called_no_more(kept: Kept) -> None:
    provider, other = provider_of(kept), Kept()
    provider._active_span_processor._span_processors = (other,)
    provider.get_tracer("shop").start_span("a").end()
    assert (len(kept.spans), len(other.spans)) == (0, 1)


def test_a_sampler_put_in_the_place_of_another_is_asked(kept: Kept) -> None:
    tracer = provider_of(kept).get_tracer("shop")
    tracer.sampler = ALWAYS_OFF  # type: ignore[attr-defined]
    assert not tracer.start_span("a").is_recording()


def test_a_disabled_tracer_passes_its_parent_on(kept: Kept) -> None:
    provider = provider_of(kept)
    tracer = provider.get_tracer("shop")
    provider._set_tracer_configurator(tracer_configurator=sdk_trace._disable_tracer_configurator)
    assert tracer.start_span("a").get_span_context() == trace_api.INVALID_SPAN_CONTEXT
    parent = SpanContext(1, 2, True, TraceFlags(1))
    span = tracer.start_span("a", trace_api.set_span_in_context(NonRecordingSpan(parent)))
    assert span.get_span_context() == parent
    assert not kept.spans


def test_a_copy_of_a_span_is_of_what_it_recorded(kept: Kept) -> None:
    provider = provider_of(kept, span_limits=SpanLimits(max_span_attributes=1))
    with provider.get_tracer("shop").start_as_current_span("a", attributes={"a": 1, "b": 2}) as span:
        span.add_event("e", {"k": "v"})
    copied = copy.deepcopy(kept.spans)
    assert encode_spans(copied) == encode_spans(kept.spans)
    assert copied[0].dropped_attributes == 1


def test_the_sdks_own_metrics_count_spans(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")
    reader = InMemoryMetricReader()
    tracer = provider_of(kept, meter_provider=MeterProvider([reader])).get_tracer("shop")
    with tracer.start_as_current_span("a"):
        tracer.start_span("b")
    data = json.loads(reader.get_metrics_data().to_json())  # type: ignore[union-attr]
    metrics = data["resource_metrics"][0]["scope_metrics"][0]["metrics"]
    found = {each["name"]: sum(point["value"] for point in each["data"]["data_points"]) for each in metrics}
    assert found == {"otel.sdk.span.started": 2, "otel.sdk.span.live": 1}


def test_an_abandoned_span_is_no_longer_held(kept: Kept) -> None:
    import weakref

    span = provider_of(kept).get_tracer("shop").start_span("a")
    seen = weakref.ref(span)
    del span
    gc.collect()
    assert seen() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_children_draw_ids_of_their_own() -> None:
    program = """
        import os
        from sonde.sdk.tracer import TracerProvider

        tracer = TracerProvider(shutdown_on_exit=False).get_tracer("shop")
        for _ in range(3):
            if child := os.fork():
                os.waitpid(child, 0)
            else:
                os.write(1, f"{tracer.start_span('a').context.trace_id}\\n".encode())
                os._exit(0)
        print(tracer.start_span("a").context.trace_id)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert len(set(result.stdout.split())) == 4


class Talkative:
    """A value whose text takes what another thread holds, which ends spans meanwhile."""

    def __init__(self, tracer: trace_api.Tracer) -> None:
        self.tracer = tracer

    def __str__(self) -> str:
        thread = threading.Thread(target=lambda: self.tracer.start_span("other").end())
        thread.start()
        thread.join(30)
        return f"other thread done: {not thread.is_alive()}"


def test_what_a_values_text_does_holds_no_other_span_up(kept: Kept) -> None:
    tracer = provider_of(kept).get_tracer("shop")
    with tracer.start_as_current_span("a") as span:
        span.set_attribute("a", Talkative(tracer))  # type: ignore[arg-type]
    assert kept.spans[1].attributes == {"a": "other thread done: True"}


UNKNOWN = {
    "a name is gone": "import opentelemetry.attributes as a; del a.BoundedAttributes",
    "a span has another field": textwrap.dedent("""
        import opentelemetry.sdk.trace as t
        before = t.Span.__init__
        def after(self, *args, **kwargs):
            before(self, *args, **kwargs)
            self._new = 1
        t.Span.__init__ = after
    """),
    "a provider takes other arguments": textwrap.dedent("""
        import opentelemetry.sdk.trace as t
        before = t.TracerProvider.__init__
        t.TracerProvider.__init__ = lambda self, shutdown_on_exit=True: before(self, shutdown_on_exit=shutdown_on_exit)
    """),
}


@pytest.mark.parametrize("change", UNKNOWN.values(), ids=list(UNKNOWN))
def test_with_an_sdk_that_is_not_known_spans_are_its_own(change: str) -> None:
    program = f"""
import opentelemetry.sdk.trace
{change}
from sonde.sdk.tracer import TracerProvider
tracer = TracerProvider(shutdown_on_exit=False).get_tracer("shop")
with tracer.start_as_current_span("a") as span:
    print(type(span).__name__)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert result.stdout == "_Span\n", result.stderr
    assert "spans are the SDK's own" in result.stderr
