"""From settings to the parts of the server: the one place where the rooms meet."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from sonde.cli.errors import CommandError, UsageError
from sonde.ingest.config import IngestConfig
from sonde.storage import embedded
from sonde.storage.config import StorageConfig
from sonde.storage.errors import StoreUnavailable
from sonde.storage.migrate import migrate
from sonde.storage.retention import Retention
from sonde.storage.server import without_password
from sonde.storage.store import Store, open_store


def retention_of(config: StorageConfig) -> Retention:
    return Retention(
        config.retention_traces_days,
        config.retention_logs_days,
        config.retention_metrics_days,
        config.retention_rollups_5m_days,
        config.retention_rollups_1h_days,
    )


def open_configured(config: StorageConfig) -> Store:
    """The store that the settings name. StoreLocked, StoreUnavailable: its sentence says what to do."""
    for name in ("clickhouse_connect", "urllib3"):  # they log what they raise, and the raised is told
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        refuse_locked(config.store)
        return open_store(config.store, database=config.database)
    except StoreUnavailable as error:
        if config.store.startswith("chdb://"):
            raise
        raise StoreUnavailable(
            f"no ClickHouse server answers at {without_password(config.store)} ({root_of(error)}); start it, or name "
            "another with --store"
        ) from error
    except PermissionError as error:
        raise CommandError(
            f"the store {config.store} can't be opened: {error.strerror} for {error.filename}; make the folder writable for this "
            "user, or choose another with --store chdb:///folder"
        ) from error
    except OSError as error:
        raise CommandError(f"the store {config.store} can't be opened: {error}; choose another with --store") from error
    except ValueError as error:
        raise UsageError(f"store: {error}") from error


def root_of(error: BaseException) -> BaseException:
    """What `error` came from: below the layers of an HTTP client lies the system's own plain word."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def refuse_locked(url: str) -> None:
    """StoreLocked where another process has the embedded store open, before the engine finds out in words of its own."""
    path = embedded.folder(url) if url.startswith("chdb://") else ""
    if path and embedded.lock_holder(path) is not None:
        raise embedded.why_not_opened(path, "")


def migrate_configured(store: Store, config: StorageConfig, say: Callable[[str], None]) -> list[str]:
    """Brings the schema and the retention to what the settings declare; `say` hears of each step."""
    return migrate(store, retention=retention_of(config), cluster=config.cluster or None, progress=say)


def ledger_reader(config: IngestConfig) -> Callable[[], dict[str, Any]]:
    """Reads the ledger of the spool, as `GET /api/ledger` answers it. Calls may come from several threads."""
    from threading import Lock

    from sonde.ingest.ledger import LedgerReader

    reader, lock = LedgerReader(config.spool_path), Lock()

    def read() -> dict[str, Any]:
        with lock:
            return reader.read().as_dict()

    return read


def log_to_stderr() -> None:
    """Warnings and errors of all rooms, one line each."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("sonde").setLevel(logging.INFO)
