"""Fixtures for every room: the real engine, one for the whole run, and a fresh migrated database for each test.

| fixture          | gives                                                                                                  |
|------------------|--------------------------------------------------------------------------------------------------------|
| `store`          | a Store on the embedded engine, its database migrated, rows kept for ever                              |
| `empty_store`    | the same before any migration                                                                          |
| `http_store`     | a Store that speaks HTTP, likewise migrated: to `SONDE_TEST_CLICKHOUSE_URL`, else to the embedded engine |
| `gate`           | what `http_store` goes through: `gate.shut()` makes ClickHouse unreachable, `gate.open()` brings it back |
| `any_store`      | `store` and `http_store`, one after the other                                                          |
| `engine_url`     | the one `chdb://` URL this process can open                                                            |
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
from clickhouse_http import ClickHouseFront, Gate
from hypothesis import HealthCheck, settings
from sonde.storage import embedded
from sonde.storage.migrate import migrate
from sonde.storage.retention import FOR_EVER
from sonde.storage.store import Store, open_store

settings.register_profile(
    "sonde",
    # Kernels compile at their first call, and a machine may be busy: how long an example takes is no failure.
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # In CI the verdict is one on the code: the same code gets the same examples. Elsewhere they are new ones each time.
    derandomize=os.environ.get("CI") == "true",
)
settings.load_profile("sonde")
FORGETFUL = {"fsync_metadata": 0}
"""Tables of a test need not outlive a power cut."""


@pytest.fixture(scope="session")
def engine_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where this process's engine keeps its tables. chDB opens one path a process: tests share it, databases keep them apart."""
    return f"chdb://{tmp_path_factory.mktemp('engine') / 'store'}"


@pytest.fixture(scope="session")
def engine(engine_url: str) -> Iterator[Store]:
    """Keeps the engine running between the tests."""
    store = open_store(engine_url, database="tests", settings=FORGETFUL)
    yield store
    store.close()


@pytest.fixture(scope="session")
def server_url(engine: Store) -> Iterator[str]:
    """A ClickHouse that speaks HTTP."""
    if given := os.environ.get("SONDE_TEST_CLICKHOUSE_URL"):
        yield given
        return
    front = ClickHouseFront(embedded.connection_string(engine.url))
    yield front.url
    front.close()


@pytest.fixture
def front(engine: Store) -> Iterator[ClickHouseFront]:
    """The test front itself, for what a real server can't be made to answer (`front.refuse(252)`)."""
    front = ClickHouseFront(embedded.connection_string(engine.url))
    yield front
    front.close()


@pytest.fixture
def gate(server_url: str) -> Iterator[Gate]:
    """The way to ClickHouse, which can be shut."""
    parts = urlsplit(server_url)
    gate = Gate(parts.hostname or "", parts.port or 8123)
    yield gate
    gate.shut()


@pytest.fixture
def gate_url(gate: Gate, server_url: str) -> str:
    """The URL of ClickHouse through `gate`."""
    parts = urlsplit(server_url)
    user = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{gate.port}" if user else f"127.0.0.1:{gate.port}"))


@pytest.fixture
def empty_store(engine: Store) -> Iterator[Store]:
    """A store on a database of its own that holds nothing yet."""
    yield from fresh(engine.url)


@pytest.fixture
def store(empty_store: Store) -> Store:
    """A store on a database of its own with the whole schema, kept for ever."""
    migrate(empty_store, retention=FOR_EVER)
    return empty_store


@pytest.fixture
def http_store(gate: Gate, gate_url: str) -> Iterator[Store]:
    """The same over HTTP, through `gate`."""
    for store in fresh(gate_url):
        migrate(store, retention=FOR_EVER)
        yield store
        gate.open()


@pytest.fixture(params=["store", "http_store"])
def any_store(request: pytest.FixtureRequest) -> Store:
    """Both kinds, one after the other."""
    store = request.getfixturevalue(request.param)
    assert isinstance(store, Store)
    return store


def fresh(url: str) -> Iterator[Store]:
    """A store on a new database, which goes when the test is over."""
    store = open_store(url, database=f"t_{uuid.uuid4().hex[:12]}", settings=FORGETFUL)
    yield store
    name = store.database
    store.close()
    with open_store(url, database="tests", settings=FORGETFUL) as cleaner:
        cleaner.command(f"DROP DATABASE IF EXISTS {name}")
