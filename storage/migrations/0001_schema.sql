-- The first schema. Frozen: a change is a new migration.
CREATE TABLE IF NOT EXISTS {{table resources}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `resource_id` UInt64 COMMENT 'fingerprint of the resource: see `resources`',
    `service_name` LowCardinality(String) COMMENT 'the resource\'s service.name, empty where it has none',
    `service_namespace` LowCardinality(String) COMMENT 'the resource\'s service.namespace',
    `service_version` LowCardinality(String) COMMENT 'the resource\'s service.version',
    `service_instance_id` String COMMENT 'the resource\'s service.instance.id',
    `deployment_environment` LowCardinality(String) COMMENT 'deployment.environment.name, or the older deployment.environment',
    `attributes_string` Map(LowCardinality(String), String) COMMENT 'resource attributes with string values',
    `attributes_int` Map(LowCardinality(String), Int64) COMMENT 'resource attributes with int values',
    `attributes_double` Map(LowCardinality(String), Float64) COMMENT 'resource attributes with double values',
    `attributes_bool` Map(LowCardinality(String), Bool) COMMENT 'resource attributes with bool values',
    `attributes_json` Map(LowCardinality(String), String) COMMENT 'resource attributes of any other kind, as JSON text',
    `dropped_attributes_count` UInt32 COMMENT 'as sent',
    `entity_refs` String COMMENT 'JSON text of the entity references, empty where there are none',
    `schema_url` LowCardinality(String) COMMENT 'of the ResourceSpans, ResourceMetrics or ResourceLogs',
    `first_seen` SimpleAggregateFunction(min, DateTime64(9, 'UTC')) COMMENT 'receipt time of the first record that named it',
    `last_seen` SimpleAggregateFunction(max, DateTime64(9, 'UTC')) COMMENT 'the same of the last, to about a day'
)
ENGINE = {{engine AggregatingMergeTree resources}}
ORDER BY (tenant, resource_id)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1, allow_dimensions_outside_sorting_key = 1
COMMENT 'One row a resource: what sent the telemetry.'
;
{{distributed resources resource_id}}
;
CREATE TABLE IF NOT EXISTS {{table scopes}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `scope_id` UInt64 COMMENT 'fingerprint of the instrumentation scope: see `scopes`',
    `name` LowCardinality(String) COMMENT 'instrumentation scope name',
    `version` LowCardinality(String) COMMENT 'instrumentation scope version',
    `attributes_string` Map(LowCardinality(String), String) COMMENT 'scope attributes with string values',
    `attributes_int` Map(LowCardinality(String), Int64) COMMENT 'scope attributes with int values',
    `attributes_double` Map(LowCardinality(String), Float64) COMMENT 'scope attributes with double values',
    `attributes_bool` Map(LowCardinality(String), Bool) COMMENT 'scope attributes with bool values',
    `attributes_json` Map(LowCardinality(String), String) COMMENT 'scope attributes of any other kind, as JSON text',
    `dropped_attributes_count` UInt32 COMMENT 'as sent',
    `schema_url` LowCardinality(String) COMMENT 'of the ScopeSpans, ScopeMetrics or ScopeLogs',
    `first_seen` SimpleAggregateFunction(min, DateTime64(9, 'UTC')) COMMENT 'receipt time of the first record that named it',
    `last_seen` SimpleAggregateFunction(max, DateTime64(9, 'UTC')) COMMENT 'the same of the last, to about a day'
)
ENGINE = {{engine AggregatingMergeTree scopes}}
ORDER BY (tenant, scope_id)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1, allow_dimensions_outside_sorting_key = 1
COMMENT 'One row an instrumentation scope.'
;
{{distributed scopes scope_id}}
;
CREATE TABLE IF NOT EXISTS {{table spans}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `time` DateTime64(9, 'UTC') COMMENT 'what the row is sorted, kept and dropped by' CODEC(Delta(8), ZSTD(1)),
    `time_source` UInt8 COMMENT '0 the record\'s own time, 1 its next best, 2 the time of receipt',
    `duration_nano` Int64 COMMENT 'end minus start, ns, wrapping; with time_source 0 the end is time + duration; 0 otherwise' CODEC(ZSTD(1)),
    `trace_id` FixedString(16) COMMENT 'W3C trace id, 16 bytes; all zero where the record has none',
    `span_id` FixedString(8) COMMENT 'W3C span id, 8 bytes; all zero where the record has none',
    `parent_span_id` FixedString(8) COMMENT 'all zero for a root',
    `trace_state` String COMMENT 'W3C tracestate',
    `flags` UInt32 COMMENT 'W3C trace flags and the remote bits',
    `service_name` LowCardinality(String) COMMENT 'the resource\'s service.name, empty where it has none',
    `name` LowCardinality(String) COMMENT 'span name',
    `kind` Int32 COMMENT 'SpanKind: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer',
    `status_code` Int32 COMMENT '0 unset, 1 ok, 2 error',
    `status_message` String COMMENT 'status description',
    `resource_id` UInt64 COMMENT 'fingerprint of the resource: see `resources`',
    `scope_id` UInt64 COMMENT 'fingerprint of the instrumentation scope: see `scopes`',
    `attributes_string` Map(LowCardinality(String), String) COMMENT 'span attributes with string values',
    `attributes_int` Map(LowCardinality(String), Int64) COMMENT 'span attributes with int values',
    `attributes_double` Map(LowCardinality(String), Float64) COMMENT 'span attributes with double values',
    `attributes_bool` Map(LowCardinality(String), Bool) COMMENT 'span attributes with bool values',
    `attributes_json` Map(LowCardinality(String), String) COMMENT 'span attributes of any other kind, as JSON text',
    `dropped_attributes_count` UInt32 COMMENT 'as sent',
    `events.time` Array(DateTime64(9, 'UTC')) COMMENT 'event time; its 64 bits as sent',
    `events.name` Array(LowCardinality(String)) COMMENT 'event name',
    `events.attributes_string` Array(Map(LowCardinality(String), String)) COMMENT 'event attributes with string values',
    `events.attributes_json` Array(Map(LowCardinality(String), String)) COMMENT 'event attributes of any other kind, as JSON text',
    `events.dropped_attributes_count` Array(UInt32) COMMENT 'as sent',
    `dropped_events_count` UInt32 COMMENT 'as sent',
    `links.trace_id` Array(FixedString(16)) COMMENT 'linked trace',
    `links.span_id` Array(FixedString(8)) COMMENT 'linked span',
    `links.trace_state` Array(String) COMMENT 'tracestate of the linked span',
    `links.flags` Array(UInt32) COMMENT 'flags of the linked span',
    `links.attributes_string` Array(Map(LowCardinality(String), String)) COMMENT 'link attributes with string values',
    `links.attributes_json` Array(Map(LowCardinality(String), String)) COMMENT 'link attributes of any other kind, as JSON text',
    `links.dropped_attributes_count` Array(UInt32) COMMENT 'as sent',
    `dropped_links_count` UInt32 COMMENT 'as sent',
    INDEX trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {{engine MergeTree spans}}
PARTITION BY toDate(time)
ORDER BY (tenant, service_name, time)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, map_serialization_version = 'with_buckets', map_buckets_min_avg_size = 2
COMMENT 'One row a span, events and links nested.'
;
{{distributed spans cityHash64(trace_id)}}
;
CREATE TABLE IF NOT EXISTS {{table logs}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `time` DateTime64(9, 'UTC') COMMENT 'what the row is sorted, kept and dropped by' CODEC(Delta(8), ZSTD(1)),
    `time_source` UInt8 COMMENT '0 the record\'s own time, 1 its next best, 2 the time of receipt',
    `observed_time` DateTime64(9, 'UTC') COMMENT 'observed_time_unix_nano; its 64 bits as sent, 0 where unset' CODEC(Delta(8), ZSTD(1)),
    `trace_id` FixedString(16) COMMENT 'W3C trace id, 16 bytes; all zero where the record has none',
    `span_id` FixedString(8) COMMENT 'W3C span id, 8 bytes; all zero where the record has none',
    `flags` UInt32 COMMENT 'W3C trace flags',
    `service_name` LowCardinality(String) COMMENT 'the resource\'s service.name, empty where it has none',
    `severity_number` Int32 COMMENT 'SeverityNumber: 1-4 trace, 5-8 debug, 9-12 info, 13-16 warn, 17-20 error, 21-24 fatal',
    `severity_text` LowCardinality(String) COMMENT 'the source\'s own word for the severity',
    `event_name` LowCardinality(String) COMMENT 'names the event, where the record is one',
    `body` String COMMENT 'a string body as it is; any other as JSON text; empty where unset',
    `body_type` UInt8 COMMENT 'the body\'s AnyValue field number: 0 unset, 1 string, 2 bool, 3 int, 4 double, 5 array, 6 kvlist, 7 bytes, 8 strindex',
    `resource_id` UInt64 COMMENT 'fingerprint of the resource: see `resources`',
    `scope_id` UInt64 COMMENT 'fingerprint of the instrumentation scope: see `scopes`',
    `attributes_string` Map(LowCardinality(String), String) COMMENT 'log attributes with string values',
    `attributes_int` Map(LowCardinality(String), Int64) COMMENT 'log attributes with int values',
    `attributes_double` Map(LowCardinality(String), Float64) COMMENT 'log attributes with double values',
    `attributes_bool` Map(LowCardinality(String), Bool) COMMENT 'log attributes with bool values',
    `attributes_json` Map(LowCardinality(String), String) COMMENT 'log attributes of any other kind, as JSON text',
    `dropped_attributes_count` UInt32 COMMENT 'as sent',
    INDEX trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX words body TYPE text(tokenizer = 'splitByNonAlpha') GRANULARITY 1
)
ENGINE = {{engine MergeTree logs}}
PARTITION BY toDate(time)
ORDER BY (tenant, service_name, time)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, map_serialization_version = 'with_buckets', map_buckets_min_avg_size = 2
COMMENT 'One row a log record.'
;
{{distributed logs if(trace_id = toFixedString('', 16), rand(), cityHash64(trace_id))}}
;
CREATE TABLE IF NOT EXISTS {{table series}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `series_id` UInt64 COMMENT 'fingerprint of resource, scope, metric and attributes: see `series`',
    `resource_id` UInt64 COMMENT 'fingerprint of the resource: see `resources`',
    `scope_id` UInt64 COMMENT 'fingerprint of the instrumentation scope: see `scopes`',
    `service_name` LowCardinality(String) COMMENT 'the resource\'s service.name, empty where it has none',
    `name` LowCardinality(String) COMMENT 'metric name as sent',
    `description` LowCardinality(String) COMMENT 'metric description',
    `unit` LowCardinality(String) COMMENT 'metric unit (UCUM)',
    `type` UInt8 COMMENT 'the Metric\'s field number: 5 gauge, 7 sum, 9 histogram, 10 exponential histogram, 11 summary',
    `temporality` Int32 COMMENT 'AggregationTemporality: 0 unspecified, 1 delta, 2 cumulative',
    `is_monotonic` Bool COMMENT 'of a sum',
    `metadata_string` Map(LowCardinality(String), String) COMMENT 'metric metadata with string values',
    `metadata_json` Map(LowCardinality(String), String) COMMENT 'metric metadata of any other kind, as JSON text',
    `attributes_string` Map(LowCardinality(String), String) COMMENT 'point attributes with string values',
    `attributes_int` Map(LowCardinality(String), Int64) COMMENT 'point attributes with int values',
    `attributes_double` Map(LowCardinality(String), Float64) COMMENT 'point attributes with double values',
    `attributes_bool` Map(LowCardinality(String), Bool) COMMENT 'point attributes with bool values',
    `attributes_json` Map(LowCardinality(String), String) COMMENT 'point attributes of any other kind, as JSON text',
    `first_seen` SimpleAggregateFunction(min, DateTime64(9, 'UTC')) COMMENT 'receipt time of the first record that named it',
    `last_seen` SimpleAggregateFunction(max, DateTime64(9, 'UTC')) COMMENT 'the same of the last, to about a day'
)
ENGINE = {{engine AggregatingMergeTree series}}
ORDER BY (tenant, name, series_id)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1, allow_dimensions_outside_sorting_key = 1
COMMENT 'One row a series: a metric with one set of attributes from one resource and scope.'
;
{{distributed series series_id}}
;
CREATE TABLE IF NOT EXISTS {{table points_number}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `series_id` UInt64 COMMENT 'fingerprint of resource, scope, metric and attributes: see `series`',
    `time` DateTime64(9, 'UTC') COMMENT 'what the row is sorted, kept and dropped by' CODEC(Delta(8), ZSTD(1)),
    `time_source` UInt8 COMMENT '0 the record\'s own time, 1 its next best, 2 the time of receipt',
    `start_time` DateTime64(9, 'UTC') COMMENT 'start_time_unix_nano; its 64 bits as sent, 0 where unset' CODEC(Delta(8), ZSTD(1)),
    `value` Float64 COMMENT 'the double as sent (NaN bits kept), or the int as the nearest double' CODEC(Delta(8), ZSTD(3)),
    `value_remainder` Int64 COMMENT 'an int\'s difference to `value`, mod 2^64: 0 but beyond 2^53' CODEC(ZSTD(1)),
    `value_type` UInt8 COMMENT '0 none, 1 double, 2 int',
    `flags` UInt32 COMMENT 'DataPointFlags; bit 0: no recorded value'
)
ENGINE = {{engine MergeTree points_number}}
PARTITION BY toDate(time)
ORDER BY (tenant, series_id, time)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'Gauge and sum points.'
;
{{distributed points_number series_id}}
;
CREATE TABLE IF NOT EXISTS {{table points_histogram}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `series_id` UInt64 COMMENT 'fingerprint of resource, scope, metric and attributes: see `series`',
    `time` DateTime64(9, 'UTC') COMMENT 'what the row is sorted, kept and dropped by' CODEC(Delta(8), ZSTD(1)),
    `time_source` UInt8 COMMENT '0 the record\'s own time, 1 its next best, 2 the time of receipt',
    `start_time` DateTime64(9, 'UTC') COMMENT 'start_time_unix_nano; its 64 bits as sent, 0 where unset' CODEC(Delta(8), ZSTD(1)),
    `count` UInt64 COMMENT 'number of values',
    `sum` Nullable(Float64) COMMENT 'NULL where not sent',
    `min` Nullable(Float64) COMMENT 'NULL where not sent',
    `max` Nullable(Float64) COMMENT 'NULL where not sent',
    `bucket_counts` Array(UInt64) COMMENT 'one more than explicit_bounds, or none',
    `explicit_bounds` Array(Float64) COMMENT 'upper bounds, inclusive',
    `flags` UInt32 COMMENT 'DataPointFlags; bit 0: no recorded value'
)
ENGINE = {{engine MergeTree points_histogram}}
PARTITION BY toDate(time)
ORDER BY (tenant, series_id, time)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'Explicit-bucket histogram points.'
;
{{distributed points_histogram series_id}}
;
CREATE TABLE IF NOT EXISTS {{table points_exponential_histogram}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `series_id` UInt64 COMMENT 'fingerprint of resource, scope, metric and attributes: see `series`',
    `time` DateTime64(9, 'UTC') COMMENT 'what the row is sorted, kept and dropped by' CODEC(Delta(8), ZSTD(1)),
    `time_source` UInt8 COMMENT '0 the record\'s own time, 1 its next best, 2 the time of receipt',
    `start_time` DateTime64(9, 'UTC') COMMENT 'start_time_unix_nano; its 64 bits as sent, 0 where unset' CODEC(Delta(8), ZSTD(1)),
    `count` UInt64 COMMENT 'number of values',
    `sum` Nullable(Float64) COMMENT 'NULL where not sent',
    `min` Nullable(Float64) COMMENT 'NULL where not sent',
    `max` Nullable(Float64) COMMENT 'NULL where not sent',
    `scale` Int32 COMMENT 'base is 2^(2^-scale)',
    `zero_count` UInt64 COMMENT 'values within zero_threshold of 0',
    `zero_threshold` Float64 COMMENT 'width of the zero bucket',
    `positive_offset` Int32 COMMENT 'index of the first positive bucket',
    `positive_bucket_counts` Array(UInt64) COMMENT 'counts from there on',
    `negative_offset` Int32 COMMENT 'index of the first negative bucket',
    `negative_bucket_counts` Array(UInt64) COMMENT 'counts from there on',
    `flags` UInt32 COMMENT 'DataPointFlags; bit 0: no recorded value'
)
ENGINE = {{engine MergeTree points_exponential_histogram}}
PARTITION BY toDate(time)
ORDER BY (tenant, series_id, time)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'Exponential histogram points.'
;
{{distributed points_exponential_histogram series_id}}
;
CREATE TABLE IF NOT EXISTS {{table points_summary}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `series_id` UInt64 COMMENT 'fingerprint of resource, scope, metric and attributes: see `series`',
    `time` DateTime64(9, 'UTC') COMMENT 'what the row is sorted, kept and dropped by' CODEC(Delta(8), ZSTD(1)),
    `time_source` UInt8 COMMENT '0 the record\'s own time, 1 its next best, 2 the time of receipt',
    `start_time` DateTime64(9, 'UTC') COMMENT 'start_time_unix_nano; its 64 bits as sent, 0 where unset' CODEC(Delta(8), ZSTD(1)),
    `count` UInt64 COMMENT 'number of values',
    `sum` Float64 COMMENT 'sum of the values',
    `quantile_values.quantile` Array(Float64) COMMENT 'quantile, 0 to 1',
    `quantile_values.value` Array(Float64) COMMENT 'value at that quantile',
    `flags` UInt32 COMMENT 'DataPointFlags; bit 0: no recorded value'
)
ENGINE = {{engine MergeTree points_summary}}
PARTITION BY toDate(time)
ORDER BY (tenant, series_id, time)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'Summary points.'
;
{{distributed points_summary series_id}}
;
CREATE TABLE IF NOT EXISTS {{table exemplars}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `series_id` UInt64 COMMENT 'fingerprint of resource, scope, metric and attributes: see `series`',
    `point_time` DateTime64(9, 'UTC') COMMENT '`time` of the point it belongs to' CODEC(Delta(8), ZSTD(1)),
    `start_time` DateTime64(9, 'UTC') COMMENT 'start_time_unix_nano; its 64 bits as sent, 0 where unset' CODEC(Delta(8), ZSTD(1)),
    `time` DateTime64(9, 'UTC') COMMENT 'time_unix_nano of the exemplar; its 64 bits as sent' CODEC(Delta(8), ZSTD(1)),
    `value` Float64 COMMENT 'the double as sent (NaN bits kept), or the int as the nearest double' CODEC(Delta(8), ZSTD(3)),
    `value_remainder` Int64 COMMENT 'an int\'s difference to `value`, mod 2^64: 0 but beyond 2^53' CODEC(ZSTD(1)),
    `value_type` UInt8 COMMENT '0 none, 1 double, 2 int',
    `trace_id` FixedString(16) COMMENT 'W3C trace id, 16 bytes; all zero where the record has none',
    `span_id` FixedString(8) COMMENT 'W3C span id, 8 bytes; all zero where the record has none',
    `filtered_attributes_string` Map(LowCardinality(String), String) COMMENT 'filtered attributes with string values',
    `filtered_attributes_json` Map(LowCardinality(String), String) COMMENT 'filtered attributes of any other kind, as JSON text'
)
ENGINE = {{engine MergeTree exemplars}}
PARTITION BY toDate(point_time)
ORDER BY (tenant, series_id, point_time)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'One row an exemplar; it belongs to the point of the same series_id, point_time and start_time.'
;
{{distributed exemplars series_id}}
;
CREATE TABLE IF NOT EXISTS {{table span_minutes}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `service_name` LowCardinality(String) COMMENT 'the resource\'s service.name, empty where it has none',
    `name` LowCardinality(String) COMMENT 'span name',
    `kind` Int32 COMMENT 'SpanKind',
    `minute` DateTime('UTC') COMMENT 'start of the minute' CODEC(Delta(4), ZSTD(1)),
    `calls` SimpleAggregateFunction(sum, UInt64) COMMENT 'spans',
    `errors` SimpleAggregateFunction(sum, UInt64) COMMENT 'spans with status_code 2',
    `duration_sum` SimpleAggregateFunction(sum, Int64) COMMENT 'of duration_nano, ns; negative ones count as 0',
    `duration_quantiles` AggregateFunction(quantileBFloat16, Float64) COMMENT 'of duration_nano rounded to 1/32 of itself; read with quantileBFloat16Merge(level) or quantilesBFloat16Merge'
)
ENGINE = {{engine AggregatingMergeTree span_minutes}}
PARTITION BY toMonday(minute)
ORDER BY (tenant, service_name, name, kind, minute)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Rate, errors and durations of each service and operation by the minute.'
;
{{distributed span_minutes cityHash64(service_name)}}
;
CREATE TABLE IF NOT EXISTS {{table log_minutes}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `service_name` LowCardinality(String) COMMENT 'the resource\'s service.name, empty where it has none',
    `severity_number` Int32 COMMENT 'SeverityNumber',
    `minute` DateTime('UTC') COMMENT 'start of the minute' CODEC(Delta(4), ZSTD(1)),
    `records` SimpleAggregateFunction(sum, UInt64) COMMENT 'log records',
    `body_bytes` SimpleAggregateFunction(sum, UInt64) COMMENT 'bytes of their bodies'
)
ENGINE = {{engine AggregatingMergeTree log_minutes}}
PARTITION BY toMonday(minute)
ORDER BY (tenant, service_name, severity_number, minute)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Log records of each service and severity by the minute.'
;
{{distributed log_minutes cityHash64(service_name)}}
;
CREATE TABLE IF NOT EXISTS {{table trace_ranges}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `trace_id` FixedString(16) COMMENT 'W3C trace id, 16 bytes; all zero where the record has none',
    `day` Date COMMENT 'of the first span in the block',
    `first` SimpleAggregateFunction(min, DateTime64(0, 'UTC')) COMMENT 'time of its first span, rounded down',
    `last` SimpleAggregateFunction(max, DateTime64(0, 'UTC')) COMMENT 'time (start) of its last span, rounded down',
    `spans` SimpleAggregateFunction(sum, UInt64) COMMENT 'spans'
)
ENGINE = {{engine AggregatingMergeTree trace_ranges}}
PARTITION BY day
ORDER BY (tenant, trace_id, day)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'When each trace was: where to look for its spans. A trace may have several rows; take the min and the max.'
;
{{distributed trace_ranges cityHash64(trace_id)}}
;
CREATE TABLE IF NOT EXISTS {{table attribute_keys}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `source` LowCardinality(String) COMMENT 'where the attribute stands: spans, logs, series (metric points) or resources',
    `type` LowCardinality(String) COMMENT 'string, int, double, bool or json: the map that holds it',
    `key` LowCardinality(String) COMMENT 'attribute key',
    `day` Date COMMENT 'day of the records',
    `blocks` SimpleAggregateFunction(sum, UInt64) COMMENT 'inserted blocks that had it: a rough measure of how common it is'
)
ENGINE = {{engine AggregatingMergeTree attribute_keys}}
ORDER BY (tenant, source, key, type, day)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Attribute keys in use, by the day; at most 1000 of each type of each inserted block.'
;
{{distributed attribute_keys cityHash64(key)}}
;
CREATE TABLE IF NOT EXISTS {{table attribute_values}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `source` LowCardinality(String) COMMENT 'where the attribute stands: spans, logs, series (metric points) or resources',
    `type` LowCardinality(String) COMMENT 'string, int, double, bool or json: the map that holds it',
    `key` LowCardinality(String) COMMENT 'attribute key',
    `value` String COMMENT 'value as text, 128 bytes at most',
    `day` Date COMMENT 'day of the records',
    `records` SimpleAggregateFunction(sum, UInt64) COMMENT 'sampled records that had it'
)
ENGINE = {{engine AggregatingMergeTree attribute_values}}
ORDER BY (tenant, source, key, type, value, day)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Frequent attribute values, by the day, from one record in 64 (resources and series: from all).'
;
{{distributed attribute_values cityHash64(key)}}
;
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table spans_span_minutes}}{{on_cluster}}
TO {{table span_minutes}}
AS SELECT tenant, service_name, name, kind,
    toStartOfMinute(toDateTime(time, 'UTC')) AS minute,
    count() AS calls,
    countIf(status_code = 2) AS errors,
    sum(greatest(duration_nano, 0)) AS duration_sum,
    quantileBFloat16State(reinterpretAsFloat64(bitAnd(
        reinterpretAsUInt64(toFloat64(greatest(duration_nano, 0))) + 0x0000800000000000, 0xFFFF000000000000
    ))) AS duration_quantiles
