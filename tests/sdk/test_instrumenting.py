"""Programs under `sonde run` and `instrument()`, against a receiver: every process tells its own, once, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
import sonde.sdk
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from ports import quiet_port
from receiver import Receiver, receiving

NOBODY = "http://127.0.0.1:9"
"""The port of the discard service, which nobody runs."""
PATIENCE = 120.0


class Told(NamedTuple):
    """A span, and who told it."""

    name: str
    pid: int
    instance: str
    service: str


def told(receiver: Receiver) -> list[Told]:
    bodies = [body for path, body in zip(receiver.paths, list(receiver.bodies), strict=False) if path == "/v1/traces"]
    return [
        Told(
            span.name,
            found["process.pid"].int_value,
            *(found[key].string_value for key in ("service.instance.id", "service.name")),
        )
        for body in bodies
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for found in [{one.key: one.value for one in of_resource.resource.attributes}]
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def variables(url: str, more: Mapping[str, str] = {}) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SONDE_"))}
    signals = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    return kept | signals | {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "PYTHONDONTWRITEBYTECODE": "1"} | dict(more)


def run(
    *words: str, url: str, cwd: Path, sonde: tuple[str, ...] = ("--quiet",), **more: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sonde.cli", "run", *sonde, "--", *words]
    return subprocess.run(command, cwd=cwd, env=variables(url, more), capture_output=True, text=True, timeout=PATIENCE)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(text))


FAMILY = """
    import multiprocessing, os, signal, subprocess, sys, time
    from opentelemetry import trace

    def tell(name):
        with trace.get_tracer("test").start_as_current_span(name):
            pass

    if __name__ == "__main__":
        tell("parent")
        forked = os.fork()
        if forked == 0:
            tell("forked")
            sys.exit(0)
        os.waitpid(forked, 0)
        child = multiprocessing.get_context("fork").Process(target=tell, args=("multiprocessing",))
        child.start()
        child.join()
        subprocess.run([sys.executable, "-c", "import family.__main__ as f; f.tell('subprocess')"], check=True)
        tell("parent again")
        print(os.getpid(), sys.modules["sitecustomize"].__file__, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
"""


def test_every_process_of_a_family_tells_its_own_under_an_instance_of_its_own(tmp_path: Path) -> None:
    """Children by fork, multiprocessing and subprocess, beside a `sitecustomize` of the app's own; ended by SIGTERM."""
    write(tmp_path / "family" / "__main__.py", FAMILY)
    write(tmp_path / "own" / "sitecustomize.py", "import sys; sys.own_sitecustomize = True; print('mine')")
    with receiving() as receiver:
        done = run("-m", "family", url=receiver.url, cwd=tmp_path, PYTHONPATH=str(tmp_path / "own"))
        assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
        found = told(receiver)
    names = ["forked", "multiprocessing", "parent", "parent again", "subprocess"]
    assert sorted(one.name for one in found) == names
    by_name = {one.name: one for one in found}
    assert by_name["parent"][1:] == by_name["parent again"][1:]
    assert len({one.pid for one in found}) == len({one.instance for one in found}) == 4
    assert by_name["parent"].service == "family"
    assert done.stdout.startswith("mine\n")
    assert by_name["parent"].pid == int(done.stdout.splitlines()[-1].split()[0])


FORKING = """
    import os, threading
    from opentelemetry import trace

    def fork():
        with trace.get_tracer("test").start_as_current_span("fork"):
            pass
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    fork()
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    fork()
    done.set()
    thread.join()
"""


def test_a_program_that_forks_is_warned_of_its_own_threads_only(tmp_path: Path) -> None:
    """Metrics have a thread as well."""
    write(tmp_path / "till.py", FORKING)
    done = run(sys.executable, "-W", "always", "till.py", url=NOBODY, cwd=tmp_path, OTEL_METRICS_EXPORTER="otlp")
    assert done.returncode == 0
    assert done.stderr.count("is multi-threaded") == (1 if sys.version_info >= (3, 12) else 0)


ONE_LINE = """
    import logging, threading
    from concurrent.futures import ThreadPoolExecutor
    from opentelemetry import trace
    from sonde.sdk import SdkError, instrument

    def quiet(): ...
    code = quiet.__code__

    first = instrument(service="till", attributes={"team": "a"}, exit_seconds=0.2, trace="__main__")
    assert quiet.__code__ is not code
    assert instrument(service="other") is first
    assert first.resource.attributes["service.name"] == "till"
    assert first.resource.attributes["team"] == "a"
    assert "till" in first.explain()
    with trace.get_tracer("test").start_as_current_span("outer") as outer:
        inner = []
        look = lambda: inner.append(trace.get_current_span())
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(look).result()
    assert inner == [outer, outer]
    assert trace.get_current_span() is trace.INVALID_SPAN
    first.flush(0.1)
    first.shutdown()
    assert quiet.__code__ is code
    for signal, counts in first.counts().items():
        print(signal.value, counts.received, counts.sent, sum(counts.dropped.values()))
"""


def test_one_line_is_enough_and_without_a_receiver_all_is_counted_and_nothing_said(tmp_path: Path) -> None:
    """The context goes along into threads; a second call changes nothing."""
    write(tmp_path / "till.py", ONE_LINE)
    done = subprocess.run(
        [sys.executable, "till.py"],
        cwd=tmp_path,
        env=variables(NOBODY),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "traces 1 0 1\n"


@pytest.mark.parametrize(
    ("more", "sent", "says"),
    [
        ({"OTEL_SERVICE_NAME": "till"}, 1, "sonde: till; sends to http://127.0.0.1:"),
        ({"OTEL_SDK_DISABLED": "true"}, 0, "nothing is done"),
        ({"SONDE_SDK_TRACE": "shop.*"}, 1, "; traces shop.* ["),
        (
            {"SONDE_SDK_TRACE": "shop.*", "OTEL_TRACES_EXPORTER": "none"},
            0,
            "functions are not traced: spans are not sent",
        ),
    ],
)
def test_a_program_says_one_line_at_its_start(more: dict[str, str], sent: int, says: str, tmp_path: Path) -> None:
    write(tmp_path / "app.py", "from opentelemetry import trace\ntrace.get_tracer('test').start_span('a').end()\n")
    with receiving() as receiver:
        done = run(sys.executable, "app.py", url=receiver.url, cwd=tmp_path, sonde=(), **more)
        assert done.returncode == 0
        assert len(told(receiver)) == sent
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_process_with_settings_that_can_not_be_right_says_so_and_runs_on(tmp_path: Path) -> None:
    """Where nobody checked them before: a child whose parent has changed its variables."""
    command = [sys.executable, "-c", "print('runs')"]
    more = {"PYTHONPATH": str(Path(__file__).parents[2] / "sdk" / "startup"), "SONDE_SDK_NOSUCH": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=variables(NOBODY, more), capture_output=True, text=True, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout) == (0, "runs\n")
    assert done.stderr.startswith("sonde: no telemetry: the environment has SONDE_SDK_NOSUCH")


RELOADED = """
    import flask
    app = flask.Flask(__name__)

    @app.get("/")
    def index():
        return "{text}"
"""


def answer(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:
            return str(response.read().decode())
    except OSError:
        return ""


def wait_for(url: str, text: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while answer(url) != text:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_server_that_reloads_goes_on_telling(tmp_path: Path) -> None:
    write(tmp_path / "till.py", RELOADED.format(text="before"))
    port = quiet_port()
    flask = [str(Path(sys.executable).parent / "flask"), "--app", "till.py", "run", "--reload", "--port", str(port)]
    with receiving() as receiver:
        process = subprocess.Popen(
            [sys.executable, "-m", "sonde.cli", "run", "--quiet", *flask],
            cwd=tmp_path,
            env=variables(receiver.url, {"OTEL_BSP_SCHEDULE_DELAY": "50"}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_for(f"http://127.0.0.1:{port}", "before", process)
            receiver.wait_until(lambda: any(one.name == "GET /" for one in told(receiver)))
            write(tmp_path / "till.py", RELOADED.format(text="after it"))
            wait_for(f"http://127.0.0.1:{port}", "after it", process)
            receiver.wait_until(lambda: len({one.pid for one in told(receiver)}) == 2)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(PATIENCE)
        found = told(receiver)
    assert len({one.instance for one in found}) == 2
    assert {one.service for one in found} == {"till"}


def test_no_name_of_the_package_is_that_of_a_module_in_it() -> None:
    """Which of them a program gets would depend on what was imported before."""
    assert not [name for name in sonde.sdk.__all__ if find_spec(f"sonde.sdk.{name}") is not None]
