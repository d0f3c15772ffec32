"""Remote write 2.0: io.prometheus.write.v2.Request into OTLP.

https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/

Texts stand once in a request, in `symbols`, and are referred to by their places.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from sonde.ingest import metrics_fields as f
from sonde.ingest.remote_write_assembly import TIMESTAMP_BYTES, Assembly, SentSeries
from sonde.ingest.remote_write_families import Families
from sonde.ingest.remote_write_points import STALE, Exemplar, Sample
from sonde.ingest.remote_write_prefixes import Prefixes
from sonde.ingest.remote_write_refusals import Labels, Refusals, SeriesRefused
from sonde.ingest.remote_write_series import (
    NAME,
    NOTHING_KNOWN,
    TYPE_NAMES,
    UNKNOWN,
    Family,
    Series,
    invalid,
    number_prefix,
)
from sonde.ingest.remote_write_v1 import (
    POINT_TAIL,
    SAMPLE_TIMESTAMP,
    SAMPLE_VALUE,
    SERIES_SAMPLES,
)
from sonde.ingest.remote_write_wire import ZERO, fields, fields_of_request, signed, varints
from sonde.ingest.wire import FIXED64, LEN, VARINT, tag

REQUEST_SYMBOLS, REQUEST_TIMESERIES = tag(4, LEN), tag(5, LEN)
LABELS_REFS, LABELS_REF = tag(1, LEN), tag(1, VARINT)
SERIES_HISTOGRAMS, SERIES_EXEMPLARS, SERIES_METADATA = (tag(number, LEN) for number in (3, 4, 5))
SERIES_CREATED = tag(6, VARINT)
SAMPLE_START = tag(3, VARINT)
EXEMPLAR_VALUE, EXEMPLAR_TIMESTAMP = tag(2, FIXED64), tag(3, VARINT)
METADATA_TYPE, METADATA_HELP, METADATA_UNIT = tag(1, VARINT), tag(3, VARINT), tag(4, VARINT)

TAILS = {
    # length of the Sample: (value and start are sent)
    9 + 1 + TIMESTAMP_BYTES: (True, False),
    1 + TIMESTAMP_BYTES: (False, False),
    9 + 2 * (1 + TIMESTAMP_BYTES): (True, True),
    2 * (1 + TIMESTAMP_BYTES): (False, True),
}
"""How samples look that are written as they nearly always are: fields in order, times of this century."""
LONGEST_REF = 4
"""Bytes of one that `look_up` knows: more symbols than these could name don't fit in a request."""
START_TAG, START_SIZE = bytes((f.NUMBER_START_TIME,)), 9
STARTED = b""
"""In a key: the prefix is one of points with a start time. No label is called so."""


class Simple(NamedTuple):
    """A TimeSeries of labels, one sample and perhaps metadata, in this order; still bytes."""

    value: bytes
    timestamp: bytes
    start_timestamp: bytes
    metadata: bytes
    start: int
    stop: int


def transcode_v2(made: Assembly, prefixes: Prefixes, families: Families) -> None:
    """Make the Metrics of `made.data`. Malformed where it is no Request.

    message Request { repeated string symbols = 4; repeated TimeSeries timeseries = 5; }
    """
    data = made.data
    symbols: list[bytes] = []
    series: list[tuple[int, int]] = []
    for which, start, stop in fields_of_request(data):
        if which == REQUEST_SYMBOLS:
            symbols.append(data[start:stop])
        elif which == REQUEST_TIMESERIES:
            series.append((start, stop))
    refs, simple, rest = divide(data, series)
    texts = look_up(refs, symbols)
    if texts is None:
        rest = series
    else:
        add_simple(made, symbols, texts, simple, prefixes, families)
    for start, stop in rest:
        add_slowly(made, symbols, start, stop, families)


