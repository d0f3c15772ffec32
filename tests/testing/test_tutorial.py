"""docs/testing.md states only what runs: its programs and tests, run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
FILE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_tutorial_runs(pytester: pytest.Pytester) -> None:
    files = dict(FILE.findall(PAGE.read_text()))
    assert sum(name.startswith("test_") for name in files) == PAGE.read_text().count("```python\n# test_")
    for name, text in files.items():
        (pytester.path / name).write_text(text)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-W", "error")
    result.assert_outcomes(passed=sum(text.count("def test_") for text in files.values()))