FROM {{table spans}}
GROUP BY tenant, service_name, name, kind, minute
;
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table spans_trace_ranges}}{{on_cluster}}
TO {{table trace_ranges}}
AS SELECT tenant, trace_id,
    toDate(first) AS day,
    toDateTime64(min(time), 0, 'UTC') - (min(time) < toDateTime64(0, 9, 'UTC')) AS first,
    toDateTime64(max(time), 0, 'UTC') AS last,
    count() AS spans
FROM {{table spans}}
GROUP BY tenant, trace_id
;
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table logs_log_minutes}}{{on_cluster}}
TO {{table log_minutes}}
AS SELECT tenant, service_name, severity_number,
    toStartOfMinute(toDateTime(time, 'UTC')) AS minute,
    count() AS records,
    sum(length(body)) AS body_bytes
FROM {{table logs}}
GROUP BY tenant, service_name, severity_number, minute
;
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table spans_attribute_keys}}{{on_cluster}}
TO {{table attribute_keys}}
AS SELECT tenant, 'spans' AS source, pair.1 AS type, pair.2 AS key, day, toUInt64(1) AS blocks
FROM
(
    SELECT tenant,
        toDate(time) AS day,
        groupUniqArrayArray(1000)(mapKeys(attributes_string)) AS string_keys,
        groupUniqArrayArray(1000)(mapKeys(attributes_int)) AS int_keys,
        groupUniqArrayArray(1000)(mapKeys(attributes_double)) AS double_keys,
        groupUniqArrayArray(1000)(mapKeys(attributes_bool)) AS bool_keys,
        groupUniqArrayArray(1000)(mapKeys(attributes_json)) AS json_keys
    FROM {{table spans}}
    GROUP BY tenant, day
)
ARRAY JOIN arrayConcat(arrayMap(key -> ('string', key), string_keys), arrayMap(key -> ('int', key), int_keys), arrayMap(key -> ('double', key), double_keys), arrayMap(key -> ('bool', key), bool_keys), arrayMap(key -> ('json', key), json_keys)) AS pair
;
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table logs_attribute_keys}}{{on_cluster}}
TO {{table attribute_keys}}
AS SELECT tenant, 'logs' AS source, pair.1 AS type, pair.2 AS key, day, toUInt64(1) AS blocks
FROM
(
    SELECT tenant,
        toDate(time) AS day,
        groupUniqArrayArray(1000)(mapKeys(attributes_string)) AS string_keys,
        groupUniqArrayArray(1000)(mapKeys(attributes_int)) AS int_keys,
        groupUniqArrayArray(1000)(mapKeys(attributes_double)) AS double_keys,
        groupUniqArrayArray(1000)(mapKeys(attributes_bool)) AS bool_keys,
        groupUniqArrayArray(1000)(mapKeys(attributes_json)) AS json_keys
    FROM {{table logs}}
    GROUP BY tenant, day
)
ARRAY JOIN arrayConcat(arrayMap(key -> ('string', key), string_keys), arrayMap(key -> ('int', key), int_keys), arrayMap(key -> ('double', key), double_keys), arrayMap(key -> ('bool', key), bool_keys), arrayMap(key -> ('json', key), json_keys)) AS pair
;
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table series_attribute_keys}}{{on_cluster}}
TO {{table attribute_keys}}
AS SELECT tenant, 'series' AS source, pair.1 AS type, pair.2 AS key, day, toUInt64(1) AS blocks
FROM
(
    SELECT tenant,
        toDate(last_seen) AS day,
        groupUniqArrayArray(1000)(mapKeys(attributes_string)) AS string_keys,
        groupUniqArrayArray(1000)(mapKeys(attributes_int)) AS int_keys,
        groupUniqArrayArray(1000)(mapKeys(attributes_double)) AS double_keys,
        groupUniqArrayArray(1000)(mapKeys(attributes_bool)) AS bool_keys,
        groupUniqArrayArray(1000)(mapKeys(attributes_json)) AS json_keys
    FROM {{table series}}
    GROUP BY tenant, day
)
ARRAY JOIN arrayConcat(arrayMap(key -> ('string', key), string_keys), arrayMap(key -> ('int', key), int_keys), arrayMap(key -> ('double', key), double_keys), arrayMap(key -> ('bool', key), bool_keys), arrayMap(key -> ('json', key), json_keys)) AS pair
;
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table resources_attribute_keys}}{{on_cluster}}
TO {{table attribute_keys}}
AS SELECT tenant, 'resources' AS source, pair.1 AS type, pair.2 AS key, day, toUInt64(1) AS blocks
FROM
(
    SELECT tenant,
        toDate(last_seen) AS day,
        groupUniqArrayArray(1000)(mapKeys(attributes_string)) AS string_keys,
        groupUniqArrayArray(1000)(mapKeys(attributes_int)) AS int_keys,
        groupUniqArrayArray(1000)(mapKeys(attributes_double)) AS double_keys,
        groupUniqArrayArray(1000)(mapKeys(attributes_bool)) AS bool_keys,
        groupUniqArrayArray(1000)(mapKeys(attributes_json)) AS json_keys
    FROM {{table resources}}
    GROUP BY tenant, day
)
ARRAY JOIN arrayConcat(arrayMap(key -> ('string', key), string_keys), arrayMap(key -> ('int', key), int_keys), arrayMap(key -> ('double', key), double_keys), arrayMap(key -> ('bool', key), bool_keys), arrayMap(key -> ('json', key), json_keys)) AS pair
;
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table spans_attribute_values}}{{on_cluster}}
TO {{table attribute_values}}
AS SELECT tenant, 'spans' AS source, attribute.1 AS type, attribute.2 AS key, attribute.3 AS value, day, count() AS records
FROM
(
    SELECT tenant,
        toDate(time) AS day,
        arrayConcat(
            arrayMap((key, value) -> ('string', key, value), mapKeys(attributes_string), mapValues(attributes_string)),
            arrayMap((key, value) -> ('int', key, toString(value)), mapKeys(attributes_int), mapValues(attributes_int)),
            arrayMap((key, value) -> ('bool', key, if(value, 'true', 'false')), mapKeys(attributes_bool), mapValues(attributes_bool))
        ) AS attributes
    FROM {{table spans}}
    WHERE reinterpretAsUInt64(span_id) % 64 = 0
)
ARRAY JOIN attributes AS attribute
WHERE length(value) <= 128
GROUP BY tenant, type, key, value, day
ORDER BY records DESC, value
LIMIT 10 BY tenant, type, key, day
;
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table logs_attribute_values}}{{on_cluster}}
TO {{table attribute_values}}
AS SELECT tenant, 'logs' AS source, attribute.1 AS type, attribute.2 AS key, attribute.3 AS value, day, count() AS records
FROM
(
    SELECT tenant,
        toDate(time) AS day,
        arrayConcat(
            arrayMap((key, value) -> ('string', key, value), mapKeys(attributes_string), mapValues(attributes_string)),
            arrayMap((key, value) -> ('int', key, toString(value)), mapKeys(attributes_int), mapValues(attributes_int)),
            arrayMap((key, value) -> ('bool', key, if(value, 'true', 'false')), mapKeys(attributes_bool), mapValues(attributes_bool))
        ) AS attributes
    FROM {{table logs}}
    WHERE intHash64(reinterpretAsUInt64(time)) % 64 = 0
)
ARRAY JOIN attributes AS attribute
WHERE length(value) <= 128
GROUP BY tenant, type, key, value, day
ORDER BY records DESC, value
LIMIT 10 BY tenant, type, key, day
;
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table series_attribute_values}}{{on_cluster}}
TO {{table attribute_values}}
AS SELECT tenant, 'series' AS source, attribute.1 AS type, attribute.2 AS key, attribute.3 AS value, day, count() AS records
FROM
(
    SELECT tenant,
        toDate(last_seen) AS day,
        arrayConcat(
            arrayMap((key, value) -> ('string', key, value), mapKeys(attributes_string), mapValues(attributes_string)),
            arrayMap((key, value) -> ('int', key, toString(value)), mapKeys(attributes_int), mapValues(attributes_int)),
            arrayMap((key, value) -> ('bool', key, if(value, 'true', 'false')), mapKeys(attributes_bool), mapValues(attributes_bool))
        ) AS attributes
    FROM {{table series}}
    WHERE 1
)
ARRAY JOIN attributes AS attribute
WHERE length(value) <= 128
GROUP BY tenant, type, key, value, day
ORDER BY records DESC, value
LIMIT 10 BY tenant, type, key, day
;
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table resources_attribute_values}}{{on_cluster}}
TO {{table attribute_values}}
AS SELECT tenant, 'resources' AS source, attribute.1 AS type, attribute.2 AS key, attribute.3 AS value, day, count() AS records
FROM
(
    SELECT tenant,
        toDate(last_seen) AS day,
        arrayConcat(
            arrayMap((key, value) -> ('string', key, value), mapKeys(attributes_string), mapValues(attributes_string)),
            arrayMap((key, value) -> ('int', key, toString(value)), mapKeys(attributes_int), mapValues(attributes_int)),
            arrayMap((key, value) -> ('bool', key, if(value, 'true', 'false')), mapKeys(attributes_bool), mapValues(attributes_bool))
        ) AS attributes
    FROM {{table resources}}
    WHERE 1
)
ARRAY JOIN attributes AS attribute
WHERE length(value) <= 128
GROUP BY tenant, type, key, value, day
ORDER BY records DESC, value
LIMIT 10 BY tenant, type, key, day
;
CREATE VIEW IF NOT EXISTS {{view otel_traces}}{{on_cluster}}
AS SELECT
    time AS Timestamp,
    lower(hex(trace_id)) AS TraceId,
    lower(hex(span_id)) AS SpanId,
    if(parent_span_id = toFixedString('', 8), '', lower(hex(parent_span_id))) AS ParentSpanId,
    trace_state AS TraceState,
    name AS SpanName,
    CAST(if(kind BETWEEN 0 AND 5, ['Unspecified', 'Internal', 'Server', 'Client', 'Producer', 'Consumer'][kind + 1], 'Unspecified'), 'LowCardinality(String)') AS SpanKind,
    service_name AS ServiceName,
    resource_attributes AS ResourceAttributes,
    scope_name AS ScopeName,
    scope_version AS ScopeVersion,
    CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS SpanAttributes,
    toUInt64(greatest(duration_nano, 0)) AS Duration,
    CAST(if(status_code BETWEEN 0 AND 2, ['Unset', 'Ok', 'Error'][status_code + 1], 'Unset'), 'LowCardinality(String)') AS StatusCode,
    status_message AS StatusMessage,
    events.time AS `Events.Timestamp`,
    events.name AS `Events.Name`,
    CAST(arrayMap((a, b) -> mapConcat(a, b), `events.attributes_string`, `events.attributes_json`), 'Array(Map(LowCardinality(String), String))') AS `Events.Attributes`,
    arrayMap(id -> lower(hex(id)), links.trace_id) AS `Links.TraceId`,
    arrayMap(id -> lower(hex(id)), links.span_id) AS `Links.SpanId`,
    links.trace_state AS `Links.TraceState`,
    CAST(arrayMap((a, b) -> mapConcat(a, b), `links.attributes_string`, `links.attributes_json`), 'Array(Map(LowCardinality(String), String))') AS `Links.Attributes`
