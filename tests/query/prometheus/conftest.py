"""The fixture of the tests that ask a real Prometheus and sonde the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from beside_data import every_series, requests
from both_servers import Both, both_servers
from sonde.storage.store import Store


@pytest.fixture(scope="session")
def both(engine: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Both servers with the series of `beside_data.py`."""
    with both_servers(engine.url, tmp_path_factory.mktemp("both"), requests(every_series())) as servers:
        yield servers
