"""What the engine pays to take rows: Native beside Arrow, into nothing, into the tables alone, and with every rollup.

    python -m benchmarks.insert [--blocks 8] [--rows 60000] [--rounds 3] [--signals spans,logs,points_number]

A block is what one spool segment of 32 MiB holds. CPU is that of the whole process, user and system, while nothing but the
inserts runs: the engine is in this process, and merges are stopped. Blocks are encoded before the clock starts; `encode` is
timed apart. The cases take turns, and the least CPU of all rounds is told. Arrow's blocks hold the same rows as the engine
itself writes them, with dictionaries.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sonde.storage.columns import Block
from sonde.storage.ddl import create_statements, render, table_template
from sonde.storage.native import encode_block
from sonde.storage.schema import Table, table
from sonde.storage.store import Store, open_store

from benchmarks.columns import AT_UNIX_NANO, spans
from benchmarks.log_columns import logs, number_points
from benchmarks.machine import machine

GENERATORS: dict[str, Callable[[int, int], Block]] = {
    "spans": lambda rows, i: spans(rows, seed=i, at_unix_nano=AT_UNIX_NANO + i * rows * 20_000),
    "logs": lambda rows, i: logs(rows, seed=i, at_unix_nano=AT_UNIX_NANO + i * rows * 20_000),
    "points_number": lambda rows, i: number_points(rows, seed=i, first_collection=i * rows // 10_000),
    "points_number on a grid": lambda rows, i: number_points(
        rows, seed=i, first_collection=i * rows // 10_000, jitter=False
    ),
}
ARROW = (
    "output_format_arrow_low_cardinality_as_dictionary = 1, output_format_arrow_fixed_string_as_fixed_byte_array = 1, "
    "output_format_arrow_string_as_string = 0, max_block_size = 1000000"
)
TARGETS = ("null", "table", "table and rollups")


@dataclass
class Blocks:
    """The same rows in both formats."""

    names: list[str]
    native: list[bytes]
    arrow: list[bytes]
    encode_us: float


def prepare(store: Store, declared: Table, blocks: int, rows: int) -> Blocks:
    """Encode everything once; Arrow from what the engine has read as Native."""
    made = [GENERATORS[declared.name](rows, i) for i in range(blocks)]
    native, took = [], []
    for block in made:
        began = time.process_time()
        encoded = encode_block(declared, block, rows)
        took.append(time.process_time() - began)
        native.append(bytes(encoded))
        del encoded
    recreate(store, declared, "table")
    arrow = []
    for i, block in enumerate(native):
        store.command(f"TRUNCATE TABLE {declared.name}")
        store.insert_block(declared.name, block, list(made[i]), token=f"arrow {i}")
        sql = f"SELECT * FROM {declared.name} SETTINGS {ARROW} FORMAT ArrowStream"
        arrow.append(store.raw(sql))
    return Blocks(list(made[0]), native, arrow, min(took) / rows * 1e6)


def recreate(store: Store, declared: Table, target: str) -> None:
    """A fresh database with the table and, where `target` says so, the rollups."""
    store.command(f"DROP DATABASE IF EXISTS {store.database} SYNC")
    store.command(f"CREATE DATABASE {store.database}")
    if target == "table and rollups":
        for statement in create_statements(store.database):
            store.command(statement)
    else:
        statement = render(table_template(replace(declared, indexes=())), store.database, None)
        if target == "null":
            statement = statement.split("\nENGINE = ")[0] + "\nENGINE = Null"
        else:
            statement = render(table_template(declared), store.database, None)
        store.command(statement)
    store.command("SYSTEM STOP MERGES")


def run(store: Store, declared: Table, blocks: Blocks, kind: str, target: str, rows: int) -> dict[str, float]:
    """Insert every block; CPU and wall time a row."""
    recreate(store, declared, target)
    bodies = blocks.native if kind == "Native" else blocks.arrow
    cpu, began = time.process_time(), time.perf_counter()
    for i, body in enumerate(bodies):
        if kind == "Native":
            store.insert_block(declared.name, body, blocks.names, token=str(i))
        else:
            store.insert_file(declared.name, body, blocks.names, fmt="ArrowStream", token=str(i))
    cpu, took = time.process_time() - cpu, time.perf_counter() - began
    total = rows * len(bodies)
    return {"cpu_us_per_row": cpu / total * 1e6, "rows_per_s": total / took, "rows_per_cpu_s": total / cpu}


def checksum(store: Store, declared: Table) -> tuple[int, int]:
    """Rows, and a sum over every column that both formats must agree on."""
    plain = [c.name for c in declared.columns if not c.type.startswith(("Array(", "Map("))]
    maps = [f"mapKeys({c.name}), mapValues({c.name})" for c in declared.columns if c.type.startswith("Map(")]
    sql = f"SELECT count() AS rows, sum(cityHash64({', '.join([*plain, *maps])})) AS hash FROM {declared.name}"
    [row] = store.rows(sql)
    return row["rows"], row["hash"]


def measure(store: Store, name: str, blocks: int, rows: int, rounds: int) -> dict[str, Any]:
    declared = table(name)
    prepared = prepare(store, declared, blocks, rows)
    cases = [(kind, target) for target in TARGETS for kind in ("Native", "Arrow")]
    found: dict[tuple[str, str], dict[str, float]] = {}
    sums: dict[str, tuple[int, int]] = {}
    for _ in range(rounds):
        for kind, target in cases:
            figures = run(store, declared, prepared, kind, target, rows)
            if target == "table":
                sums[kind] = checksum(store, declared)
            best = found.setdefault((kind, target), figures)
            if figures["cpu_us_per_row"] < best["cpu_us_per_row"]:
                found[kind, target] = figures
    assert sums["Native"] == sums["Arrow"], "the two formats store different rows"
    assert sums["Native"][0] == rows * blocks
    sizes = {"Native": sum(map(len, prepared.native)), "Arrow": sum(map(len, prepared.arrow))}
    print(f"{name}: {blocks} blocks of {rows} rows, encode {prepared.encode_us:.2f} us CPU a row")
    for (kind, target), figures in found.items():
        size = sizes[kind] / rows / blocks
        a_core, a_second = figures["rows_per_cpu_s"] / 1e3, figures["rows_per_s"] / 1e3
        print(
            f"  {kind:6} {target:18} {figures['cpu_us_per_row']:6.2f} us CPU a row  {a_core:6.0f} k rows/s a core  "
            f"{a_second:6.0f} k rows/s  {size:5.0f} B a row"
        )
    told = {f"{kind} into {target}": {k: round(v, 3) for k, v in f.items()} for (kind, target), f in found.items()}
    return {"encode_cpu_us_per_row": round(prepared.encode_us, 3), **told}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--signals", default="spans,logs,points_number")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sonde-insert-") as folder, open_store(f"chdb://{folder}/store") as store:
        signals = options.signals.split(",")
        cases = {name: measure(store, name, options.blocks, options.rows, options.rounds) for name in signals}
    print(json.dumps({"benchmark": "insert", **machine(), "cases": cases}))


if __name__ == "__main__":
    main()
