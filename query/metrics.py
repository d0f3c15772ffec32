"""Which metrics there are, and what makes one large: GET /api/metrics, GET /api/metrics/{name}/cardinality."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from sonde.query import cursor as cursors
from sonde.query import filters
from sonde.query.errors import NotFound
from sonde.query.filters import Filter
from sonde.query.otlp_points import KINDS
from sonde.query.parameters import AskedReader, PageParameters, RangeParameters, checked_limit, checked_text
from sonde.query.prometheus.metrics import Metric, View, Wanted, all_metrics, metric_of
from sonde.query.prometheus.series import Origins, find_series, labels_of
from sonde.query.promql.label_groups import groups_of
from sonde.query.promql.labels import LabelColumn, LabelTable
from sonde.query.reader import Reader, Row
from sonde.query.series import TEMPORALITIES, seen_within, type_number
from sonde.query.times import format_time

router = APIRouter(tags=["metrics"])

Name = Annotated[
    str, Path(description="as sent or as in PromQL; it may have slashes", examples=["http.server.request.duration"])
]

IDENTITY = "name, unit, type, temporality, is_monotonic, metadata_string['prometheus.type'], metadata_string['prometheus.counts']"


class MetricSummary(BaseModel):
    name: str = Field(description="as sent", examples=["http.server.request.duration"])
    prometheus_names: list[str] = Field(
        description="what its series are called in PromQL, besides the name as sent",
        examples=[["http_server_request_duration_seconds_bucket"]],
    )
    type: str = Field(description="gauge, sum, histogram, exponential_histogram or summary", examples=["histogram"])
    temporality: str = Field(description="unspecified, delta or cumulative", examples=["cumulative"])
    is_monotonic: bool = Field(description="of a sum: it only grows")
    unit: str = Field(examples=["s"])
    description: str = Field(examples=["Duration of HTTP server requests."])
    series_count: int = Field(description="its series in the range, give or take a day", examples=[1_200])
    last_seen: str = Field(description="RFC 3339, to about a day")


class MetricPage(BaseModel):
    """By name. A metric that was sent with two units or types is there twice."""

    metrics: list[MetricSummary]
    next_cursor: str | None = Field(description="give it back as `cursor` for the next page; null on the last")


class MetricParameters(PageParameters):
    name_regex: str | None = Field(
        default=None, description="RE2 pattern found in the name as sent", examples=["^http\\."]
    )
    type: str | None = Field(default=None, description="gauge, sum, histogram, exponential_histogram, summary")


class LabelValue(BaseModel):
    value: str = Field(description="empty: the series without the label", examples=["/cart"])
    series_count: int = Field(examples=[300])


class LabelCardinality(BaseModel):
    label: str = Field(description="as PromQL has it", examples=["user_id"])
    distinct_values: int = Field(examples=[9_000])
    series_without: int = Field(
        description="how many series there would be if the label were left off: where this is far below series_count, "
        "the label makes the metric explode",
        examples=[12],
    )
    top_values: list[LabelValue] = Field(description="those of most series")


class Cardinality(BaseModel):
    """Labels with the most values first."""

    name: str
    series_count: int = Field(description="stored series of the range; a histogram's buckets count as one")
    labels: list[LabelCardinality]


class CardinalityParameters(RangeParameters):
    values: int = Field(default=10, ge=1, le=1_000, description="values listed of each label")


@router.get("/api/metrics", summary="List metrics")
def get_metrics(parameters: Annotated[MetricParameters, Query()], reader: AskedReader) -> MetricPage:
    """Metrics with series in the range, by name: types, units, how many series, and when they were last seen."""
    return list_metrics(reader, parameters)


@router.get("/api/metrics/{name:path}/cardinality", summary="See which label makes a metric large")
def get_cardinality(
    name: Name, parameters: Annotated[CardinalityParameters, Query()], reader: AskedReader
) -> Cardinality:
    """The labels of a metric, named as sent or as in PromQL: distinct values, the most frequent ones, and what each costs."""
    return cardinality(reader, name, parameters)


def list_metrics(reader: Reader, asked: MetricParameters) -> MetricPage:
    range, before = asked.page((str, int))
    limit = checked_limit(asked.limit, reader)
    pattern = checked_text("name_regex", asked.name_regex, reader)
    where, params = filters.join(
        [
            Filter("match(name, {name_regex:String})", {"name_regex": pattern}) if pattern else None,
            None if asked.type is None else filters.equals("type", type_number(asked.type), "UInt8"),
            seen_within(range),
        ]
    )
    after = "1"
    if before:
        after = "(name, tie) > ({after_name:String}, {after_tie:UInt64})"
        params |= {"after_name": before.key[0], "after_tie": before.key[1]}
    sql = f"""
        SELECT
          name, unit, type, temporality, is_monotonic,
          metadata_string['prometheus.type'] AS prometheus_type,
          metadata_string['prometheus.counts'] AS prometheus_counts,
          argMax(description, last_seen) AS newest_description,
          uniqExact(series_id) AS series_count,
          max(last_seen) AS until,
          cityHash64({IDENTITY}) AS tie
        FROM series
        WHERE tenant = {{tenant:String}}
          AND {where}
        GROUP BY {IDENTITY}
        HAVING {after}
        ORDER BY name, tie
        LIMIT {{rows:UInt64}}
    """
    found = reader.rows(sql, {**params, "rows": limit + 1})
    rows, cursor = cursors.page(found, limit, lambda row: (row["name"], row["tie"]), None, range, asked.question())
    return MetricPage(metrics=[summary_of(row) for row in rows], next_cursor=cursor)


def summary_of(row: Row) -> MetricSummary:
    metric = metric_of(row)
    return MetricSummary(
        name=metric.name,
        prometheus_names=[metric.series_name(part, View.TRANSLATED) for part in metric.parts],
        type=KINDS[metric.type],
        temporality=TEMPORALITIES.get(metric.temporality, str(metric.temporality)),
        is_monotonic=metric.is_monotonic,
        unit=metric.unit,
        description=row["newest_description"],
        series_count=row["series_count"],
        last_seen=format_time(row["until"]),
    )


def cardinality(reader: Reader, name: str, asked: CardinalityParameters) -> Cardinality:
    range = asked.range()
    wanted = [
        Wanted(metric, metric.parts[0], View.TRANSLATED)
        for metric in dict.fromkeys(all_metrics(reader))
        if name in called(metric)
    ]
    if not wanted:
        raise NotFound(f"There is no metric {name[:200]!r}.", hint="/api/metrics lists them.")
    series, _ = find_series(reader, wanted, (), range.start_nano // 1_000_000)
    known = np.isin(series.metric, [index for index, metric in enumerate(series.metrics) if name in called(metric)])
    labels = labels_of(series, View.TRANSLATED, Origins.of(reader, series)).take(known)
    found = [label_of(labels, label, column, asked.values) for label, column in labels.columns.items()]
    found = [each for each in found if each.distinct_values]
    return Cardinality(
        name=name,
        series_count=labels.size,
        labels=sorted(found, key=lambda each: (-each.distinct_values, each.series_without, each.label)),
    )


def called(metric: Metric) -> Iterable[str]:
    """Every name that a metric goes by."""
    return {
        metric.name,
        metric.family(View.TRANSLATED),
        *(metric.series_name(part, view) for part in metric.parts for view in View),
    }


def label_of(labels: LabelTable, name: str, column: LabelColumn, most: int) -> LabelCardinality:
    counts = np.bincount(column.codes, minlength=len(column.values))
    used = np.flatnonzero(counts)
    top = used[np.argsort(-counts[used], kind="stable")][:most]
    return LabelCardinality(
        label=name,
        distinct_values=int(np.count_nonzero(counts[1:])),
        series_without=groups_of(labels.without({name})).count,
        top_values=[LabelValue(value=column.values[code], series_count=int(counts[code])) for code in top],
    )
