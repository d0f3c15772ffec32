"""Spans as an ExportTraceServiceRequest: opentelemetry/proto/trace/v1/trace.proto.

message Span {
  bytes trace_id = 1;  bytes span_id = 2;  string trace_state = 3;  bytes parent_span_id = 4;
  string name = 5;  SpanKind kind = 6;  fixed64 start_time_unix_nano = 7;  fixed64 end_time_unix_nano = 8;
  repeated KeyValue attributes = 9;  uint32 dropped_attributes_count = 10;
  repeated Event events = 11;  uint32 dropped_events_count = 12;
  repeated Link links = 13;  uint32 dropped_links_count = 14;
  Status status = 15;  fixed32 flags = 16;
}
message Event { fixed64 time_unix_nano = 1; string name = 2; repeated KeyValue attributes = 3; uint32 dropped_... = 4; }
message Link {
  bytes trace_id = 1;  bytes span_id = 2;  string trace_state = 3;
  repeated KeyValue attributes = 4;  uint32 dropped_attributes_count = 5;  fixed32 flags = 6;
}
message Status { string message = 2; StatusCode code = 3; }
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind
from opentelemetry.trace.span import TraceState
from opentelemetry.trace.status import Status, StatusCode
from sonde.sdk.otlp.attributes import encoder, items
from sonde.sdk.otlp.origin import Request
from sonde.sdk.otlp.wire import delimited, fixed32, fixed64, text, unsigned, varint

SPAN = b"\x12"
"""Tag of ScopeSpans.spans."""
TRACE_STATE, PARENT_SPAN_ID, NAME, KIND = b"\x1a", b"\x22\x08", b"\x2a", b"\x30"
DROPPED_ATTRIBUTES, EVENT, DROPPED_EVENTS, LINK, DROPPED_LINKS, STATUS = (
    b"\x50",
    b"\x5a",
    b"\x60",
    b"\x6a",
    b"\x70",
    b"\x7a",
)
FLAGS = b"\x85\x01"
EVENT_TIME, EVENT_NAME, EVENT_DROPPED = b"\x09", b"\x12", b"\x20"
LINK_TRACE_STATE, LINK_DROPPED, LINK_FLAGS = b"\x1a", b"\x28", b"\x35"
STATUS_MESSAGE, STATUS_CODE = b"\x12", b"\x18"

of_span, of_event, of_link = encoder(9), encoder(3), encoder(4)

IDS = struct.Struct(">2sQQ2sQ").pack
"""trace_id and span_id, with tags and lengths."""
TIMES = struct.Struct("<cQcQ").pack
"""start_time_unix_nano and end_time_unix_nano, with tags."""
LOWER_HALF = 0xFFFF_FFFF_FFFF_FFFF

KINDS = {
    SpanKind.INTERNAL: b"\x30\x01",
    SpanKind.SERVER: b"\x30\x02",
    SpanKind.CLIENT: b"\x30\x03",
    SpanKind.PRODUCER: b"\x30\x04",
    SpanKind.CONSUMER: b"\x30\x05",
}
HAS_IS_REMOTE, IS_REMOTE = 0x100, 0x200
"""SpanFlags: whether the parent's side is known, and whether it was another process."""
LOCAL, REMOTE = fixed32(HAS_IS_REMOTE), fixed32(HAS_IS_REMOTE | IS_REMOTE)
UNSET_AND_LOCAL = STATUS + b"\x00" + FLAGS + LOCAL

NOTHING: tuple[Any, ...] = ()
"""Events and links of a span that has none, and never dropped any; there is one empty tuple only."""

LARGEST_NAMES = 1024
NAMES: dict[str, dict[str, bytes]] = {kind.name: {} for kind in SpanKind}
"""Names with their fields' bytes, by the name of their kind: to hash a member of an Enum is a call."""


def encode_spans(spans: Iterable[ReadableSpan]) -> bytes:
    """An ExportTraceServiceRequest of ended spans, the SDK's or others of its shape."""
    request = Request()
    resource, scope = None, None
    records: list[bytes] = []
    for span in spans:
        if resource is None or span._resource is not resource or span._instrumentation_scope is not scope:
            resource, scope = span._resource, span._instrumentation_scope
            records = request.records(resource, scope)
        body = encode_span(span)
        # Joined once, with all others of the request.
        records += (SPAN, varint(len(body)), body)
    return request.encode()


def encode_span(span: ReadableSpan) -> bytes:
    """The body of a Span. Fields that are seldom there are looked for together."""
    context, parent, attributes = span._context, span._parent, span._attributes
    if context is None:
        raise ValueError(f"span {span._name!r} has no context")
    trace_id, span_id, state = context[0], context[1], context[4]
    kind = span._kind
    name = NAMES[kind._name_].get(span._name) or name_and_kind(span._name, kind)
    ids = IDS(b"\x0a\x10", trace_id >> 64, trace_id & LOWER_HALF, b"\x12\x08", span_id)
    times = TIMES(b"\x39", span._start_time or 0, b"\x41", span._end_time or 0)
    middle = of_span(attributes) if type(attributes) is dict else of_span(items(attributes))
    if span.dropped_attributes:
        middle += unsigned(DROPPED_ATTRIBUTES, span.dropped_attributes)
    if span._events is not NOTHING or span._links is not NOTHING:
        middle += events_and_links(span)
    above = text(TRACE_STATE, trace_state(state)) if state else b""
    status = span._status
    end = UNSET_AND_LOCAL
    if parent is not None:
        above += PARENT_SPAN_ID + parent.span_id.to_bytes(8, "big")
        if parent.is_remote:
            end = b""
    if status._status_code is not StatusCode.UNSET or not end:
        end = delimited(STATUS, status_fields(status)) + FLAGS + remote_flags(parent)
    return b"".join((ids, above, name, times, middle, end))


def events_and_links(span: ReadableSpan) -> bytes:
    return b"".join(
        (
            b"".join([delimited(EVENT, event_fields(event)) for event in span._events]),
            unsigned(DROPPED_EVENTS, span.dropped_events),
            b"".join([delimited(LINK, link_fields(link)) for link in span._links]),
            unsigned(DROPPED_LINKS, span.dropped_links),
        )
    )


def name_and_kind(name: str, kind: SpanKind) -> bytes:
    known = NAMES[kind.name]
    if len(known) >= LARGEST_NAMES:
        known.clear()
    found = known[name] = text(NAME, name) + KINDS[kind]
    return found


def trace_state(state: TraceState) -> str:
    return ",".join([f"{key}={value}" for key, value in state.items()])


def remote_flags(context: SpanContext | None) -> bytes:
    return REMOTE if context is not None and context.is_remote else LOCAL


def status_fields(status: Status) -> bytes:
    return text(STATUS_MESSAGE, status.description) + unsigned(STATUS_CODE, status.status_code.value)


def event_fields(event: Event) -> bytes:
    return b"".join(
        (
            EVENT_TIME + fixed64(event.timestamp),
            text(EVENT_NAME, event.name),
            of_event(items(event.attributes)),
            unsigned(EVENT_DROPPED, event.dropped_attributes),
        )
    )


def link_fields(link: Link) -> bytes:
    context = link.context
    return b"".join(
        (
            IDS(b"\x0a\x10", context.trace_id >> 64, context.trace_id & LOWER_HALF, b"\x12\x08", context.span_id),
            text(LINK_TRACE_STATE, trace_state(context.trace_state)) if context.trace_state else b"",
            of_link(items(link.attributes)),
            unsigned(LINK_DROPPED, link.dropped_attributes),
            LINK_FLAGS + remote_flags(context),
        )
    )
