"""What all tests of a process share: the providers that are listened to, and, once asked for, the engine and the receiver."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sonde.testing.providers import Providers
from sonde.testing.slices import Slice

if TYPE_CHECKING:
    from sonde.testing.engine import Engine
    from sonde.testing.receiver import Receiver


class Session:
    """`store_url` and `listen` as the options `sonde_store` and `sonde_listen` say: see `plugin.py`."""

    def __init__(self, store_url: str = "", listen: str = "127.0.0.1") -> None:
        self._store_url = store_url
        self._listen = listen
        self._providers = Providers()
        self._numbers = itertools.count(1)
        self._last = Slice("", self._collect)
        """Kept until the next begins, for the report of its test."""
        self._engine: Engine | None = None
        self._receiver: Receiver | None = None

    @contextmanager
    def slice(self) -> Iterator[Slice]:
        """A slice of its own for what happens within."""
        self._last.clear()
        own = self._last = Slice(f"test-{next(self._numbers)}", self._collect)
        self._providers.begin(own)
        try:
            yield own
        finally:
            self._providers.end()
            own.over = True
            if self._receiver is not None:
                self._receiver.forget(own)

    def _collect(self, own: Slice) -> Iterator[Any]:
        return self._providers.collect()

    @property
    def engine(self) -> Engine:
        if self._engine is None:
            from sonde.testing.engine import Engine

            self._engine = Engine(self._store_url)
        return self._engine

    @property
    def receiver(self) -> Receiver:
        if self._receiver is None:
            from sonde.testing.receiver import Receiver

            self._receiver = Receiver(self._listen)
        return self._receiver

    def close(self) -> None:
        self._providers.close()
        if self._receiver is not None:
            self._receiver.close()
        if self._engine is not None:
            self._engine.close()
