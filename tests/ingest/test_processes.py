"""Several receiver processes: one pair of ports, one spool, and what happens when one of them dies."""

from __future__ import annotations

import os
import signal as signals
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from receiving import PATIENCE, ask, segments_in, spooled_in, traces, wait_until
from sonde.ingest.addresses import CannotListen, bind, parse_address
from sonde.ingest.config import IngestConfig
from sonde.ingest.counts import total
from sonde.ingest.processes import MAX_RESTARTS, ReceiverProcesses
from sonde.ingest.receiver_process import Orders
from sonde.ingest.signals import Signal
from sonde.ingest.tally import SEEN

PROTOBUF = {"Content-Type": "application/x-protobuf"}
METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def config(path: Path, **settings: Any) -> IngestConfig:
    values: dict[str, Any] = {
        "otlp_grpc": "127.0.0.1:0",
        "otlp_http": "127.0.0.1:0",
        "receivers": 2,
        "spool": str(path),
        "spool_min_free_bytes": 0,
    }
    return IngestConfig(**{**values, **settings})


@contextmanager
def running(path: Path, **settings: Any) -> Iterator[ReceiverProcesses]:
    chosen = config(path, **settings)
    processes = ReceiverProcesses(chosen, {signal: chosen.limits() for signal in Signal})
    processes.start()
    try:
        yield processes
    finally:
        processes.stop(PATIENCE)


def post(processes: ReceiverProcesses, body: bytes) -> int:
    assert processes.http_address is not None
    address = (processes.http_address.host, processes.http_address.port)
    return ask(address, "POST", "/v1/traces", body, PROTOBUF).status


def test_orders_survive_the_way_to_the_process(tmp_path: Path) -> None:
    chosen = config(tmp_path, tokens=("acme=correct-horse",), cors_origins=("*",))
    orders = Orders(chosen, {signal: chosen.limits(77) for signal in Signal})
    assert Orders.decode(orders.encode()) == orders


def test_all_receivers_share_the_ports_and_the_spool(tmp_path: Path) -> None:
    with running(tmp_path) as processes:
        assert len(processes.process_ids) == 2
        bodies = [traces(name=f"request-{number}") for number in range(40)]
        assert [post(processes, body) for body in bodies[:20]] == [200] * 20
        for body in bodies[20:]:
            with grpc.insecure_channel(str(processes.grpc_address)) as channel:
                assert channel.unary_unary(METHOD)(body, timeout=PATIENCE) == b""
        spooled = spooled_in(tmp_path)
        assert sorted(request.body for request in spooled) == sorted(bodies)
        assert len({request.receiver for request in spooled}) == 2  # 40 connections never all end at one of them
    assert len(spooled_in(tmp_path)) == 40


def test_the_counts_of_every_receiver_are_taken(tmp_path: Path) -> None:
    """They are signed with this process's key, which came with the orders; so the writer here need not scan again."""
    with running(tmp_path) as processes:
        assert [post(processes, traces(name=f"request-{number}")) for number in range(20)] == [200] * 20
    segments = list(segments_in(tmp_path))
    assert segments
    for contents in segments:
        tally = total(Signal.TRACES, contents.frames)
        assert tally is not None
        assert tally[SEEN] == contents.tally.accepted.records


def test_a_receiver_that_is_killed_is_started_again_and_nothing_is_lost(tmp_path: Path) -> None:
    with running(tmp_path) as processes:
        assert post(processes, traces(name="before")) == 200
        killed = list(processes.process_ids)
        for process_id in killed:
            os.kill(process_id, signals.SIGKILL)
        wait_until(lambda: not set(killed) & set(processes.process_ids))
        wait_until(lambda: _serves(processes))
        assert processes.failure is None
        names = [request.body for request in spooled_in(tmp_path)]
        assert traces(name="before") in names


def _serves(processes: ReceiverProcesses) -> bool:
    try:
        return post(processes, traces(name="after")) == 200
    except OSError:
        return False


def test_receivers_that_keep_dying_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path, receivers=1) as processes:
        monkeypatch.setattr("sonde.ingest.processes.MODULE", "this_module_does_not_exist")
        monkeypatch.setattr("sonde.ingest.processes.RESTART_PAUSE_SECONDS", 0.0)
        monkeypatch.setattr("sonde.ingest.processes.RESTART_WINDOW_SECONDS", 3600.0)
        os.kill(processes.process_ids[0], signals.SIGKILL)
        wait_until(lambda: processes.failure)
        assert f"died {MAX_RESTARTS} times" in str(processes.failure)


def test_a_taken_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    with bind(parse_address("127.0.0.1:0", "x"), "x") as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port}.*set otlp_grpc to another"):
            ReceiverProcesses(config(tmp_path, otlp_grpc=f"127.0.0.1:{port}"), {})


PARENT = """
    import sys, time
    from pathlib import Path
    from sonde.ingest.config import IngestConfig
    from sonde.ingest.processes import ReceiverProcesses
    from sonde.ingest.signals import Signal

    config = IngestConfig(otlp_grpc="127.0.0.1:0", otlp_http="127.0.0.1:0", receivers=2, spool=sys.argv[1])
    processes = ReceiverProcesses(config, {signal: config.limits() for signal in Signal})
    processes.start()
    print(*processes.process_ids, flush=True)
    time.sleep(600)
"""


def test_receivers_die_with_their_parent_whatever_it_died_of(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [psutil.Process(int(text)) for text in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.kill()
        gone, alive = psutil.wait_procs(children, timeout=PATIENCE)
    assert not alive
    assert len(gone) == 2


def test_a_receiver_process_does_not_load_the_engine() -> None:
    code = "import sys, sonde.ingest.receiver_process; sys.exit(any(name.startswith('chdb') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
