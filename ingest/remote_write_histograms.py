"""Native histograms as OTLP points, without loss.

Prometheus' bucket i ends at base^i, and OTLP's bucket i begins there: an index is one less in OTLP. The counts of a float
histogram are written as the 64 bits of their doubles, under `prometheus.counts` = `float64` in the metric's metadata.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice, pairwise
from typing import TypeAlias, TypeVar

from sonde.ingest import metrics_fields as f
from sonde.ingest.limits import Reason
from sonde.ingest.remote_write_points import (
    NO_RECORDED_VALUE,
    STALE,
    Exemplar,
    exemplars_field,
    optional_time_of,
    time_of,
)
from sonde.ingest.remote_write_refusals import SeriesRefused
from sonde.ingest.remote_write_series import (
    CUMULATIVE,
    CUSTOM_BUCKETS,
    FLOAT64,
    GAUGE_HISTOGRAM,
    HISTOGRAM,
    TYPE_NAMES,
    UNSPECIFIED,
    Series,
    attributes_field,
    metric,
    metric_head,
    temporality,
)
from sonde.ingest.remote_write_wire import (
    DOUBLE,
    UINT64,
    ZERO,
    delimited,
    fields,
    fixed,
    malformed,
    signed,
    varints,
    zigzag,
    zigzag32,
    zigzagged,
)
from sonde.ingest.status import varint
from sonde.ingest.wire import FIXED64, LEN, TRUNCATED, VARINT, tag

CUSTOM_SCHEMA = -53
SCHEMAS = range(-4, 53)
"""Exponential ones: Prometheus takes those beyond 8 too, and halves their resolution when it reads them."""
GAUGE_HINT = 3
_MOST = 1 << 64
_MOST_INDEX = (1 << 31) - 1
T = TypeVar("T")
Span: TypeAlias = tuple[int, int]
Exemplars: TypeAlias = Sequence[Exemplar]


@dataclass(slots=True)
class NativeHistogram:
    """A Histogram of either version, as sent; doubles are kept as their 8 bytes."""

    is_float: bool = False
    count: int = 0
    """The number of observations, or the bits of a float histogram's; so is `zero_count`."""
    sum: bytes = ZERO
    schema: int = 0
    zero_threshold: bytes = ZERO
    zero_is_float: bool = False
    zero_count: int = 0
    negative_spans: list[Span] = field(default_factory=list)
    """(offset, length) of each."""
    negative_deltas: list[int] = field(default_factory=list)
    negative_counts: list[bytes] = field(default_factory=list)
    positive_spans: list[Span] = field(default_factory=list)
    positive_deltas: list[int] = field(default_factory=list)
    positive_counts: list[bytes] = field(default_factory=list)
    reset_hint: int = 0
    timestamp_ms: int = 0
    custom_values: list[bytes] = field(default_factory=list)
    start_ms: int = 0


COUNT_INT, COUNT_FLOAT = tag(1, VARINT), tag(2, FIXED64)
SUM = tag(3, FIXED64)
SCHEMA = tag(4, VARINT)
ZERO_THRESHOLD = tag(5, FIXED64)
ZERO_COUNT_INT, ZERO_COUNT_FLOAT = tag(6, VARINT), tag(7, FIXED64)
NEGATIVE_SPANS, POSITIVE_SPANS = tag(8, LEN), tag(11, LEN)
NEGATIVE_DELTAS, NEGATIVE_DELTA = tag(9, LEN), tag(9, VARINT)
NEGATIVE_COUNTS, NEGATIVE_COUNT = tag(10, LEN), tag(10, FIXED64)
POSITIVE_DELTAS, POSITIVE_DELTA = tag(12, LEN), tag(12, VARINT)
POSITIVE_COUNTS, POSITIVE_COUNT = tag(13, LEN), tag(13, FIXED64)
RESET_HINT = tag(14, VARINT)
TIMESTAMP = tag(15, VARINT)
CUSTOM_VALUES, CUSTOM_VALUE = tag(16, LEN), tag(16, FIXED64)
START_TIMESTAMP = tag(17, VARINT)
SPAN_OFFSET, SPAN_LENGTH = tag(1, VARINT), tag(2, VARINT)


