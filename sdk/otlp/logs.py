"""Log records as an ExportLogsServiceRequest: opentelemetry/proto/logs/v1/logs.proto.

message LogRecord {
  fixed64 time_unix_nano = 1;  SeverityNumber severity_number = 2;  string severity_text = 3;  AnyValue body = 5;
  repeated KeyValue attributes = 6;  uint32 dropped_attributes_count = 7;  fixed32 flags = 8;
  bytes trace_id = 9;  bytes span_id = 10;  fixed64 observed_time_unix_nano = 11;  string event_name = 12;
}
"""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.sdk._logs import ReadableLogRecord
from sonde.sdk.otlp.attributes import any_value, encoder, items
from sonde.sdk.otlp.origin import Request
from sonde.sdk.otlp.wire import delimited, fixed32, fixed64, text, unsigned

RECORD = b"\x12"
"""Tag of ScopeLogs.log_records."""
TIME, SEVERITY_NUMBER, SEVERITY_TEXT, BODY, DROPPED = b"\x09", b"\x10", b"\x1a", b"\x2a", b"\x38"
FLAGS, TRACE_ID, SPAN_ID, OBSERVED_TIME, EVENT_NAME = b"\x45", b"\x4a\x10", b"\x52\x08", b"\x59", b"\x62"

of_record = encoder(6)


def encode_logs(records: Iterable[ReadableLogRecord]) -> bytes:
    """An ExportLogsServiceRequest."""
    request = Request()
    for record in records:
        request.records(record.resource, record.instrumentation_scope).append(delimited(RECORD, record_fields(record)))
    return request.encode()


def record_fields(readable: ReadableLogRecord) -> bytes:
    """The body of a LogRecord."""
    record = readable.log_record
    severity = record.severity_number
    return b"".join(
        (
            TIME + fixed64(record.timestamp) if record.timestamp else b"",
            unsigned(SEVERITY_NUMBER, severity.value) if severity is not None else b"",
            text(SEVERITY_TEXT, record.severity_text),
            delimited(BODY, any_value(record.body)),
            of_record(items(record.attributes)),
            unsigned(DROPPED, readable.dropped_attributes),
            FLAGS + fixed32(record.trace_flags) if record.trace_flags else b"",
            TRACE_ID + record.trace_id.to_bytes(16, "big") if record.trace_id else b"",
            SPAN_ID + record.span_id.to_bytes(8, "big") if record.span_id else b"",
            OBSERVED_TIME + fixed64(record.observed_timestamp) if record.observed_timestamp else b"",
            text(EVENT_NAME, record.event_name),
        )
    )
