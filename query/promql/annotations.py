"""Warnings and infos about a query: collected while it is evaluated, worded as Prometheus words them.

Equal messages count once, wherever they arise; the position is the last one's. Some carry a detail that grows each time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol, Self

from sonde.query.promql.errors import position
from sonde.query.promql.float_text import shortest_g
from sonde.query.promql.quoting import quote
from sonde.query.promql.syntax import Span

MOST = 10
"""How many warnings, and how many infos, an answer lists."""


class Detail(Protocol):
    """What a message says besides its text, summed up over all the times it arose."""

    def merged(self, other: Self) -> Self: ...

    def text(self) -> str:
        """To stand right after the message."""
        ...


@dataclass(frozen=True, slots=True)
class ForcedMonotonicity:
    """Of a classic histogram whose buckets had to be raised."""

    first_ms: int
    last_ms: int
    lowest_bucket: float
    highest_bucket: float
    largest_difference: float
    samples: int = 1

    def merged(self, other: Self) -> ForcedMonotonicity:
        return ForcedMonotonicity(
            min(self.first_ms, other.first_ms),
            max(self.last_ms, other.last_ms),
            min(self.lowest_bucket, other.lowest_bucket),
            max(self.highest_bucket, other.highest_bucket),
            max(self.largest_difference, other.largest_difference),
            self.samples + other.samples,
        )

    def text(self) -> str:
        buckets = f"from buckets {shortest_g(self.lowest_bucket)} to {shortest_g(self.highest_bucket)}"
        times = f"from {_second(self.first_ms)} to {_second(self.last_ms)}"
        return f", {buckets}, with a max diff of {self.largest_difference:.2g}, over {self.samples} samples {times}"


@dataclass(frozen=True, slots=True)
class Occurrences:
    """How often it arose; said from the second time on."""

    count: int = 1

    def merged(self, other: Self) -> Occurrences:
        return Occurrences(self.count + other.count)

    def text(self) -> str:
        return f" ({self.count} occurrences)" if self.count > 1 else ""


@dataclass(frozen=True, slots=True)
class _Annotation:
    span: Span
    detail: Detail | None


class Annotations:
    """The annotations of one evaluation."""

    def __init__(self) -> None:
        self._warnings: dict[str, _Annotation] = {}
        self._infos: dict[str, _Annotation] = {}

    def warn(self, message: str, span: Span, detail: Detail | None = None) -> None:
        """`message` is without "PromQL warning: " and without the position."""
        _add(self._warnings, message, _Annotation(span, detail))

    def info(self, message: str, span: Span, detail: Detail | None = None) -> None:
        """`message` is without "PromQL info: " and without the position."""
        _add(self._infos, message, _Annotation(span, detail))

    def warnings(self, query: str, most: int = MOST) -> list[str]:
        """The texts with their positions in `query`; at most `most` of them (0: all), then how many were left out."""
        return _texts("PromQL warning", "warning", self._warnings, query, most)

    def infos(self, query: str, most: int = MOST) -> list[str]:
        """The texts with their positions in `query`; at most `most` of them (0: all), then how many were left out."""
        return _texts("PromQL info", "info", self._infos, query, most)


def _add(found: dict[str, _Annotation], message: str, new: _Annotation) -> None:
    old = found.get(message)
    if old is not None and old.detail is not None and new.detail is not None:
        new = replace(new, detail=old.detail.merged(new.detail))
    found[message] = new


def _texts(prefix: str, kind: str, found: dict[str, _Annotation], query: str, most: int) -> list[str]:
    texts = [
        f"{prefix}: {message}{note.detail.text() if note.detail else ''} ({position(query, note.span)})"
        for message, note in found.items()
    ]
    if most and len(texts) > most:
        return [*texts[:most], f"{len(texts) - most} more {kind} annotations omitted"]
    return texts


def _second(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# The messages, in Prometheus' words. A name that is empty is left out.


def _for_metric(message: str, name: str) -> str:
    return f"{message} for metric name {quote(name)}" if name else message


# Warnings


def invalid_quantile(quantile: float) -> str:
    return f"quantile value should be between 0 and 1, got {shortest_g(quantile)}"


def invalid_ratio(ratio: float, capped: float) -> str:
    return f"ratio value should be between -1 and 1, got {shortest_g(ratio)}, capping to {shortest_g(capped)}"


def bad_bucket_label(name: str, value: str) -> str:
    return _for_metric(f'bucket label "le" is missing or has a malformed value of {quote(value)}', name)


def mixed_floats_histograms(name: str) -> str:
    return f"encountered a mix of histograms and floats for metric name {quote(name)}"


MIXED_FLOATS_HISTOGRAMS_IN_AGGREGATION = "encountered a mix of histograms and floats for aggregation"


def mixed_classic_native_histograms(name: str) -> str:
    return _for_metric("vector contains a mix of classic and native histograms", name)


def native_histogram_not_counter(name: str) -> str:
    return f"this native histogram metric is not a counter: {quote(name)}"


def native_histogram_not_gauge(name: str) -> str:
    return f"this native histogram metric is not a gauge: {quote(name)}"


def mixed_exponential_custom_histograms(name: str) -> str:
    return (
        f"vector contains a mix of histograms with exponential and custom buckets schemas for metric name {quote(name)}"
    )


def incompatible_bucket_layout(operator: str) -> str:
    return f"incompatible bucket layout encountered for binary operator {operator}"


SORT_IN_RANGE_QUERY = "sort is ineffective for range queries since results are always ordered by labels"


def counter_reset_collision(operation: str) -> str:
    """`operation`: "addition", "subtraction" or "aggregation"."""
    return f"conflicting counter resets during histogram {operation}"


def start_time_overlap(name: str) -> str:
    """Goes with the detail `Occurrences`."""
    return f"sample has start time that overlaps with previous sample timestamp for metric {quote(name)}"


# Infos


def possible_non_counter(name: str) -> str:
    return f"metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {quote(name)}"


def histogram_quantile_forced_monotonicity(name: str) -> str:
    """Goes with the detail `ForcedMonotonicity`."""
    where = "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile"
    return _for_metric(f"input to histogram_quantile needed to be fixed for monotonicity (see {where})", name)


def incompatible_types(left: str, operator: str, right: str) -> str:
    """`left` and `right`: "float" or "histogram"."""
    return f"incompatible sample types encountered for binary operator {quote(operator)}: {left} {operator} {right}"


def histogram_ignored_in_aggregation(operator: str) -> str:
    return f"ignored histogram in {operator} aggregation"


def histograms_ignored_in_mixed_range(name: str) -> str:
    return f"ignored histograms in a range containing both floats and histograms for metric name {quote(name)}"


def histogram_quantile_nan_result(name: str) -> str:
    return _for_metric("input to histogram_quantile has NaN observations, result is NaN", name)


def histogram_quantile_nan_skew(name: str) -> str:
    return _for_metric("input to histogram_quantile has NaN observations, result is skewed higher", name)


def histogram_fraction_nans(name: str) -> str:
    return _for_metric("input to histogram_fraction has NaN observations, which are excluded from all fractions", name)


def mismatched_custom_buckets(operation: str) -> str:
    """`operation`: "addition", "subtraction" or "aggregation"."""
    return f"mismatched custom buckets were reconciled during {operation}"


def rounded_range(width: str, asked: str, read: str) -> str:
    """Not one of Prometheus': it has no rollups. All three are durations."""
    return f"answered from {width} rollups: range {asked} was read as {read}"
