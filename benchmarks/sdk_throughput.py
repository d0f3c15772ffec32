"""Requests a second of a Flask and a FastAPI application: bare, under `sonde run`, and under other tools that are there.

    make bench BENCH=sdk_throughput ARGS="--rounds 5 --distro FOLDER --ddtrace FOLDER"

One worker, one connection that asks again and again; telemetry goes to a sonde of its own. The ways take turns, figures are
medians, ratios are to the bare application. `--distro` and `--ddtrace` are folders that `pip install --target` has put
opentelemetry-distro and ddtrace into; without them those ways are left out.
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
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchmarks.serving import free_address, serving

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
                "DD_TRACE_OTEL_ENABLED": "false",
                "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            },
        )
    return found


@contextlib.contextmanager
def running(words: list[str], more: dict[str, str], folder: str, port: int) -> Iterator[http.client.HTTPConnection]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SONDE_", "DD_"))}
    environ |= {"PATH": f"{BIN}{os.pathsep}{environ['PATH']}"} | more
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(words, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        deadline = time.monotonic() + 60
        while not answers(port):
            assert process.poll() is None, f"{words} ended"
            assert time.monotonic() < deadline, f"{words} does not answer"
            time.sleep(0.05)
        yield connection
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


def requests_a_second(connection: http.client.HTTPConnection, seconds: float) -> float:
    for _ in range(WARM_UP):
        ask(connection)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        ask(connection)
        count += 1
    return count / (time.perf_counter() - began)


def arrived(query: str, service: str) -> bool:
    """Whether the server has spans of it; they come a moment after the program's end."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"http://{query}/api/spans?service={service}&limit=1", timeout=30) as answer:
            if json.load(answer)["spans"]:
                return True
        time.sleep(0.2)
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="a round of one way")
    parser.add_argument("--distro")
    parser.add_argument("--ddtrace")
    args = parser.parse_args()
    rates: dict[str, dict[str, list[float]]] = {app: {} for app in APPS}
    with tempfile.TemporaryDirectory(prefix="sonde-apps-") as folder, serving({}) as server:
        for app, source in APPS.items():
            Path(folder, f"{app}_app.py").write_text(source)
        tools = ways(args.distro, args.ddtrace, f"http://{server.http}")
        for _ in range(args.rounds):
            for app in APPS:
                for name, (before, more) in tools.items():
                    port = int(free_address().rpartition(":")[2])
                    more = more | {"OTEL_SERVICE_NAME": name.replace(" ", "-")}
                    with running([*before, *command(app, port)], more, folder, port) as connection:
                        rates[app].setdefault(name, []).append(requests_a_second(connection, args.seconds))
        for name in tools.keys() - {"bare", "ddtrace-run"}:
            assert arrived(server.query, name.replace(" ", "-")), f"{name} traced nothing"
    medians = {app: {name: statistics.median(each) for name, each in of.items()} for app, of in rates.items()}
    report = {
        "benchmark": "sdk_throughput",
        "requests_a_second": {app: {name: round(rate) for name, rate in of.items()} for app, of in medians.items()},
        "of_bare": {
            app: {name: round(rate / of["bare"], 3) for name, rate in of.items()} for app, of in medians.items()
        },
        "python": sys.version.split()[0],
        "cpus": os.cpu_count(),
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
