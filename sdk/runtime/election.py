"""One process of a host that does for all what needs to be done once.

It is the one that has bound a name: an abstract Unix socket of Linux's, which is no file. So there is nothing to make safe against
links and other users' files and nothing to clear away, whatever becomes of the process: the kernel lets go of the name when it
ends. Names are per user; the processes that see each other's are those of one network namespace, which is a host or a container.
Somebody else who takes the name can keep everybody from being elected, and no more than that: nothing is read from the socket.
"""

from __future__ import annotations

import os
import socket
import sys

POSSIBLE = sys.platform == "linux"


class Election:
    """Held among the processes of a user that say the same `purpose`. To be used by one thread at a time."""

    def __init__(self, purpose: str) -> None:
        self._purpose = purpose
        self._held: socket.socket | None = None
        self._over = False
        self._won = False
        os.register_at_fork(after_in_child=self._begin_in_child)

    def elected(self) -> bool:
        """Whether this process is the one; it is then until it ends. The others may ask again at any time."""
        if self._held is not None and not self._is_ours(self._held):
            self._let_go()
            self._won = False
        if self._held is None and not self._over:
            self._stand()
        return self._won

    def _is_ours(self, held: socket.socket) -> bool:
        """A program that becomes a daemon closes what it does not know, and its own files then have the same numbers."""
        try:
            return bool(held.getsockname() == name_of(self._purpose).encode())
        except OSError:
            return False

    def _stand(self) -> None:
        held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            held.bind(name_of(self._purpose))
        except OSError:
            held.close()
            return
        self._held, self._won = held, True

    def leave(self) -> None:
        """Lets another process be elected. This one stands no more; if it was elected, it says so for what it has left to do."""
        self._over = True
        self._let_go()

    def _let_go(self) -> None:
        if self._held is not None:
            if self._is_ours(self._held):
                self._held.close()
            else:
                self._held.detach()
            self._held = None

    def _begin_in_child(self) -> None:
        """A forked child has got its parent's socket, and would keep the name when the parent has ended."""
        self._let_go()
        self._won = False


def name_of(purpose: str) -> str:
    """Everybody can see it: it tells nothing of the purpose."""
    import hashlib  # with OpenSSL, which a program that is not there for long need not load

    return f"\0sonde-{os.geteuid()}-{hashlib.sha256(purpose.encode()).hexdigest()[:32]}"