FROM {{view spans}} AS spans
GLOBAL ANY LEFT JOIN (
    SELECT tenant, resource_id, schema_url AS resource_schema_url, CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS resource_attributes
    FROM {{view resources}}
) AS r USING (tenant, resource_id)
GLOBAL ANY LEFT JOIN (
    SELECT tenant, scope_id, name AS scope_name, version AS scope_version, schema_url AS scope_schema_url,
        dropped_attributes_count AS scope_dropped_attributes_count, CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS scope_attributes
    FROM {{view scopes}}
) AS c USING (tenant, scope_id)
COMMENT 'As the OpenTelemetry Collector exporter shapes it.'
;
CREATE VIEW IF NOT EXISTS {{view otel_traces_trace_id_ts}}{{on_cluster}}
AS SELECT
    lower(hex(trace_id)) AS TraceId,
    toDateTime(min(first), 'UTC') AS Start,
    toDateTime(max(last), 'UTC') AS End
FROM {{view trace_ranges}}
GROUP BY trace_id
COMMENT 'As the OpenTelemetry Collector exporter shapes it.'
;
CREATE VIEW IF NOT EXISTS {{view otel_logs}}{{on_cluster}}
AS SELECT
    time AS Timestamp,
    toDateTime(time) AS TimestampTime,
    if(trace_id = toFixedString('', 16), '', lower(hex(trace_id))) AS TraceId,
    if(span_id = toFixedString('', 8), '', lower(hex(span_id))) AS SpanId,
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
    CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS LogAttributes,
    event_name AS EventName
