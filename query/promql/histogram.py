"""A native histogram sample: sparse buckets with exponential or custom bounds, counts as floats.

Source: https://prometheus.io/docs/specs/native_histograms/
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sonde.query.promql.float_text import shortest_g

Indices = NDArray[np.int32]
Counts = NDArray[np.float64]
Bools = NDArray[np.bool_]

CUSTOM_SCHEMA = -53
"""The schema of a histogram whose bounds are `custom_values` (a classic histogram as a native one)."""
MAXIMUM_SCHEMA = 8

COUNT, SUM, FIRST_BUCKET = 0, 1, 2
"""Where count, sum and the first bucket stand in a histogram's numbers."""


class CounterReset(Enum):
    """What a sample says of itself against the one before it."""

    UNKNOWN = "unknown"
    RESET = "reset"
    NOT_RESET = "not_reset"
    GAUGE = "gauge"


_NO_INDICES: Indices = np.empty(0, np.int32)
_NO_COUNTS: Counts = np.empty(0, np.float64)


def no_indices() -> Indices:
    return _NO_INDICES


def no_counts() -> Counts:
    return _NO_COUNTS


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket as text has it."""

    lower: float
    upper: float
    count: float
    lower_inclusive: bool
    upper_inclusive: bool

    def __str__(self) -> str:
        begin, end = "[" if self.lower_inclusive else "(", "]" if self.upper_inclusive else ")"
        return f"{begin}{shortest_g(self.lower)},{shortest_g(self.upper)}{end}:{shortest_g(self.count)}"


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Which buckets there are, and in which order their numbers stand: count, sum, the negative buckets from the lowest up, the
    zero bucket, the positive ones.

    With custom buckets the zero bucket has its place, too; nothing is ever in it.
    """

    schema: int
    zero_threshold: float
    negative_indices: Indices
    """(n,), strictly ascending; so the numbers have them backwards."""
    positive_indices: Indices
    """(p,), strictly ascending."""
    custom_values: Counts
    """Strictly ascending upper bounds, +Inf left out; empty with an exponential schema."""

    @property
    def is_custom(self) -> bool:
        return self.schema == CUSTOM_SCHEMA

    @property
    def zero_column(self) -> int:
        return FIRST_BUCKET + len(self.negative_indices)

    @property
    def width(self) -> int:
        return self.zero_column + 1 + len(self.positive_indices)

    def own_bounds(self) -> tuple[Counts, Counts]:
        """Lower and upper bounds of the n + 1 + p buckets, each as its index says: so text has them."""
        positive_lower = lower_bounds(self.positive_indices, self.schema, self.custom_values)
        positive_upper = upper_bounds(self.positive_indices, self.schema, self.custom_values)
        if self.is_custom:
            return np.append(0.0, positive_lower), np.append(0.0, positive_upper)
        inner = lower_bounds(self.negative_indices, self.schema, self.custom_values)
        outer = upper_bounds(self.negative_indices, self.schema, self.custom_values)
        edge = np.array([self.zero_threshold])
        return (
            np.concatenate([-outer[::-1], -edge, positive_lower]),
            np.concatenate([-inner[::-1], edge, positive_upper]),
        )

    def bounds(self) -> tuple[Counts, Counts]:
        """The same, those beside the zero bucket cut off at its edges: so JSON has them, and what is computed goes by them."""
        lowers, uppers = self.own_bounds()
        if not self.is_custom:
            zero = len(self.negative_indices)
            np.minimum(uppers[:zero], -self.zero_threshold, out=uppers[:zero])
            np.maximum(lowers[zero + 1 :], self.zero_threshold, out=lowers[zero + 1 :])
        return lowers, uppers

    def inclusive(self) -> tuple[Bools, Bools]:
        """Which of the n + 1 + p buckets hold their lower bound, and which their upper one."""
        place = np.arange(self.width - FIRST_BUCKET) - len(self.negative_indices)
        if self.is_custom:
            # The first one is closed at its lower end, -Inf, too.
            return np.append(False, self.positive_indices == 0), place >= 0
        return place <= 0, place >= 0


