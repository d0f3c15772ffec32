"""Debian's package `prometheus` as tests use it: its programs, and a server of its own for a test.

Where a program is absent the test is skipped with a reason; in CI it has to be there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ports import quiet_port

PATIENCE_SECONDS = 120


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is missing, and in CI it must be there")
        pytest.skip(f"{name} is not there: apt-get install prometheus brings it")
    return found


@dataclass(frozen=True, slots=True)
class Started:
    """A server on its way up; whether it answers, its caller has to ask."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path


@contextlib.contextmanager
def prometheus_server(folder: Path, config: str, *flags: str) -> Iterator[Started]:
    """A Prometheus with this configuration, its data in `folder`; ended with the block."""
    path = folder / "prometheus.yml"
    path.write_text(config)
    port = quiet_port()
    command = [
        program("prometheus"),
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *flags,
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        yield Started(port, process, folder / "prometheus.log")
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
