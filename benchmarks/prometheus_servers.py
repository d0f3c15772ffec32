"""Prometheus and VictoriaMetrics as processes of their own, on free ports and fresh folders, where they are installed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving import free_address

PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class MetricsServer:
    name: str
    pid: int
    base: str
    """What comes before `/api/v1/query`."""
    folder: Path = Path()
    """Its data is in `data` there."""

    def cpu_seconds(self) -> float:
        """CPU time of the process and those it started."""
        tick = os.sysconf("SC_CLK_TCK")
        return sum(sum(map(int, stat[11:15])) for stat in process_tree(self.pid)) / tick

    def memory_mib(self) -> float:
        """Resident memory of the process."""
        return self._status("VmRSS")

    def forget_peak(self) -> None:
        """From now on `peak_mib` tells the most since now (proc(5), clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak_mib(self) -> float:
        """The most resident memory of the process."""
        return self._status("VmHWM")

    def _status(self, key: str) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == key:
                return int(value.split()[0]) / 1024
        raise OSError(f"process {self.pid} has no {key}: it has ended")


def process_tree(root: int) -> Iterator[list[str]]:
    """The fields of /proc/PID/stat after the name, of a process and all below it."""
    stats = {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit():
                stats[int(folder.name)] = (folder / "stat").read_text().rpartition(")")[2].split()
    wanted = {root}
    while more := {pid for pid, stat in stats.items() if int(stat[1]) in wanted} - wanted:
        wanted |= more
    for pid in wanted & stats.keys():
        # Waited-for children are in the fields of their parent.
        yield stats[pid]


@contextlib.contextmanager
def prometheus() -> Iterator[MetricsServer | None]:
    """A Prometheus that takes remote writes. None, and a sentence, where it is not installed."""
    address = free_address()
    with tempfile.TemporaryDirectory(prefix="sonde-prometheus-") as folder:
        config = Path(folder) / "prometheus.yml"
        config.write_text("")
        command = [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={address}",
            "--web.enable-remote-write-receiver",
            "--web.enable-admin-api",
            "--query.max-samples=500000000",
        ]
        with running("prometheus", command, Path(folder), f"http://{address}", "/-/ready") as server:
            yield server


@contextlib.contextmanager
def victoria_metrics() -> Iterator[MetricsServer | None]:
    """A VictoriaMetrics that answers from its data, not from its cache of results. None, and a sentence, where it is not
    installed."""
    address = free_address()
    with tempfile.TemporaryDirectory(prefix="sonde-victoria-") as folder:
        command = [
            "victoria-metrics",
            f"-storageDataPath={folder}/data",
            f"-httpListenAddr={address}",
            "-retentionPeriod=10y",
            "-search.disableCache",
            "-search.latencyOffset=0s",
        ]
        with running("victoria-metrics", command, Path(folder), f"http://{address}", "/health") as server:
            yield server


@contextlib.contextmanager
def running(name: str, command: list[str], folder: Path, base: str, ready: str) -> Iterator[MetricsServer | None]:
    if shutil.which(command[0]) is None:
        print(f"{name} is not installed, so nothing is compared with it (on Debian: apt-get install {name})")
        yield None
        return
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
    try:
        began = time.perf_counter()
        while not answers(base + ready):
            if process.poll() is not None or time.perf_counter() - began > PATIENCE_SECONDS:
                raise SystemExit(f"{name} did not become ready:\n{log.read_text()}")
            time.sleep(0.05)
        yield MetricsServer(name, process.pid, base, folder)
    finally:
        process.terminate()
        process.wait(60)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
