"""Forking servers under `sonde run`: each process measures itself, one of all the host, and when it is killed another one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from apps import answers, run, started, wait_until
from ports import quiet_port
from running import Running

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="the host is measured on Linux")]

GUNICORN = str(Path(sys.executable).parent / "gunicorn")
SERVERS, WORKERS = 2, 2
APPLICATION = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"here"]
"""
OFTEN = {"OTEL_METRIC_EXPORT_INTERVAL": "500"}


class Teller(NamedTuple):
    pid: int
    instance: str


def tellers(server: Running, service: str, metric: str) -> set[Teller]:
    """The processes that have told a metric."""
    found = server.get(f"/api/series?name={metric}&service={service}&limit=1000")
    resources = (found["resources"][series["resource_id"]]["attributes"] for series in found["series"])
    return {Teller(resource["process.pid"], resource["service.instance.id"]) for resource in resources}


@contextlib.contextmanager
def gunicorn(server: Running, folder: Path, log: Path, **extra: str) -> Iterator[subprocess.Popen[bytes]]:
    """Once it answers."""
    (folder / "plain.py").write_text(APPLICATION)
    port = quiet_port()
    words = [GUNICORN, "-w", str(WORKERS), "-b", f"127.0.0.1:{port}", "plain:application"]
    with started(server, "mall", *words, cwd=folder, log=log, **OFTEN, **extra) as process:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}"), process, log)
        yield process


def test_each_process_measures_itself_and_one_of_them_the_host_until_it_is_killed(
    server: Running, tmp_path: Path
) -> None:
    """Two servers, for the one that is elected may be a supervisor, whose workers end with it."""

    def host() -> set[Teller]:
        return tellers(server, "mall", "system.cpu.time")

    with contextlib.ExitStack() as stack:
        logs = [tmp_path / f"{number}.log" for number in range(SERVERS)]
        servers = [stack.enter_context(gunicorn(server, tmp_path, log, SONDE_SDK_HOST_METRICS="true")) for log in logs]
        everybody = SERVERS * (1 + WORKERS)
        wait_until(lambda: len(tellers(server, "mall", "process.cpu.time")) == everybody, servers[0], logs[0])
        measured = tellers(server, "mall", "process.cpu.time")
        assert len({teller.pid for teller in measured}) == everybody
        assert {process.pid for process in servers} < {teller.pid for teller in measured}
        assert tellers(server, "mall", "cpython.gc.collections") == measured
        (elected,) = host()
        assert elected in measured
        os.kill(elected.pid, signal.SIGKILL)
        left = next(number for number, process in enumerate(servers) if process.pid != elected.pid)
        wait_until(lambda: len(host()) > 1, servers[left], logs[left])


ONE_LOOP = """
import asyncio, sys
from opentelemetry import metrics
from sonde.sdk import instrument

metrics.get_meter("loop").create_counter("ran").add(1)
asyncio.run(asyncio.sleep(0.6))
instrument().flush()
parts = ("interpreter", "event_loop", "host", "election")
print(*(name for name in parts if f"sonde.sdk.runtime.{name}" in sys.modules))
"""
OURS = ("process.", "cpython.", "system.", "sonde.")


@pytest.mark.parametrize(
    ("interpreter", "host", "loaded", "told"),
    [
        ("true", "false", "interpreter event_loop", {"process.cpu.time", "sonde.asyncio.eventloop.delay"}),
        ("false", "true", "host election", {"system.cpu.time"}),
        ("false", "false", "", set()),
    ],
)
def test_what_is_not_asked_for_is_not_even_loaded(
    interpreter: str, host: str, loaded: str, told: set[str], server: Running, tmp_path: Path
) -> None:
    (tmp_path / "loop.py").write_text(ONE_LOOP)
    service = f"interpreter-{interpreter}-host-{host}"
    extra = {
        "SONDE_SDK_RUNTIME_METRICS": interpreter,
        "SONDE_SDK_HOST_METRICS": host,
        # Workers of other tests that have lost their supervisor may be elected still: who sends otherwise has another election.
        "OTEL_EXPORTER_OTLP_METRICS_HEADERS": f"x-sender={service}",
    }
    done = run(server, service, sys.executable, "loop.py", cwd=tmp_path, **extra)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == loaded

    def names(answer: dict[str, Any]) -> set[str]:
        return {series["name"] for series in answer["series"]}

    path = f"/api/series?service={service}&limit=1000"
    found = names(server.wait_for(path, lambda answer: {"ran"} | told <= names(answer)))
    assert bool(told) == any(name.startswith(OURS) for name in found)
