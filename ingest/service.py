"""The ingest service: receivers, spool and writer, put together here and nowhere else.

    app --OTLP--> receivers --> door: scan --> spool --> answer
                                                 |
                                                 +--> writer: decode --> Native block --> store

With `receivers` = 1 all of it is in this process. With more, the receivers and their ends of the spool run in processes of
their own (`processes.py`), and the writer here stores what they spool.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from sonde.ingest.addresses import Address
from sonde.ingest.auth import Authenticator
from sonde.ingest.config import IngestConfig
from sonde.ingest.ledger import Ledger, read_ledger
from sonde.ingest.limits import Limits
from sonde.ingest.processes import ReceiverProcesses
from sonde.ingest.receivers import Receivers, open_door, open_spool
from sonde.ingest.signals import Signal
from sonde.ingest.spool import SpoolWriter
from sonde.ingest.writer import Writer, WriterStatus
from sonde.storage.retention import Retention
from sonde.storage.store import Store

_DAY_SECONDS = 86_400


def limits_of(config: IngestConfig, retention: Retention) -> Mapping[Signal, Limits]:
    """What records are judged by: a record older than its signal is kept would be dropped at once, so it is refused."""
    days = {
        Signal.TRACES: retention.traces_days,
        Signal.METRICS: retention.metrics_days,
        Signal.LOGS: retention.logs_days,
    }
    return {signal: config.limits(days[signal] * _DAY_SECONDS) for signal in Signal}


class IngestService:
    """`start` returns once OTLP can be sent; `stop` once all that was acknowledged is stored, or time is up."""

    def __init__(self, config: IngestConfig, store: Store, *, retention: Retention) -> None:
        """ValueError, naming the setting, where tokens can't be used. Nothing is opened yet."""
        Authenticator.from_config(config)
        self._config = config
        self._store = store
        self._limits = limits_of(config, retention)
        self._writer: Writer | None = None
        self._spool: SpoolWriter | None = None
        self._receivers: Receivers | ReceiverProcesses | None = None

    def start(self) -> None:
        """CannotListen where a port is taken, SpoolLocked where another process stores from the spool; nothing is left
        running then."""
        config = self._config
        try:
            self._writer = Writer(config.spool_path, self._store, resend_window_seconds=config.resend_window_seconds)
            if config.receivers == 1:
                self._spool = open_spool(config, self._limits, on_sealed=self._writer.wake)
                self._receivers = Receivers(config, open_door(config, self._limits, self._spool))
            else:
                self._receivers = ReceiverProcesses(config, self._limits)
            self._receivers.start()
        except BaseException:
            self._receivers = None  # it ended itself when its start failed
            self.stop(0.0)
            raise
        self._writer.start()

    def stop(self, timeout_seconds: float | None = None) -> bool:
        """Stop listening, answer what is in flight, write the spool to the store. True if nothing is left in the spool;
        what is left is stored after the next start. `timeout_seconds`: default is the setting stop_timeout_seconds."""
        timeout = self._config.stop_timeout_seconds if timeout_seconds is None else timeout_seconds
        deadline = time.monotonic() + timeout
        if self._receivers is not None:
            self._receivers.stop(timeout)
        if self._spool is not None:
            self._spool.close()
        stored = self._writer is None or self._writer.stop(max(0.0, deadline - time.monotonic()))
        self._receivers = self._spool = self._writer = None
        return stored

    @property
    def grpc_address(self) -> Address | None:
        """Where OTLP/gRPC is received, with the port that the system chose where 0 was configured."""
        return self._receivers.grpc_address if self._receivers else None

    @property
    def http_address(self) -> Address | None:
        return self._receivers.http_address if self._receivers else None

    @property
    def failure(self) -> str | None:
        """A sentence, once receivers ended for good without being told to: the service should be stopped."""
        return self._receivers.failure if self._receivers else None

    @property
    def open_to_network(self) -> bool:
        """True where other machines can send without a token: worth a warning."""
        addresses = [self._config.grpc_address, self._config.http_address]
        exposed = any(address is not None and not address.loopback for address in addresses)
        return exposed and Authenticator.from_config(self._config).open

    def status(self) -> WriterStatus:
        """How far the writer is behind, and what troubles it."""
        return self._writer.status() if self._writer else WriterStatus(0, "the service does not run")

    def drain(self, seconds: float) -> bool:
        """Wait until all that is sealed is stored; False where that takes longer."""
        return self._writer is not None and self._writer.drain(seconds)

    def ledger(self) -> Ledger:
        """What became of every request."""
        return read_ledger(self._config.spool_path)
