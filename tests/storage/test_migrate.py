"""Migrations end at the declared schema, retention is applied, and what differs is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sonde.storage import migrate as migrations
from sonde.storage.ddl import create_statements, render
from sonde.storage.errors import SchemaError
from sonde.storage.migrate import declared, migrate, pending, split_statements, verify
from sonde.storage.retention import FOR_EVER, Retention, live_ttl, ttl
from sonde.storage.rollups import ALL_TABLES, VIEWS, any_table
from sonde.storage.schema import TABLES
from sonde.storage.schema_page import page
from sonde.storage.store import Store
from storage_rows import count, insert_spans

KEPT = Retention(traces_days=3, logs_days=4, metrics_days=5)
SHAPE = """
    SELECT name, replaceAll(create_table_query, currentDatabase() || '.', '') AS made FROM system.tables
    WHERE database = currentDatabase() AND name != 'schema_migrations' ORDER BY name
"""


def test_replaying_the_migrations_ends_at_the_declared_schema(empty_store: Store, engine: Store) -> None:
    migrate(empty_store, retention=FOR_EVER)
    migrated = {row["name"]: row["made"] for row in empty_store.rows(SHAPE)}
    twin = f"{empty_store.database}_twin"
    engine.command(f"CREATE DATABASE {twin}")
    for statement in create_statements(twin):
        engine.command(statement)
    shape = SHAPE.replace("currentDatabase()", f"'{twin}'")
    assert {row["name"]: row["made"] for row in engine.rows(shape)} == migrated
    engine.command(f"DROP DATABASE {twin}")
    assert len(migrated) == len(ALL_TABLES) + len(VIEWS) + 8


def test_a_migrated_database_has_no_findings(empty_store: Store) -> None:
    migrate(empty_store, retention=KEPT)
    assert verify(empty_store, retention=KEPT) == []


def test_migrations_are_applied_once(empty_store: Store) -> None:
    said: list[str] = []
    first = migrate(empty_store, retention=KEPT, progress=said.append)
    assert said == first
    assert first[:2] == ["migration 0001 schema", "migration 0002 metrics"]
    assert migrate(empty_store, retention=KEPT) == []
    kept = [row["number"] for row in empty_store.rows("SELECT number FROM schema_migrations ORDER BY number")]
    assert kept == [migration.number for migration in declared()]


def test_a_migration_cut_off_in_the_middle_is_finished(empty_store: Store) -> None:
    for statement in create_statements(empty_store.database)[:5]:
        empty_store.command(statement)
    assert [migration.number for migration in pending(empty_store)] == [m.number for m in declared()]
    migrate(empty_store, retention=KEPT)
    assert verify(empty_store, retention=KEPT) == []


def points_of_two_metrics(store: Store) -> None:
    """What the first two migrations made, with points in it."""
    for migration in declared()[:2]:
        for template in (migrations.BOOKKEEPING, *migration.templates):
            migrations.run(store, template, None)
        migrations.remember(store, migration, None)
    for number, name in enumerate(("up", "load")):
        store.command(f"INSERT INTO series (tenant, series_id, name) SELECT 'a', {number}, '{name}'")
    time = "toDateTime64('2026-05-01 00:00:00', 9, 'UTC') + toIntervalHour(number * 7)"
    store.command(
        f"INSERT INTO points_number (tenant, series_id, time, value) SELECT 'a', number % 3, {time}, number FROM numbers(30)"
    )
    store.command(
        "INSERT INTO points_histogram (tenant, series_id, time, sum, bucket_counts) SELECT 'a', 1, now64(9), NULL, [3, 4]"
    )


POINTS_NOW = "SELECT metric, series_id, value FROM points_number ORDER BY value"


def test_points_of_an_older_version_are_kept_with_the_names_of_their_metrics(empty_store: Store) -> None:
    points_of_two_metrics(empty_store)
    migrate(empty_store, retention=Retention(0, 0, 0))
    names = ("up", "load", "")  # no series is known of the third
    wanted = [{"metric": names[n % 3], "series_id": n % 3, "value": float(n)} for n in range(30)]
    assert empty_store.rows(POINTS_NOW) == wanted
    rows = empty_store.rows("SELECT metric, sum, bucket_counts FROM points_histogram")
    assert rows == [{"metric": "load", "sum": None, "bucket_counts": [3, 4]}]
    assert verify(empty_store, retention=Retention(0, 0, 0)) == []


def test_points_are_neither_lost_nor_doubled_where_their_migration_is_cut_off(empty_store: Store) -> None:
    points_of_two_metrics(empty_store)
    before = empty_store.rows("SELECT value FROM points_number ORDER BY value")
    for migration in declared()[2:5]:
        for end in range(1, len(migration.templates) + 1):
            for template in migration.templates[:end]:
                migrations.run(empty_store, template, None)
        migrations.remember(empty_store, migration, None)
    assert pending(empty_store) == declared()[5:]
    assert empty_store.rows("SELECT value FROM points_number ORDER BY value") == before


def test_a_dry_run_tells_the_sql_and_changes_nothing(empty_store: Store) -> None:
    planned = migrate(empty_store, retention=KEPT, dry_run=True)
    created = {statement.split("(")[0] for statement in planned if statement.startswith("CREATE")}
    assert created >= {statement.split("(")[0] for statement in create_statements(empty_store.database)}
    assert [statement for statement in planned if "ALTER" in statement] == []
    assert empty_store.rows(SHAPE) == []
    migrate(empty_store, retention=KEPT)
    planned = migrate(empty_store, retention=Retention(traces_days=30, logs_days=4, metrics_days=5), dry_run=True)
    assert len(planned) == 5
    assert "`spans` MODIFY TTL toDateTime(time) + toIntervalDay(30)" in planned[0]
    assert verify(empty_store, retention=KEPT) == []


def test_a_database_of_a_newer_version_is_refused(empty_store: Store) -> None:
    migrate(empty_store)
    empty_store.command("INSERT INTO schema_migrations (number, name) SELECT 9999, 'later'")
    with pytest.raises(SchemaError, match="newer sonde"):
        migrate(empty_store)
    assert "newer sonde" in verify(empty_store)[0].problem


def test_a_database_without_the_schema_is_told_to_migrate(empty_store: Store) -> None:
    [finding] = verify(empty_store)
    assert finding.advice == "Run `sonde migrate`."


def test_statements_end_with_a_semicolon_at_the_end_of_a_line() -> None:
    text = "-- a comment;\nSELECT ';',\n  1;\n\nSELECT 2\n;\n;\nSELECT 3"
    assert split_statements(text) == ("SELECT ';',\n  1", "SELECT 2", "SELECT 3")


def test_migrations_that_are_not_numbered_in_a_row_are_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "0002_late.sql").write_text("SELECT 1")
    monkeypatch.setattr(migrations.resources, "files", lambda name: tmp_path)
    with pytest.raises(SchemaError, match="reinstall"):
        declared()


def test_retention_is_applied_changed_and_taken_away(empty_store: Store) -> None:
    migrate(empty_store, retention=KEPT)
    assert live_ttl(empty_store, "spans") == "toDateTime(time) + toIntervalDay(3)"
    assert live_ttl(empty_store, "logs") == "toDateTime(time) + toIntervalDay(4)"
    assert live_ttl(empty_store, "exemplars") == "toDateTime(point_time) + toIntervalDay(5)"
    assert live_ttl(empty_store, "attribute_keys") == "day + toIntervalDay(5)"
    assert live_ttl(empty_store, "points_number_5m") == "toDateTime(end_time) + toIntervalDay(180)"
    assert live_ttl(empty_store, "points_number_1h") == "toDateTime(end_time) + toIntervalDay(730)"
    assert live_ttl(empty_store, "rollup_hours") == "toDateTime(end_time) + toIntervalDay(730)"
    assert live_ttl(empty_store, "resources") == ""
    longer = Retention(traces_days=7, logs_days=0, metrics_days=5)
    assert migrate(empty_store, retention=longer)
    assert live_ttl(empty_store, "spans") == "toDateTime(time) + toIntervalDay(7)"
    assert live_ttl(empty_store, "logs") == live_ttl(empty_store, "attribute_keys") == ""
    assert verify(empty_store, retention=longer) == []
    assert {finding.table for finding in verify(empty_store, retention=KEPT)} > {"spans", "logs"}


def test_rows_past_their_retention_go(empty_store: Store) -> None:
    migrate(empty_store, retention=FOR_EVER)
    insert_spans(empty_store, 100, "a", at_unix_nano=1_600_000_000_000_000_000)
    migrate(empty_store, retention=KEPT)
    empty_store.command("OPTIMIZE TABLE spans FINAL")
    assert count(empty_store, "spans") == 0


def test_every_retention_names_columns_that_exist() -> None:
    for table in ALL_TABLES:
        if table.retention:
            assert table.column(table.ttl_column)
            assert ttl(table, KEPT.days(table))


FINDINGS = {
    "ALTER TABLE spans MODIFY SETTING non_replicated_deduplication_window = 5": "non_replicated_deduplication_window",
    "ALTER TABLE spans DROP INDEX trace": "index trace",
    "ALTER TABLE logs DROP COLUMN event_name": "event_name is missing",
    "ALTER TABLE logs MODIFY COLUMN severity_text String": "type of column severity_text",
    "ALTER TABLE logs MODIFY COLUMN time CODEC(ZSTD(3))": "codec of column time",
    "ALTER TABLE logs ADD COLUMN mine UInt8": "mine is not sonde's",
    "DROP VIEW spans_trace_ranges": "view is missing",
    "DROP TABLE series": "table is missing",
    "ALTER TABLE spans_trace_ranges MODIFY QUERY SELECT tenant, trace_id FROM spans": "not the declared one",
}


@pytest.mark.parametrize("change", FINDINGS)
def test_a_change_by_hand_is_found(store: Store, change: str) -> None:
    for view in VIEWS:
        if view.source in ("logs", "series") and ("logs" in change or "series" in change):
            store.command(f"DROP VIEW {view.name}")
    store.command("DROP VIEW IF EXISTS otel_logs")
    store.command(change)
    problems = [finding.problem for finding in verify(store, retention=FOR_EVER)]
    assert any(FINDINGS[change] in problem for problem in problems), problems


@pytest.mark.parametrize(
    "statement", create_statements("telemetry", cluster="all"), ids=lambda text: text.split("`")[3]
)
def test_the_engine_parses_what_a_cluster_is_told(engine: Store, statement: str) -> None:
    assert engine.rows("SELECT formatQuery({sql:String}) AS sql", {"sql": statement})[0]["sql"].startswith("CREATE")
    assert engine.rows(f"EXPLAIN AST {statement}")


def test_a_cluster_has_replicated_tables_and_distributed_ones_over_them() -> None:
    statements = create_statements("telemetry", cluster="all")
    for table in ALL_TABLES:
        local = next(
            s for s in statements if f"TABLE IF NOT EXISTS `telemetry`.`{table.name}_local` ON CLUSTER `all`" in s
        )
        engine, _, argument = table.engine.removesuffix(")").partition("(")
        place = f"'/clickhouse/tables/{{shard}}/telemetry/{table.name}', '{{replica}}'"
        assert f"ENGINE = Replicated{engine}({place}{', ' if argument else ''}{argument})\n" in local
        over = next(s for s in statements if f"TABLE IF NOT EXISTS `telemetry`.`{table.name}` ON CLUSTER `all`" in s)
        assert f"Distributed('all', 'telemetry', '{table.name}_local', {table.sharding_key})" in over
    views = [s for s in statements if s.startswith("CREATE MATERIALIZED VIEW")]
    assert all("_local`" in view.split("FROM", 1)[1] for view in views)
    assert len(statements) == 2 * len(ALL_TABLES) + len(VIEWS) + 8


def test_an_unknown_placeholder_is_an_error() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        render("{{nonsense}}", "d", None)


def test_every_table_forgets_no_token(store: Store) -> None:
    sql = "SELECT name, engine_full AS full FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    live: dict[str, Any] = {row["name"]: row["full"] for row in store.rows(sql)}
    for table in ALL_TABLES:
        assert "non_replicated_deduplication_window = 10000" in live[table.name]


def test_tables_are_found_by_name() -> None:
    assert any_table("spans") in TABLES
    with pytest.raises(KeyError):
        any_table("nowhere")


def test_the_schema_page_is_up_to_date() -> None:
    kept = Path(__file__).parents[2] / "docs" / "schema.md"
    assert kept.read_text(encoding="utf-8") == page(), "run: python -m sonde.storage.schema_page > docs/schema.md"
