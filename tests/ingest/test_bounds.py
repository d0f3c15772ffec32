"""No kernel reads or writes outside of its arrays, whatever it is given: the kernels with numba's bounds checks compiled in.

All in one file, so that one process after another finds in one cache what those before it compiled.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
CACHE = REPOSITORY / ".build" / "boundschecked"
CHOSEN = {
    "test_metrics_decode.py": "mutants or payload or every_kind or portions or packed or metadata",
    "test_point_series.py": "mutants or two_parts or later_version or width or labels or cut_leaves",
    "test_series_file.py": "limits or grows or room or astray or known",
}


def run_with_bounds_checked(*command: str) -> None:
    environment = {
        **os.environ,
        "NUMBA_BOUNDSCHECK": "1",
        "NUMBA_CACHE_DIR": str(CACHE),
        "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(HERE))),
    }
    run = subprocess.run(
        [sys.executable, *command],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]


@pytest.mark.slow
def test_a_corpus_of_broken_requests_stays_within_bounds():
    run_with_bounds_checked(str(HERE / "bounds.py"))


@pytest.mark.slow
@pytest.mark.parametrize("file", CHOSEN)
def test_the_metrics_kernels_stay_within_bounds(file: str):
    chosen: Sequence[str] = ("-q", "-x", "-p", "no:cacheprovider", "-k", CHOSEN[file], str(HERE / file))
    run_with_bounds_checked("-m", "pytest", *chosen)
