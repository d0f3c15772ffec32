"""Spans that cost less than the OpenTelemetry SDK's, and mean the same.

They are the SDK's own classes, made and changed in another way; what is seldom done is left to the SDK's methods. What is
imported here is partly private to the SDK: `check` says whether the installed one is as this file knows it.

One difference can be seen: processors' `on_end` gets the span itself, which refuses every change by then, not a copy.
"""

from __future__ import annotations

import copy
import functools
import inspect
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from random import Random
from time import time_ns
from types import MappingProxyType, TracebackType
from typing import Any, Final, TypeVar

from opentelemetry import context as context_api
from opentelemetry import trace as trace_api
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk import trace as sdk_trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, SynchronousMultiSpanProcessor
from opentelemetry.sdk.trace._tracer_metrics import NoOpTracerMetrics
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    StaticSampler,
)
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.span import DEFAULT_TRACE_STATE, INVALID_SPAN_CONTEXT, TraceState
from opentelemetry.trace.status import Status, StatusCode
from sonde.sdk.contexts import SPAN, attach, current, detach, with_span
from sonde.sdk.raised import left_span

log = logging.getLogger("opentelemetry.sdk.trace")
"""What the SDK says of misuse is said by its own logger."""

SAMPLED, RANDOM = TraceFlags.SAMPLED, TraceFlags.RANDOM_TRACE_ID
FLAGS_OF = tuple(TraceFlags(bits) for bits in range(4))

TRACE_ID: Final = 0
FLAGS: Final = 3
STATE: Final = 4
VALID: Final = 5
"""Places in a SpanContext, which is a tuple."""

UNSET = Status(StatusCode.UNSET)
NOTHING: tuple[Any, ...] = ()
INTERNAL = SpanKind.INTERNAL
RECORD_AND_SAMPLE = Decision.RECORD_AND_SAMPLE

PLAIN: frozenset[type] = frozenset({str, int, bool, float, bytes, type(None)})
"""Types of values that are kept as they are. A subclass may be anything: the SDK decides."""
BOUNDLESS = sys.maxsize

new_object = object.__new__
new_tuple = tuple.__new__
new_lock = threading.Lock

Function = TypeVar("Function", bound=Callable[..., Any])


class RandomIds(RandomIdGenerator):
    """The SDK's random ids from a generator of their own: an app that seeds `random` does not get the same ids again."""

    def __init__(self) -> None:
        self._random = Random()
        self.bits = self._random.getrandbits

    def reseed(self) -> None:
        self._random.seed()

    def generate_span_id(self) -> int:
        return self.bits(64) or self.generate_span_id()

    def generate_trace_id(self) -> int:
        return self.bits(128) or self.generate_trace_id()


RANDOM_IDS = RandomIds()
random_bits = RANDOM_IDS.bits

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=RANDOM_IDS.reseed)


class Processors(SynchronousMultiSpanProcessor):
    """The processors of a provider, each called for what it listens to only: most do nothing when a span starts."""

    @property
    def _span_processors(self) -> tuple[SpanProcessor, ...]:
        return self._all

    @_span_processors.setter
    def _span_processors(self, processors: tuple[SpanProcessor, ...]) -> None:
        self._all = processors
        self.starting = tuple(each for each in processors if listens(each, "on_start"))
        self.ending = tuple(each for each in processors if listens(each, "_on_ending"))
        self.ended = tuple(each for each in processors if listens(each, "on_end"))

    def on_start(self, span: sdk_trace.Span, parent_context: Context | None = None) -> None:
        for processor in self.starting:
            processor.on_start(span, parent_context=parent_context)

    def _on_ending(self, span: sdk_trace.Span) -> None:
        for processor in self.ending:
            processor._on_ending(span)

    def on_end(self, span: ReadableSpan) -> None:
        for processor in self.ended:
            processor.on_end(span)


def listens(processor: SpanProcessor, hook: str) -> bool:
    """Whether `processor` does something in `hook`, which does nothing in SpanProcessor."""
    inherited = getattr(type(processor), hook, None) is getattr(SpanProcessor, hook)
    return not inherited or hook in getattr(processor, "__dict__", {})


