"""Quantiles of native histograms, and their inverse: which fraction of observations lies between two values.

Within an exponential bucket observations are taken to be spread evenly on a logarithmic scale, within a custom or the zero
bucket evenly. The zero bucket of a histogram without negative buckets begins at 0, without positive ones it ends there.

Source: https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sonde.query.promql.histogram import COUNT, FIRST_BUCKET, SUM
from sonde.query.promql.histogram_block import Block
from sonde.query.promql.values import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class Quantiles:
    values: Floats
    """(m,)"""
    beyond: Bools
    """(m,) NaN because the quantile is among NaN observations, which count as the highest."""
    skewed: Bools
    """(m,) too high because there are NaN observations."""


def quantiles(block: Block, ranks: Floats) -> Quantiles:
    """The quantile `ranks` (m,) of each histogram; -Inf below 0, +Inf above 1, NaN where there are no observations."""
    count, total = block.numbers[:, COUNT], block.numbers[:, SUM]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # NaN observations are in no bucket, so only from below it is known how many observations lie behind.
        from_below = np.isnan(total) | (ranks < 0.5)
        values, short = np.empty(len(count)), np.zeros(len(count), bool)
        for rows, backwards in ((np.flatnonzero(from_below), False), (np.flatnonzero(~from_below), True)):
            values[rows], short[rows] = _found(block, rows, ranks[rows], backwards=backwards)
        skewed = np.isnan(total) & ~short & (block.buckets.sum(axis=1) < count)
    inside = (ranks >= 0) & (ranks <= 1) & (count != 0)
    outside = np.where(ranks < 0, -np.inf, np.where(ranks > 1, np.inf, np.nan))
    return Quantiles(np.where(inside, values, outside), inside & short & np.isnan(total), inside & skewed)


def _found(block: Block, rows: Ints, ranks: Floats, *, backwards: bool) -> tuple[Floats, Bools]:
    """The quantiles of some rows, their ranks counted from the lowest or the highest bucket on; and where none has the rank."""
    buckets, count = block.buckets[rows], block.numbers[rows, COUNT]
    if not len(rows):
        return np.empty(0), np.empty(0, bool)
    wanted = (1 - ranks if backwards else ranks) * count
    ordered = buckets[:, ::-1] if backwards else buckets
    behind = ordered.cumsum(axis=1)
    filled = ordered != 0
    reached = filled & (behind >= wanted[:, np.newaxis])
    last = ordered.shape[1] - 1 - filled[:, ::-1].argmax(axis=1)
    at = np.where(reached.any(axis=1), reached.argmax(axis=1), last)
    each = np.arange(len(rows))
    # Sums of buckets may exceed the count by rounding.
    seen, here = np.minimum(behind[each, at], count), ordered[each, at]
    into = seen - wanted if backwards else wanted - (seen - here)
    column = ordered.shape[1] - 1 - at if backwards else at
    lower, upper, known = _edges(block, rows, column)
    short = seen < wanted
    values = np.where(
        short, np.where(np.isnan(block.numbers[rows, SUM]), np.nan, upper), _within(block, lower, upper, into / here)
    )
    return np.where(np.isnan(known), values, known), short & np.isnan(known)


def _edges(block: Block, rows: Ints, columns: Ints) -> tuple[Floats, Floats, Floats]:
    """Where the observations of a row's bucket begin and end; and what to answer where that is unknown, else NaN."""
    lowers, uppers = block.layout.bounds()
    lower, upper = lowers[columns], uppers[columns]
    if block.layout.is_custom:
        first = np.isneginf(lower)
        known = np.where(first & (upper <= 0), upper, np.where(~first & np.isposinf(upper), lower, np.nan))
        return np.where(first, 0.0, lower), upper, known
    negative, positive = signs(block)
    around = (lower < 0) & (upper > 0)
    lower = np.where(around & positive[rows] & ~negative[rows], 0.0, lower)
    upper = np.where(around & negative[rows] & ~positive[rows], 0.0, upper)
    return lower, upper, np.full(len(rows), np.nan)


def _within(block: Block, lower: Floats, upper: Floats, fraction: Floats) -> Floats:
    """The value that lies `fraction` of the way through a bucket's observations."""
    linear = lower + (upper - lower) * fraction
    if block.layout.is_custom:
        return linear
    low, high = np.log2(np.abs(lower)), np.log2(np.abs(upper))
    positive = np.exp2(low + (high - low) * fraction)
    negative = -np.exp2(high + (low - high) * (1 - fraction))
    return np.where((lower <= 0) & (upper >= 0), linear, np.where(lower > 0, positive, negative))


@dataclass(frozen=True, slots=True)
class Fractions:
    values: Floats
    """(m,)"""
    nans_excluded: Bools
    """(m,) whether there are NaN observations: they are between no two values."""


def fractions(block: Block, lower: Floats, upper: Floats) -> Fractions:
    """The fraction of each histogram's observations between `lower` and `upper`, (m,) each. NaN where there are none."""
    count, total = block.numbers[:, COUNT], block.numbers[:, SUM]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        within = block.buckets.sum(axis=1)
        most = np.where(np.isnan(total), within, count)
        values = (_below(block, upper, most) - _below(block, lower, most)) / count
    answered = (count != 0) & ~np.isnan(lower) & ~np.isnan(upper)
    values = np.where(answered, np.where(lower >= upper, 0.0, values), np.nan)
    return Fractions(values, answered & (lower < upper) & np.isnan(total) & (within < count))


def _below(block: Block, value: Floats, most: Floats) -> Floats:
    """How many of each row's observations lie below its value; `most` where that is above all buckets."""
    buckets, value = block.buckets, value[:, np.newaxis]
    lower, upper = _spread(block)
    linear = (lower <= 0) & (upper >= 0) | block.layout.is_custom
    inside = fraction_below(lower, upper, value, linear)
    inside = np.where(np.isneginf(lower), 1.0, np.where(np.isposinf(upper), 0.0, inside))
    part = np.where(value >= upper, 1.0, np.where(value <= lower, 0.0, inside))
    filled = buckets != 0
    below = np.where(filled, buckets * part, 0.0).sum(axis=1)
    above_all = ~(filled & (value < upper)).any(axis=1)
    return np.where(above_all | (below > most), most, below)


def fraction_below(lower: Floats, upper: Floats, value: Floats, linear: Bools) -> Floats:
    """Which fraction of a bucket's observations lies below a value inside of it; its bounds must be finite."""
    low, high, at = np.log2(np.abs(lower)), np.log2(np.abs(upper)), np.log2(np.abs(value))
    exponential = np.where(value > 0, (at - low) / (high - low), 1 - (at - high) / (low - high))
    return np.where(linear, (value - lower) / (upper - lower), exponential)


def _spread(block: Block) -> tuple[Floats, Floats]:
    """Where each row's observations in each bucket begin and end, (m, b) each."""
    lowers, uppers = block.layout.bounds()
    negative, positive = signs(block)
    around = (lowers <= 0) & (uppers >= 0)
    lower = np.where(around & (positive & ~negative)[:, np.newaxis], 0.0, lowers)
    upper = np.where(around & (negative & ~positive)[:, np.newaxis], 0.0, uppers)
    return lower, upper


def signs(block: Block) -> tuple[Bools, Bools]:
    """Which rows have observations in negative, and which in positive buckets: (m,) each."""
    zero = block.layout.zero_column
    return (block.numbers[:, FIRST_BUCKET:zero] != 0).any(axis=1), (block.numbers[:, zero + 1 :] != 0).any(axis=1)
