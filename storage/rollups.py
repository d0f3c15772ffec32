"""Tables that materialized views fill as rows come in, and the views; and what `query/rollups` makes of metric points later.

Made to be cheap first: together they cost about a third of an insert (figures in `docs/decisions/rollups.md`). What is
kept of attribute values is a sample, deterministic so that a block inserted twice gives the same rows, and bounded per
block; attribute keys are complete up to a bound.

A view's SELECT is a template of `ddl.py`. Dedup by token holds through views: a block that was inserted before fills
neither its table nor these.
"""

from __future__ import annotations

from dataclasses import dataclass

from sonde.storage.schema import (
    LC,
    METRIC,
    SERIES,
    SERIES_ID,
    SERVICE_NAME,
    TABLES,
    TENANT,
    TRACE_ID,
    Column,
    Table,
    seen_columns,
)

SUM = "SimpleAggregateFunction(sum, UInt64)"
MINUTE = Column("minute", "DateTime('UTC')", "start of the minute", "Delta(4), ZSTD(1)")
SAMPLE_OF = 64
"""One record in so many is looked at for attribute values."""
KEYS_A_BLOCK = 1_000
"""Attribute keys kept of each kind of map in one inserted block."""
VALUES_A_KEY = 10
"""Values kept of each key in one inserted block, the most frequent ones."""
VALUE_BYTES = 128
"""Longer values are not offered as suggestions."""


@dataclass(frozen=True, slots=True)
class View:
    """A materialized view: rows inserted into `source` go through `select` into `target`."""

    name: str
    source: str
    target: str
    select: str


SPAN_MINUTES = Table(
    "span_minutes",
    "Rate, errors and durations of each service and operation by the minute.",
    (
        TENANT,
        SERVICE_NAME,
        Column("name", LC, "span name"),
        Column("kind", "Int32", "SpanKind"),
        MINUTE,
        Column("calls", SUM, "spans"),
        Column("errors", SUM, "spans with status_code 2"),
        Column("duration_sum", "SimpleAggregateFunction(sum, Int64)", "of duration_nano, ns; negative ones count as 0"),
        Column(
            "duration_quantiles",
            "AggregateFunction(quantileBFloat16, Float64)",
            "of duration_nano rounded to 1/32 of itself; read with quantileBFloat16Merge(level) or quantilesBFloat16Merge",
        ),
    ),
    order_by=("tenant", "service_name", "name", "kind", "minute"),
    engine="AggregatingMergeTree",
    partition_by="toMonday(minute)",
    retention="traces",
    ttl_column="minute",
    sharding_key="cityHash64(service_name)",
)

LOG_MINUTES = Table(
    "log_minutes",
    "Log records of each service and severity by the minute.",
    (
        TENANT,
        SERVICE_NAME,
        Column("severity_number", "Int32", "SeverityNumber"),
        MINUTE,
        Column("records", SUM, "log records"),
        Column("body_bytes", SUM, "bytes of their bodies"),
    ),
    order_by=("tenant", "service_name", "severity_number", "minute"),
    engine="AggregatingMergeTree",
    partition_by="toMonday(minute)",
    retention="logs",
    ttl_column="minute",
    sharding_key="cityHash64(service_name)",
)

TRACE_RANGES = Table(
    "trace_ranges",
    "When each trace was: where to look for its spans. A trace may have several rows; take the min and the max.",
    (
        TENANT,
        TRACE_ID,
        Column("day", "Date", "of the first span in the block"),
        Column("first", "SimpleAggregateFunction(min, DateTime64(0, 'UTC'))", "time of its first span, rounded down"),
        Column(
            "last", "SimpleAggregateFunction(max, DateTime64(0, 'UTC'))", "time (start) of its last span, rounded down"
        ),
        Column("spans", SUM, "spans"),
    ),
    order_by=("tenant", "trace_id", "day"),
    engine="AggregatingMergeTree",
    partition_by="day",
    retention="traces",
    ttl_column="day",
    settings=(("ttl_only_drop_parts", "1"),),
    sharding_key="cityHash64(trace_id)",
)

METRIC_IDENTITY = ("name", "unit", "type", "temporality", "is_monotonic", "description")

SOURCE = Column("source", LC, "where the attribute stands: spans, logs, series (metric points) or resources")
DAY = Column("day", "Date", "day of the records")
ATTRIBUTE_TYPE = Column("type", LC, "string, int, double, bool or json: the map that holds it")