class Span(sdk_trace.Span):
    """A span that is recorded; made by Tracer.start_span alone.

    Its attributes are a plain dict, within the limits of the SDK's BoundedAttributes, and events and links are made with the
    first of them. To set an attribute takes no lock, since a dict's own operation is whole: threads that set some of one span at
    the same moment may exceed its limit by their number, and what one sets while another ends the span goes to a dict that
    nobody reads any more. Everything else takes the span's own lock, as in the SDK. (One for all spans would cost less, and
    would be held while an app's code runs: a value's `__str__`, a handler of logging.)
    """

    __slots__ = (
        "_attributes",
        "_context",
        "_dropped_attributes",
        "_end_time",
        "_events",
        "_instrumentation_info",
        "_instrumentation_scope",
        "_kind",
        "_limits",
        "_links",
        "_lock",
        "_most_attributes",
        "_name",
        "_parent",
        "_plain",
        "_record_end_metrics",
        "_record_exception",
        "_resource",
        "_sampler",
        "_set_status_on_exception",
        "_span_processor",
        "_start_time",
        "_status",
    )
    _attributes: dict[str, Any]
    _plain: frozenset[type]
    _most_attributes: int
    _trace_config = None

    def set_attribute(self, key: str, value: Any) -> None:
        attributes = self._attributes
        if (
            type(value) in self._plain
            and type(key) is str
            and key
            and self._end_time is None
            and len(attributes) < self._most_attributes
        ):
            if key in attributes:
                # What is set again moves to the end, as in the SDK, which drops the first when there are too many.
                attributes.pop(key, None)
            attributes[key] = value
        else:
            self._change_attributes(lambda bounded: bounded.__setitem__(key, value))

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        kept = self._attributes
        if (
            type(attributes) is dict
            and self._end_time is None
            and len(kept) + len(attributes) <= self._most_attributes
            and all_plain(attributes, self._plain)
        ):
            if not kept.keys().isdisjoint(attributes):
                for key in attributes:
                    kept.pop(key, None)
            kept.update(attributes)
        else:
            self._change_attributes(lambda bounded: bounded._set_items(attributes))

    def _begin_with(self, attributes: Mapping[str, Any]) -> None:
        if type(attributes) is not dict:
            attributes = dict(MappingProxyType(attributes))
        if len(attributes) <= self._most_attributes and all_plain(attributes, self._plain):
            self._attributes = attributes.copy()
        else:
            self._change_attributes(lambda bounded: bounded._set_items(attributes))

    def _change_attributes(self, change: Callable[[BoundedAttributes], None]) -> None:
        """The SDK's way, over the same dict: cleans values, drops the oldest, moves what is set again to the end."""
        with self._lock:
            if self._end_time is not None:
                log.warning("Setting attribute on ended span.")
                return
            bounded = self._bounded(immutable=False)
            try:
                change(bounded)
            finally:
                self._dropped_attributes = bounded.dropped

    def _bounded(self, *, immutable: bool) -> BoundedAttributes:
        limits = self._limits
        bounded = BoundedAttributes(
            limits.max_span_attributes, None, immutable=immutable, max_value_len=limits.max_span_attribute_length
        )
        bounded._dict, bounded.dropped = self._attributes, self._dropped_attributes
        return bounded

    @property
    def dropped_attributes(self) -> int:
        return self._dropped_attributes

    def _add_event(self, event: sdk_trace.EventBase) -> None:
        if self._events is NOTHING:
            with self._lock:
                if self._events is NOTHING and self._end_time is None:
                    self._events = self._new_events()  # type: ignore[no-untyped-call]
        super()._add_event(event)

    def _add_link(self, link: Link) -> None:
        if self._links is NOTHING:
            with self._lock:
                if self._links is NOTHING and self._end_time is None:
                    self._links = self._new_links(())
        super()._add_link(link)

    def end(self, end_time: int | None = None) -> None:
        now = time_ns() if end_time is None else end_time
        with self._lock:
            first = self._end_time is None
            if first:
                self._end_time = now
        if not first:
            log.warning("Calling end() on an ended span.")
            return
        self._attributes = self._attributes.copy()
        if self._record_end_metrics is not None:
            self._record_end_metrics()
        processors = self._span_processor
        if type(processors) is Processors:
            if processors.ending:
                processors._on_ending(self)
            for processor in processors.ended:
                processor.on_end(self)
        else:
            processors._on_ending(self)
            processors.on_end(self)

    def _readable_span(self) -> ReadableSpan:
        found = super()._readable_span()
        found._attributes = self._bounded(immutable=True)
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> ReadableSpan:
        """Of what is recorded; not of the processors and all that they refer to."""
        return copy.deepcopy(self._readable_span(), memo)


def all_plain(attributes: dict[str, Any], plain: frozenset[type]) -> bool:
    """Whether BoundedAttributes would keep `attributes` as they are, but for their number."""
    return (
        plain.issuperset(map(type, attributes.values()))
        and _STR.issuperset(map(type, attributes))
        and "" not in attributes
    )


_STR = frozenset({str})


