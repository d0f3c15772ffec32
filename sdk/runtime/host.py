"""Metrics of the host, told by one of its processes: from /proc, on Linux.

In a container /proc/stat, /proc/meminfo and /proc/diskstats tell of the whole host, /proc/net/dev of the container alone.
https://opentelemetry.io/docs/specs/semconv/system/system-metrics/
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator

from opentelemetry.metrics import MeterProvider
from sonde.sdk.runtime.election import Election
from sonde.sdk.runtime.readings import Measure, Reading, alone, by, register

SCOPE = "sonde.sdk.host_metrics"
CPU_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
SECTOR_BYTES = 512
"""Of /proc/diskstats, whatever the disk's own are."""
MADE_OF_OTHERS = ("loop", "ram", "zram", "dm-", "md", "sr", "fd")
"""Disks that lie on others, or are none: what they do is counted there."""
CONTAINERS_ENDS = ("lo", "veth", "cali", "lxc", "cni", "flannel", "ifb", "dummy")
"""Interfaces of the host's that lead nowhere but to itself and its containers: there may be hundreds."""
READ_ONLY_IMAGES = ("squashfs", "iso9660")


class HostMetrics:
    """Observes the host from the first collection that finds this process elected."""

    def __init__(self, provider: MeterProvider, destination: str, version: str | None = None) -> None:
        """`destination` is where metrics go: those who send elsewhere elect one of their own."""
        self._election = Election(f"host metrics to {destination}")
        self._meter = provider.get_meter(SCOPE, version)

    def start(self) -> None:
        register(self._meter, (self._if_elected(measure) for measure in Host().measures()))

    def _if_elected(self, measure: Measure) -> Measure:
        return measure._replace(read=lambda: measure.read() if self._election.elected() else ())

    def stop(self) -> None:
        """A process that ends stands no more: programs that run for a moment would else take turns."""
        self._election.leave()


