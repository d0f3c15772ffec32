"""Many histograms as one matrix, and what is done where it would be mostly empty."""

from __future__ import annotations

import numpy as np
import pytest
from histogram_strategies import alike, unhurried
from histogram_text import objects
from hypothesis import given
from sonde.query.promql import histogram_block
from sonde.query.promql.errors import TooManySamples
from sonde.query.promql.histogram import CounterReset, Histogram, no_counts
from sonde.query.promql.histogram_block import FlatBuckets, SparseRows, block_of, is_sparse, mostly_empty, pack
from sonde.query.promql.histogram_cells import Cells, blocks_of
from sonde.query.promql.histogram_resets import resets_between
from sonde.query.promql.histogram_sum import summed

COUNT, BUCKETS = 64, 40


def apart() -> list[Histogram]:
    """Histograms no two of which have a bucket in common."""
    return [
        Histogram(
            8,
            count=float(BUCKETS),
            sum=1.0,
            positive_indices=np.arange(BUCKETS, dtype=np.int32) + at * BUCKETS,
            positive_counts=np.ones(BUCKETS),
        )
        for at in range(COUNT)
    ]


@unhurried
@given(alike(4))
def test_packed_histograms_come_out_as_they_went_in(histograms: list[Histogram]) -> None:
    block = pack(histograms)
    assert [block.histogram(row, CounterReset.UNKNOWN) for row in range(4)] == histograms
    sparse = SparseRows(histograms)
    assert np.array_equal(sparse[np.array([2, 0])], block.numbers[[2, 0]])


def test_histograms_apart_are_summed_without_a_matrix_of_all() -> None:
    histograms = apart()
    assert mostly_empty(histograms)
    cells = Cells(histograms, np.arange(COUNT), np.array([0, COUNT]))
    total = summed(cells).histograms[0]
    assert (total.count, total.sum) == (float(COUNT * BUCKETS), float(COUNT))
    assert total.positive_counts.tolist() == [1.0] * (COUNT * BUCKETS)


def test_histograms_apart_are_looked_at_in_parts() -> None:
    histograms = apart()
    parts = list(blocks_of(histograms))
    assert len(parts) > 1
    assert sorted(row for rows, _ in parts for row in rows.tolist()) == list(range(COUNT))
    cells = Cells(histograms, np.arange(COUNT), np.arange(COUNT + 1))
    assert summed(cells).histograms.tolist() == histograms
    assert resets_between(objects(histograms), np.arange(1, COUNT)).all()


def test_a_block_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histogram_block, "MOST_NUMBERS", 1000)
    with pytest.raises(TooManySamples, match="too many different buckets"):
        pack(apart())


def test_a_block_is_made_of_buckets_in_any_order() -> None:
    heads = np.array([[4.0, 1.0, 1.0], [2.0, 5.0, 0.0]])
    positive = FlatBuckets(np.array([1, 0, 0, 0]), np.array([3, 5, 2, 2]), np.array([2.0, 1.0, 1.0, 0.5]))
    negative = FlatBuckets(np.array([0]), np.array([-1]), np.array([0.5]))
    block = block_of(2, 0.001, no_counts(), heads, negative, positive)
    indices = np.array([-1], np.int32)
    assert block.histogram(0, CounterReset.UNKNOWN) == Histogram(
        2, 0.001, 1.0, 4.0, 1.0, np.array([2, 5], np.int32), np.array([1.5, 1.0]), indices, np.array([0.5])
    )
    assert block.histogram(1, CounterReset.UNKNOWN) == Histogram(
        2, 0.001, 0.0, 2.0, 5.0, np.array([3], np.int32), np.array([2.0])
    )


@pytest.mark.parametrize(("distance", "sparse"), [(0, False), (1, False), (1000, True)])
def test_buckets_far_from_each_other_make_a_sparse_block(distance: int, sparse: bool) -> None:
    size, each = 64, 10
    rows = np.repeat(np.arange(size), each)
    positive = FlatBuckets(rows, rows * distance + np.tile(np.arange(each), size), np.ones(size * each))
    nothing = FlatBuckets(rows[:0], rows[:0], no_counts())
    assert is_sparse(size, nothing, positive) is sparse
