"""Kernels that decode data points and exemplars, read without checking: `scan_metrics` has proven every position.

opentelemetry/proto/metrics/v1/metrics.proto; its messages stand in `metrics_fields.py`.

They write to regions (regions.py). A row is cleared when it is begun, so that only what is set is written.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sonde.ingest import metrics_fields as f
from sonde.ingest.attributes import SMALL_MAPS, put_small_attribute
from sonde.ingest.fingerprint import attribute_hash
from sonde.ingest.kernel import inline, kernel, out_of_line
from sonde.ingest.regions import FILLED, filled, next_row
from sonde.ingest.wire import int64_at, low32, pass_field, take_len, take_tag, take_varint

# Regions.
NUMBERS, HISTOGRAMS, EXPONENTIAL_HISTOGRAMS, SUMMARIES, EXEMPLARS = range(5)
BUCKET_COUNTS, EXPLICIT_BOUNDS, POSITIVE_COUNTS, NEGATIVE_COUNTS, QUANTILES = range(5, 10)
FILTERED = 10
POINTS, METRICS, RESOURCE_RANGES, SCOPE_RANGES = range(FILTERED + SMALL_MAPS, FILTERED + SMALL_MAPS + 4)

# Columns of the points tables.
SERIES_ID = 0
NAME = 1
TIME = 2
TIME_SOURCE = 3
START_TIME = 4
FLAGS = 5

VALUE = 6
VALUE_REMAINDER = 7
VALUE_TYPE = 8
NUMBER_COLUMNS = 9

COUNT = 6
SUM = 7
SUM_SENT = 8
MIN = 9
MIN_SENT = 10
MAX = 11
MAX_SENT = 12
BUCKET_COUNTS_END = 13
EXPLICIT_BOUNDS_END = 14
HISTOGRAM_COLUMNS = 15

SCALE = 13
ZERO_COUNT = 14
ZERO_THRESHOLD = 15
POSITIVE_OFFSET = 16
POSITIVE_END = 17
NEGATIVE_OFFSET = 18
NEGATIVE_END = 19
EXPONENTIAL_COLUMNS = 20

QUANTILES_END = 8
SUMMARY_COLUMNS = 9

QUANTILE_COLUMNS = 2

# Columns of EXEMPLARS, but for those that it has in common with numbers.
POINT_TIME = 2
EXEMPLAR_TIME = 3
FILTERED_END = 9
EXEMPLAR_SPAN_ID = FILTERED_END + SMALL_MAPS
EXEMPLAR_TRACE_ID = EXEMPLAR_SPAN_ID + 1
EXEMPLAR_COLUMNS = EXEMPLAR_TRACE_ID + 2

NONE = -1
"""Where an id stands that is not there."""
FROM_RECEIPT = 2
"""time_source of a point without a time of its own."""
DOUBLE = 1
INT = 2
"""value_type."""


@inline
def clear_row(out: Any, at: int, column: int, columns: int) -> Any:
    for each in range(columns):
        out[at + each * column] = 0


@inline
def zigzag32(value: int) -> Any:
    """A sint32 field, of its varint."""
    low = low32(value)
    return (low >> 1) ^ -(low & 1)


@inline
def put_value(out: Any, at: int, column: int, buf: Any, pos: int, is_int: bool) -> Any:
    """as_double or as_int of a NumberDataPoint or Exemplar; the one that stands last holds (oneof)."""
    bits = int64_at(buf, pos)
    if is_int:
        nearest = np.float64(bits)
        # An int64 just below 2^63 rounds to it, which no int64 is: take it mod 2^64, as value_remainder is.
        back = np.int64(nearest) if nearest < 9223372036854775808.0 else np.int64(-9223372036854775808)
        out[at + VALUE * column] = nearest.view(np.int64)
        out[at + VALUE_REMAINDER * column] = bits - back
        out[at + VALUE_TYPE * column] = INT
    else:
        out[at + VALUE * column] = bits
        out[at + VALUE_REMAINDER * column] = 0
        out[at + VALUE_TYPE * column] = DOUBLE


@inline
def put_sent(out: Any, at: int, column: int, which: int, bits: int) -> Any:
    """An optional double, and that it was sent."""
    out[at + which * column] = bits
    out[at + (which + 1) * column] = 1


@inline
def put_head(out: Any, at: int, column: int, time: int, start_time: int, flags: int, received: int) -> Any:
    """The columns every points table begins with, but for SERIES_ID and NAME."""
    out[at + START_TIME * column] = start_time
    out[at + FLAGS * column] = low32(flags)
    if time != 0:
        out[at + TIME * column] = time
    else:
        out[at + TIME * column] = received
        out[at + TIME_SOURCE * column] = FROM_RECEIPT


@kernel
def decode_number_point(buf: Any, pos: int, end: int, received: int, at: int, column: int, out: Any, plan: Any) -> Any:
    """Decode the NumberDataPoint in [pos, end) to `at`; the sum of its attributes' hashes."""
    clear_row(out, at, column, NUMBER_COLUMNS)
    time, start_time, flags = 0, 0, 0
    attributes = np.uint64(0)
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == f.NUMBER_ATTRIBUTES:
            start, pos = take_len(buf, pos)
            attributes += attribute_hash(buf, start, pos)
        elif field == f.NUMBER_TIME:
            time = int64_at(buf, pos)
            pos += 8
        elif field == f.NUMBER_START_TIME:
            start_time = int64_at(buf, pos)
            pos += 8
        elif field == f.NUMBER_AS_DOUBLE or field == f.NUMBER_AS_INT:
            put_value(out, at, column, buf, pos, field == f.NUMBER_AS_INT)
            pos += 8
        elif field == f.NUMBER_FLAGS:
            flags, pos = take_varint(buf, pos)
        elif field == f.NUMBER_EXEMPLARS:
            start, pos = take_len(buf, pos)
            decode_exemplar(buf, start, pos, out, plan)
        else:
            pos = pass_field(buf, pos, field)
    put_head(out, at, column, time, start_time, flags, received)
    return attributes