class Host:
    """`root` is the folder that has its /proc and /sys."""

    def __init__(self, root: str = "") -> None:
        self._root = root

    def _lines(self, path: str) -> list[str]:
        with open(self._root + path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()

    def cpu_time(self) -> Iterable[Reading]:
        """All CPUs together."""
        ticks = (int(field) for field in self._lines("/proc/stat")[0].split()[1:])
        found = dict(zip(CPU_MODES, (tick / os.sysconf("SC_CLK_TCK") for tick in ticks), strict=False))
        found["interrupt"] = found.pop("irq") + found.pop("softirq")
        return by("cpu.mode", found)

    def load_average(self, place: int) -> Iterable[Reading]:
        return alone(float(self._lines("/proc/loadavg")[0].split()[place]))

    def uptime(self) -> Iterable[Reading]:
        return alone(float(self._lines("/proc/uptime")[0].split()[0]))

    def _memory(self) -> dict[str, int]:
        """/proc/meminfo, in bytes."""
        fields = (line.split() for line in self._lines("/proc/meminfo"))
        return {name.rstrip(":"): int(number) * (1024 if unit else 1) for name, number, *unit in fields}

    def _memory_states(self) -> dict[str, int]:
        """They add up to all there is. What the kernel can take back from its caches counts as cached."""
        memory = self._memory()
        found = {
            "free": memory["MemFree"],
            "buffers": memory["Buffers"],
            "cached": memory["Cached"] + memory["SReclaimable"],
        }
        return {"used": max(0, memory["MemTotal"] - sum(found.values())), **found}

    def memory_usage(self) -> Iterable[Reading]:
        return by("system.memory.state", self._memory_states())

    def memory_utilization(self) -> Iterable[Reading]:
        states = self._memory_states()
        total = sum(states.values())
        return by("system.memory.state", {state: size / total for state, size in states.items()})

    def memory_limit(self) -> Iterable[Reading]:
        return alone(self._memory()["MemTotal"])

    def memory_available(self) -> Iterable[Reading]:
        return alone(self._memory()["MemAvailable"])

    def swap_usage(self) -> Iterable[Reading]:
        """Nothing where there is no swap."""
        memory = self._memory()
        total, free = memory["SwapTotal"], memory["SwapFree"]
        return by("system.paging.state", {"used": total - free, "free": free}) if total else ()

    def _disks(self) -> Iterator[tuple[str, list[int]]]:
        """Whole disks, with the numbers of /proc/diskstats that come after the name."""
        whole = {name for name in os.listdir(f"{self._root}/sys/block") if not name.startswith(MADE_OF_OTHERS)}
        for line in self._lines("/proc/diskstats"):
            _, _, name, *numbers = line.split()
            if name in whole:
                yield name, [int(number) for number in numbers]

    def _by_disk(self, read: int, written: int, times: int = 1) -> Iterable[Reading]:
        for name, numbers in self._disks():
            for direction, place in (("read", read), ("write", written)):
                yield numbers[place] * times, {"system.device": name, "disk.io.direction": direction}

    def disk_io(self) -> Iterable[Reading]:
        return self._by_disk(2, 6, SECTOR_BYTES)

    def disk_operations(self) -> Iterable[Reading]:
        return self._by_disk(0, 4)

    def disk_io_time(self) -> Iterable[Reading]:
        return [(numbers[9] / 1000, {"system.device": name}) for name, numbers in self._disks()]

    def _by_interface(self, received: int, transmitted: int) -> Iterable[Reading]:
        for line in self._lines("/proc/net/dev")[2:]:
            name, _, numbers = line.partition(":")
            if name.strip().startswith(CONTAINERS_ENDS):
                continue
            for direction, place in (("receive", received), ("transmit", transmitted)):
                attributes = {"network.interface.name": name.strip(), "network.io.direction": direction}
                yield int(numbers.split()[place]), attributes

    def network_io(self) -> Iterable[Reading]:
        return self._by_interface(0, 8)

    def network_errors(self) -> Iterable[Reading]:
        return self._by_interface(2, 10)

    def network_dropped(self) -> Iterable[Reading]:
        return self._by_interface(3, 11)

    def _filesystems(self) -> dict[str, tuple[str, str]]:
        """Where each local device is mounted, and with which filesystem. One that is mounted more than once counts once, where its
        path is the shortest. A mount over the network is left out: it could keep who asks waiting for ever."""
        found: dict[str, tuple[str, str]] = {}
        for line in self._lines("/proc/self/mounts"):
            device, at, kind = line.split()[:3]
            if device.startswith("/dev/") and kind not in READ_ONLY_IMAGES:
                found[device] = min(found.get(device, (at, kind)), (at, kind), key=lambda one: len(one[0]))
        return found

    def filesystem_usage(self) -> Iterable[Reading]:
        for device, (at, kind) in self._filesystems().items():
            try:
                told = os.statvfs(self._root + unescaped(at))
            except OSError:  # it is another user's
                continue
            attributes = {
                "system.device": device,
                "system.filesystem.mountpoint": unescaped(at),
                "system.filesystem.type": kind,
            }
            blocks = {
                "used": told.f_blocks - told.f_bfree,
                "free": told.f_bavail,
                "reserved": told.f_bfree - told.f_bavail,
            }
            for state, count in blocks.items():
                yield count * told.f_frsize, {**attributes, "system.filesystem.state": state}

    def measures(self) -> tuple[Measure, ...]:
        return (
            Measure("system.cpu.time", "counter", "s", "Seconds each logical CPU spent on each mode.", self.cpu_time),
            Measure(
                "system.cpu.logical.count",
                "up_down_counter",
                "{cpu}",
                "Reports the number of logical (virtual) processor cores created by the operating system to manage multitasking.",
                lambda: alone(os.cpu_count() or 1),
            ),
            load(1, lambda: self.load_average(0)),
            load(5, lambda: self.load_average(1)),
            load(15, lambda: self.load_average(2)),
            Measure("system.uptime", "gauge", "s", "The time the system has been running.", self.uptime),
            Measure(
                "system.memory.usage", "up_down_counter", "By", "Reports memory in use by state.", self.memory_usage
            ),
            Measure(
                "system.memory.utilization", "gauge", "1", "Percentage of memory bytes in use.", self.memory_utilization
            ),
            Measure(
                "system.memory.limit",
                "up_down_counter",
                "By",
                "Total virtual memory available in the system.",
                self.memory_limit,
            ),
            Measure(
                "system.memory.linux.available",
                "up_down_counter",
                "By",
                "An estimate of how much memory is available for starting new applications, without causing swapping.",
                self.memory_available,
            ),
            Measure(
                "system.paging.usage", "up_down_counter", "By", "UNIX swap or windows pagefile usage.", self.swap_usage
            ),
            Measure("system.disk.io", "counter", "By", "Disk bytes transferred.", self.disk_io),
            Measure("system.disk.operations", "counter", "{operation}", "Disk operations count.", self.disk_operations),
            Measure("system.disk.io_time", "counter", "s", "Time disk spent activated.", self.disk_io_time),
            Measure(
                "system.network.io", "counter", "By", "The number of bytes transmitted and received.", self.network_io
            ),
            Measure(
                "system.network.errors", "counter", "{error}", "Count of network errors detected.", self.network_errors
            ),
            Measure(
                "system.network.packet.dropped",
                "counter",
                "{packet}",
                "Count of packets that are dropped or discarded even though there was no error.",
                self.network_dropped,
            ),
            Measure(
                "system.filesystem.usage",
                "up_down_counter",
                "By",
                "Reports a filesystem's space usage across different states.",
                self.filesystem_usage,
            ),
        )


def load(minutes: int, read: Callable[[], Iterable[Reading]]) -> Measure:
    """As the Collector's hostmetrics receiver names it: the conventions have no name."""
    return Measure(
        f"system.cpu.load_average.{minutes}m",
        "gauge",
        "{thread}",
        f"Average CPU Load over {minutes} minute{'s' if minutes > 1 else ''}.",
        read,
    )


def unescaped(path: str) -> str:
    """A path of /proc/self/mounts, where a space is \\040."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)