class Histogram:
    """A native histogram. Nothing of it is ever written to: histograms made from one another share their arrays.

    Bucket `i` of an exponential schema ends, inclusive, at `base ** i` with `base = 2 ** 2 ** -schema` and begins,
    exclusive, at `base ** (i - 1)`; on the negative side mirrored. Bucket `i` of the custom schema ends at
    `custom_values[i]`, the last one at +Inf; it has neither zero bucket nor negative ones. A bucket that is not listed is
    empty, a listed one may be.
    """

    __slots__ = ("counter_reset_hint", "layout", "numbers")

    layout: Layout
    numbers: Counts
    """(layout.width,)"""
    counter_reset_hint: CounterReset

    def __init__(
        self,
        schema: int = 0,
        zero_threshold: float = 0.0,
        zero_count: float = 0.0,
        count: float = 0.0,
        sum: float = 0.0,
        positive_indices: Indices | None = None,
        positive_counts: Counts | None = None,
        negative_indices: Indices | None = None,
        negative_counts: Counts | None = None,
        custom_values: Counts | None = None,
        counter_reset_hint: CounterReset = CounterReset.UNKNOWN,
    ) -> None:
        negative = _NO_INDICES if negative_indices is None else negative_indices
        positive = _NO_INDICES if positive_indices is None else positive_indices
        bounds = _NO_COUNTS if custom_values is None else custom_values
        layout = Layout(schema, zero_threshold, negative, positive, bounds)
        numbers = np.empty(layout.width)
        zero = layout.zero_column
        numbers[COUNT], numbers[SUM], numbers[zero] = count, sum, zero_count
        if negative_counts is not None:
            numbers[FIRST_BUCKET:zero] = negative_counts[::-1]
        if positive_counts is not None:
            numbers[zero + 1 :] = positive_counts
        self.layout, self.numbers, self.counter_reset_hint = layout, numbers, counter_reset_hint

    @classmethod
    def of(cls, layout: Layout, numbers: Counts, hint: CounterReset) -> Histogram:
        """The histogram of a layout and its numbers (width,)."""
        histogram = cls.__new__(cls)
        histogram.layout, histogram.numbers, histogram.counter_reset_hint = layout, numbers, hint
        return histogram

    def with_hint(self, hint: CounterReset) -> Histogram:
        """The same with another counter reset hint."""
        return Histogram.of(self.layout, self.numbers, hint)

    @property
    def schema(self) -> int:
        return self.layout.schema

    @property
    def zero_threshold(self) -> float:
        return self.layout.zero_threshold

    @property
    def zero_count(self) -> float:
        """Observations within `[-zero_threshold, zero_threshold]`."""
        return 0.0 if self.layout.is_custom else float(self.numbers[self.layout.zero_column])

    @property
    def count(self) -> float:
        """All observations, NaN ones too, which are in no bucket."""
        return float(self.numbers[COUNT])

    @property
    def sum(self) -> float:
        return float(self.numbers[SUM])

    @property
    def positive_indices(self) -> Indices:
        """(p,), strictly ascending."""
        return self.layout.positive_indices

    @property
    def positive_counts(self) -> Counts:
        """(p,), not cumulative."""
        return self.numbers[self.layout.zero_column + 1 :]

    @property
    def negative_indices(self) -> Indices:
        return self.layout.negative_indices

    @property
    def negative_counts(self) -> Counts:
        return self.numbers[FIRST_BUCKET : self.layout.zero_column][::-1]

    @property
    def custom_values(self) -> Counts:
        """Strictly ascending upper bounds, +Inf left out; empty with an exponential schema."""
        return self.layout.custom_values

    @property
    def is_custom(self) -> bool:
        return self.layout.is_custom

    def populated(self) -> list[Bucket]:
        """The buckets that are not empty, in ascending order, with their own bounds."""
        counts = self.numbers[FIRST_BUCKET:]
        columns = (*self.layout.own_bounds(), counts, *self.layout.inclusive())
        return [Bucket(*row) for row in zip(*(column[counts != 0].tolist() for column in columns), strict=True)]

    def __str__(self) -> str:
        """As Prometheus prints it: count, sum, and the populated buckets in ascending order."""
        numbers = [f"count:{shortest_g(self.count)}", f"sum:{shortest_g(self.sum)}", *map(str, self.populated())]
        return "{" + ", ".join(numbers) + "}"

    def __repr__(self) -> str:
        return f"Histogram({self}, schema={self.schema}, hint={self.counter_reset_hint.value})"

    __hash__ = None  # type: ignore[assignment]  # Equal ones may have different arrays.

    def __eq__(self, other: object) -> bool:
        """The same numbers in the same buckets, NaN equal to NaN. Empty buckets and the hint don't count."""
        if not isinstance(other, Histogram):
            return NotImplemented
        return (
            self.schema == other.schema
            and _same(self.count, other.count)
            and _same(self.sum, other.sum)
            and np.array_equal(self.custom_values, other.custom_values)
            and self.zero_threshold == other.zero_threshold
            and _same(self.zero_count, other.zero_count)
            and _same_buckets(
                self.positive_indices, self.positive_counts, other.positive_indices, other.positive_counts
            )
            and _same_buckets(
                self.negative_indices, self.negative_counts, other.negative_indices, other.negative_counts
            )
        )


