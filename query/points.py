"""Points of series: GET /api/points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sonde.query import attributes, filters, identities
from sonde.query import cursor as cursors
from sonde.query.attributes import Attributes, Origins
from sonde.query.cursor import Cursor
from sonde.query.errors import InvalidParameter
from sonde.query.filters import Filter
from sonde.query.otlp import MASK, NO_SPAN, NO_TRACE, OWN_TIME
from sonde.query.otlp_points import DOUBLE, INT, TABLES, exact_int
from sonde.query.parameters import AskedReader, checked_count, checked_limit
from sonde.query.reader import Reader, Row, row_hash, select_list
from sonde.query.series import Series, SeriesMatchers, matchers, series_of
from sonde.query.times import TimeRange, format_time
from sonde.storage import schema

router = APIRouter(tags=["metrics"])

Double: TypeAlias = float | Literal["NaN", "Infinity", "-Infinity"]
"""JSON has no spelling for these three; OTLP/JSON writes them as text."""
ORDER = tuple(TABLES)
KEY = (int, int, int, int)
"""What a cursor's key holds: which table (its place in ORDER), series_id, time, and the hash of the row."""


class Exemplar(BaseModel):
    time_unix_nano: str
    as_double: Double | None = None
    as_int: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    filtered_attributes: Attributes = {}


class Point(BaseModel):
    """What points of every kind have. Fields have OTLP's names; 64-bit integers are decimal text, as in OTLP/JSON."""

    time: str = Field(description="RFC 3339; when it was received, where it was sent without a time")
    time_unix_nano: str = Field(description="as sent, 0 where unset")
    start_time_unix_nano: str = Field(description="as sent, 0 where unset")
    flags: int = Field(description="bit 0: no value was recorded")
    exemplars: list[Exemplar] = []


class NumberPoint(Point):
    """Of a gauge or a sum: either of the two values, or none."""

    as_double: Double | None = None
    as_int: str | None = None


class HistogramPoint(Point):
    count: str
    sum: Double | None = None
    min: Double | None = None
    max: Double | None = None
    bucket_counts: list[str]
    explicit_bounds: list[Double]


class Buckets(BaseModel):
    offset: int
    bucket_counts: list[str]


class ExponentialHistogramPoint(Point):
    count: str
    sum: Double | None = None
    min: Double | None = None
    max: Double | None = None
    scale: int
    zero_count: str
    zero_threshold: Double
    positive: Buckets
    negative: Buckets


class QuantileValue(BaseModel):
    quantile: Double
    value: Double


class SummaryPoint(Point):
    count: str
    sum: Double
    quantile_values: list[QuantileValue]


AnyPoint: TypeAlias = ExponentialHistogramPoint | HistogramPoint | SummaryPoint | NumberPoint


class SeriesPoints(Series):
    """A series with its points of this page, oldest first."""

    points: list[AnyPoint]


class PointPage(Origins):
    series: list[SeriesPoints]
    next_cursor: str | None = Field(
        description="give it back as `cursor` for the next page, which may go on within the last series; null on the last"
    )


class PointParameters(SeriesMatchers):
    series_id: list[str] = Field(
        default=[], description="from /api/series; repeatable", examples=[["5f3a9c1d2e4b6a78"]]
    )


@router.get("/api/points", summary="Read the points of series")
def get_points(parameters: Annotated[PointParameters, Query()], reader: AskedReader) -> PointPage:
    """The points of the series named by `series_id`, or of all that match the other filters; one of them is needed."""
    return read_points(reader, parameters)


def read_points(reader: Reader, asked: PointParameters) -> PointPage:
    range, before = asked.page(KEY)
    limit = checked_limit(asked.limit, reader)
    wanted = series_filter(asked, reader)
    rows: list[Row] = []
    for place, table in enumerate(ORDER):
        if before and place < before.key[0]:
            continue
        here = before if before and place == before.key[0] else None
        rows += read_table(reader, table, wanted, range, limit + 1 - len(rows), here)
        if len(rows) > limit:
            break
    page, cursor = cursors.page(rows, limit, key_of, before, range, asked.question())
    return page_of(reader, page, range, cursor)


def key_of(row: Row) -> tuple[int, int, int, int]:
    return row["place"], row["series_id"], row["time"], row["tie"]


def series_filter(asked: PointParameters, reader: Reader) -> Filter:
    """Which series, as a condition over a `points_*` table."""
    checked_count("series_id", asked.series_id, reader)
    ids = [filters.fingerprint(text, "series_id") for text in asked.series_id]
    named = Filter("series_id IN {series_ids:Array(UInt64)}", {"series_ids": ids}) if ids else None
    where, params = filters.join(matchers(asked, reader))
    if not params and named is None:
        raise InvalidParameter(
            "series_id",
            "Points of which series?",
            hint="Give series_id (from /api/series), or name, service, type or attr.",
        )
    where, params = filters.join([named, Filter(where, params)])
    # By metric too, for that is how points lie.
    matching = (
        f"(metric, series_id) IN (SELECT name, series_id FROM series WHERE tenant = {{tenant:String}} AND {where})"
    )
    return Filter(matching, params)


