"""Answers in the Native format, as arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sonde.storage.errors import StoreError, StoreUnavailable
from sonde.storage.native_blocks import Dictionary, ListColumn, joined, read_blocks, whole
from sonde.storage.store import Store

EVERY_TYPE = """
    SELECT
      number AS fixed,
      toFloat64(number) / 4 AS double,
      number % 2 = 1 AS bool,
      fromUnixTimestamp64Nano(toInt64(number), 'UTC') AS time,
      toString(number) AS text,
      toLowCardinality(toString(number % 3)) AS code,
      toFixedString(toString(number % 10), 1) AS bytes,
      if(number % 2 = 0, NULL, toFloat64(number)) AS maybe,
      range(number % 4) AS list,
      CAST(arrayMap(n -> toString(n), range(number % 4)), 'Array(LowCardinality(String))') AS codes
    FROM numbers({rows:UInt64})
"""


def plain(column: Any) -> list[Any]:
    if isinstance(column, Dictionary):
        return [column.values[code] for code in column.codes]
    if isinstance(column, ListColumn):
        items = plain(column.items)
        starts = [0, *column.ends.tolist()]
        return [items[begin:end] for begin, end in zip(starts, column.ends.tolist(), strict=False)]
    if isinstance(column, np.ndarray) and column.ndim == 2:
        return [bytes(row) for row in column]
    values: list[Any] = column.tolist()
    return values


@pytest.mark.parametrize("block_rows", [1, 3, 7, 1000])
def test_every_type_is_read_as_select_reads_it(any_store: Store, block_rows: int) -> None:
    settings = {"max_block_size": block_rows}
    frame = any_store.select(EVERY_TYPE, {"rows": 20})
    block = whole(any_store.blocks(EVERY_TYPE, {"rows": 20}, settings=settings))
    assert block is not None
    assert tuple(block) == frame.names
    for name in frame.names:
        expected = frame[name].tolist() if isinstance(frame[name], np.ndarray) else frame[name]
        assert plain(block[name]) == expected, name


def test_nothing_is_no_block(any_store: Store) -> None:
    assert whole(any_store.blocks(EVERY_TYPE, {"rows": 0})) is None


@pytest.mark.parametrize("size", [1, 2, 13, 1 << 20])
def test_chunks_may_end_anywhere(store: Store, size: int) -> None:
    body = store.raw(f"{EVERY_TYPE} SETTINGS max_block_size = 8 FORMAT Native", {"rows": 30})
    chunks = [body[begin : begin + size] for begin in range(0, len(body), size)]
    block, expected = whole(read_blocks(chunks)), whole(read_blocks([body]))
    assert block is not None
    assert expected is not None
    assert {name: plain(column) for name, column in block.items()} == {
        name: plain(column) for name, column in expected.items()
    }


def test_an_answer_that_ends_early_is_not_taken_for_the_whole(store: Store) -> None:
    body = store.raw(f"{EVERY_TYPE} FORMAT Native", {"rows": 10})
    with pytest.raises(StoreUnavailable, match="middle of a block"):
        list(read_blocks([body[:-3]]))


def test_what_goes_wrong_half_way_is_an_error(any_store: Store) -> None:
    sql = "SELECT throwIf(number = 100000) AS thrown FROM numbers(200000)"
    with pytest.raises(StoreError, match="throwIf"):
        list(any_store.blocks(sql, settings={"max_block_size": 1000}))
    assert whole(any_store.blocks("SELECT 1 AS x")) == {"x": np.array([1], np.uint8)}


@pytest.mark.parametrize("settings", [{}, {"max_block_size": 1000}])
def test_nothing_of_an_answer_that_failed_is_in_the_next_one(any_store: Store, settings: dict[str, int]) -> None:
    sql = "SELECT number, throwIf(number = 100000) AS thrown FROM numbers(200000)"
    failing: list[Callable[[], object]] = [
        lambda: any_store.rows(sql, settings=settings),
        lambda: any_store.select(sql, settings=settings),
        lambda: list(any_store.blocks(sql, settings=settings)),
        lambda: any_store.raw(f"{sql} FORMAT Native"),
    ]
    for ask in failing:
        with pytest.raises(StoreError, match="throwIf"):
            ask()
        assert any_store.raw("SELECT 1 AS x FORMAT TSV") == b"1\n"
        with pytest.raises(StoreError, match="throwIf"):
            ask()
        assert any_store.rows("SELECT 1 AS x") == [{"x": 1}]


def test_an_answer_left_early_leaves_the_client_free(any_store: Store) -> None:
    blocks = any_store.blocks("SELECT number FROM numbers(1000000)", settings={"max_block_size": 1000})
    first = next(blocks)
    assert len(first["number"])
    blocks.close()  # type: ignore[attr-defined]
    assert any_store.rows("SELECT 1 AS x") == [{"x": 1}]


def test_columns_of_several_blocks_become_one() -> None:
    texts = joined([Dictionary(np.array([0, 1]), ["a", "b"]), Dictionary(np.array([1, 0]), ["c", "a"])])
    assert plain(texts) == ["a", "b", "a", "c"]
    lists = joined([ListColumn(np.array([0, 2]), np.array([1, 2])), ListColumn(np.array([1]), np.array([3]))])
    assert plain(lists) == [[], [1, 2], [3]]