@kernel
def decode_histogram_point(
    buf: Any, pos: int, end: int, received: int, at: int, column: int, out: Any, plan: Any
) -> Any:
    """Decode the HistogramDataPoint in [pos, end) to `at`; the sum of its attributes' hashes."""
    out_of_line()
    clear_row(out, at, column, HISTOGRAM_COLUMNS)
    time, start_time, flags = 0, 0, 0
    attributes = np.uint64(0)
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == f.HISTOGRAM_ATTRIBUTES:
            start, pos = take_len(buf, pos)
            attributes += attribute_hash(buf, start, pos)
        elif field == f.HISTOGRAM_BUCKET_COUNTS:
            start, pos = take_len(buf, pos)
            put_fixed64s(buf, start, pos, BUCKET_COUNTS, out, plan)
        elif field == f.HISTOGRAM_EXPLICIT_BOUNDS:
            start, pos = take_len(buf, pos)
            put_fixed64s(buf, start, pos, EXPLICIT_BOUNDS, out, plan)
        elif field == f.HISTOGRAM_TIME:
            time = int64_at(buf, pos)
            pos += 8
        elif field == f.HISTOGRAM_START_TIME:
            start_time = int64_at(buf, pos)
            pos += 8
        elif field == f.HISTOGRAM_COUNT:
            out[at + COUNT * column] = int64_at(buf, pos)
            pos += 8
        elif field == f.HISTOGRAM_SUM:
            put_sent(out, at, column, SUM, int64_at(buf, pos))
            pos += 8
        elif field == f.HISTOGRAM_MIN:
            put_sent(out, at, column, MIN, int64_at(buf, pos))
            pos += 8
        elif field == f.HISTOGRAM_MAX:
            put_sent(out, at, column, MAX, int64_at(buf, pos))
            pos += 8
        elif field == f.HISTOGRAM_BUCKET_COUNT:
            put_fixed64s(buf, pos, pos + 8, BUCKET_COUNTS, out, plan)
            pos += 8
        elif field == f.HISTOGRAM_EXPLICIT_BOUND:
            put_fixed64s(buf, pos, pos + 8, EXPLICIT_BOUNDS, out, plan)
            pos += 8
        elif field == f.HISTOGRAM_FLAGS:
            flags, pos = take_varint(buf, pos)
        elif field == f.HISTOGRAM_EXEMPLARS:
            start, pos = take_len(buf, pos)
            decode_exemplar(buf, start, pos, out, plan)
        else:
            pos = pass_field(buf, pos, field)
    out[at + BUCKET_COUNTS_END * column] = filled(plan, BUCKET_COUNTS)
    out[at + EXPLICIT_BOUNDS_END * column] = filled(plan, EXPLICIT_BOUNDS)
    put_head(out, at, column, time, start_time, flags, received)
    return attributes


