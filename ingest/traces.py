"""The trace decoder: scanned requests straight into the columns of `spans`.

opentelemetry/proto/trace/v1/trace.proto; the messages are shown in `scan_traces.py`. The kernels read without checking:
`scan_traces` has proven every position, counted every row and judged every span of the same bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sonde.ingest import scan_traces as counted
from sonde.ingest.attributes import (
    MAPS,
    SMALL_MAPS,
    locate_service_name,
    map_columns,
    map_shapes,
    nested,
    put_attribute,
    put_ends,
    put_small_attribute,
    small_map_columns,
    small_map_shapes,
)
from sonde.ingest.decoded import Decoded, DecodedBlock
from sonde.ingest.dimension_ranges import DIMENSION_COLUMNS, put_dimension, ranges
from sonde.ingest.fingerprint import resource_id, scope_id
from sonde.ingest.kernel import kernel, out_of_line, part, pointer
from sonde.ingest.regions import Regions, filled, next_row, put_column
from sonde.ingest.scan_any_value import kinds_total
from sonde.ingest.scan_resource import RESOURCE_OF, SCHEMA_URL, SCOPE_OF
from sonde.ingest.symbols import symbol
from sonde.ingest.tally import NO_REASON, RESOURCES, SCOPES, SEEN
from sonde.ingest.wire import (
    fixed32_at,
    int64_at,
    pass_field,
    take_len,
    take_tag,
    take_varint,
)
from sonde.storage.columns import I64, U8, Block

ATTRIBUTES = 0
EVENT_ATTRIBUTES = ATTRIBUTES + MAPS
LINK_ATTRIBUTES = EVENT_ATTRIBUTES + SMALL_MAPS
SPANS = LINK_ATTRIBUTES + SMALL_MAPS
EVENTS = SPANS + 1
LINKS = SPANS + 2
RESOURCE_RANGES = SPANS + 3
SCOPE_RANGES = SPANS + 4

(
    TIME,
    TIME_SOURCE,
    DURATION,
    TRACE_STATE,
    _TRACE_STATE_LENGTH,
    FLAGS,
    SERVICE_NAME,
    NAME,
    KIND,
    STATUS_CODE,
    STATUS_MESSAGE,
    _STATUS_MESSAGE_LENGTH,
    RESOURCE_ID,
    SCOPE_ID,
    ATTRIBUTES_END,
) = range(15)
DROPPED_ATTRIBUTES = ATTRIBUTES_END + MAPS
EVENTS_END = DROPPED_ATTRIBUTES + 1
DROPPED_EVENTS = DROPPED_ATTRIBUTES + 2
LINKS_END = DROPPED_ATTRIBUTES + 3
DROPPED_LINKS = DROPPED_ATTRIBUTES + 4
SPAN_ID = DROPPED_ATTRIBUTES + 5
PARENT_SPAN_ID = DROPPED_ATTRIBUTES + 6
TRACE_ID = DROPPED_ATTRIBUTES + 7
SPAN_COLUMNS = TRACE_ID + 2

EVENT_TIME, EVENT_NAME, EVENT_ATTRIBUTES_END, _EVENT_TEXTS_END, EVENT_DROPPED = range(5)
EVENT_COLUMNS = 5
(
    LINK_SPAN_ID,
    LINK_TRACE_STATE,
    _LINK_TRACE_STATE_LENGTH,
    LINK_FLAGS,
    LINK_ATTRIBUTES_END,
    _LINK_TEXTS_END,
    LINK_DROPPED,
    LINK_TRACE_ID,
) = range(8)
LINK_COLUMNS = LINK_TRACE_ID + 2

OWN_TIME, END_TIME, RECEIPT_TIME = 0, 1, 2
"""time_source"""


def decode_traces(buffer: U8, ends: I64, received: I64, tally: I64, verdicts: U8, length: int) -> Decoded:
    """The spans that `verdicts` keeps of the requests in `buffer`, the i-th ending at ends[i] and received at received[i].

    `tally` is what the scan of the same bytes counted. `length` is that of all requests; behind them `buffer` has
    `room_for_text`.
    """
    shapes = {
        **map_shapes(ATTRIBUTES, tally, counted.ATTRIBUTES),
        **small_map_shapes(EVENT_ATTRIBUTES, tally, counted.EVENT_ATTRIBUTES_COUNTS),
        **small_map_shapes(LINK_ATTRIBUTES, tally, counted.LINK_ATTRIBUTES_COUNTS),
        SPANS: (int(tally[SEEN]), SPAN_COLUMNS),
        EVENTS: (int(tally[counted.EVENTS]), EVENT_COLUMNS),
        LINKS: (int(tally[counted.LINKS]), LINK_COLUMNS),
        RESOURCE_RANGES: (int(tally[RESOURCES]), DIMENSION_COLUMNS),
        SCOPE_RANGES: (int(tally[SCOPES]), DIMENSION_COLUMNS),
    }
    sets = (counted.ATTRIBUTES, counted.EVENT_ATTRIBUTES_COUNTS, counted.LINK_ATTRIBUTES_COUNTS)
    symbols = sum(kinds_total(tally, each) for each in sets) + int(tally[[SEEN, counted.EVENTS, RESOURCES]].sum())
    found = Regions(shapes, buffer, length, packed=length, symbols=symbols)
    fill_traces(buffer, ends, received, verdicts, found.out, found.plan)
    found.check()
    spans = found.rows(SPANS)
    return Decoded(
        records=spans,
        blocks=[DecodedBlock("spans", span_columns(found), spans)] if spans else [],
        resources=ranges(found, RESOURCE_RANGES),
        scopes=ranges(found, SCOPE_RANGES),
    )


def span_columns(found: Regions) -> Block:
    events: Block = {
        "events.time": found.signed(EVENTS, EVENT_TIME),
        "events.name": found.interned(EVENTS, EVENT_NAME),
        **small_map_columns("events.attributes", found, EVENT_ATTRIBUTES, EVENTS, EVENT_ATTRIBUTES_END),
        "events.dropped_attributes_count": found.narrow(EVENTS, EVENT_DROPPED, "u4"),
    }
    links: Block = {
        "links.trace_id": found.octets(LINKS, LINK_TRACE_ID, 16),
        "links.span_id": found.octets(LINKS, LINK_SPAN_ID, 8),
        "links.trace_state": found.text(LINKS, LINK_TRACE_STATE),
        "links.flags": found.narrow(LINKS, LINK_FLAGS, "u4"),
        **small_map_columns("links.attributes", found, LINK_ATTRIBUTES, LINKS, LINK_ATTRIBUTES_END),
        "links.dropped_attributes_count": found.narrow(LINKS, LINK_DROPPED, "u4"),
    }
    return {
        "time": found.signed(SPANS, TIME),
        "time_source": found.narrow(SPANS, TIME_SOURCE, "u1"),
        "duration_nano": found.signed(SPANS, DURATION),
        "trace_id": found.octets(SPANS, TRACE_ID, 16),
        "span_id": found.octets(SPANS, SPAN_ID, 8),
        "parent_span_id": found.octets(SPANS, PARENT_SPAN_ID, 8),
        "trace_state": found.text(SPANS, TRACE_STATE),
        "flags": found.narrow(SPANS, FLAGS, "u4"),
        "service_name": found.interned(SPANS, SERVICE_NAME),
        "name": found.interned(SPANS, NAME),
        "kind": found.narrow(SPANS, KIND, "i4"),
        "status_code": found.narrow(SPANS, STATUS_CODE, "i4"),
        "status_message": found.text(SPANS, STATUS_MESSAGE),
        "resource_id": found.unsigned(SPANS, RESOURCE_ID),
        "scope_id": found.unsigned(SPANS, SCOPE_ID),
        **map_columns("attributes", found, ATTRIBUTES, SPANS, ATTRIBUTES_END),
        "dropped_attributes_count": found.narrow(SPANS, DROPPED_ATTRIBUTES, "u4"),
        **nested(events, found, SPANS, EVENTS_END),
        "dropped_events_count": found.narrow(SPANS, DROPPED_EVENTS, "u4"),
        **nested(links, found, SPANS, LINKS_END),
        "dropped_links_count": found.narrow(SPANS, DROPPED_LINKS, "u4"),
    }


@kernel
def fill_traces(buf: Any, ends: Any, received: Any, verdicts: Any, out: Any, plan: Any) -> Any:
    """Walk the requests and fill the regions; the columns of resource and scope when the message that holds them ends."""
    data, stops, times = pointer(buf), pointer(ends), pointer(received)
    judged, rows, places = pointer(verdicts), pointer(out), pointer(plan)
    pos = 0
    seen = 0
    for body in range(len(ends)):
        end = stops[body]
        while pos < end:
            field, pos = take_tag(data, pos)
            if field == counted.REQUEST_RESOURCE_SPANS:
                start, pos = take_len(data, pos)
                seen = fill_resource_spans(data, start, pos, times[body], judged, seen, rows, places)
            else:
                pos = pass_field(data, pos, field)


@part
def fill_resource_spans(
    buf: Any, pos: int, end: int, received: int, verdicts: Any, seen: int, out: Any, plan: Any
) -> Any:
    """Fill the rows of the ResourceSpans in [pos, end), whose first span is the one numbered `seen`; the next one's number."""
    resource, resource_stop, schema_url, schema_url_stop = 0, 0, 0, 0
    first = filled(plan, SPANS)
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == counted.RESOURCE_SPANS_SCOPE_SPANS:
            start, pos = take_len(buf, pos)
            seen = fill_scope_spans(buf, start, pos, received, verdicts, seen, out, plan)
        elif field == RESOURCE_OF:
            resource, resource_stop = take_len(buf, pos)
            pos = resource_stop
        elif field == SCHEMA_URL:
            schema_url, schema_url_stop = take_len(buf, pos)
            pos = schema_url_stop
        else:
            pos = pass_field(buf, pos, field)
    last = filled(plan, SPANS)
    if last > first:
        identity = np.int64(resource_id(buf, resource, resource_stop, schema_url, schema_url_stop))
        put_dimension(identity, resource, resource_stop, schema_url, schema_url_stop, RESOURCE_RANGES, out, plan)
        name, name_stop = locate_service_name(buf, resource, resource_stop)
        put_column(SPANS, RESOURCE_ID, identity, first, last, out, plan)
        put_column(SPANS, SERVICE_NAME, symbol(buf, name, name_stop, out, plan), first, last, out, plan)
    return seen


