"""Points held in memory are those that the store has, at any moment."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sent import T0_MS, counter, exponential, found, gauge, histogram, matchers, point, select, send, summary
from sonde.query.config import QueryConfig
from sonde.query.parts import Parts, PartsNow, SeenParts
from sonde.query.prometheus.held import HeldSeries
from sonde.query.prometheus.held_points import SLABS_A_KEY, HeldPoints, Slab, merged
from sonde.query.prometheus.samples import StoreSource
from sonde.query.promql.errors import TooManySamples
from sonde.query.reader import Gate, Reader
from sonde.storage.native_blocks import ListColumn
from sonde.storage.store import Store

HOUR = 3600
DAY = 24 * HOUR


class Watched(Reader):
    """A reader that counts the statements which read points."""

    points_read = 0

    def blocks(self, sql: str, parameters: Mapping[str, Any] | None = None, *, most_rows: int = 0) -> Any:
        self.points_read += "FROM points_" in sql
        return super().blocks(sql, parameters, most_rows=most_rows)


class Service:
    """What one query service holds."""

    def __init__(self, store: Store, most_points: int = 10_000) -> None:
        self.store = store
        self.held = HeldSeries(1_000), HeldPoints(most_points), PartsNow(store)

    def reader(self, tenant: str = "t") -> Watched:
        return Watched(self.store, tenant, QueryConfig(), Gate(8, 60), Gate(8, 0), *self.held)

    def ask(self, selector: str, begin: float = 0, end: float = HOUR, tenant: str = "t") -> tuple[list[float], int]:
        """The times, in seconds after T0, of all samples found, and how many statements read points."""
        reader = self.reader(tenant)
        window = (T0_MS + round(begin * 1000), T0_MS + round(end * 1000))
        samples = StoreSource(reader).select(matchers(selector), *window)
        return [(time - T0_MS) / 1000 for time in samples.times.tolist()], reader.points_read


@pytest.fixture
def service(store: Store) -> Service:
    return Service(store)


def put(store: Store, name: str, *seconds: float, tenant: str = "t", **labels: str) -> None:
    send(store, tenant, gauge(name, *(point(each, asDouble=each, labels=labels) for each in seconds)))


def test_points_are_read_once(store: Store, service: Service) -> None:
    put(store, "a", 10, 20, 30, x="1")
    put(store, "a", 15, x="2")
    times, read = service.ask("a", 0, 100)
    assert (sorted(times), read) == ([10, 15, 20, 30], 1)
    assert service.ask('a{x="1"}', 20, 30) == ([20, 30], 0)
    assert service.ask('a{x="2"}', 0, 14.999) == ([], 0)


def test_points_that_are_new_are_found_at_once_and_read_alone(store: Store, service: Service) -> None:
    put(store, "a", 10)
    put(store, "b", 10)
    assert service.ask("a", 0, 100) == ([10], 1)
    put(store, "a", 30)
    put(store, "a", 20)
    assert service.ask("a", 0, 100) == ([10, 20, 30], 1)
    assert service.ask("a", 0, 100) == ([10, 20, 30], 0)
    assert service.ask("b", 0, 100) == ([10], 1)


def test_many_late_points_stay_in_order(store: Store, service: Service) -> None:
    seconds = [float(each) for each in np.random.default_rng(1).permutation(3 * SLABS_A_KEY)]
    for each in seconds:
        put(store, "a", each)
        service.ask("a", 0, 100)
    assert service.ask("a", 0, 100) == (sorted(seconds), 0)


def test_merged_parts_are_not_read_again(store: Store, service: Service) -> None:
    for each in (10, 20, 30):
        put(store, "a", each)
        service.ask("a", 0, 100)
    store.command("OPTIMIZE TABLE points_number FINAL")
    assert service.ask("a", 0, 100) == ([10, 20, 30], 0)


def test_what_was_merged_before_it_was_seen_is_found(store: Store, service: Service) -> None:
    put(store, "a", 10)
    service.ask("a", 0, 100)
    put(store, "a", 20)
    store.command("OPTIMIZE TABLE points_number FINAL")
    assert service.ask("a", 0, 100)[0] == [10, 20]


def test_deleted_points_are_gone(store: Store, service: Service) -> None:
    put(store, "a", 10, 20)
    service.ask("a", 0, 100)
    store.command("ALTER TABLE points_number DELETE WHERE value = 20 SETTINGS mutations_sync = 2")
    assert service.ask("a", 0, 100) == ([10], 1)


def test_a_day_that_is_dropped_is_gone(store: Store, service: Service) -> None:
    put(store, "a", 10 - DAY, 10)
    assert service.ask("a", 0, 100)[0] == [10]
    assert service.ask("a", -DAY, 100 - DAY)[0] == [10 - DAY]
    store.command("ALTER TABLE points_number DROP PARTITION '2026-02-01'")
    assert service.ask("a", -DAY, 100 - DAY)[0] == []
    assert service.ask("a", 0, 100) == ([10], 0)


def test_windows_over_hours_and_midnight(store: Store, service: Service) -> None:
    seconds = [float(each) for each in range(0, 24 * HOUR, 1700)]
    put(store, "a", *seconds)
    for begin, end in ((0, 1700), (1800, 9000), (20 * HOUR, 24 * HOUR), (0, 23 * HOUR), (5 * HOUR, 5 * HOUR)):
        assert service.ask("a", begin, end)[0] == [each for each in seconds if begin <= each <= end]
    assert service.ask("a", HOUR, 20 * HOUR)[1] == 0


def test_a_long_window_is_read_from_the_store(store: Store, service: Service) -> None:
    put(store, "a", 10)
    for _ in range(2):
        assert service.ask("a", -40 * DAY, 100) == ([10], 1)


def test_more_points_than_are_held_are_read_from_the_store(store: Store) -> None:
    service = Service(store, most_points=20)
    put(store, "large", *range(30))
    put(store, "small", *range(5))
    for _ in range(2):
        found, read = service.ask("large", 0, 100)
        assert found == list(range(30))
        assert read
    assert service.ask("small", 0, 100) == ([0, 1, 2, 3, 4], 1)
    assert service.ask("small", 0, 100) == ([0, 1, 2, 3, 4], 0)


def test_what_was_asked_for_longest_ago_goes_first(store: Store) -> None:
    service = Service(store, most_points=25)
    for name in "abc":
        put(store, name, *range(10))
    reads = [service.ask(name, 0, 100)[1] for name in ("a", "b", "a", "c", "c", "a", "b")]
    assert reads[:3] == [1, 1, 0]
    assert reads[-1] == 1


def test_every_kind_of_point_is_held(store: Store, service: Service) -> None:
    buckets = {"count": 3, "sum": 2.0, "bucketCounts": [1, 2], "explicitBounds": [1]}
    native = {"count": 3, "sum": 2.0, "positive": {"offset": 0, "bucketCounts": [1, 2]}}
    quantiles = [{"quantile": 0.5, "value": 2.0}]
    for seconds in (10, 5, 20):
        send(
            store,
            "t",
            histogram("h", point(seconds, 0, **buckets)),
            exponential("e", point(seconds, 0, **native)),
            summary("q", point(seconds, count=1, sum=2.0, quantileValues=quantiles)),
            counter("d", point(seconds, seconds - 1, asInt=1), delta=True),
        )
        for name in ("h_bucket", "h_count", "h_sum", "e", "q", "q_sum", "q_count", "d_total"):
            found = select(store, "t", name)
            assert found.labels.size, name
    assert service.ask("h_sum", 0, 100) == ([5, 10, 20], 1)
    assert service.ask("h_sum", 0, 100) == ([5, 10, 20], 0)
    assert service.ask("h_count", 0, 100) == ([5, 10, 20], 1)


def test_tenants_are_apart(store: Store, service: Service) -> None:
    put(store, "a", 10)
    put(store, "a", 20, tenant="other")
    assert service.ask("a", 0, 100)[0] == [10]
    assert service.ask("a", 0, 100, "other")[0] == [20]


def test_of_a_millisecond_the_later_point_stays_also_from_another_insert(store: Store, service: Service) -> None:
    def at(nano: int, value: float) -> dict[str, Any]:
        return point(10, asDouble=value) | {"timeUnixNano": str(T0_MS * 1_000_000 + 10_000_000_000 + nano)}

    send(store, "t", gauge("a", at(500, 1.0)))
    service.ask("a", 0, 100)
    for nano, value in ((100, 2.0), (900, 3.0)):
        send(store, "t", gauge("a", at(nano, value)))
        source = StoreSource(service.reader())
        last = source.select(matchers("a"), T0_MS, T0_MS + 60_000)
        assert last.values.tolist() == [max(1.0, value if nano > 500 else 1.0)]


def test_stale_markers_and_points_without_a_value(store: Store) -> None:
    send(store, "t", gauge("a", point(10, asDouble=1), point(20, flags=1), point(30)))
    assert found(store, "t", "a") == {"a": {10: 1.0, 20: "stale"}}


def test_deltas_are_totals_since_midnight_also_from_memory(store: Store) -> None:
    points = [point(each, each - 60, asDouble=2) for each in range(60, 600, 60)]
    send(store, "t", counter("a", *points, delta=True))
    for _ in range(2):
        samples = select(store, "t", "a_total", T0_MS + 300_000)
        assert samples.values.tolist()[-1] == 18


def test_a_selector_of_too_many_points_is_refused_also_from_memory(store: Store, service: Service) -> None:
    put(store, "a", *range(50))
    assert len(service.ask("a", 0, 100)[0]) == 50
    with pytest.raises(TooManySamples, match="promql_max_samples"):
        StoreSource(service.reader(), max_samples=49).select(matchers("a"), T0_MS, T0_MS + 100_000)


def test_points_written_while_others_ask_are_all_found(store: Store, service: Service) -> None:
    put(store, "a", 0)
    failures: list[BaseException] = []

    def ask() -> None:
        seen: set[float] = set()
        try:
            while 30.0 not in seen:
                now = set(service.ask("a", 0, 100)[0])
                assert now >= seen
                seen = now
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for second in range(1, 31):
        put(store, "a", second)
        if second % 10 == 0:
            store.command("OPTIMIZE TABLE points_number FINAL")
    for thread in threads:
        thread.join()
    assert failures == []
    assert service.ask("a", 0, 100)[0] == list(range(31))


def rows_of(slab: Slab) -> list[tuple[int, int, int]]:
    piece = slab.piece()
    return list(zip(*(piece[name].tolist() for name in ("series_id", "nano", "start_nano")), strict=True))


ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50)), max_size=30)


@settings(deadline=None)
@given(st.lists(ROWS, max_size=12))
def test_slabs_have_every_row_by_series_and_time(inserts: list[list[tuple[int, int]]]) -> None:
    slabs: list[Slab] = []
    for rows in inserts:
        series = np.array([each[0] for each in rows], np.uint64)
        nano = np.array([each[1] for each in rows], np.int64)
        lists = ListColumn(np.cumsum(nano % 3), np.repeat(nano, nano % 3))
        slabs = merged([*slabs, Slab.of([{"series_id": series, "nano": nano, "start_nano": nano + 1, "lists": lists}])])
    kept = {tuple(map(int, row)) for slab in slabs for row in rows_of(slab)}
    assert kept == {(series, nano, nano + 1) for rows in inserts for series, nano in rows}
    for slab in slabs:
        times = [row[:2] for row in rows_of(slab)]
        assert times == sorted(set(times))
        lists = slab.columns["lists"]
        assert lists.items.tolist() == [nano for _, nano in times for _ in range(nano % 3)]
        assert np.diff(lists.ends, prepend=0).tolist() == [nano % 3 for _, nano in times]
    assert len(slabs) <= max(SLABS_A_KEY, 2)


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        ([], ["d_1_1_0"], ["d_1_1_0"]),
        (["d_1_1_0"], ["d_1_1_0"], []),
        (["d_1_1_0"], ["d_1_1_0", "d_2_2_0"], ["d_2_2_0"]),
        (["d_1_1_0", "d_2_2_0"], ["d_1_2_1"], []),
        (["d_1_1_0"], ["d_1_2_1"], ["d_1_2_1"]),
        (["d_1_1_0", "d_2_2_0"], ["d_2_2_0"], None),
        (["d_1_1_0"], [], None),
        (["d_1_1_0"], ["d_1_1_0_2"], None),
        (["d_1_1_0_2"], ["d_1_1_0_2"], []),
        (["d_1_1_0_2"], ["d_1_1_0_2", "d_5_5_0"], ["d_5_5_0"]),
        (["d_1_1_0_2", "d_5_5_0"], ["d_1_5_1_2"], ["d_1_5_1_2"]),
        (["d_1_1_0_2"], ["d_1_1_0_3"], None),
        (["d_1_2_1", "d_4_4_0"], ["d_1_4_2"], ["d_1_4_2"]),
    ],
)
def test_what_parts_tell_of_a_change(before: list[str], now: list[str], change: list[str] | None) -> None:
    seen = SeenParts("t")
    seen.change("d", parts_at(1, before))
    assert seen.change("d", parts_at(2, now)) == change


def test_older_parts_than_those_seen_tell_nothing() -> None:
    seen = SeenParts("t")
    seen.change("d", parts_at(2, ["d_1_1_0", "d_2_2_0"]))
    assert seen.change("d", parts_at(1, ["d_1_1_0"])) == []
    assert seen.change("d", parts_at(3, ["d_1_2_1"])) == []


def parts_at(asked: float, names: list[str]) -> Parts:
    return Parts(asked, {"t": {"d": frozenset(names)}})
