"""Views named and shaped like the tables of the OpenTelemetry Collector's ClickHouse exporter.

Dashboards made for `otel_traces`, `otel_logs` and `otel_metrics_*` find the columns they know. As there, attribute values of
every type are text, ids are lower-case hexadecimal (empty for none), kinds and status codes are words.

Two things differ. A filter on `TraceId` can't use an index: ask `otel_traces_trace_id_ts` for the time range first, as those
dashboards do. The `Exemplars` columns are always empty: table `exemplars` has them, and joining it would make each chart
pay for what few of them show.
"""

from __future__ import annotations

from sonde.storage.quoting import literal

TEXT_MAP = "Map(LowCardinality(String), String)"


def as_text(prefix: str) -> str:
    """The five typed maps of an attribute set as one map of text."""
    return (
        f"CAST(mapConcat({prefix}_string, mapApply((k, v) -> (k, toString(v)), {prefix}_int), "
        f"mapApply((k, v) -> (k, toString(v)), {prefix}_double), "
        f"mapApply((k, v) -> (k, if(v, 'true', 'false')), {prefix}_bool), {prefix}_json), '{TEXT_MAP}')"
    )


def nested_text(prefix: str) -> str:
    """The two maps of a nested attribute set as one map of text, for each item."""
    return f"CAST(arrayMap((a, b) -> mapConcat(a, b), `{prefix}_string`, `{prefix}_json`), 'Array({TEXT_MAP})')"


def hexadecimal(column: str, width: int) -> str:
    """An id as text; the all-zero one is none."""
    return f"if({column} = toFixedString('', {width}), '', lower(hex({column})))"


def words(column: str, names: tuple[str, ...]) -> str:
    """A code as its word; the first one for what is out of range."""
    return f"CAST(if({column} BETWEEN 0 AND {len(names) - 1}, {list(names)}[{column} + 1], '{names[0]}'), 'LowCardinality(String)')"


KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
STATUSES = ("Unset", "Ok", "Error")

OF_RESOURCES = f"""(
    SELECT tenant, resource_id, schema_url AS resource_schema_url, {as_text("attributes")} AS resource_attributes
    FROM {{{{table resources}}}}
) AS r USING (tenant, resource_id)"""
OF_SCOPES = f"""(
    SELECT tenant, scope_id, name AS scope_name, version AS scope_version, schema_url AS scope_schema_url,
        dropped_attributes_count AS scope_dropped_attributes_count, {as_text("attributes")} AS scope_attributes
    FROM {{{{table scopes}}}}
) AS c USING (tenant, scope_id)"""
OF_SERIES = f"""(
    SELECT tenant, series_id, resource_id, scope_id, service_name, name, description, unit, type, temporality, is_monotonic,
        {as_text("attributes")} AS series_attributes
    FROM {{{{table series}}}}
) AS s USING (tenant, series_id)"""

TRACES = f"""
SELECT
    time AS Timestamp,
    lower(hex(trace_id)) AS TraceId,
    lower(hex(span_id)) AS SpanId,
    {hexadecimal("parent_span_id", 8)} AS ParentSpanId,
    trace_state AS TraceState,
    name AS SpanName,
    {words("kind", KINDS)} AS SpanKind,
    service_name AS ServiceName,
    resource_attributes AS ResourceAttributes,
    scope_name AS ScopeName,
    scope_version AS ScopeVersion,
    {as_text("attributes")} AS SpanAttributes,
    toUInt64(greatest(duration_nano, 0)) AS Duration,
    {words("status_code", STATUSES)} AS StatusCode,
    status_message AS StatusMessage,
    events.time AS `Events.Timestamp`,
    events.name AS `Events.Name`,
    {nested_text("events.attributes")} AS `Events.Attributes`,
    arrayMap(id -> lower(hex(id)), links.trace_id) AS `Links.TraceId`,
    arrayMap(id -> lower(hex(id)), links.span_id) AS `Links.SpanId`,
    links.trace_state AS `Links.TraceState`,
    {nested_text("links.attributes")} AS `Links.Attributes`
FROM {{{{table spans}}}} AS spans
GLOBAL ANY LEFT JOIN {OF_RESOURCES}
GLOBAL ANY LEFT JOIN {OF_SCOPES}
""".strip()

TRACE_ID_TS = """
SELECT
    lower(hex(trace_id)) AS TraceId,
    toDateTime(min(first), 'UTC') AS Start,
    toDateTime(max(last), 'UTC') AS End
FROM {{table trace_ranges}}
GROUP BY trace_id
""".strip()