@part
def fill_scope_spans(buf: Any, pos: int, end: int, received: int, verdicts: Any, seen: int, out: Any, plan: Any) -> Any:
    """Fill the rows of the ScopeSpans in [pos, end), likewise."""
    scope, scope_stop, schema_url, schema_url_stop = 0, 0, 0, 0
    first = filled(plan, SPANS)
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == counted.SCOPE_SPANS_SPANS:
            start, pos = take_len(buf, pos)
            if verdicts[seen] == NO_REASON:
                fill_span(buf, start, pos, received, out, plan)
            seen += 1
        elif field == SCOPE_OF:
            scope, scope_stop = take_len(buf, pos)
            pos = scope_stop
        elif field == SCHEMA_URL:
            schema_url, schema_url_stop = take_len(buf, pos)
            pos = schema_url_stop
        else:
            pos = pass_field(buf, pos, field)
    last = filled(plan, SPANS)
    if last > first:
        identity = np.int64(scope_id(buf, scope, scope_stop, schema_url, schema_url_stop))
        put_dimension(identity, scope, scope_stop, schema_url, schema_url_stop, SCOPE_RANGES, out, plan)
        put_column(SPANS, SCOPE_ID, identity, first, last, out, plan)
    return seen


@kernel
def fill_span(buf: Any, pos: int, end: int, received: int, out: Any, plan: Any) -> Any:
    """Fill the next row of SPANS from the Span in [pos, end), but for the columns of its resource and scope."""
    out_of_line()
    trace_id, span_id, parent_span_id = -1, -1, -1
    trace_state, trace_state_stop, message, message_stop = 0, 0, 0, 0
    name, kind, code, flags = 0, 0, 0, 0
    start_time, end_time = 0, 0
    dropped_attributes, dropped_events, dropped_links = 0, 0, 0
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == counted.SPAN_ATTRIBUTES:
            start, pos = take_len(buf, pos)
            put_attribute(buf, start, pos, ATTRIBUTES, out, plan)
        elif field == counted.SPAN_TRACE_ID:
            trace_id, pos = take_len(buf, pos)
        elif field == counted.SPAN_SPAN_ID:
            span_id, pos = take_len(buf, pos)
        elif field == counted.SPAN_PARENT_SPAN_ID:
            parent_span_id, pos = take_len(buf, pos)
            if pos == parent_span_id:
                parent_span_id = -1
        elif field == counted.SPAN_NAME:
            start, pos = take_len(buf, pos)
            name = symbol(buf, start, pos, out, plan)
        elif field == counted.SPAN_KIND:
            kind, pos = take_varint(buf, pos)
        elif field == counted.SPAN_START_TIME_UNIX_NANO:
            start_time = int64_at(buf, pos)
            pos += 8
        elif field == counted.SPAN_END_TIME_UNIX_NANO:
            end_time = int64_at(buf, pos)
            pos += 8
        elif field == counted.SPAN_FLAGS:
            flags = fixed32_at(buf, pos)
            pos += 4
        elif field == counted.SPAN_STATUS:
            start, pos = take_len(buf, pos)
            while start < pos:
                field, start = take_tag(buf, start)
                if field == counted.STATUS_MESSAGE:
                    message, message_stop = take_len(buf, start)
                    start = message_stop
                elif field == counted.STATUS_CODE:
                    code, start = take_varint(buf, start)
                else:
                    start = pass_field(buf, start, field)
        elif field == counted.SPAN_EVENTS:
            start, pos = take_len(buf, pos)
            fill_event(buf, start, pos, out, plan)
        elif field == counted.SPAN_LINKS:
            start, pos = take_len(buf, pos)
            fill_link(buf, start, pos, out, plan)
        elif field == counted.SPAN_TRACE_STATE:
            trace_state, trace_state_stop = take_len(buf, pos)
            pos = trace_state_stop
        elif field == counted.SPAN_DROPPED_ATTRIBUTES_COUNT:
            dropped_attributes, pos = take_varint(buf, pos)
        elif field == counted.SPAN_DROPPED_EVENTS_COUNT:
            dropped_events, pos = take_varint(buf, pos)
        elif field == counted.SPAN_DROPPED_LINKS_COUNT:
            dropped_links, pos = take_varint(buf, pos)
        else:
            pos = pass_field(buf, pos, field)
    row = filled(plan, SPANS)
    at, column = next_row(plan, SPANS)
    time, source, duration = start_time, OWN_TIME, end_time - start_time
    if start_time == 0:
        time, source, duration = end_time, END_TIME, 0
        if end_time == 0:
            time, source = received, RECEIPT_TIME
    out[at + TIME * column] = time
    out[at + TIME_SOURCE * column] = source
    out[at + DURATION * column] = duration
    out[at + TRACE_STATE * column] = trace_state
    out[at + (TRACE_STATE + 1) * column] = trace_state_stop - trace_state
    out[at + FLAGS * column] = flags
    out[at + NAME * column] = name
    out[at + KIND * column] = kind
    out[at + STATUS_CODE * column] = code
    out[at + STATUS_MESSAGE * column] = message
    out[at + (STATUS_MESSAGE + 1) * column] = message_stop - message
    put_ends(at + ATTRIBUTES_END * column, column, ATTRIBUTES, out, plan)
    out[at + DROPPED_ATTRIBUTES * column] = dropped_attributes
    out[at + EVENTS_END * column] = filled(plan, EVENTS)
    out[at + DROPPED_EVENTS * column] = dropped_events
    out[at + LINKS_END * column] = filled(plan, LINKS)
    out[at + DROPPED_LINKS * column] = dropped_links
    out[at + SPAN_ID * column] = int64_at(buf, span_id)
    out[at + PARENT_SPAN_ID * column] = int64_at(buf, parent_span_id) if parent_span_id >= 0 else 0
    wide = at - row + TRACE_ID * column + 2 * row
    out[wide] = int64_at(buf, trace_id)
    out[wide + 1] = int64_at(buf, trace_id + 8)


