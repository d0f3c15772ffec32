"""The metrics decoder: scanned requests straight into the columns of the points tables and `exemplars`.

opentelemetry/proto/metrics/v1/metrics.proto; its messages stand in `metrics_fields.py`. The kernels read without checking:
`scan_metrics` has proven every position, counted every row and judged every point of the same bytes. Those of the points
themselves are in `points.py`.

A series_id costs a point only the hash of its own attributes: what identifies its metric is hashed once a Metric, the
resource and scope once a ResourceMetrics and ScopeMetrics.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sonde.ingest import metrics_fields as f
from sonde.ingest import points as p
from sonde.ingest import scan_metrics as counted
from sonde.ingest.attributes import small_map_shapes
from sonde.ingest.decoded import Decoded
from sonde.ingest.dimension_ranges import DIMENSION_COLUMNS, put_dimension, ranges
from sonde.ingest.fingerprint import metric_id, resource_id, scope_id, series_id, text_hash
from sonde.ingest.kernel import inline, kernel, part, pointer
from sonde.ingest.metric_identity import data_properties, locate_dimension, locate_metric
from sonde.ingest.point_blocks import points_blocks
from sonde.ingest.regions import CAPACITY, Regions, filled, next_row
from sonde.ingest.scan_any_value import kinds_total
from sonde.ingest.series import (
    METRIC_COLUMNS,
    METRIC_DESCRIPTION,
    METRIC_IS_MONOTONIC,
    METRIC_METADATA_COUNT,
    METRIC_NAME,
    METRIC_RESOURCE_ID,
    METRIC_SCOPE_ID,
    METRIC_START,
    METRIC_STOP,
    METRIC_TEMPORALITY,
    METRIC_TYPE,
    METRIC_UNIT,
    POINT_COLUMNS,
    POINT_METRIC,
    POINT_SERIES_ID,
    POINT_START,
    POINT_STOP,
    SeriesOfBatch,
)
from sonde.ingest.symbols import symbol
from sonde.ingest.tally import ACCEPTED, NO_REASON, RESOURCES, SCOPES
from sonde.ingest.wire import pass_field, take_len, take_tag
from sonde.storage.columns import I64, U8


def decode_metrics(buffer: U8, ends: I64, received: I64, tally: I64, verdicts: U8, length: int) -> Decoded:
    """The data points that `verdicts` keeps of the requests in `buffer`; the arguments are those of `decode_traces`."""
    symbols = kinds_total(tally, counted.FILTERED_ATTRIBUTES) + int(tally[counted.METRICS])
    found = Regions(shapes(tally), buffer, length, symbols=symbols)
    fill_metrics(buffer, ends, received, verdicts, found.out, found.plan)
    found.check()
    return Decoded(
        records=found.rows(p.POINTS),
        blocks=list(points_blocks(found)),
        resources=ranges(found, p.RESOURCE_RANGES),
        scopes=ranges(found, p.SCOPE_RANGES),
        series=SeriesOfBatch(found, p.POINTS, p.METRICS),
    )


def shapes(tally: I64) -> dict[int, tuple[int, int]]:
    """Rows and columns of the regions, by what scan counted."""
    return {
        p.POINTS: (int(tally[ACCEPTED]), POINT_COLUMNS),
        p.METRICS: (int(tally[counted.METRICS]), METRIC_COLUMNS),
        p.RESOURCE_RANGES: (int(tally[RESOURCES]), DIMENSION_COLUMNS),
        p.SCOPE_RANGES: (int(tally[SCOPES]), DIMENSION_COLUMNS),
        p.NUMBERS: (int(tally[counted.NUMBERS]), p.NUMBER_COLUMNS),
        p.HISTOGRAMS: (int(tally[counted.HISTOGRAMS]), p.HISTOGRAM_COLUMNS),
        p.EXPONENTIAL_HISTOGRAMS: (int(tally[counted.EXPONENTIAL_HISTOGRAMS]), p.EXPONENTIAL_COLUMNS),
        p.SUMMARIES: (int(tally[counted.SUMMARIES]), p.SUMMARY_COLUMNS),
        p.EXEMPLARS: (int(tally[counted.EXEMPLARS]), p.EXEMPLAR_COLUMNS),
        p.BUCKET_COUNTS: (int(tally[counted.BUCKET_COUNTS]), 1),
        p.EXPLICIT_BOUNDS: (int(tally[counted.EXPLICIT_BOUNDS]), 1),
        p.POSITIVE_COUNTS: (int(tally[counted.POSITIVE_COUNTS]), 1),
        p.NEGATIVE_COUNTS: (int(tally[counted.NEGATIVE_COUNTS]), 1),
        p.QUANTILES: (int(tally[counted.QUANTILES]), p.QUANTILE_COLUMNS),
        **small_map_shapes(p.FILTERED, tally, counted.FILTERED_ATTRIBUTES),
    }


@kernel
def fill_metrics(buf: Any, ends: Any, received: Any, verdicts: Any, out: Any, plan: Any) -> Any:
    """Walk the requests and fill the regions."""
    data, stops, times = pointer(buf), pointer(ends), pointer(received)
    judged, rows, places = pointer(verdicts), pointer(out), pointer(plan)
    pos = 0
    seen = 0
    for body in range(len(ends)):
        end = stops[body]
        while pos < end:
            field, pos = take_tag(data, pos)
            if field == f.REQUEST_RESOURCE_METRICS:
                start, pos = take_len(data, pos)
                seen = fill_resource_metrics(data, start, pos, times[body], judged, seen, rows, places)
            else:
                pos = pass_field(data, pos, field)


@part
def fill_resource_metrics(
    buf: Any, pos: int, end: int, received: int, verdicts: Any, seen: int, out: Any, plan: Any
) -> Any:
    """Fill the rows of the ResourceMetrics in [pos, end), whose first point is the one numbered `seen`; the next one's number."""
    before = filled(plan, p.POINTS)
    own, own_stop, schema_url, schema_url_stop = locate_dimension(buf, pos, end)
    resource: Any = np.int64(resource_id(buf, own, own_stop, schema_url, schema_url_stop))
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == f.RESOURCE_METRICS_SCOPE_METRICS:
            start, pos = take_len(buf, pos)
            seen = fill_scope_metrics(buf, start, pos, resource, received, verdicts, seen, out, plan)
        else:
            pos = pass_field(buf, pos, field)
    if filled(plan, p.POINTS) > before:
        put_dimension(resource, own, own_stop, schema_url, schema_url_stop, p.RESOURCE_RANGES, out, plan)
    return seen


