"""Series held in memory are those that the store has, at any moment."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest
from sent import HOUR_MS, T0_MS, gauge, matchers, point, send
from sonde.query.config import QueryConfig
from sonde.query.parts import Parts, covered, joined
from sonde.query.prometheus.held import HeldSeries
from sonde.query.prometheus.samples import StoreSource
from sonde.query.reader import Gate, Reader
from sonde.storage.store import Store


class Watched(Reader):
    """A reader that counts the statements which read whole series."""

    series_read = 0

    def blocks(self, sql: str, parameters: Mapping[str, Any] | None = None, *, most_rows: int = 0) -> Any:
        self.series_read += "plain_keys" in sql
        return super().blocks(sql, parameters, most_rows=most_rows)


def asked(store: Store, held: HeldSeries, selector: str, tenant: str = "t") -> tuple[set[str], int]:
    """The values of label `x` of the series found, and whether the store was asked for series."""
    reader = Watched(store, tenant, QueryConfig(), Gate(8, 60), Gate(8, 0), held)
    labels = StoreSource(reader).select(matchers(selector), T0_MS, T0_MS + HOUR_MS).labels
    return {row.get("x", "") for row in labels.rows()}, reader.series_read


@pytest.fixture
def held() -> HeldSeries:
    return HeldSeries(100)


def put(store: Store, name: str, *values: str, tenant: str = "t") -> None:
    send(store, tenant, gauge(name, *(point(60, asDouble=1, labels={"x": value}) for value in values)))


def test_series_are_read_once(store: Store, held: HeldSeries) -> None:
    put(store, "a", "1", "2")
    assert asked(store, held, "a") == ({"1", "2"}, 1)
    assert asked(store, held, 'a{x="2"}') == ({"2"}, 0)
    assert asked(store, held, 'a{x!="2"}') == ({"1"}, 0)


def test_a_series_that_is_new_is_found_at_once(store: Store, held: HeldSeries) -> None:
    put(store, "a", "1")
    put(store, "b", "1")
    assert asked(store, held, "a") == ({"1"}, 1)
    assert asked(store, held, "b") == ({"1"}, 1)
    put(store, "a", "2")
    assert asked(store, held, "a") == ({"1", "2"}, 1)
    assert asked(store, held, "b") == ({"1"}, 0), "of b nothing was new"


def test_a_metric_that_is_new_is_found_at_once(store: Store, held: HeldSeries) -> None:
    put(store, "a", "1")
    assert asked(store, held, '{__name__=~"a|c"}') == ({"1"}, 1)
    put(store, "c", "3")
    assert asked(store, held, '{__name__=~"a|c"}') == ({"1", "3"}, 1)
    assert asked(store, held, '{__name__=~"a|c"}') == ({"1", "3"}, 0)


def test_a_series_announced_again_is_not_read_again(store: Store, held: HeldSeries) -> None:
    put(store, "a", "1")
    assert asked(store, held, "a") == ({"1"}, 1)
    put(store, "a", "1")
    assert asked(store, held, "a") == ({"1"}, 0)


def test_merged_parts_are_not_read_again(store: Store, held: HeldSeries) -> None:
    for value in "123":
        put(store, "a", value)
        asked(store, held, "a")
    store.command("OPTIMIZE TABLE series FINAL")
    assert asked(store, held, "a") == ({"1", "2", "3"}, 0)


def test_what_was_merged_before_it_was_seen_is_found(store: Store, held: HeldSeries) -> None:
    put(store, "a", "1")
    asked(store, held, "a")
    put(store, "a", "2")
    store.command("OPTIMIZE TABLE series FINAL")
    assert asked(store, held, "a") == ({"1", "2"}, 1)


def test_deleted_series_are_gone(store: Store, held: HeldSeries) -> None:
    put(store, "a", "1", "2")
    asked(store, held, "a")
    store.command(
        "ALTER TABLE series DELETE WHERE attributes_string['x'] = '2' SETTINGS mutations_sync = 2",
    )
    assert asked(store, held, "a") == ({"1"}, 1)


def test_tenants_are_apart(store: Store, held: HeldSeries) -> None:
    put(store, "a", "1")
    put(store, "a", "2", tenant="other")
    assert asked(store, held, "a") == ({"1"}, 1)
    assert asked(store, held, "a", "other") == ({"2"}, 1)
    assert asked(store, held, "a", "none") == (set(), 0)


def test_a_series_seen_before_its_resource_is_not_kept_without_it(store: Store, held: HeldSeries) -> None:
    send(store, "t", gauge("a", point(60, asDouble=1, labels={"x": "1"})), resource={"service.name": "cart"})
    resources = "SELECT * FROM resources WHERE tenant = 't'"
    store.command(f"CREATE TABLE kept ENGINE = Memory AS {resources}")
    store.command("TRUNCATE TABLE resources")
    assert asked(store, held, 'a{job="cart"}') == (set(), 1)
    store.command("INSERT INTO resources SELECT * FROM kept")
    store.command("DROP TABLE kept")
    assert asked(store, held, 'a{job="cart"}') == ({"1"}, 1)


def test_more_series_than_are_held_are_found_by_the_store(store: Store) -> None:
    held = HeldSeries(3)
    put(store, "small", "1")
    put(store, "large", *map(str, range(9)))
    for _ in range(2):
        found, read = asked(store, held, 'large{x=~"[1-3]"}')
        assert found == {"1", "2", "3"}
        assert read
    assert asked(store, held, "small") == ({"1"}, 1)
    assert asked(store, held, "small") == ({"1"}, 0)


def test_what_was_asked_for_longest_ago_goes_first(store: Store) -> None:
    held = HeldSeries(5)
    for name in "abc":
        put(store, name, "1", "2")
    reads = [asked(store, held, name)[1] for name in ("a", "b", "a", "c", "a", "b")]
    assert reads == [1, 1, 0, 1, 0, 1]


def test_a_store_that_hides_its_parts_is_asked_each_time(
    store: Store, held: HeldSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "a", "1")
    monkeypatch.setattr(Reader, "parts", lambda reader: Parts(0, {}))
    for _ in range(2):
        assert asked(store, held, "a") == ({"1"}, 1)


def test_series_written_while_others_ask_are_all_found(store: Store, held: HeldSeries) -> None:
    put(store, "a", "first")
    failures: list[BaseException] = []

    def ask() -> None:
        seen: set[str] = set()
        try:
            while "7" not in seen:
                found, _ = asked(store, held, "a")
                assert found >= seen
                seen = found
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for value in range(8):
        put(store, "a", str(value))
    for thread in threads:
        thread.join()
    assert failures == []
    assert asked(store, held, "a")[0] == {"first", *map(str, range(8))}


@pytest.mark.parametrize(
    ("blocks", "found"),
    [
        ([], []),
        ([(1, 1)], [(1, 1)]),
        ([(2, 2), (1, 1)], [(1, 2)]),
        ([(1, 5), (2, 3)], [(1, 5)]),
        ([(1, 2), (4, 5)], [(1, 2), (4, 5)]),
        ([(4, 5), (1, 2), (3, 3)], [(1, 5)]),
    ],
)
def test_block_numbers_become_few_intervals(blocks: list[tuple[int, int]], found: list[tuple[int, int]]) -> None:
    assert joined(blocks) == found
    assert all(covered(block, found) for block in blocks)
    assert not covered((0, 1), found)
