-- Points by metric and hour: what is asked of a metric reads no other. The rows move to tables of another name; the next two
-- migrations drop those by series, and give their names to these. Each can be cut off anywhere and run again.
CREATE TABLE IF NOT EXISTS {{table points_number_by_metric}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `metric` LowCardinality(String) COMMENT 'metric name as sent: `name` of its series',
    `series_id` UInt64 COMMENT 'fingerprint of resource, scope, metric and attributes: see `series`',
    `time` DateTime64(9, 'UTC') COMMENT 'what the row is sorted, kept and dropped by' CODEC(Delta(8), ZSTD(1)),
    `time_source` UInt8 COMMENT '0 the record\'s own time, 1 its next best, 2 the time of receipt',
    `start_time` DateTime64(9, 'UTC') COMMENT 'start_time_unix_nano; its 64 bits as sent, 0 where unset' CODEC(Delta(8), ZSTD(1)),
    `value` Float64 COMMENT 'the double as sent (NaN bits kept), or the int as the nearest double' CODEC(Delta(8), ZSTD(3)),
    `value_remainder` Int64 COMMENT 'an int\'s difference to `value`, mod 2^64: 0 but beyond 2^53' CODEC(ZSTD(1)),
    `value_type` UInt8 COMMENT '0 none, 1 double, 2 int',
    `flags` UInt32 COMMENT 'DataPointFlags; bit 0: no recorded value'
)
ENGINE = {{engine MergeTree points_number_by_metric}}
PARTITION BY toDate(time)
ORDER BY (tenant, metric, toStartOfHour(time), series_id, time)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'Gauge and sum points.'
;
{{distributed points_number_by_metric series_id}}
;
TRUNCATE TABLE {{table points_number_by_metric}}{{on_cluster}}
;
INSERT INTO {{view points_number_by_metric}} (tenant, metric, series_id, time, time_source, start_time, value, value_remainder, value_type, flags)
SELECT points.tenant, series.name, points.series_id, points.time, points.time_source, points.start_time, points.value, points.value_remainder, points.value_type, points.flags
FROM {{view points_number}} AS points
GLOBAL ANY LEFT JOIN (SELECT tenant, series_id, name FROM {{view series}}) AS series USING (tenant, series_id)
SETTINGS max_partitions_per_insert_block = 0, distributed_foreground_insert = 1
;
CREATE TABLE IF NOT EXISTS {{table points_histogram_by_metric}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `metric` LowCardinality(String) COMMENT 'metric name as sent: `name` of its series',
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
ENGINE = {{engine MergeTree points_histogram_by_metric}}
PARTITION BY toDate(time)
ORDER BY (tenant, metric, toStartOfHour(time), series_id, time)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'Explicit-bucket histogram points.'
;
{{distributed points_histogram_by_metric series_id}}
;
TRUNCATE TABLE {{table points_histogram_by_metric}}{{on_cluster}}
;
INSERT INTO {{view points_histogram_by_metric}} (tenant, metric, series_id, time, time_source, start_time, count, sum, min, max, bucket_counts, explicit_bounds, flags)
SELECT points.tenant, series.name, points.series_id, points.time, points.time_source, points.start_time, points.count, points.sum, points.min, points.max, points.bucket_counts, points.explicit_bounds, points.flags
FROM {{view points_histogram}} AS points
GLOBAL ANY LEFT JOIN (SELECT tenant, series_id, name FROM {{view series}}) AS series USING (tenant, series_id)
SETTINGS max_partitions_per_insert_block = 0, distributed_foreground_insert = 1
;
CREATE TABLE IF NOT EXISTS {{table points_exponential_histogram_by_metric}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `metric` LowCardinality(String) COMMENT 'metric name as sent: `name` of its series',
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
ENGINE = {{engine MergeTree points_exponential_histogram_by_metric}}
PARTITION BY toDate(time)
ORDER BY (tenant, metric, toStartOfHour(time), series_id, time)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'Exponential histogram points.'
;
{{distributed points_exponential_histogram_by_metric series_id}}
;
TRUNCATE TABLE {{table points_exponential_histogram_by_metric}}{{on_cluster}}
;
INSERT INTO {{view points_exponential_histogram_by_metric}} (tenant, metric, series_id, time, time_source, start_time, count, sum, min, max, scale, zero_count, zero_threshold, positive_offset, positive_bucket_counts, negative_offset, negative_bucket_counts, flags)
SELECT points.tenant, series.name, points.series_id, points.time, points.time_source, points.start_time, points.count, points.sum, points.min, points.max, points.scale, points.zero_count, points.zero_threshold, points.positive_offset, points.positive_bucket_counts, points.negative_offset, points.negative_bucket_counts, points.flags
FROM {{view points_exponential_histogram}} AS points
GLOBAL ANY LEFT JOIN (SELECT tenant, series_id, name FROM {{view series}}) AS series USING (tenant, series_id)
SETTINGS max_partitions_per_insert_block = 0, distributed_foreground_insert = 1
;
CREATE TABLE IF NOT EXISTS {{table points_summary_by_metric}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `metric` LowCardinality(String) COMMENT 'metric name as sent: `name` of its series',
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
ENGINE = {{engine MergeTree points_summary_by_metric}}
PARTITION BY toDate(time)
ORDER BY (tenant, metric, toStartOfHour(time), series_id, time)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'Summary points.'
;
{{distributed points_summary_by_metric series_id}}
;
TRUNCATE TABLE {{table points_summary_by_metric}}{{on_cluster}}
;
INSERT INTO {{view points_summary_by_metric}} (tenant, metric, series_id, time, time_source, start_time, count, sum, `quantile_values.quantile`, `quantile_values.value`, flags)
SELECT points.tenant, series.name, points.series_id, points.time, points.time_source, points.start_time, points.count, points.sum, points.`quantile_values.quantile`, points.`quantile_values.value`, points.flags
FROM {{view points_summary}} AS points
GLOBAL ANY LEFT JOIN (SELECT tenant, series_id, name FROM {{view series}}) AS series USING (tenant, series_id)
SETTINGS max_partitions_per_insert_block = 0, distributed_foreground_insert = 1
;
CREATE TABLE IF NOT EXISTS {{table exemplars_by_metric}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `metric` LowCardinality(String) COMMENT 'metric name as sent: `name` of its series',
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
ENGINE = {{engine MergeTree exemplars_by_metric}}
PARTITION BY toDate(point_time)
ORDER BY (tenant, metric, toStartOfHour(point_time), series_id, point_time)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'One row an exemplar; it belongs to the point of the same series_id, point_time and start_time.'
;
{{distributed exemplars_by_metric series_id}}
;
TRUNCATE TABLE {{table exemplars_by_metric}}{{on_cluster}}
;
INSERT INTO {{view exemplars_by_metric}} (tenant, metric, series_id, point_time, start_time, time, value, value_remainder, value_type, trace_id, span_id, filtered_attributes_string, filtered_attributes_json)
SELECT points.tenant, series.name, points.series_id, points.point_time, points.start_time, points.time, points.value, points.value_remainder, points.value_type, points.trace_id, points.span_id, points.filtered_attributes_string, points.filtered_attributes_json
FROM {{view exemplars}} AS points
GLOBAL ANY LEFT JOIN (SELECT tenant, series_id, name FROM {{view series}}) AS series USING (tenant, series_id)
SETTINGS max_partitions_per_insert_block = 0, distributed_foreground_insert = 1
;
