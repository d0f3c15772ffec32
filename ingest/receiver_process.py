"""One of several receiver processes: `python -m sonde.ingest.receiver_process`, started by `processes.py`.

It reads its orders, one line of JSON, from standard input, writes `ready` once it listens, and goes on until standard
input ends: that is how it is stopped, and how it dies with its parent whatever the parent died of. It never opens the
store, so the engine is not even imported.
"""

from __future__ import annotations

import json
import os
import signal as signals
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import IO, Any

from sonde.ingest.addresses import CannotListen
from sonde.ingest.config import IngestConfig
from sonde.ingest.limits import Limits
from sonde.ingest.receivers import Receivers, open_door, open_spool
from sonde.ingest.signals import Signal
from sonde.ingest.signature import adopt_key, key

READY = "ready\n"


@dataclass(frozen=True)
class Orders:
    """What a receiver process is to do: the configuration with the very ports to share, and the limits on records."""

    config: IngestConfig
    limits: Mapping[Signal, Limits]
    key: str = field(default_factory=key, repr=False)
    """What it signs with, so that the writer relies on what its scans counted."""

    def encode(self) -> str:
        limits = {signal.value: limits.as_dict() for signal, limits in self.limits.items()}
        return json.dumps({"config": asdict(self.config), "limits": limits, "key": self.key})

    @classmethod
    def decode(cls, line: str) -> Orders:
        values = json.loads(line)
        config: dict[str, Any] = values["config"]
        for each in fields(IngestConfig):
            if isinstance(each.default, tuple):
                config[each.name] = tuple(config[each.name])
        limits = {Signal(name): Limits.from_dict(value) for name, value in values["limits"].items()}
        return cls(IngestConfig(**config), limits, values["key"])


def run(orders: Orders, stdin: IO[str], stdout: IO[str]) -> int:
    adopt_key(orders.key)
    spool = open_spool(orders.config, orders.limits)
    receivers = Receivers(orders.config, open_door(orders.config, orders.limits, spool), shared_ports=True)
    try:
        receivers.start()
    except CannotListen as error:
        spool.close()
        print(error, file=stdout, flush=True)
        return 1
    print(READY, end="", file=stdout, flush=True)
    _wait_for_the_end(stdin)
    receivers.stop(orders.config.stop_timeout_seconds)
    spool.close()
    return 0


def _wait_for_the_end(stdin: IO[str]) -> None:
    """Until standard input ends or SIGTERM comes. Ctrl-C is for the parent, which then closes our standard input."""
    stop = threading.Event()
    signals.signal(signals.SIGINT, signals.SIG_IGN)
    signals.signal(signals.SIGTERM, lambda *_: stop.set())

    def outlive_no_parent() -> None:
        stdin.read()
        stop.set()

    threading.Thread(target=outlive_no_parent, name="parent", daemon=True).start()
    stop.wait()


if __name__ == "__main__":
    # What the interpreter tears down at exit is nothing but time: all is synced and closed by now.
    code = run(Orders.decode(sys.stdin.readline()), sys.stdin, sys.stdout)
    sys.stdout.flush()
    os._exit(code)
