"""Several receiver processes on the same two ports and one spool folder: how one machine uses all its cores.

The kernel deals connections out among the processes (SO_REUSEPORT). This process holds the ports with sockets that do not
listen, so that nobody else gets them while a receiver is started again; it runs none of the receivers itself.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from sonde.ingest import series_limits
from sonde.ingest.addresses import Address, CannotListen, bind
from sonde.ingest.config import IngestConfig
from sonde.ingest.door import warm_scan
from sonde.ingest.limits import Limits
from sonde.ingest.receiver_process import READY, Orders
from sonde.ingest.signals import Signal

MODULE = "sonde.ingest.receiver_process"
MAX_RESTARTS = 5
RESTART_WINDOW_SECONDS = 60.0
RESTART_PAUSE_SECONDS = 0.5
_log = logging.getLogger(__name__)


class ReceiverProcesses:
    """Same life as `Receivers`: `start` returns once all listen, `stop` once all have ended.

    A receiver that dies is started again, at most MAX_RESTARTS times a minute over all; then `failure` says so.
    """

    def __init__(self, config: IngestConfig, limits: Mapping[Signal, Limits]) -> None:
        self.failure: str | None = None
        self._config = config
        self._limits = limits
        self._held: list[socket.socket] = []
        self._children: list[subprocess.Popen[str]] = []
        self._watchers: list[threading.Thread] = []
        self._restarts: deque[float] = deque(maxlen=MAX_RESTARTS)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.http_address = self._hold(config.http_address, "otlp_http")
        self.grpc_address = self._hold(config.grpc_address, "otlp_grpc")
        self._orders = Orders(self._share_of_one(), limits)

    def _hold(self, address: Address | None, setting: str) -> Address | None:
        if address is None:
            return None
        try:
            sock = bind(address, setting, shared=True)
        except CannotListen:
            self._let_go()
            raise
        self._held.append(sock)
        return Address(address.host, sock.getsockname()[1])

    def _let_go(self) -> None:
        for sock in self._held:
            sock.close()

    def _share_of_one(self) -> IngestConfig:
        """The configuration of one receiver: the ports as they turned out, and its part of what is bounded in sum."""
        config, count = self._config, self._config.receivers
        return replace(
            config,
            otlp_http=str(self.http_address or config.otlp_http),
            otlp_grpc=str(self.grpc_address or config.otlp_grpc),
            max_in_flight_bytes=max(config.max_in_flight_bytes // count, config.max_request_bytes),
            max_in_flight_requests=max(config.max_in_flight_requests // count, 1),
            max_connections=max(config.max_connections // count, 1),
        )

    @property
    def process_ids(self) -> list[int]:
        return [child.pid for child in self._children]

    def start(self) -> None:
        """CannotListen, or RuntimeError, where a receiver can't start; none is left running then."""
        warm_scan()  # compiled once here, the kernels are loaded from numba's cache there
        if series_limits.bounds_of(self._config):
            series_limits.warm()
        try:
            self._children = [self._launch() for _ in range(self._config.receivers)]
            for child in self._children:
                _await_ready(child)
        except BaseException:
            self.stop(0.0)
            raise
        for index in range(len(self._children)):
            watcher = threading.Thread(target=self._watch, args=(index,), name=f"watch-receiver-{index}", daemon=True)
            self._watchers.append(watcher)
            watcher.start()

    def stop(self, timeout_seconds: float) -> None:
        self._stopping.set()
        with self._lock:
            children = list(self._children)
        for child in children:
            _close_input(child)
        deadline = time.monotonic() + timeout_seconds + 5.0
        for child in children:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _log.warning("receiver process %d did not stop in time: it is killed", child.pid)
                child.kill()
                child.wait()
        for watcher in self._watchers:
            watcher.join()
        for child in children:
            if child.stdout is not None:
                child.stdout.close()
        self._let_go()

    def _launch(self) -> subprocess.Popen[str]:
        # -P: the working directory must not become a place to import from.
        command = [sys.executable, "-P", "-m", MODULE]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ.copy()
        )
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died at once: whoever waits for it to be ready says so
            child.stdin.write(self._orders.encode() + "\n")
            child.stdin.flush()
        return child

    def _watch(self, index: int) -> None:
        """Waits for one receiver to die, and starts another in its place."""
        while True:
            child = self._children[index]
            code = child.wait()
            if self._stopping.is_set():
                return
            if not self._may_restart():
                self.failure = (
                    f"receiver processes died {MAX_RESTARTS} times within {RESTART_WINDOW_SECONDS:g} s (the last with "
                    f"exit code {code}): they are no longer started again"
                )
                _log.error("%s", self.failure)
                return
            _log.error("receiver process %d died with exit code %d: starting another", child.pid, code)
            if self._stopping.wait(RESTART_PAUSE_SECONDS):
                return
            self._replace(index)

    def _replace(self, index: int) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            dead = self._children[index]
            _close_input(dead)
            if dead.stdout is not None:
                dead.stdout.close()
            self._children[index] = self._launch()
        try:
            _await_ready(self._children[index])
        except (RuntimeError, CannotListen) as error:
            _log.error("%s", error)  # it is dead, and the next wait sees that

    def _may_restart(self) -> bool:
        with self._lock:
            now = time.monotonic()
            if len(self._restarts) == MAX_RESTARTS and now - self._restarts[0] < RESTART_WINDOW_SECONDS:
                return False
            self._restarts.append(now)
            return True


def _await_ready(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    said = child.stdout.readline()
    if said == READY:
        return
    child.wait()
    if said:
        raise CannotListen(said.strip())
    raise RuntimeError(f"a receiver process ended before it listened (exit code {child.returncode}); its log says why")


def _close_input(child: subprocess.Popen[str]) -> None:
    if child.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