FROM {{view logs}} AS logs
GLOBAL ANY LEFT JOIN (
    SELECT tenant, resource_id, schema_url AS resource_schema_url, CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS resource_attributes
    FROM {{view resources}}
) AS r USING (tenant, resource_id)
GLOBAL ANY LEFT JOIN (
    SELECT tenant, scope_id, name AS scope_name, version AS scope_version, schema_url AS scope_schema_url,
        dropped_attributes_count AS scope_dropped_attributes_count, CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS scope_attributes
    FROM {{view scopes}}
) AS c USING (tenant, scope_id)
COMMENT 'As the OpenTelemetry Collector exporter shapes it.'
;
CREATE VIEW IF NOT EXISTS {{view otel_metrics_gauge}}{{on_cluster}}
AS SELECT
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
    value AS Value,
    flags AS Flags,
    CAST([], 'Array(Map(LowCardinality(String), String))') AS `Exemplars.FilteredAttributes`,
    CAST([], 'Array(DateTime64(9))') AS `Exemplars.TimeUnix`,
    CAST([], 'Array(Float64)') AS `Exemplars.Value`,
    CAST([], 'Array(String)') AS `Exemplars.SpanId`,
    CAST([], 'Array(String)') AS `Exemplars.TraceId`
FROM {{view points_number}} AS points
GLOBAL ANY LEFT JOIN (
    SELECT tenant, series_id, resource_id, scope_id, service_name, name, description, unit, type, temporality, is_monotonic,
        CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS series_attributes
    FROM {{view series}}
) AS s USING (tenant, series_id)
GLOBAL ANY LEFT JOIN (
    SELECT tenant, resource_id, schema_url AS resource_schema_url, CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS resource_attributes
    FROM {{view resources}}
) AS r USING (tenant, resource_id)
GLOBAL ANY LEFT JOIN (
    SELECT tenant, scope_id, name AS scope_name, version AS scope_version, schema_url AS scope_schema_url,
        dropped_attributes_count AS scope_dropped_attributes_count, CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS scope_attributes
    FROM {{view scopes}}
) AS c USING (tenant, scope_id)
WHERE type = 5
COMMENT 'As the OpenTelemetry Collector exporter shapes it.'
;
CREATE VIEW IF NOT EXISTS {{view otel_metrics_sum}}{{on_cluster}}
AS SELECT
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
    value AS Value,
    flags AS Flags,
    CAST([], 'Array(Map(LowCardinality(String), String))') AS `Exemplars.FilteredAttributes`,
    CAST([], 'Array(DateTime64(9))') AS `Exemplars.TimeUnix`,
    CAST([], 'Array(Float64)') AS `Exemplars.Value`,
    CAST([], 'Array(String)') AS `Exemplars.SpanId`,
    CAST([], 'Array(String)') AS `Exemplars.TraceId`,
    temporality AS AggregationTemporality,
    is_monotonic AS IsMonotonic
