"""Metrics of this process, as the system counts it: from /proc on Linux, by getrusage and what Python knows elsewhere.

https://opentelemetry.io/docs/specs/semconv/system/process-metrics/
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable

from sonde.sdk.runtime.readings import Measure, Reading, alone, by

POSIX = os.name == "posix"
LINUX = sys.platform == "linux"
if POSIX:
    import resource

STAT_THREADS, STAT_START = 17, 19
"""Places in /proc/self/stat after the command: num_threads and starttime."""
BEGAN = time.monotonic()


def cpu_time() -> Iterable[Reading]:
    if not POSIX:
        times = os.times()
        return by("cpu.mode", {"user": times.user, "system": times.system})
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return by("cpu.mode", {"user": usage.ru_utime, "system": usage.ru_stime})


def context_switches() -> Iterable[Reading]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return by("process.context_switch.type", {"voluntary": usage.ru_nvcsw, "involuntary": usage.ru_nivcsw})


def page_faults() -> Iterable[Reading]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return by("system.paging.fault.type", {"major": usage.ru_majflt, "minor": usage.ru_minflt})


def memory_pages() -> tuple[int, int]:
    """Virtual and resident bytes."""
    with open("/proc/self/statm", "rb") as file:
        virtual, resident = file.read().split()[:2]
    page = os.sysconf("SC_PAGE_SIZE")
    return int(virtual) * page, int(resident) * page


def memory_virtual() -> Iterable[Reading]:
    return alone(memory_pages()[0])


def memory_usage() -> Iterable[Reading]:
    return alone(memory_pages()[1])


def stat() -> list[bytes]:
    """The fields of /proc/self/stat that come after the command, which may itself hold spaces and brackets."""
    with open("/proc/self/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()


def threads() -> Iterable[Reading]:
    return alone(int(stat()[STAT_THREADS]) if LINUX else threading.active_count())


def uptime() -> Iterable[Reading]:
    """Elsewhere than on Linux since this module was loaded, which is at the program's start."""
    if not LINUX:
        return alone(time.monotonic() - BEGAN)
    start = int(stat()[STAT_START]) / os.sysconf("SC_CLK_TCK")
    return alone(max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - start))


def file_descriptors() -> Iterable[Reading]:
    """Without the one by which they are counted."""
    return alone(len(os.listdir("/proc/self/fd" if LINUX else "/dev/fd")) - 1)


def disk_io() -> Iterable[Reading]:
    with open("/proc/self/io", encoding="ascii") as file:
        found = dict(line.strip().split(": ") for line in file)
    return by("disk.io.direction", {"read": int(found["read_bytes"]), "write": int(found["write_bytes"])})


EVERYWHERE = (
    Measure("process.cpu.time", "counter", "s", "Total CPU seconds broken down by different CPU modes.", cpu_time),
    Measure("process.thread.count", "up_down_counter", "{thread}", "Process threads count.", threads),
    Measure("process.uptime", "gauge", "s", "The time the process has been running.", uptime),
)
ON_POSIX = (
    Measure(
        "process.context_switches",
        "counter",
        "{context_switch}",
        "Number of times the process has been context switched.",
        context_switches,
    ),
    Measure("process.paging.faults", "counter", "{fault}", "Number of page faults the process has made.", page_faults),
    Measure(
        "process.unix.file_descriptor.count",
        "up_down_counter",
        "{file_descriptor}",
        "Number of UNIX file descriptors in use by the process.",
        file_descriptors,
    ),
)
ON_LINUX = (
    Measure("process.memory.usage", "up_down_counter", "By", "The amount of physical memory in use.", memory_usage),
    Measure(
        "process.memory.virtual", "up_down_counter", "By", "The amount of committed virtual memory.", memory_virtual
    ),
    Measure("process.disk.io", "counter", "By", "Disk bytes transferred.", disk_io),
)
MEASURES = EVERYWHERE + (ON_POSIX if POSIX else ()) + (ON_LINUX if LINUX else ())
