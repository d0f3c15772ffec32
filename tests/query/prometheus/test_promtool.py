"""promtool, the command-line client of Prometheus itself, asks sonde."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest
from prometheus_rows import END, START, fill
from prometheus_server import program
from sonde.storage.store import Store
from stored import Served


@pytest.fixture
def promtool() -> str:
    return program("promtool")


@pytest.fixture
def server(store: Store) -> Iterator[str]:
    """promtool can't send a tenant's header: its data is that of the tenant whom requests without one mean."""
    from dataclasses import replace

    from prometheus_rows import TENANT
    from sonde.query.config import QueryConfig

    fill(store)
    with Served(store, replace(QueryConfig(), query_tenant=TENANT)) as client:
        yield f"{client.base_url}prometheus" if str(client.base_url).endswith("/") else f"{client.base_url}/prometheus"


@pytest.fixture
def run(promtool: str, server: str) -> Callable[..., str]:
    def asked(*words: str) -> str:
        done = subprocess.run(
            [promtool, "query", *(word.replace("SERVER", server) for word in words)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return asked


def test_query_instant(run: Callable[..., str]) -> None:
    answer = run("instant", f"--time={END}", "SERVER", "sum by (http_method) (rate(http_server_requests_total[5m]))")
    assert answer.splitlines() == [f'{{http_method="GET"}} => 2 @[{END}]', f'{{http_method="POST"}} => 1 @[{END}]']


def test_query_range(run: Callable[..., str]) -> None:
    answer = run("range", f"--start={START}", f"--end={START + 30}", "--step=15s", "SERVER", "sum(queue_size)")
    assert answer.splitlines() == ["{} =>", f"0.5 @[{START}]", f"1.5 @[{START + 15}]", f"2.5 @[{START + 30}]"]


def test_query_series(run: Callable[..., str]) -> None:
    answer = run("series", "--match=queue_size", f"--start={START}", f"--end={END}", "SERVER")
    assert "queue_size" in answer
    assert 'queue="mail"' in answer


def test_query_labels(run: Callable[..., str]) -> None:
    answer = run("labels", f"--start={START}", f"--end={END}", "SERVER", "http_method")
    assert answer.split() == ["GET", "POST"]


def test_a_bad_query_is_shown_with_its_place(promtool: str, server: str) -> None:
    done = subprocess.run(
        [promtool, "query", "instant", server, "a b"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode != 0
    assert '1:3: parse error: unexpected identifier "b"' in done.stderr