ATTRIBUTE_KEYS = Table(
    "attribute_keys",
    f"Attribute keys in use, by the day; at most {KEYS_A_BLOCK} of each type of each inserted block.",
    (
        TENANT,
        SOURCE,
        ATTRIBUTE_TYPE,
        Column("key", LC, "attribute key"),
        DAY,
        Column("blocks", SUM, "inserted blocks that had it: a rough measure of how common it is"),
    ),
    order_by=("tenant", "source", "key", "type", "day"),
    engine="AggregatingMergeTree",
    retention="longest",
    ttl_column="day",
    sharding_key="cityHash64(key)",
)

ATTRIBUTE_VALUES = Table(
    "attribute_values",
    f"Frequent attribute values, by the day, from one record in {SAMPLE_OF} (resources and series: from all).",
    (
        TENANT,
        SOURCE,
        ATTRIBUTE_TYPE,
        Column("key", LC, "attribute key"),
        Column("value", "String", f"value as text, {VALUE_BYTES} bytes at most"),
        DAY,
        Column("records", SUM, "sampled records that had it"),
    ),
    order_by=("tenant", "source", "key", "type", "value", "day"),
    engine="AggregatingMergeTree",
    retention="longest",
    ttl_column="day",
    sharding_key="cityHash64(key)",
)

METRICS = Table(
    "metrics",
    "One row a metric: what its series have in common. To find a metric by its Prometheus name, all of them are read.",
    (
        TENANT,
        *(SERIES.column(name) for name in METRIC_IDENTITY),
        Column("prometheus_type", LC, "metadata `prometheus.type`: set where the metric came by remote write"),
        Column("prometheus_counts", LC, "metadata `prometheus.counts`"),
        *seen_columns(),
    ),
    order_by=("tenant", *METRIC_IDENTITY, "prometheus_type", "prometheus_counts"),
    engine="AggregatingMergeTree",
    sharding_key="cityHash64(name)",
)

POINT_SOURCE = Column("source", LC, "the table of points")
POINT_HOURS = Table(
    "point_hours",
    "How many points each hour has got, late ones too: whether what was summarised of it still holds.",
    (
        TENANT,
        POINT_SOURCE,
        Column("end_time", "DateTime64(0, 'UTC')", "right edge of the hour, which holds it and not its left one"),
        Column("points", SUM, "points inserted so far; those that retention has removed since still count"),
    ),
    order_by=("tenant", "source", "end_time"),
    engine="AggregatingMergeTree",
    partition_by="toYYYYMM(end_time)",
    retention="longest of metrics",
    ttl_column="end_time",
    sharding_key="cityHash64(tenant)",
)

MILLISECONDS = "DateTime64(3, 'UTC')"
NEWEST = "ReplacingMergeTree(version)"
VERSION = Column("version", "UInt64", "when it was summarised, unix ns: of rows that say the same the newest counts")
WINDOW_END = Column(
    "end_time", "DateTime('UTC')", "right edge of the window, which holds it and not its left one", "Delta(4), ZSTD(1)"
)
ROLLUP_HOURS = Table(
    "rollup_hours",
    "Which hours of points are summarised in the tables `points_*_5m` and `points_*_1h`.",
    (
        TENANT,
        Column("kind", LC, "what was summarised: a table of points, or a part of its series"),
        WINDOW_END,
        VERSION,
        Column("points", "UInt64", "what `point_hours` had when its points were read: while it still has, this holds"),
    ),
    order_by=("tenant", "kind", "end_time"),
    engine=NEWEST,
    partition_by="toYYYYMM(end_time)",
    retention="longest of metrics",
    ttl_column="end_time",
    sharding_key="cityHash64(tenant)",
)


def moment(name: str, comment: str) -> Column:
    return Column(name, MILLISECONDS, comment, "Delta(8), ZSTD(1)")


def measure(name: str, comment: str) -> Column:
    return Column(name, "Float64", comment, "Delta(8), ZSTD(3)")


def number_windows(width: str) -> Table:
    """Summaries of `points_number` by windows of `width` ("5m" or "1h")."""
    return Table(
        f"points_number_{width}",
        f"What the samples of a series in {width} come to: see docs/decisions/metric-rollups.md.",
        (
            TENANT,
            METRIC,
            SERIES_ID,
            WINDOW_END,
            VERSION,
            Column("count", "UInt32", "samples that are no stale markers; all but `stale_time` is of these"),
            moment("first_time", "time of the first sample"),
            measure("first", "value of the first sample"),
            moment("last_time", "time of the last sample"),
            measure("last", "value of the last sample"),
            measure("sum", "of the values"),
            measure("min", "smallest value, NaN where there is no other"),
            measure("max", "largest value, NaN where there is no other"),
            measure("lost", "what a counter had counted whenever it was reset between the first sample and the last"),
            moment("first_start", "start time of the first sample, 0 where unset"),
            moment("last_start", "start time of the last sample, 0 where unset"),
            moment("stale_time", "time of the last stale marker where it is later than the last sample, else 0"),
            Column("overlaps", "UInt8", "1 where a sample began to count before the one before it was taken"),
        ),
        order_by=("tenant", "metric", "series_id", "end_time"),
        engine=NEWEST,
        partition_by="toYYYYMM(end_time)",
        retention=f"rollups_{width}",
        ttl_column="end_time",
        sharding_key="series_id",
    )


