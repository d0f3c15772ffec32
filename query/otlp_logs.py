"""Rows of `logs` back into log records."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from sonde.query.otlp import MASK, NO_SPAN, NO_TRACE, OWN_TIME, Origins, Tree, add_attributes
from sonde.query.reader import Row
from sonde.storage import json_text

BODY_STRING = 1


def logs_request(rows: Iterable[Row], resources: Origins, scopes: Origins) -> ExportLogsServiceRequest:
    """`rows` of `logs` (selected by `select_list`) under their resources and scopes, in their order within each."""
    request = ExportLogsServiceRequest()
    tree = Tree(request.resource_logs, "scope_logs", resources, scopes)
    for row in rows:
        fill_log_record(tree.scope(row["resource_id"], row["scope_id"]).log_records.add(), row)
    return request


def fill_log_record(record: LogRecord, row: Row) -> None:
    if row["time_source"] == OWN_TIME:
        record.time_unix_nano = row["time"] & MASK
    record.observed_time_unix_nano = row["observed_time"] & MASK
    record.severity_number = row["severity_number"]
    record.severity_text = row["severity_text"]
    record.event_name = row["event_name"]
    record.flags = row["flags"]
    if row["trace_id"] != NO_TRACE:
        record.trace_id = row["trace_id"]
    if row["span_id"] != NO_SPAN:
        record.span_id = row["span_id"]
    if row["body_type"] == BODY_STRING:
        record.body.string_value = row["body"]
    elif row["body_type"]:
        record.body.CopyFrom(AnyValue(**json_text.parse(row["body"])))
    add_attributes(record.attributes, row)
    record.dropped_attributes_count = row["dropped_attributes_count"]
