"""Histograms as scripts write them: `{{schema:1 sum:5 count:4 buckets:[1 2 1] offset:-3}}`.

The parts stand in any order and may be left out; how often a series repeats one (`{{..}}x3`, `{{..}}+{{..}}x3`) is for the
reader of series to see, which adds them with `plus` and `minus`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
from sonde.query.promql.histogram import CUSTOM_SCHEMA, CounterReset, Histogram
from sonde.query.promql.histogram_block import kind
from sonde.query.promql.histogram_cells import Cells
from sonde.query.promql.histogram_resets import is_reset
from sonde.query.promql.histogram_sum import joint_hints, summed, weighted

_TEXT = re.compile(r"\{\{(.*)\}\}", re.DOTALL)
_PART = re.compile(r"\s*(\w+)\s*:\s*(\[[^\]]*\]|[^\s\[\]]+)\s*")
_KEYS = frozenset(
    ["schema", "sum", "count", "z_bucket", "z_bucket_w", "custom_values", "counter_reset_hint"]
) | frozenset(["buckets", "offset", "n_buckets", "n_offset"])


def parse_histogram(text: str) -> Histogram:
    """The histogram of `{{...}}`. Raises `ValueError` that says which part is wrong."""
    return _built(_parts(text))


def says_hint(text: str) -> bool:
    """Whether an expected histogram wants a certain counter reset hint."""
    return "counter_reset_hint" in _parts(text)


def _parts(text: str) -> dict[str, str]:
    inside = _TEXT.fullmatch(text.strip())
    if inside is None:
        raise ValueError(f"not a histogram: {text!r}")
    parts: dict[str, str] = {}
    at = 0
    while at < len(inside[1].rstrip()):
        part = _PART.match(inside[1], at)
        if part is None or part[1] not in _KEYS or part[1] in parts:
            raise ValueError(f"wrong or doubled part of a histogram at {inside[1][at:]!r}")
        parts[part[1]] = part[2]
        at = part.end()
    return parts


def _built(parts: dict[str, str]) -> Histogram:
    positive, negative = _numbers(parts.get("buckets", "[]")), _numbers(parts.get("n_buckets", "[]"))
    return Histogram(
        schema=int(parts.get("schema", "0")),
        zero_threshold=_number(parts.get("z_bucket_w", "0")),
        zero_count=_number(parts.get("z_bucket", "0")),
        count=_number(parts.get("count", "0")),
        sum=_number(parts.get("sum", "0")),
        positive_indices=np.arange(len(positive), dtype=np.int32) + np.int32(parts.get("offset", "0")),
        positive_counts=positive,
        negative_indices=np.arange(len(negative), dtype=np.int32) + np.int32(parts.get("n_offset", "0")),
        negative_counts=negative,
        custom_values=_numbers(parts.get("custom_values", "[]")),
        counter_reset_hint=CounterReset(parts.get("counter_reset_hint", "unknown")),
    )


def _number(text: str) -> float:
    return float(text)


def _numbers(text: str) -> np.ndarray:
    return np.array([_number(one) for one in text.strip("[]").split()], np.float64)


def plus(left: Histogram, right: Histogram) -> Histogram:
    """Their sum, as `{{..}}+{{..}}` means it."""
    return _combined(left, right, 1.0)


def minus(left: Histogram, right: Histogram) -> Histogram:
    """Their difference, as `{{..}}-{{..}}` means it."""
    return _combined(left, right, -1.0)


def _combined(left: Histogram, right: Histogram, weight: float) -> Histogram:
    cells = Cells([left, right], np.array([0, 1]), np.array([0, 2]))
    if weight == 1.0:
        return summed(cells).histograms[0]
    difference: Histogram = weighted(cells, np.array([1.0, weight]), np.ones(1)).histograms[0]
    return difference.with_hint(joint_hints(cells)[0])


def stored(samples: Iterable[Histogram | None]) -> list[Histogram | None]:
    """The histograms of one series as a store gives them back, None where another sample stands.

    A store keeps histograms of one kind, as long as none is reset, in a chunk; of a chunk's first one it knows nothing, of
    every other one that it is no reset. A gauge stays one.
    """
    found: list[Histogram | None] = []
    previous: Histogram | None = None
    for sample in samples:
        if sample is not None and sample.counter_reset_hint is not CounterReset.GAUGE:
            goes_on = previous is not None and not _begins_chunk(sample, previous)
            hint = CounterReset.NOT_RESET if goes_on else CounterReset.UNKNOWN
            found.append(sample.with_hint(hint))
        else:
            found.append(sample)
        previous = sample
    return found


def _begins_chunk(sample: Histogram, previous: Histogram) -> bool:
    unsaid = sample.with_hint(CounterReset.UNKNOWN)
    return (
        sample.counter_reset_hint is CounterReset.RESET
        or previous.counter_reset_hint is CounterReset.GAUGE
        or kind(sample.layout) != kind(previous.layout)
        or is_reset(unsaid, previous)
    )


def from_classic(buckets: Sequence[tuple[float, float]], count: float | None, total: float) -> Histogram:
    """The native histogram with custom buckets of a classic one: its upper bounds with their cumulative counts, count and sum.

    Raises `ValueError` where the counts fall from one bound to a higher one, or the count is not that of all buckets.
    """
    ordered = sorted(dict(buckets).items())
    if count is None:
        count = ordered[-1][1] if ordered else 0.0
    if not ordered or ordered[-1][0] != np.inf:
        ordered.append((np.inf, count))
    cumulative = np.array([number for _, number in ordered])
    if (np.diff(cumulative, prepend=0.0) < 0).any() or cumulative[-1] != count:
        raise ValueError(f"no cumulative counts that end at {count}: {ordered}")
    return Histogram(
        schema=CUSTOM_SCHEMA,
        count=count,
        sum=total,
        positive_indices=np.arange(len(ordered), dtype=np.int32),
        positive_counts=np.diff(cumulative, prepend=0.0),
        custom_values=np.array([bound for bound, _ in ordered[:-1]], np.float64),
    )


def objects(histograms: Sequence[Histogram | None]) -> np.ndarray:
    """(n,) dtype object, as samples and vectors hold them."""
    found = np.empty(len(histograms), object)
    found[:] = histograms
    return found
