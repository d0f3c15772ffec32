"""Search for spans: GET /api/spans."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sonde.query import attributes, filters, newest
from sonde.query.attributes import Attributes, Origins, id_text
from sonde.query.otlp import MASK, NO_SPAN
from sonde.query.otlp_spans import span_times
from sonde.query.parameters import (
    AskedReader,
    PageParameters,
    Predicates,
    Service,
    attribute_filters,
    checked_limit,
    checked_text,
)
from sonde.query.reader import Reader, Row
from sonde.query.times import format_time
from sonde.storage.schema import SPANS

router = APIRouter(tags=["traces"])

KIND_NAMES = {number: name for name, number in filters.KINDS.items()}
STATUS_NAMES = {number: name for name, number in filters.STATUSES.items()}


class SpanEvent(BaseModel):
    time_unix_nano: str
    name: str
    attributes: Attributes
    dropped_attributes_count: int = 0


class SpanLink(BaseModel):
    trace_id: str
    span_id: str
    trace_state: str = ""
    flags: int = 0
    attributes: Attributes
    dropped_attributes_count: int = 0


class Span(BaseModel):
    """A span. Fields have OTLP's names; 64-bit times are decimal text, as in OTLP/JSON."""

    trace_id: str = Field(examples=["4bf92f3577b34da6a3ce929d0e0e4736"])
    span_id: str = Field(examples=["00f067aa0ba902b7"])
    parent_span_id: str | None = Field(description="null for a root", examples=["a2fb4a1d1a96d312"])
    time: str = Field(description="when it started, RFC 3339", examples=["2026-01-31T10:00:00.123456789Z"])
    start_time_unix_nano: str = Field(examples=["1769853600123456789"])
    end_time_unix_nano: str = Field(examples=["1769853600273456789"])
    duration_nano: int = Field(description="end minus start", examples=[150_000_000])
    service_name: str = Field(examples=["cart"])
    name: str = Field(examples=["GET /cart"])
    kind: str = Field(description="server, client, ...; a kind without a name is its number", examples=["server"])
    status: str = Field(description="unset, ok or error", examples=["error"])
    status_message: str = ""
    attributes: Attributes
    dropped_attributes_count: int = 0
    events: list[SpanEvent]
    dropped_events_count: int = 0
    links: list[SpanLink]
    dropped_links_count: int = 0
    trace_state: str = ""
    flags: int = 0
    resource_id: str = Field(description="key into `resources`", examples=["9a1f0c55d2e4b781"])
    scope_id: str = Field(description="key into `scopes`", examples=["1c2d3e4f5a6b7c8d"])


class SpanPage(Origins):
    """Newest first."""

    spans: list[Span]
    next_cursor: str | None = Field(description="give it back as `cursor` for the next page; null on the last")


class SpanParameters(PageParameters):
    service: Service = None
    name: str | None = Field(default=None, description="exact span name", examples=["GET /cart"])
    kind: str | None = Field(default=None, description="internal, server, client, producer, consumer, or a number")
    status: str | None = Field(default=None, description="unset, ok, error")
    min_duration: str | None = Field(default=None, description="at least, with a unit", examples=["150ms"])
    max_duration: str | None = Field(default=None, description="at most, with a unit", examples=["2s"])
    trace_id: str | None = Field(default=None, description="32 hex digits")
    attr: Predicates = Field(default_factory=list)


@router.get("/api/spans", summary="Search for spans")
def get_spans(parameters: Annotated[SpanParameters, Query()], reader: AskedReader) -> SpanPage:
    """Spans that match every filter, newest first, with the resources and scopes they name."""
    return search_spans(reader, parameters)


def search_spans(reader: Reader, asked: SpanParameters) -> SpanPage:
    range, before = asked.page(newest.KEY)
    conditions = [
        filters.equals("service_name", checked_text("service", asked.service, reader)),
        filters.equals("name", checked_text("name", asked.name, reader)),
        filters.kind(asked.kind),
        filters.status(asked.status),
        filters.duration(asked.min_duration, asked.max_duration),
        filters.identified("trace_id", asked.trace_id, 16),
        *attribute_filters(asked.attr, reader, events=True),
    ]
    limit = checked_limit(asked.limit, reader)
    rows, cursor = newest.find(reader, newest.Search(SPANS, conditions, range, limit, asked.question(), before))
    origins = attributes.origins_of(reader, list(rows))
    return SpanPage(
        spans=[Span(**span_fields(row)) for row in rows],
        resources=origins.resources,
        scopes=origins.scopes,
        next_cursor=cursor,
    )


def span_fields(row: Row) -> dict[str, Any]:
    """A row of `spans`, read by `select_list`, as the fields of `Span`."""
    start, end = span_times(row)
    return {
        "trace_id": row["trace_id"].hex(),
        "span_id": row["span_id"].hex(),
        "parent_span_id": None if row["parent_span_id"] == NO_SPAN else row["parent_span_id"].hex(),
        "time": format_time(row["time"] & MASK),
        "start_time_unix_nano": str(start),
        "end_time_unix_nano": str(end),
        "duration_nano": row["duration_nano"],
        "service_name": row["service_name"],
        "name": row["name"],
        "kind": KIND_NAMES.get(row["kind"], str(row["kind"])),
        "status": STATUS_NAMES.get(row["status_code"], str(row["status_code"])),
        "status_message": row["status_message"],
        "attributes": attributes.attributes_of(row),
        "dropped_attributes_count": row["dropped_attributes_count"],
        "events": span_events(row),
        "dropped_events_count": row["dropped_events_count"],
        "links": span_links(row),
        "dropped_links_count": row["dropped_links_count"],
        "trace_state": row["trace_state"],
        "flags": row["flags"],
        "resource_id": id_text(row["resource_id"]),
        "scope_id": id_text(row["scope_id"]),
    }


def span_events(row: Row) -> list[SpanEvent]:
    columns = ("time", "name", "attributes_string_pairs", "attributes_json_pairs", "dropped_attributes_count")
    return [
        SpanEvent(
            time_unix_nano=str(time & MASK),
            name=name,
            attributes=attributes.small_attributes_of(strings, texts),
            dropped_attributes_count=dropped,
        )
        for time, name, strings, texts, dropped in zip(*(row[f"events.{column}"] for column in columns), strict=True)
    ]


def span_links(row: Row) -> list[SpanLink]:
    columns = ("trace_id", "span_id", "trace_state", "flags", "attributes_string_pairs", "attributes_json_pairs")
    values = zip(*(row[f"links.{column}"] for column in (*columns, "dropped_attributes_count")), strict=True)
    return [
        SpanLink(
            trace_id=trace_id.hex(),
            span_id=span_id.hex(),
            trace_state=trace_state,
            flags=flags,
            attributes=attributes.small_attributes_of(strings, texts),
            dropped_attributes_count=dropped,
        )
        for trace_id, span_id, trace_state, flags, strings, texts, dropped in values
    ]
