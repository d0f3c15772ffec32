"""Samples and exemplars of a Prometheus series as OTLP points, in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sonde.ingest import metrics_fields as f
from sonde.ingest.limits import Reason
from sonde.ingest.remote_write_refusals import Labels, SeriesRefused
from sonde.ingest.remote_write_series import Series, attributes_field, check_labels, key_value
from sonde.ingest.remote_write_wire import UINT64, ZERO, delimited, fixed

STALE = UINT64.pack(0x7FF0_0000_0000_0002)
"""The NaN by which Prometheus says that a series has ended."""
NO_RECORDED_VALUE = 1
"""DataPointFlags of a point that stands for a stale marker."""
NANOSECONDS = 1_000_000
LAST_MS = ((1 << 63) - 1) // NANOSECONDS
_TRACE_ID = (b"trace_id", 32, f.EXEMPLAR_TRACE_ID)
_SPAN_ID = (b"span_id", 16, f.EXEMPLAR_SPAN_ID)
_HEX = frozenset(b"0123456789abcdef")


class Sample(NamedTuple):
    value: bytes
    """The 8 bytes of the double, as sent."""
    timestamp_ms: int
    start_ms: int = 0
    """When its counter began to count; 0 where that is not said."""


class Exemplar(NamedTuple):
    labels: Labels
    value: bytes
    timestamp_ms: int


def time_of(timestamp_ms: int) -> bytes:
    """time_unix_nano of a sample. SeriesRefused where OTLP has no such time: 0 would mean that it is not known."""
    if timestamp_ms <= 0:
        raise SeriesRefused(Reason.TOO_OLD, f"the timestamp {timestamp_ms} ms is not after 1970")
    if timestamp_ms > LAST_MS:
        raise SeriesRefused(Reason.IN_THE_FUTURE, f"the timestamp {timestamp_ms} ms is beyond the year 2262")
    return UINT64.pack(timestamp_ms * NANOSECONDS)


def optional_time_of(timestamp_ms: int) -> bytes:
    """The same, of a time that may not be known: ZERO then, and where it can't be true."""
    return UINT64.pack(timestamp_ms * NANOSECONDS) if 0 < timestamp_ms <= LAST_MS else ZERO


def number_point(series: Series, sample: Sample, start_ms: int) -> bytes:
    """The NumberDataPoint of a sample."""
    stale = sample.value == STALE
    parts = [
        attributes_field(f.NUMBER_ATTRIBUTES, series),
        fixed(f.NUMBER_START_TIME, optional_time_of(start_ms)),
        b"%c%b" % (f.NUMBER_TIME, time_of(sample.timestamp_ms)),
        b"%c%c" % (f.NUMBER_FLAGS, NO_RECORDED_VALUE) if stale else b"%c%b" % (f.NUMBER_AS_DOUBLE, sample.value),
    ]
    return b"".join(parts)


def point_of_exemplars(series: Series, exemplars: Sequence[Exemplar]) -> bytes:
    """The NumberDataPoint that carries exemplars which came without a sample: it has no value."""
    parts = [
        attributes_field(f.NUMBER_ATTRIBUTES, series),
        exemplars_field(f.NUMBER_EXEMPLARS, exemplars),
        fixed(f.NUMBER_TIME, optional_time_of(exemplars[-1].timestamp_ms)),
    ]
    return b"".join(parts)


def exemplars_field(tag: int, exemplars: Sequence[Exemplar]) -> bytes:
    """The exemplars of a point whose field for them has this tag."""
    return b"".join([delimited(tag, exemplar_message(exemplar)) for exemplar in exemplars])


def exemplar_message(exemplar: Exemplar) -> bytes:
    """An OTLP Exemplar: ids become ids only where they can be given back as they were written."""
    parts = [
        fixed(f.EXEMPLAR_TIME, optional_time_of(exemplar.timestamp_ms)),
        b"%c%b" % (f.EXEMPLAR_AS_DOUBLE, exemplar.value),
    ]
    for name, text in exemplar.labels:
        for label, digits, tag in (_TRACE_ID, _SPAN_ID):
            if name == label and len(text) == digits and _HEX.issuperset(text) and text.strip(b"0"):
                parts.append(delimited(tag, bytes.fromhex(text.decode())))
                break
        else:
            if text:
                parts.append(delimited(f.EXEMPLAR_FILTERED_ATTRIBUTES, key_value(name, text)))
    return b"".join(parts)


def check_exemplar(exemplar: Exemplar) -> None:
    """SeriesRefused where its labels are not labels."""
    try:
        check_labels(exemplar.labels)
    except SeriesRefused as error:
        raise SeriesRefused(error.reason, f"of an exemplar, {error}") from None
