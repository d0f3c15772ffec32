-- What metrics there are, apart from their series.
CREATE TABLE IF NOT EXISTS {{table metrics}}{{on_cluster}}
(
    `tenant` LowCardinality(String) COMMENT 'whose data this is',
    `name` LowCardinality(String) COMMENT 'metric name as sent',
    `unit` LowCardinality(String) COMMENT 'metric unit (UCUM)',
    `type` UInt8 COMMENT 'the Metric\'s field number: 5 gauge, 7 sum, 9 histogram, 10 exponential histogram, 11 summary',
    `temporality` Int32 COMMENT 'AggregationTemporality: 0 unspecified, 1 delta, 2 cumulative',
    `is_monotonic` Bool COMMENT 'of a sum',
    `description` LowCardinality(String) COMMENT 'metric description',
    `prometheus_type` LowCardinality(String) COMMENT 'metadata `prometheus.type`: set where the metric came by remote write',
    `prometheus_counts` LowCardinality(String) COMMENT 'metadata `prometheus.counts`',
    `first_seen` SimpleAggregateFunction(min, DateTime64(9, 'UTC')) COMMENT 'receipt time of the first record that named it',
    `last_seen` SimpleAggregateFunction(max, DateTime64(9, 'UTC')) COMMENT 'the same of the last, to about a day'
)
ENGINE = {{engine AggregatingMergeTree metrics}}
ORDER BY (tenant, name, unit, type, temporality, is_monotonic, description, prometheus_type, prometheus_counts)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_bytes_for_wide_part = 41943040, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'One row a metric: what its series have in common. To find a metric by its Prometheus name, all of them are read.'
;
{{distributed metrics cityHash64(name)}}
;
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table series_metrics}}{{on_cluster}}
TO {{table metrics}}
AS SELECT tenant, name, unit, type, temporality, is_monotonic, description,
    metadata_string['prometheus.type'] AS prometheus_type,
    metadata_string['prometheus.counts'] AS prometheus_counts,
    min(series.first_seen) AS first_seen,
    max(series.last_seen) AS last_seen
FROM {{table series}} AS series
GROUP BY tenant, name, unit, type, temporality, is_monotonic, description, prometheus_type, prometheus_counts
;
INSERT INTO {{view metrics}} (tenant, name, unit, type, temporality, is_monotonic, description, prometheus_type, prometheus_counts, first_seen, last_seen)
SELECT tenant, name, unit, type, temporality, is_monotonic, description,
    metadata_string['prometheus.type'] AS prometheus_type,
    metadata_string['prometheus.counts'] AS prometheus_counts,
    min(series.first_seen) AS first_seen,
    max(series.last_seen) AS last_seen
FROM {{view series}} AS series
GROUP BY tenant, name, unit, type, temporality, is_monotonic, description, prometheus_type, prometheus_counts
;