def measures(name: str, comment: str) -> Column:
    return Column(name, "Array(Float64)", comment, "ZSTD(3)")


def histogram_windows(width: str) -> Table:
    """Summaries of `points_histogram` by windows of `width`: of the series that PromQL makes of a histogram."""
    return Table(
        f"points_histogram_{width}",
        f"What the counts and sums of a histogram in {width} come to: see docs/decisions/metric-rollups.md.",
        (
            TENANT,
            METRIC,
            Column(
                "part", LC, "buckets: cumulative counts of the buckets, the last one of all values; sum: of the values"
            ),
            SERIES_ID,
            WINDOW_END,
            measures("bounds", "explicit_bounds; none for the sum"),
            VERSION,
            Column("count", "UInt32", "samples that are no stale markers; all but `stale_time` is of these"),
            moment("first_time", "time of the first sample"),
            measures("first", "of each bucket the value of the first sample"),
            moment("last_time", "time of the last sample"),
            measures("last", "of each bucket the value of the last sample"),
            measures("lost", "of each bucket what it had counted whenever it was reset between the two"),
            moment("first_start", "start time of the first sample, 0 where unset"),
            moment("last_start", "start time of the last sample, 0 where unset"),
            moment("stale_time", "time of the last stale marker where it is later than the last sample, else 0"),
            Column("overlaps", "UInt8", "1 where a sample began to count before the one before it was taken"),
        ),
        order_by=("tenant", "metric", "part", "series_id", "end_time", "bounds"),
        engine=NEWEST,
        partition_by="toYYYYMM(end_time)",
        retention=f"rollups_{width}",
        ttl_column="end_time",
        sharding_key="series_id",
    )


POINTS_NUMBER_5M = number_windows("5m")
POINTS_NUMBER_1H = number_windows("1h")
POINTS_HISTOGRAM_5M = histogram_windows("5m")
POINTS_HISTOGRAM_1H = histogram_windows("1h")

ROLLUPS: tuple[Table, ...] = (
    SPAN_MINUTES,
    LOG_MINUTES,
    TRACE_RANGES,
    ATTRIBUTE_KEYS,
    ATTRIBUTE_VALUES,
    METRICS,
    POINT_HOURS,
    ROLLUP_HOURS,
    POINTS_NUMBER_5M,
    POINTS_NUMBER_1H,
    POINTS_HISTOGRAM_5M,
    POINTS_HISTOGRAM_1H,
)
ALL_TABLES: tuple[Table, ...] = (*TABLES, *ROLLUPS)

ATTRIBUTE_TYPES = ("string", "int", "double", "bool", "json")


def keys_view(source: str, day: str) -> View:
    """Attribute keys of the rows of table `source`. `day`: its time column."""
    gathered = ",\n        ".join(
        f"groupUniqArrayArray({KEYS_A_BLOCK})(mapKeys(attributes_{kind})) AS {kind}_keys" for kind in ATTRIBUTE_TYPES
    )
    pairs = ", ".join(f"arrayMap(key -> ('{kind}', key), {kind}_keys)" for kind in ATTRIBUTE_TYPES)
    select = f"""
SELECT tenant, '{source}' AS source, pair.1 AS type, pair.2 AS key, day, toUInt64(1) AS blocks
FROM
(
    SELECT tenant,
        toDate({day}) AS day,
        {gathered}
    FROM {{{{table {source}}}}}
    GROUP BY tenant, day
)
ARRAY JOIN arrayConcat({pairs}) AS pair"""
    return View(f"{source}_attribute_keys", source, "attribute_keys", select.strip())


