"""Checks trace requests of untrusted bytes, counts what `traces.py` will fill, and judges every span.

opentelemetry/proto/trace/v1/trace.proto
"""

from __future__ import annotations

from typing import Any

from sonde.ingest.kernel import kernel, out_of_line, part, pointer
from sonde.ingest.limits import Reason
from sonde.ingest.scan_any_value import scan_attribute
from sonde.ingest.scan_resource import RESOURCE_OF, SCHEMA_URL, SCOPE_OF, scan_resource, scan_scope, scan_text
from sonde.ingest.tally import (
    KINDS,
    MAX_ATTRIBUTES,
    MAX_EVENTS,
    MAX_LINKS,
    NO_REASON,
    OWN,
    REPEATED,
    RESOURCE_SAVED,
    RESOURCES,
    SCOPE_SAVED,
    SCOPES,
    TOO_MANY_ATTRIBUTES,
    count_record,
    judge_text,
    judge_time,
    restore_tally,
    save_tally,
)
from sonde.ingest.wire import (
    FIXED32,
    FIXED64,
    LEN,
    VARINT,
    fixed64_at,
    int64_at,
    read_fixed,
    read_len,
    read_tag,
    read_varint,
    skip_field,
    tag,
)

REQUEST_RESOURCE_SPANS = tag(1, LEN)
RESOURCE_SPANS_SCOPE_SPANS = tag(2, LEN)
SCOPE_SPANS_SPANS = tag(2, LEN)

SPAN_TRACE_ID = tag(1, LEN)
SPAN_SPAN_ID = tag(2, LEN)
SPAN_TRACE_STATE = tag(3, LEN)
SPAN_PARENT_SPAN_ID = tag(4, LEN)
SPAN_NAME = tag(5, LEN)
SPAN_KIND = tag(6, VARINT)
SPAN_START_TIME_UNIX_NANO = tag(7, FIXED64)
SPAN_END_TIME_UNIX_NANO = tag(8, FIXED64)
SPAN_ATTRIBUTES = tag(9, LEN)
SPAN_DROPPED_ATTRIBUTES_COUNT = tag(10, VARINT)
SPAN_EVENTS = tag(11, LEN)
SPAN_DROPPED_EVENTS_COUNT = tag(12, VARINT)
SPAN_LINKS = tag(13, LEN)
SPAN_DROPPED_LINKS_COUNT = tag(14, VARINT)
SPAN_STATUS = tag(15, LEN)
SPAN_FLAGS = tag(16, FIXED32)
EVENT_TIME_UNIX_NANO = tag(1, FIXED64)
EVENT_NAME = tag(2, LEN)
EVENT_ATTRIBUTES = tag(3, LEN)
EVENT_DROPPED_ATTRIBUTES_COUNT = tag(4, VARINT)
LINK_TRACE_ID = tag(1, LEN)
LINK_SPAN_ID = tag(2, LEN)
LINK_TRACE_STATE = tag(3, LEN)
LINK_ATTRIBUTES = tag(4, LEN)
LINK_DROPPED_ATTRIBUTES_COUNT = tag(5, VARINT)
LINK_FLAGS = tag(6, FIXED32)
STATUS_MESSAGE = tag(2, LEN)
STATUS_CODE = tag(3, VARINT)

ATTRIBUTES = OWN
EVENT_ATTRIBUTES_COUNTS = ATTRIBUTES + KINDS
LINK_ATTRIBUTES_COUNTS = EVENT_ATTRIBUTES_COUNTS + KINDS
EVENTS = LINK_ATTRIBUTES_COUNTS + KINDS
LINKS = EVENTS + 1

INVALID_TRACE_ID = int(Reason.INVALID_TRACE_ID)
INVALID_SPAN_ID = int(Reason.INVALID_SPAN_ID)
INVALID_PARENT_SPAN_ID = int(Reason.INVALID_PARENT_SPAN_ID)
INVALID_LINK = int(Reason.INVALID_LINK)
TOO_MANY_EVENTS = int(Reason.TOO_MANY_EVENTS)
TOO_MANY_LINKS = int(Reason.TOO_MANY_LINKS)


