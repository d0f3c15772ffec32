"""Checks log requests of untrusted bytes, counts what `logs.py` will fill, and judges every record.

opentelemetry/proto/logs/v1/logs.proto
"""

from __future__ import annotations

from typing import Any

from sonde.ingest.kernel import kernel, out_of_line, part, pointer
from sonde.ingest.limits import Reason
from sonde.ingest.scan_any_value import STRING, scan_attribute, scan_value
from sonde.ingest.scan_resource import RESOURCE_OF, SCHEMA_URL, SCOPE_OF, scan_resource, scan_scope, scan_text
from sonde.ingest.tally import (
    ARENA,
    MAX_ATTRIBUTES,
    MAX_DEPTH,
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
    int64_at,
    read_fixed,
    read_len,
    read_tag,
    skip_field,
    tag,
)

REQUEST_RESOURCE_LOGS = tag(1, LEN)
RESOURCE_LOGS_SCOPE_LOGS = tag(2, LEN)
SCOPE_LOGS_LOG_RECORDS = tag(2, LEN)

LOG_TIME_UNIX_NANO = tag(1, FIXED64)
LOG_SEVERITY_NUMBER = tag(2, VARINT)
LOG_SEVERITY_TEXT = tag(3, LEN)
LOG_BODY = tag(5, LEN)
LOG_ATTRIBUTES = tag(6, LEN)
LOG_DROPPED_ATTRIBUTES_COUNT = tag(7, VARINT)
LOG_FLAGS = tag(8, FIXED32)
LOG_TRACE_ID = tag(9, LEN)
LOG_SPAN_ID = tag(10, LEN)
LOG_OBSERVED_TIME_UNIX_NANO = tag(11, FIXED64)
LOG_EVENT_NAME = tag(12, LEN)

ATTRIBUTES = OWN

INVALID_TRACE_ID = int(Reason.INVALID_TRACE_ID)
INVALID_SPAN_ID = int(Reason.INVALID_SPAN_ID)


