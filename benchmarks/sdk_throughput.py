"""Requests a second of a Flask and a FastAPI application: bare, under `sonde run`, and under other tools that are there.

    make bench BENCH=sdk_throughput ARGS="--rounds 5 --distro FOLDER --ddtrace FOLDER"

One worker, one connection that asks again and again; telemetry goes to a receiver that takes everything and does nothing with it,
and some must have come. The ways take turns, figures are medians, ratios are to the bare application; CPU time is of the
server's processes. `--distro` and `--ddtrace` are folders that `pip install --target` has put opentelemetry-distro and ddtrace
into; without them those ways are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.receiver import receiving, told
from benchmarks.serving import free_address

APPS = {
    "flask": """
import flask
app = flask.Flask(__name__)
@app.get("/thing/<name>")
def thing(name):
    return {"thing": name}
""",
    "fastapi": """
import fastapi
app = fastapi.FastAPI()
@app.get("/thing/{name}")
async def thing(name: str):
    return {"thing": name}
""",
}
BIN = Path(sys.executable).parent
WARM_UP = 200


def command(app: str, port: int) -> list[str]:
    if app == "flask":
        return [
            "gunicorn",
            "--no-control-socket",
            "-b",
            f"127.0.0.1:{port}",
            "-k",
            "gthread",
            "--log-level",
            "error",
            "flask_app:app",
        ]
    return ["uvicorn", "--port", str(port), "--no-access-log", "--log-level", "error", "fastapi_app:app"]


def ways(distro: str | None, ddtrace: str | None, url: str) -> dict[str, tuple[list[str], dict[str, str]]]:
    """By name: what stands before the program, and variables."""
    to = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": "shop",
    }
    found: dict[str, tuple[list[str], dict[str, str]]] = {
        "bare": ([], {}),
        "sonde run": ([str(BIN / "sonde"), "run", "--quiet"], to),
    }
    if distro:
        signals = {f"OTEL_{name}_EXPORTER": "otlp" for name in ("TRACES", "METRICS", "LOGS")}
        found["opentelemetry-instrument"] = (
            [str(BIN / "opentelemetry-instrument")],
            to | signals | {"PYTHONPATH": distro},
        )
    if ddtrace:
        found["ddtrace-run"] = (
            [sys.executable, f"{ddtrace}/bin/ddtrace-run"],
            to
            | {
                "PYTHONPATH": ddtrace,
                "DD_TRACE_AGENT_URL": url,
                "DD_TRACE_OTEL_ENABLED": "false",
                "DD_REMOTE_CONFIGURATION_ENABLED": "false",
                "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            },
        )
    return found


@contextlib.contextmanager
def running(
    words: list[str], more: dict[str, str], folder: str, port: int
) -> Iterator[tuple[int, http.client.HTTPConnection]]:
    """The session of its processes, and a connection to it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SONDE_", "DD_"))}
    environ |= {"PATH": f"{BIN}{os.pathsep}{environ['PATH']}"} | more
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(words, cwd=folder, env=environ, stdout=quiet, stderr=quiet, start_new_session=True)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        deadline = time.monotonic() + 60
        while not answers(port):
            assert process.poll() is None, f"{words} ended"
            assert time.monotonic() < deadline, f"{words} does not answer"
            time.sleep(0.05)
        yield process.pid, connection
    finally:
        connection.close()
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def ask(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/thing/nail")
    response = connection.getresponse()
    body = response.read()
    assert (response.status, json.loads(body)) == (200, {"thing": "nail"})


def cpu_seconds(session: int) -> float:
    """Of all processes of a session that are alive."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def served(session: int, connection: http.client.HTTPConnection, seconds: float) -> tuple[float, float]:
    """Requests a second, and CPU microseconds of the server's a request."""
    for _ in range(WARM_UP):
        ask(connection)
    cpu, began, count = cpu_seconds(session), time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        ask(connection)
        count += 1
    return count / (time.perf_counter() - began), 1e6 * (cpu_seconds(session) - cpu) / count


def medians(of: dict[str, list[tuple[float, float]]], which: int) -> dict[str, float]:
    return {name: statistics.median(each[which] for each in rounds) for name, rounds in of.items()}


def to_bare(of: dict[str, float]) -> dict[str, float]:
    return {name: round(each / of["bare"], 3) for name, each in of.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="a round of one way")
    parser.add_argument("--distro")
    parser.add_argument("--ddtrace")
    args = parser.parse_args()
    rounds: dict[str, dict[str, list[tuple[float, float]]]] = {app: {} for app in APPS}
    came: dict[str, dict[str, dict[str, int]]] = {app: {} for app in APPS}
    with tempfile.TemporaryDirectory(prefix="sonde-apps-") as folder, receiving() as url:
        for app, source in APPS.items():
            Path(folder, f"{app}_app.py").write_text(source)
        tools = ways(args.distro, args.ddtrace, url)
        for _ in range(args.rounds):
            for app in APPS:
                for name, (before, more) in tools.items():
                    port = int(free_address().rpartition(":")[2])
                    more = more | {"OTEL_SERVICE_NAME": name.replace(" ", "-")}
                    with running([*before, *command(app, port)], more, folder, port) as (session, connection):
                        rounds[app].setdefault(name, []).append(served(session, connection, args.seconds))
                    came[app][name] = told(url)
                    assert bool(came[app][name]["bytes"]) == (name != "bare"), f"{name}: {came[app][name]} came"
    rates, cpu = ({app: medians(of, which) for app, of in rounds.items()} for which in (0, 1))
    report = {
        "benchmark": "sdk_throughput",
        "requests_a_second": {app: {name: round(each) for name, each in of.items()} for app, of in rates.items()},
        "of_bare": {app: to_bare(of) for app, of in rates.items()},
        "cpu_us_a_request": {app: {name: round(each) for name, each in of.items()} for app, of in cpu.items()},
        "cpu_of_bare": {app: to_bare(of) for app, of in cpu.items()},
        "came_in_the_last_round": came,
        "python": sys.version.split()[0],
        "cpus": os.cpu_count(),
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
