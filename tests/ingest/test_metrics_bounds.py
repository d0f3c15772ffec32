"""The metrics kernels with numba's bounds checks on: no access of any of them is outside its array."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".build" / "boundschecked"
CORPUS = "mutants or payload or every_kind or portions or packed or metadata"


@pytest.mark.slow
def test_no_kernel_reads_or_writes_outside_its_arrays() -> None:
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(CACHE)}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", CORPUS]
    done = subprocess.run(
        [*command, str(HERE / "test_metrics_decode.py")],
        env=environment,
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