@kernel
def fill_event(buf: Any, pos: int, end: int, out: Any, plan: Any) -> Any:
    """Fill the next row of EVENTS from the Span.Event in [pos, end)."""
    out_of_line()
    time, name, dropped = 0, 0, 0
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == counted.EVENT_ATTRIBUTES:
            start, pos = take_len(buf, pos)
            put_small_attribute(buf, start, pos, EVENT_ATTRIBUTES, out, plan)
        elif field == counted.EVENT_TIME_UNIX_NANO:
            time = int64_at(buf, pos)
            pos += 8
        elif field == counted.EVENT_NAME:
            start, pos = take_len(buf, pos)
            name = symbol(buf, start, pos, out, plan)
        elif field == counted.EVENT_DROPPED_ATTRIBUTES_COUNT:
            dropped, pos = take_varint(buf, pos)
        else:
            pos = pass_field(buf, pos, field)
    at, column = next_row(plan, EVENTS)
    out[at + EVENT_TIME * column] = time
    out[at + EVENT_NAME * column] = name
    out[at + EVENT_ATTRIBUTES_END * column] = filled(plan, EVENT_ATTRIBUTES)
    out[at + (EVENT_ATTRIBUTES_END + 1) * column] = filled(plan, EVENT_ATTRIBUTES + 1)
    out[at + EVENT_DROPPED * column] = dropped


