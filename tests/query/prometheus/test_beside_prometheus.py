"""Requests that need no data, sent to sonde and to a Prometheus server: both answer alike."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
from prometheus_server import Started, prometheus_server

V1 = "/api/v1"
PATIENCE = 120


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that scrapes nothing."""
    with prometheus_server(tmp_path_factory.mktemp("prometheus"), "scrape_configs: []\n") as started:
        url = f"http://127.0.0.1:{started.port}"
        wait_until_ready(url, started)
        yield url


def wait_until_ready(url: str, started: Started) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert started.process.poll() is None, started.log.read_text()
        assert time.monotonic() < deadline, started.log.read_text()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("query", {"query": "1+1", "time": "5.5"}),
        ("query", {"query": '"a\\tb"', "time": "2026-01-31T10:00:00.25Z"}),
        ("query", {"query": "vector(1e21)", "time": "1"}),
        ("query", {"query": "vector(1e-7) > 0", "time": "1"}),
        ("query", {"query": "vector(7)", "time": "0.001"}),
        ("query", {"query": "-vector(0)", "time": "1"}),
        ("query", {"query": "up[5m]", "time": "1"}),
        ("query", {"query": 'absent(up{a="b"})', "time": "1"}),
        ("query", {"query": 'label_replace(vector(1), "a", "<é>", "", "")', "time": "1"}),
        ("query", {"query": "vector(1) + on() vector(time())", "time": "1700000000.123"}),
        ("query", {"query": "sum(vector(1)) by (a)", "time": "1"}),
        ("query_range", {"query": "time() * 0.1", "start": "0", "end": "2", "step": "0.5"}),
        ("query_range", {"query": "vector(time() % 2) == 1", "start": "0", "end": "5", "step": "1s"}),
        ("query_range", {"query": "3", "start": "1", "end": "1", "step": "1m"}),
        ("query_range", {"query": "vector(1) unless vector(1)", "start": "1", "end": "3", "step": "1"}),
        ("series", {"match[]": "up", "start": "0", "end": "1"}),
        ("labels", {"match[]": "up", "start": "0", "end": "1"}),
        ("label/job/values", {"match[]": "up", "start": "0", "end": "1"}),
        ("metadata", {"metric": "nothing"}),
        ("format_query", {"query": "sum(rate(a[5m]))by(b)/ignoring(c)d"}),
        ("rules", {}),
        ("alerts", {}),
    ],
)
def test_a_success(shared_client: httpx.Client, prometheus: str, path: str, fields: dict[str, str]) -> None:
    theirs = httpx.get(f"{prometheus}{V1}/{path}", params=fields, trust_env=False)
    ours = shared_client.get(f"/prometheus{V1}/{path}", params=fields)
    assert theirs.status_code == ours.status_code == 200
    assert ours.json() == theirs.json()


BAD_REQUESTS = [
    ("query", {"query": "1", "timeout": "soon"}),
    ("query", {"query": "a b"}),
    ("query", {"query": "sum(a b)"}),
    ("query", {"query": "rate(a)"}),
    ("query", {"query": "foo(a)"}),
    ("query", {"query": "1 == 1"}),
    ("query_range", {"query": "1", "start": "0", "end": "1"}),
    ("query_range", {"query": "1", "start": "2", "end": "1", "step": "1"}),
    ("query_range", {"query": "1", "start": "0", "end": "1", "step": "0"}),
    ("query_range", {"query": "1", "start": "0", "end": "20000", "step": "1"}),
    ("series", {}),
    ("series", {"match[]": "{}"}),
    ("series", {"match[]": "a[5m]"}),
    ("labels", {"match[]": "{}"}),
    ("query_exemplars", {"query": "a", "start": "2", "end": "1"}),
    ("format_query", {"query": "("}),
]
WORDED_OTHERWISE = [
    ("query", {"query": "1", "time": "soon"}),
    ("query", {"query": ""}),
    ("query", {"query": "a{b=~'['}"}),
    ("query", {"query": "a[5m] offset"}),
    ("query_range", {"query": "a[5m]", "start": "0", "end": "1", "step": "1"}),
    ("labels", {"start": "x"}),
    ("label/job/values", {"end": "x"}),
]
"""What Prometheus 2 and 3 say in different words."""


@pytest.mark.parametrize(("path", "fields"), BAD_REQUESTS)
def test_a_failure(shared_client: httpx.Client, prometheus: str, path: str, fields: dict[str, str]) -> None:
    theirs = httpx.get(f"{prometheus}{V1}/{path}", params=fields, trust_env=False)
    ours = shared_client.get(f"/prometheus{V1}/{path}", params=fields)
    assert (ours.status_code, ours.json()) == (theirs.status_code, theirs.json())


@pytest.mark.parametrize(("path", "fields"), WORDED_OTHERWISE)
def test_a_failure_in_other_words(
    shared_client: httpx.Client, prometheus: str, path: str, fields: dict[str, str]
) -> None:
    theirs = httpx.get(f"{prometheus}{V1}/{path}", params=fields, trust_env=False)
    ours = shared_client.get(f"/prometheus{V1}/{path}", params=fields)
    assert ours.status_code == theirs.status_code
    assert ours.json()["errorType"] == theirs.json()["errorType"]
