"""Kernels are never loaded from a cache that was compiled from other sources."""

import ast
from pathlib import Path

import numba
import numpy as np
import pytest
from sonde.ingest import kernel, wire

INGEST = Path(kernel.__file__).parent
KERNEL_FILES = sorted(
    path
    for path in INGEST.glob("*.py")
    if any(mark in path.read_text() for mark in ("\n@kernel\n", "\n@inline\n", "\n@part\n", "@intrinsic"))
)


@pytest.mark.parametrize("path", KERNEL_FILES, ids=lambda path: path.name)
def test_kernels_call_only_what_their_stamp_covers(path):
    """What a kernel's file takes from another file with kernels must be in FOUNDATIONS, else a stale one could be loaded."""
    taken = {
        f"{node.module.rpartition('.')[2]}.py" if node.module != "sonde.ingest" else f"{alias.name}.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("sonde.ingest")
        for alias in node.names
    }
    with_kernels = {each.name for each in KERNEL_FILES}
    assert taken & with_kernels <= set(kernel.FOUNDATIONS)


def test_foundations_exist():
    assert {name for name in kernel.FOUNDATIONS if not (INGEST / name).exists()} == set()


def test_the_stamp_tells_bounds_checking_apart(monkeypatch):
    path = str(INGEST / "wire.py")
    kernel.stamp.cache_clear()
    one = kernel.stamp(path)
    monkeypatch.setattr(numba.config, "BOUNDSCHECK", 1 if not numba.config.BOUNDSCHECK else None)
    kernel.stamp.cache_clear()
    assert kernel.stamp(path) != one
    monkeypatch.undo()
    kernel.stamp.cache_clear()


def test_numba_stores_kernels_under_the_stamp():
    """`compiled` sets an attribute that numba does not document: this fails when numba moves it."""
    assert wire.read_long_varint._cache._cache_file._source_stamp == kernel.stamp(wire.__file__)
    assert wire.read_long_varint(np.frombuffer(b"\x96\x01", np.uint8), 0, 2) == (150, 2)
