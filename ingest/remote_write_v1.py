"""Remote write 1.0: prometheus.WriteRequest into OTLP.

https://prometheus.io/docs/specs/prw/remote_write_spec/
"""

from __future__ import annotations

from sonde.ingest.remote_write_assembly import TIMESTAMP_BYTES, Assembly, SentSeries
from sonde.ingest.remote_write_families import Families
from sonde.ingest.remote_write_points import STALE, Exemplar, Sample
from sonde.ingest.remote_write_prefixes import Prefixes
from sonde.ingest.remote_write_refusals import SeriesRefused
from sonde.ingest.remote_write_series import NAME, TYPE_NAMES, UNKNOWN, Family, check_text, number_prefix
from sonde.ingest.remote_write_wire import ZERO, fields, fields_of_request, signed
from sonde.ingest.wire import FIXED64, LEN, VARINT, tag

REQUEST_TIMESERIES, REQUEST_METADATA = tag(1, LEN), tag(3, LEN)
SERIES_LABELS, SERIES_SAMPLES, SERIES_EXEMPLARS, SERIES_HISTOGRAMS = (tag(number, LEN) for number in (1, 2, 3, 4))
LABEL_NAME, LABEL_VALUE = tag(1, LEN), tag(2, LEN)
SAMPLE_VALUE, SAMPLE_TIMESTAMP = tag(1, FIXED64), tag(2, VARINT)
EXEMPLAR_LABELS, EXEMPLAR_VALUE, EXEMPLAR_TIMESTAMP = tag(1, LEN), tag(2, FIXED64), tag(3, VARINT)
METADATA_TYPE, METADATA_NAME, METADATA_HELP, METADATA_UNIT = tag(1, VARINT), tag(2, LEN), tag(4, LEN), tag(5, LEN)

SAMPLE_HEAD = bytes((SERIES_SAMPLES, 9 + 1 + TIMESTAMP_BYTES, SAMPLE_VALUE))
SAMPLE_SIZE = 2 + 9 + 1 + TIMESTAMP_BYTES
"""Of the field that a sample nearly always is: a value and a time."""
ZERO_HEAD = bytes((SERIES_SAMPLES, 1 + TIMESTAMP_BYTES, SAMPLE_TIMESTAMP))
ZERO_SIZE = 2 + 1 + TIMESTAMP_BYTES
"""Of one whose value is zero: proto3 leaves it out."""
POINT_TAIL = 9 + 1 + 8
"""Bytes of a NumberDataPoint behind what `number_prefix` gives: its time and its value."""


def transcode_v1(made: Assembly, prefixes: Prefixes, families: Families) -> None:
    """Make the Metrics of `made.data`, and remember what it says of metrics. Malformed where it is no WriteRequest.

    message WriteRequest { repeated TimeSeries timeseries = 1; repeated MetricMetadata metadata = 3; }
    """
    data, told = made.data, dict[bytes, Family]()
    series = []
    for which, start, stop in fields_of_request(data):
        if which == REQUEST_TIMESERIES:
            series.append((start, stop))
        elif which == REQUEST_METADATA:
            name, family = read_metadata(data, start, stop)
            try:
                for text in (name, family.help, family.unit):
                    check_text(text, "metadata")
                told[name] = family
            except SeriesRefused as error:
                made.refusals.add([(NAME, name)], error, 0)
    if told:
        families.learn(told)
        prefixes.follow(families.changed)
    add_all(made, series, prefixes, families)


def add_all(made: Assembly, series: list[tuple[int, int]], prefixes: Prefixes, families: Families) -> None:
    """Make the Metrics of the TimeSeries that lie at `series`.

    Nearly all are known labels and one sample behind them. Whether that is so is seen by looking the labels up: what is
    known as the labels of a series is all of them, so what follows is the sample.
    """
    data, metrics, known = made.data, made.metrics, prefixes.young
    for start, stop in series:
        labels_end = stop - SAMPLE_SIZE
        if (
            labels_end > start
            and data[labels_end : labels_end + 3] == SAMPLE_HEAD
            and data[stop - TIMESTAMP_BYTES - 1] == SAMPLE_TIMESTAMP
        ):
            value = data[labels_end + 3 : labels_end + 11]
        else:
            labels_end = stop - ZERO_SIZE
            value = ZERO if labels_end > start and data[labels_end : labels_end + 3] == ZERO_HEAD else STALE
        if value != STALE:
            prefix = known.get(data[start:labels_end])
            if prefix is None:
                prefix = prefixes.recall(data[start:labels_end])
            moment = made.moment(data[stop - TIMESTAMP_BYTES : stop])
            if prefix is not None and moment is not None:
                metrics += (prefix, moment, value)
                made.samples += 1
                continue
        add_slowly(made, start, stop, prefixes, families)


