"""The log decoder: scanned requests straight into the columns of `logs`.

opentelemetry/proto/logs/v1/logs.proto; the messages are shown in `scan_logs.py`. The kernels read without checking:
`scan_logs` has proven every position, counted every row and judged every record of the same bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sonde.ingest import scan_logs as counted
from sonde.ingest.any_value import locate_value, put_value_text
from sonde.ingest.attributes import MAPS, locate_service_name, map_columns, map_shapes, put_attribute, put_ends
from sonde.ingest.decoded import Decoded, DecodedBlock
from sonde.ingest.dimension_ranges import DIMENSION_COLUMNS, put_dimension, ranges
from sonde.ingest.fingerprint import resource_id, scope_id
from sonde.ingest.kernel import kernel, out_of_line, part, pointer
from sonde.ingest.regions import ARENA_END, Regions, filled, next_row, put_column
from sonde.ingest.scan_any_value import STRING, UNSET, kinds_total
from sonde.ingest.scan_resource import RESOURCE_OF, SCHEMA_URL, SCOPE_OF
from sonde.ingest.symbols import symbol
from sonde.ingest.tally import NO_REASON, RESOURCES, SCOPES, SEEN
from sonde.ingest.wire import fixed32_at, int64_at, pass_field, take_len, take_tag, take_varint
from sonde.storage.columns import I64, U8, Block

ATTRIBUTES = 0
RECORDS = ATTRIBUTES + MAPS
RESOURCE_RANGES = RECORDS + 1
SCOPE_RANGES = RECORDS + 2

(
    TIME,
    TIME_SOURCE,
    OBSERVED_TIME,
    FLAGS,
    SERVICE_NAME,
    SEVERITY_NUMBER,
    SEVERITY_TEXT,
    EVENT_NAME,
    BODY,
    _BODY_LENGTH,
    BODY_TYPE,
    RESOURCE_ID,
    SCOPE_ID,
    ATTRIBUTES_END,
) = range(14)
DROPPED_ATTRIBUTES = ATTRIBUTES_END + MAPS
SPAN_ID = DROPPED_ATTRIBUTES + 1
TRACE_ID = DROPPED_ATTRIBUTES + 2
RECORD_COLUMNS = TRACE_ID + 2

OWN_TIME, OBSERVED, RECEIPT_TIME = 0, 1, 2
"""time_source"""


def decode_logs(buffer: U8, ends: I64, received: I64, tally: I64, verdicts: U8, length: int) -> Decoded:
    """The log records that `verdicts` keeps of the requests in `buffer`; the arguments are those of `decode_traces`."""
    shapes = {
        **map_shapes(ATTRIBUTES, tally, counted.ATTRIBUTES),
        RECORDS: (int(tally[SEEN]), RECORD_COLUMNS),
        RESOURCE_RANGES: (int(tally[RESOURCES]), DIMENSION_COLUMNS),
        SCOPE_RANGES: (int(tally[SCOPES]), DIMENSION_COLUMNS),
    }
    symbols = kinds_total(tally, counted.ATTRIBUTES) + 2 * int(tally[SEEN]) + int(tally[RESOURCES])
    found = Regions(shapes, buffer, length, packed=length, symbols=symbols)
    fill_logs(buffer, ends, received, verdicts, found.out, found.plan)
    found.check()
    records = found.rows(RECORDS)
    return Decoded(
        records=records,
        blocks=[DecodedBlock("logs", log_columns(found), records)] if records else [],
        resources=ranges(found, RESOURCE_RANGES),
        scopes=ranges(found, SCOPE_RANGES),
    )


def log_columns(found: Regions) -> Block:
    return {
        "time": found.signed(RECORDS, TIME),
        "time_source": found.narrow(RECORDS, TIME_SOURCE, "u1"),
        "observed_time": found.signed(RECORDS, OBSERVED_TIME),
        "trace_id": found.octets(RECORDS, TRACE_ID, 16),
        "span_id": found.octets(RECORDS, SPAN_ID, 8),
        "flags": found.narrow(RECORDS, FLAGS, "u4"),
        "service_name": found.interned(RECORDS, SERVICE_NAME),
        "severity_number": found.narrow(RECORDS, SEVERITY_NUMBER, "i4"),
        "severity_text": found.interned(RECORDS, SEVERITY_TEXT),
        "event_name": found.interned(RECORDS, EVENT_NAME),
        "body": found.text(RECORDS, BODY),
        "body_type": found.narrow(RECORDS, BODY_TYPE, "u1"),
        "resource_id": found.unsigned(RECORDS, RESOURCE_ID),
        "scope_id": found.unsigned(RECORDS, SCOPE_ID),
        **map_columns("attributes", found, ATTRIBUTES, RECORDS, ATTRIBUTES_END),
        "dropped_attributes_count": found.narrow(RECORDS, DROPPED_ATTRIBUTES, "u4"),
    }


@kernel
def fill_logs(buf: Any, ends: Any, received: Any, verdicts: Any, out: Any, plan: Any) -> Any:
    """Walk the requests and fill the regions; the columns of resource and scope when the message that holds them ends."""
    data, stops, times = pointer(buf), pointer(ends), pointer(received)
    judged, rows, places = pointer(verdicts), pointer(out), pointer(plan)
    pos = 0
    seen = 0
    for body in range(len(ends)):
        end = stops[body]
        while pos < end:
            field, pos = take_tag(data, pos)
            if field == counted.REQUEST_RESOURCE_LOGS:
                start, pos = take_len(data, pos)
                seen = fill_resource_logs(data, start, pos, times[body], judged, seen, rows, places)
            else:
                pos = pass_field(data, pos, field)


@part
def fill_resource_logs(
    buf: Any, pos: int, end: int, received: int, verdicts: Any, seen: int, out: Any, plan: Any
) -> Any:
    """Fill the rows of the ResourceLogs in [pos, end), whose first record is the one numbered `seen`; the next one's number."""
    resource, resource_stop, schema_url, schema_url_stop = 0, 0, 0, 0
    first = filled(plan, RECORDS)
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == counted.RESOURCE_LOGS_SCOPE_LOGS:
            start, pos = take_len(buf, pos)
            seen = fill_scope_logs(buf, start, pos, received, verdicts, seen, out, plan)
        elif field == RESOURCE_OF:
            resource, resource_stop = take_len(buf, pos)
            pos = resource_stop
        elif field == SCHEMA_URL:
            schema_url, schema_url_stop = take_len(buf, pos)
            pos = schema_url_stop
        else:
            pos = pass_field(buf, pos, field)
    last = filled(plan, RECORDS)
    if last > first:
        identity = np.int64(resource_id(buf, resource, resource_stop, schema_url, schema_url_stop))
        put_dimension(identity, resource, resource_stop, schema_url, schema_url_stop, RESOURCE_RANGES, out, plan)
        name, name_stop = locate_service_name(buf, resource, resource_stop)
        put_column(RECORDS, RESOURCE_ID, identity, first, last, out, plan)
        put_column(RECORDS, SERVICE_NAME, symbol(buf, name, name_stop, out, plan), first, last, out, plan)
    return seen


