"""Tags of the messages in opentelemetry/proto/metrics/v1/metrics.proto and of the request around them.

`NAME = tag(number, wire type)`. A repeated numeric field has two: packed (LEN) and one by one.
"""

from __future__ import annotations

from sonde.ingest.wire import FIXED64, LEN, VARINT, tag

# message ExportMetricsServiceRequest { repeated ResourceMetrics resource_metrics = 1; }
REQUEST_RESOURCE_METRICS = tag(1, LEN)

# message ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scope_metrics = 2; string schema_url = 3; }
RESOURCE_METRICS_RESOURCE = tag(1, LEN)
RESOURCE_METRICS_SCOPE_METRICS = tag(2, LEN)
RESOURCE_METRICS_SCHEMA_URL = tag(3, LEN)

# message ScopeMetrics { InstrumentationScope scope = 1; repeated Metric metrics = 2; string schema_url = 3; }
SCOPE_METRICS_SCOPE = tag(1, LEN)
SCOPE_METRICS_METRICS = tag(2, LEN)
SCOPE_METRICS_SCHEMA_URL = tag(3, LEN)

# message Metric {
#   string name = 1; string description = 2; string unit = 3;
#   oneof data { Gauge gauge = 5; Sum sum = 7; Histogram histogram = 9;
#                ExponentialHistogram exponential_histogram = 10; Summary summary = 11; }
#   repeated KeyValue metadata = 12;
# }
METRIC_NAME = tag(1, LEN)
METRIC_DESCRIPTION = tag(2, LEN)
METRIC_UNIT = tag(3, LEN)
METRIC_GAUGE = tag(5, LEN)
METRIC_SUM = tag(7, LEN)
METRIC_HISTOGRAM = tag(9, LEN)
METRIC_EXPONENTIAL_HISTOGRAM = tag(10, LEN)
METRIC_SUMMARY = tag(11, LEN)
METRIC_METADATA = tag(12, LEN)

# The kind of a metric is the number of its field in the oneof `data`, as in the column `series.type`.
NO_DATA = 0
GAUGE = 5
SUM = 7
HISTOGRAM = 9
EXPONENTIAL_HISTOGRAM = 10
SUMMARY = 11

# message Gauge { repeated NumberDataPoint data_points = 1; }, and so in the other four.
DATA_POINTS = tag(1, LEN)
# message Sum, Histogram, ExponentialHistogram { ... AggregationTemporality aggregation_temporality = 2; }
DATA_TEMPORALITY = tag(2, VARINT)
# message Sum { ... bool is_monotonic = 3; }
SUM_IS_MONOTONIC = tag(3, VARINT)

# message NumberDataPoint {
#   fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3;
#   oneof value { double as_double = 4; sfixed64 as_int = 6; }
#   repeated Exemplar exemplars = 5; repeated KeyValue attributes = 7; uint32 flags = 8;
# }
NUMBER_START_TIME = tag(2, FIXED64)
NUMBER_TIME = tag(3, FIXED64)
NUMBER_AS_DOUBLE = tag(4, FIXED64)
NUMBER_EXEMPLARS = tag(5, LEN)
NUMBER_AS_INT = tag(6, FIXED64)
NUMBER_ATTRIBUTES = tag(7, LEN)
NUMBER_FLAGS = tag(8, VARINT)