FROM {{view points_number}} AS points
GLOBAL ANY LEFT JOIN (
    SELECT tenant, series_id, resource_id, scope_id, service_name, name, description, unit, type, temporality, is_monotonic,
        CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS series_attributes
    FROM {{view series}}
) AS s USING (tenant, series_id)
GLOBAL ANY LEFT JOIN (
    SELECT tenant, resource_id, schema_url AS resource_schema_url, CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS resource_attributes
    FROM {{view resources}}
) AS r USING (tenant, resource_id)
GLOBAL ANY LEFT JOIN (
    SELECT tenant, scope_id, name AS scope_name, version AS scope_version, schema_url AS scope_schema_url,
        dropped_attributes_count AS scope_dropped_attributes_count, CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS scope_attributes
    FROM {{view scopes}}
) AS c USING (tenant, scope_id)
WHERE type = 7
COMMENT 'As the OpenTelemetry Collector exporter shapes it.'
;
CREATE VIEW IF NOT EXISTS {{view otel_metrics_histogram}}{{on_cluster}}
AS SELECT
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
    count AS Count,
    ifNull(sum, 0) AS Sum,
    bucket_counts AS BucketCounts,
    explicit_bounds AS ExplicitBounds,
    CAST([], 'Array(Map(LowCardinality(String), String))') AS `Exemplars.FilteredAttributes`,
    CAST([], 'Array(DateTime64(9))') AS `Exemplars.TimeUnix`,
    CAST([], 'Array(Float64)') AS `Exemplars.Value`,
    CAST([], 'Array(String)') AS `Exemplars.SpanId`,
    CAST([], 'Array(String)') AS `Exemplars.TraceId`,
    flags AS Flags,
    ifNull(min, 0) AS Min,
    ifNull(max, 0) AS Max,
    temporality AS AggregationTemporality
