"""The set of announced fingerprints: what it remembers, for how long, and in how much memory."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sonde.ingest.announced import Announced

NOON = 1_800_000_000 * 10**9
DAY = 86_400 * 10**9


def ids_of(*values: int) -> np.ndarray:
    return np.array(values, np.uint64)


@given(st.lists(st.integers(0, 40) | st.integers(0, 2**64 - 1), max_size=60), st.sets(st.integers(0, 40)))
def test_missing_gives_the_first_occurrence_of_each_id_not_yet_announced(ids: list[int], known: set[int]) -> None:
    announced = Announced(1000)
    announced.add(np.array(sorted(known), np.uint64), 0, NOON)
    expected = [i for i, value in enumerate(ids) if value not in known and value not in ids[:i]]
    assert announced.missing(np.array(ids, np.uint64), 0, NOON).tolist() == expected


def test_an_id_is_missing_until_it_is_added_not_once_it_is_asked_for() -> None:
    announced = Announced(100)
    assert announced.missing(ids_of(7), 0, NOON).tolist() == [0]
    assert announced.missing(ids_of(7), 0, NOON).tolist() == [0]
    announced.add(ids_of(7), 0, NOON)
    assert announced.missing(ids_of(7), 0, NOON).tolist() == []


def test_salts_keep_tenants_apart() -> None:
    announced = Announced(100)
    announced.add(ids_of(7), 1, NOON)
    assert announced.missing(ids_of(7), 2, NOON).tolist() == [0]


def test_every_id_is_missing_again_a_day_later_and_each_at_its_own_time_of_day() -> None:
    announced = Announced(100_000)
    ids = np.random.default_rng(1).integers(0, 2**64, 10_000, np.uint64)
    announced.add(ids, 0, NOON)
    half_a_day_on = len(announced.missing(ids, 0, NOON + DAY // 2))
    assert 4_500 < half_a_day_on < 5_500
    assert len(announced.missing(ids, 0, NOON + DAY)) == 10_000


def test_a_million_series_cost_twenty_bytes_each() -> None:
    announced = Announced(4_000_000)
    announced.add(np.random.default_rng(1).integers(0, 2**64, 1_000_000, np.uint64), 0, NOON)
    assert announced.nbytes < 20e6


def test_memory_is_bounded_and_the_latest_half_is_remembered() -> None:
    announced = Announced(10_000)
    random = np.random.default_rng(1)
    for _ in range(40):
        ids = random.integers(0, 2**64, 4_999, np.uint64)
        announced.add(ids, 0, NOON)
        assert len(announced) <= 10_000
        assert not len(announced.missing(ids, 0, NOON))
    assert announced.nbytes < 10_000 * 32


def test_more_ids_at_once_than_fit_are_taken_in_parts() -> None:
    announced = Announced(1_000)
    ids = np.random.default_rng(1).integers(0, 2**64, 10_000, np.uint64)
    announced.add(ids, 0, NOON)
    assert len(announced) <= 1_000
    assert not len(announced.missing(ids[-500:], 0, NOON))
