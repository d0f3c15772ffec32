"""Where in scanned bytes stands what identifies a resource, a scope and a metric: the parts of a series_id but for its points.

opentelemetry/proto/metrics/v1/metrics.proto; its messages stand in `metrics_fields.py`. The decoder and the limit on series look
here, so both mean the same series.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sonde.ingest import metrics_fields as f
from sonde.ingest.fingerprint import attribute_hash
from sonde.ingest.kernel import part
from sonde.ingest.scan_metrics import is_data
from sonde.ingest.scan_resource import RESOURCE_OF, SCHEMA_URL
from sonde.ingest.wire import low32_signed, pass_field, take_len, take_tag, take_varint

POINT_SERIES, POINT_NAME = range(2)
POINT_WORDS = 2
"""Words that tell of a point: its series_id, and the hash of its metric's name."""


@part
def locate_dimension(buf: Any, pos: int, end: int) -> Any:
    """(start, stop) of the resource or scope of the ResourceMetrics or ScopeMetrics in [pos, end), and of its schema_url.

    Looks through the whole message, for schema_url stands behind the points and series_id needs it first.
    """
    own, own_stop, schema_url, schema_url_stop = 0, 0, 0, 0
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == RESOURCE_OF:  # the same tag as SCOPE_OF
            own, own_stop = take_len(buf, pos)
            pos = own_stop
        elif field == SCHEMA_URL:
            schema_url, schema_url_stop = take_len(buf, pos)
            pos = schema_url_stop
        else:
            pos = pass_field(buf, pos, field)
    return own, own_stop, schema_url, schema_url_stop


@part
def locate_metric(buf: Any, pos: int, end: int) -> Any:
    """Of the Metric in [pos, end): start and stop of name, description and unit; its kind, and start and stop of that data; the sum
    of its metadata's hashes, and how many they are."""
    name, name_stop, description, description_stop, unit, unit_stop = 0, 0, 0, 0, 0, 0
    kind, data, data_stop = 0, 0, 0
    metadata: Any = np.uint64(0)
    metadata_count = 0
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == f.METRIC_NAME:
            name, name_stop = take_len(buf, pos)
            pos = name_stop
        elif field == f.METRIC_DESCRIPTION:
            description, description_stop = take_len(buf, pos)
            pos = description_stop
        elif field == f.METRIC_UNIT:
            unit, unit_stop = take_len(buf, pos)
            pos = unit_stop
        elif field == f.METRIC_METADATA:
            start, pos = take_len(buf, pos)
            metadata += attribute_hash(buf, start, pos)
            metadata_count += 1
        elif is_data(field):
            kind = field >> 3
            data, data_stop = take_len(buf, pos)
            pos = data_stop
        else:
            pos = pass_field(buf, pos, field)
    return (
        name,
        name_stop,
        description,
        description_stop,
        unit,
        unit_stop,
        kind,
        data,
        data_stop,
        metadata,
        metadata_count,
    )


@part
def data_properties(buf: Any, pos: int, end: int, kind: int) -> Any:
    """(aggregation_temporality, is_monotonic) of the data of this kind in [pos, end); 0 where it has none."""
    temporality, is_monotonic = 0, 0
    if kind != f.SUM and kind != f.HISTOGRAM and kind != f.EXPONENTIAL_HISTOGRAM:
        return temporality, is_monotonic
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == f.DATA_TEMPORALITY:
            value, pos = take_varint(buf, pos)
            temporality = low32_signed(value)
        elif field == f.SUM_IS_MONOTONIC and kind == f.SUM:
            value, pos = take_varint(buf, pos)
            is_monotonic = 1 if value != 0 else 0
        else:
            pos = pass_field(buf, pos, field)
    return temporality, is_monotonic
