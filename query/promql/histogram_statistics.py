"""Selectors below `histogram_count`, `_sum` and `_avg`, where every sample says whether it is a reset.

Elsewhere only what the store knows of resets goes into a sum's warning of conflicting counter resets. Here, where Prometheus
reads no buckets and so has to find resets while it reads, the warning also tells of those that it finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sonde.query.promql.histogram import CounterReset
from sonde.query.promql.histogram_resets import resets_between
from sonde.query.promql.histogram_spans import following
from sonde.query.promql.syntax import Binary, Call, Expr, Subquery, VectorSelector, children
from sonde.query.promql.values import Samples
from sonde.query.promql.windows import is_histogram

_OF_STATISTICS = frozenset(["histogram_count", "histogram_sum", "histogram_avg"])
_OF_BUCKETS = frozenset(["histogram_quantile", "histogram_quantiles", "histogram_fraction"])
_TRIMS = frozenset(["</", ">/"])


def selectors_of_statistics(expr: Expr) -> frozenset[int]:
    """`id` of the selectors of which only counts and sums of histograms are wanted.

    These stand in a function that gives them, and nowhere in what needs buckets: a subquery needs them to find resets.
    """
    return frozenset(_found(expr, wanted=False))


def _found(node: Expr, *, wanted: bool) -> Iterator[int]:
    if isinstance(node, VectorSelector) and wanted:
        yield id(node)
    if isinstance(node, Subquery):
        return
    if isinstance(node, Call) and node.function in _OF_BUCKETS:
        return
    if isinstance(node, Binary) and node.op in _TRIMS:
        return
    wanted = wanted or (isinstance(node, Call) and node.function in _OF_STATISTICS)
    for child in children(node):
        yield from _found(child, wanted=wanted)


def with_resets(samples: Samples) -> Samples:
    """The same samples, each histogram behind another one saying whether it is a reset against it, if it said nothing."""
    if samples.histograms is None:
        return samples
    native = is_histogram(samples.histograms)
    later = following(samples)
    later = later[native[later] & native[later - 1]]
    unsaid = [samples.histograms[at].counter_reset_hint is CounterReset.UNKNOWN for at in later]
    later = later[unsaid]
    histograms = samples.histograms.copy()
    for at, reset in zip(later.tolist(), resets_between(samples.histograms, later).tolist(), strict=True):
        hint = CounterReset.RESET if reset else CounterReset.NOT_RESET
        histograms[at] = histograms[at].with_hint(hint)
    return replace(samples, histograms=histograms)
