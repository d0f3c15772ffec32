"""How an instrumented process becomes two, and how it ends.

A forked child is an instance of its own: it gets a new `service.instance.id`, and its metrics begin at nothing. Whatever way a
process ends in which Python still runs, what is left is sent: at exit, by SIGTERM, and at the end of a child of multiprocessing's,
which leaves by os._exit.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any

from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from sonde.sdk.meter import MeterProvider

log = logging.getLogger("sonde.sdk")

FORK_WAITS_SECONDS = 1.0
"""The longest that a fork waits for metrics that are being collected just then."""
EXPORTER_PRIORITY, BEFORE_THE_EXPORTER = 1000, 2000
"""Of multiprocessing finalizers: the higher, the earlier. The last metrics are to be collected before the exporter ends."""


FORK_WARNING = r"This process \(pid=\d+\) is multi-threaded"
FORK_SAFE_THREADS = ("sonde-", "Otel")
"""How the names of threads begin that forks are prepared for: the SDK's, and those of OpenTelemetry's."""


class MetricsThroughForks:
    """Keeps a process from forking while metrics are collected, for a child would find locks held by a thread that it does not
    have; and has the child forget what its parent had counted, which tells that itself. Instruments stay: their sums begin with
    their next measurement. All this is inside of the OpenTelemetry SDK; where that is another one, the log says so.
    """

    def __init__(self, provider: MeterProvider) -> None:
        self._provider = provider
        self._held = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child)

    def _before(self) -> None:
        self._held = self._provider._measurement_consumer._lock.acquire(timeout=FORK_WAITS_SECONDS)

    def _in_parent(self) -> None:
        if self._held:
            self._provider._measurement_consumer._lock.release()

    def _in_child(self) -> None:
        try:
            self._provider._measurement_consumer._lock = threading.Lock()
            for reader, storage in self._provider._measurement_consumer._reader_storages.items():
                storage._lock = threading.RLock()
                storage._instrument_view_instrument_matches.clear()
                if isinstance(reader, PeriodicExportingMetricReader):
                    reader._export_lock = threading.Lock()
            self._provider.forget()
        except AttributeError:
            log.warning("metrics of this forked process go on from those of its parent", exc_info=True)


def let_telemetry_fork() -> None:
    """From Python 3.12 on a process that has threads is warned when it forks. Where it has none but those that telemetry runs, it
    is not: the program has not started them, and a child does not miss them."""
    if sys.version_info >= (3, 12) and hasattr(os, "register_at_fork"):
        os.register_at_fork(before=warn_of_others)


def warn_of_others() -> None:
    """Python warns at the end of a fork: whether that is to be heard is said again before each."""
    if not has_threads_of_others():
        warnings.filterwarnings("ignore", FORK_WARNING, DeprecationWarning)
        return
    filters: Any = warnings.filters
    filters[:] = [each for each in filters if getattr(each[1], "pattern", None) != FORK_WARNING]


def has_threads_of_others() -> bool:
    """Besides the one that asks."""
    asks = threading.current_thread()
    own = sum(each is not asks and each.name.startswith(FORK_SAFE_THREADS) for each in threading.enumerate())
    try:
        found = len(os.listdir("/proc/self/task"))  # those too that libraries in C have started
    except OSError:
        found = threading.active_count()
    return found > 1 + own


def on_end(end: Callable[[], object]) -> None:
    """Calls `end` when this process ends, or one that it is forked to."""
    atexit.register(end)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: on_end_of_child(end, BEFORE_THE_EXPORTER))
    end_on_sigterm(end)


def on_end_of_child(end: Callable[[], object], priority: int) -> None:
    """Calls `end` when this child of multiprocessing's ends; to be called right after the fork. Such children leave by os._exit,
    which runs nothing of atexit. Finalizers they do run, but only those made after the child has begun, hence in two steps."""
    for name in ("multiprocessing.util", "billiard.util"):
        if name in sys.modules:
            util = sys.modules[name]
            util.register_after_fork(on_end_of_child, finalizing(util, end, priority))


def finalizing(util: Any, end: Callable[[], object], priority: int) -> Callable[[object], None]:
    def finalize(_: object) -> None:
        util.Finalize(None, end, exitpriority=priority)

    return finalize


def end_on_sigterm(end: Callable[[], object]) -> None:
    """Where nobody else handles SIGTERM; it then ends the process as it would have."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        return

    def handle(number: int, frame: FrameType | None) -> None:
        end()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, handle)
