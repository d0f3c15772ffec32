"""Hours are summarised as they close, by a thread of the server's."""

from __future__ import annotations

import logging
import threading
import time

from sonde.query.config import QueryConfig
from sonde.query.rollups.builder import Batch, batches, build
from sonde.query.rollups.hours import HOUR_MS
from sonde.query.rollups.kinds import KINDS
from sonde.storage.errors import StoreError
from sonde.storage.store import Store

log = logging.getLogger(__name__)

REST_MS = HOUR_MS
"""An hour that gets late points all the time is summarised again so long after the last time: meanwhile its points are read."""


class Upkeep:
    """One batch at a time, and a pause as long as each took: queries and ingest have the machine for half of the time at least."""

    def __init__(self, store: Store, config: QueryConfig) -> None:
        self._store = store
        self._config = config
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rollups", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended; what it was about to write is built anew after the next start."""
        self._stop.set()
        self._thread.join()

    def round(self) -> int:
        """Summarises what is due now; returns how many hours that were. Raises the store's errors."""
        now_ms = round(time.time() * 1000)
        before_ms = now_ms - round(self._config.rollups_delay_seconds * 1000)
        hours = 0
        for kind in KINDS:
            for batch in batches(self._store, kind, 0, before_ms, resting_since_ms=now_ms - REST_MS):
                hours += self._build(batch)
                if self._stop.is_set():
                    return hours
        return hours

    def _build(self, batch: Batch) -> int:
        built = build(self._store, batch, self._stop.is_set)
        if built is None:
            return 0
        self._stop.wait(built.seconds)
        return built.hours

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.round()
            except StoreError as error:
                if not self._stop.is_set():
                    log.warning("metric rollups have to wait: %s", error)
            except Exception:
                log.exception("metric rollups have to wait")
            self._stop.wait(self._config.rollups_every_seconds)
