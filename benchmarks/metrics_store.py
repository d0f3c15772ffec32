"""Metrics by remote write into sonde, Prometheus and VictoriaMetrics: speed until they can be queried, memory, bytes on disk.

    make bench BENCH=metrics_store ARGS="--series 2000 --hours 24 --every 15"

Each kind of series (`scrapes.py`) goes into a fresh server of each, scrape after scrape, as fast as the servers acknowledge.
`queryable` counts until every series' newest sample is found by a query, `lag` the seconds of it after the last
acknowledgement; then all samples are counted. `cpu us` is CPU time of the server a sample, `peak` its most resident memory
meanwhile. `disk` is bytes a sample after everything was merged, `points` what of it are samples: of sonde its tables after
OPTIMIZE, of Prometheus the snapshot that its API makes, in which all samples are in blocks, of VictoriaMetrics its folders
`data` and `indexdb` after a forced merge. `unmerged` is the whole folder as it was before, with write-ahead log or spool.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

from sonde.storage.store import open_store

from benchmarks import scrapes
from benchmarks.end_to_end import bytes_in
from benchmarks.machine import machine
from benchmarks.prometheus_servers import MetricsServer, prometheus, victoria_metrics
from benchmarks.promql import Client
from benchmarks.scrapes import Scraped
from benchmarks.serving import serving

HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
POLL_SECONDS = 0.25
PATIENCE_SECONDS = 900.0
AHEAD = 64
"""Requests that are made before they are sent."""


@contextlib.contextmanager
def sonde(folder: Path) -> Iterator[tuple[MetricsServer, str]]:
    """sonde with its data in that folder, and where it takes remote writes."""
    with serving(kept=folder) as served:
        server = MetricsServer("sonde", served.process.pid, f"http://{served.query}/prometheus", folder)
        yield server, f"http://{served.http}/prometheus"


@contextlib.contextmanager
def other(start: Any) -> Iterator[tuple[MetricsServer, str] | None]:
    with start() as server:
        yield None if server is None else (server, server.base)


def send(base: str, name: str, scraped: Scraped, connections: int) -> int:
    """Everything, each series by one connection and in the order of time. Returns the number of samples."""
    sent: list[int] = []
    failed: list[BaseException] = []

    def one(place: int) -> None:
        try:
            sent.append(send_part(Client(MetricsServer(name, 0, base)), scraped.part(place, connections)))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(place,)) for place in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return sum(sent)


def send_part(client: Client, scraped: Scraped) -> int:
    """Requests are made in another thread: compressing lets go of the interpreter."""
    ahead: Queue[tuple[bytes, int] | None] = Queue(AHEAD)

    def make() -> None:
        for each in scrapes.writes(scraped):
            ahead.put(each)
        ahead.put(None)

    maker = threading.Thread(target=make, daemon=True)
    maker.start()
    count = 0
    while (each := ahead.get()) is not None:
        client.request("POST", "/api/v1/write", each[0], **HEADERS)
        count += each[1]
    return count


def value_of(client: Client, query: str, at: float) -> float:
    answer = client.ask("/api/v1/query?" + urllib.parse.urlencode({"query": query, "time": at}))
    return sum(value for row in answer.values() for value in row.values())


def wait_until_queryable(client: Client, scraped: Scraped, end: int, every: int) -> None:
    """Until the newest sample of every series is found."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    for name, series in scraped.names().items():
        while value_of(client, f"count(timestamp({name}) > {end - every})", end) < series:
            if time.monotonic() > deadline:
                raise SystemExit(f"{client.server.name} does not find the newest samples of {name}")
            time.sleep(POLL_SECONDS)


def check_all(client: Client, scraped: Scraped, end: int, span: int) -> None:
    """Every sample is there, counted hour by hour."""
    for name, series in scraped.names().items():
        hours = range(0, span + 3600, 3600)
        found = sum(value_of(client, f"sum(count_over_time({name}[1h]))", end - hour) for hour in hours)
        expected = series * scraped.values.shape[1]
        if found != expected:
            raise SystemExit(f"{client.server.name} has {found:.0f} of {expected} samples of {name}")