FROM {{view points_histogram}} AS points
GLOBAL ANY LEFT JOIN (
    SELECT tenant, series_id, resource_id, scope_id, service_name, name, description, unit, type, temporality, is_monotonic,
        CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS series_attributes
    FROM {{view series}}
) AS s USING (tenant, series_id)
GLOBAL ANY LEFT JOIN (
    SELECT tenant, resource_id, schema_url AS resource_schema_url, CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS resource_attributes
    FROM {{view resources}}
) AS r USING (tenant, resource_id)
GLOBAL ANY LEFT JOIN (
    SELECT tenant, scope_id, name AS scope_name, version AS scope_version, schema_url AS scope_schema_url,
        dropped_attributes_count AS scope_dropped_attributes_count, CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS scope_attributes
    FROM {{view scopes}}
) AS c USING (tenant, scope_id)
WHERE type = 9
COMMENT 'As the OpenTelemetry Collector exporter shapes it.'
;
CREATE VIEW IF NOT EXISTS {{view otel_metrics_exponential_histogram}}{{on_cluster}}
AS SELECT
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
    count AS Count,
    ifNull(sum, 0) AS Sum,
    scale AS Scale,
    zero_count AS ZeroCount,
    positive_offset AS PositiveOffset,
    positive_bucket_counts AS PositiveBucketCounts,
    negative_offset AS NegativeOffset,
    negative_bucket_counts AS NegativeBucketCounts,
    CAST([], 'Array(Map(LowCardinality(String), String))') AS `Exemplars.FilteredAttributes`,
    CAST([], 'Array(DateTime64(9))') AS `Exemplars.TimeUnix`,
    CAST([], 'Array(Float64)') AS `Exemplars.Value`,
    CAST([], 'Array(String)') AS `Exemplars.SpanId`,
    CAST([], 'Array(String)') AS `Exemplars.TraceId`,
    flags AS Flags,
    ifNull(min, 0) AS Min,
    ifNull(max, 0) AS Max,
    temporality AS AggregationTemporality
