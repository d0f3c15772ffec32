"""Checks metrics requests of untrusted bytes, counts what `metrics.py` will fill, and judges every data point.

opentelemetry/proto/metrics/v1/metrics.proto; its messages stand in `metrics_fields.py`.
"""

from __future__ import annotations

from typing import Any

from sonde.ingest import metrics_fields as f
from sonde.ingest.kernel import inline, kernel, out_of_line, part, pointer
from sonde.ingest.limits import Reason
from sonde.ingest.scan_any_value import scan_attribute
from sonde.ingest.scan_resource import scan_resource, scan_scope, scan_text
from sonde.ingest.tally import (
    KINDS,
    MAX_ATTRIBUTES,
    MAX_BUCKETS,
    MAX_EXEMPLARS,
    NO_REASON,
    OWN,
    REPEATED,
    RESOURCE_SAVED,
    RESOURCES,
    SCOPE_SAVED,
    SCOPES,
    TOO_MANY_ATTRIBUTES,
    count_record,
    judge_text,
    judge_time,
    restore_tally,
    save_tally,
)
from sonde.ingest.wire import (
    TRUNCATED,
    fail,
    int64_at,
    read_fixed,
    read_len,
    read_tag,
    read_varint,
    skip_field,
)

# Places in the tally. Refused points are counted like any other, so these bound what a batch holds from above.
ATTRIBUTES = OWN
METADATA = ATTRIBUTES + KINDS
FILTERED_ATTRIBUTES = METADATA + KINDS
METRICS = FILTERED_ATTRIBUTES + KINDS
NUMBERS = METRICS + 1
HISTOGRAMS = METRICS + 2
EXPONENTIAL_HISTOGRAMS = METRICS + 3
SUMMARIES = METRICS + 4
EXEMPLARS = METRICS + 5
BUCKET_COUNTS = METRICS + 6
EXPLICIT_BOUNDS = METRICS + 7
POSITIVE_COUNTS = METRICS + 8
NEGATIVE_COUNTS = METRICS + 9
QUANTILES = METRICS + 10

TOO_MANY_BUCKETS = int(Reason.TOO_MANY_BUCKETS)
TOO_MANY_EXEMPLARS = int(Reason.TOO_MANY_EXEMPLARS)
INVALID_EXEMPLAR = int(Reason.INVALID_EXEMPLAR)

DEEPEST = 31
"""Nesting of AnyValue in an exemplar or point beyond which the C parser gives up: they lie deeper than spans and logs do."""


@kernel
def scan_metrics(buf: Any, ends: Any, received: Any, limits: Any, tally: Any, verdicts: Any, frames: Any) -> Any:
    """Check the requests that lie one after another in `buf`, the i-th ending at ends[i] and received at received[i] (ns).

    0, or the first failure. `verdicts` (uint8) takes the verdict on each point in wire order, tally[VERDICTS] at most.
    """
    data, stops, times = pointer(buf), pointer(ends), pointer(received)
    bounds, counts, judged, scratch = pointer(limits), pointer(tally), pointer(verdicts), pointer(frames)
    pos = 0
    for body in range(len(ends)):
        end = stops[body]
        while pos < end:
            field, pos = read_tag(data, pos, end)
            if pos < 0:
                return pos
            if field == f.REQUEST_RESOURCE_METRICS:
                start, pos = read_len(data, pos, end)
                if pos < 0:
                    return pos
                failed = scan_resource_metrics(data, start, pos, times[body], bounds, counts, judged, scratch)
                if failed < 0:
                    return failed
            else:
                pos = skip_field(data, pos, end, field)
                if pos < 0:
                    return pos
    return 0


