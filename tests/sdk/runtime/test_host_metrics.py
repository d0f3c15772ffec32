"""Metrics of the host: what /proc says, by the names of the conventions, from who is elected."""

from __future__ import annotations

import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from conventions import assert_by_the_conventions
from metrics_read import Metered
from sonde.sdk.runtime.host import Host, HostMetrics, unescaped
from sonde.sdk.runtime.readings import register
from sonde.sdk.surroundings import in_container, measures_host

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is /proc that is read")

FILES = {
    "/proc/stat": "cpu  100 20 300 4000 50 6 7 80 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n",
    "/proc/loadavg": "0.50 1.25 2.75 1/95 7045\n",
    "/proc/uptime": "123.45 200.00\n",
    "/proc/meminfo": "MemTotal: 1000 kB\nMemFree: 200 kB\nMemAvailable: 700 kB\nBuffers: 50 kB\nCached: 300 kB\n"
    "SReclaimable: 50 kB\nSwapTotal: 100 kB\nSwapFree: 60 kB\nHugePages_Total: 0\n",
    "/proc/diskstats": "   7       0 loop0 9 9 9 9 9 9 9 9 9 9 9\n 254       0 vda 10 0 16 0 20 0 32 0 0 1500 0\n"
    " 254       1 vda1 10 0 16 0 20 0 32 0 0 1500 0\n 253       0 dm-0 10 0 16 0 20 0 32 0 0 1500 0\n",
    "/proc/net/dev": "Inter-|\n face |\n"
    "    lo: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n"
    "  eth0:1000 2 3 4 0 0 0 0 2000 6 7 8 0 0 0 0\n"
    "vethabc: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n",
    "/proc/self/mounts": "/dev/vda1 /mnt/very/deep ext4 rw 0 0\n/dev/vda1 /a\\040disk ext4 rw 0 0\n"
    "proc /proc proc rw 0 0\nserver:/export /a\\040disk nfs4 rw 0 0\n/dev/loop0 /snap squashfs ro 0 0\n",
}


@pytest.fixture
def made_up(tmp_path: Path) -> Host:
    for path, text in FILES.items():
        (tmp_path / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path[1:]).write_text(text)
    for name in ("loop0", "vda", "dm-0"):
        (tmp_path / "sys" / "block" / name).mkdir(parents=True)
    (tmp_path / "a disk").mkdir()
    return Host(str(tmp_path))


def told(host: Host, name: str) -> dict[Any, float]:
    """Values by those of the attributes."""
    (measure,) = (measure for measure in host.measures() if measure.name == name)
    return {tuple(attributes.values()): value for value, attributes in measure.read()}


def test_names_units_and_kinds_are_those_of_the_conventions() -> None:
    named = [measure for measure in Host().measures() if not measure.name.startswith("system.cpu.load_average")]
    assert_by_the_conventions(named, "system")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("system.cpu.load_average.1m", {(): 0.5}),
        ("system.cpu.load_average.15m", {(): 2.75}),
        ("system.uptime", {(): 123.45}),
        ("system.memory.usage", {("used",): 409600, ("free",): 204800, ("buffers",): 51200, ("cached",): 358400}),
        ("system.memory.utilization", {("used",): 0.4, ("free",): 0.2, ("buffers",): 0.05, ("cached",): 0.35}),
        ("system.memory.limit", {(): 1024000}),
        ("system.memory.linux.available", {(): 716800}),
        ("system.paging.usage", {("used",): 40960, ("free",): 61440}),
        ("system.disk.io", {("vda", "read"): 8192, ("vda", "write"): 16384}),
        ("system.disk.operations", {("vda", "read"): 10, ("vda", "write"): 20}),
        ("system.disk.io_time", {("vda",): 1.5}),
        ("system.network.io", {("eth0", "receive"): 1000, ("eth0", "transmit"): 2000}),
        ("system.network.errors", {("eth0", "receive"): 3, ("eth0", "transmit"): 7}),
        ("system.network.packet.dropped", {("eth0", "receive"): 4, ("eth0", "transmit"): 8}),
    ],
)
def test_what_proc_says_is_told(name: str, values: dict[Any, float], made_up: Host) -> None:
    """Whole disks, and interfaces that lead somewhere."""
    assert told(made_up, name) == pytest.approx(values)


