"""SIGKILL under load: `sonde ingest` with its embedded store, killed again and again at random moments.

Senders repeat each request until it is acknowledged, as an OTLP exporter does. In the end every record is in the store
exactly once, what the views made of them adds up, and the ledger closes.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from ports import quiet_port
from sonde.ingest.accounts import Count, Stream
from sonde.ingest.ledger import read_ledger

SEED = 20_260_101
KILLS = 20
SENDERS = 3
RECORDS = 20
PATIENCE = 600
"""Seconds that a test waits for what must come about, on a machine however busy; kernels may be compiled meanwhile."""

COUNT = """
import json, sys
from sonde.storage.store import open_store
store = open_store(sys.argv[1])
found = {}
for table, column in (("spans", "hex(span_id)"), ("logs", "body")):
    rows = store.rows(f"SELECT {column} AS id, count() AS n FROM {table} GROUP BY id")
    found[table] = {row["id"]: row["n"] for row in rows}
found["views"] = store.rows("SELECT sum(spans) AS n FROM trace_ranges")[0]["n"]
print(json.dumps(found))
"""


class Server:
    """One life after the other of `sonde ingest` on the same folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = f"chdb://{folder / 'store'}"
        self.spool = folder / "spool"
        self.port = quiet_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.log = (folder / "log").open("ab")

    def start(self) -> None:
        flags = {
            "store": self.store,
            "spool": str(self.spool),
            "otlp-grpc": "off",
            "otlp-http": f"127.0.0.1:{self.port}",
            "segment-age-seconds": "0.05",
            "stop-timeout-seconds": str(PATIENCE),
        }
        command = [sys.executable, "-m", "sonde.cli", "ingest", *(f"--{name}={value}" for name, value in flags.items())]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SONDE_")}
        self.process = subprocess.Popen(
            command, stdout=self.log, stderr=self.log, start_new_session=True, cwd=self.folder, env=environment
        )

    def kill(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, f"it had ended by itself: {self.said()}"
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(2 * PATIENCE) == 0, self.said()

    def said(self) -> str:
        return (self.folder / "log").read_text()[-3000:]


class Sender(threading.Thread):
    """Sends one request after the other, each with its own ids, and each until it is acknowledged."""

    def __init__(self, number: int, port: int, ending: threading.Event) -> None:
        super().__init__(name=f"sender-{number}", daemon=True)
        self.acknowledged: dict[str, list[str]] = {"spans": [], "logs": []}
        self.requests = 0
        self.repeated = 0
        self.refused: list[tuple[int, bytes]] = []
        self._number = number
        self._port = port
        self._ending = ending

    def run(self) -> None:
        for step in itertools.count():
            if self._ending.is_set():
                return
            ids = [(self._number << 48 | step << 16 | record).to_bytes(8, "big") for record in range(1, RECORDS + 1)]
            if step % 4:
                self._send_until_acknowledged("traces", traces(ids))
                self.acknowledged["spans"] += [each.hex().upper() for each in ids]
            else:
                self._send_until_acknowledged("logs", logs(ids))
                self.acknowledged["logs"] += [each.hex() for each in ids]
            self.requests += 1

    def _send_until_acknowledged(self, what: str, body: bytes) -> None:
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
                connection.request("POST", f"/v1/{what}", body, {"content-type": "application/x-protobuf"})
                answer = connection.getresponse()
                said = answer.read()
                connection.close()
                if answer.status == 200:
                    return
                if answer.status not in (429, 503):
                    self.refused.append((answer.status, said))
                    return
            except (OSError, http.client.HTTPException):
                self.repeated += 1
            time.sleep(0.02)


def traces(ids: list[bytes]) -> bytes:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.add(key="service.name").value.string_value = "victim"
    scope_spans = resource_spans.scope_spans.add()
    for each in ids:
        now = time.time_ns()
        scope_spans.spans.add(
            trace_id=each * 2, span_id=each, name="work", start_time_unix_nano=now, end_time_unix_nano=now + 1_000
        )
    return request.SerializeToString()


def logs(ids: list[bytes]) -> bytes:
    request = ExportLogsServiceRequest()
    scope_logs = request.resource_logs.add().scope_logs.add()
    for each in ids:
        scope_logs.log_records.add(time_unix_nano=time.time_ns()).body.string_value = each.hex()
    return request.SerializeToString()


def wait_until(condition: Callable[[], bool], server: Server) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, server.said()
        time.sleep(0.02)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    if server.process is not None and server.process.poll() is None:
        server.kill()
    server.log.close()


@pytest.mark.slow
def test_twenty_kills_lose_nothing_and_double_nothing(server: Server):
    rng = random.Random(SEED)
    ending = threading.Event()
    server.start()
    senders = [Sender(number, server.port, ending) for number in range(1, SENDERS + 1)]
    for sender in senders:
        sender.start()
    wait_until(lambda: read_ledger(server.spool).total.stored.requests > 10, server)  # kernels are compiled, once
    in_the_middle = 0
    for kill in range(KILLS):
        before = sum(sender.requests for sender in senders)
        if kill % 4 == 3:  # while it starts: recovery and claims are under way
            time.sleep(rng.uniform(0.2, 2.0))
        else:
            wait_until(lambda: sum(sender.requests for sender in senders) > before + 2 * SENDERS, server)  # noqa: B023
            time.sleep(rng.uniform(0.0, 0.4))
        server.kill()
        ledger = read_ledger(server.spool)
        assert ledger.balanced
        in_the_middle += bool(ledger.total.pending)
        server.start()
    ending.set()
    for sender in senders:
        sender.join(PATIENCE)
        assert not sender.is_alive()
    server.stop()

    assert [sender.refused for sender in senders] == [[]] * SENDERS
    requests = sum(sender.requests for sender in senders)
    acknowledged = {
        table: [each for sender in senders for each in sender.acknowledged[table]] for table in ("spans", "logs")
    }
    output = subprocess.run([sys.executable, "-c", COUNT, server.store], capture_output=True, check=True, text=True)
    found = json.loads(output.stdout)
    for table, ids in acknowledged.items():
        assert len(set(ids)) == len(ids)
        assert found[table] == dict.fromkeys(ids, 1)
    assert found["views"] == len(acknowledged["spans"])
    ledger = read_ledger(server.spool)
    assert ledger.balanced
    total = ledger.total
    assert total.stored == Count(requests, requests * RECORDS)
    assert (total.pending, total.quarantined) == (Count(), Count())
    assert total.received == total.stored + total.deduplicated
    assert set(ledger.streams) == {Stream("default", "traces"), Stream("default", "logs")}
    # That the test tests something: work was in flight at most kills, and requests were repeated.
    assert in_the_middle > KILLS / 2
    assert sum(sender.repeated for sender in senders) > KILLS
    print(f"{requests} requests, {total.deduplicated.requests} of them sent again though they had been kept")