@part
def scan_resource_metrics(
    buf: Any, pos: int, end: int, received: int, limits: Any, tally: Any, verdicts: Any, frames: Any
) -> Any:
    """Check the ResourceMetrics in [pos, end): its own verdict or a failure.

    The points are judged as if the resource were in order, as it nearly always is, and once more when it is not, for its
    verdict falls on all of them and part of it (schema_url) stands behind them.
    """
    save_tally(tally, frames, RESOURCE_SAVED)
    inherited = NO_REASON
    while True:
        verdict = walk_resource_metrics(buf, pos, end, inherited, received, limits, tally, verdicts, frames)
        if verdict < 0 or verdict >= inherited:
            return verdict
        restore_tally(tally, frames, RESOURCE_SAVED)
        inherited = verdict


@part
def walk_resource_metrics(
    buf: Any, pos: int, end: int, inherited: int, received: int, limits: Any, tally: Any, verdicts: Any, frames: Any
) -> Any:
    """What scan_resource_metrics is, `inherited` being the verdict on the resource as far as it is known."""
    tally[RESOURCES] += 1
    verdict, schema_url, resources = NO_REASON, 0, 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if field == f.RESOURCE_METRICS_SCOPE_METRICS:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            failed = scan_scope_metrics(buf, start, pos, inherited, received, limits, tally, verdicts, frames)
            if failed < 0:
                return failed
        elif field == f.RESOURCE_METRICS_RESOURCE:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            verdict = scan_resource(buf, start, pos, limits, tally, frames)
            resources += 1
            if verdict < 0:
                return verdict
        elif field == f.RESOURCE_METRICS_SCHEMA_URL:
            schema_url, pos = scan_text(buf, pos, end)
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos
    if resources > 1:
        tally[REPEATED] += 1
    return min(verdict, judge_text(schema_url, limits))


@part
def scan_scope_metrics(
    buf: Any, pos: int, end: int, inherited: int, received: int, limits: Any, tally: Any, verdicts: Any, frames: Any
) -> Any:
    """Check the ScopeMetrics in [pos, end): its own verdict or a failure. Points are judged as in scan_resource_metrics."""
    save_tally(tally, frames, SCOPE_SAVED)
    while True:
        verdict = walk_scope_metrics(buf, pos, end, inherited, received, limits, tally, verdicts, frames)
        if verdict < 0 or verdict >= inherited:
            return verdict
        restore_tally(tally, frames, SCOPE_SAVED)
        inherited = verdict


@part
def walk_scope_metrics(
    buf: Any, pos: int, end: int, inherited: int, received: int, limits: Any, tally: Any, verdicts: Any, frames: Any
) -> Any:
    """What scan_scope_metrics is, `inherited` being the verdict on resource and scope as far as it is known."""
    tally[SCOPES] += 1
    verdict, schema_url, scopes = NO_REASON, 0, 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if field == f.SCOPE_METRICS_METRICS:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            failed = scan_metric(buf, start, pos, inherited, received, limits, tally, verdicts, frames)
            if failed < 0:
                return failed
        elif field == f.SCOPE_METRICS_SCOPE:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            verdict = scan_scope(buf, start, pos, limits, tally, frames)
            scopes += 1
            if verdict < 0:
                return verdict
        elif field == f.SCOPE_METRICS_SCHEMA_URL:
            schema_url, pos = scan_text(buf, pos, end)
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos
    if scopes > 1:
        tally[REPEATED] += 1
    return min(verdict, judge_text(schema_url, limits))


@inline
def is_data(field: int) -> Any:
    """Whether `field` is one of the oneof Metric.data."""
    return (
        field == f.METRIC_GAUGE
        or field == f.METRIC_SUM
        or field == f.METRIC_HISTOGRAM
        or field == f.METRIC_EXPONENTIAL_HISTOGRAM
        or field == f.METRIC_SUMMARY
    )


