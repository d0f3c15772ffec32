-- What summaries of metric points over windows of 5 minutes and an hour are kept in, and what says which hours they hold for.
CREATE TABLE IF NOT EXISTS {{table point_hours}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `source` LowCardinality(String) COMMENT 'the table of points',
    `end_time` DateTime64(0, 'UTC') COMMENT 'right edge of the hour, which holds it and not its left one',
    `points` SimpleAggregateFunction(sum, UInt64) COMMENT 'points inserted so far; those that retention has removed since still count'
)
ENGINE = {{engine AggregatingMergeTree point_hours}}
PARTITION BY toYYYYMM(end_time)
ORDER BY (tenant, source, end_time)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'How many points each hour has got, late ones too: whether what was summarised of it still holds.'
;
{{distributed point_hours cityHash64(tenant)}}
;
CREATE TABLE IF NOT EXISTS {{table rollup_hours}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `kind` LowCardinality(String) COMMENT 'what was summarised: a table of points, or a part of its series',
    `end_time` DateTime('UTC') COMMENT 'right edge of the window, which holds it and not its left one' CODEC(Delta(4), ZSTD(1)),
    `version` UInt64 COMMENT 'when it was summarised, unix ns: of rows that say the same the newest counts',
    `points` UInt64 COMMENT 'what `point_hours` had when its points were read: while it still has, this holds'
)
ENGINE = {{engine ReplacingMergeTree(version) rollup_hours}}
PARTITION BY toYYYYMM(end_time)
ORDER BY (tenant, kind, end_time)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Which hours of points are summarised in the tables `points_*_5m` and `points_*_1h`.'
;
{{distributed rollup_hours cityHash64(tenant)}}
;
CREATE TABLE IF NOT EXISTS {{table points_number_5m}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `metric` LowCardinality(String) COMMENT 'metric name as sent: `name` of its series',
    `series_id` UInt64 COMMENT 'fingerprint of resource, scope, metric and attributes: see `series`',
    `end_time` DateTime('UTC') COMMENT 'right edge of the window, which holds it and not its left one' CODEC(Delta(4), ZSTD(1)),
    `version` UInt64 COMMENT 'when it was summarised, unix ns: of rows that say the same the newest counts',
    `count` UInt32 COMMENT 'samples that are no stale markers; all but `stale_time` is of these',
    `first_time` DateTime64(3, 'UTC') COMMENT 'time of the first sample' CODEC(Delta(8), ZSTD(1)),
    `first` Float64 COMMENT 'value of the first sample' CODEC(Delta(8), ZSTD(3)),
    `last_time` DateTime64(3, 'UTC') COMMENT 'time of the last sample' CODEC(Delta(8), ZSTD(1)),
    `last` Float64 COMMENT 'value of the last sample' CODEC(Delta(8), ZSTD(3)),
    `sum` Float64 COMMENT 'of the values' CODEC(Delta(8), ZSTD(3)),
    `min` Float64 COMMENT 'smallest value, NaN where there is no other' CODEC(Delta(8), ZSTD(3)),
    `max` Float64 COMMENT 'largest value, NaN where there is no other' CODEC(Delta(8), ZSTD(3)),
    `lost` Float64 COMMENT 'what a counter had counted whenever it was reset between the first sample and the last' CODEC(Delta(8), ZSTD(3)),
    `first_start` DateTime64(3, 'UTC') COMMENT 'start time of the first sample, 0 where unset' CODEC(Delta(8), ZSTD(1)),
    `last_start` DateTime64(3, 'UTC') COMMENT 'start time of the last sample, 0 where unset' CODEC(Delta(8), ZSTD(1)),
    `stale_time` DateTime64(3, 'UTC') COMMENT 'time of the last stale marker where it is later than the last sample, else 0' CODEC(Delta(8), ZSTD(1)),
    `overlaps` UInt8 COMMENT '1 where a sample began to count before the one before it was taken'
)
ENGINE = {{engine ReplacingMergeTree(version) points_number_5m}}
PARTITION BY toYYYYMM(end_time)
ORDER BY (tenant, metric, series_id, end_time)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'What the samples of a series in 5m come to: see docs/decisions/metric-rollups.md.'
;
{{distributed points_number_5m series_id}}
;
CREATE TABLE IF NOT EXISTS {{table points_number_1h}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `metric` LowCardinality(String) COMMENT 'metric name as sent: `name` of its series',
    `series_id` UInt64 COMMENT 'fingerprint of resource, scope, metric and attributes: see `series`',
    `end_time` DateTime('UTC') COMMENT 'right edge of the window, which holds it and not its left one' CODEC(Delta(4), ZSTD(1)),
    `version` UInt64 COMMENT 'when it was summarised, unix ns: of rows that say the same the newest counts',
    `count` UInt32 COMMENT 'samples that are no stale markers; all but `stale_time` is of these',
    `first_time` DateTime64(3, 'UTC') COMMENT 'time of the first sample' CODEC(Delta(8), ZSTD(1)),
    `first` Float64 COMMENT 'value of the first sample' CODEC(Delta(8), ZSTD(3)),
    `last_time` DateTime64(3, 'UTC') COMMENT 'time of the last sample' CODEC(Delta(8), ZSTD(1)),
    `last` Float64 COMMENT 'value of the last sample' CODEC(Delta(8), ZSTD(3)),
    `sum` Float64 COMMENT 'of the values' CODEC(Delta(8), ZSTD(3)),
    `min` Float64 COMMENT 'smallest value, NaN where there is no other' CODEC(Delta(8), ZSTD(3)),
    `max` Float64 COMMENT 'largest value, NaN where there is no other' CODEC(Delta(8), ZSTD(3)),
    `lost` Float64 COMMENT 'what a counter had counted whenever it was reset between the first sample and the last' CODEC(Delta(8), ZSTD(3)),
    `first_start` DateTime64(3, 'UTC') COMMENT 'start time of the first sample, 0 where unset' CODEC(Delta(8), ZSTD(1)),
    `last_start` DateTime64(3, 'UTC') COMMENT 'start time of the last sample, 0 where unset' CODEC(Delta(8), ZSTD(1)),
    `stale_time` DateTime64(3, 'UTC') COMMENT 'time of the last stale marker where it is later than the last sample, else 0' CODEC(Delta(8), ZSTD(1)),
    `overlaps` UInt8 COMMENT '1 where a sample began to count before the one before it was taken'
)
ENGINE = {{engine ReplacingMergeTree(version) points_number_1h}}
PARTITION BY toYYYYMM(end_time)
ORDER BY (tenant, metric, series_id, end_time)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'What the samples of a series in 1h come to: see docs/decisions/metric-rollups.md.'
;
{{distributed points_number_1h series_id}}
;
CREATE TABLE IF NOT EXISTS {{table points_histogram_5m}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `metric` LowCardinality(String) COMMENT 'metric name as sent: `name` of its series',
    `part` LowCardinality(String) COMMENT 'buckets: cumulative counts of the buckets, the last one of all values; sum: of the values',
    `series_id` UInt64 COMMENT 'fingerprint of resource, scope, metric and attributes: see `series`',
    `end_time` DateTime('UTC') COMMENT 'right edge of the window, which holds it and not its left one' CODEC(Delta(4), ZSTD(1)),
    `bounds` Array(Float64) COMMENT 'explicit_bounds; none for the sum' CODEC(ZSTD(3)),
    `version` UInt64 COMMENT 'when it was summarised, unix ns: of rows that say the same the newest counts',
    `count` UInt32 COMMENT 'samples that are no stale markers; all but `stale_time` is of these',
    `first_time` DateTime64(3, 'UTC') COMMENT 'time of the first sample' CODEC(Delta(8), ZSTD(1)),
    `first` Array(Float64) COMMENT 'of each bucket the value of the first sample' CODEC(ZSTD(3)),
    `last_time` DateTime64(3, 'UTC') COMMENT 'time of the last sample' CODEC(Delta(8), ZSTD(1)),
    `last` Array(Float64) COMMENT 'of each bucket the value of the last sample' CODEC(ZSTD(3)),
    `lost` Array(Float64) COMMENT 'of each bucket what it had counted whenever it was reset between the two' CODEC(ZSTD(3)),
    `first_start` DateTime64(3, 'UTC') COMMENT 'start time of the first sample, 0 where unset' CODEC(Delta(8), ZSTD(1)),
    `last_start` DateTime64(3, 'UTC') COMMENT 'start time of the last sample, 0 where unset' CODEC(Delta(8), ZSTD(1)),
    `stale_time` DateTime64(3, 'UTC') COMMENT 'time of the last stale marker where it is later than the last sample, else 0' CODEC(Delta(8), ZSTD(1)),
    `overlaps` UInt8 COMMENT '1 where a sample began to count before the one before it was taken'
)
ENGINE = {{engine ReplacingMergeTree(version) points_histogram_5m}}
PARTITION BY toYYYYMM(end_time)
ORDER BY (tenant, metric, part, series_id, end_time, bounds)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'What the counts and sums of a histogram in 5m come to: see docs/decisions/metric-rollups.md.'
;
{{distributed points_histogram_5m series_id}}
;
CREATE TABLE IF NOT EXISTS {{table points_histogram_1h}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `metric` LowCardinality(String) COMMENT 'metric name as sent: `name` of its series',
    `part` LowCardinality(String) COMMENT 'buckets: cumulative counts of the buckets, the last one of all values; sum: of the values',
    `series_id` UInt64 COMMENT 'fingerprint of resource, scope, metric and attributes: see `series`',
    `end_time` DateTime('UTC') COMMENT 'right edge of the window, which holds it and not its left one' CODEC(Delta(4), ZSTD(1)),
    `bounds` Array(Float64) COMMENT 'explicit_bounds; none for the sum' CODEC(ZSTD(3)),
    `version` UInt64 COMMENT 'when it was summarised, unix ns: of rows that say the same the newest counts',
    `count` UInt32 COMMENT 'samples that are no stale markers; all but `stale_time` is of these',
    `first_time` DateTime64(3, 'UTC') COMMENT 'time of the first sample' CODEC(Delta(8), ZSTD(1)),
    `first` Array(Float64) COMMENT 'of each bucket the value of the first sample' CODEC(ZSTD(3)),
    `last_time` DateTime64(3, 'UTC') COMMENT 'time of the last sample' CODEC(Delta(8), ZSTD(1)),
    `last` Array(Float64) COMMENT 'of each bucket the value of the last sample' CODEC(ZSTD(3)),
    `lost` Array(Float64) COMMENT 'of each bucket what it had counted whenever it was reset between the two' CODEC(ZSTD(3)),
    `first_start` DateTime64(3, 'UTC') COMMENT 'start time of the first sample, 0 where unset' CODEC(Delta(8), ZSTD(1)),
    `last_start` DateTime64(3, 'UTC') COMMENT 'start time of the last sample, 0 where unset' CODEC(Delta(8), ZSTD(1)),
    `stale_time` DateTime64(3, 'UTC') COMMENT 'time of the last stale marker where it is later than the last sample, else 0' CODEC(Delta(8), ZSTD(1)),
    `overlaps` UInt8 COMMENT '1 where a sample began to count before the one before it was taken'
)
ENGINE = {{engine ReplacingMergeTree(version) points_histogram_1h}}
PARTITION BY toYYYYMM(end_time)
ORDER BY (tenant, metric, part, series_id, end_time, bounds)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'What the counts and sums of a histogram in 1h come to: see docs/decisions/metric-rollups.md.'
;
{{distributed points_histogram_1h series_id}}
;
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table points_number_point_hours}}{{on_cluster}}
TO {{table point_hours}}
AS SELECT tenant, 'points_number' AS source,
    toDateTime64(intDiv(toUnixTimestamp64Milli(time) + 3599999, 3600000) * 3600, 0, 'UTC') AS end_time,
    count() AS points
