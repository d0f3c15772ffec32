"""Rows of `spans` back into spans."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from sonde.query.otlp import (
    MASK,
    NEXT_BEST_TIME,
    NO_SPAN,
    OWN_TIME,
    Origins,
    Tree,
    add_attributes,
    add_small_attributes,
)
from sonde.query.reader import Row


def traces_request(rows: Iterable[Row], resources: Origins, scopes: Origins) -> ExportTraceServiceRequest:
    """`rows` of `spans` (selected by `select_list`) under their resources and scopes, in their order within each."""
    request = ExportTraceServiceRequest()
    tree = Tree(request.resource_spans, "scope_spans", resources, scopes)
    for row in rows:
        fill_span(tree.scope(row["resource_id"], row["scope_id"]).spans.add(), row)
    return request


def span_times(row: Row) -> tuple[int, int]:
    """(start_time_unix_nano, end_time_unix_nano) as they were sent."""
    time = row["time"] & MASK
    if row["time_source"] == OWN_TIME:
        return time, (time + row["duration_nano"]) & MASK
    return 0, time if row["time_source"] == NEXT_BEST_TIME else 0


def fill_span(span: Span, row: Row) -> None:
    span.trace_id = row["trace_id"]
    span.span_id = row["span_id"]
    if row["parent_span_id"] != NO_SPAN:
        span.parent_span_id = row["parent_span_id"]
    span.trace_state = row["trace_state"]
    span.flags = row["flags"]
    span.name = row["name"]
    span.kind = row["kind"]
    span.start_time_unix_nano, span.end_time_unix_nano = span_times(row)
    add_attributes(span.attributes, row)
    span.dropped_attributes_count = row["dropped_attributes_count"]
    span.dropped_events_count = row["dropped_events_count"]
    span.dropped_links_count = row["dropped_links_count"]
    if row["status_code"] or row["status_message"]:
        span.status.code = row["status_code"]
        span.status.message = row["status_message"]
    add_events(span, row)
    add_links(span, row)


def add_events(span: Span, row: Row) -> None:
    for time, name, strings, texts, dropped in zip(
        row["events.time"],
        row["events.name"],
        row["events.attributes_string_pairs"],
        row["events.attributes_json_pairs"],
        row["events.dropped_attributes_count"],
        strict=True,
    ):
        event = span.events.add(time_unix_nano=int(time) & MASK, name=name, dropped_attributes_count=dropped)
        add_small_attributes(event.attributes, strings, texts)


def add_links(span: Span, row: Row) -> None:
    for trace_id, span_id, trace_state, flags, strings, texts, dropped in zip(
        row["links.trace_id"],
        row["links.span_id"],
        row["links.trace_state"],
        row["links.flags"],
        row["links.attributes_string_pairs"],
        row["links.attributes_json_pairs"],
        row["links.dropped_attributes_count"],
        strict=True,
    ):
        link = span.links.add(
            trace_id=trace_id, span_id=span_id, trace_state=trace_state, flags=flags, dropped_attributes_count=dropped
        )
        add_small_attributes(link.attributes, strings, texts)