def read_histogram(data: bytes, pos: int, end: int, max_buckets: int) -> NativeHistogram:
    """The Histogram in [pos, end). SeriesRefused where it has more spans or buckets than `max_buckets`.

    message Histogram {
      oneof count { uint64 count_int = 1; double count_float = 2; }
      double sum = 3; sint32 schema = 4; double zero_threshold = 5;
      oneof zero_count { uint64 zero_count_int = 6; double zero_count_float = 7; }
      repeated BucketSpan negative_spans = 8; repeated sint64 negative_deltas = 9; repeated double negative_counts = 10;
      repeated BucketSpan positive_spans = 11; repeated sint64 positive_deltas = 12; repeated double positive_counts = 13;
      ResetHint reset_hint = 14; int64 timestamp = 15; repeated double custom_values = 16;
      int64 start_timestamp = 17;      (of 2.0 alone)
    }
    """
    made = NativeHistogram()
    doubles = {
        NEGATIVE_COUNTS: made.negative_counts,
        NEGATIVE_COUNT: made.negative_counts,
        POSITIVE_COUNTS: made.positive_counts,
        POSITIVE_COUNT: made.positive_counts,
        CUSTOM_VALUES: made.custom_values,
        CUSTOM_VALUE: made.custom_values,
    }
    deltas = {
        NEGATIVE_DELTAS: made.negative_deltas,
        NEGATIVE_DELTA: made.negative_deltas,
        POSITIVE_DELTAS: made.positive_deltas,
        POSITIVE_DELTA: made.positive_deltas,
    }
    spans = {NEGATIVE_SPANS: made.negative_spans, POSITIVE_SPANS: made.positive_spans}
    for which, value, stop in fields(data, pos, end):
        if which in doubles:
            take(doubles[which], packed_doubles(data, value, stop), max_buckets)
        elif which in deltas:
            found = varints(data, value, stop) if which & 7 == LEN else iter((value,))
            take(deltas[which], map(zigzag, found), max_buckets)
        elif which in spans:
            take(spans[which], iter((read_span(data, value, stop),)), max_buckets)
        elif which in (COUNT_INT, COUNT_FLOAT):
            made.is_float = which == COUNT_FLOAT
            made.count = UINT64.unpack_from(data, value)[0] if made.is_float else value
        elif which in (ZERO_COUNT_INT, ZERO_COUNT_FLOAT):
            made.zero_is_float = which == ZERO_COUNT_FLOAT
            made.zero_count = UINT64.unpack_from(data, value)[0] if made.zero_is_float else value
        elif which == SUM:
            made.sum = data[value:stop]
        elif which == SCHEMA:
            made.schema = zigzag32(value)
        elif which == ZERO_THRESHOLD:
            made.zero_threshold = data[value:stop]
        elif which == RESET_HINT:
            made.reset_hint = value
        elif which == TIMESTAMP:
            made.timestamp_ms = signed(value)
        elif which == START_TIMESTAMP:
            made.start_ms = signed(value)
    return made


def take(into: list[T], items: Iterator[T], most: int) -> None:
    """Append `items`, and look at no more of them than `most` allows."""
    into.extend(islice(items, most + 1 - len(into)))
    if len(into) > most:
        raise too_many(most)


def packed_doubles(data: bytes, pos: int, end: int) -> Iterator[bytes]:
    """The 8 bytes of each double in [pos, end)."""
    if (end - pos) % 8:
        raise malformed(TRUNCATED, pos)
    return (data[at : at + 8] for at in range(pos, end, 8))


