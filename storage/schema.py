"""The one declaration of every table.

DDL (`ddl.py`), Native block headers (`native.py`), the columns the decode kernels fill, and the schema page of the docs
derive from `TABLES`. Nothing else in the project spells a column type.

Star schema. What repeats (resource, scope, metric identity with its attributes) is kept once and referred to by a 64-bit
fingerprint; rows carry `resource_id`, `scope_id` or `series_id`.

Attributes keep their type: each set is five maps by value type. A value that has no map of its own (array, kvlist,
bytes, empty; and in nested sets, which have only `_string` and `_json`, also int, double and bool) is JSON text in
`_json`, by these rules, which lose nothing:

* int: decimal digits; double: shortest text that reads back the same, always with `.` or an exponent (`1.0`, `1e+300`);
  bool: `true`/`false`; an AnyValue with nothing set: `null`; string: JSON string; array: `[...]`; kvlist: `{...}` in order,
  repeated keys kept.
* What JSON has no spelling for is an object with one `$` key: bytes `{"$bytes":"<base64>"}`, NaN and infinities
  `{"$double":"NaN"|"Infinity"|"-Infinity"}`, a `string_value_strindex` `{"$strindex":5}`. A kvlist key that begins with `$`
  gets one more `$` in front. Where a KeyValue has a `key_strindex`, its value is `{"$key_strindex":3,"$value":...}`, and the
  attribute stands in `_json` whatever its kind.
* Compact separators; `"`, `\\` and control characters escaped, all else UTF-8 as it came.

Times: `time` is what a row is sorted, kept and dropped by. `time_source` says where it came from, so that the original is
never lost: 0 the record's own time, 1 the next best of the record (a span's end, a log's observed time), 2 the time of
receipt because the record had none (its own field was 0).
"""

from __future__ import annotations

from dataclasses import dataclass

COMMON_SETTINGS = (
    # How many inserts a token is remembered for: without it a MergeTree that is not replicated forgets them at once.
    ("non_replicated_deduplication_window", "10000"),
    ("replicated_deduplication_window", "10000"),
    ("index_granularity", "8192"),
    ("default_compression_codec", "'ZSTD(1)'"),
    # A block as it is inserted is one file, the first merge makes a file a column: half of an insert's work was files.
    ("min_bytes_for_wide_part", "41943040"),
    # What was inserted must outlive a power cut: the spool lets go of it.
    ("fsync_after_insert", "1"),
    ("fsync_part_directory", "1"),
)
"""Settings of every table."""

BY_DAY = (("ttl_only_drop_parts", "1"),)
"""For tables partitioned by day: what is too old goes a part at a time, unread."""

BUCKETED_MAPS = (
    # A map's values lie by key in a few buckets, so that a question about one attribute reads a part of them.
    ("map_serialization_version", "'with_buckets'"),
    ("map_buckets_min_avg_size", "2"),
)


MERGED_BY_ID = (("allow_dimensions_outside_sorting_key", "1"),)
"""For tables whose other columns follow from the id in the sorting key."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    """ClickHouse type, as the engine prints it back."""
    comment: str
    codec: str = ""
    """What stands in CODEC(...); empty for the server's default."""