@part
def fill_scope_metrics(
    buf: Any, pos: int, end: int, resource: int, received: int, verdicts: Any, seen: int, out: Any, plan: Any
) -> Any:
    """Fill the rows of the ScopeMetrics in [pos, end) of the resource with that fingerprint; the next point's number."""
    before = filled(plan, p.POINTS)
    own, own_stop, schema_url, schema_url_stop = locate_dimension(buf, pos, end)
    scope: Any = np.int64(scope_id(buf, own, own_stop, schema_url, schema_url_stop))
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == f.SCOPE_METRICS_METRICS:
            start, pos = take_len(buf, pos)
            seen = fill_metric(buf, start, pos, resource, scope, received, verdicts, seen, out, plan)
        else:
            pos = pass_field(buf, pos, field)
    if filled(plan, p.POINTS) > before:
        put_dimension(scope, own, own_stop, schema_url, schema_url_stop, p.SCOPE_RANGES, out, plan)
    return seen


@part
def fill_metric(
    buf: Any,
    pos: int,
    end: int,
    resource: int,
    scope: int,
    received: int,
    verdicts: Any,
    seen: int,
    out: Any,
    plan: Any,
) -> Any:
    """Fill the rows of the Metric in [pos, end): first what identifies it, then its points. The next point's number."""
    row = filled(plan, p.METRICS)
    at, column = next_row(plan, p.METRICS)
    out[at + METRIC_RESOURCE_ID * column] = resource
    out[at + METRIC_SCOPE_ID * column] = scope
    out[at + METRIC_START * column] = pos
    out[at + METRIC_STOP * column] = end
    name, name_stop, description, description_stop, unit, unit_stop, kind, data, data_stop, metadata, metadata_count = (
        locate_metric(buf, pos, end)
    )
    temporality, is_monotonic = data_properties(buf, data, data_stop, kind)
    out[at + METRIC_TYPE * column] = kind
    out[at + METRIC_TEMPORALITY * column] = temporality
    out[at + METRIC_IS_MONOTONIC * column] = is_monotonic
    out[at + METRIC_NAME * column] = name
    out[at + (METRIC_NAME + 1) * column] = name_stop - name
    out[at + METRIC_DESCRIPTION * column] = description
    out[at + (METRIC_DESCRIPTION + 1) * column] = description_stop - description
    out[at + METRIC_UNIT * column] = unit
    out[at + (METRIC_UNIT + 1) * column] = unit_stop - unit
    out[at + METRIC_METADATA_COUNT * column] = metadata_count
    identity = metric_id(
        resource,
        scope,
        text_hash(buf, name, name_stop, 0),
        text_hash(buf, description, description_stop, 0),
        text_hash(buf, unit, unit_stop, 0),
        kind,
        temporality,
        is_monotonic,
        metadata,
    )
    named = symbol(buf, name, name_stop, out, plan)
    return fill_points(buf, data, data_stop, kind, row, named, identity, received, verdicts, seen, out, plan)


