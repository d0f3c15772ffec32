"""`sonde rollup` over a store that no server has open, and over one that a server has."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from running import serving, sonde

pytestmark = pytest.mark.slow

FILL = """
import sys
sys.path[:0] = sys.argv[1].split(":")
from sent import T0_MS, gauge, point, send
from sonde.storage.migrate import migrate
from sonde.storage.retention import FOR_EVER
from sonde.storage.store import open_store
with open_store("chdb://./data/store") as store:
    migrate(store, retention=FOR_EVER)
    for tenant in ("shop", "default"):
        send(store, tenant, gauge("x", *(point(60 * index, asDouble=1.0) for index in range(180))))
"""
KEPT = ["--retention-metrics-days", "0", "--retention-rollups-5m-days", "0", "--retention-rollups-1h-days", "0"]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    import subprocess
    import sys

    tests = Path(__file__).parent.parent
    places = ":".join(str(place) for place in (tests / "query" / "prometheus", tests))
    subprocess.run([sys.executable, "-c", FILL, places], cwd=tmp_path, check=True)
    return tmp_path


def test_status_and_rebuild_of_a_store_at_rest(filled: Path) -> None:
    status = sonde("rollup", "status", "--json", cwd=filled)
    found = [json.loads(line) for line in status.stdout.splitlines()]
    assert [(row["tenant"], row["built"], row["missing"]) for row in found] == [("default", 0, 4), ("shop", 0, 4)]
    built = sonde("rollup", "rebuild", "--tenant", "shop", "--to", "2026-02-02T05:00:00Z", cwd=filled)
    assert built.returncode == 0, built.stderr
    assert b"3 hours, 141 points into 32 windows in" in built.stderr
    assert (
        b"0 hours, 0 points"
        in sonde(
            *("rollup", "rebuild", "--missing", "--tenant", "shop", "--to", "2026-02-02T05:00:00Z"), cwd=filled
        ).stderr
    )
    assert b"3 hours built, 0 outdated, 1 missing" in sonde("rollup", "status", "--tenant", "shop", cwd=filled).stdout


def test_a_running_server_builds_by_itself_and_is_asked_for_the_status(filled: Path) -> None:
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(serving(filled, *KEPT))
        running.wait_for("/api/rollups", lambda answer: answer["rollups"][0]["built"] == 4)
        asked = sonde("rollup", "status", "--url", running.urls["query"], cwd=filled)
        assert b"default  points_number  4 hours built, 0 outdated, 0 missing" in asked.stdout
        refused = sonde("rollup", "rebuild", cwd=filled)
        assert refused.returncode == 1
        assert b"stop it to rebuild" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--from", "yesterday"], b"--from is not a time"),
        (["--from", "2026-02-02T05:00:00Z", "--to", "2026-02-02T05:00:00Z"], b"--from must be before --to"),
    ],
)
def test_times_that_make_no_sense_are_refused(tmp_path: Path, arguments: list[str], told: bytes) -> None:
    refused = sonde("rollup", "rebuild", *arguments, cwd=tmp_path)
    assert refused.returncode == 2
    assert told in refused.stderr
