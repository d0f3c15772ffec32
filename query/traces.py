"""A trace by its id: GET /api/traces/{trace_id}."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse
from pydantic import Field
from sonde.query import attributes, filters, identities, otlp, otlp_json, otlp_spans, tree
from sonde.query.attributes import Origins
from sonde.query.errors import ErrorBody, NotFound, TooHeavy
from sonde.query.otlp import MASK, NO_SPAN
from sonde.query.parameters import AskedReader, Parameters
from sonde.query.reader import Reader, Row, select_list
from sonde.query.spans import Span, span_fields
from sonde.query.times import MAX_NANO, TimeRange
from sonde.storage.schema import SPANS

router = APIRouter(tags=["traces"])

SECOND = 10**9


class Format(StrEnum):
    OTLP = "otlp"
    FLAT = "flat"


class TraceParameters(Parameters):
    format: Format = Field(
        default=Format.OTLP,
        description="`otlp`: OTLP/JSON, as a receiver takes it; `flat`: spans in tree order with their depth",
    )


class TraceSpan(Span):
    depth: int = Field(description="0 for a root or an orphan", examples=[1])
    is_orphan: bool = Field(description="its parent is not among the spans of the trace: late, lost or never sent")


class FlatTrace(Origins):
    """A trace as a list: parents before their children, siblings by start."""

    trace_id: str
    spans: list[TraceSpan]


@router.get(
    "/api/traces/{trace_id}",
    summary="Read a whole trace",
    response_model=FlatTrace,
    responses={
        200: {
            "description": "OTLP/JSON (an ExportTraceServiceRequest), or with `format=flat` the list described below",
            "content": {"application/json": {"example": {"resourceSpans": [{"resource": {}, "scopeSpans": []}]}}},
        },
        404: {"model": ErrorBody, "description": "no span of that trace is stored"},
    },
)
def get_trace(
    trace_id: Annotated[str, Path(description="32 hex digits", examples=["4bf92f3577b34da6a3ce929d0e0e4736"])],
    parameters: Annotated[TraceParameters, Query()],
    reader: AskedReader,
) -> Any:
    """Every span of the trace, whenever it was: no time range is needed."""
    rows = trace_rows(reader, filters.identifier(trace_id, 16, "trace_id"))
    if parameters.format is Format.FLAT:
        return flat_trace(reader, trace_id.lower(), rows)
    return JSONResponse(otlp_trace(reader, rows))


def trace_rows(reader: Reader, trace_id: bytes) -> list[Row]:
    """The rows of `spans` of one trace. NotFound where there are none, TooHeavy where there are too many to hold."""
    range = trace_range(reader, trace_id)
    rows = [] if range is None else read_spans(reader, trace_id, range)
    if not rows:
        raise NotFound(
            f"No span of trace {trace_id.hex()} is stored.",
            hint="It may be older than the retention, of another tenant (X-Sonde-Tenant), not sampled, or not yet sent.",
        )
    most = reader.config.query_max_trace_spans
    if len(rows) > most:
        raise TooHeavy(
            f"Trace {trace_id.hex()} has more than {most} spans (query_max_trace_spans).",
            hint=f"Read it page by page: /api/spans?trace_id={trace_id.hex()}",
        )
    return rows


def trace_range(reader: Reader, trace_id: bytes) -> TimeRange | None:
    """When the spans of the trace start, to the second, from a rollup that is ordered by trace id; None if there are none."""
    where, params = filters.join([filters.identified("trace_id", trace_id.hex(), 16)])
    sql = f"""
        SELECT sum(spans) AS known, min(first) AS since, max(last) AS until
        FROM trace_ranges
        WHERE tenant = {{tenant:String}}
          AND {where}
    """
    (row,) = reader.rows(sql, params)
    return TimeRange(row["since"] * SECOND, min((row["until"] + 1) * SECOND, MAX_NANO)) if row["known"] else None


def read_spans(reader: Reader, trace_id: bytes, range: TimeRange) -> list[Row]:
    where, params = filters.join([filters.between(range), filters.identified("trace_id", trace_id.hex(), 16)])
    sql = f"""
        SELECT
          {select_list(SPANS)}
        FROM spans
        WHERE tenant = {{tenant:String}}
          AND {where}
        LIMIT {{rows:UInt64}}
    """
    return reader.rows(sql, {**params, "rows": reader.config.query_max_trace_spans + 1})


def otlp_trace(reader: Reader, rows: list[Row]) -> dict[str, Any]:
    """The trace as an ExportTraceServiceRequest in OTLP/JSON."""
    request = otlp_spans.traces_request(
        sorted(rows, key=lambda row: (row["time"], row["span_id"])),
        identities.resources(reader, otlp.resource_of).load(row["resource_id"] for row in rows),
        identities.scopes(reader, otlp.scope_of).load(row["scope_id"] for row in rows),
    )
    return otlp_json.to_object(request)


def flat_trace(reader: Reader, trace_id: str, rows: list[Row]) -> FlatTrace:
    origins = attributes.origins_of(reader, rows)
    return FlatTrace(
        trace_id=trace_id,
        spans=[
            TraceSpan(**span_fields(placed.item), depth=placed.depth, is_orphan=placed.is_orphan)
            for placed in tree.in_order(node_of(row) for row in rows)
        ],
        resources=origins.resources,
        scopes=origins.scopes,
    )


def node_of(row: Row) -> tree.Node[Row]:
    parent = b"" if row["parent_span_id"] == NO_SPAN else row["parent_span_id"]
    return tree.Node(row["span_id"], parent, row["time"] & MASK, row)
