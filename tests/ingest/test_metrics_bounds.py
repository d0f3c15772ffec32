"""The metrics kernels with numba's bounds checks on: no access of any of them is outside its array."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".build" / "boundschecked"
CORPUS = {
    "test_metrics_decode.py": "mutants or payload or every_kind or portions or packed or metadata",
    "test_point_series.py": "mutants or two_parts or later_version or width or labels or cut_leaves",
    "test_series_file.py": "limits or grows or room or astray or known",
}


@pytest.mark.slow
@pytest.mark.parametrize("file", CORPUS)
def test_no_kernel_reads_or_writes_outside_its_arrays(file: str) -> None:
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(CACHE)}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", CORPUS[file]]
    done = subprocess.run(
        [*command, str(HERE / file)],
        env=environment,
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
