"""The operators `</` and `>/`: a histogram without the observations above, or below, a value.

A bucket that the value lies in is split as `histogram_fraction` would split it; count and sum are made anew from the buckets
that are left, each with all of its observations in the middle.

Source: https://prometheus.io/docs/prometheus/latest/querying/operators/#histogram-trim-operators
"""

from __future__ import annotations

import numpy as np
from sonde.query.promql.histogram import COUNT, FIRST_BUCKET, SUM, Counts
from sonde.query.promql.histogram_block import Block
from sonde.query.promql.histogram_quantile import fraction_below, signs
from sonde.query.promql.values import Bools, Floats


def trimmed(block: Block, values: Floats, *, above: bool) -> Block:
    """Each histogram without what lies above its value (m,), or with `above=False` below it; unchanged if nothing does."""
    buckets, cut = block.buckets, values[:, np.newaxis]
    lower, upper = _bounds(block)
    linear = (lower <= 0) & (upper >= 0) | block.layout.is_custom
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # What is in a zero bucket without a width counts as not below zero.
        whole = (upper <= cut) & (lower < cut) if above else lower >= cut
        split = (lower < cut) & (cut < upper)
        part, begin, end = _part(lower, upper, cut, linear, above=above)
        kept = np.where(whole, buckets, np.where(split, buckets * part, 0.0))
        kept[buckets == 0] = 0.0
        middle = np.where(whole, _middle(lower, upper, linear), np.where(split, _middle(begin, end, linear), 0.0))
        totals = np.where(kept != 0, kept * middle, 0.0).sum(axis=1)
    changed = (kept != buckets).any(axis=1)
    numbers = block.numbers.copy()
    numbers[changed, FIRST_BUCKET:] = kept[changed]
    numbers[changed, COUNT] = kept[changed].sum(axis=1)
    numbers[changed, SUM] = totals[changed]
    return Block(block.layout, numbers)


def _bounds(block: Block) -> tuple[Counts, Counts]:
    """(m, b) each; the zero bucket of a histogram with buckets on one side only reaches to 0 on the other."""
    lowers, uppers = block.layout.bounds()
    shape = block.buckets.shape
    lower, upper = np.broadcast_to(lowers, shape).copy(), np.broadcast_to(uppers, shape).copy()
    if not block.layout.is_custom:
        negative, positive = signs(block)
        zero = block.layout.zero_column - FIRST_BUCKET
        lower[positive & ~negative, zero] = 0.0
        upper[negative & ~positive, zero] = 0.0
    return lower, upper


def _part(lower: Counts, upper: Counts, cut: Counts, linear: Bools, *, above: bool) -> tuple[Counts, Counts, Counts]:
    """Which part of a bucket stays that the value lies in, and from where to where that reaches.

    Nobody knows how observations spread in a bucket without an end, so such a bucket goes or stays as a whole. The first
    custom one, if it ends above 0, is taken to begin there.
    """
    below = fraction_below(lower, upper, cut, linear)
    at = np.broadcast_to(cut, lower.shape)
    part, begin, end = (below, lower, at) if above else (1 - below, at, upper)
    open_below, open_above = np.isneginf(lower), np.isposinf(upper)
    from_zero = open_below & (upper > 0) & ~open_above & (cut >= 0)
    part = np.where(from_zero, cut / upper if above else 1 - cut / upper, part)
    begin = np.where(from_zero & above, 0.0, begin)
    unknown_below = open_below & ~from_zero
    part = np.where(unknown_below, (upper <= 0) & above, part)
    begin = np.where(unknown_below, end, begin)
    unknown_above = open_above & ~open_below
    part = np.where(unknown_above, not above, part)
    return part, begin, np.where(unknown_above, begin, end)


def _middle(lower: Counts, upper: Counts, linear: Bools) -> Counts:
    """The value that stands for all of a bucket's observations."""
    geometric = np.copysign(np.sqrt(np.abs(lower * upper)), upper)
    middle = np.where(linear, (lower + upper) / 2, geometric)
    below = np.where(np.isposinf(upper), 0.0, np.where(upper > 0, upper / 2, upper))
    return np.where(np.isneginf(lower), below, np.where(np.isposinf(upper), lower, middle))
