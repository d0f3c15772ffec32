"""Programs under `sonde run`, and what the server they send to has of them."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from running import PATIENCE, Running, environment

HERE = Path(__file__).parent
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BLRP_SCHEDULE_DELAY": "100"}
"""Telemetry is sent while a program still runs, and what it has to say at its end is little."""


def command(server: Running, service: str, *words: str) -> list[str]:
    sonde = [sys.executable, "-m", "sonde.cli", "run", "--service", service, "--endpoint", server.urls["http"]]
    return [*sonde, *words]


def variables(**extra: str) -> dict[str, str]:
    """Without those that this process was itself started with for OpenTelemetry."""
    kept = {name: value for name, value in environment().items() if not name.startswith("OTEL_")}
    return kept | SOON | extra


def run(server: Running, service: str, *words: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """A program, run to its end."""
    return subprocess.run(
        command(server, service, *words),
        cwd=cwd,
        env=variables(**extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@contextlib.contextmanager
def started(
    server: Running, service: str, *words: str, cwd: Path, log: Path, **extra: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that goes on until SIGTERM, which it gets at the end of the block; all that it prints is in `log`."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command(server, service, *words),
            cwd=cwd,
            env=variables(**extra),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, f"it ended:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"it does not come about:\n{log.read_text()}"
        time.sleep(0.05)


def answers(url: str) -> bool:
    """Whether a server accepts connections there; its answer does not matter."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=PATIENCE) as response:
        return bytes(response.read())


def spans(server: Running, service: str, count: int = 1) -> list[dict[str, Any]]:
    """All spans of a service, once there are `count`; by start. Each has its resource's attributes as `resource`, and the name of
    its scope as `scope`."""
    return records(server, "spans", service, count)


def logs(server: Running, service: str, count: int = 1) -> list[dict[str, Any]]:
    """All log records of a service, likewise."""
    return records(server, "logs", service, count)


def records(server: Running, kind: str, service: str, count: int) -> list[dict[str, Any]]:
    found = server.wait_for(f"/api/{kind}?service={service}&limit=1000", lambda answer: len(answer[kind]) >= count)
    for record in found[kind]:
        record["resource"] = found["resources"][record["resource_id"]]["attributes"]
        record["scope"] = found["scopes"][record["scope_id"]]["name"]
    return sorted(found[kind], key=lambda record: record["time"])