@kernel
def put_fixed64s(buf: Any, pos: int, end: int, region: int, out: Any, plan: Any) -> Any:
    """Append the fixed64s or doubles in [pos, end), as their bits, to the list in `region`."""
    at = plan[region] + filled(plan, region)
    plan[FILLED + region] += (end - pos) >> 3
    while pos < end:
        out[at] = int64_at(buf, pos)
        at += 1
        pos += 8


@kernel
def decode_exponential_point(
    buf: Any, pos: int, end: int, received: int, at: int, column: int, out: Any, plan: Any
) -> Any:
    """Decode the ExponentialHistogramDataPoint in [pos, end) to `at`; the sum of its attributes' hashes."""
    out_of_line()
    clear_row(out, at, column, EXPONENTIAL_COLUMNS)
    time, start_time, flags = 0, 0, 0
    attributes = np.uint64(0)
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == f.EXPONENTIAL_ATTRIBUTES:
            start, pos = take_len(buf, pos)
            attributes += attribute_hash(buf, start, pos)
        elif field == f.EXPONENTIAL_POSITIVE:
            start, pos = take_len(buf, pos)
            decode_buckets(buf, start, pos, at + POSITIVE_OFFSET * column, POSITIVE_COUNTS, out, plan)
        elif field == f.EXPONENTIAL_NEGATIVE:
            start, pos = take_len(buf, pos)
            decode_buckets(buf, start, pos, at + NEGATIVE_OFFSET * column, NEGATIVE_COUNTS, out, plan)
        elif field == f.EXPONENTIAL_TIME:
            time = int64_at(buf, pos)
            pos += 8
        elif field == f.EXPONENTIAL_START_TIME:
            start_time = int64_at(buf, pos)
            pos += 8
        elif field == f.EXPONENTIAL_COUNT:
            out[at + COUNT * column] = int64_at(buf, pos)
            pos += 8
        elif field == f.EXPONENTIAL_SUM:
            put_sent(out, at, column, SUM, int64_at(buf, pos))
            pos += 8
        elif field == f.EXPONENTIAL_MIN:
            put_sent(out, at, column, MIN, int64_at(buf, pos))
            pos += 8
        elif field == f.EXPONENTIAL_MAX:
            put_sent(out, at, column, MAX, int64_at(buf, pos))
            pos += 8
        elif field == f.EXPONENTIAL_SCALE:
            value, pos = take_varint(buf, pos)
            out[at + SCALE * column] = zigzag32(value)
        elif field == f.EXPONENTIAL_ZERO_COUNT:
            out[at + ZERO_COUNT * column] = int64_at(buf, pos)
            pos += 8
        elif field == f.EXPONENTIAL_ZERO_THRESHOLD:
            out[at + ZERO_THRESHOLD * column] = int64_at(buf, pos)
            pos += 8
        elif field == f.EXPONENTIAL_FLAGS:
            flags, pos = take_varint(buf, pos)
        elif field == f.EXPONENTIAL_EXEMPLARS:
            start, pos = take_len(buf, pos)
            decode_exemplar(buf, start, pos, out, plan)
        else:
            pos = pass_field(buf, pos, field)
    out[at + POSITIVE_END * column] = filled(plan, POSITIVE_COUNTS)
    out[at + NEGATIVE_END * column] = filled(plan, NEGATIVE_COUNTS)
    put_head(out, at, column, time, start_time, flags, received)
    return attributes


@kernel
def decode_buckets(buf: Any, pos: int, end: int, offset_at: int, region: int, out: Any, plan: Any) -> Any:
    """Append the counts of the Buckets in [pos, end) to the list in `region`; its offset goes to `offset_at`."""
    out_of_line()
    first = plan[region] + filled(plan, region)
    at = first
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == f.BUCKETS_COUNTS:
            pos, stop = take_len(buf, pos)
            while pos < stop:
                out[at], pos = take_varint(buf, pos)
                at += 1
        elif field == f.BUCKETS_COUNT:
            out[at], pos = take_varint(buf, pos)
            at += 1
        elif field == f.BUCKETS_OFFSET:
            value, pos = take_varint(buf, pos)
            out[offset_at] = zigzag32(value)
        else:
            pos = pass_field(buf, pos, field)
    plan[FILLED + region] += at - first