def values_view(source: str, day: str, sampled: str) -> View:
    """Frequent attribute values of the rows of table `source` that `sampled` holds for."""
    shown = {"string": "value", "int": "toString(value)", "bool": "if(value, 'true', 'false')"}
    pairs = ",\n            ".join(
        f"arrayMap((key, value) -> ('{kind}', key, {text}), mapKeys(attributes_{kind}), mapValues(attributes_{kind}))"
        for kind, text in shown.items()
    )
    select = f"""
SELECT tenant, '{source}' AS source, attribute.1 AS type, attribute.2 AS key, attribute.3 AS value, day, count() AS records
FROM
(
    SELECT tenant,
        toDate({day}) AS day,
        arrayConcat(
            {pairs}
        ) AS attributes
    FROM {{{{table {source}}}}}
    WHERE {sampled}
)
ARRAY JOIN attributes AS attribute
WHERE length(value) <= {VALUE_BYTES}
GROUP BY tenant, type, key, value, day
ORDER BY records DESC, value
LIMIT {VALUES_A_KEY} BY tenant, type, key, day"""
    return View(f"{source}_attribute_values", source, "attribute_values", select.strip())


def point_hours_view(source: str) -> View:
    """Points by the hour. Samples are by the millisecond: a point less than one after the full hour is still of the one before."""
    select = f"""
SELECT tenant, '{source}' AS source,
    toDateTime64(intDiv(toUnixTimestamp64Milli(time) + 3599999, 3600000) * 3600, 0, 'UTC') AS end_time,
    count() AS points
FROM {{{{table {source}}}}}
GROUP BY tenant, end_time"""
    return View(f"{source}_point_hours", source, "point_hours", select.strip())


SUMMARISED = ("points_number", "points_histogram")
"""Tables of points whose series have rollups."""

VIEWS: tuple[View, ...] = (
    View(
        "spans_span_minutes",
        "spans",
        "span_minutes",
        # Durations are rounded to four bits of mantissa: states stay small however many spans they stand for.
        """
SELECT tenant, service_name, name, kind,
    toStartOfMinute(toDateTime(time, 'UTC')) AS minute,
    count() AS calls,
    countIf(status_code = 2) AS errors,
    sum(greatest(duration_nano, 0)) AS duration_sum,
    quantileBFloat16State(reinterpretAsFloat64(bitAnd(
        reinterpretAsUInt64(toFloat64(greatest(duration_nano, 0))) + 0x0000800000000000, 0xFFFF000000000000
    ))) AS duration_quantiles
FROM {{table spans}}
GROUP BY tenant, service_name, name, kind, minute""".strip(),
    ),
    View(
        "spans_trace_ranges",
        "spans",
        "trace_ranges",
        # Any 64 bits may be a time: seconds of DateTime64 hold them all, and are cut towards zero, hence the one less.
        """
SELECT tenant, trace_id,
    toDate(first) AS day,
    toDateTime64(min(time), 0, 'UTC') - (min(time) < toDateTime64(0, 9, 'UTC')) AS first,
    toDateTime64(max(time), 0, 'UTC') AS last,
    count() AS spans
FROM {{table spans}}
GROUP BY tenant, trace_id""".strip(),
    ),
    View(
        "logs_log_minutes",
        "logs",
        "log_minutes",
        """
SELECT tenant, service_name, severity_number,
    toStartOfMinute(toDateTime(time, 'UTC')) AS minute,
    count() AS records,
    sum(length(body)) AS body_bytes
FROM {{table logs}}
GROUP BY tenant, service_name, severity_number, minute""".strip(),
    ),
    keys_view("spans", "time"),
    keys_view("logs", "time"),
    keys_view("series", "last_seen"),
    keys_view("resources", "last_seen"),
    values_view("spans", "time", f"reinterpretAsUInt64(span_id) % {SAMPLE_OF} = 0"),
    values_view("logs", "time", f"intHash64(reinterpretAsUInt64(time)) % {SAMPLE_OF} = 0"),
    values_view("series", "last_seen", "1"),
    values_view("resources", "last_seen", "1"),
    View(
        "series_metrics",
        "series",
        "metrics",
        """
SELECT tenant, name, unit, type, temporality, is_monotonic, description,
    metadata_string['prometheus.type'] AS prometheus_type,
    metadata_string['prometheus.counts'] AS prometheus_counts,
    min(series.first_seen) AS first_seen,
    max(series.last_seen) AS last_seen
FROM {{table series}} AS series
GROUP BY tenant, name, unit, type, temporality, is_monotonic, description, prometheus_type, prometheus_counts""".strip(),
    ),
    *map(point_hours_view, SUMMARISED),
)


def any_table(name: str) -> Table:
    """The table or rollup `name`; KeyError where there is none."""
    for candidate in ALL_TABLES:
        if candidate.name == name:
            return candidate
    raise KeyError(f"no table {name}")
