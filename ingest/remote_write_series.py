"""A Prometheus series as an OTLP metric: its labels checked, its name, type, help and unit in a Metric around its points.

The mapping is told in docs/decisions/remote-write.md; the messages of OTLP stand in `metrics_fields.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sonde.ingest import metrics_fields as f
from sonde.ingest.limits import Reason
from sonde.ingest.remote_write_refusals import Labels, SeriesRefused
from sonde.ingest.remote_write_wire import delimited
from sonde.ingest.status import varint

NAME = b"__name__"
TYPE = b"prometheus.type"
COUNTS = b"prometheus.counts"
FLOAT64 = b"float64"

UNKNOWN, COUNTER, GAUGE, HISTOGRAM, GAUGE_HISTOGRAM, SUMMARY, INFO, STATESET = range(8)
"""MetricType of both versions."""
TYPE_NAMES = (b"unknown", b"counter", b"gauge", b"histogram", b"gaugehistogram", b"summary", b"info", b"stateset")
CUSTOM_BUCKETS = b"nhcb"
"""`prometheus.type` of a native histogram with custom buckets."""

UNSPECIFIED, DELTA, CUMULATIVE = range(3)
"""AggregationTemporality."""


class Family(NamedTuple):
    """What is known of a metric besides its samples."""

    type: int = UNKNOWN
    help: bytes = b""
    unit: bytes = b""


NOTHING_KNOWN = Family()


@dataclass(frozen=True, slots=True)
class Series:
    """Checked: what every point of a series has in common."""

    name: bytes
    attributes: tuple[bytes, ...]
    """KeyValues."""
    family: Family


def key_value(key: bytes, text: bytes) -> bytes:
    """A KeyValue { string key = 1; AnyValue value = 2; } with an AnyValue { string string_value = 1; }."""
    return delimited(0x0A, key) + delimited(0x12, delimited(0x0A, text))


def check_series(labels: Labels, family: Family) -> Series:
    """The series of these labels, in any order. SeriesRefused where they name none.

    A label with an empty value is one that is not there, as Prometheus' data model says.
    """
    check_labels(labels)
    check_text(family.help, "the help text")
    check_text(family.unit, "the unit")
    name = next((value for label, value in labels if label == NAME), b"")
    if not name:
        raise invalid("the label __name__ is missing")
    return Series(name, tuple(key_value(label, value) for label, value in labels if value and label != NAME), family)


def check_labels(labels: Labels) -> None:
    """SeriesRefused where one has no name, stands twice, or is not text."""
    seen: set[bytes] = set()
    for label, value in labels:
        if not label:
            raise invalid("a label has no name")
        if label in seen:
            raise invalid(f"the label {label[:80].decode('utf-8', 'backslashreplace')} stands twice")
        seen.add(label)
        check_text(label, "a label's name")
        check_text(value, "a label's value")


def check_text(raw: bytes, what: str) -> None:
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise invalid(f"{what} is not UTF-8: {raw[:80]!r}") from None


def invalid(message: str) -> SeriesRefused:
    return SeriesRefused(Reason.INVALID_LABELS, message)


def attributes_field(tag: int, series: Series) -> bytes:
    """The attributes of a point whose field for them has this tag."""
    return b"".join([delimited(tag, attribute) for attribute in series.attributes])


def metric_head(series: Series, type_name: bytes, counts: bytes = b"") -> bytes:
    """A Metric's fields but its data. `counts`: what `prometheus.counts` says, where it says anything."""
    family = series.family
    parts = [delimited(f.METRIC_NAME, series.name)]
    if family.help:
        parts.append(delimited(f.METRIC_DESCRIPTION, family.help))
    if family.unit:
        parts.append(delimited(f.METRIC_UNIT, family.unit))
    parts.append(delimited(f.METRIC_METADATA, key_value(TYPE, type_name)))
    if counts:
        parts.append(delimited(f.METRIC_METADATA, key_value(COUNTS, counts)))
    return b"".join(parts)


def metric(head: bytes, data_tag: int, properties: bytes, points: Iterable[bytes]) -> bytes:
    """A Metric as a field of ScopeMetrics; `properties`: the fields of its data besides the points."""
    data = b"".join([properties, *(delimited(f.DATA_POINTS, point) for point in points)])
    return delimited(f.SCOPE_METRICS_METRICS, head + delimited(data_tag, data))


def temporality(which: int) -> bytes:
    return b"%c%c" % (f.DATA_TEMPORALITY, which)


def number_data(type: int) -> tuple[int, bytes]:
    """(tag in Metric, properties) of the data that samples of this type are points of."""
    if type == COUNTER:
        return f.METRIC_SUM, temporality(CUMULATIVE) + b"%c\x01" % f.SUM_IS_MONOTONIC
    return f.METRIC_GAUGE, b""


def number_metric(series: Series, points: Iterable[bytes]) -> bytes:
    """The Metric of these NumberDataPoints."""
    tag, properties = number_data(series.family.type)
    return metric(metric_head(series, TYPE_NAMES[series.family.type]), tag, properties, points)


def number_prefix(series: Series, size: int) -> bytes:
    """`number_metric` with one point that ends with `size` more bytes, without them: what is the same in every sample."""
    tag, properties = number_data(series.family.type)
    head = metric_head(series, TYPE_NAMES[series.family.type])
    attributes = attributes_field(f.NUMBER_ATTRIBUTES, series)
    point = b"%c%b" % (f.DATA_POINTS, varint(len(attributes) + size)) + attributes
    data = b"%c%b" % (tag, varint(len(properties) + len(point) + size)) + properties + point
    return b"%c%b" % (f.SCOPE_METRICS_METRICS, varint(len(head) + len(data) + size)) + head + data


def request(metrics: Iterable[bytes]) -> bytes:
    """The ExportMetricsServiceRequest of these Metric fields; empty where there are none."""
    content = b"".join(metrics)
    if not content:
        return b""
    return delimited(f.REQUEST_RESOURCE_METRICS, delimited(f.RESOURCE_METRICS_SCOPE_METRICS, content))
