"""The functions `..._over_time` and what else looks at the samples of a window one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sonde.query.promql import annotations as texts
from sonde.query.promql import histogram_windows
from sonde.query.promql.context import Context
from sonde.query.promql.counter_resets import count_after_first, resets
from sonde.query.promql.errors import EvaluationError
from sonde.query.promql.instant_functions import absent_vector
from sonde.query.promql.kernels import (
    extreme_windows,
    find_windows,
    mean_windows,
    median_deviation_windows,
    prediction_windows,
    quantile_windows,
    slope_windows,
    smooth_windows,
    sum_windows,
    variance_windows,
)
from sonde.query.promql.sample_kinds import both, floats_noted
from sonde.query.promql.syntax import MatrixSelector, Modifier
from sonde.query.promql.values import Bools, Floats, Ints, Scalar, Vector, plain
from sonde.query.promql.windows import Windows


def _computed(kernel: Any, windows: Windows, *inputs: Any) -> Floats:
    """What a kernel writes for these windows."""
    out = np.zeros(windows.first.shape)
    kernel(*inputs, windows.first, windows.end, out)
    return out


def sum_over_time(windows: Windows, context: Context) -> Vector:
    def of_floats(floats: Windows) -> tuple[Floats, Bools]:
        return _computed(sum_windows, floats, floats.samples.values), floats.counts > 0

    return both(windows, context, of_floats, histogram_windows.sum_over_time)


def avg_over_time(windows: Windows, context: Context) -> Vector:
    def of_floats(floats: Windows) -> tuple[Floats, Bools]:
        return _computed(mean_windows, floats, floats.samples.values), floats.counts > 0

    return both(windows, context, of_floats, histogram_windows.avg_over_time)


def count_over_time(windows: Windows, context: Context) -> Vector:
    return windows.vector(windows.counts.astype(np.float64), windows.counts > 0)


def present_over_time(windows: Windows, context: Context) -> Vector:
    return windows.vector(np.ones(windows.first.shape), windows.counts > 0)


def absent_over_time(windows: Windows, context: Context) -> Vector:
    """1 at the steps where no series has a sample."""
    selector = context.expr.args[0]
    matchers = selector.vector.matchers if isinstance(selector, MatrixSelector) else ()
    return absent_vector(matchers, np.asarray(~(windows.counts > 0).any(axis=0)))


def stdvar_over_time(windows: Windows, context: Context) -> Vector:
    floats = floats_noted(windows, context)
    return windows.vector(_computed(variance_windows, floats, floats.samples.values), floats.counts > 0)


def stddev_over_time(windows: Windows, context: Context) -> Vector:
    floats = floats_noted(windows, context)
    return windows.vector(np.sqrt(_computed(variance_windows, floats, floats.samples.values)), floats.counts > 0)


def mad_over_time(windows: Windows, context: Context) -> Vector:
    """The median distance from the median."""
    floats = floats_noted(windows, context)
    return windows.vector(_computed(median_deviation_windows, floats, floats.samples.values), floats.counts > 0)


def quantile_over_time(windows: Windows, context: Context, quantile: Scalar) -> Vector:
    floats = floats_noted(windows, context, argument=1)
    looked_at = quantile.values[(floats.counts > 0).any(axis=0)]
    for wrong in np.unique(looked_at[np.isnan(looked_at) | (looked_at < 0) | (looked_at > 1)]):
        context.annotations.warn(texts.invalid_quantile(float(wrong)), context.span_of(0))
    out = np.zeros(floats.first.shape)
    quantiles = plain(quantile.values)
    quantile_windows(floats.samples.values, floats.first, floats.end, quantiles, out)
    return windows.vector(out, floats.counts > 0)


def _extremes(windows: Windows, context: Context, *, largest: bool, last: bool = False) -> tuple[Windows, Ints]:
    """Where the extreme of each window stands, 0 for an empty one."""
    floats = floats_noted(windows, context)
    at = np.empty(floats.first.shape, np.int64)
    extreme_windows(floats.samples.values, floats.first, floats.end, largest, last, at)
    return floats, np.maximum(at, 0)


def _valued(windows: Windows, at: Ints) -> Vector:
    return windows.vector(_picked(windows.samples.values, at), windows.counts > 0)


def _timed(windows: Windows, at: Ints) -> Vector:
    return windows.vector(_picked(windows.samples.times, at) / 1000, windows.counts > 0)


def _picked(flat: Any, at: Ints) -> Any:
    return flat[at] if len(flat) else np.zeros(at.shape, flat.dtype)


def min_over_time(windows: Windows, context: Context) -> Vector:
    return _valued(*_extremes(windows, context, largest=False))


def max_over_time(windows: Windows, context: Context) -> Vector:
    return _valued(*_extremes(windows, context, largest=True))


def ts_of_min_over_time(windows: Windows, context: Context) -> Vector:
    return _timed(*_extremes(windows, context, largest=False, last=True))


def ts_of_max_over_time(windows: Windows, context: Context) -> Vector:
    return _timed(*_extremes(windows, context, largest=True, last=True))


def _first(windows: Windows) -> Ints:
    return np.minimum(windows.first, max(len(windows.samples.times) - 1, 0))


def _last(windows: Windows) -> Ints:
    return np.maximum(windows.end - 1, 0)


def ts_of_first_over_time(windows: Windows, context: Context) -> Vector:
    return _timed(windows, _first(windows))


def ts_of_last_over_time(windows: Windows, context: Context) -> Vector:
    return _timed(windows, _last(windows))


def first_over_time(windows: Windows, context: Context) -> Vector:
    return _sample(windows, _first(windows))


def last_over_time(windows: Windows, context: Context) -> Vector:
    return _sample(windows, _last(windows))


def _sample(windows: Windows, at: Ints) -> Vector:
    """The samples at these places, floats or histograms."""
    vector = _valued(windows, at)
    if windows.samples.histograms is None or not len(windows.samples.histograms):
        return vector
    histograms = windows.samples.histograms[at]
    histograms[~vector.present] = None
    return Vector(vector.labels, vector.values, vector.present, histograms)


def changes(windows: Windows, context: Context) -> Vector:
    """How often the value was another than before."""
    values = windows.samples.values
    if windows.samples.histograms is not None:
        marks = histogram_windows.changed(windows.samples)
    else:
        marks = np.zeros(len(values), bool)
        marks[1:] = (values[1:] != values[:-1]) & ~(np.isnan(values[1:]) & np.isnan(values[:-1]))
    return _counted_marks(marks, windows)


def resets_over_time(windows: Windows, context: Context) -> Vector:
    """How often a counter was reset."""
    samples = windows.samples
    marks = resets(samples) if samples.histograms is None else histogram_windows.was_reset(samples)
    return _counted_marks(marks, windows)


def _counted_marks(marks: Bools, windows: Windows) -> Vector:
    if windows.modifier is Modifier.ANCHORED:
        windows = from_anchor(windows)
    return windows.vector(count_after_first(marks, windows).astype(np.float64), windows.counts > 0)


def from_anchor(windows: Windows) -> Windows:
    """Anchored windows from the last sample up to the range's start on; empty where no sample comes after it."""
    samples = windows.samples
    inside, end = np.empty_like(windows.first), np.empty_like(windows.first)
    find_windows(samples.times, samples.offsets, windows.ends_ms - windows.range_ms, windows.ends_ms, inside, end)
    first = np.maximum(windows.first, inside - 1)
    return replace(windows, first=first, end=np.where(inside < windows.end, windows.end, first))


