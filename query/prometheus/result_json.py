"""What a query answers, in the JSON of Prometheus' API.

It is written piece by piece: the text may be several times as large as the arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import compress

import numpy as np
from sonde.query.prometheus.histogram_json import histogram_json
from sonde.query.prometheus.json_text import (
    PointTexts,
    float_texts,
    json_of,
    label_texts,
    time_texts,
    written_otherwise,
)
from sonde.query.promql.values import Bools, Floats, Ints, Objects, Samples, Scalar, Text, Value, Vector

PART_CELLS = 1 << 16
"""Of a matrix, written at once."""
PIECE = 1 << 16
"""Bytes from which on a piece is sent."""


def result_type(value: Value, *, instant: bool) -> str:
    if not instant or isinstance(value, Samples):
        return "matrix"
    return "vector" if isinstance(value, Vector) else "scalar" if isinstance(value, Scalar) else "string"


def result_json(value: Value, times_ms: Ints, *, instant: bool, limit: int = 0) -> Iterator[bytes]:
    """The field `result`: of an instant query's value at `times_ms[0]`, or of a range query's at all of them.

    At most `limit` series of a vector or matrix are written; 0: all.
    """
    match value:
        case Text():
            yield b"[%b,%b]" % (time_texts(times_ms[:1])[0], json_of(value.value))
        case Scalar() if instant:
            yield b'[%b,"%b"]' % (time_texts(times_ms[:1])[0], float_texts(value.values[:1])[0])
        case Scalar():
            points = _Points(times_ms)
            yield b'[{"metric":{},"values":[%b]}]' % points.of(value.values) if len(times_ms) else b"[]"
        case Vector() if instant:
            yield from _listed(_samples(value, times_ms, limit))
        case Vector():
            yield from _listed(_series(value, times_ms, limit))
        case Samples():
            yield from _listed(_windows(value, limit))


def series_count(value: Value) -> int:
    return value.labels.size if isinstance(value, Vector | Samples) else 1


def _listed(items: Iterable[bytes]) -> Iterator[bytes]:
    """The items as a list, in pieces of at least PIECE bytes."""
    piece, separator = [b"["], b""
    size = 0
    for item in items:
        piece += (separator, item)
        size += len(item)
        separator = b","
        if size >= PIECE:
            yield b"".join(piece)
            piece, size = [], 0
    yield b"".join([*piece, b"]"])


def _samples(vector: Vector, times_ms: Ints, limit: int) -> Iterator[bytes]:
    (time,) = time_texts(times_ms[:1])
    histograms = None if vector.histograms is None else vector.histograms[:, 0]
    rows = zip(label_texts(vector.labels), float_texts(vector.values[:, 0]), strict=True)
    for index, (labels, text) in enumerate(rows):
        if limit and index >= limit:
            return
        if histograms is not None and histograms[index] is not None:
            yield b'{"metric":%b,"histogram":[%b,%b]}' % (labels, time, histogram_json(histograms[index]))
        else:
            yield b'{"metric":%b,"value":[%b,"%b"]}' % (labels, time, text)


def _series(vector: Vector, times_ms: Ints, limit: int) -> Iterator[bytes]:
    points = _Points(times_ms)
    labels = label_texts(vector.labels)[: limit or None]
    texts = _texts_of_rows(vector, times_ms, len(labels))
    for index, (own, text) in enumerate(zip(labels, texts, strict=True)):
        if text is not None:
            yield b'{"metric":%b,"values":[%b]}' % (own, text)
        else:
            histograms = None if vector.histograms is None else vector.histograms[index]
            yield _object(own, points, vector.values[index], histograms, vector.present[index])


def _texts_of_rows(vector: Vector, times_ms: Ints, rows: int) -> Iterator[bytes | None]:
    """The points of the first rows, many rows at once; None for a row that has no floats, or histograms, or odd numbers."""
    texts = PointTexts(times_ms)
    size = max(1, PART_CELLS // max(len(times_ms), 1))
    for begin in range(0, rows, size):
        part = slice(begin, min(begin + size, rows))
        values, present = vector.values[part], vector.present[part]
        plain = np.asarray(present.any(axis=1)) & ~np.asarray((written_otherwise(values) & present).any(axis=1))
        if vector.histograms is not None:
            plain &= ~vector.histograms[part].astype(bool).any(axis=1)
        found = iter(texts.of_rows(values[plain], present[plain]))
        yield from (next(found) if yes else None for yes in plain.tolist())


def _windows(samples: Samples, limit: int) -> Iterator[bytes]:
    for index, labels in enumerate(label_texts(samples.labels)):
        if limit and index >= limit:
            return
        own = slice(samples.offsets[index], samples.offsets[index + 1])
        points = _Points(samples.times[own])
        histograms = None if samples.histograms is None else samples.histograms[own]
        yield _object(labels, points, samples.values[own], histograms, np.ones(len(samples.times[own]), bool))


def _object(labels: bytes, points: _Points, values: Floats, histograms: Objects | None, present: Bools) -> bytes:
    """`{"metric": {...}, "values": [...], "histograms": [...]}`; of the two lists only those that have something in them."""
    parts = [b'{"metric":', labels]
    if histograms is not None:
        drawn = present & histograms.astype(bool)
        present = present & ~drawn
    if present.any():
        parts += (b',"values":[', points.of(values, present), b"]")
    if histograms is not None and drawn.any():
        parts += (b',"histograms":[', points.of_histograms(histograms, drawn), b"]")
    return b"".join([*parts, b"}"])


class _Points:
    """Points at given times: their texts are made once for all series."""

    def __init__(self, times_ms: Ints) -> None:
        self._texts = time_texts(times_ms)
        self._floats = [b'[%b,"%%b"]' % text for text in self._texts]
        self._all = b",".join(self._floats)

    def of(self, values: Floats, present: Bools | None = None) -> bytes:
        """`[time,"value"]` of what is present. Filling in a template takes a third of the time of joining pieces."""
        if present is None or present.all():
            return self._all % tuple(float_texts(values))
        return b",".join(compress(self._floats, present.tolist())) % tuple(float_texts(values[present]))

    def of_histograms(self, histograms: Objects, present: Bools) -> bytes:
        """`[time,{...}]` of what is present."""
        found = zip(compress(self._texts, present.tolist()), histograms[present], strict=True)
        return b",".join(b"[%b,%b]" % (time, histogram_json(histogram)) for time, histogram in found)
