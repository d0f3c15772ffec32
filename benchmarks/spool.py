"""The spool: what durability costs beside a plain write and fsync, alone and shared.

    python -m benchmarks.spool [--requests 320] [--small 8000] [--folder DIR]

Each case sends requests of 270 KB (512 spans) from a number of senders, each of which waits for its answer. `write+fsync` is the
floor: one write and one fdatasync a request, and nothing else. CPU is this process's, user and system; a virtual disk's
is noisy, so cases are interleaved and the median round is told.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sonde.ingest.segment import read_segment
from sonde.ingest.signals import Signal
from sonde.ingest.spool import SpoolWriter

REQUEST_BYTES = 270_000
ROUNDS = 5
Send = Callable[[list[bytes], int], None]
"""Sends all bodies from so many senders, and returns when all are on disk."""


@contextlib.contextmanager
def plain(folder: Path) -> Iterator[Send]:
    """Each sender writes and syncs a file of its own."""

    def send_all(bodies: list[bytes], senders: int) -> None:
        def send(number: int) -> None:
            descriptor = os.open(folder / str(number), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for body in bodies[number::senders]:
                os.write(descriptor, body)
                os.fdatasync(descriptor)
            os.close(descriptor)

        in_threads(send, senders)

    yield send_all


@contextlib.contextmanager
def plain_grouped(folder: Path) -> Iterator[Send]:
    """The floor of group commit: one file, one writev and one fdatasync for as many requests as there are senders."""
    descriptor = os.open(folder / "all", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def send_all(bodies: list[bytes], senders: int) -> None:
        for first in range(0, len(bodies), senders):
            os.writev(descriptor, bodies[first : first + senders])
            os.fdatasync(descriptor)

    yield send_all
    os.close(descriptor)


@contextlib.contextmanager
def spool_threads(folder: Path) -> Iterator[Send]:
    spool = SpoolWriter(folder)

    def send_all(bodies: list[bytes], senders: int) -> None:
        def send(number: int) -> None:
            for body in bodies[number::senders]:
                spool.append("default", Signal.TRACES, body, received_unix_nano=1, records=512).result()

        in_threads(send, senders)

    yield send_all
    spool.close()


@contextlib.contextmanager
def spool_asyncio(folder: Path) -> Iterator[Send]:
    spool = SpoolWriter(folder)
    loop = asyncio.new_event_loop()

    async def send_from_all(bodies: list[bytes], senders: int) -> None:
        async def send(number: int) -> None:
            for body in bodies[number::senders]:
                await spool.append_async("default", Signal.TRACES, body, received_unix_nano=1, records=512)

        await asyncio.gather(*(send(number) for number in range(senders)))

    yield lambda bodies, senders: loop.run_until_complete(send_from_all(bodies, senders))
    loop.close()
    spool.close()


def in_threads(work: Callable[[int], None], number: int) -> None:
    threads = [threading.Thread(target=work, args=(each,)) for each in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def check(folder: Path, requests: int) -> None:
    segments = [read_segment(path.read_bytes()) for path in (folder / "segments").iterdir()]
    assert sum(len(contents.frames) for contents in segments) == requests


CASES: dict[str, Callable[[Path], contextlib.AbstractContextManager[Send]]] = {
    "write+fsync": plain,
    "writev+fsync in groups": plain_grouped,
    "spool, threads": spool_threads,
    "spool, asyncio": spool_asyncio,
}


def measure(case: str, bodies: list[bytes], senders: int, where: str | None) -> dict[str, float]:
    folder = Path(tempfile.mkdtemp(prefix="sonde-spool-", dir=where))
    with CASES[case](folder) as send:
        send(bodies[:senders], senders)  # opens the files
        began, cpu = time.perf_counter(), time.process_time()
        send(bodies, senders)
        cpu, took = time.process_time() - cpu, time.perf_counter() - began
    if case.startswith("spool"):
        check(folder, len(bodies) + senders)
    shutil.rmtree(folder)
    size = sum(map(len, bodies))
    return {
        "mb_per_s": size / took / 1e6,
        "cpu_us_per_request": cpu / len(bodies) * 1e6,
        "requests_per_s": len(bodies) / took,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=320, help="requests of 270 KB a round")
    parser.add_argument("--small", type=int, default=8000, help="requests of 1 KB a round")
    parser.add_argument("--folder", help="where to write; by default the system's temporary folder")
    args = parser.parse_args()
    large = [os.urandom(REQUEST_BYTES)] * args.requests
    small = [os.urandom(1_000)] * args.small
    results: dict[str, Any] = {}
    for size, bodies, all_senders in (("270KB", large, (1, 16)), ("1KB", small, (64,))):
        for senders in all_senders:
            rounds: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
            for _ in range(ROUNDS):
                for case, found in rounds.items():
                    found.append(measure(case, bodies, senders, args.folder))
            for case, found in rounds.items():
                key = f"{case}, {size}, {senders} senders"
                results[key] = {name: round(statistics.median(one[name] for one in found), 1) for name in found[0]}
                print(f"{key:45s}", *(f"{value:10.1f} {name}" for name, value in results[key].items()))
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    print(json.dumps({"benchmark": "spool", "machine": machine, "results": results}))


if __name__ == "__main__":
    main()
