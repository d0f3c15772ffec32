"""Parts of a date, in UTC: of seconds since the epoch, as the samples of a vector or as the evaluation time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sonde.query.promql.context import Context
from sonde.query.promql.instant_functions import floats_of
from sonde.query.promql.values import Floats, Scalar, Vector

Days = NDArray[np.datetime64]
DAY = 86_400


def _of_dates(part: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> Callable[..., Vector]:
    """A function of whole seconds, over a vector's floats or, without one, over the evaluation time."""

    def applied(context: Context, vector: Vector | None = None) -> Vector:
        if vector is None:
            vector = Vector.of_scalar(Scalar(np.floor_divide(context.step_times, 1000).astype(np.float64)))
        floats = floats_of(vector)
        return replace(floats, values=part(_seconds(floats.values)).astype(np.float64))

    return applied


def _seconds(values: Floats) -> NDArray[np.int64]:
    """Whole seconds; what is no number or beyond any calendar becomes the epoch's farthest past, as Go has it."""
    inside = np.abs(values) < 2**55
    return np.where(inside, np.trunc(np.where(inside, values, 0)), -(2**55)).astype(np.int64)


def _days(seconds: NDArray[np.int64]) -> Days:
    return (seconds // DAY).astype("datetime64[D]")


def _months(seconds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Since January 1970."""
    return _days(seconds).astype("datetime64[M]").astype(np.int64)


def _day_of_month(seconds: NDArray[np.int64]) -> NDArray[np.int64]:
    days = _days(seconds)
    return np.asarray(days - days.astype("datetime64[M]").astype("datetime64[D]"), np.int64) + 1


def _day_of_year(seconds: NDArray[np.int64]) -> NDArray[np.int64]:
    days = _days(seconds)
    return np.asarray(days - days.astype("datetime64[Y]").astype("datetime64[D]"), np.int64) + 1


def _days_in_month(seconds: NDArray[np.int64]) -> NDArray[np.int64]:
    month = _days(seconds).astype("datetime64[M]")
    return np.asarray((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]"), np.int64)


DATES: Mapping[str, Callable[..., Vector]] = {
    "minute": _of_dates(lambda seconds: seconds // 60 % 60),
    "hour": _of_dates(lambda seconds: seconds // 3600 % 24),
    "day_of_week": _of_dates(lambda seconds: (seconds // DAY + 4) % 7),
    "day_of_month": _of_dates(_day_of_month),
    "day_of_year": _of_dates(_day_of_year),
    "days_in_month": _of_dates(_days_in_month),
    "month": _of_dates(lambda seconds: _months(seconds) % 12 + 1),
    "year": _of_dates(lambda seconds: _months(seconds) // 12 + 1970),
}
"""Sunday is day 0 of the week."""