def read_span(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """message BucketSpan { sint32 offset = 1; uint32 length = 2; }"""
    offset, length = 0, 0
    for which, value, _stop in fields(data, pos, end):
        if which == SPAN_OFFSET:
            offset = zigzag32(value)
        elif which == SPAN_LENGTH:
            length = value & 0xFFFF_FFFF
    return offset, length


# ---- what a histogram becomes ----


def histogram_metric(series: Series, sent: NativeHistogram, exemplars: Exemplars, max_buckets: int) -> bytes:
    """The Metric of one histogram sample, as a field of ScopeMetrics. SeriesRefused where it contradicts itself, or where
    its buckets side by side are more than `max_buckets`."""
    custom = sent.schema == CUSTOM_SCHEMA
    if not custom and sent.schema not in SCHEMAS:
        raise invalid(f"the schema {sent.schema} is not known: it is {CUSTOM_SCHEMA}, or {SCHEMAS[0]} to {SCHEMAS[-1]}")
    point = custom_point if custom else exponential_point
    return metric(
        metric_head(series, type_name(series, sent), FLOAT64 if sent.is_float else b""),
        f.METRIC_HISTOGRAM if custom else f.METRIC_EXPONENTIAL_HISTOGRAM,
        temporality(UNSPECIFIED if sent.reset_hint == GAUGE_HINT else CUMULATIVE),
        [point(series, sent, exemplars, max_buckets)],
    )


def type_name(series: Series, sent: NativeHistogram) -> bytes:
    """What `prometheus.type` says: as the sender has it, where that is a histogram, and else what the sample shows."""
    if sent.schema == CUSTOM_SCHEMA:
        return CUSTOM_BUCKETS
    if series.family.type in (HISTOGRAM, GAUGE_HISTOGRAM):
        return TYPE_NAMES[series.family.type]
    return TYPE_NAMES[GAUGE_HISTOGRAM if sent.reset_hint == GAUGE_HINT else HISTOGRAM]


def exponential_point(series: Series, sent: NativeHistogram, exemplars: Exemplars, max_buckets: int) -> bytes:
    """An ExponentialHistogramDataPoint."""
    parts = [
        attributes_field(f.EXPONENTIAL_ATTRIBUTES, series),
        fixed(f.EXPONENTIAL_START_TIME, optional_time_of(sent.start_ms)),
        b"%c%b" % (f.EXPONENTIAL_TIME, time_of(sent.timestamp_ms)),
        exemplars_field(f.EXPONENTIAL_EXEMPLARS, exemplars),
    ]
    if sent.sum == STALE:
        return b"".join([*parts, NO_VALUE_EXPONENTIAL])
    check_counts(sent)
    parts += [
        fixed(f.EXPONENTIAL_COUNT, UINT64.pack(sent.count)),
        b"%c%b" % (f.EXPONENTIAL_SUM, sent.sum),
        b"%c%b" % (f.EXPONENTIAL_SCALE, zigzagged(sent.schema)),
        fixed(f.EXPONENTIAL_ZERO_COUNT, UINT64.pack(sent.zero_count)),
        fixed(f.EXPONENTIAL_ZERO_THRESHOLD, sent.zero_threshold),
        buckets(f.EXPONENTIAL_POSITIVE, sent.positive_spans, positive(sent), max_buckets),
        buckets(f.EXPONENTIAL_NEGATIVE, sent.negative_spans, negative(sent), max_buckets),
    ]
    return b"".join(parts)


def buckets(which: int, spans: Sequence[Span], counts: Sequence[int], max_buckets: int) -> bytes:
    """A Buckets { sint32 offset = 1; repeated uint64 bucket_counts = 2; } of the field with the tag `which`."""
    first, side_by_side = dense(spans, counts, max_buckets)
    if not side_by_side:
        return b""
    offset = b"%c%b" % (f.BUCKETS_OFFSET, zigzagged(first - 1))
    return delimited(which, offset + delimited(f.BUCKETS_COUNTS, b"".join(map(varint, side_by_side))))


def custom_point(series: Series, sent: NativeHistogram, exemplars: Exemplars, max_buckets: int) -> bytes:
    """A HistogramDataPoint, of a histogram with custom buckets."""
    parts = [
        exemplars_field(f.HISTOGRAM_EXEMPLARS, exemplars),
        attributes_field(f.HISTOGRAM_ATTRIBUTES, series),
        fixed(f.HISTOGRAM_START_TIME, optional_time_of(sent.start_ms)),
        b"%c%b" % (f.HISTOGRAM_TIME, time_of(sent.timestamp_ms)),
    ]
    if sent.sum == STALE:
        return b"".join([*parts, NO_VALUE_HISTOGRAM])
    check_counts(sent)
    check_custom(sent)
    first, found = dense(sent.positive_spans, positive(sent), max_buckets)
    places = len(sent.custom_values) + 1
    if first < 0 or first + len(found) > places:
        raise invalid(f"its buckets {first} to {first + len(found) - 1} are not all among its {places} custom ones")
    counts = [0] * first + found + [0] * (places - first - len(found))
    parts += [
        fixed(f.HISTOGRAM_COUNT, UINT64.pack(sent.count)),
        b"%c%b" % (f.HISTOGRAM_SUM, sent.sum),
        delimited(f.HISTOGRAM_BUCKET_COUNTS, b"".join(map(UINT64.pack, counts))),
        delimited(f.HISTOGRAM_EXPLICIT_BOUNDS, b"".join(sent.custom_values)),
    ]
    return b"".join(parts)


NO_VALUE_EXPONENTIAL = b"%c%c" % (f.EXPONENTIAL_FLAGS, NO_RECORDED_VALUE)
NO_VALUE_HISTOGRAM = b"%c%c" % (f.HISTOGRAM_FLAGS, NO_RECORDED_VALUE)


# ---- what is checked ----


def check_counts(sent: NativeHistogram) -> None:
    """The counts are all of one kind, that of `count`."""
    if sent.zero_count and sent.zero_is_float != sent.is_float:
        raise invalid("one of count and zero_count is an integer, the other a float")
    ints, floats = (sent.positive_deltas, sent.negative_deltas), (sent.positive_counts, sent.negative_counts)
    if any(ints if sent.is_float else floats):
        kinds = ("a float", "deltas") if sent.is_float else ("an integer", "floats")
        raise invalid(f"its count is {kinds[0]}, and its buckets are {kinds[1]}")
    if sent.custom_values and sent.schema != CUSTOM_SCHEMA:
        raise invalid(f"it has custom values, and the schema {sent.schema}, which has none")


def check_custom(sent: NativeHistogram) -> None:
    if sent.zero_count or sent.zero_threshold != ZERO or sent.negative_spans or any(negative(sent)):
        raise invalid("a histogram with custom buckets has neither a zero bucket nor negative ones")
    bounds = [DOUBLE.unpack(value)[0] for value in sent.custom_values]
    if not all(low < high for low, high in pairwise([-math.inf, *bounds, math.inf])):
        raise invalid("its custom values are not finite numbers in ascending order")


def positive(sent: NativeHistogram) -> list[int]:
    return absolute(sent.positive_counts) if sent.is_float else running(sent.positive_deltas)


def negative(sent: NativeHistogram) -> list[int]:
    return absolute(sent.negative_counts) if sent.is_float else running(sent.negative_deltas)


def absolute(counts: Sequence[bytes]) -> list[int]:
    """The bits of a float histogram's counts, none of which is below zero."""
    if any(DOUBLE.unpack(count)[0] < 0 for count in counts):
        raise invalid("a bucket's count is below zero")
    return [UINT64.unpack(count)[0] for count in counts]


def running(deltas: Sequence[int]) -> list[int]:
    """The counts whose differences are `deltas`; none is below zero, or more than 64 bits."""
    counts = list(accumulate(deltas))
    if any(not 0 <= count < _MOST for count in counts):
        raise invalid("a bucket's count is below zero, or more than 64 bits")
    return counts


def dense(spans: Sequence[Span], counts: Sequence[int], max_buckets: int) -> tuple[int, list[int]]:
    """(index of the first bucket, the counts from there on side by side) of buckets in spans."""
    if sum(length for _, length in spans) != len(counts):
        raise invalid(
            f"its spans have {sum(length for _, length in spans)} buckets, and there are {len(counts)} counts"
        )
    if any(offset < 0 for offset, _ in spans[1:]):
        raise invalid("a span begins before the one in front of it ends")
    if not spans:
        return 0, []
    size = sum(length for _, length in spans) + sum(offset for offset, _ in spans[1:])
    first = spans[0][0]
    if not -_MOST_INDEX < first <= first + size < _MOST_INDEX:
        raise invalid(f"its buckets begin at {first} and are {size}: no index is so large")
    if size > max_buckets:
        raise too_many(max_buckets)
    result, at = [0] * size, 0
    index = 0
    for number, (offset, length) in enumerate(spans):
        index += offset if number else 0
        result[index : index + length] = counts[at : at + length]
        index, at = index + length, at + length
    return first, result


def too_many(max_buckets: int) -> SeriesRefused:
    return SeriesRefused(
        Reason.TOO_MANY_BUCKETS,
        f"its buckets side by side, from the first to the last, are more than {max_buckets} (setting max_buckets)",
    )


def invalid(message: str) -> SeriesRefused:
    return SeriesRefused(Reason.INVALID_HISTOGRAM, f"of a native histogram, {message}")
