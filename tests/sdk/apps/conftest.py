"""One real `sonde serve` for the programs of all these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from running import Running, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("serve"), "--segment-age-seconds", "50ms") as running:
        yield running
