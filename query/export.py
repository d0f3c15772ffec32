"""Everything of a signal in a time range, as OTLP again: GET /api/export.

Rows stream from the store in blocks; each batch of them, joined with its resources, scopes and series, becomes one
Export*ServiceRequest. So memory is bounded whatever the range, and what comes out can go into any OTLP receiver.

* `format=json`: JSON lines, one request a line (what the Collector's file exporter writes).
* `format=protobuf`: the requests one after the other, without lengths between them. Since protobuf merges repeated
  fields, the whole body is itself one valid request; nothing but `ParseFromString` is needed to read it.

Spans and log records come in no promised order, points by series and time. An export that fails on its way breaks the
connection off, so that a part is never taken for the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from enum import StrEnum
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import Field
from sonde.query import filters, identities, otlp, otlp_json, otlp_logs, otlp_points, otlp_spans
from sonde.query.filters import Filter
from sonde.query.otlp import Request
from sonde.query.parameters import AskedReader, RangeParameters, Service, checked_text
from sonde.query.reader import Reader, Row, select_list
from sonde.query.times import TimeRange
from sonde.storage import schema

router = APIRouter(tags=["export"])

BATCH = 2_000
"""Records in one request."""


class Signal(StrEnum):
    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


class Format(StrEnum):
    JSON = "json"
    PROTOBUF = "protobuf"


MEDIA_TYPES = {Format.JSON: "application/x-ndjson", Format.PROTOBUF: "application/x-protobuf"}
ENDINGS = {Format.JSON: "jsonl", Format.PROTOBUF: "binpb"}
WRITERS: dict[Format, Callable[[Request], bytes]] = {
    Format.JSON: otlp_json.to_line,
    Format.PROTOBUF: lambda request: request.SerializeToString(),
}


class ExportParameters(RangeParameters):
    signal: Signal = Field(description="which signal")
    format: Format = Field(default=Format.JSON, description="JSON lines, or concatenated protobuf messages")
    service: Service = None


@router.get(
    "/api/export",
    summary="Export a time range as OTLP",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Export*ServiceRequest messages: one a line as OTLP/JSON, or concatenated as protobuf (the whole body "
            "is then one valid message too)",
            "content": {
                "application/x-ndjson": {
                    "example": '{"resourceSpans":[{"resource":{"attributes":[]},"scopeSpans":[]}]}'
                },
                "application/x-protobuf": {},
            },
        }
    },
)
def get_export(parameters: Annotated[ExportParameters, Query()], reader: AskedReader) -> StreamingResponse:
    """Streams every record of the range, with its resource and scope, equal in meaning to what was sent."""
    chunks = export(reader, parameters)
    # The first chunk is made before the answer begins, so that what can't be answered gets its proper status.
    first = next(chunks, b"")
    name = f"sonde-{parameters.signal}.{ENDINGS[parameters.format]}"
    return StreamingResponse(
        closing_after(chain((first,), chunks), chunks),
        media_type=MEDIA_TYPES[parameters.format],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def closing_after(chunks: Iterator[bytes], source: Generator[bytes]) -> Generator[bytes]:
    """`chunks`, with `source` closed at their end or when the client went away."""
    with closing(source):
        yield from chunks


def export(reader: Reader, asked: ExportParameters) -> Generator[bytes]:
    """The chunks of the answer."""
    service = checked_text("service", asked.service, reader)
    requests = {Signal.TRACES: spans, Signal.LOGS: logs, Signal.METRICS: metrics}[asked.signal]
    write = WRITERS[asked.format]
    range = asked.range()
    with reader.exporting(), closing(requests(reader, range, service)) as found:
        for request in found:
            yield write(request)


def spans(reader: Reader, range: TimeRange, service: str | None) -> Generator[Request]:
    return records(reader, schema.SPANS, range, service, otlp_spans.traces_request)


def logs(reader: Reader, range: TimeRange, service: str | None) -> Generator[Request]:
    return records(reader, schema.LOGS, range, service, otlp_logs.logs_request)


def records(
    reader: Reader, table: schema.Table, range: TimeRange, service: str | None, build: Callable[..., Request]
) -> Generator[Request]:
    resources = identities.resources(reader, otlp.resource_of)
    scopes = identities.scopes(reader, otlp.scope_of)
    where, params = filters.join([filters.between(range), filters.equals("service_name", service)])
    sql = f"""
        SELECT
          {select_list(table)}
        FROM {table.name}
        WHERE tenant = {{tenant:String}}
          AND {where}
    """
    for batch in batches(reader, sql, params):
        yield build(
            batch,
            resources.load(row["resource_id"] for row in batch),
            scopes.load(row["scope_id"] for row in batch),
        )


def metrics(reader: Reader, range: TimeRange, service: str | None) -> Generator[Request]:
    known = identities.series(reader, otlp_points.series_of)
    resources = identities.resources(reader, otlp.resource_of)
    scopes = identities.scopes(reader, otlp.scope_of)
    for table, types in otlp_points.TABLES.items():
        with closing(exemplars(reader, range, types, service)) as found:
            attach = Attacher(found)
            for batch in points(reader, table, range, service):
                series = known.load(row["series_id"] for row in batch)
                yield otlp_points.metrics_request(
                    [(row, attach.exemplars_of(row)) for row in batch],
                    series,
                    resources.load(found.resource_id for found in series.values()),
                    scopes.load(found.scope_id for found in series.values()),
                )


def points(reader: Reader, table: str, range: TimeRange, service: str | None) -> Generator[list[Row]]:
    where, params = filters.join([filters.between(range), of_service(service)])
    sql = f"""
        SELECT
          {select_list(schema.table(table))},
          toStartOfHour(time) AS hour
        FROM {table}
        WHERE tenant = {{tenant:String}}
          AND {where}
        ORDER BY tenant, metric, hour, series_id, time, start_time
    """
    return batches(reader, sql, params)


def exemplars(reader: Reader, range: TimeRange, types: tuple[int, ...], service: str | None) -> Generator[Row]:
    """The exemplars of points in the range, in the order of their points."""
    of_types = (
        "series_id IN (SELECT series_id FROM series WHERE tenant = {tenant:String} AND type IN {types:Array(UInt8)})"
    )
    where, params = filters.join(
        [filters.between(range, "point_time"), of_service(service), Filter(of_types, {"types": list(types)})]
    )
    sql = f"""
        SELECT
          {select_list(schema.EXEMPLARS)},
          toStartOfHour(point_time) AS hour
        FROM exemplars
        WHERE tenant = {{tenant:String}}
          AND {where}
        ORDER BY tenant, metric, hour, series_id, point_time, start_time
    """
    for batch in batches(reader, sql, params):
        yield from batch


def of_service(service: str | None) -> Filter | None:
    if service is None:
        return None
    clause = (
        "series_id IN (SELECT series_id FROM series WHERE tenant = {tenant:String} AND service_name = {service:String})"
    )
    return Filter(clause, {"service": service})


class Attacher:
    """Gives points their exemplars. Both come in the order of (metric, hour, series_id, time, start_time), which is how they lie
    in the store, and are read once, side by side, so any number of them takes no memory. Of points equal in all of these
    (which OTLP forbids) the first gets them."""

    def __init__(self, exemplars: Iterator[Row]) -> None:
        self._exemplars = exemplars
        self._next: Row | None = next(exemplars, None)

    def exemplars_of(self, point: Row) -> list[Row]:
        key = (point["metric"], point["hour"], point["series_id"], point["time"], point["start_time"])
        found: list[Row] = []
        while self._next is not None:
            own = tuple(self._next[name] for name in ("metric", "hour", "series_id", "point_time", "start_time"))
            if own > key:
                break
            if own == key:
                found.append(self._next)
            self._next = next(self._exemplars, None)
        return found


def batches(reader: Reader, sql: str, params: dict[str, Any]) -> Generator[list[Row]]:
    """The answer to `sql` in lists of at most BATCH rows."""
    with closing(reader.stream(sql, params)) as frames:
        for frame in frames:
            rows = list(frame.rows())
            for start in range(0, len(rows), BATCH):
                yield rows[start : start + BATCH]