def test_times_of_all_cpus_are_seconds_by_mode(made_up: Host) -> None:
    tick = os.sysconf("SC_CLK_TCK")
    ticks = {"user": 100, "nice": 20, "system": 300, "idle": 4000, "iowait": 50, "steal": 80, "interrupt": 13}
    assert told(made_up, "system.cpu.time") == {(mode,): count / tick for mode, count in ticks.items()}


def test_a_filesystem_counts_once_and_one_over_the_network_not_at_all(made_up: Host, tmp_path: Path) -> None:
    found = told(made_up, "system.filesystem.usage")
    assert {attributes[:3] for attributes in found} == {("/dev/vda1", "/a disk", "ext4")}
    stat = os.statvfs(tmp_path)
    assert sum(found.values()) == stat.f_blocks * stat.f_frsize


@pytest.mark.parametrize(
    ("path", "means"), [("/a\\040b", "/a b"), ("/plain", "/plain"), ("/\\134x", "/\\x"), ("/é\\040", "/é ")]
)
def test_paths_of_mounts_are_unescaped(path: str, means: str) -> None:
    assert unescaped(path) == means


def test_a_machine_without_swap_or_with_an_old_kernel_tells_the_rest(made_up: Host, tmp_path: Path) -> None:
    (tmp_path / "proc/meminfo").write_text("MemTotal: 1000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
    metered = Metered()
    register(metered.meter, made_up.measures())
    found = set(metered.metrics())
    assert {"system.memory.limit", "system.cpu.time"} <= found
    assert not found & {"system.memory.usage", "system.memory.linux.available", "system.paging.usage"}


def test_the_real_host_tells_all_of_it() -> None:
    metered = Metered()
    observed = HostMetrics(metered.provider, f"test {uuid.uuid4()}")
    observed.start()
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    found = metered.metrics()
    observed.stop()
    assert {"system.cpu.time", "system.memory.usage", "system.network.io", "system.cpu.load_average.1m"} <= set(found)
    (uptime,) = found["system.uptime"].data.data_points
    assert uptime.value == pytest.approx(before, abs=60)


def test_only_one_tells_and_another_one_after_it() -> None:
    destination = f"test {uuid.uuid4()}"
    one, other = Metered(), Metered()
    first, second = HostMetrics(one.provider, destination), HostMetrics(other.provider, destination)
    first.start()
    second.start()
    assert one.points("system.uptime")
    assert not other.points("system.uptime")
    assert not other.points("system.memory.usage")
    first.stop()
    assert other.points("system.uptime")
    second.stop()


def test_containers_are_known_by_what_the_resource_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sonde.sdk.surroundings.CONTAINER_FILES", ())
    assert in_container({"container.id": "0" * 64})
    assert in_container({"k8s.pod.name": "shop-1"})
    assert not in_container({"host.name": "box"})


def test_containers_are_known_by_their_engines_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sonde.sdk.surroundings.CONTAINER_FILES", (str(tmp_path / "no"), str(tmp_path)))
    assert in_container({})


@pytest.mark.parametrize(
    ("wanted", "attributes", "measures"),
    [
        ("auto", {}, True),
        ("auto", {"container.id": "0" * 64}, False),
        ("true", {"container.id": "0" * 64}, True),
        ("false", {}, False),
        (True, {"k8s.pod.name": "shop-1"}, True),
        (False, {}, False),
    ],
)
def test_a_host_is_measured_from_a_container_only_where_that_is_said(
    wanted: str | bool, attributes: dict[str, str], measures: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sonde.sdk.surroundings.CONTAINER_FILES", ())
    assert measures_host(wanted, attributes) is measures