@part
def fill_scope_logs(buf: Any, pos: int, end: int, received: int, verdicts: Any, seen: int, out: Any, plan: Any) -> Any:
    """Fill the rows of the ScopeLogs in [pos, end), likewise."""
    scope, scope_stop, schema_url, schema_url_stop = 0, 0, 0, 0
    first = filled(plan, RECORDS)
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == counted.SCOPE_LOGS_LOG_RECORDS:
            start, pos = take_len(buf, pos)
            if verdicts[seen] == NO_REASON:
                fill_log_record(buf, start, pos, received, out, plan)
            seen += 1
        elif field == SCOPE_OF:
            scope, scope_stop = take_len(buf, pos)
            pos = scope_stop
        elif field == SCHEMA_URL:
            schema_url, schema_url_stop = take_len(buf, pos)
            pos = schema_url_stop
        else:
            pos = pass_field(buf, pos, field)
    last = filled(plan, RECORDS)
    if last > first:
        identity = np.int64(scope_id(buf, scope, scope_stop, schema_url, schema_url_stop))
        put_dimension(identity, scope, scope_stop, schema_url, schema_url_stop, SCOPE_RANGES, out, plan)
        put_column(RECORDS, SCOPE_ID, identity, first, last, out, plan)
    return seen


@kernel
def fill_log_record(buf: Any, pos: int, end: int, received: int, out: Any, plan: Any) -> Any:
    """Fill the next row of RECORDS from the LogRecord in [pos, end), but for the columns of its resource and scope."""
    out_of_line()
    trace_id, span_id = -1, -1
    severity_text, event_name = 0, 0
    kind, body, body_stop = UNSET, 0, 0
    severity_number, flags, dropped = 0, 0, 0
    time, observed_time = 0, 0
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == counted.LOG_ATTRIBUTES:
            start, pos = take_len(buf, pos)
            put_attribute(buf, start, pos, ATTRIBUTES, out, plan)
        elif field == counted.LOG_BODY:
            start, pos = take_len(buf, pos)
            kind, body, body_stop = locate_value(buf, start, pos)
            if kind == UNSET:
                body, body_stop = 0, 0
            elif kind != STRING:
                body = plan[ARENA_END]
                body_stop = put_value_text(buf, start, pos, body)
                plan[ARENA_END] = body_stop
        elif field == counted.LOG_TIME_UNIX_NANO:
            time = int64_at(buf, pos)
            pos += 8
        elif field == counted.LOG_OBSERVED_TIME_UNIX_NANO:
            observed_time = int64_at(buf, pos)
            pos += 8
        elif field == counted.LOG_SEVERITY_NUMBER:
            severity_number, pos = take_varint(buf, pos)
        elif field == counted.LOG_SEVERITY_TEXT:
            start, pos = take_len(buf, pos)
            severity_text = symbol(buf, start, pos, out, plan)
        elif field == counted.LOG_TRACE_ID:
            trace_id, pos = take_len(buf, pos)
            if pos == trace_id:
                trace_id = -1
        elif field == counted.LOG_SPAN_ID:
            span_id, pos = take_len(buf, pos)
            if pos == span_id:
                span_id = -1
        elif field == counted.LOG_FLAGS:
            flags = fixed32_at(buf, pos)
            pos += 4
        elif field == counted.LOG_EVENT_NAME:
            start, pos = take_len(buf, pos)
            event_name = symbol(buf, start, pos, out, plan)
        elif field == counted.LOG_DROPPED_ATTRIBUTES_COUNT:
            dropped, pos = take_varint(buf, pos)
        else:
            pos = pass_field(buf, pos, field)
    row = filled(plan, RECORDS)
    at, column = next_row(plan, RECORDS)
    best, source = time, OWN_TIME
    if time == 0:
        best, source = observed_time, OBSERVED
        if observed_time == 0:
            best, source = received, RECEIPT_TIME
    out[at + TIME * column] = best
    out[at + TIME_SOURCE * column] = source
    out[at + OBSERVED_TIME * column] = observed_time
    out[at + FLAGS * column] = flags
    out[at + SEVERITY_NUMBER * column] = severity_number
    out[at + SEVERITY_TEXT * column] = severity_text
    out[at + EVENT_NAME * column] = event_name
    out[at + BODY * column] = body
    out[at + (BODY + 1) * column] = body_stop - body
    out[at + BODY_TYPE * column] = kind
    put_ends(at + ATTRIBUTES_END * column, column, ATTRIBUTES, out, plan)
    out[at + DROPPED_ATTRIBUTES * column] = dropped
    out[at + SPAN_ID * column] = int64_at(buf, span_id) if span_id >= 0 else 0
    wide = at - row + TRACE_ID * column + 2 * row
    out[wide] = int64_at(buf, trace_id) if trace_id >= 0 else 0
    out[wide + 1] = int64_at(buf, trace_id + 8) if trace_id >= 0 else 0