@kernel
def scan_traces(buf: Any, ends: Any, received: Any, limits: Any, tally: Any, verdicts: Any, frames: Any) -> Any:
    """Check the requests that lie one after another in `buf`, the i-th ending at ends[i] and received at received[i] (ns).

    0, or the first failure. `verdicts` (uint8) takes the verdict on each span in wire order, tally[VERDICTS] at most.

    message ExportTraceServiceRequest {
      repeated opentelemetry.proto.trace.v1.ResourceSpans resource_spans = 1;
    }
    """
    data, stops, times = pointer(buf), pointer(ends), pointer(received)
    bounds, counts, judged, scratch = pointer(limits), pointer(tally), pointer(verdicts), pointer(frames)
    pos = 0
    for body in range(len(ends)):
        end = stops[body]
        while pos < end:
            field, pos = read_tag(data, pos, end)
            if pos < 0:
                return pos
            if field == REQUEST_RESOURCE_SPANS:
                start, pos = read_len(data, pos, end)
                if pos < 0:
                    return pos
                failed = scan_resource_spans(data, start, pos, times[body], bounds, counts, judged, scratch)
                if failed < 0:
                    return failed
            else:
                pos = skip_field(data, pos, end, field)
                if pos < 0:
                    return pos
    return 0


@part
def scan_resource_spans(
    buf: Any, pos: int, end: int, received: int, limits: Any, tally: Any, verdicts: Any, frames: Any
) -> Any:
    """Check the ResourceSpans in [pos, end): its own verdict or a failure.

    The verdict on a resource falls on every span beneath, yet part of it (schema_url) stands behind them. So the spans are
    judged as if the resource were in order, as it nearly always is, and once more when it is not. To look ahead for the
    verdict instead takes a cache miss a span, 0.1 us.

    message ResourceSpans {
      opentelemetry.proto.resource.v1.Resource resource = 1;
      repeated ScopeSpans scope_spans = 2;
      string schema_url = 3;
    }
    """
    save_tally(tally, frames, RESOURCE_SAVED)
    inherited = NO_REASON
    while True:
        verdict = walk_resource_spans(buf, pos, end, inherited, received, limits, tally, verdicts, frames)
        if verdict < 0 or verdict >= inherited:
            return verdict
        restore_tally(tally, frames, RESOURCE_SAVED)
        inherited = verdict


@part
def walk_resource_spans(
    buf: Any, pos: int, end: int, inherited: int, received: int, limits: Any, tally: Any, verdicts: Any, frames: Any
) -> Any:
    """What scan_resource_spans is, `inherited` being the verdict on the resource as far as it is known."""
    tally[RESOURCES] += 1
    verdict, schema_url, resources = NO_REASON, 0, 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if field == RESOURCE_SPANS_SCOPE_SPANS:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            failed = scan_scope_spans(buf, start, pos, inherited, received, limits, tally, verdicts, frames)
            if failed < 0:
                return failed
        elif field == RESOURCE_OF:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            verdict = scan_resource(buf, start, pos, limits, tally, frames)
            resources += 1
            if verdict < 0:
                return verdict
        elif field == SCHEMA_URL:
            schema_url, pos = scan_text(buf, pos, end)
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos
    if resources > 1:
        tally[REPEATED] += 1
    return min(verdict, judge_text(schema_url, limits))


@part
def scan_scope_spans(
    buf: Any, pos: int, end: int, inherited: int, received: int, limits: Any, tally: Any, verdicts: Any, frames: Any
) -> Any:
    """Check the ScopeSpans in [pos, end): its own verdict or a failure. Spans are judged as in scan_resource_spans.

    message ScopeSpans {
      opentelemetry.proto.common.v1.InstrumentationScope scope = 1;
      repeated Span spans = 2;
      string schema_url = 3;
    }
    """
    save_tally(tally, frames, SCOPE_SAVED)
    while True:
        verdict = walk_scope_spans(buf, pos, end, inherited, received, limits, tally, verdicts, frames)
        if verdict < 0 or verdict >= inherited:
            return verdict
        restore_tally(tally, frames, SCOPE_SAVED)
        inherited = verdict


