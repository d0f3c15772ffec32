"""Debian's package `redis-server` as tests use it: a server of its own, on a free port, that keeps nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ports import quiet_port


def redis_program() -> str | None:
    """Its path; None where it is absent, which CI does not allow."""
    found = shutil.which("redis-server")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("redis-server is missing, and in CI it must be there")
    return found


@contextlib.contextmanager
def redis_server(program: str, folder: Path) -> Iterator[str]:
    """The URL of a redis, ended with the block. Clients try again until it listens."""
    port = quiet_port()
    flags = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    process = subprocess.Popen([program, *flags], stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()
