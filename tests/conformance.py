"""Cases that other projects wrote: they lie beside the checkout in ../shared/conformance, or where SONDE_TEST_CONFORMANCE says.

A test that needs them is skipped with a reason where they are absent; in CI they have to be there.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("SONDE_TEST_CONFORMANCE") or Path(__file__).parents[1].parent / "shared" / "conformance")


def path_of(name: str) -> Path:
    """The file or folder `name` of the conformance data, for example "otlp/metrics.json"."""
    path = FOLDER / name
    if not path.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{path} is missing, and in CI it must be there")
        pytest.skip(f"{path} is not there: set SONDE_TEST_CONFORMANCE to where the conformance data is")
    return path