@kernel
def fill_link(buf: Any, pos: int, end: int, out: Any, plan: Any) -> Any:
    """Fill the next row of LINKS from the Span.Link in [pos, end)."""
    out_of_line()
    trace_id, span_id, trace_state, trace_state_stop, flags, dropped = 0, 0, 0, 0, 0, 0
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == counted.LINK_ATTRIBUTES:
            start, pos = take_len(buf, pos)
            put_small_attribute(buf, start, pos, LINK_ATTRIBUTES, out, plan)
        elif field == counted.LINK_TRACE_ID:
            trace_id, pos = take_len(buf, pos)
        elif field == counted.LINK_SPAN_ID:
            span_id, pos = take_len(buf, pos)
        elif field == counted.LINK_TRACE_STATE:
            trace_state, trace_state_stop = take_len(buf, pos)
            pos = trace_state_stop
        elif field == counted.LINK_FLAGS:
            flags = fixed32_at(buf, pos)
            pos += 4
        elif field == counted.LINK_DROPPED_ATTRIBUTES_COUNT:
            dropped, pos = take_varint(buf, pos)
        else:
            pos = pass_field(buf, pos, field)
    row = filled(plan, LINKS)
    at, column = next_row(plan, LINKS)
    out[at + LINK_SPAN_ID * column] = int64_at(buf, span_id)
    out[at + LINK_TRACE_STATE * column] = trace_state
    out[at + (LINK_TRACE_STATE + 1) * column] = trace_state_stop - trace_state
    out[at + LINK_FLAGS * column] = flags
    out[at + LINK_ATTRIBUTES_END * column] = filled(plan, LINK_ATTRIBUTES)
    out[at + (LINK_ATTRIBUTES_END + 1) * column] = filled(plan, LINK_ATTRIBUTES + 1)
    out[at + LINK_DROPPED * column] = dropped
    wide = at - row + LINK_TRACE_ID * column + 2 * row
    out[wide] = int64_at(buf, trace_id)
    out[wide + 1] = int64_at(buf, trace_id + 8)
