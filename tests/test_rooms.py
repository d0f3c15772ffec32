"""Imports between the rooms run one way: ingest -> storage <- query; testing -> these and sdk; cli -> all of them; sdk -> none."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
MAY_IMPORT = {
    "storage": {"storage"},
    "ingest": {"ingest", "storage"},
    "query": {"query", "storage"},
    "sdk": {"sdk"},
    "testing": {"testing", "ingest", "storage", "query", "sdk"},
    "cli": {"cli", "ingest", "storage", "query", "sdk"},
}
SERVER_ONLY = (
    "numpy",
    "numba",
    "chdb",
    "clickhouse_connect",
    "fastapi",
    "uvicorn",
    "pandas",
    "pyarrow",
    "orjson",
    "rich",
)


def imported_modules(source: str) -> set[str]:
    """Every absolute module name that `source` imports, in functions and under TYPE_CHECKING too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, (
                f"line {node.lineno}: say `from sonde.room import ...`; a relative import hides the room"
            )
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def rooms_of(modules: set[str]) -> set[str]:
    return {name.split(".")[1] for name in modules if name.startswith("sonde.")}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    wrong = [
        f"{path.relative_to(TOP)} imports sonde.{other}"
        for path in sorted((TOP / room).rglob("*.py"))
        for other in sorted(rooms_of(imported_modules(path.read_text())) - MAY_IMPORT[room])
    ]
    assert not wrong, f"{room} may import {sorted(MAY_IMPORT[room])} only: {wrong}"


@pytest.mark.parametrize(
    ("source", "rooms"),
    [
        ("import sonde.query.app", {"query"}),
        ("from sonde.storage import schema", {"storage"}),
        ("from sonde import ingest", {"ingest"}),
        ("def f():\n    import sonde.cli.main as m", {"cli"}),
        ("import numpy", set()),
    ],
)
def test_the_rule_sees_every_spelling_of_an_import(source: str, rooms: set[str]) -> None:
    assert rooms_of(imported_modules(source)) == rooms


def test_importing_the_sdk_loads_nothing_of_the_server() -> None:
    """An instrumented app must not pay for, nor depend on, the backend."""
    code = """
import pkgutil, sys
import sonde.sdk
for module in pkgutil.walk_packages(sonde.sdk.__path__, "sonde.sdk."):
    __import__(module.name)
print(*sys.modules)
"""
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    rooms = {name.split(".")[1] for name in loaded if name.startswith("sonde.")}
    assert rooms == {"sdk"}
    assert not [name for name in loaded if name.split(".")[0] in SERVER_ONLY]


def test_every_module_of_tests_has_a_name_of_its_own() -> None:
    """pytest imports them by name alone: the second of two would not be run."""
    names = [path.name for path in (TOP / "tests").rglob("*.py") if path.name not in ("__init__.py", "conftest.py")]
    assert sorted(names) == sorted(set(names))
