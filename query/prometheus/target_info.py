"""`target_info`: a series of value 1 for each resource, with its attributes as labels.

Source: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ ("Resource Attributes").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sonde.query import filters
from sonde.query.filters import Filter
from sonde.query.prometheus import names, resources
from sonde.query.prometheus.metrics import TARGET_INFO, accepted
from sonde.query.prometheus.points import Budget, Window, runs_of
from sonde.query.prometheus.resources import MOST_IN_TEXT, Resource
from sonde.query.prometheus.series import seen_since
from sonde.query.promql.labels import NAME, LabelTable
from sonde.query.promql.regex import matched_rows
from sonde.query.promql.syntax import Matcher, MatchOp
from sonde.query.promql.values import Samples
from sonde.query.reader import Reader
from sonde.storage.native_blocks import whole

Ints = NDArray[np.int64]

STEP_MS = 60_000
"""A sample in each of these, at the last time that the resource has a point in it."""
SERIES_LOOKED_AT = 8
"""Series of a resource that stand for all of them: those seen for the longest time."""
POINT_TABLES = ("points_number", "points_histogram", "points_exponential_histogram", "points_summary")


def select(reader: Reader, matchers: Sequence[Matcher], window: Window, budget: Budget) -> Iterator[Samples]:
    """The `target_info` series that the matchers accept."""
    if not accepted([TARGET_INFO], [matcher for matcher in matchers if matcher.name == NAME])[0]:
        return
    found = matching(reader, matchers, window.start_ms)
    if not found:
        return
    ids = np.array(sorted(found), np.uint64)
    times, codes = sample_times(reader, ids, window)
    budget.check(len(times))
    counts = np.bincount(codes, minlength=len(ids))
    yield Samples(
        LabelTable.of([found[each] for each in ids.tolist()]),
        np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        times,
        np.ones(len(times)),
    )


def matching(reader: Reader, matchers: Sequence[Matcher], since_ms: int) -> dict[int, dict[str, str]]:
    """The labels of the series that are accepted, by the id of their resource."""
    original = any(not names.is_plain_label(matcher.name) for matcher in matchers) and any(
        matcher.name == NAME and matcher.op is MatchOp.EQUAL for matcher in matchers
    )
    found = resources.read_resources(reader, resource_ids(reader, since_ms))
    labels = {id: labels_of(each, original) for id, each in found.items() if is_shown(each)}
    table = LabelTable.of(labels.values())
    rows = np.ones(table.size, bool)
    for matcher in matchers:
        rows &= matched_rows(table.column(matcher.name), matcher)
    return {id: row for (id, row), yes in zip(labels.items(), rows, strict=True) if yes}


def resource_ids(reader: Reader, since_ms: int) -> list[int]:
    where, params = filters.join([seen_since(since_ms)])
    sql = f"SELECT DISTINCT resource_id FROM series WHERE tenant = {{tenant:String}} AND {where}"
    return [row["resource_id"] for row in reader.rows(sql, params)]


def is_shown(resource: Resource) -> bool:
    """One that nothing identifies can't be joined with anything, and one without other attributes has nothing to tell."""
    return bool((resource.job or resource.instance) and resource.attributes)


def labels_of(resource: Resource, original: bool) -> dict[str, str]:
    """Attributes whose keys become the same label are joined by `;`, in the order of their keys."""
    labels: dict[str, str] = {}
    for key in sorted(resource.attributes):
        name = key if original else names.label_name(key)
        text = resource.attributes[key]
        labels[name] = f"{labels[name]};{text}" if name in labels else text
    return {**labels, "job": resource.job, "instance": resource.instance, NAME: TARGET_INFO}


def sample_times(reader: Reader, ids: NDArray[np.uint64], window: Window) -> tuple[Ints, Ints]:
    """The times at which the resources `ids` (ascending) had points, by resource and time, and which resource each is of."""
    few = Filter("resource_id IN {ids:Array(UInt64)}", {"ids": ids.tolist()}) if len(ids) <= MOST_IN_TEXT else None
    chosen, params = filters.join([few, seen_since(window.start_ms)])
    between, window_params = filters.join([filters.between(window.range)])
    points = "\n            UNION ALL ".join(
        f"""SELECT series_id, toUnixTimestamp64Milli(time) AS ms
            FROM {table}
            PREWHERE tenant = {{tenant:String}}
              AND (metric, series_id) IN (SELECT name, series_id FROM chosen)
              AND {between}"""
        for table in POINT_TABLES
    )
    sql = f"""
        WITH chosen AS (
            SELECT series_id, any(name) AS name, any(resource_id) AS resource
            FROM series
            WHERE tenant = {{tenant:String}}
              AND {chosen}
            GROUP BY series_id
            ORDER BY max(last_seen) - min(first_seen) DESC
            LIMIT {SERIES_LOOKED_AT} BY resource
        )
        SELECT resource, max(ms) AS latest
        FROM (
            {points}
        ) AS points
        INNER JOIN chosen USING (series_id)
        GROUP BY resource, intDiv(ms, {STEP_MS})
        ORDER BY resource, latest
    """
    block = whole(reader.blocks(sql, {**params, **window_params}))
    if block is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    runs = runs_of(block["resource"], ids)
    codes = np.repeat(runs.codes, np.diff(runs.begins))
    return block["latest"][codes >= 0], codes[codes >= 0]