def takes_all(sampler: Sampler) -> bool:
    """Whether a span without a parent, or with one that is sampled, is sampled in any case, with nothing added to it."""
    decide = type(sampler).should_sample
    if decide is ParentBased.should_sample:
        asked = (sampler._root, sampler._remote_parent_sampled, sampler._local_parent_sampled)  # type: ignore[attr-defined]
        return all(type(each).should_sample is StaticSampler.should_sample and takes_all(each) for each in asked)
    return decide is StaticSampler.should_sample and sampler._decision is RECORD_AND_SAMPLE  # type: ignore[attr-defined]


class Tracer(sdk_trace.Tracer):
    """One of the SDK's, which starts cheaper spans. Made by `adopt` alone."""

    _takes_all: Sampler | None
    """The sampler that needs not be asked; another one that has taken its place since is asked."""
    _counts: bool
    """Whether the SDK counts its spans in metrics of its own."""
    _plain: frozenset[type]
    _most_attributes: int

    def start_as_current_span(  # type: ignore[override]
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = INTERNAL,
        attributes: Any = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> CurrentSpan:
        return CurrentSpan(
            self,
            (name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception),
            end_on_exit,
        )

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = INTERNAL,
        attributes: Any = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace_api.Span:
        above = (current() if context is None else context).get(SPAN)
        if type(above) is Span:
            parent = above._context
        elif above is None:
            parent = INVALID_SPAN_CONTEXT
        else:
            parent = context_of(above)
        if not self._tracer_config.is_enabled:
            return trace_api.NonRecordingSpan(parent)  # type: ignore[arg-type]
        if parent is None or not parent[VALID]:
            parent = None
            trace_id = self.id_generator.generate_trace_id()
        else:
            trace_id = parent[TRACE_ID]
        links = links or ()
        if self.sampler is self._takes_all and (parent is None or parent[FLAGS] & SAMPLED):
            decision = RECORD_AND_SAMPLE
            state: TraceState | None = DEFAULT_TRACE_STATE if parent is None else parent[STATE]
        else:
            result = self.sampler.should_sample(context, trace_id, name, kind, attributes, links)
            decision, state, attributes = result.decision, result.trace_state, result.attributes
        own = self._own_context(trace_id, parent, decision is RECORD_AND_SAMPLE, state)
        ended = self._tracer_metrics.start_span(parent, decision) if self._counts else None
        if decision is not RECORD_AND_SAMPLE and not decision.is_recording():  # type: ignore[no-untyped-call]
            return trace_api.NonRecordingSpan(own)

        span = new_object(Span)
        span._name, span._context, span._parent, span._kind = name, own, parent, kind
        span._resource, span._instrumentation_scope = self.resource, self._instrumentation_scope
        span._instrumentation_info = self.instrumentation_info
        span._sampler, span._limits = self.sampler, self._span_limits
        span._plain, span._most_attributes = self._plain, self._most_attributes
        span._record_exception, span._set_status_on_exception = record_exception, set_status_on_exception
        span._record_end_metrics, span._lock = ended, new_lock()
        span._status, span._end_time, span._events, span._dropped_attributes = UNSET, None, NOTHING, 0
        span._attributes = {}
        if attributes:
            span._begin_with(attributes)
        span._links = span._new_links(links) if links else NOTHING
        span._start_time = time_ns() if start_time is None else start_time
        span._span_processor = processors = self.span_processor
        if type(processors) is not Processors or processors.starting:
            processors.on_start(span, parent_context=context)
        return span

    def _own_context(
        self, trace_id: int, parent: SpanContext | None, sampled: bool, state: TraceState | None
    ) -> SpanContext:
        ids = self.id_generator
        if ids is RANDOM_IDS and state is not None:
            random = RANDOM if parent is None else parent[FLAGS] & RANDOM
            flags = FLAGS_OF[random | SAMPLED if sampled else random]
            # What SpanContext checks is known: these ids are valid.
            return new_tuple(
                SpanContext, (trace_id, random_bits(64) or ids.generate_span_id(), False, flags, state, True)
            )
        random = RANDOM if (ids.is_trace_id_random() if parent is None else parent[FLAGS] & RANDOM) else 0
        flags = FLAGS_OF[random | SAMPLED if sampled else random]
        return SpanContext(trace_id, ids.generate_span_id(), False, flags, state)


def context_of(above: object) -> SpanContext | None:
    """Of what a context holds for its span, whoever made it."""
    if not isinstance(above, trace_api.Span):
        return INVALID_SPAN_CONTEXT
    found: object = above.get_span_context()
    if found is not None and not isinstance(found, SpanContext):
        raise TypeError("parent_span_context must be a SpanContext or None.")
    return found


class CurrentSpan:
    """What `start_as_current_span` gives: a context manager, for one span, and a decorator of functions and coroutines."""

    __slots__ = ("_arguments", "_end_on_exit", "_span", "_token", "_tracer")

    def __init__(self, tracer: Tracer, arguments: tuple[Any, ...], end_on_exit: bool) -> None:
        self._tracer, self._arguments, self._end_on_exit = tracer, arguments, end_on_exit
        self._token: Any = None

    def __enter__(self) -> trace_api.Span:
        span = self._span = self._tracer.start_span(*self._arguments)
        self._token = attach(with_span(current(), span))
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        token, self._token = self._token, None
        if token is None:
            return  # It was left before: the SDK's says nothing of that.
        try:
            detach(token)
        except Exception:
            # Tries once more, and says why it can't be.
            context_api.detach(token)
        if kind is None:
            if self._end_on_exit:
                self._span.end()
        else:
            self._failed(kind() if error is None else error)

    def _failed(self, error: BaseException) -> None:
        """As the API's use_span: what is no Exception, like GeneratorExit, is no failure."""
        span = self._span
        try:
            if isinstance(error, Exception) and span.is_recording():
                left_span(error, span.get_span_context())
                record_exception, set_status_on_exception = self._arguments[-2:]
                if record_exception:
                    span.record_exception(error)
                if set_status_on_exception:
                    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        finally:
            if self._end_on_exit:
                span.end()

    def __call__(self, function: Function) -> Function:
        """`function` in a span of its own each time; a coroutine until it is done."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def traced_coroutine(*args: Any, **kwargs: Any) -> Any:
                with CurrentSpan(self._tracer, self._arguments, self._end_on_exit):
                    return await function(*args, **kwargs)

            return traced_coroutine  # type: ignore[return-value]

        @functools.wraps(function)
        def traced(*args: Any, **kwargs: Any) -> Any:
            with CurrentSpan(self._tracer, self._arguments, self._end_on_exit):
                return function(*args, **kwargs)

        return traced  # type: ignore[return-value]


def furnished(given: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` of a provider, with our own ids and list of processors where it is given none; `given` are its arguments
    without a name: sampler, resource, shutdown_on_exit, active_span_processor, id_generator."""
    found = dict(settings)
    if given < 4 and found.get("active_span_processor") is None:
        found["active_span_processor"] = Processors()  # type: ignore[no-untyped-call]
    if given < 5 and found.get("id_generator") is None:
        found["id_generator"] = RANDOM_IDS
    return found


def adopt(tracer: sdk_trace.Tracer) -> None:
    """Makes `tracer`, which the SDK has made, one of ours."""
    limits = tracer._span_limits
    found: Any = tracer
    found._takes_all = tracer.sampler if takes_all(tracer.sampler) else None
    found._counts = type(tracer._tracer_metrics) is not NoOpTracerMetrics
    found._most_attributes = BOUNDLESS if limits.max_span_attributes is None else limits.max_span_attributes
    found._plain = PLAIN if limits.max_span_attribute_length is None else PLAIN - _STR
    found.__class__ = Tracer


def check() -> None:
    """Raises where the installed SDK is not as this file takes it to be."""
    unset, processors = SpanLimits.UNSET, Processors()  # type: ignore[no-untyped-call]
    provider = sdk_trace.TracerProvider(
        sampler=ALWAYS_ON,
        resource=Resource({}),
        shutdown_on_exit=False,
        id_generator=RANDOM_IDS,
        span_limits=SpanLimits(unset, unset, unset, unset, unset, unset, unset, unset),
        active_span_processor=processors,
        meter_provider=NoOpMeterProvider(),
    )
    provider.add_span_processor(SpanProcessor())
    if len(processors._all) != 1:
        raise AttributeError("a provider keeps its processors elsewhere")
    tracer = provider.get_tracer("sonde.sdk")
    if not isinstance(tracer, sdk_trace.Tracer):
        return  # OTEL_SDK_DISABLED
    theirs = tracer.start_span("check")
    known = {"_trace_config", *Span.__slots__} - {"_dropped_attributes", "_most_attributes", "_plain"}
    if vars(theirs).keys() != known:
        raise AttributeError(f"a span has {sorted(vars(theirs).keys() ^ known)}")
    theirs.end()
    adopt(tracer)
    context = SpanContext(1, 2, False, FLAGS_OF[3], DEFAULT_TRACE_STATE)
    if context != new_tuple(SpanContext, (1, 2, False, FLAGS_OF[3], DEFAULT_TRACE_STATE, True)):
        raise AttributeError("a SpanContext is another tuple")
    with tracer.start_as_current_span("check") as ours:
        ours.set_attributes({"a": 1})
        ours.set_attribute("a", [1])
        ours.add_event("check")