def divide(data: bytes, series: list[tuple[int, int]]) -> tuple[list[bytes], list[Simple], list[tuple[int, int]]]:
    """(labels_refs of the simple ones, the simple ones, where the others lie)."""
    refs: list[bytes] = []
    simple: list[Simple] = []
    rest: list[tuple[int, int]] = []
    for start, stop in series:
        sample = start + 2 + data[start + 1] if stop - start > 2 and data[start + 1] else stop
        if (
            stop - sample >= 2 + 1 + TIMESTAMP_BYTES
            and data[start] == LABELS_REFS
            and data[start + 1] < 0x80
            and data[sample] == SERIES_SAMPLES
            and (tail := TAILS.get(data[sample + 1])) is not None
            and (sample_end := sample + 2 + data[sample + 1]) <= stop
        ):
            has_value, has_start = tail
            at = sample + 2
            value = ZERO
            if has_value:
                value = data[at + 1 : at + 9] if data[at] == SAMPLE_VALUE else STALE
                at += 9
            started = data[at + 8 : sample_end] if has_start else b""
            if value != STALE and data[at] == SAMPLE_TIMESTAMP and (not has_start or data[at + 7] == SAMPLE_START):
                refs.append(data[start + 2 : sample])
                metadata = data[sample_end:stop]
                simple.append(Simple(value, data[at + 1 : at + 7], started, metadata, start, stop))
                continue
        rest.append((start, stop))
    return refs, simple, rest


def look_up(refs: list[bytes], symbols: list[bytes]) -> list[tuple[bytes, ...]] | None:
    """The texts that each of `refs`, packed varints, refers to; None where one refers to nothing, or is no varint."""
    if not refs:
        return []
    raw = np.frombuffer(b"".join(refs), np.uint8)
    last = raw < 0x80  # byte of a varint
    ends = np.flatnonzero(last) + 1
    widths = np.diff(ends, prepend=0)
    starts = ends - widths
    bounds = np.cumsum([len(each) for each in refs])  # none is empty
    if not last[bounds - 1].all() or widths.max() > LONGEST_REF:
        return None
    values = np.zeros(len(ends), np.int64)
    for place in range(int(widths.max())):
        longer = np.flatnonzero(widths > place)
        values[longer] |= (raw[starts[longer] + place] & 0x7F).astype(np.int64) << 7 * place
    if values.max() >= len(symbols):
        return None
    texts = [symbols[value] for value in values.tolist()]
    counts = np.cumsum(last)[bounds - 1].tolist()
    return [tuple(texts[first:end]) for first, end in zip([0, *counts], counts, strict=False)]


def add_simple(
    made: Assembly,
    symbols: list[bytes],
    texts: Sequence[tuple[bytes, ...]],
    simple: Sequence[Simple],
    prefixes: Prefixes,
    families: Families,
) -> None:
    """Make the Metrics of simple series; `texts`: the names and values of their labels, in turns."""
    known, metrics = prefixes.young, made.metrics
    told: dict[bytes, Family | None] = {}
    for names, each in zip(texts, simple, strict=True):
        if each.metadata not in told:
            told[each.metadata] = simple_family(each.metadata, symbols)
        family = told[each.metadata]
        started = made.moment(each.start_timestamp) if each.start_timestamp else b""
        moment = made.moment(each.timestamp)
        if family is None or started is None or moment is None:
            add_slowly(made, symbols, each.start, each.stop, families)
            continue
        key = (family, STARTED, *names) if started else (family, *names)
        prefix = known.get(key) or prefixes.recall(key)
        if prefix is None:
            series = add_slowly(made, symbols, each.start, each.stop, families)
            if series is not None:
                prefixes.put(key, number_prefix(series, POINT_TAIL + (START_SIZE if started else 0)))
            continue
        if started:
            metrics += (prefix, START_TAG, started[1:9], moment, each.value)
        else:
            metrics += (prefix, moment, each.value)
        made.samples += 1


def add_slowly(made: Assembly, symbols: Sequence[bytes], start: int, stop: int, families: Families) -> Series | None:
    """Make the Metrics of one TimeSeries, whatever is in it."""
    sent, family = SentSeries([]), NOTHING_KNOWN
    try:
        family = read_series(made.data, start, stop, symbols, sent, made.refusals)
    except SeriesRefused as error:
        made.refusals.add(sent.labels, error, sent.records)
        return None
    if family == NOTHING_KNOWN:
        name = next((value for label, value in sent.labels if label == NAME), b"")
        family = families.of(name)
    return made.add(sent, family)


# ---- messages ----


def simple_family(metadata: bytes, symbols: Sequence[bytes]) -> Family | None:
    """What the end of a TimeSeries says, where that is metadata or nothing; None where it is anything else."""
    if not metadata:
        return NOTHING_KNOWN
    found = list(islice(fields(metadata, 0, len(metadata)), 2))
    if len(found) != 1 or found[0][0] != SERIES_METADATA:
        return None
    try:
        return read_metadata(metadata, *found[0][1:], symbols)
    except SeriesRefused:
        return None