@kernel
def decode_summary_point(buf: Any, pos: int, end: int, received: int, at: int, column: int, out: Any, plan: Any) -> Any:
    """Decode the SummaryDataPoint in [pos, end) to `at`; the sum of its attributes' hashes."""
    out_of_line()
    clear_row(out, at, column, SUMMARY_COLUMNS)
    time, start_time, flags = 0, 0, 0
    attributes = np.uint64(0)
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == f.SUMMARY_ATTRIBUTES:
            start, pos = take_len(buf, pos)
            attributes += attribute_hash(buf, start, pos)
        elif field == f.SUMMARY_QUANTILE_VALUES:
            start, pos = take_len(buf, pos)
            decode_quantile(buf, start, pos, out, plan)
        elif field == f.SUMMARY_TIME:
            time = int64_at(buf, pos)
            pos += 8
        elif field == f.SUMMARY_START_TIME:
            start_time = int64_at(buf, pos)
            pos += 8
        elif field == f.SUMMARY_COUNT:
            out[at + COUNT * column] = int64_at(buf, pos)
            pos += 8
        elif field == f.SUMMARY_SUM:
            out[at + SUM * column] = int64_at(buf, pos)
            pos += 8
        elif field == f.SUMMARY_FLAGS:
            flags, pos = take_varint(buf, pos)
        else:
            pos = pass_field(buf, pos, field)
    out[at + QUANTILES_END * column] = filled(plan, QUANTILES)
    put_head(out, at, column, time, start_time, flags, received)
    return attributes


@kernel
def decode_quantile(buf: Any, pos: int, end: int, out: Any, plan: Any) -> Any:
    """Append the bits of both doubles of the ValueAtQuantile in [pos, end)."""
    out_of_line()
    at, column = next_row(plan, QUANTILES)
    clear_row(out, at, column, QUANTILE_COLUMNS)
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == f.QUANTILE_QUANTILE:
            out[at] = int64_at(buf, pos)
        elif field == f.QUANTILE_VALUE:
            out[at + column] = int64_at(buf, pos)
        pos = pass_field(buf, pos, field)


@kernel
def decode_exemplar(buf: Any, pos: int, end: int, out: Any, plan: Any) -> Any:
    """Decode the Exemplar in [pos, end) to the next row, but for what it has of its point."""
    out_of_line()
    row = filled(plan, EXEMPLARS)
    at, column = next_row(plan, EXEMPLARS)
    clear_row(out, at, column, EXEMPLAR_TRACE_ID)
    trace_id, span_id = NONE, NONE
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == f.EXEMPLAR_TIME:
            out[at + EXEMPLAR_TIME * column] = int64_at(buf, pos)
            pos += 8
        elif field == f.EXEMPLAR_AS_DOUBLE or field == f.EXEMPLAR_AS_INT:
            put_value(out, at, column, buf, pos, field == f.EXEMPLAR_AS_INT)
            pos += 8
        elif field == f.EXEMPLAR_TRACE_ID:
            start, pos = take_len(buf, pos)
            trace_id = start if pos > start else NONE
        elif field == f.EXEMPLAR_SPAN_ID:
            start, pos = take_len(buf, pos)
            span_id = start if pos > start else NONE
        elif field == f.EXEMPLAR_FILTERED_ATTRIBUTES:
            start, pos = take_len(buf, pos)
            put_small_attribute(buf, start, pos, FILTERED, out, plan)
        else:
            pos = pass_field(buf, pos, field)
    for each in range(SMALL_MAPS):
        out[at + (FILTERED_END + each) * column] = filled(plan, FILTERED + each)
    if span_id != NONE:
        out[at + EXEMPLAR_SPAN_ID * column] = int64_at(buf, span_id)
    wide = at - row + EXEMPLAR_TRACE_ID * column + 2 * row
    out[wide] = int64_at(buf, trace_id) if trace_id != NONE else 0
    out[wide + 1] = int64_at(buf, trace_id + 8) if trace_id != NONE else 0
