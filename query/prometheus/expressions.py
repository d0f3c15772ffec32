"""What is read of a point for each part of it, as SQL: `SQL AS name`, or names."""

from __future__ import annotations

from sonde.query.prometheus.points import IS_STALE, STALE_VALUE

NUMBER = f"if({IS_STALE}, {STALE_VALUE}, value) AS value"
HAS_VALUE = f"(value_type != 0 OR {IS_STALE})"
STALE_FLAG = f"{IS_STALE} AS stale"
COUNT = f"if({IS_STALE}, {STALE_VALUE}, toFloat64(count)) AS count"
SUM = f"if({IS_STALE}, {STALE_VALUE}, sum) AS sum"
BUCKETS = ("count", "bucket_counts", "explicit_bounds", STALE_FLAG)
QUANTILES = ("`quantile_values.quantile` AS quantile", "`quantile_values.value` AS quantile_value", STALE_FLAG)
EXPONENTIAL = (
    *("count", "sum", "scale", "zero_count", "zero_threshold", STALE_FLAG),
    *("positive_offset", "positive_bucket_counts AS positive_counts"),
    *("negative_offset", "negative_bucket_counts AS negative_counts"),
)
