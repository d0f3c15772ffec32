"""The series there are: GET /api/series."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sonde.query import attributes, filters, identities
from sonde.query import cursor as cursors
from sonde.query.attributes import Attributes, Origins, id_text
from sonde.query.errors import InvalidParameter
from sonde.query.filters import Filter
from sonde.query.otlp_points import KINDS
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
from sonde.query.times import TimeRange, format_time

router = APIRouter(tags=["metrics"])

TYPES = {name: number for number, name in KINDS.items()}
TEMPORALITIES = {0: "unspecified", 1: "delta", 2: "cumulative"}
DAY = 86_400_000_000_000


class Series(BaseModel):
    """A metric with one set of attributes from one resource and scope."""

    series_id: str = Field(description="give it to /api/points", examples=["5f3a9c1d2e4b6a78"])
    name: str = Field(examples=["http.server.request.duration"])
    description: str = ""
    unit: str = Field(default="", examples=["s"])
    type: str = Field(description="gauge, sum, histogram, exponential_histogram or summary", examples=["histogram"])
    temporality: str = Field(description="unspecified, delta or cumulative", examples=["cumulative"])
    is_monotonic: bool = Field(description="of a sum: it only grows")
    service_name: str = Field(examples=["cart"])
    attributes: Attributes
    metadata: Attributes = {}
    resource_id: str = Field(description="key into `resources`")
    scope_id: str = Field(description="key into `scopes`")


class SeenSeries(Series):
    first_seen: str = Field(description="RFC 3339")
    last_seen: str = Field(description="RFC 3339, to about a day")


class SeriesPage(Origins):
    """By name, then id."""

    series: list[SeenSeries]
    next_cursor: str | None = Field(description="give it back as `cursor` for the next page; null on the last")


class SeriesMatchers(PageParameters):
    """Which series: shared by /api/series and /api/points."""

    name: str | None = Field(default=None, description="exact metric name", examples=["http.server.request.duration"])
    name_regex: str | None = Field(
        default=None, description="RE2 pattern found in the metric name", examples=["^http\\."]
    )
    type: str | None = Field(default=None, description="gauge, sum, histogram, exponential_histogram, summary")
    service: Service = None
    attr: Predicates = Field(default_factory=list)


class SeriesParameters(SeriesMatchers):
    pass


@router.get("/api/series", summary="List the series of metrics")
def get_series(parameters: Annotated[SeriesParameters, Query()], reader: AskedReader) -> SeriesPage:
    """Series that match every filter and had points in the range, give or take a day, by name."""
    return list_series(reader, parameters)


def list_series(reader: Reader, asked: SeriesParameters) -> SeriesPage:
    range, before = asked.page((str, int))
    limit = checked_limit(asked.limit, reader)
    after = Filter("(name, series_id) > ({after_name:String}, {after_id:UInt64})", {}) if before else None
    where, params = filters.join([*matchers(asked, reader), seen_within(range), after])
    if before:
        params |= {"after_name": before.key[0], "after_id": before.key[1]}
    sql = f"""
        SELECT name, series_id, min(first_seen) AS since, max(last_seen) AS until
        FROM series
        WHERE tenant = {{tenant:String}}
          AND {where}
        GROUP BY name, series_id
        ORDER BY name, series_id
        LIMIT {{rows:UInt64}}
    """
    found = reader.rows(sql, {**params, "rows": limit + 1})
    rows, cursor = cursors.page(
        found, limit, lambda row: (row["name"], row["series_id"]), None, range, asked.question()
    )
    known = identities.series(reader, lambda row: row).load(row["series_id"] for row in rows)
    origins = attributes.origins_of(reader, list(known.values()))
    return SeriesPage(
        series=[
            SeenSeries(
                **series_of(known[row["series_id"]]).model_dump(),
                first_seen=format_time(row["since"]),
                last_seen=format_time(row["until"]),
            )
            for row in rows
        ],
        resources=origins.resources,
        scopes=origins.scopes,
        next_cursor=cursor,
    )


def seen_within(range: TimeRange) -> Filter:
    """Series with points in the range, to the day that `last_seen` is kept to."""
    clause = (
        "last_seen >= fromUnixTimestamp64Nano({seen_since:Int64}, 'UTC')"
        " AND first_seen < fromUnixTimestamp64Nano({seen_until:Int64}, 'UTC')"
    )
    return Filter(clause, {"seen_since": max(0, range.start_nano - 2 * DAY), "seen_until": range.end_nano})


def matchers(asked: SeriesMatchers, reader: Reader) -> list[Filter | None]:
    """The conditions over rows of `series`."""
    pattern = checked_text("name_regex", asked.name_regex, reader)
    return [
        filters.equals("name", checked_text("name", asked.name, reader)),
        Filter("match(name, {name_regex:String})", {"name_regex": pattern}) if pattern else None,
        filters.equals("service_name", checked_text("service", asked.service, reader)),
        None if asked.type is None else filters.equals("type", type_number(asked.type), "UInt8"),
        *attribute_filters(asked.attr, reader),
    ]


def type_number(text: str) -> int:
    if text not in TYPES:
        raise InvalidParameter("type", f"type is not known: {text[:64]!r}", hint=f"Write one of {', '.join(TYPES)}.")
    return TYPES[text]


def series_of(row: Row) -> Series:
    """A row of `series`, read by `select_list`."""
    return Series(
        series_id=id_text(row["series_id"]),
        name=row["name"],
        description=row["description"],
        unit=row["unit"],
        type=KINDS[row["type"]],
        temporality=TEMPORALITIES.get(row["temporality"], str(row["temporality"])),
        is_monotonic=bool(row["is_monotonic"]),
        service_name=row["service_name"],
        attributes=attributes.attributes_of(row),
        metadata=attributes.small_attributes_of(row["metadata_string_pairs"], row["metadata_json_pairs"]),
        resource_id=id_text(row["resource_id"]),
        scope_id=id_text(row["scope_id"]),
    )
