"""Search for log records: GET /api/logs."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sonde.query import attributes, filters, newest
from sonde.query.attributes import Attributes, Origins, id_text
from sonde.query.otlp import MASK, NO_SPAN, NO_TRACE, OWN_TIME
from sonde.query.otlp_logs import BODY_STRING
from sonde.query.parameters import (
    AskedReader,
    PageParameters,
    Predicates,
    Service,
    attribute_filters,
    checked_count,
    checked_limit,
    checked_text,
)
from sonde.query.reader import Reader, Row
from sonde.query.times import format_time
from sonde.storage.schema import LOGS

router = APIRouter(tags=["logs"])


class LogRecord(BaseModel):
    """A log record. Fields have OTLP's names; 64-bit times are decimal text, as in OTLP/JSON."""

    time: str = Field(description="its own time, else its observed time, else when it was received; RFC 3339")
    time_unix_nano: str = Field(description="as sent, 0 where unset", examples=["1769853600123456789"])
    observed_time_unix_nano: str = Field(description="as sent, 0 where unset", examples=["1769853600123460000"])
    severity_number: int = Field(examples=[17])
    severity_text: str = Field(examples=["ERROR"])
    event_name: str = ""
    body: Any = Field(description="text, or any JSON value for a structured body", examples=["payment was refused"])
    trace_id: str | None = None
    span_id: str | None = None
    flags: int = 0
    service_name: str = Field(examples=["payment"])
    attributes: Attributes
    dropped_attributes_count: int = 0
    resource_id: str = Field(description="key into `resources`")
    scope_id: str = Field(description="key into `scopes`")


class LogPage(Origins):
    """Newest first."""

    logs: list[LogRecord]
    next_cursor: str | None = Field(description="give it back as `cursor` for the next page; null on the last")


class LogParameters(PageParameters):
    service: Service = None
    severity: str | None = Field(
        default=None,
        description="at least this: trace, debug, info, warn, error, fatal (error2 is 18), or a number",
        examples=["warn", "17"],
    )
    body: list[str] = Field(
        default=[], description="text the body contains, letter for letter; repeatable", examples=[["was refused"]]
    )
    words: list[str] = Field(
        default=[],
        description="whole words the body contains, in any order; the quickest search, by the text index alone; repeatable",
        examples=[["timeout upstream"]],
    )
    event_name: str | None = Field(default=None, description="exact event name")
    trace_id: str | None = Field(default=None, description="32 hex digits")
    span_id: str | None = Field(default=None, description="16 hex digits")
    attr: Predicates = Field(default_factory=list)


@router.get("/api/logs", summary="Search for log records")
def get_logs(parameters: Annotated[LogParameters, Query()], reader: AskedReader) -> LogPage:
    """Log records that match every filter, newest first, with the resources and scopes they name."""
    return search_logs(reader, parameters)


def search_logs(reader: Reader, asked: LogParameters) -> LogPage:
    range, before = asked.page(newest.KEY)
    for parameter, texts in (("body", asked.body), ("words", asked.words)):
        checked_count(parameter, texts, reader)
        for text in texts:
            checked_text(parameter, text, reader)
    conditions = [
        filters.equals("service_name", checked_text("service", asked.service, reader)),
        filters.severity(asked.severity),
        filters.equals("event_name", checked_text("event_name", asked.event_name, reader)),
        filters.identified("trace_id", asked.trace_id, 16),
        filters.identified("span_id", asked.span_id, 8),
        *filters.body_contains(asked.body),
        *filters.body_words(asked.words),
        *attribute_filters(asked.attr, reader),
    ]
    limit = checked_limit(asked.limit, reader)
    rows, cursor = newest.find(reader, newest.Search(LOGS, conditions, range, limit, asked.question(), before))
    origins = attributes.origins_of(reader, list(rows))
    return LogPage(
        logs=[LogRecord(**log_fields(row)) for row in rows],
        resources=origins.resources,
        scopes=origins.scopes,
        next_cursor=cursor,
    )


def log_fields(row: Row) -> dict[str, Any]:
    """A row of `logs`, read by `select_list`, as the fields of `LogRecord`."""
    return {
        "time": format_time(row["time"] & MASK),
        "time_unix_nano": str(row["time"] & MASK if row["time_source"] == OWN_TIME else 0),
        "observed_time_unix_nano": str(row["observed_time"] & MASK),
        "severity_number": row["severity_number"],
        "severity_text": row["severity_text"],
        "event_name": row["event_name"],
        "body": body_of(row),
        "trace_id": None if row["trace_id"] == NO_TRACE else row["trace_id"].hex(),
        "span_id": None if row["span_id"] == NO_SPAN else row["span_id"].hex(),
        "flags": row["flags"],
        "service_name": row["service_name"],
        "attributes": attributes.attributes_of(row),
        "dropped_attributes_count": row["dropped_attributes_count"],
        "resource_id": id_text(row["resource_id"]),
        "scope_id": id_text(row["scope_id"]),
    }


def body_of(row: Row) -> Any:
    """The body as JSON has it; null where it is unset."""
    if not row["body_type"]:
        return None
    return row["body"] if row["body_type"] == BODY_STRING else json.loads(row["body"])
