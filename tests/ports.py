"""A port for a server that goes away and comes back in the course of a test."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def quiet_port() -> int:
    """A free port that the system gives to nobody who does not name it: it stays free while nobody listens there."""
    first_given_out = int(RANGE.read_text().split()[0]) if RANGE.exists() else 32_768
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", random.randrange(10_000, first_given_out)))
            return int(probe.getsockname()[1])