@part
def scan_metric(
    buf: Any, pos: int, end: int, above: int, received: int, limits: Any, tally: Any, verdicts: Any, frames: Any
) -> Any:
    """Check the Metric in [pos, end): 0 or a failure. `above`: the verdict on its resource and scope.

    Twice over its fields: what is wrong with the metric is the verdict on every point, and may stand behind them.
    """
    tally[METRICS] += 1
    name, description, unit = 0, 0, 0
    attributes, longest, data = 0, 0, 0
    at = pos
    while at < end:
        field, at = read_tag(buf, at, end)
        if at < 0:
            return at
        if field == f.METRIC_NAME:
            name, at = scan_text(buf, at, end)
        elif field == f.METRIC_DESCRIPTION:
            description, at = scan_text(buf, at, end)
        elif field == f.METRIC_UNIT:
            unit, at = scan_text(buf, at, end)
        elif field == f.METRIC_METADATA:
            start, at = read_len(buf, at, end)
            if at < 0:
                return at
            size = scan_attribute(buf, start, at, 1, METADATA, limits, tally, frames)
            if size < 0:
                return size
            longest = max(longest, size)
            attributes += 1
        else:
            at = skip_field(buf, at, end, field)
            data += is_data(field)
        if at < 0:
            return at
    if data > 1:
        tally[REPEATED] += 1
    verdict = min(above, judge_text(max(longest, name, description, unit), limits))
    if attributes > limits[MAX_ATTRIBUTES]:
        verdict = min(verdict, TOO_MANY_ATTRIBUTES)
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if not is_data(field):
            pos = skip_field(buf, pos, end, field)
            continue
        start, pos = read_len(buf, pos, end)
        failed = scan_data(buf, start, pos, field >> 3, verdict, received, limits, tally, verdicts, frames)
        if failed < 0:
            return failed
    return 0


@part
def scan_data(
    buf: Any,
    pos: int,
    end: int,
    kind: int,
    above: int,
    received: int,
    limits: Any,
    tally: Any,
    verdicts: Any,
    frames: Any,
) -> Any:
    """Check the Gauge, Sum, Histogram, ExponentialHistogram or Summary (`kind`) in [pos, end): 0 or a failure."""
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if field == f.DATA_POINTS:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            if kind == f.GAUGE or kind == f.SUM:
                verdict, time = scan_number_point(buf, start, pos, limits, tally, frames)
            elif kind == f.HISTOGRAM:
                verdict, time = scan_histogram_point(buf, start, pos, limits, tally, frames)
            elif kind == f.EXPONENTIAL_HISTOGRAM:
                verdict, time = scan_exponential_histogram_point(buf, start, pos, limits, tally, frames)
            else:
                verdict, time = scan_summary_point(buf, start, pos, limits, tally, frames)
            if verdict < 0:
                return verdict
            verdict = min(above, verdict, judge_time(time if time != 0 else received, received, limits))
            count_record(verdict, start, tally, verdicts)
        else:
            pos = skip_field(buf, pos, end, field)
            if pos < 0:
                return pos
    return 0


@inline
def judge_point(attributes: int, longest: int, exemplars: int, buckets: int, limits: Any) -> Any:
    """The verdict on a point by how many attributes, exemplars and buckets it has, and its longest attribute."""
    if attributes > limits[MAX_ATTRIBUTES]:
        return TOO_MANY_ATTRIBUTES
    if buckets > limits[MAX_BUCKETS]:
        return TOO_MANY_BUCKETS
    if exemplars > limits[MAX_EXEMPLARS]:
        return TOO_MANY_EXEMPLARS
    return judge_text(longest, limits)


@kernel
def scan_number_point(buf: Any, pos: int, end: int, limits: Any, tally: Any, frames: Any) -> Any:
    """(verdict or a failure, time_unix_nano) of the NumberDataPoint in [pos, end)."""
    out_of_line()
    verdict, time = NO_REASON, 0
    attributes, longest, exemplars = 0, 0, 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos, 0
        if field == f.NUMBER_ATTRIBUTES:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos, 0
            size = scan_attribute(buf, start, pos, 0, ATTRIBUTES, limits, tally, frames)
            if size < 0:
                return size, 0
            longest = max(longest, size)
            attributes += 1
        elif field == f.NUMBER_TIME:
            start = pos
            pos = read_fixed(pos, end, 8)
            if pos >= 0:
                time = int64_at(buf, start)
        elif field == f.NUMBER_START_TIME or field == f.NUMBER_AS_DOUBLE or field == f.NUMBER_AS_INT:
            pos = read_fixed(pos, end, 8)
        elif field == f.NUMBER_EXEMPLARS:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos, 0
            judged = scan_exemplar(buf, start, pos, limits, tally, frames)
            if judged < 0:
                return judged, 0
            verdict = min(verdict, judged)
            exemplars += 1
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos, 0
    tally[NUMBERS] += 1
    tally[EXEMPLARS] += exemplars
    return min(verdict, judge_point(attributes, longest, exemplars, 0, limits)), time


