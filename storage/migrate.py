"""Numbered, frozen, forward-only migrations: `migrations/NNNN_name.sql`, applied once each, in order.

A file holds the templates of `ddl.py`, divided by lines of `;`. Each statement can be run twice without harm
(`IF NOT EXISTS`), because one that was applied a moment before a crash is applied again. Table `schema_migrations`
remembers what was applied.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources

from sonde.storage import retention as retentions
from sonde.storage.ddl import render
from sonde.storage.errors import SchemaError
from sonde.storage.retention import Retention
from sonde.storage.store import Store
from sonde.storage.verify import Finding, differences

FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")

BOOKKEEPING = """
CREATE TABLE IF NOT EXISTS {{table schema_migrations}}{{on_cluster}}
(
    `number` UInt32,
    `name` String,
    `applied_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {{engine ReplacingMergeTree schema_migrations}}
ORDER BY number
COMMENT 'Which migrations this database has.'
"""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    templates: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"{self.number:04} {self.name}"


def declared() -> list[Migration]:
    """Every migration of this version, in order."""
    found = []
    for file in resources.files("sonde.storage.migrations").iterdir():
        if match := FILE_NAME.fullmatch(file.name):
            text = file.read_text(encoding="utf-8")
            found.append(Migration(int(match[1]), match[2], split_statements(text)))
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise SchemaError(
            "the migrations of this installation are not numbered 1, 2, 3, ...: it is damaged, reinstall it."
        )
    return found


def split_statements(text: str) -> tuple[str, ...]:
    """The templates of a migration file: divided by `;` at a line's end, `--` lines left out."""
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    pieces = re.split(r";[ \t]*(?:\n|$)", "\n".join(lines) + "\n")
    return tuple(piece.strip() for piece in pieces if piece.strip())


def applied_numbers(store: Store, cluster: str | None) -> set[int]:
    """The numbers of the migrations the database has."""
    table = "schema_migrations_local" if cluster else "schema_migrations"
    known = "SELECT count() AS known FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"
    if not store.select(known, {"table": table})["known"][0]:
        return set()
    return {row["number"] for row in store.rows(f"SELECT number FROM {table}")}


def pending(store: Store, cluster: str | None = None) -> list[Migration]:
    """What `migrate` would apply. SchemaError where the database was made by a newer version."""
    known = declared()
    applied = applied_numbers(store, cluster)
    if newer := sorted(applied - {migration.number for migration in known}):
        raise SchemaError(
            f"database {store.database} at {store.url} has migration {newer[-1]:04}, this version knows {len(known):04} at most: "
            "it was made by a newer sonde. Run that version, or give this one another --database."
        )
    return [migration for migration in known if migration.number not in applied]


def migrate(
    store: Store,
    *,
    retention: Retention | None = None,
    cluster: str | None = None,
    dry_run: bool = False,
    progress: Callable[[str], None] | None = None,
) -> list[str]:
    """Bring the database to this version's schema and `retention`. Returns what was done, in words.

    With `dry_run` nothing changes and the SQL that would run is returned instead.
    """
    say = progress or (lambda line: None)
    waiting = pending(store, cluster)
    if dry_run:
        return planned(store, waiting, retention or Retention(), cluster)
    done = []
    for migration in waiting:
        for template in (BOOKKEEPING, *migration.templates):
            run(store, template, cluster)
        remember(store, migration, cluster)
        done.append(f"migration {migration.title}")
        say(done[-1])
    for statement in retentions.apply(store, retention or Retention(), cluster):
        done.append(f"retention: {statement}")
        say(done[-1])
    return done


def planned(store: Store, waiting: Sequence[Migration], retention: Retention, cluster: str | None) -> list[str]:
    """The SQL of the migrations that wait and, where none creates the tables, of the retention."""
    statements = [render(template, store.database, cluster) for m in waiting for template in m.templates]
    exists = not any(migration.number == 1 for migration in waiting)
    changes = list(retentions.changes(store, retention, cluster)) if exists else []
    return [statement for statement in (*statements, *changes) if statement]


def run(store: Store, template: str, cluster: str | None) -> None:
    if statement := render(template, store.database, cluster):
        store.command(statement)


def remember(store: Store, migration: Migration, cluster: str | None) -> None:
    table = "schema_migrations_local" if cluster else "schema_migrations"
    store.command(
        f"INSERT INTO {table} (number, name) SELECT {{number:UInt32}}, {{name:String}}",
        {"number": migration.number, "name": migration.name},
    )


def verify(store: Store, *, retention: Retention | None = None, cluster: str | None = None) -> list[Finding]:
    """Whether the database is what this version and `retention` make: each difference, and what to do about it."""
    try:
        waiting = pending(store, cluster)
    except SchemaError as error:
        return [Finding("schema_migrations", str(error), "Run the version that made it.")]
    if waiting:
        titles = ", ".join(migration.title for migration in waiting)
        return [Finding("schema_migrations", f"Not applied yet: {titles}.", "Run `sonde migrate`.")]
    return differences(store, retention or Retention(), cluster)