def deriv(windows: Windows, context: Context) -> Vector:
    """The slope a second of the line through the samples."""
    floats = floats_noted(windows, context)
    out = _computed(slope_windows, floats, floats.samples.times, floats.samples.values)
    return windows.vector(out, floats.counts >= 2)


def predict_linear(windows: Windows, context: Context, ahead: Scalar) -> Vector:
    """What the line through the samples says for a time `ahead` seconds from now."""
    floats = floats_noted(windows, context)
    out = np.zeros(floats.first.shape)
    seconds = plain(ahead.values)
    samples = floats.samples
    prediction_windows(samples.times, samples.values, floats.first, floats.end, context.step_times, seconds, out)
    return windows.vector(out, floats.counts >= 2)


def double_exponential_smoothing(windows: Windows, context: Context, smoothing: Scalar, trend: Scalar) -> Vector:
    floats = floats_noted(windows, context)
    looked_at = (windows.counts > 0).any(axis=0)
    _check_factor(smoothing.values[looked_at], "smoothing factor", "sf")
    _check_factor(trend.values[looked_at], "trend factor", "tf")
    out = np.zeros(floats.first.shape)
    factors = plain(smoothing.values), plain(trend.values)
    smooth_windows(floats.samples.values, floats.first, floats.end, *factors, out)
    return windows.vector(out, floats.counts >= 2)


def _check_factor(values: Floats, name: str, short: str) -> None:
    wrong = values[(values <= 0) | (values >= 1)]
    if len(wrong):
        raise EvaluationError(f"invalid {name}. Expected: 0 < {short} < 1, got: {wrong[0]:f}")