def _same(left: float, right: float) -> bool:
    return left == right or (left != left and right != right)


def _same_buckets(indices: Indices, counts: Counts, other_indices: Indices, other_counts: Counts) -> bool:
    filled, other_filled = counts != 0, other_counts != 0
    return np.array_equal(indices[filled], other_indices[other_filled]) and np.array_equal(
        counts[filled], other_counts[other_filled], equal_nan=True
    )


def upper_bounds(indices: NDArray[Any], schema: int, custom_values: Counts) -> Counts:
    """The inclusive upper bound of each bucket of the positive side; overflowing ones end at the largest float, then +Inf."""
    if schema == CUSTOM_SCHEMA:
        bounds = np.append(custom_values, np.inf)
        return np.where(indices < 0, -np.inf, bounds[np.clip(indices, 0, len(custom_values))])
    return exponential_bounds(indices, schema)


def lower_bounds(indices: NDArray[Any], schema: int, custom_values: Counts) -> Counts:
    """The exclusive lower bound of each bucket of the positive side; -Inf for the first custom one."""
    return upper_bounds(np.asarray(indices) - 1, schema, custom_values)


def exponential_bounds(indices: NDArray[Any], schema: int) -> Counts:
    """`2 ** (index * 2 ** -schema)`, exact at powers of two.

    The bucket that the largest float is in ends at that float, and only the one behind it, where +Inf is counted, at +Inf.
    """
    indices = np.asarray(indices, np.int64)
    if schema <= 0:
        exponents, fractions = indices << -schema, np.ones(indices.shape)
    else:
        exponents, fractions = indices >> schema, _fractions(schema)[indices & ((1 << schema) - 1)]
    with np.errstate(over="ignore", under="ignore"):
        bounds = np.ldexp(fractions, np.clip(exponents, -5000, 5000).astype(np.int32))
    last = 1024 << schema if schema > 0 else 1024 >> -schema
    return np.where(indices == last, np.finfo(np.float64).max, bounds)


@lru_cache(maxsize=MAXIMUM_SCHEMA + 1)
def _fractions(schema: int) -> Counts:
    """The bounds within [1, 2): 2 ** schema of them."""
    return np.exp2(np.arange(1 << schema) / (1 << schema))
