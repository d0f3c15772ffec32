"""Every function of PromQL by name: one row each.

A function of a range vector is called as `f(windows, context, *others)`, any other one as `f(context, *args)`; the arguments
are `Vector`, `Scalar` or `Text`, as its signature says. `info` is not here: it has to select series itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sonde.query.promql import histogram_functions, instant_functions, label_functions, over_time, rates
from sonde.query.promql.dates import DATES
from sonde.query.promql.instant_functions import ARITHMETIC
from sonde.query.promql.selection import Found
from sonde.query.promql.values import Vector

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **ARITHMETIC,
    **DATES,
    # Arithmetic with parameters.
    "clamp": instant_functions.clamp,
    "clamp_max": instant_functions.clamp_max,
    "clamp_min": instant_functions.clamp_min,
    "max_of": instant_functions.larger,
    "min_of": instant_functions.smaller,
    "round": instant_functions.round_to,
    # Presence, order, conversion.
    "absent": instant_functions.absent,
    "scalar": instant_functions.scalar,
    "sort": instant_functions.ordered(descending=False),
    "sort_desc": instant_functions.ordered(descending=True),
    "start_timestamp": instant_functions.start_timestamp,
    "timestamp": instant_functions.timestamp,
    "vector": instant_functions.vector,
    # Constants, and what a query knows about itself.
    "end": instant_functions.query_end,
    "pi": instant_functions.constant(np.pi),
    "range": instant_functions.query_range,
    "start": instant_functions.query_start,
    "step": instant_functions.query_step,
    "time": instant_functions.time,
    # Counters and gauges over a window.
    "changes": over_time.changes,
    "delta": rates.delta,
    "deriv": over_time.deriv,
    "double_exponential_smoothing": over_time.double_exponential_smoothing,
    "idelta": rates.idelta,
    "increase": rates.increase,
    "irate": rates.irate,
    "predict_linear": over_time.predict_linear,
    "rate": rates.rate,
    "resets": over_time.resets_over_time,
    # Statistics over a window.
    "absent_over_time": over_time.absent_over_time,
    "avg_over_time": over_time.avg_over_time,
    "count_over_time": over_time.count_over_time,
    "first_over_time": over_time.first_over_time,
    "last_over_time": over_time.last_over_time,
    "mad_over_time": over_time.mad_over_time,
    "max_over_time": over_time.max_over_time,
    "min_over_time": over_time.min_over_time,
    "present_over_time": over_time.present_over_time,
    "quantile_over_time": over_time.quantile_over_time,
    "stddev_over_time": over_time.stddev_over_time,
    "stdvar_over_time": over_time.stdvar_over_time,
    "sum_over_time": over_time.sum_over_time,
    "ts_of_first_over_time": over_time.ts_of_first_over_time,
    "ts_of_last_over_time": over_time.ts_of_last_over_time,
    "ts_of_max_over_time": over_time.ts_of_max_over_time,
    "ts_of_min_over_time": over_time.ts_of_min_over_time,
    # Histograms.
    "histogram_avg": histogram_functions.average,
    "histogram_count": histogram_functions.count,
    "histogram_fraction": histogram_functions.fraction,
    "histogram_quantile": histogram_functions.quantile,
    "histogram_quantiles": histogram_functions.quantiles,
    "histogram_stddev": histogram_functions.deviation,
    "histogram_stdvar": histogram_functions.variance,
    "histogram_sum": histogram_functions.total,
    # Labels.
    "label_join": label_functions.label_join,
    "label_replace": label_functions.label_replace,
    "sort_by_label": label_functions.by_label(descending=False),
    "sort_by_label_desc": label_functions.by_label(descending=True),
}

OF_SAMPLES: Mapping[str, Callable[[Found], Vector]] = {
    "start_timestamp": instant_functions.sample_starts,
    "timestamp": instant_functions.sample_times,
}
"""What these do where their argument is a selector: they look at the samples, not at their values."""

KEEPS_NAME = frozenset(
    [
        "first_over_time",
        "info",
        "label_join",
        "label_replace",
        "last_over_time",
        "sort",
        "sort_by_label",
        "sort_by_label_desc",
        "sort_desc",
    ]
)
"""Functions that give samples back as they are; what the others make goes without the metric's name."""

ACROSS_SERIES = frozenset(["absent_over_time"])
"""Functions of range vectors that look at all series together; the others can be had some series at a time."""
