"""Samples as the values of a label."""

from __future__ import annotations

from sonde.query.promql.float_text import plain
from sonde.query.promql.values import Ints, Vector


def value_texts(vector: Vector, rows: Ints, steps: Ints) -> list[str]:
    """The text of each of these cells: a float in all its digits, or a histogram's."""
    values = vector.values[rows, steps]
    known: dict[float, str] = {}
    texts = [known[value] if value in known else known.setdefault(value, plain(value)) for value in values.tolist()]
    if vector.histograms is not None:
        for at, histogram in enumerate(vector.histograms[rows, steps]):
            if histogram is not None:
                texts[at] = str(histogram)
    return texts
