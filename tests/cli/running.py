"""The real command as a process, for the tests: `sonde serve` on ports of its own choosing, and `sonde ...` run to its end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

PATIENCE = 600.0
"""Seconds that a test waits for what must come about, on a machine however busy; kernels may be compiled first."""
ANNOUNCED = {
    "grpc": re.compile(r"OTLP/gRPC to +(http://\S+)"),
    "http": re.compile(r"OTLP/HTTP to +(http://\S+)"),
    "query": re.compile(r"look at +(http://\S+)"),
}


def environment(extra: Mapping[str, str] = {}) -> dict[str, str]:
    """This process's environment without settings of sonde's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SONDE_")}
    return kept | {"PYTHONUNBUFFERED": "1"} | dict(extra)


def sonde(
    *argv: str, cwd: Path, stdin: bytes = b"", timeout: float = PATIENCE, **extra: str
) -> subprocess.CompletedProcess[bytes]:
    """Runs `sonde` to its end."""
    command = [sys.executable, "-m", "sonde.cli", *argv]
    return subprocess.run(command, cwd=cwd, env=environment(extra), input=stdin, capture_output=True, timeout=timeout)


@dataclass
class Running:
    """A running `sonde serve`, with what it has printed so far."""

    process: subprocess.Popen[str]
    folder: Path
    lines: list[str] = field(default_factory=list)
    urls: dict[str, str] = field(default_factory=dict)

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def listen(self) -> None:
        """Collects what the process prints; runs in a thread."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            for name, pattern in ANNOUNCED.items():
                if found := pattern.search(line):
                    self.urls[name] = found[1]

    def get(self, path: str) -> Any:
        """The JSON that the query API answers."""
        with urllib.request.urlopen(self.urls["query"] + path, timeout=PATIENCE) as response:
            return json.load(response)

    def post(self, path: str, body: bytes, kind: str = "application/json") -> tuple[int, bytes]:
        """Status and body of a POST to OTLP/HTTP."""
        request = urllib.request.Request(self.urls["http"] + path, body, {"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return response.status, response.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()

    def wait_for(self, path: str, enough: Any, seconds: float = PATIENCE) -> Any:
        """The first answer of `path` that is `enough`; the test fails where none comes in time."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.get(path)
            if enough(answer):
                return answer
            assert time.monotonic() < deadline, f"{path} still answers {answer}\n{self.output}"
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGINT, seconds: float = PATIENCE) -> int:
        """Sends the signal and returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


@contextlib.contextmanager
def serving(folder: Path, *flags: str, command: str = "serve", **extra: str) -> Iterator[Running]:
    """`sonde serve` in `folder`, once it can answer. Killed at the end, if it still runs."""
    ports = {
        "serve": ("--otlp-grpc", "--otlp-http", "--query"),
        "ingest": ("--otlp-grpc", "--otlp-http"),
        "query": ("--query",),
    }
    argv = [sys.executable, "-m", "sonde.cli", command]
    for flag in ports[command]:
        argv += [flag, "127.0.0.1:0"]
    process = subprocess.Popen(
        [*argv, *flags], cwd=folder, env=environment(extra), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    running = Running(process, folder)
    reader = threading.Thread(target=running.listen)
    reader.start()
    try:
        wait_until_started(running)
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()
        assert process.stderr is not None
        process.stderr.close()


def wait_until_started(running: Running) -> None:
    deadline = time.monotonic() + PATIENCE
    while "Ctrl-C stops it" not in running.output:
        assert running.process.poll() is None, f"it ended while starting:\n{running.output}"
        assert time.monotonic() < deadline, f"it does not start:\n{running.output}"
        time.sleep(0.05)
    with contextlib.suppress(URLError, KeyError):
        running.get("/readyz")
