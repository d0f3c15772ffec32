"""Whether a counter histogram was reset between two samples.

Source: https://prometheus.io/docs/specs/native_histograms/#counter-reset-considerations
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sonde.query.promql.histogram import SUM, CounterReset, Counts, Histogram
from sonde.query.promql.histogram_block import mostly_empty, pack, together
from sonde.query.promql.histogram_cells import CHUNK_NUMBERS, kinds_of, used_of
from sonde.query.promql.values import Bools, Ints, Objects


def is_reset(current: Histogram, previous: Histogram) -> bool:
    """Whether `current` says so or, if it says nothing, is less than `previous` in its count or in any bucket.

    A finer schema, a narrower zero bucket, a zero bucket that ends inside of what was a populated bucket, and the change from
    exponential to custom buckets or back come only with a reset. The sum may fall without one.
    """
    if current.counter_reset_hint in (CounterReset.RESET, CounterReset.NOT_RESET):
        return current.counter_reset_hint is CounterReset.RESET
    if current.count < previous.count or current.is_custom != previous.is_custom:
        return True
    if current.schema > previous.schema or current.zero_threshold < previous.zero_threshold:
        return True
    block = together([current, previous])
    if block.layout.zero_threshold != current.zero_threshold:
        return True
    return bool(_fell(block.numbers[:1], block.numbers[1:])[0])


def resets_between(histograms: Objects, later: Ints) -> Bools:
    """(p,) whether each of `later`, indexes from 1, was reset since the histogram right before it."""
    hints = [histograms[at].counter_reset_hint for at in later]
    found = np.array([hint is CounterReset.RESET for hint in hints], bool)
    unsaid = np.array([hint not in (CounterReset.RESET, CounterReset.NOT_RESET) for hint in hints], bool)
    if unsaid.any():
        found[unsaid] = _compared(histograms, later[unsaid])
    return found


def _compared(histograms: Objects, pairs: Ints) -> Bools:
    """`resets_between` of pairs whose later one says nothing."""
    involved, places = used_of(len(histograms), np.concatenate([pairs - 1, pairs]))
    earlier, later = places[: len(pairs)], places[len(pairs) :]
    pool = list(histograms[involved])
    _, codes = kinds_of(pool)
    found = np.zeros(len(pairs), bool)
    alike = codes[later] == codes[earlier]
    sizes = np.fromiter((len(histogram.numbers) for histogram in pool), np.int64, len(pool))
    for code in np.unique(codes[later][alike]):
        where = np.flatnonzero(alike & (codes[later] == code))
        for part in np.array_split(where, 1 + int(sizes[later[where]].sum()) // CHUNK_NUMBERS):
            _compare(pool, earlier, later, part, found)
    for at in np.flatnonzero(~alike):
        found[at] = is_reset(pool[later[at]], pool[earlier[at]])
    return found


def _compare(pool: Sequence[Histogram], earlier: Ints, later: Ints, where: Ints, found: Bools) -> None:
    """Writes to `found` about the pairs `where`, of one kind; in halves where they have few buckets in common."""
    rows, places = used_of(len(pool), np.concatenate([earlier[where], later[where]]))
    histograms = [pool[row] for row in rows]
    if len(where) > 1 and mostly_empty(histograms):
        for half in np.array_split(where, 2):
            _compare(pool, earlier, later, half, found)
        return
    numbers = pack(histograms).numbers
    found[where] = _fell(numbers[places[len(where) :]], numbers[places[: len(where)]])


def _fell(current: Counts, previous: Counts) -> Bools:
    """(m,) whether any number but the sum is less in a row of `current` than in that of `previous`."""
    less = current < previous
    less[:, SUM] = False
    return np.asarray(less.any(axis=1))
