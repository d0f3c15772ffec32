"""Kernels compiled, or loaded from numba's cache, before the first query needs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from sonde.query.promql.evaluate import evaluate
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.parser import parse
from sonde.query.promql.summaries import Summaries, coarser, summarize
from sonde.query.promql.summary_widths import Use
from sonde.query.promql.syntax import Matcher
from sonde.query.promql.values import Samples

Progress = Callable[[str, int, int], None]

EXPRESSIONS = (
    "x",
    "x smoothed",
    "rate(x[1m])",
    "rate(x[1m] anchored)",
    "x[1m] anchored",
    "sum_over_time(x[1m])",
    "avg_over_time(x[1m])",
    "stddev_over_time(x[1m])",
    "max_over_time(x[1m])",
    "quantile_over_time(0.5, x[1m])",
    "mad_over_time(x[1m])",
    "deriv(x[1m])",
    "predict_linear(x[1m], 60)",
    "double_exponential_smoothing(x[1m], 0.5, 0.5)",
    "sum(x)",
    "avg(x)",
    "stddev(x)",
    "max(x)",
    "quantile(0.5, x)",
    "topk(1, x)",
    "histogram_quantile(0.5, x)",
    "histogram_fraction(0, 1, x)",
)
"""Together they call every kernel."""


OF_SUMMARIES = ("x", "rate(x[5m])", "sum_over_time(x[5m])", "max_over_time(x[5m])")
"""Over summaries these call what the others don't."""


class _Few:
    """A source of two buckets of one classic histogram."""

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Samples:
        labels = LabelTable.of([{"__name__": "x", "le": "1"}, {"__name__": "x", "le": "+Inf"}])
        times = np.array([1_000, 2_000, 1_000, 2_000])
        return Samples(labels, np.array([0, 2, 4]), times, np.array([1.0, 2.0, 1.0, 3.0]))

    def summaries(
        self, matchers: Sequence[Matcher], width_ms: int, after_ms: int, end_ms: int, *, values: bool
    ) -> Summaries:
        return summarize(self.select(matchers, after_ms, end_ms), width_ms)


def warm(progress: Progress | None = None) -> None:
    """Compiles every kernel of the evaluation. `progress(what, step, steps)` is called before each step."""
    for number, text in enumerate(EXPRESSIONS):
        if progress:
            progress(f"evaluate {text}", number, len(EXPRESSIONS))
        evaluate(parse(text), _Few(), start_ms=2_000, end_ms=2_000)
    for text in OF_SUMMARIES:
        evaluate(parse(text), _Few(), start_ms=0, end_ms=600_000, step_ms=300_000, use=Use.EXACT)
    few = _Few().select((), 0, 0)
    for starts in (None, np.zeros_like(few.times)):
        coarser(summarize(replace(few, start_times=starts), 300_000), 3_600_000)