def add_slowly(made: Assembly, start: int, stop: int, prefixes: Prefixes, families: Families) -> None:
    """The same of one TimeSeries, whatever is in it; its labels are known from then on."""
    sent, labels_end = read_series(made.data, start, stop)
    name = next((value for label, value in sent.labels if label == NAME), b"")
    series = made.add(sent, families.of(name))
    if series is not None and labels_end:
        prefixes.put(made.data[start:labels_end], number_prefix(series, POINT_TAIL))


# ---- messages ----


def read_series(data: bytes, pos: int, end: int) -> tuple[SentSeries, int]:
    """The TimeSeries in [pos, end), and where its labels end; 0 where something else stands among them.

    message TimeSeries {
      repeated Label labels = 1; repeated Sample samples = 2; repeated Exemplar exemplars = 3; repeated Histogram histograms = 4;
    }
    """
    labels: list[tuple[bytes, bytes]] = []
    sent = SentSeries(labels)
    labels_end, in_front = pos, True
    for which, start, stop in fields(data, pos, end):
        if which == SERIES_LABELS:
            labels.append(read_label(data, start, stop))
            labels_end = stop if in_front else 0
            continue
        in_front = False
        if which == SERIES_SAMPLES:
            sent.samples.append(read_sample(data, start, stop))
        elif which == SERIES_EXEMPLARS:
            sent.exemplars.append(read_exemplar(data, start, stop))
        elif which == SERIES_HISTOGRAMS:
            sent.histograms.append((start, stop))
    return sent, labels_end


def read_label(data: bytes, pos: int, end: int) -> tuple[bytes, bytes]:
    """message Label { string name = 1; string value = 2; }"""
    name = text = b""
    for which, start, stop in fields(data, pos, end):
        if which == LABEL_NAME:
            name = data[start:stop]
        elif which == LABEL_VALUE:
            text = data[start:stop]
    return name, text


def read_sample(data: bytes, pos: int, end: int) -> Sample:
    """message Sample { double value = 1; int64 timestamp = 2; }"""
    bits, timestamp = ZERO, 0
    for which, value, stop in fields(data, pos, end):
        if which == SAMPLE_VALUE:
            bits = data[value:stop]
        elif which == SAMPLE_TIMESTAMP:
            timestamp = signed(value)
    return Sample(bits, timestamp)


def read_exemplar(data: bytes, pos: int, end: int) -> Exemplar:
    """message Exemplar { repeated Label labels = 1; double value = 2; int64 timestamp = 3; }"""
    labels: list[tuple[bytes, bytes]] = []
    bits, timestamp = ZERO, 0
    for which, value, stop in fields(data, pos, end):
        if which == EXEMPLAR_LABELS:
            labels.append(read_label(data, value, stop))
        elif which == EXEMPLAR_VALUE:
            bits = data[value:stop]
        elif which == EXEMPLAR_TIMESTAMP:
            timestamp = signed(value)
    return Exemplar(labels, bits, timestamp)


def read_metadata(data: bytes, pos: int, end: int) -> tuple[bytes, Family]:
    """The name of a family, and what is said of it.

    message MetricMetadata { MetricType type = 1; string metric_family_name = 2; string help = 4; string unit = 5; }
    """
    kind, name, help, unit = UNKNOWN, b"", b"", b""
    for which, value, stop in fields(data, pos, end):
        if which == METADATA_TYPE:
            kind = value if value < len(TYPE_NAMES) else UNKNOWN
        elif which == METADATA_NAME:
            name = data[value:stop]
        elif which == METADATA_HELP:
            help = data[value:stop]
        elif which == METADATA_UNIT:
            unit = data[value:stop]
    return name, Family(kind, help, unit)