def read_table(
    reader: Reader, table: str, wanted: Filter, range: TimeRange, limit: int, before: Cursor | None
) -> list[Row]:
    """Up to `limit` points of one table, by series and time."""
    after = None
    if before:
        key = dict(zip(("after_series", "after_time", "after_tie"), before.key[1:], strict=True))
        clause = (
            "(series_id, toUnixTimestamp64Nano(time), tie) >= ({after_series:UInt64}, {after_time:Int64}, {after_tie:UInt64})"
            " AND series_id >= {after_series:UInt64}"
        )
        after = Filter(clause, key)
    where, params = filters.join([wanted, filters.between(range), after])
    sql = f"""
        SELECT
          {select_list(schema.table(table))},
          {row_hash(schema.table(table))} AS tie
        FROM {table}
        WHERE tenant = {{tenant:String}}
          AND {where}
        ORDER BY series_id, time, tie
        LIMIT {{rows:UInt64}}
        OFFSET {{skip:UInt64}}
    """
    rows = reader.rows(sql, {**params, "rows": limit, "skip": before.skip if before else 0})
    return [{**row, "place": ORDER.index(table)} for row in rows]


def page_of(reader: Reader, rows: Sequence[Row], range: TimeRange, cursor: str | None) -> PointPage:
    known = identities.series(reader, lambda row: row).load(row["series_id"] for row in rows)
    exemplars = exemplars_of(reader, rows)
    points: dict[int, list[AnyPoint]] = {}
    for row in rows:
        own = exemplars.pop((row["series_id"], row["time"], row["start_time"]), [])
        points.setdefault(row["series_id"], []).append(point_of(row, own))
    origins = attributes.origins_of(reader, list(known.values()))
    return PointPage(
        series=[SeriesPoints(**series_of(known[id]).model_dump(), points=found) for id, found in points.items()],
        resources=origins.resources,
        scopes=origins.scopes,
        next_cursor=cursor,
    )


def exemplars_of(reader: Reader, rows: Sequence[Row]) -> dict[tuple[int, int, int], list[Exemplar]]:
    """The exemplars of the points `rows`, by (series_id, time, start_time) of the point."""
    if not rows:
        return {}
    times = [row["time"] for row in rows]
    where, params = filters.join([filters.between(TimeRange(min(times), max(times) + 1), "point_time")])
    sql = f"""
        SELECT
          {select_list(schema.EXEMPLARS)}
        FROM exemplars
        WHERE tenant = {{tenant:String}}
          AND metric IN {{metrics:Array(String)}}
          AND series_id IN {{series_ids:Array(UInt64)}}
          AND {where}
        ORDER BY series_id, point_time, start_time, time
    """
    found: dict[tuple[int, int, int], list[Exemplar]] = {}
    params |= {"metrics": sorted({row["metric"] for row in rows})}
    for row in reader.rows(sql, {**params, "series_ids": sorted({row["series_id"] for row in rows})}):
        found.setdefault((row["series_id"], row["point_time"], row["start_time"]), []).append(exemplar_of(row))
    return found


def exemplar_of(row: Row) -> Exemplar:
    return Exemplar(
        time_unix_nano=str(row["time"] & MASK),
        **value_of(row),
        trace_id=None if row["trace_id"] == NO_TRACE else row["trace_id"].hex(),
        span_id=None if row["span_id"] == NO_SPAN else row["span_id"].hex(),
        filtered_attributes=attributes.small_attributes_of(
            row["filtered_attributes_string_pairs"], row["filtered_attributes_json_pairs"]
        ),
    )


def value_of(row: Row) -> dict[str, Any]:
    return {
        "as_double": double(row["value"]) if row["value_type"] == DOUBLE else None,
        "as_int": str(exact_int(row["value"], row["value_remainder"])) if row["value_type"] == INT else None,
    }


def double(value: float | None) -> Any:
    """A double as OTLP/JSON has it."""
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def point_of(row: Row, exemplars: list[Exemplar]) -> AnyPoint:
    """A row of a `points_*` table, read by `select_list`."""
    head: dict[str, Any] = {
        "time": format_time(row["time"] & MASK),
        "time_unix_nano": str(row["time"] & MASK if row["time_source"] == OWN_TIME else 0),
        "start_time_unix_nano": str(row["start_time"] & MASK),
        "flags": row["flags"],
        "exemplars": exemplars,
    }
    if "value_type" in row:
        return NumberPoint(**head, **value_of(row))
    head["count"] = str(row["count"])
    head["sum"] = double(row["sum"])
    if "quantile_values.value" in row:
        pairs = zip(row["quantile_values.quantile"], row["quantile_values.value"], strict=True)
        return SummaryPoint(
            **head, quantile_values=[QuantileValue(quantile=double(q), value=double(v)) for q, v in pairs]
        )
    head |= {"min": double(row["min"]), "max": double(row["max"])}
    if "bucket_counts" in row:
        return HistogramPoint(
            **head,
            bucket_counts=[str(count) for count in row["bucket_counts"]],
            explicit_bounds=[double(bound) for bound in row["explicit_bounds"]],
        )
    return ExponentialHistogramPoint(
        **head,
        scale=row["scale"],
        zero_count=str(row["zero_count"]),
        zero_threshold=double(row["zero_threshold"]),
        positive=buckets_of(row, "positive"),
        negative=buckets_of(row, "negative"),
    )


def buckets_of(row: Row, sign: str) -> Buckets:
    counts = [str(count) for count in row[f"{sign}_bucket_counts"]]
    return Buckets(offset=row[f"{sign}_offset"], bucket_counts=counts)