FROM {{view points_exponential_histogram}} AS points
GLOBAL ANY LEFT JOIN (
    SELECT tenant, series_id, resource_id, scope_id, service_name, name, description, unit, type, temporality, is_monotonic,
        CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS series_attributes
    FROM {{view series}}
) AS s USING (tenant, series_id)
GLOBAL ANY LEFT JOIN (
    SELECT tenant, resource_id, schema_url AS resource_schema_url, CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS resource_attributes
    FROM {{view resources}}
) AS r USING (tenant, resource_id)
GLOBAL ANY LEFT JOIN (
    SELECT tenant, scope_id, name AS scope_name, version AS scope_version, schema_url AS scope_schema_url,
        dropped_attributes_count AS scope_dropped_attributes_count, CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS scope_attributes
    FROM {{view scopes}}
) AS c USING (tenant, scope_id)
WHERE type = 10
COMMENT 'As the OpenTelemetry Collector exporter shapes it.'
;
CREATE VIEW IF NOT EXISTS {{view otel_metrics_summary}}{{on_cluster}}
AS SELECT
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
    count AS Count,
    sum AS Sum,
    quantile_values.quantile AS `ValueAtQuantiles.Quantile`,
    quantile_values.value AS `ValueAtQuantiles.Value`,
    flags AS Flags
FROM {{view points_summary}} AS points
GLOBAL ANY LEFT JOIN (
    SELECT tenant, series_id, resource_id, scope_id, service_name, name, description, unit, type, temporality, is_monotonic,
        CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS series_attributes
    FROM {{view series}}
) AS s USING (tenant, series_id)
GLOBAL ANY LEFT JOIN (
    SELECT tenant, resource_id, schema_url AS resource_schema_url, CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS resource_attributes
    FROM {{view resources}}
) AS r USING (tenant, resource_id)
GLOBAL ANY LEFT JOIN (
    SELECT tenant, scope_id, name AS scope_name, version AS scope_version, schema_url AS scope_schema_url,
        dropped_attributes_count AS scope_dropped_attributes_count, CAST(mapConcat(attributes_string, mapApply((k, v) -> (k, toString(v)), attributes_int), mapApply((k, v) -> (k, toString(v)), attributes_double), mapApply((k, v) -> (k, if(v, 'true', 'false')), attributes_bool), attributes_json), 'Map(LowCardinality(String), String)') AS scope_attributes
    FROM {{view scopes}}
) AS c USING (tenant, scope_id)
WHERE type = 11
COMMENT 'As the OpenTelemetry Collector exporter shapes it.'
;