@kernel
def scan_histogram_point(buf: Any, pos: int, end: int, limits: Any, tally: Any, frames: Any) -> Any:
    """(verdict or a failure, time_unix_nano) of the HistogramDataPoint in [pos, end)."""
    out_of_line()
    verdict, time = NO_REASON, 0
    attributes, longest, exemplars = 0, 0, 0
    bucket_counts, explicit_bounds = 0, 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos, 0
        if field == f.HISTOGRAM_ATTRIBUTES:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos, 0
            size = scan_attribute(buf, start, pos, 0, ATTRIBUTES, limits, tally, frames)
            if size < 0:
                return size, 0
            longest = max(longest, size)
            attributes += 1
        elif field == f.HISTOGRAM_BUCKET_COUNTS:
            count, pos = scan_packed_fixed64(buf, pos, end)
            bucket_counts += count
        elif field == f.HISTOGRAM_EXPLICIT_BOUNDS:
            count, pos = scan_packed_fixed64(buf, pos, end)
            explicit_bounds += count
        elif field == f.HISTOGRAM_TIME:
            start = pos
            pos = read_fixed(pos, end, 8)
            if pos >= 0:
                time = int64_at(buf, start)
        elif field == f.HISTOGRAM_EXEMPLARS:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos, 0
            judged = scan_exemplar(buf, start, pos, limits, tally, frames)
            if judged < 0:
                return judged, 0
            verdict = min(verdict, judged)
            exemplars += 1
        else:
            bucket_counts += field == f.HISTOGRAM_BUCKET_COUNT
            explicit_bounds += field == f.HISTOGRAM_EXPLICIT_BOUND
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos, 0
    tally[HISTOGRAMS] += 1
    tally[EXEMPLARS] += exemplars
    tally[BUCKET_COUNTS] += bucket_counts
    tally[EXPLICIT_BOUNDS] += explicit_bounds
    buckets = max(bucket_counts, explicit_bounds)
    return min(verdict, judge_point(attributes, longest, exemplars, buckets, limits)), time


@kernel
def scan_exponential_histogram_point(buf: Any, pos: int, end: int, limits: Any, tally: Any, frames: Any) -> Any:
    """(verdict or a failure, time_unix_nano) of the ExponentialHistogramDataPoint in [pos, end)."""
    out_of_line()
    verdict, time = NO_REASON, 0
    attributes, longest, exemplars = 0, 0, 0
    positive, negative = 0, 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos, 0
        if field == f.EXPONENTIAL_ATTRIBUTES:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos, 0
            size = scan_attribute(buf, start, pos, 0, ATTRIBUTES, limits, tally, frames)
            if size < 0:
                return size, 0
            longest = max(longest, size)
            attributes += 1
        elif field == f.EXPONENTIAL_POSITIVE or field == f.EXPONENTIAL_NEGATIVE:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos, 0
            count, failed = scan_buckets(buf, start, pos)
            if failed < 0:
                return failed, 0
            if field == f.EXPONENTIAL_POSITIVE:
                positive += count
            else:
                negative += count
        elif field == f.EXPONENTIAL_TIME:
            start = pos
            pos = read_fixed(pos, end, 8)
            if pos >= 0:
                time = int64_at(buf, start)
        elif field == f.EXPONENTIAL_EXEMPLARS:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos, 0
            judged = scan_exemplar(buf, start, pos, limits, tally, frames)
            if judged < 0:
                return judged, 0
            verdict = min(verdict, judged)
            exemplars += 1
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos, 0
    tally[EXPONENTIAL_HISTOGRAMS] += 1
    tally[EXEMPLARS] += exemplars
    tally[POSITIVE_COUNTS] += positive
    tally[NEGATIVE_COUNTS] += negative
    return min(verdict, judge_point(attributes, longest, exemplars, max(positive, negative), limits)), time