# message HistogramDataPoint {
#   fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; fixed64 count = 4; optional double sum = 5;
#   repeated fixed64 bucket_counts = 6; repeated double explicit_bounds = 7; repeated Exemplar exemplars = 8;
#   repeated KeyValue attributes = 9; uint32 flags = 10; optional double min = 11; optional double max = 12;
# }
HISTOGRAM_START_TIME = tag(2, FIXED64)
HISTOGRAM_TIME = tag(3, FIXED64)
HISTOGRAM_COUNT = tag(4, FIXED64)
HISTOGRAM_SUM = tag(5, FIXED64)
HISTOGRAM_BUCKET_COUNTS = tag(6, LEN)
HISTOGRAM_BUCKET_COUNT = tag(6, FIXED64)
HISTOGRAM_EXPLICIT_BOUNDS = tag(7, LEN)
HISTOGRAM_EXPLICIT_BOUND = tag(7, FIXED64)
HISTOGRAM_EXEMPLARS = tag(8, LEN)
HISTOGRAM_ATTRIBUTES = tag(9, LEN)
HISTOGRAM_FLAGS = tag(10, VARINT)
HISTOGRAM_MIN = tag(11, FIXED64)
HISTOGRAM_MAX = tag(12, FIXED64)

# message ExponentialHistogramDataPoint {
#   repeated KeyValue attributes = 1; fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; fixed64 count = 4;
#   optional double sum = 5; sint32 scale = 6; fixed64 zero_count = 7; Buckets positive = 8; Buckets negative = 9;
#   uint32 flags = 10; repeated Exemplar exemplars = 11; optional double min = 12; optional double max = 13;
#   double zero_threshold = 14;
# }
EXPONENTIAL_ATTRIBUTES = tag(1, LEN)
EXPONENTIAL_START_TIME = tag(2, FIXED64)
EXPONENTIAL_TIME = tag(3, FIXED64)
EXPONENTIAL_COUNT = tag(4, FIXED64)
EXPONENTIAL_SUM = tag(5, FIXED64)
EXPONENTIAL_SCALE = tag(6, VARINT)
EXPONENTIAL_ZERO_COUNT = tag(7, FIXED64)
EXPONENTIAL_POSITIVE = tag(8, LEN)
EXPONENTIAL_NEGATIVE = tag(9, LEN)
EXPONENTIAL_FLAGS = tag(10, VARINT)
EXPONENTIAL_EXEMPLARS = tag(11, LEN)
EXPONENTIAL_MIN = tag(12, FIXED64)
EXPONENTIAL_MAX = tag(13, FIXED64)
EXPONENTIAL_ZERO_THRESHOLD = tag(14, FIXED64)

# message Buckets { sint32 offset = 1; repeated uint64 bucket_counts = 2; }
BUCKETS_OFFSET = tag(1, VARINT)
BUCKETS_COUNTS = tag(2, LEN)
BUCKETS_COUNT = tag(2, VARINT)

# message SummaryDataPoint {
#   fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; fixed64 count = 4; double sum = 5;
#   repeated ValueAtQuantile quantile_values = 6; repeated KeyValue attributes = 7; uint32 flags = 8;
# }
SUMMARY_START_TIME = tag(2, FIXED64)
SUMMARY_TIME = tag(3, FIXED64)
SUMMARY_COUNT = tag(4, FIXED64)
SUMMARY_SUM = tag(5, FIXED64)
SUMMARY_QUANTILE_VALUES = tag(6, LEN)
SUMMARY_ATTRIBUTES = tag(7, LEN)
SUMMARY_FLAGS = tag(8, VARINT)

# message ValueAtQuantile { double quantile = 1; double value = 2; }
QUANTILE_QUANTILE = tag(1, FIXED64)
QUANTILE_VALUE = tag(2, FIXED64)

# message Exemplar {
#   repeated KeyValue filtered_attributes = 7; fixed64 time_unix_nano = 2;
#   oneof value { double as_double = 3; sfixed64 as_int = 6; } bytes span_id = 4; bytes trace_id = 5;
# }
EXEMPLAR_TIME = tag(2, FIXED64)
EXEMPLAR_AS_DOUBLE = tag(3, FIXED64)
EXEMPLAR_SPAN_ID = tag(4, LEN)
EXEMPLAR_TRACE_ID = tag(5, LEN)
EXEMPLAR_AS_INT = tag(6, FIXED64)
EXEMPLAR_FILTERED_ATTRIBUTES = tag(7, LEN)