@part
def walk_scope_spans(
    buf: Any, pos: int, end: int, inherited: int, received: int, limits: Any, tally: Any, verdicts: Any, frames: Any
) -> Any:
    """What scan_scope_spans is, `inherited` being the verdict on resource and scope as far as it is known."""
    tally[SCOPES] += 1
    verdict, schema_url, scopes = NO_REASON, 0, 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if field == SCOPE_SPANS_SPANS:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            judged = scan_span(buf, start, pos, received, limits, tally, frames)
            if judged < 0:
                return judged
            count_record(min(inherited, judged), start, tally, verdicts)
        elif field == SCOPE_OF:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            verdict = scan_scope(buf, start, pos, limits, tally, frames)
            scopes += 1
            if verdict < 0:
                return verdict
        elif field == SCHEMA_URL:
            schema_url, pos = scan_text(buf, pos, end)
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos
    if scopes > 1:
        tally[REPEATED] += 1
    return min(verdict, judge_text(schema_url, limits))


@kernel
def scan_span(buf: Any, pos: int, end: int, received: int, limits: Any, tally: Any, frames: Any) -> Any:
    """The verdict on the Span in [pos, end), or a failure. One function because a span is one switch; so the page is long.

    message Span {
      bytes trace_id = 1;
      bytes span_id = 2;
      string trace_state = 3;
      bytes parent_span_id = 4;
      string name = 5;
      SpanKind kind = 6;
      fixed64 start_time_unix_nano = 7;
      fixed64 end_time_unix_nano = 8;
      repeated opentelemetry.proto.common.v1.KeyValue attributes = 9;
      uint32 dropped_attributes_count = 10;
      repeated Event events = 11;
      uint32 dropped_events_count = 12;
      repeated Link links = 13;
      uint32 dropped_links_count = 14;
      Status status = 15;
      fixed32 flags = 16;
    }
    """
    out_of_line()
    verdict = NO_REASON
    trace_id, trace_id_stop = 0, 0
    span_id, span_id_stop = 0, 0
    parent_span_id = 0
    trace_state, name, message = 0, 0, 0
    start_time, end_time = 0, 0
    attributes, events, links = 0, 0, 0
    longest = 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if field == SPAN_ATTRIBUTES:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            size = scan_attribute(buf, start, pos, 0, ATTRIBUTES, limits, tally, frames)
            if size < 0:
                return size
            longest = max(longest, size)
            attributes += 1
        elif field == SPAN_TRACE_ID:
            trace_id, trace_id_stop = read_len(buf, pos, end)
            pos = trace_id_stop
        elif field == SPAN_SPAN_ID:
            span_id, span_id_stop = read_len(buf, pos, end)
            pos = span_id_stop
        elif field == SPAN_PARENT_SPAN_ID:
            start, pos = read_len(buf, pos, end)
            parent_span_id = pos - start
        elif field == SPAN_TRACE_STATE:
            trace_state, pos = scan_text(buf, pos, end)
        elif field == SPAN_NAME:
            name, pos = scan_text(buf, pos, end)
        elif field == SPAN_KIND:
            _value, pos = read_varint(buf, pos, end)
        elif field == SPAN_START_TIME_UNIX_NANO:
            start = pos
            pos = read_fixed(pos, end, 8)
            if pos >= 0:
                start_time = int64_at(buf, start)
        elif field == SPAN_END_TIME_UNIX_NANO:
            start = pos
            pos = read_fixed(pos, end, 8)
            if pos >= 0:
                end_time = int64_at(buf, start)
        elif field == SPAN_EVENTS:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            judged = scan_event(buf, start, pos, limits, tally, frames)
            if judged < 0:
                return judged
            verdict = min(verdict, judged)
            events += 1
        elif field == SPAN_LINKS:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            judged = scan_link(buf, start, pos, limits, tally, frames)
            if judged < 0:
                return judged
            verdict = min(verdict, judged)
            links += 1
        elif field == SPAN_STATUS:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            message, failed = scan_status(buf, start, pos, message)
            if failed < 0:
                return failed
        elif field == SPAN_FLAGS:
            pos = read_fixed(pos, end, 4)
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos
    tally[EVENTS] += events
    tally[LINKS] += links
    if not valid_trace_id(buf, trace_id, trace_id_stop):
        verdict = min(verdict, INVALID_TRACE_ID)
    if not valid_span_id(buf, span_id, span_id_stop):
        verdict = min(verdict, INVALID_SPAN_ID)
    if parent_span_id not in (0, 8):
        verdict = min(verdict, INVALID_PARENT_SPAN_ID)
    if attributes > limits[MAX_ATTRIBUTES]:
        verdict = min(verdict, TOO_MANY_ATTRIBUTES)
    if events > limits[MAX_EVENTS]:
        verdict = min(verdict, TOO_MANY_EVENTS)
    if links > limits[MAX_LINKS]:
        verdict = min(verdict, TOO_MANY_LINKS)
    verdict = min(verdict, judge_text(max(longest, trace_state, name, message), limits))
    time = start_time if start_time != 0 else end_time if end_time != 0 else received
    return min(verdict, judge_time(time, received, limits))