@part
def fill_points(
    buf: Any,
    pos: int,
    end: int,
    kind: int,
    metric: int,
    named: int,
    identity: int,
    received: int,
    verdicts: Any,
    seen: int,
    out: Any,
    plan: Any,
) -> Any:
    """Fill the rows of the points in the Gauge, Sum, Histogram, ExponentialHistogram or Summary (`kind`) in [pos, end).

    `metric`: the row of their Metric, `named` the symbol of its name, `identity` its fingerprint. The next point's number.
    """
    region = region_of(kind)
    exemplars, exemplar_column = plan[p.EXEMPLARS], plan[CAPACITY + p.EXEMPLARS]
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field != f.DATA_POINTS:
            pos = pass_field(buf, pos, field)
            continue
        start, pos = take_len(buf, pos)
        seen += 1
        if verdicts[seen - 1] != NO_REASON:
            continue
        at, column = next_row(plan, region)
        first_exemplar = filled(plan, p.EXEMPLARS)
        if region == p.NUMBERS:
            attributes = p.decode_number_point(buf, start, pos, received, at, column, out, plan)
        elif region == p.HISTOGRAMS:
            attributes = p.decode_histogram_point(buf, start, pos, received, at, column, out, plan)
        elif region == p.EXPONENTIAL_HISTOGRAMS:
            attributes = p.decode_exponential_point(buf, start, pos, received, at, column, out, plan)
        else:
            attributes = p.decode_summary_point(buf, start, pos, received, at, column, out, plan)
        series = np.int64(series_id(identity, attributes))
        out[at + p.SERIES_ID * column] = series
        out[at + p.NAME * column] = named
        for exemplar in range(exemplars + first_exemplar, exemplars + filled(plan, p.EXEMPLARS)):
            out[exemplar + p.SERIES_ID * exemplar_column] = series
            out[exemplar + p.NAME * exemplar_column] = named
            out[exemplar + p.POINT_TIME * exemplar_column] = out[at + p.TIME * column]
            out[exemplar + p.START_TIME * exemplar_column] = out[at + p.START_TIME * column]
        point, point_column = next_row(plan, p.POINTS)
        out[point + POINT_SERIES_ID * point_column] = series
        out[point + POINT_START * point_column] = start
        out[point + POINT_STOP * point_column] = pos
        out[point + POINT_METRIC * point_column] = metric
    return seen


@inline
def region_of(kind: int) -> Any:
    """The region of the table that points of a Metric of this kind go to."""
    if kind == f.GAUGE or kind == f.SUM:
        return p.NUMBERS
    if kind == f.HISTOGRAM:
        return p.HISTOGRAMS
    return p.EXPONENTIAL_HISTOGRAMS if kind == f.EXPONENTIAL_HISTOGRAM else p.SUMMARIES
