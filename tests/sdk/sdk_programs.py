"""Programs that make spans in every way there is, drawn by hypothesis: what is done, by whom, within which limits."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from opentelemetry import trace as trace_api
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    StaticSampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, TraceState
from opentelemetry.trace.status import Status, StatusCode
from sdk_shapes import contexts, names, texts
from sdk_shapes import values as valid_values


class Colour(enum.IntEnum):
    RED = 1


class Shout(str):
    """A str, and yet not exactly one."""


class Unprintable:
    """Has no text of its own."""


class Named:
    def __str__(self) -> str:
        return "named"


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class Stop(BaseException):
    """Ends a block without being a failure, as GeneratorExit does."""


odd_values = st.sampled_from(
    [None, b"bytes", Colour.RED, Shout("loud"), Unprintable(), Named(), {1, 2}, [1, "a", None], {"": 1, 5: 2, "k": [3]}]
)
values = st.one_of(
    st.booleans(),
    st.integers(-5, 2**63 - 1),
    st.floats(allow_nan=False),
    texts,
    st.text("x", max_size=40),
    valid_values,
    odd_values,
)
keys = st.one_of(st.sampled_from(["a", "b", "c", "d"]), names, st.sampled_from(["", None, 5, Shout("key")]))
mappings = st.one_of(st.none(), st.dictionaries(keys, values, max_size=6))
plain_attributes = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), texts, max_size=4)
attributes = st.one_of(
    mappings,
    plain_attributes,
    st.builds(lambda found: BoundedAttributes(2, found), st.dictionaries(names, texts, max_size=4)),
)
times = st.one_of(st.none(), st.integers(0, 2**63))
links = st.lists(st.tuples(st.one_of(contexts, st.just(trace_api.INVALID_SPAN_CONTEXT)), mappings), max_size=3)
errors = st.sampled_from([ValueError, KeyError, StopIteration, Mute, Stop])


@dataclass(frozen=True)
class Call:
    """A method of a span, with what makes its arguments: the SDK changes some of them."""

    method: str
    arguments: tuple[Any, ...]

    def run(self, span: trace_api.Span) -> None:
        made = [
            each() if isinstance(each, type) and issubclass(each, BaseException) else each for each in self.arguments
        ]
        getattr(span, self.method)(*made)


statuses = st.one_of(
    st.tuples(st.builds(Status, st.sampled_from(StatusCode))),
    st.tuples(st.builds(Status, st.just(StatusCode.ERROR), texts), st.one_of(st.none(), texts)),
    st.tuples(st.sampled_from(StatusCode), st.one_of(st.none(), texts)),
    st.just(("no status",)),
)
calls = st.one_of(
    st.builds(Call, st.just("set_attribute"), st.tuples(keys, values)),
    st.builds(Call, st.just("set_attribute"), st.tuples(keys, values)),
    st.builds(Call, st.just("set_attributes"), st.tuples(attributes)),
    st.builds(Call, st.just("set_attributes"), st.tuples(plain_attributes)),
    st.builds(Call, st.just("add_event"), st.tuples(texts, attributes, times)),
    st.builds(Call, st.just("add_link"), st.tuples(contexts, attributes)),
    st.builds(Call, st.just("record_exception"), st.tuples(st.sampled_from([ValueError, Mute]), attributes, times)),
    st.builds(Call, st.just("set_status"), statuses),
    st.builds(Call, st.just("update_name"), st.tuples(texts)),
    st.builds(Call, st.just("start"), st.tuples(times)),
    st.builds(Call, st.just("end"), st.tuples(times)),
)


@dataclass(frozen=True)
class Block:
    """A span, what is done in it, and how it ends."""

    way: str
    name: str
    above: Any
    kind: SpanKind
    attributes: Any
    links: Any
    start_time: int | None
    records: bool
    sets_status: bool
    ends: bool
    steps: list[Any]
    raises: type[BaseException] | None
    caught: bool

    def run(self, tracer: trace_api.Tracer, heard: list[str]) -> None:
        try:
            with self.span(tracer) as span:
                heard.append(f"{span.is_recording()} {trace_api.get_current_span() is span}")
                self.within(tracer, span, heard)
        except BaseException as error:
            heard.append(f"{type(error).__name__} of {self.name!r}")
            if not self.caught:
                raise

    def span(self, tracer: trace_api.Tracer) -> Any:
        settings = {
            "context": self.above and Context({trace_api.propagation._SPAN_KEY: self.above, "other": 1}),
            "kind": self.kind,
            "attributes": self.attributes,
            "links": [Link(*each) for each in self.links] or self.links,
            "start_time": self.start_time,
            "record_exception": self.records,
            "set_status_on_exception": self.sets_status,
        }
        if self.way == "current":
            return tracer.start_as_current_span(self.name, end_on_exit=self.ends, **settings)
        span = tracer.start_span(self.name, **settings)
        if self.way == "span":
            return span
        return trace_api.use_span(span, self.ends, self.records, self.sets_status)

    def within(self, tracer: trace_api.Tracer, span: trace_api.Span, heard: list[str]) -> None:
        for step in self.steps:
            if isinstance(step, Block):
                step.run(tracer, heard)
                continue
            try:
                step.run(span)
            except Exception as error:
                heard.append(f"{step.method}: {type(error).__name__} {error.args}")
        if self.raises is not None:
            raise self.raises("gone wrong") if self.raises is not Mute else Mute()


def blocks(steps: st.SearchStrategy[Any]) -> st.SearchStrategy[Block]:
    above = st.one_of(
        st.none(), st.none(), contexts.map(NonRecordingSpan), st.just(trace_api.INVALID_SPAN), st.just("no span")
    )
    return st.builds(
        Block,
        st.sampled_from(["current", "current", "span", "use"]),
        texts,
        above,
        st.sampled_from(SpanKind),
        attributes,
        links,
        times,
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.lists(steps, max_size=6),
        st.one_of(st.none(), errors),
        st.booleans(),
    )


programs = st.lists(
    st.recursive(blocks(calls), lambda inner: blocks(st.one_of(calls, inner)), max_leaves=4), max_size=3
)


class Counting(IdGenerator):
    """Ids one after the other, now and then one that is none."""

    def __init__(self, is_random: bool, invalid_every: int) -> None:
        self.number, self.is_random, self.invalid_every = 0, is_random, invalid_every

    def generate_span_id(self) -> int:
        self.number += 1
        return 0 if self.invalid_every and self.number % self.invalid_every == 0 else self.number

    def generate_trace_id(self) -> int:
        return self.generate_span_id() * 0x9E3779B97F4A7C15

    def is_trace_id_random(self) -> bool:
        return self.is_random


class Deciding(Sampler):
    """Decides by the length of the name, adds an attribute and a trace state."""

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        *_: Any,
        **__: Any,
    ) -> SamplingResult:
        decision = list(Decision)[len(name) % 3]
        return SamplingResult(decision, {**(attributes or {}), "by": "sampler"}, TraceState([("k", "v")]))

    def get_description(self) -> str:
        return "Deciding"


samplers = st.sampled_from(
    [
        DEFAULT_ON,
        DEFAULT_ON,
        ALWAYS_ON,
        ALWAYS_OFF,
        StaticSampler(Decision.RECORD_ONLY),
        ParentBased(ALWAYS_OFF, ALWAYS_ON, ALWAYS_ON),
        ParentBased(ALWAYS_ON, local_parent_sampled=Deciding()),
        TraceIdRatioBased(0.5),
        ParentBased(TraceIdRatioBased(0.5)),
        Deciding(),
    ]
)
few = st.one_of(st.none(), st.integers(0, 3))
limits = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"max_span_attributes": st.integers(1, 4)}),
    st.fixed_dictionaries(
        {},
        optional={
            "max_attributes": few,
            "max_events": few,
            "max_links": few,
            "max_span_attributes": few,
            "max_event_attributes": few,
            "max_link_attributes": few,
            "max_attribute_length": st.integers(0, 9),
            "max_span_attribute_length": st.integers(0, 9),
        },
    ),
)
