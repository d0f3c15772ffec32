"""No kernel reads or writes outside of its arrays, whatever it is given."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_corpus_of_broken_requests_stays_within_bounds():
    """In a process of its own, with a kernel cache of its own: bounds checking is compiled in."""
    environment = {
        **os.environ,
        "NUMBA_BOUNDSCHECK": "1",
        "NUMBA_CACHE_DIR": str(REPOSITORY / ".build" / "numba-boundscheck"),
        "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "tests" / "ingest"))),
    }
    run = subprocess.run(
        [sys.executable, str(REPOSITORY / "tests" / "ingest" / "bounds.py")],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
