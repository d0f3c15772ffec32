"""What is summarised when, whatever stops it, and what is left alone."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from httpx import Client
from sent import T0_MS, counter, gauge, point, send
from sonde.query.config import QueryConfig
from sonde.query.rollups import builder
from sonde.query.rollups.builder import Batch, batches, build
from sonde.query.rollups.hours import NEVER, read_hours, read_kept
from sonde.query.rollups.kinds import NUMBERS
from sonde.query.rollups.upkeep import Upkeep
from sonde.storage.errors import StoreUnavailable
from sonde.storage.migrate import migrate
from sonde.storage.retention import Retention
from sonde.storage.store import Store
from windows_of import FIVE_MINUTES, HOUR, assert_same, build_all, of_samples, stored

BEGIN = T0_MS // HOUR * HOUR
ENDED = BEGIN + 6 * HOUR


def at(hours: float, **fields: Any) -> Any:
    """A point so many hours after `BEGIN`."""
    return point((BEGIN - T0_MS) / 1000 + hours * 3600, **fields)


def fill(store: Store, tenant: str = "t", hours: int = 5, series: int = 1) -> None:
    points = [
        at(index / 12, asDouble=float(index), labels={"n": number})
        for number in range(series)
        for index in range(1, 12 * hours + 1)
    ]
    send(store, tenant, counter("x", *points))


def check(store: Store) -> None:
    for width in (FIVE_MINUTES, HOUR):
        assert_same(
            stored(store, "t", "x_total", width, BEGIN, ENDED), of_samples(store, "t", "x_total", width, BEGIN, ENDED)
        )


def due(store: Store, **settings: Any) -> list[int]:
    """The hours after `BEGIN` that are due, 1 for the first."""
    found = batches(store, NUMBERS, 0, ENDED, **settings)
    return sorted(int(hour) - BEGIN // HOUR for batch in found for hour in batch.hours)


def test_hours_that_have_ended_are_due_until_they_are_built(store: Store) -> None:
    fill(store)
    assert due(store) == [1, 2, 3, 4, 5]
    assert [int(b.hours[-1]) - BEGIN // HOUR for b in batches(store, NUMBERS, 0, BEGIN + 3 * HOUR + 1)] == [3]
    build_all(store, "t", 0, BEGIN + 3 * HOUR + HOUR // 2)
    assert due(store) == [4, 5]
    assert due(store, again=True) == [1, 2, 3, 4, 5]


def test_the_newest_hours_come_first_and_no_batch_goes_over_a_day(store: Store) -> None:
    fill(store, hours=24)
    found = batches(store, NUMBERS, 0, BEGIN + 24 * HOUR)
    assert [batch.hours[-1] for batch in found] == sorted((batch.hours[-1] for batch in found), reverse=True)
    assert all((int(hour) - 1) // 24 == (int(batch.hours[0]) - 1) // 24 for batch in found for hour in batch.hours)
    assert sum(len(batch.hours) for batch in found) == 24


def test_an_hour_that_was_just_built_rests(store: Store) -> None:
    fill(store)
    build_all(store, "t", 0, ENDED)
    send(store, "t", gauge("late", at(2.5, asDouble=1.0)))
    now = round(time.time() * 1000)
    assert due(store, resting_since_ms=now - HOUR) == []
    assert due(store, resting_since_ms=now + HOUR) == [3]


def test_series_are_summarised_some_at_a_time(store: Store) -> None:
    fill(store, series=20)
    few = replace(NUMBERS, at_once=100)
    [batch] = batches(store, NUMBERS, 0, ENDED)
    assert len(list(builder.parts(store, replace(batch, kind=few)))) > 5
    built = build(store, replace(batch, kind=few))
    assert built is not None
    assert built.points == 1_200
    check(store)


class Broken:
    """A store that fails at its `number`th insert."""

    def __init__(self, store: Store, number: int) -> None:
        self._store = store
        self._left = number

    def insert_block(self, *args: Any, **named: Any) -> int:
        self._left -= 1
        if self._left < 0:
            raise StoreUnavailable("it broke")
        return self._store.insert_block(*args, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.parametrize("inserts", [0, 1, 2])
def test_a_build_that_breaks_off_changes_no_answer(store: Store, inserts: int) -> None:
    fill(store)
    build_all(store, "t", 0, ENDED)
    send(store, "t", counter("x", at(1.51, asDouble=100.0, labels={"n": 0})))
    [batch] = batches(store, NUMBERS, 0, ENDED)
    with pytest.raises(StoreUnavailable):
        build(Broken(store, inserts), batch)  # type: ignore[arg-type]
    check(store)
    assert due(store) == [2]
    build_all(store, "t", 0, ENDED)
    assert due(store) == []
    check(store)


def test_a_build_that_is_stopped_records_nothing(store: Store) -> None:
    fill(store)
    [batch] = batches(store, NUMBERS, 0, ENDED)
    assert build(store, batch, lambda: True) is None
    assert due(store) == [1, 2, 3, 4, 5]


def test_points_that_come_while_an_hour_is_built_make_it_due_again(store: Store) -> None:
    fill(store)
    [batch] = batches(store, NUMBERS, 0, ENDED)
    send(store, "t", gauge("late", at(2.5, asDouble=1.0)))
    build(store, batch)
    assert due(store) == [3]


def hours_ago(hours: int) -> int:
    """The right edge of the hour so long ago, in ms."""
    return (round(time.time() * 1000) // HOUR - hours) * HOUR


def test_summaries_outlive_their_points(store: Store) -> None:
    """And nothing that comes later takes their place."""
    end = hours_ago(24 * 40)
    seconds = (end - T0_MS) / 1000
    send(store, "t", gauge("x", *(point(seconds - 60 * index, asDouble=1.0) for index in range(60))), received=seconds)
    build_all(store, "t", 0, end)
    migrate(store, retention=Retention(0, 0, metrics_days=30, rollups_5m_days=35, rollups_1h_days=0))
    store.command("OPTIMIZE TABLE points_number FINAL")
    assert store.rows("SELECT count() AS n FROM points_number") == [{"n": 0}]
    found = stored(store, "t", "x", HOUR, end - HOUR, end)
    assert found is not None
    assert found.counts.tolist() == [60]
    store.command("INSERT INTO point_hours SELECT tenant, source, end_time, 1 FROM point_hours")
    found = stored(store, "t", "x", HOUR, end - HOUR, end)
    assert found is not None
    assert found.counts.tolist() == [60]
    assert batches(store, NUMBERS, 0, end, again=True) == []
    assert stored(store, "t", "x", FIVE_MINUTES, end - HOUR, end) is None, "those of 5 minutes are gone too"


def test_hours_are_counted_again_where_the_migration_runs_twice(store: Store) -> None:
    """Counts only tell whether something came: it costs another build, and no answer."""
    fill(store)
    build_all(store, "t", 0, ENDED)
    store.command("INSERT INTO point_hours SELECT tenant, source, end_time, points FROM point_hours")
    assert due(store) == [1, 2, 3, 4, 5]
    assert stored(store, "t", "x_total", HOUR, BEGIN, ENDED) is None
    build_all(store, "t", 0, ENDED)
    assert due(store) == []
    check(store)


def test_points_beyond_the_reach_of_a_window_are_never_due(store: Store) -> None:
    for nano in (1_000_000, 2**32 * 10**9, 2**63 - 1, -(2**63)):
        store.command(
            "INSERT INTO points_number (tenant, time) SELECT 't', fromUnixTimestamp64Nano({nano:Int64}, 'UTC')",
            {"nano": nano},
        )
    assert len(batches(store, NUMBERS, 0, 2**53)) == 1
    hours = read_hours(store.rows, "t", NUMBERS, 0, 2**53)
    assert hours.hours.tolist() == [1]
    assert hours.built.tolist() == [NEVER]


def test_what_is_kept_for_ever_is_there_from_the_beginning(store: Store) -> None:
    kept = read_kept(store.rows, NUMBERS)
    assert (kept.points_ms, dict(kept.windows_ms)) == (0, {FIVE_MINUTES: 0, HOUR: 0})


def test_upkeep_builds_what_is_due_and_stops(store: Store) -> None:
    for tenant in ("t", "u"):
        fill(store, tenant)
    upkeep = Upkeep(store, QueryConfig(rollups_every_seconds=0.01))
    upkeep.start()
    deadline = threading.Event()
    while due(store):
        assert not deadline.wait(0.05)
    upkeep.stop()
    check(store)
    assert Upkeep(store, QueryConfig()).round() == 0


def test_upkeep_goes_on_after_the_store_was_away(http_store: Store, gate: Any) -> None:
    fill(http_store)
    upkeep = Upkeep(http_store, QueryConfig(rollups_every_seconds=0.01))
    gate.shut()
    upkeep.start()
    gate.open()
    while due(http_store):
        time.sleep(0.05)
    upkeep.stop()


def test_the_api_tells_how_far_it_is(client: Client, store: Store) -> None:
    fill(store, "default")
    build_all(store, "default", 0, BEGIN + 3 * HOUR)
    send(store, "default", gauge("late", at(1.5, asDouble=1.0)))
    [found] = client.get("/api/rollups").json()["rollups"]
    assert found == {
        "tenant": "default",
        "kind": "points_number",
        "built": 2,
        "outdated": 1,
        "missing": 2,
        "first": "2026-02-02T03:00:00.000000000Z",
        "last": "2026-02-02T05:00:00.000000000Z",
    }
    assert client.get("/api/rollups", headers={"X-Sonde-Tenant": "u"}).json() == {"rollups": []}


def test_a_batch_knows_its_times() -> None:
    import numpy as np

    batch = Batch("t", NUMBERS, np.array([10, 11]), np.array([1, 1]))
    assert (batch.window.start_ms, batch.window.end_ms) == (9 * HOUR + 1, 11 * HOUR)
