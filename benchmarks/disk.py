"""Bytes on disk of a span, a log record and a number point, after every merge, and what of it is which column.

    python -m benchmarks.disk [--spans 2000000] [--logs 1000000] [--points 5000000] [--columns 8]

Rows go in as the writer sends them, in blocks of 60 000, with every rollup on; then `OPTIMIZE FINAL`. The rollups' own bytes
are told apart, spread over the rows that fill them. Ids are random, as real ones are: 16 of a span's bytes can't be
pressed any smaller, and a trace's own id counts once a service.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from typing import Any

from sonde.storage.migrate import migrate
from sonde.storage.native import encode_block
from sonde.storage.retention import FOR_EVER
from sonde.storage.rollups import VIEWS
from sonde.storage.schema import table
from sonde.storage.store import Store, open_store

from benchmarks.insert import GENERATORS
from benchmarks.machine import machine

BLOCK_ROWS = 60_000


def fill(store: Store, name: str, case: str, rows: int) -> int:
    """Insert at least `rows` rows; returns how many."""
    declared = table(name)
    blocks = -(-rows // BLOCK_ROWS)
    for i in range(blocks):
        block = GENERATORS[case](BLOCK_ROWS, i)
        token = f"{case} {i}"
        store.insert_block(name, encode_block(declared, block, BLOCK_ROWS), list(block), token=token)
    return blocks * BLOCK_ROWS


def size(store: Store, name: str) -> int:
    """Bytes of the table's parts on disk after merging them all."""
    store.command(f"OPTIMIZE TABLE {name} FINAL")
    sql = """
        SELECT sum(bytes_on_disk) AS bytes FROM system.parts
        WHERE active AND database = currentDatabase() AND table = {table:String}
    """
    return int(store.rows(sql, {"table": name})[0]["bytes"])


def largest(store: Store, name: str, rows: int, how_many: int) -> dict[str, float]:
    """Bytes a row of the largest columns."""
    sql = """
        SELECT column, sum(column_data_compressed_bytes) AS bytes FROM system.parts_columns
        WHERE active AND database = currentDatabase() AND table = {table:String}
        GROUP BY column ORDER BY bytes DESC LIMIT {how_many:UInt32}
    """
    found = store.rows(sql, {"table": name, "how_many": how_many})
    return {row["column"]: round(row["bytes"] / rows, 2) for row in found}


def measure(store: Store, case: str, rows: int, columns: int) -> dict[str, Any]:
    name = case.partition(" ")[0]
    store.command(f"TRUNCATE TABLE {name}")
    before = {view.target: size(store, view.target) for view in VIEWS}
    rows = fill(store, name, case, rows)
    own = size(store, name) / rows
    rollups = {
        view.target: (size(store, view.target) - before[view.target]) / rows for view in VIEWS if view.source == name
    }
    assert store.rows(f"SELECT count() AS n FROM {name}")[0]["n"] == rows
    parts = largest(store, name, rows, columns)
    print(f"{case}: {own:.1f} bytes a row in {rows} rows, rollups {sum(rollups.values()):.2f} more")
    for column, bytes_a_row in parts.items():
        print(f"  {bytes_a_row:7.2f}  {column}")
    return {
        "rows": rows,
        "bytes_per_row": round(own, 2),
        "rollup_bytes_per_row": {target: round(value, 3) for target, value in rollups.items()},
        "columns": parts,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=2_000_000)
    parser.add_argument("--logs", type=int, default=1_000_000)
    parser.add_argument("--points", type=int, default=5_000_000)
    parser.add_argument("--columns", type=int, default=8)
    options = parser.parse_args()
    wanted = {"spans": options.spans, "logs": options.logs, "points_number": options.points}
    wanted["points_number on a grid"] = options.points
    with tempfile.TemporaryDirectory(prefix="sonde-disk-") as folder, open_store(f"chdb://{folder}/store") as store:
        migrate(store, retention=FOR_EVER)
        cases = {case: measure(store, case, rows, options.columns) for case, rows in wanted.items() if rows}
    print(json.dumps({"benchmark": "disk", **machine(), "cases": cases}))


if __name__ == "__main__":
    main()