LOGS = f"""
SELECT
    time AS Timestamp,
    toDateTime(time) AS TimestampTime,
    {hexadecimal("trace_id", 16)} AS TraceId,
    {hexadecimal("span_id", 8)} AS SpanId,
    toUInt8(bitAnd(flags, 255)) AS TraceFlags,
    severity_text AS SeverityText,
    toUInt8(severity_number) AS SeverityNumber,
    service_name AS ServiceName,
    body AS Body,
    resource_schema_url AS ResourceSchemaUrl,
    resource_attributes AS ResourceAttributes,
    scope_schema_url AS ScopeSchemaUrl,
    scope_name AS ScopeName,
    scope_version AS ScopeVersion,
    scope_attributes AS ScopeAttributes,
    {as_text("attributes")} AS LogAttributes,
    event_name AS EventName
FROM {{{{table logs}}}} AS logs
GLOBAL ANY LEFT JOIN {OF_RESOURCES}
GLOBAL ANY LEFT JOIN {OF_SCOPES}
""".strip()

NO_EXEMPLARS = f"""
    CAST([], 'Array({TEXT_MAP})') AS `Exemplars.FilteredAttributes`,
    CAST([], 'Array(DateTime64(9))') AS `Exemplars.TimeUnix`,
    CAST([], 'Array(Float64)') AS `Exemplars.Value`,
    CAST([], 'Array(String)') AS `Exemplars.SpanId`,
    CAST([], 'Array(String)') AS `Exemplars.TraceId`""".rstrip()

OPTIONAL = "ifNull(min, 0) AS Min,\n    ifNull(max, 0) AS Max"


def metrics(table: str, kind: int, columns: str) -> str:
    """The points of one table whose series are of `kind` (the Metric's field number)."""
    return f"""
SELECT
    resource_attributes AS ResourceAttributes,
    resource_schema_url AS ResourceSchemaUrl,
    scope_name AS ScopeName,
    scope_version AS ScopeVersion,
    scope_attributes AS ScopeAttributes,
    scope_dropped_attributes_count AS ScopeDroppedAttrCount,
    scope_schema_url AS ScopeSchemaUrl,
    service_name AS ServiceName,
    name AS MetricName,
    description AS MetricDescription,
    unit AS MetricUnit,
    series_attributes AS Attributes,
    start_time AS StartTimeUnix,
    time AS TimeUnix,
    {columns}
FROM {{{{table {table}}}}} AS points
GLOBAL ANY LEFT JOIN {OF_SERIES}
GLOBAL ANY LEFT JOIN {OF_RESOURCES}
GLOBAL ANY LEFT JOIN {OF_SCOPES}
WHERE type = {kind}""".strip()


VIEWS: dict[str, str] = {
    "otel_traces": TRACES,
    "otel_traces_trace_id_ts": TRACE_ID_TS,
    "otel_logs": LOGS,
    "otel_metrics_gauge": metrics("points_number", 5, f"value AS Value,\n    flags AS Flags,{NO_EXEMPLARS}"),
    "otel_metrics_sum": metrics(
        "points_number",
        7,
        f"value AS Value,\n    flags AS Flags,{NO_EXEMPLARS},\n    temporality AS AggregationTemporality,\n"
        "    is_monotonic AS IsMonotonic",
    ),
    "otel_metrics_histogram": metrics(
        "points_histogram",
        9,
        "count AS Count,\n    ifNull(sum, 0) AS Sum,\n    bucket_counts AS BucketCounts,\n    explicit_bounds AS ExplicitBounds,"
        f"{NO_EXEMPLARS},\n    flags AS Flags,\n    {OPTIONAL},\n    temporality AS AggregationTemporality",
    ),
    "otel_metrics_exponential_histogram": metrics(
        "points_exponential_histogram",
        10,
        "count AS Count,\n    ifNull(sum, 0) AS Sum,\n    scale AS Scale,\n    zero_count AS ZeroCount,\n"
        "    positive_offset AS PositiveOffset,\n    positive_bucket_counts AS PositiveBucketCounts,\n"
        "    negative_offset AS NegativeOffset,\n    negative_bucket_counts AS NegativeBucketCounts,"
        f"{NO_EXEMPLARS},\n    flags AS Flags,\n    {OPTIONAL},\n    temporality AS AggregationTemporality",
    ),
    "otel_metrics_summary": metrics(
        "points_summary",
        11,
        "count AS Count,\n    sum AS Sum,\n    quantile_values.quantile AS `ValueAtQuantiles.Quantile`,\n"
        "    quantile_values.value AS `ValueAtQuantiles.Value`,\n    flags AS Flags",
    ),
}


def compatibility_views() -> list[str]:
    """CREATE VIEW of each, as templates of `ddl.py`."""
    comment = "As the OpenTelemetry Collector exporter shapes it."
    return [
        f"CREATE VIEW IF NOT EXISTS {{{{view {name}}}}}{{{{on_cluster}}}}\nAS {select.replace('{{table ', '{{view ')}\n"
        f"COMMENT {literal(comment)}"
        for name, select in VIEWS.items()
    ]
