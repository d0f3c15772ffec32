"""Windows that hold floats, histograms or both: who computes them, and what is said about the mixed ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from sonde.query.promql import annotations as texts
from sonde.query.promql.context import Context
from sonde.query.promql.labels import NAME, LabelTable
from sonde.query.promql.values import Bools, Floats, Vector
from sonde.query.promql.windows import Windows


def both(
    windows: Windows,
    context: Context,
    of_floats: Callable[[Windows], tuple[Floats, Bools]],
    of_histograms: Callable[[Windows, Context], Vector],
) -> Vector:
    """Windows of floats through one function, windows of histograms through another; mixed ones give nothing and a warning."""
    if windows.samples.histograms is None:
        return windows.vector(*of_floats(windows))
    floats, histograms = windows.floats(), windows.histograms()
    mixed = (floats.counts > 0) & (histograms.counts > 0)
    for name in names_of(windows.samples.labels, mixed):
        context.annotations.warn(texts.mixed_floats_histograms(name), context.span_of(0))
    values, present = of_floats(_emptied(floats, mixed))
    found = of_histograms(_emptied(histograms, mixed), context)
    return replace(found, labels=windows.samples.labels, values=values, present=present | found.present)


def _emptied(windows: Windows, where: Bools) -> Windows:
    return replace(windows, end=np.where(where, windows.first, windows.end))


def floats_noted(windows: Windows, context: Context, argument: int = 0) -> Windows:
    """Only the floats; an info says so where histograms stand beside them."""
    floats = windows.floats()
    if windows.samples.histograms is not None:
        beside = (floats.counts > 0) & (windows.counts > floats.counts)
        for name in names_of(windows.samples.labels, beside):
            context.annotations.info(texts.histograms_ignored_in_mixed_range(name), context.span_of(argument))
    return floats


def names_of(labels: LabelTable, cells: Bools) -> list[str]:
    """The metric names of the series for which any cell is set; "" for those without one."""
    column = labels.column(NAME)
    return [str(column.values[code]) for code in np.unique(column.codes[cells.any(axis=1)])]