def measure(
    server: MetricsServer, base: str, scraped: Scraped, end: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Speed, CPU and memory."""
    client = Client(server)
    server.forget_peak()
    cpu, began = server.cpu_seconds(), time.perf_counter()
    samples = send(base, server.name, scraped, options.connections)
    acknowledged = time.perf_counter() - began
    wait_until_queryable(client, scraped, end, options.every)
    queryable = time.perf_counter() - began
    cpu = server.cpu_seconds() - cpu
    found = {
        "samples": samples,
        "acknowledged_per_second": round(samples / acknowledged),
        "queryable_per_second": round(samples / queryable),
        "lag_seconds": round(queryable - acknowledged, 2),
        "cpu_us_per_sample": round(cpu / samples * 1e6, 3),
        "peak_mib": round(server.peak_mib()),
    }
    check_all(client, scraped, end, round(options.hours * 3600))
    return found | {"unmerged_bytes_per_sample": round(bytes_in(server.folder / "data") / samples, 3)}


def disk_of_prometheus(server: MetricsServer) -> dict[str, int]:
    answer = Client(server).request("POST", "/api/v1/admin/tsdb/snapshot")
    snapshot = server.folder / "data" / "snapshots" / json.loads(answer)["data"]["name"]
    chunks = sum(bytes_in(block / "chunks") for block in snapshot.iterdir())
    return {"disk": bytes_in(snapshot), "points": chunks}


def disk_of_victoria_metrics(server: MetricsServer) -> dict[str, int]:
    client = Client(server)
    client.request("GET", "/internal/force_flush")
    client.request("GET", "/internal/force_merge")
    data, indexes = server.folder / "data" / "data", server.folder / "data" / "indexdb"
    before = -1
    while (now := bytes_in(data)) != before or merging(client):
        before = now
        time.sleep(2)
    return {"disk": now + bytes_in(indexes), "points": now}


def merging(client: Client) -> bool:
    """Whether VictoriaMetrics says that a merge is on its way."""
    lines = client.request("GET", "/metrics").decode().splitlines()
    active = [line for line in lines if line.startswith(("vm_active_merges", "vm_active_force_merges"))]
    return any(float(line.rpartition(" ")[2]) for line in active)


def disk_of_sonde(folder: Path) -> dict[str, int]:
    """In a process of its own: the engine opens one path in each."""
    command = [sys.executable, "-m", "benchmarks.metrics_store", "--merged", str(folder / "data" / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the store could not be looked at:\n{done.stderr}")
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def merged(path: str) -> dict[str, int]:
    """Bytes of sonde's tables, every one merged."""
    with open_store(f"chdb://{path}") as store:
        sql = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
        for row in store.rows(sql):
            store.command(f"OPTIMIZE TABLE `{row['name']}` FINAL")
        parts = """
            SELECT table, sum(bytes_on_disk) AS bytes FROM system.parts
            WHERE active AND database = currentDatabase()
            GROUP BY table
        """
        bytes_of = {row["table"]: int(row["bytes"]) for row in store.rows(parts)}
    summaries = ("_5m", "_1h")
    points = sum(
        size for table, size in bytes_of.items() if table.startswith("points_") and not table.endswith(summaries)
    )
    return {"disk": sum(bytes_of.values()), "points": points} | {
        f"table {name}": size for name, size in bytes_of.items()
    }


def of_kind(kind: str, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What each server makes of a kind of series, by the server's name."""
    end = int(time.time()) // 60 * 60
    samples = round(options.hours * 3600) // options.every
    scraped = scrapes.make(kind, options.series, samples, options.every, end * 1000, seed=1)
    found = {}
    with tempfile.TemporaryDirectory(prefix="sonde-metrics-") as name:
        with sonde(Path(name)) as (server, base):
            ours = measure(server, base, scraped, end, options)
        found["sonde"] = ours | by_sample(disk_of_sonde(Path(name)), ours["samples"])
    print(row_of(kind, "sonde", found["sonde"]), flush=True)
    for start, disk in ((prometheus, disk_of_prometheus), (victoria_metrics, disk_of_victoria_metrics)):
        with other(start) as running:
            if running is None:
                continue
            server, base = running
            theirs = measure(server, base, scraped, end, options)
            found[server.name] = theirs | by_sample(disk(server), theirs["samples"])
        print(row_of(kind, server.name, found[server.name]), flush=True)
    return found


def by_sample(sizes: dict[str, int], samples: int) -> dict[str, float]:
    return {f"{name}_bytes_per_sample": round(size / samples, 4) for name, size in sizes.items()}


COLUMNS = {
    "acknowledged/s": "acknowledged_per_second",
    "queryable/s": "queryable_per_second",
    "lag": "lag_seconds",
    "cpu us": "cpu_us_per_sample",
    "peak MiB": "peak_mib",
    "disk": "disk_bytes_per_sample",
    "points": "points_bytes_per_sample",
    "unmerged": "unmerged_bytes_per_sample",
}


def row_of(kind: str, server: str, found: dict[str, Any]) -> str:
    cells = [f"{found[key]:>{width(title)}{',' if title.endswith('/s') else ''}}" for title, key in COLUMNS.items()]
    return f"{kind:12} {server:18}{''.join(cells)}"


def width(title: str) -> int:
    return max(len(title), 8) + 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=2_000)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--every", type=int, default=15, help="seconds between the samples of a series")
    parser.add_argument("--connections", type=int, default=2, help="senders at once; a series always goes by the same")
    parser.add_argument("--kinds", nargs="*", choices=scrapes.KINDS, default=list(scrapes.KINDS))
    parser.add_argument("--merged", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.merged:
        print(json.dumps(merged(options.merged)))
        return
    print(f"{'':12} {'':18}{''.join(title.rjust(width(title)) for title in COLUMNS)}", flush=True)
    cases = {kind: of_kind(kind, options) for kind in options.kinds}
    asked = {name: getattr(options, name) for name in ("series", "hours", "every", "connections")}
    print(json.dumps({"benchmark": "metrics_store", **machine(), **asked, "cases": cases}))


if __name__ == "__main__":
    main()
