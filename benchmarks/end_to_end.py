"""From a sender's socket to a row that a query sees: spans a second, and what a span costs the gateway and the engine apart.

    make bench BENCH=end_to_end ARGS="--protocol http --requests 4000"

One process runs receivers, spool, writer and the embedded engine on a fresh folder; the load comes from `load.py` in a process
of its own on the same cores, each request acknowledged when it is on disk. The clock runs from the first request until the
last row can be queried. CPU time is read for each thread: the gateway is the receivers, the spool, gRPC, decoding and
encoding; the engine is the threads of ClickHouse, and the calls into it that insert.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sonde.ingest.config import IngestConfig
from sonde.ingest.service import IngestService
from sonde.storage.migrate import migrate
from sonde.storage.retention import FOR_EVER
from sonde.storage.store import Store, open_store

from benchmarks.machine import machine

TABLES = {"traces": ("spans",), "logs": ("logs",), "metrics": ("points_number",)}
GATEWAY_NATIVE = ("event_engine", "grpc", "resolver", "timer")
"""How gRPC names threads of its own; every other thread that is not Python's is the engine's."""
TICKS = os.sysconf("SC_CLK_TCK")


class Meter:
    """CPU seconds of this process, by who spent them."""

    def __init__(self, store: Store) -> None:
        self._inserting = 0.0
        self._lock = threading.Lock()
        insert_block = store.insert_block

        def metered(*arguments: Any, **options: Any) -> int:
            began = time.thread_time()
            try:
                return insert_block(*arguments, **options)
            finally:
                with self._lock:
                    self._inserting += time.thread_time() - began

        store.insert_block = metered  # type: ignore[method-assign]

    def read(self) -> dict[str, float]:
        """CPU seconds so far: the whole process, and each thread of the gateway and of this benchmark by name."""
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        seconds: dict[str, float] = {}
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(OSError):
                head, _, rest = (task / "stat").read_text().rpartition(")")
                user, system = rest.split()[11:13]
                native = head.partition("(")[2]
                name = names.get(int(task.name)) or (native if native.startswith(GATEWAY_NATIVE) else "engine")
                seconds[name] = seconds.get(name, 0.0) + (int(user) + int(system)) / TICKS
        seconds.pop("engine", None)  # its threads come and go: what is left of the whole is the engine's
        seconds["inserting"] = self._inserting
        usage = resource.getrusage(resource.RUSAGE_SELF)
        seconds["process"] = usage.ru_utime + usage.ru_stime
        return seconds

    def between(self, before: dict[str, float], after: dict[str, float]) -> dict[str, Any]:
        spent = {name: after[name] - before.get(name, 0.0) for name in after}
        process, inserting, benchmark = spent.pop("process"), spent.pop("inserting"), spent.pop("MainThread")
        gateway = sum(spent.values()) - inserting
        threads = {name: round(value, 2) for name, value in sorted(spent.items()) if value >= 0.01}
        return {"gateway": gateway, "engine": process - gateway - benchmark, "threads": threads}


def rows(store: Store, signal: str) -> int:
    return sum(int(store.select(f"SELECT count() AS n FROM {table}")["n"][0]) for table in TABLES[signal])


def wait_for(store: Store, signal: str, wanted: int, patience_seconds: float) -> None:
    deadline = time.monotonic() + patience_seconds
    while (stored := rows(store, signal)) < wanted:
        if time.monotonic() > deadline:
            raise SystemExit(f"only {stored} of {wanted} records can be queried after {patience_seconds:g} s")
        time.sleep(0.02)


@contextlib.contextmanager
def load(arguments: argparse.Namespace, address: str) -> Iterator[subprocess.Popen[str]]:
    """The load process, its requests made, waiting for a line."""
    command = [sys.executable, str(Path(__file__).with_name("load.py")), "--wait", "--address", address]
    for name in ("protocol", "signal", "requests", "in_flight", "connections", "rate", "distinct"):
        command += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit("the load process did not start; see above")
        yield process


def measure(arguments: argparse.Namespace, store: Store, service: IngestService, folder: Path) -> dict[str, Any]:
    meter = Meter(store)
    address = service.http_address if arguments.protocol == "http" else service.grpc_address
    with load(arguments, str(address)) as sender:
        assert sender.stdin is not None
        assert sender.stdout is not None
        before, start = meter.read(), time.perf_counter()
        sender.stdin.write("go\n")
        sender.stdin.flush()
        said = sender.stdout.readline()
        if not said:
            raise SystemExit("the load process failed; see above")
        sent = json.loads(said)
        wait_for(store, arguments.signal, sent["records"], patience_seconds=120.0)
        seconds = time.perf_counter() - start
        spent = meter.between(before, meter.read())
    if not (ledger := service.ledger()).balanced:
        raise SystemExit(f"the ledger's sums do not close: {ledger.as_dict()}")
    count = sent["records"]
    return {
        "records_per_second": round(count / seconds),
        "acknowledged_per_second": sent["records_per_second"],
        "gateway_us_per_record": round(spent["gateway"] / count * 1e6, 3),
        "engine_us_per_record": round(spent["engine"] / count * 1e6, 3),
        "load_us_per_record": round(sent["client_cpu_seconds"] / count * 1e6, 3),
        "seconds": round(seconds, 2),
        "cpu_seconds_by_thread": spent["threads"],
        "sent": sent,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "store_bytes_per_record": round(bytes_in(folder / "store") / count, 1),
    }


def bytes_in(folder: Path) -> int:
    """Of all files below `folder`; the engine may remove some meanwhile."""
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            status = file.lstat()
            total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", choices=("grpc", "http"), default="grpc")
    parser.add_argument("--signal", choices=sorted(TABLES), default="traces")
    parser.add_argument("--requests", type=int, default=4_000, help="requests of 512 records")
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--connections", type=int, default=1, help="gRPC connections")
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second; 0: as many as are acknowledged")
    parser.add_argument("--distinct", type=int, default=32)
    parser.add_argument("--warm-up", type=int, default=200, help="requests before the clock starts")
    parser.add_argument("--receivers", type=int, default=1, help="receiver processes; their CPU is then not counted")
    parser.add_argument("--folder", help="where to put the data (default: a temporary folder, removed afterwards)")
    return parser.parse_args()


def run(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    store = open_store(f"chdb://{folder / 'store'}")
    migrate(store, retention=FOR_EVER)
    config = IngestConfig(
        otlp_grpc="127.0.0.1:0", otlp_http="127.0.0.1:0", spool=str(folder / "spool"), receivers=arguments.receivers
    )
    service = IngestService(config, store, retention=FOR_EVER)
    service.start()
    try:
        if arguments.warm_up:
            warm = argparse.Namespace(**{**vars(arguments), "requests": arguments.warm_up})
            measure(warm, store, service, folder)
            store.command(f"TRUNCATE TABLE {TABLES[arguments.signal][0]}")
        return measure(arguments, store, service, folder)
    finally:
        service.stop()
        store.close()


def main() -> None:
    arguments = parse_arguments()
    folder = Path(arguments.folder or tempfile.mkdtemp(prefix="sonde-end-to-end-"))
    try:
        result = run(arguments, folder)
    finally:
        if not arguments.folder:
            shutil.rmtree(folder, ignore_errors=True)
    report = {
        "benchmark": "end_to_end",
        "protocol": arguments.protocol,
        "signal": arguments.signal,
        **result,
        **machine(),
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
