"""Remote write 2.0: io.prometheus.write.v2.Request into OTLP.

https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/

Texts stand once in a request, in `symbols`, and are referred to by their places.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sonde.ingest import metrics_fields as f
from sonde.ingest import remote_write_kernels as k
from sonde.ingest.remote_write_assembly import Assembly, SentSeries
from sonde.ingest.remote_write_families import Families
from sonde.ingest.remote_write_points import LAST_MS, NANOSECONDS, Exemplar, Sample
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
    SAMPLE_TIMESTAMP,
    SAMPLE_VALUE,
    SERIES_SAMPLES,
)
from sonde.ingest.remote_write_wire import ZERO, fields, fields_of_request, signed, varints
from sonde.ingest.wire import FIXED64, LEN, VARINT, tag
from sonde.storage.columns import I64
from sonde.storage.reuse import Reused

REQUEST_SYMBOLS, REQUEST_TIMESERIES = tag(4, LEN), tag(5, LEN)
LABELS_REFS, LABELS_REF = tag(1, LEN), tag(1, VARINT)
SERIES_HISTOGRAMS, SERIES_EXEMPLARS, SERIES_METADATA = (tag(number, LEN) for number in (3, 4, 5))
SERIES_CREATED = tag(6, VARINT)
SAMPLE_START = tag(3, VARINT)
EXEMPLAR_VALUE, EXEMPLAR_TIMESTAMP = tag(2, FIXED64), tag(3, VARINT)
METADATA_TYPE, METADATA_HELP, METADATA_UNIT = tag(1, VARINT), tag(3, VARINT), tag(4, VARINT)

START_SIZE = 9
KEY_BYTES = 32 << 20
"""Room for the keys of one request; series without room in it are done the slow way."""
KEYS = Reused(np.uint8)
PLAIN_TAIL = np.dtype([("time_tag", "u1"), ("time", "<u8"), ("value_tag", "u1"), ("value", "<i8")])
STARTED_TAIL = np.dtype([("start_tag", "u1"), ("start", "<u8"), *PLAIN_TAIL.descr])
"""What of a NumberDataPoint follows its attributes."""


def transcode_v2(made: Assembly, prefixes: Prefixes, families: Families) -> None:
    """Make the Metrics of `made.data`. Malformed where it is no Request.

    message Request { repeated string symbols = 4; repeated TimeSeries timeseries = 5; }
    """
    data = made.data
    symbols: list[bytes] = []
    symbols_at: list[int] = []
    series: list[int] = []
    for which, start, stop in fields_of_request(data):
        if which == REQUEST_SYMBOLS:
            symbols.append(data[start:stop])
            symbols_at += (start, stop)
        elif which == REQUEST_TIMESERIES:
            series += (start, stop)
    rows, keys = split(data, series, symbols_at)
    add_all(made, rows, keys, symbols, prefixes, families)


def warm() -> None:
    """Load the kernel, or compile it where this machine never did, before anybody waits."""
    split(b"", [], [])


def split(data: bytes, series: list[int], symbols_at: list[int]) -> tuple[I64, bytes]:
    """(the rows of `split_series`, the keys they point into)."""
    rows = np.zeros((len(series) // 2, k.COLUMNS), np.int64)
    keys = KEYS.take(KEY_BYTES)
    used = k.split_series(
        np.frombuffer(data, np.uint8),
        np.array(series, np.int64),
        np.array(symbols_at, np.int64),
        rows.reshape(-1),
        keys,
    )
    return rows, keys[:used].tobytes()


def tails_of(rows: I64) -> list[bytes]:
    """Of each row, what of its point follows the attributes; of use where the row is simple and `has_times`."""
    made = np.zeros(len(rows), STARTED_TAIL)
    made["start_tag"], made["time_tag"], made["value_tag"] = f.NUMBER_START_TIME, f.NUMBER_TIME, f.NUMBER_AS_DOUBLE
    made["start"] = rows[:, k.STARTED].astype(np.uint64) * np.uint64(NANOSECONDS)
    made["time"] = rows[:, k.TIME].astype(np.uint64) * np.uint64(NANOSECONDS)
    made["value"] = rows[:, k.VALUE]
    raw, size = made.tobytes(), STARTED_TAIL.itemsize
    skipped = np.where(rows[:, k.STARTED] > 0, 0, START_SIZE).tolist()
    return [raw[at + skip : at + size] for at, skip in zip(range(0, len(raw), size), skipped, strict=True)]


def has_times(rows: I64) -> list[bool]:
    """Whether the sample of a row is simple, and of a time that OTLP has."""
    time, started = rows[:, k.TIME], rows[:, k.STARTED]
    good = (rows[:, k.SIMPLE] > 0) & (time > 0) & (time <= LAST_MS) & (started >= 0) & (started <= LAST_MS)
    return [bool(each) for each in good.tolist()]


def add_all(
    made: Assembly, rows: I64, keys: bytes, symbols: Sequence[bytes], prefixes: Prefixes, families: Families
) -> None:
    """Make the Metrics of all rows."""
    metrics, known = made.metrics, prefixes.young
    places = zip(has_times(rows), tails_of(rows), *rows[:, : k.KEY_STOP + 1].T.tolist(), strict=True)
    for simple, tail, start, stop, key_start, key_stop in places:
        if not simple:
            add_slowly(made, symbols, start, stop, families)
            continue
        key = keys[key_start:key_stop]
        prefix = known.get(key) or prefixes.recall(key)
        if prefix is not None:
            metrics += (prefix, tail)
            made.samples += 1
        elif (series := add_slowly(made, symbols, start, stop, families)) is not None:
            prefixes.put(key, number_prefix(series, len(tail)))


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