@kernel
def scan_logs(buf: Any, ends: Any, received: Any, limits: Any, tally: Any, verdicts: Any, frames: Any) -> Any:
    """Check the requests that lie one after another in `buf`, the i-th ending at ends[i] and received at received[i] (ns).

    0, or the first failure. `verdicts` (uint8) takes the verdict on each log record in wire order, tally[VERDICTS] at most.

    message ExportLogsServiceRequest {
      repeated opentelemetry.proto.logs.v1.ResourceLogs resource_logs = 1;
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
            if field == REQUEST_RESOURCE_LOGS:
                start, pos = read_len(data, pos, end)
                if pos < 0:
                    return pos
                failed = scan_resource_logs(data, start, pos, times[body], bounds, counts, judged, scratch)
                if failed < 0:
                    return failed
            else:
                pos = skip_field(data, pos, end, field)
                if pos < 0:
                    return pos
    return 0


@part
def scan_resource_logs(
    buf: Any, pos: int, end: int, received: int, limits: Any, tally: Any, verdicts: Any, frames: Any
) -> Any:
    """Check the ResourceLogs in [pos, end): its own verdict or a failure.

    The verdict on a resource falls on every record beneath, yet part of it (schema_url) stands behind them. So they are
    judged as if the resource were in order, as it nearly always is, and once more when it is not. To look ahead for the
    verdict instead takes a cache miss a record, 0.1 us.

    message ResourceLogs {
      opentelemetry.proto.resource.v1.Resource resource = 1;
      repeated ScopeLogs scope_logs = 2;
      string schema_url = 3;
    }
    """
    save_tally(tally, frames, RESOURCE_SAVED)
    inherited = NO_REASON
    while True:
        verdict = walk_resource_logs(buf, pos, end, inherited, received, limits, tally, verdicts, frames)
        if verdict < 0 or verdict >= inherited:
            return verdict
        restore_tally(tally, frames, RESOURCE_SAVED)
        inherited = verdict


@part
def walk_resource_logs(
    buf: Any, pos: int, end: int, inherited: int, received: int, limits: Any, tally: Any, verdicts: Any, frames: Any
) -> Any:
    """What scan_resource_logs is, `inherited` being the verdict on the resource as far as it is known."""
    tally[RESOURCES] += 1
    verdict, schema_url, resources = NO_REASON, 0, 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if field == RESOURCE_LOGS_SCOPE_LOGS:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            failed = scan_scope_logs(buf, start, pos, inherited, received, limits, tally, verdicts, frames)
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
def scan_scope_logs(
    buf: Any, pos: int, end: int, inherited: int, received: int, limits: Any, tally: Any, verdicts: Any, frames: Any
) -> Any:
    """Check the ScopeLogs in [pos, end): its own verdict or a failure. Records are judged as in scan_resource_logs.

    message ScopeLogs {
      opentelemetry.proto.common.v1.InstrumentationScope scope = 1;
      repeated LogRecord log_records = 2;
      string schema_url = 3;
    }
    """
    save_tally(tally, frames, SCOPE_SAVED)
    while True:
        verdict = walk_scope_logs(buf, pos, end, inherited, received, limits, tally, verdicts, frames)
        if verdict < 0 or verdict >= inherited:
            return verdict
        restore_tally(tally, frames, SCOPE_SAVED)
        inherited = verdict


@part
def walk_scope_logs(
    buf: Any, pos: int, end: int, inherited: int, received: int, limits: Any, tally: Any, verdicts: Any, frames: Any
) -> Any:
    """What scan_scope_logs is, `inherited` being the verdict on resource and scope as far as it is known."""
    tally[SCOPES] += 1
    verdict, schema_url, scopes = NO_REASON, 0, 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if field == SCOPE_LOGS_LOG_RECORDS:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            judged = scan_log_record(buf, start, pos, received, limits, tally, frames)
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
def scan_log_record(buf: Any, pos: int, end: int, received: int, limits: Any, tally: Any, frames: Any) -> Any:
    """The verdict on the LogRecord in [pos, end), or a failure. Ids may be missing, or all zero, which means the same.

    message LogRecord {
      reserved 4;
      fixed64 time_unix_nano = 1;
      fixed64 observed_time_unix_nano = 11;
      SeverityNumber severity_number = 2;
      string severity_text = 3;
      opentelemetry.proto.common.v1.AnyValue body = 5;
      repeated opentelemetry.proto.common.v1.KeyValue attributes = 6;
      uint32 dropped_attributes_count = 7;
      fixed32 flags = 8;
      bytes trace_id = 9;
      bytes span_id = 10;
      string event_name = 12;
    }
    """
    out_of_line()
    trace_id, span_id = 0, 0
    severity_text, event_name, body = 0, 0, 0
    time, observed_time = 0, 0
    attributes, bodies, longest = 0, 0, 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if field == LOG_ATTRIBUTES:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            size = scan_attribute(buf, start, pos, 0, ATTRIBUTES, limits, tally, frames)
            if size < 0:
                return size
            longest = max(longest, size)
            attributes += 1
        elif field == LOG_BODY:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            kind, body, text = scan_value(buf, start, pos, limits[MAX_DEPTH], tally, frames)
            if kind < 0:
                return kind
            if kind != STRING:
                tally[ARENA] += text
            bodies += 1
        elif field == LOG_TIME_UNIX_NANO:
            start = pos
            pos = read_fixed(pos, end, 8)
            if pos >= 0:
                time = int64_at(buf, start)
        elif field == LOG_OBSERVED_TIME_UNIX_NANO:
            start = pos
            pos = read_fixed(pos, end, 8)
            if pos >= 0:
                observed_time = int64_at(buf, start)
        elif field == LOG_TRACE_ID:
            start, pos = read_len(buf, pos, end)
            trace_id = pos - start
        elif field == LOG_SPAN_ID:
            start, pos = read_len(buf, pos, end)
            span_id = pos - start
        elif field == LOG_SEVERITY_TEXT:
            severity_text, pos = scan_text(buf, pos, end)
        elif field == LOG_EVENT_NAME:
            event_name, pos = scan_text(buf, pos, end)
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos
    if bodies > 1:
        tally[REPEATED] += 1
    verdict = NO_REASON
    if trace_id not in (0, 16):
        verdict = min(verdict, INVALID_TRACE_ID)
    if span_id not in (0, 8):
        verdict = min(verdict, INVALID_SPAN_ID)
    if attributes > limits[MAX_ATTRIBUTES]:
        verdict = min(verdict, TOO_MANY_ATTRIBUTES)
    verdict = min(verdict, judge_text(max(longest, body, severity_text, event_name), limits))
    best = time if time != 0 else observed_time if observed_time != 0 else received
    return min(verdict, judge_time(best, received, limits))