@dataclass(frozen=True, slots=True)
class Index:
    name: str
    expression: str
    type: str
    granularity: int = 1


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    comment: str
    columns: tuple[Column, ...]
    order_by: tuple[str, ...]
    engine: str = "MergeTree"
    partition_by: str = ""
    indexes: tuple[Index, ...] = ()
    retention: str = ""
    """Which retention setting applies: "traces", "logs", "metrics", "longest" of the three, "rollups_5m", "rollups_1h", "longest of
    metrics" (points and rollups), or "" for none."""
    ttl_column: str = "time"
    settings: tuple[tuple[str, str], ...] = ()
    sharding_key: str = "rand()"
    """On a cluster: rows of one value go to one shard."""

    @property
    def all_settings(self) -> tuple[tuple[str, str], ...]:
        """The table's own settings after those that every table has."""
        return (*COMMON_SETTINGS, *self.settings)

    def column(self, name: str) -> Column:
        """The column `name`; KeyError where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"table {self.name} has no column {name}")


LC = "LowCardinality(String)"
TIME = "DateTime64(9, 'UTC')"
TENANT = Column("tenant", LC, "whose data this is")
RESOURCE_ID = Column("resource_id", "UInt64", "fingerprint of the resource: see `resources`")
SCOPE_ID = Column("scope_id", "UInt64", "fingerprint of the instrumentation scope: see `scopes`")
SERVICE_NAME = Column("service_name", LC, "the resource's service.name, empty where it has none")
ROW_TIME = Column("time", TIME, "what the row is sorted, kept and dropped by", "Delta(8), ZSTD(1)")
TIME_SOURCE = Column("time_source", "UInt8", "0 the record's own time, 1 its next best, 2 the time of receipt")
TRACE_ID = Column("trace_id", "FixedString(16)", "W3C trace id, 16 bytes; all zero where the record has none")
SPAN_ID = Column("span_id", "FixedString(8)", "W3C span id, 8 bytes; all zero where the record has none")


def attribute_columns(prefix: str, what: str) -> tuple[Column, ...]:
    """The five typed maps of one attribute set."""
    return (
        Column(f"{prefix}_string", f"Map({LC}, String)", f"{what} with string values"),
        Column(f"{prefix}_int", f"Map({LC}, Int64)", f"{what} with int values"),
        Column(f"{prefix}_double", f"Map({LC}, Float64)", f"{what} with double values"),
        Column(f"{prefix}_bool", f"Map({LC}, Bool)", f"{what} with bool values"),
        Column(f"{prefix}_json", f"Map({LC}, String)", f"{what} of any other kind, as JSON text"),
    )


def small_attribute_columns(prefix: str, what: str, array: bool = False) -> tuple[Column, ...]:
    """The two maps of an attribute set that is seldom searched: strings, and JSON text for all else."""
    kind = f"Array(Map({LC}, String))" if array else f"Map({LC}, String)"
    return (
        Column(f"{prefix}_string", kind, f"{what} with string values"),
        Column(f"{prefix}_json", kind, f"{what} of any other kind, as JSON text"),
    )


def seen_columns() -> tuple[Column, ...]:
    return (
        Column("first_seen", f"SimpleAggregateFunction(min, {TIME})", "receipt time of the first record that named it"),
        Column("last_seen", f"SimpleAggregateFunction(max, {TIME})", "the same of the last, to about a day"),
    )


RESOURCES = Table(
    "resources",
    "One row a resource: what sent the telemetry.",
    (
        TENANT,
        RESOURCE_ID,
        SERVICE_NAME,
        Column("service_namespace", LC, "the resource's service.namespace"),
        Column("service_version", LC, "the resource's service.version"),
        Column("service_instance_id", "String", "the resource's service.instance.id"),
        Column("deployment_environment", LC, "deployment.environment.name, or the older deployment.environment"),
        *attribute_columns("attributes", "resource attributes"),
        Column("dropped_attributes_count", "UInt32", "as sent"),
        Column("entity_refs", "String", "JSON text of the entity references, empty where there are none"),
        Column("schema_url", LC, "of the ResourceSpans, ResourceMetrics or ResourceLogs"),
        *seen_columns(),
    ),
    order_by=("tenant", "resource_id"),
    sharding_key="resource_id",
    engine="AggregatingMergeTree",
    settings=MERGED_BY_ID,
)

SCOPES = Table(
    "scopes",
    "One row an instrumentation scope.",
    (
        TENANT,
        SCOPE_ID,
        Column("name", LC, "instrumentation scope name"),
        Column("version", LC, "instrumentation scope version"),
        *attribute_columns("attributes", "scope attributes"),
        Column("dropped_attributes_count", "UInt32", "as sent"),
        Column("schema_url", LC, "of the ScopeSpans, ScopeMetrics or ScopeLogs"),
        *seen_columns(),
    ),
    order_by=("tenant", "scope_id"),
    sharding_key="scope_id",
    engine="AggregatingMergeTree",
    settings=MERGED_BY_ID,
)

SPANS = Table(
    "spans",
    "One row a span, events and links nested.",
    (
        TENANT,
        ROW_TIME,
        TIME_SOURCE,
        Column(
            "duration_nano",
            "Int64",
            "end minus start, ns, wrapping; with time_source 0 the end is time + duration; 0 otherwise",
            "ZSTD(1)",
        ),
        TRACE_ID,
        SPAN_ID,
        Column("parent_span_id", "FixedString(8)", "all zero for a root"),
        Column("trace_state", "String", "W3C tracestate"),
        Column("flags", "UInt32", "W3C trace flags and the remote bits"),
        SERVICE_NAME,
        Column("name", LC, "span name"),
        Column("kind", "Int32", "SpanKind: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer"),
        Column("status_code", "Int32", "0 unset, 1 ok, 2 error"),
        Column("status_message", "String", "status description"),
        RESOURCE_ID,
        SCOPE_ID,
        *attribute_columns("attributes", "span attributes"),
        Column("dropped_attributes_count", "UInt32", "as sent"),
        Column("events.time", f"Array({TIME})", "event time; its 64 bits as sent"),
        Column("events.name", f"Array({LC})", "event name"),
        *small_attribute_columns("events.attributes", "event attributes", array=True),
        Column("events.dropped_attributes_count", "Array(UInt32)", "as sent"),
        Column("dropped_events_count", "UInt32", "as sent"),
        Column("links.trace_id", "Array(FixedString(16))", "linked trace"),
        Column("links.span_id", "Array(FixedString(8))", "linked span"),
        Column("links.trace_state", "Array(String)", "tracestate of the linked span"),
        Column("links.flags", "Array(UInt32)", "flags of the linked span"),
        *small_attribute_columns("links.attributes", "link attributes", array=True),
        Column("links.dropped_attributes_count", "Array(UInt32)", "as sent"),
        Column("dropped_links_count", "UInt32", "as sent"),
    ),
    order_by=("tenant", "service_name", "time"),
    indexes=(Index("trace", "trace_id", "bloom_filter(0.01)"),),
    settings=(*BY_DAY, *BUCKETED_MAPS),
    sharding_key="cityHash64(trace_id)",
    partition_by="toDate(time)",
    retention="traces",
)

LOGS = Table(
    "logs",
    "One row a log record.",
    (
        TENANT,
        ROW_TIME,
        TIME_SOURCE,
        Column(
            "observed_time", TIME, "observed_time_unix_nano; its 64 bits as sent, 0 where unset", "Delta(8), ZSTD(1)"
        ),
        TRACE_ID,
        SPAN_ID,
        Column("flags", "UInt32", "W3C trace flags"),
        SERVICE_NAME,
        Column(
            "severity_number",
            "Int32",
            "SeverityNumber: 1-4 trace, 5-8 debug, 9-12 info, 13-16 warn, 17-20 error, 21-24 fatal",
        ),
        Column("severity_text", LC, "the source's own word for the severity"),
        Column("event_name", LC, "names the event, where the record is one"),
        Column("body", "String", "a string body as it is; any other as JSON text; empty where unset"),
        Column(
            "body_type",
            "UInt8",
            "the body's AnyValue field number: 0 unset, 1 string, 2 bool, 3 int, 4 double, 5 array, 6 kvlist, 7 bytes, 8 strindex",
        ),
        RESOURCE_ID,
        SCOPE_ID,
        *attribute_columns("attributes", "log attributes"),
        Column("dropped_attributes_count", "UInt32", "as sent"),
    ),
    order_by=("tenant", "service_name", "time"),
    indexes=(
        Index("trace", "trace_id", "bloom_filter(0.01)"),
        Index("words", "body", "text(tokenizer = 'splitByNonAlpha')"),
    ),
    settings=(*BY_DAY, *BUCKETED_MAPS),
    sharding_key="if(trace_id = toFixedString('', 16), rand(), cityHash64(trace_id))",
    partition_by="toDate(time)",
    retention="logs",
)

SERIES_ID = Column("series_id", "UInt64", "fingerprint of resource, scope, metric and attributes: see `series`")
SERIES = Table(
    "series",
    "One row a series: a metric with one set of attributes from one resource and scope.",
    (
        TENANT,
        SERIES_ID,
        RESOURCE_ID,
        SCOPE_ID,
        SERVICE_NAME,
        Column("name", LC, "metric name as sent"),
        Column("description", LC, "metric description"),
        Column("unit", LC, "metric unit (UCUM)"),
        Column(
            "type",
            "UInt8",
            "the Metric's field number: 5 gauge, 7 sum, 9 histogram, 10 exponential histogram, 11 summary",
        ),
        Column("temporality", "Int32", "AggregationTemporality: 0 unspecified, 1 delta, 2 cumulative"),
        Column("is_monotonic", "Bool", "of a sum"),
        *small_attribute_columns("metadata", "metric metadata"),
        *attribute_columns("attributes", "point attributes"),
        *seen_columns(),
    ),
    order_by=("tenant", "name", "series_id"),
    sharding_key="series_id",
    engine="AggregatingMergeTree",
    settings=MERGED_BY_ID,
)

START_TIME = Column("start_time", TIME, "start_time_unix_nano; its 64 bits as sent, 0 where unset", "Delta(8), ZSTD(1)")
METRIC = Column("metric", LC, "metric name as sent: `name` of its series")
POINT_HEAD = (TENANT, METRIC, SERIES_ID, ROW_TIME, TIME_SOURCE, START_TIME)
FLAGS = Column("flags", "UInt32", "DataPointFlags; bit 0: no recorded value")
VALUE = (
    Column(
        "value",
        "Float64",
        "the double as sent (NaN bits kept), or the int as the nearest double",
        "Delta(8), ZSTD(3)",
    ),
    Column("value_remainder", "Int64", "an int's difference to `value`, mod 2^64: 0 but beyond 2^53", "ZSTD(1)"),
    Column("value_type", "UInt8", "0 none, 1 double, 2 int"),
)
OPTIONAL_SUMMARY = (
    Column("sum", "Nullable(Float64)", "NULL where not sent"),
    Column("min", "Nullable(Float64)", "NULL where not sent"),
    Column("max", "Nullable(Float64)", "NULL where not sent"),
)


def points_table(name: str, comment: str, columns: tuple[Column, ...]) -> Table:
    return Table(
        name,
        comment,
        (*POINT_HEAD, *columns),
        # An hour of a metric lies together: what is asked of a metric reads the hours asked for, whatever its number of series.
        order_by=("tenant", "metric", "toStartOfHour(time)", "series_id", "time"),
        sharding_key="series_id",
        settings=BY_DAY,
        partition_by="toDate(time)",
        retention="metrics",
    )


POINTS_NUMBER = points_table("points_number", "Gauge and sum points.", (*VALUE, FLAGS))
POINTS_HISTOGRAM = points_table(
    "points_histogram",
    "Explicit-bucket histogram points.",
    (
        Column("count", "UInt64", "number of values"),
        *OPTIONAL_SUMMARY,
        Column("bucket_counts", "Array(UInt64)", "one more than explicit_bounds, or none"),
        Column("explicit_bounds", "Array(Float64)", "upper bounds, inclusive"),
        FLAGS,
    ),
)
POINTS_EXPONENTIAL_HISTOGRAM = points_table(
    "points_exponential_histogram",
    "Exponential histogram points.",
    (
        Column("count", "UInt64", "number of values"),
        *OPTIONAL_SUMMARY,
        Column("scale", "Int32", "base is 2^(2^-scale)"),
        Column("zero_count", "UInt64", "values within zero_threshold of 0"),
        Column("zero_threshold", "Float64", "width of the zero bucket"),
        Column("positive_offset", "Int32", "index of the first positive bucket"),
        Column("positive_bucket_counts", "Array(UInt64)", "counts from there on"),
        Column("negative_offset", "Int32", "index of the first negative bucket"),
        Column("negative_bucket_counts", "Array(UInt64)", "counts from there on"),
        FLAGS,
    ),
)
POINTS_SUMMARY = points_table(
    "points_summary",
    "Summary points.",
    (
        Column("count", "UInt64", "number of values"),
        Column("sum", "Float64", "sum of the values"),
        Column("quantile_values.quantile", "Array(Float64)", "quantile, 0 to 1"),
        Column("quantile_values.value", "Array(Float64)", "value at that quantile"),
        FLAGS,
    ),
)
EXEMPLARS = Table(
    "exemplars",
    "One row an exemplar; it belongs to the point of the same series_id, point_time and start_time.",
    (
        TENANT,
        METRIC,
        SERIES_ID,
        Column("point_time", TIME, "`time` of the point it belongs to", "Delta(8), ZSTD(1)"),
        START_TIME,
        Column("time", TIME, "time_unix_nano of the exemplar; its 64 bits as sent", "Delta(8), ZSTD(1)"),
        *VALUE,
        TRACE_ID,
        SPAN_ID,
        *small_attribute_columns("filtered_attributes", "filtered attributes"),
    ),
    order_by=("tenant", "metric", "toStartOfHour(point_time)", "series_id", "point_time"),
    sharding_key="series_id",
    settings=BY_DAY,
    partition_by="toDate(point_time)",
    retention="metrics",
    ttl_column="point_time",
)

TABLES: tuple[Table, ...] = (
    RESOURCES,
    SCOPES,
    SPANS,
    LOGS,
    SERIES,
    POINTS_NUMBER,
    POINTS_HISTOGRAM,
    POINTS_EXPONENTIAL_HISTOGRAM,
    POINTS_SUMMARY,
    EXEMPLARS,
)


def table(name: str) -> Table:
    """The table `name`; KeyError where there is none."""
    for candidate in TABLES:
        if candidate.name == name:
            return candidate
    raise KeyError(f"no table {name}")