@kernel
def scan_event(buf: Any, pos: int, end: int, limits: Any, tally: Any, frames: Any) -> Any:
    """The verdict on the Span.Event in [pos, end), or a failure.

    message Event {
      fixed64 time_unix_nano = 1;
      string name = 2;
      repeated opentelemetry.proto.common.v1.KeyValue attributes = 3;
      uint32 dropped_attributes_count = 4;
    }
    """
    out_of_line()
    name, attributes, longest = 0, 0, 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if field == EVENT_ATTRIBUTES:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            size = scan_attribute(buf, start, pos, 1, EVENT_ATTRIBUTES_COUNTS, limits, tally, frames)
            if size < 0:
                return size
            longest = max(longest, size)
            attributes += 1
        elif field == EVENT_NAME:
            name, pos = scan_text(buf, pos, end)
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos
    if attributes > limits[MAX_ATTRIBUTES]:
        return TOO_MANY_ATTRIBUTES
    return judge_text(max(longest, name), limits)


@kernel
def scan_link(buf: Any, pos: int, end: int, limits: Any, tally: Any, frames: Any) -> Any:
    """The verdict on the Span.Link in [pos, end), or a failure.

    message Link {
      bytes trace_id = 1;
      bytes span_id = 2;
      string trace_state = 3;
      repeated opentelemetry.proto.common.v1.KeyValue attributes = 4;
      uint32 dropped_attributes_count = 5;
      fixed32 flags = 6;
    }
    """
    out_of_line()
    trace_id, trace_id_stop = 0, 0
    span_id, span_id_stop = 0, 0
    trace_state, attributes, longest = 0, 0, 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if field == LINK_TRACE_ID:
            trace_id, trace_id_stop = read_len(buf, pos, end)
            pos = trace_id_stop
        elif field == LINK_SPAN_ID:
            span_id, span_id_stop = read_len(buf, pos, end)
            pos = span_id_stop
        elif field == LINK_TRACE_STATE:
            trace_state, pos = scan_text(buf, pos, end)
        elif field == LINK_ATTRIBUTES:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            size = scan_attribute(buf, start, pos, 1, LINK_ATTRIBUTES_COUNTS, limits, tally, frames)
            if size < 0:
                return size
            longest = max(longest, size)
            attributes += 1
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos
    if not (valid_trace_id(buf, trace_id, trace_id_stop) and valid_span_id(buf, span_id, span_id_stop)):
        return INVALID_LINK
    if attributes > limits[MAX_ATTRIBUTES]:
        return TOO_MANY_ATTRIBUTES
    return judge_text(max(longest, trace_state), limits)


@kernel
def scan_status(buf: Any, pos: int, end: int, message: int) -> Any:
    """(length of the message, 0 or a failure) of the Status in [pos, end); `message` where it does not set one.

    message Status {
      reserved 1;
      string message = 2;
      StatusCode code = 3;
    }
    """
    out_of_line()
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return 0, pos
        if field == STATUS_MESSAGE:
            message, pos = scan_text(buf, pos, end)
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return 0, pos
    return message, 0


@kernel
def valid_trace_id(buf: Any, start: int, stop: int) -> Any:
    """Whether [start, stop) is a W3C trace id: 16 bytes, not all zero."""
    return stop - start == 16 and fixed64_at(buf, start) | fixed64_at(buf, start + 8) != 0


@kernel
def valid_span_id(buf: Any, start: int, stop: int) -> Any:
    """Whether [start, stop) is a W3C span id: 8 bytes, not all zero."""
    return stop - start == 8 and fixed64_at(buf, start) != 0
