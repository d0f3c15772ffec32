"""What services there are, and what they do: GET /api/services, GET /api/operations.

Answered from the rollups by the minute, so a range counts every minute it touches as a whole.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sonde.query import filters
from sonde.query.filters import Filter
from sonde.query.parameters import AskedReader, Limit, RangeParameters, Service, checked_limit, checked_text
from sonde.query.reader import Reader, Row
from sonde.query.spans import KIND_NAMES
from sonde.query.times import TimeRange, format_time

router = APIRouter(tags=["services"])

SECOND = 10**9
LAST_SECOND = 2**32 - 1


class ServiceSummary(BaseModel):
    name: str = Field(description="service.name; empty for telemetry without one", examples=["cart"])
    span_count: int = Field(examples=[120_000])
    error_count: int = Field(description="spans with status error", examples=[240])
    error_rate: float = Field(description="errors among spans, 0 to 1; 0 without spans", examples=[0.002])
    log_count: int = Field(examples=[88_000])
    last_seen: str = Field(description="the minute of its newest span or log record in the range, RFC 3339")


class ServiceList(BaseModel):
    """By name."""

    services: list[ServiceSummary]


class Operation(BaseModel):
    service: str = Field(examples=["cart"])
    name: str = Field(description="span name", examples=["GET /cart"])
    kind: str = Field(examples=["server"])
    span_count: int = Field(examples=[60_000])
    error_count: int = Field(examples=[12])
    error_rate: float = Field(description="errors among spans, 0 to 1", examples=[0.0002])
    mean_duration_nano: int = Field(examples=[12_000_000])
    p50_duration_nano: int = Field(description="median, within 1/32 of the true one", examples=[9_000_000])
    p95_duration_nano: int = Field(examples=[48_000_000])
    p99_duration_nano: int = Field(examples=[180_000_000])
    last_seen: str = Field(description="the minute of its newest span in the range, RFC 3339")


class OperationList(BaseModel):
    """The busiest first."""

    operations: list[Operation]


class OperationParameters(RangeParameters):
    service: Service = None
    limit: Limit = 1000


@router.get("/api/services", summary="List services")
def get_services(parameters: Annotated[RangeParameters, Query()], reader: AskedReader) -> ServiceList:
    """Services with spans or log records in the range, and how many."""
    return list_services(reader, parameters.range())


@router.get("/api/operations", summary="List operations")
def get_operations(parameters: Annotated[OperationParameters, Query()], reader: AskedReader) -> OperationList:
    """Operations (service, span name and kind) with spans in the range: rate, errors and mean duration."""
    return list_operations(reader, parameters)


def list_services(reader: Reader, range: TimeRange) -> ServiceList:
    where, params = filters.join([minutes(range)])
    sql = f"""
        SELECT service_name, sum(spans) AS spans, sum(errors) AS errors, sum(logs) AS logs, max(last) AS last
        FROM
        (
            SELECT service_name, sum(calls) AS spans, sum(errors) AS errors, 0 AS logs, max(minute) AS last
            FROM span_minutes
            WHERE tenant = {{tenant:String}}
              AND {where}
            GROUP BY service_name
            UNION ALL
            SELECT service_name, 0 AS spans, 0 AS errors, sum(records) AS logs, max(minute) AS last
            FROM log_minutes
            WHERE tenant = {{tenant:String}}
              AND {where}
            GROUP BY service_name
        )
        GROUP BY service_name
        ORDER BY service_name
    """
    return ServiceList(services=[service_of(row) for row in reader.rows(sql, params)])


def minutes(range: TimeRange) -> Filter:
    """The minutes of the rollups that the range touches."""
    clause = "minute >= toStartOfMinute(toDateTime({start_second:Int64}, 'UTC')) AND minute < toDateTime({end_second:Int64}, 'UTC')"
    return Filter(
        clause, {"start_second": seconds(range.start_nano), "end_second": seconds(range.end_nano + SECOND - 1)}
    )


def seconds(nano: int) -> int:
    """Whole seconds, within what a DateTime can hold."""
    return min(nano // SECOND, LAST_SECOND)


def service_of(row: Row) -> ServiceSummary:
    return ServiceSummary(
        name=row["service_name"],
        span_count=row["spans"],
        error_count=row["errors"],
        error_rate=row["errors"] / row["spans"] if row["spans"] else 0.0,
        log_count=row["logs"],
        last_seen=format_time(row["last"] * SECOND),
    )


def list_operations(reader: Reader, asked: OperationParameters) -> OperationList:
    service = filters.equals("service_name", checked_text("service", asked.service, reader))
    where, params = filters.join([minutes(asked.range()), service])
    sql = f"""
        SELECT
          service_name,
          name,
          kind,
          sum(calls) AS spans,
          sum(errors) AS failed,
          sum(duration_sum) AS duration,
          quantilesBFloat16Merge(0.5, 0.95, 0.99)(duration_quantiles) AS quantiles,
          max(minute) AS last
        FROM span_minutes
        WHERE tenant = {{tenant:String}}
          AND {where}
        GROUP BY service_name, name, kind
        ORDER BY spans DESC, service_name, name, kind
        LIMIT {{rows:UInt64}}
    """
    rows = reader.rows(sql, {**params, "rows": checked_limit(asked.limit, reader)})
    return OperationList(operations=[operation_of(row) for row in rows])


def operation_of(row: Row) -> Operation:
    p50, p95, p99 = (round(quantile) for quantile in row["quantiles"])
    return Operation(
        service=row["service_name"],
        name=row["name"],
        kind=KIND_NAMES.get(row["kind"], str(row["kind"])),
        span_count=row["spans"],
        error_count=row["failed"],
        error_rate=row["failed"] / row["spans"],
        mean_duration_nano=row["duration"] // row["spans"],
        p50_duration_nano=p50,
        p95_duration_nano=p95,
        p99_duration_nano=p99,
        last_seen=format_time(row["last"] * SECOND),
    )
