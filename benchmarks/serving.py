"""A real `sonde serve` in a process of its own, on free ports and a fresh folder, for benchmarks that look at it from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PATIENCE_SECONDS = 900.0
"""The first start on a machine compiles every kernel."""


@dataclass(frozen=True, slots=True)
class Serving:
    process: subprocess.Popen[bytes]
    grpc: str
    http: str
    query: str
    ready_seconds: float
    """From the start of the process until /readyz said yes."""

    def memory_mib(self) -> float:
        """Resident memory of the process."""
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextlib.contextmanager
def serving(environment: Mapping[str, str] | None = None, kept: Path | None = None) -> Iterator[Serving]:
    """A ready `sonde serve`; stopped in order at the end. Its data is in the folder `kept`, or in one that is removed then.

    SystemExit where it does not start.
    """
    grpc, http, query = free_address(), free_address(), free_address()
    with contextlib.ExitStack() as removed:
        folder = kept or Path(removed.enter_context(tempfile.TemporaryDirectory(prefix="sonde-serving-")))
        log = folder / "log"
        command = [
            sys.executable,
            "-m",
            "sonde.cli",
            "serve",
            "--otlp-grpc",
            grpc,
            "--otlp-http",
            http,
            "--query",
            query,
        ]
        began = time.perf_counter()
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, **(environment or {})}, stdout=output, stderr=output
            )
        try:
            while not is_ready(query):
                if process.poll() is not None or time.perf_counter() - began > PATIENCE_SECONDS:
                    raise SystemExit(f"sonde serve did not become ready:\n{log.read_text()}")
                time.sleep(0.02)
            yield Serving(process, grpc, http, query, time.perf_counter() - began)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
