"""host:port as people write it, and the sockets behind it."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. `host` has no brackets; port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """True where only this machine can connect. A name other than localhost may lead anywhere, so it is not."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class CannotListen(Exception):
    """The address can't be bound; the message is a sentence that says why and what to do."""


def parse_address(text: str, setting: str) -> Address:
    """The Address in "127.0.0.1:4317", "localhost:4317" or "[::1]:4317". ValueError names `setting` and what to write."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    well_formed = bool(colon and bare) and port.isascii() and port.isdigit() and int(port) <= 65_535
    if not well_formed or (":" in bare) != bracketed:
        raise ValueError(f"{setting} must be host:port, for example 127.0.0.1:4317 or [::1]:4317, not {text!r}")
    return Address(bare, int(port))


def bind(address: Address, setting: str, *, shared: bool = False) -> socket.socket:
    """A TCP socket bound to `address`, not yet listening. CannotListen where that is not possible.

    `shared` lets other sockets of this user bind the same port (SO_REUSEPORT); the kernel then deals connections out
    among those that listen. The port must be free of anyone else's first: two sondes that share a port by accident would
    each get half of the data.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    if not shared:
        return _bound(address, family, setting, reuse_port=False)
    with _bound(address, family, setting, reuse_port=False) as probe:
        port = probe.getsockname()[1]
    return _bound(Address(address.host, port), family, setting, reuse_port=True)


def join(address: Address, setting: str) -> socket.socket:
    """A further socket on a port that this sonde already holds `shared`."""
    return _bound(address, socket.AF_INET6 if ":" in address.host else socket.AF_INET, setting, reuse_port=True)


def _bound(address: Address, family: socket.AddressFamily, setting: str, *, reuse_port: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A port whose last connections are still in TIME_WAIT may be taken again at once.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((address.host, address.port))
    except OSError as error:
        sock.close()
        raise CannotListen(
            f"can't listen on {address}: {error.strerror or error}; stop what holds that port, or set {setting} to another"
        ) from error
    return sock
