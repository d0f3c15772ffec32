"""One database for all the tests that only read: they keep apart by tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from httpx import Client
from sonde.storage.migrate import migrate
from sonde.storage.retention import FOR_EVER
from sonde.storage.store import Store, open_store
from stored import Served


@pytest.fixture(scope="session")
def shared_store(engine: Store) -> Iterator[Store]:
    store = open_store(engine.url, database="t_query_shared")
    migrate(store, retention=FOR_EVER)
    yield store
    engine.command("DROP DATABASE IF EXISTS t_query_shared SYNC")
    store.close()


@pytest.fixture(scope="session")
def shared_client(shared_store: Store) -> Iterator[Client]:
    with Served(shared_store) as client:
        yield client


@pytest.fixture(scope="session")
def filled(shared_store: Store) -> Callable[[str, Callable[[Store], None]], str]:
    """`filled(tenant, fill)` runs `fill` once a session for each tenant, and gives the tenant's name."""
    done: set[str] = set()

    def fill_once(tenant: str, fill: Callable[[Store], None]) -> str:
        if tenant not in done:
            fill(shared_store)
            done.add(tenant)
        return tenant

    return fill_once


@pytest.fixture
def client(store: Store) -> Iterator[Client]:
    """A service over this test's own database."""
    with Served(store) as client:
        yield client
