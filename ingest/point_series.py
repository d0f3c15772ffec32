"""Which series each data point of a scanned request belongs to, and what labels those series have.

The kernels read without checking: `scan_metrics` has proven every position of the same bytes. A series is told by the
fingerprint that the store keeps (`series_id`), a metric by the hash of its name alone: a metric is what a user calls one, whoever
sends it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sonde.ingest import metrics_fields as f
from sonde.ingest.any_value import locate_key_value
from sonde.ingest.fingerprint import (
    attribute_hash,
    key_hash,
    metric_id,
    resource_id,
    scope_id,
    series_id,
    text_hash,
)
from sonde.ingest.kernel import kernel, out_of_line, part, pointer
from sonde.ingest.metric_identity import (
    POINT_NAME,
    POINT_SERIES,
    POINT_WORDS,
    data_properties,
    locate_dimension,
    locate_metric,
)
from sonde.ingest.scan_resource import RESOURCE_ATTRIBUTES
from sonde.ingest.series import attributes_tag
from sonde.ingest.wire import FIXED64, pass_field, take_len, take_tag
from sonde.storage.columns import U8, U64

LABEL_NAME, LABEL_KEY, LABEL_VALUE, LABEL_START, LABEL_LENGTH, LABEL_WHOSE = range(6)
LABEL_WORDS = 6
"""Words that tell of an attribute: the hash of the metric's name, of the key, of key and value; where the key stands; OF_RESOURCE
where it is one of the resource, else 0."""
METRIC_WORDS = 3
"""Words that tell of a metric: the hash of its name, and where that stands."""
OF_RESOURCE = np.uint64(0x5851F42D4C957F2D)
"""Xored into the hash of a resource's attribute, which is another one than a point's of the same key."""


class Labels(NamedTuple):
    """Of some metrics in a request. `labels`: uint64 (n, LABEL_WORDS); `names`: uint64 (m, METRIC_WORDS), each metric once."""

    labels: U64
    names: U64


def series_of_points(buffer: U8, points: int) -> U64:
    """uint64 (points, POINT_WORDS) of the scanned request in `buffer`, read-only, that has so many data points; in wire order.

    No singular message may stand in it twice (`scan.merged`).
    """
    found = np.empty((points, POINT_WORDS), np.uint64)
    identify_points(buffer, found.reshape(-1))
    return found


def labels_of_metrics(buffer: U8, names: U64, most: int) -> Labels:
    """The attributes of all points of the metrics whose names have these hashes, and of their resources; `most` at most."""
    labels = np.empty((most, LABEL_WORDS), np.uint64)
    found = np.zeros((len(names), METRIC_WORDS), np.uint64)
    count = gather_labels(buffer, np.sort(names), labels.reshape(-1), most, found.reshape(-1))
    return Labels(labels[:count], found)


def read_only(body: bytes | bytearray | memoryview) -> U8:
    """`body` as the one type of buffer that these kernels are compiled for."""
    buffer = np.frombuffer(body, np.uint8)
    if buffer.flags.writeable:
        buffer = buffer.view()
        buffer.flags.writeable = False
    return buffer


@kernel
def identify_points(buf: Any, out: Any) -> Any:
    """Put POINT_WORDS for each data point of the request `buf` into `out`."""
    data, rows = pointer(buf), pointer(out)
    pos, end, at = 0, len(buf), 0
    while pos < end:
        field, pos = take_tag(data, pos)
        if field == f.REQUEST_RESOURCE_METRICS:
            start, pos = take_len(data, pos)
            at = identify_resource_metrics(data, start, pos, at, rows)
        else:
            pos = pass_field(data, pos, field)


@part
def identify_resource_metrics(buf: Any, pos: int, end: int, at: int, out: Any) -> Any:
    own, own_stop, schema_url, schema_url_stop = locate_dimension(buf, pos, end)
    resource: Any = np.int64(resource_id(buf, own, own_stop, schema_url, schema_url_stop))
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == f.RESOURCE_METRICS_SCOPE_METRICS:
            start, pos = take_len(buf, pos)
            at = identify_scope_metrics(buf, start, pos, resource, at, out)
        else:
            pos = pass_field(buf, pos, field)
    return at


@part
def identify_scope_metrics(buf: Any, pos: int, end: int, resource: int, at: int, out: Any) -> Any:
    own, own_stop, schema_url, schema_url_stop = locate_dimension(buf, pos, end)
    scope: Any = np.int64(scope_id(buf, own, own_stop, schema_url, schema_url_stop))
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == f.SCOPE_METRICS_METRICS:
            start, pos = take_len(buf, pos)
            at = identify_metric(buf, start, pos, resource, scope, at, out)
        else:
            pos = pass_field(buf, pos, field)
    return at


@part
def identify_metric(buf: Any, pos: int, end: int, resource: int, scope: int, at: int, out: Any) -> Any:
    name, name_stop, description, description_stop, unit, unit_stop, kind, data, data_stop, metadata, _count = (
        locate_metric(buf, pos, end)
    )
    temporality, is_monotonic = data_properties(buf, data, data_stop, kind)
    name_hash: Any = text_hash(buf, name, name_stop, 0)
    identity = metric_id(
        resource,
        scope,
        name_hash,
        text_hash(buf, description, description_stop, 0),
        text_hash(buf, unit, unit_stop, 0),
        kind,
        temporality,
        is_monotonic,
        metadata,
    )
    attributes = attributes_tag(kind)
    while data < data_stop:
        field, data = take_tag(buf, data)
        if field != f.DATA_POINTS:
            data = pass_field(buf, data, field)
            continue
        start, data = take_len(buf, data)
        out[at + POINT_SERIES] = series_id(identity, point_attributes(buf, start, data, attributes))
        out[at + POINT_NAME] = name_hash
        at += POINT_WORDS
    return at


@kernel
def point_attributes(buf: Any, pos: int, end: int, attributes: int) -> Any:
    """The sum of the hashes of the attributes of the data point in [pos, end), `attributes` being their tag."""
    hashed = np.uint64(0)
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == attributes:
            start, pos = take_len(buf, pos)
            hashed += attribute_hash(buf, start, pos)
        elif field & 7 == FIXED64:  # as most others are
            pos += 8
        else:
            pos = pass_field(buf, pos, field)
    return hashed


# ---- labels, looked at only where something is refused ----


@kernel
def gather_labels(buf: Any, names: Any, labels: Any, most: int, found: Any) -> Any:
    """Fill `labels` and `found` (see `Labels`) for the metrics of these names (hashes, sorted); how many labels there are."""
    data, wanted, rows, metrics = pointer(buf), pointer(names), pointer(labels), pointer(found)
    pos, end, count = 0, len(buf), 0
    while pos < end:
        field, pos = take_tag(data, pos)
        if field == f.REQUEST_RESOURCE_METRICS:
            start, pos = take_len(data, pos)
            count = gather_resource_metrics(data, start, pos, wanted, len(names), rows, most, count, metrics)
        else:
            pos = pass_field(data, pos, field)
    return count


@part
def gather_resource_metrics(
    buf: Any, pos: int, end: int, names: Any, wanted: int, labels: Any, most: int, count: int, found: Any
) -> Any:
    own, own_stop, _schema_url, _schema_url_stop = locate_dimension(buf, pos, end)
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field != f.RESOURCE_METRICS_SCOPE_METRICS:
            pos = pass_field(buf, pos, field)
            continue
        start, pos = take_len(buf, pos)
        while start < pos:
            field, start = take_tag(buf, start)
            if field == f.SCOPE_METRICS_METRICS:
                metric, start = take_len(buf, start)
                count = gather_metric(buf, metric, start, own, own_stop, names, wanted, labels, most, count, found)
            else:
                start = pass_field(buf, start, field)
    return count


@part
def gather_metric(
    buf: Any,
    pos: int,
    end: int,
    own: int,
    own_stop: int,
    names: Any,
    wanted: int,
    labels: Any,
    most: int,
    count: int,
    found: Any,
) -> Any:
    name, name_stop, _d, _d_stop, _u, _u_stop, kind, data, data_stop, _metadata, _count = locate_metric(buf, pos, end)
    hashed: Any = text_hash(buf, name, name_stop, 0)
    number = place_of(names, wanted, hashed)
    if number == wanted:
        return count
    found[number * METRIC_WORDS] = hashed
    found[number * METRIC_WORDS + 1] = np.uint64(name)
    found[number * METRIC_WORDS + 2] = np.uint64(name_stop - name)
    count = gather_set(buf, own, own_stop, RESOURCE_ATTRIBUTES, hashed, OF_RESOURCE, labels, most, count)
    while data < data_stop and count < most:
        field, data = take_tag(buf, data)
        if field == f.DATA_POINTS:
            start, data = take_len(buf, data)
            count = gather_set(buf, start, data, attributes_tag(kind), hashed, np.uint64(0), labels, most, count)
        else:
            data = pass_field(buf, data, field)
    return count


@kernel
def place_of(names: Any, wanted: int, name: int) -> Any:
    """Where `name` is among the sorted `names`, of which there are `wanted`; `wanted` where it is not."""
    low, high = 0, wanted
    while low < high:
        middle = (low + high) >> 1
        if names[middle] < name:
            low = middle + 1
        else:
            high = middle
    return low if low < wanted and names[low] == name else wanted


@kernel
def gather_set(
    buf: Any, pos: int, end: int, attributes: int, name: int, whose: int, labels: Any, most: int, count: int
) -> Any:
    """Put the KeyValues with the tag `attributes` in the message in [pos, end) into `labels`; how many there are then."""
    out_of_line()
    while pos < end and count < most:
        field, pos = take_tag(buf, pos)
        if field != attributes:
            pos = pass_field(buf, pos, field)
            continue
        start, pos = take_len(buf, pos)
        key, key_stop, _value, _value_stop, key_strindex = locate_key_value(buf, start, pos)
        at = count * LABEL_WORDS
        labels[at + LABEL_NAME] = name
        labels[at + LABEL_KEY] = key_hash(buf, key, key_stop, key_strindex) ^ whose
        labels[at + LABEL_VALUE] = attribute_hash(buf, start, pos) ^ whose
        labels[at + LABEL_START] = np.uint64(key)
        labels[at + LABEL_LENGTH] = np.uint64(key_stop - key)
        labels[at + LABEL_WHOSE] = whose
        count += 1
    return count