@kernel
def scan_summary_point(buf: Any, pos: int, end: int, limits: Any, tally: Any, frames: Any) -> Any:
    """(verdict or a failure, time_unix_nano) of the SummaryDataPoint in [pos, end)."""
    out_of_line()
    time, attributes, longest, quantiles = 0, 0, 0, 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos, 0
        if field == f.SUMMARY_ATTRIBUTES:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos, 0
            size = scan_attribute(buf, start, pos, 0, ATTRIBUTES, limits, tally, frames)
            if size < 0:
                return size, 0
            longest = max(longest, size)
            attributes += 1
        elif field == f.SUMMARY_QUANTILE_VALUES:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos, 0
            failed = scan_flat(buf, start, pos)
            if failed < 0:
                return failed, 0
            quantiles += 1
        elif field == f.SUMMARY_TIME:
            start = pos
            pos = read_fixed(pos, end, 8)
            if pos >= 0:
                time = int64_at(buf, start)
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos, 0
    tally[SUMMARIES] += 1
    tally[QUANTILES] += quantiles
    return judge_point(attributes, longest, 0, quantiles, limits), time


@kernel
def scan_packed_fixed64(buf: Any, pos: int, end: int) -> Any:
    """(values, next) of a packed repeated fixed64 or double whose length stands at `pos`; next below zero on failure."""
    out_of_line()
    start, stop = read_len(buf, pos, end)
    if stop < 0:
        return 0, stop
    if (stop - start) & 7 != 0:
        return 0, fail(TRUNCATED, pos)
    return (stop - start) >> 3, stop


@kernel
def scan_buckets(buf: Any, pos: int, end: int) -> Any:
    """(counts, 0 or a failure) of the Buckets in [pos, end)."""
    out_of_line()
    counts = 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return 0, pos
        if field == f.BUCKETS_COUNTS:
            pos, stop = read_len(buf, pos, end)
            if stop < 0:
                return 0, stop
            while pos < stop:
                _value, pos = read_varint(buf, pos, stop)
                if pos < 0:
                    return 0, pos
                counts += 1
        else:
            counts += field == f.BUCKETS_COUNT
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return 0, pos
    return counts, 0


@kernel
def scan_flat(buf: Any, pos: int, end: int) -> Any:
    """Check a message without strings or messages in it: 0 or a failure."""
    out_of_line()
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos
    return 0


@kernel
def scan_exemplar(buf: Any, pos: int, end: int, limits: Any, tally: Any, frames: Any) -> Any:
    """The verdict on a point for the Exemplar in [pos, end), or a failure."""
    out_of_line()
    trace_id, span_id, attributes, longest = 0, 0, 0, 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if field == f.EXEMPLAR_FILTERED_ATTRIBUTES:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            size = scan_attribute(buf, start, pos, 1, FILTERED_ATTRIBUTES, limits, tally, frames)
            if size < 0:
                return size
            longest = max(longest, size)
            attributes += 1
        elif field == f.EXEMPLAR_TRACE_ID:
            start, pos = read_len(buf, pos, end)
            trace_id = pos - start
        elif field == f.EXEMPLAR_SPAN_ID:
            start, pos = read_len(buf, pos, end)
            span_id = pos - start
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos
    if attributes > limits[MAX_ATTRIBUTES]:
        return TOO_MANY_ATTRIBUTES
    if (trace_id != 0 and trace_id != 16) or (span_id != 0 and span_id != 8):
        return min(INVALID_EXEMPLAR, judge_text(longest, limits))
    return judge_text(longest, limits)
