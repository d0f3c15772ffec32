"""The fixture `telemetry` of this very run keeps its tables in the engine that all tests share: there is one a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sonde.storage.store import Store
from sonde.testing.plugin import SESSION
from sonde.testing.session import Session


@pytest.fixture(scope="session", autouse=True)
def shared_engine(engine: Store, request: pytest.FixtureRequest) -> Iterator[None]:
    session = Session(engine.url)
    request.config.stash[SESSION] = session
    yield
    session.close()
    del request.config.stash[SESSION]