FROM {{table points_number}}
GROUP BY tenant, end_time
;
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table points_histogram_point_hours}}{{on_cluster}}
TO {{table point_hours}}
AS SELECT tenant, 'points_histogram' AS source,
    toDateTime64(intDiv(toUnixTimestamp64Milli(time) + 3599999, 3600000) * 3600, 0, 'UTC') AS end_time,
    count() AS points
FROM {{table points_histogram}}
GROUP BY tenant, end_time
;
INSERT INTO {{view point_hours}} (tenant, source, end_time, points)
SELECT tenant, 'points_number' AS source,
    toDateTime64(intDiv(toUnixTimestamp64Milli(time) + 3599999, 3600000) * 3600, 0, 'UTC') AS end_time,
    count() AS points
FROM {{view points_number}}
GROUP BY tenant, end_time
SETTINGS max_partitions_per_insert_block = 0
;
INSERT INTO {{view point_hours}} (tenant, source, end_time, points)
SELECT tenant, 'points_histogram' AS source,
    toDateTime64(intDiv(toUnixTimestamp64Milli(time) + 3599999, 3600000) * 3600, 0, 'UTC') AS end_time,
    count() AS points
FROM {{view points_histogram}}
GROUP BY tenant, end_time
SETTINGS max_partitions_per_insert_block = 0
;
