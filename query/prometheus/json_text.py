"""Numbers and texts in the JSON of Prometheus' API.

A sample's value is a string that holds a number as Go prints it: without an exponent from 1e-6 up to 1e21, `NaN`, `+Inf`,
`-Inf`. Times are numbers of seconds with up to three digits after the point.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import orjson
from sonde.query.prometheus.json_kernels import write_points
from sonde.query.promql.float_text import plain, shortest_g
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.values import Bools, Floats, Ints


def json_of(value: Any) -> bytes:
    """Any value of JSON. Bytes of a string that are no UTF-8 become U+FFFD, as Go's encoder has it."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return orjson.dumps(_readable(value))


def _readable(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        case dict():
            return {_readable(key): _readable(item) for key, item in value.items()}
        case list() | tuple():
            return [_readable(item) for item in value]
        case _:
            return value


def float_text(value: float) -> str:
    """One value."""
    if value != 0 and np.isfinite(value) and not 1e-6 <= abs(value) < 1e21:
        return shortest_g(value)
    return plain(value)


def float_texts(values: Floats) -> list[bytes]:
    """Many values. orjson writes most of them as Go does, a hundred times as fast as Python would; the others are done over."""
    if not len(values):
        return []
    written = orjson.dumps(np.ascontiguousarray(values, np.float64), option=orjson.OPT_SERIALIZE_NUMPY)
    texts = (written[1:-1] + b",").replace(b".0,", b",").split(b",")[:-1]
    for index in np.flatnonzero(written_otherwise(values)):
        texts[index] = float_text(float(values[index])).encode()
    return texts


def written_otherwise(values: Floats) -> Bools:
    """Of the same shape: which values orjson writes in another way than Go."""
    sizes = np.abs(values)
    found: Bools = ~((sizes >= 1e-5) & (sizes < 1e16)) & (sizes != 0)
    return found


class PointTexts:
    """`[time,"value"]` at given times."""

    def __init__(self, times_ms: Ints) -> None:
        heads = [b'[%b,"' % text for text in time_texts(times_ms)]
        self._heads = np.frombuffer(b"".join(heads), np.uint8)
        self._bounds = np.cumsum([0, *map(len, heads)]).astype(np.int64)
        self._longest = max(map(len, heads), default=0)

    def of_rows(self, values: Floats, present: Bools) -> list[bytes]:
        """Of a matrix (rows, times) the text of each row's present points, commas between them. None `written_otherwise`."""
        rows, steps = map(np.ascontiguousarray, np.nonzero(present))
        row_ends = np.searchsorted(rows, np.arange(len(values)), side="right")
        numbers = orjson.dumps(np.ascontiguousarray(values[present], np.float64), option=orjson.OPT_SERIALIZE_NUMPY)[
            1:-1
        ]
        out = np.empty(len(numbers) + (self._longest + 3) * len(steps), np.uint8)
        ends = np.zeros(len(values), np.int64)
        write_points(np.frombuffer(numbers, np.uint8), self._heads, self._bounds, steps, row_ends, out, ends)
        return [bytes(out.data[begin:end]) for begin, end in pairwise([0, *ends.tolist()])]


def time_texts(times_ms: Ints) -> list[bytes]:
    """Seconds."""
    return float_texts(np.asarray(times_ms) / 1000.0)


def label_texts(labels: LabelTable) -> list[bytes]:
    """The object of each series' labels, names in order. Each distinct value is encoded once."""
    columns = []
    for name, column in sorted(labels.columns.items()):
        prefix = json_of(name) + b":"
        texts = [b"", *(prefix + json_of(value) for value in column.values[1:])]
        columns.append([texts[code] for code in column.codes.tolist()])
    if not columns:
        return [b"{}"] * labels.size
    return [b"{" + b",".join(filter(None, row)) + b"}" for row in zip(*columns, strict=True)]