def read_series(
    data: bytes, pos: int, end: int, symbols: Sequence[bytes], sent: SentSeries, refusals: Refusals
) -> Family:
    """Fill `sent` with the TimeSeries in [pos, end); what is said of its family. SeriesRefused where a reference is none.

    message TimeSeries {
      repeated uint32 labels_refs = 1; repeated Sample samples = 2; repeated Histogram histograms = 3;
      repeated Exemplar exemplars = 4; Metadata metadata = 5;
      int64 created_timestamp = 6;     (until 2.0-rc.3; since then a start_timestamp in each sample)
    }
    """
    refs: list[int] = []
    exemplars: list[tuple[int, int]] = []
    metadata: list[tuple[int, int]] = []
    created = 0
    for which, value, stop in fields(data, pos, end):
        if which == LABELS_REFS:
            refs.extend(varints(data, value, stop))
        elif which == LABELS_REF:
            refs.append(value)
        elif which == SERIES_SAMPLES:
            sent.samples.append(read_sample(data, value, stop))
        elif which == SERIES_HISTOGRAMS:
            sent.histograms.append((value, stop))
        elif which == SERIES_EXEMPLARS:
            exemplars.append((value, stop))
        elif which == SERIES_METADATA:
            metadata.append((value, stop))
        elif which == SERIES_CREATED:
            created = signed(value)
    sent.created_ms = created
    sent.labels = labels_of(refs, symbols)
    for start, stop in exemplars:
        try:
            sent.exemplars.append(read_exemplar(data, start, stop, symbols))
        except SeriesRefused as error:
            refusals.add(sent.labels, error, 0)
    family = NOTHING_KNOWN
    for start, stop in metadata:
        family = read_metadata(data, start, stop, symbols)
    return family


def labels_of(refs: Sequence[int], symbols: Sequence[bytes]) -> Labels:
    """(name, value) of each label. SeriesRefused where there is a name without a value, or a reference to nothing."""
    texts = [symbol(ref, symbols) for ref in refs]
    if len(texts) % 2:
        raise invalid(f"its {len(texts)} label references are not pairs of name and value")
    return list(zip(texts[::2], texts[1::2], strict=True))


def symbol(ref: int, symbols: Sequence[bytes]) -> bytes:
    if ref >= len(symbols):
        raise invalid(f"the reference {ref} is to none of the {len(symbols)} symbols")
    return symbols[ref]


def read_sample(data: bytes, pos: int, end: int) -> Sample:
    """message Sample { double value = 1; int64 timestamp = 2; int64 start_timestamp = 3; }"""
    bits, timestamp, started = ZERO, 0, 0
    for which, value, stop in fields(data, pos, end):
        if which == SAMPLE_VALUE:
            bits = data[value:stop]
        elif which == SAMPLE_TIMESTAMP:
            timestamp = signed(value)
        elif which == SAMPLE_START:
            started = signed(value)
    return Sample(bits, timestamp, started)


def read_exemplar(data: bytes, pos: int, end: int, symbols: Sequence[bytes]) -> Exemplar:
    """message Exemplar { repeated uint32 labels_refs = 1; double value = 2; int64 timestamp = 3; }"""
    refs: list[int] = []
    bits, timestamp = ZERO, 0
    for which, value, stop in fields(data, pos, end):
        if which == LABELS_REFS:
            refs.extend(varints(data, value, stop))
        elif which == LABELS_REF:
            refs.append(value)
        elif which == EXEMPLAR_VALUE:
            bits = data[value:stop]
        elif which == EXEMPLAR_TIMESTAMP:
            timestamp = signed(value)
    return Exemplar(labels_of(refs, symbols), bits, timestamp)


def read_metadata(data: bytes, pos: int, end: int, symbols: Sequence[bytes]) -> Family:
    """message Metadata { MetricType type = 1; uint32 help_ref = 3; uint32 unit_ref = 4; }"""
    kind, help, unit = UNKNOWN, b"", b""
    for which, value, _stop in fields(data, pos, end):
        if which == METADATA_TYPE:
            kind = value if value < len(TYPE_NAMES) else UNKNOWN
        elif which == METADATA_HELP:
            help = symbol(value, symbols) if value else b""
        elif which == METADATA_UNIT:
            unit = symbol(value, symbols) if value else b""
    return Family(kind, help, unit)
