"""A real Prometheus and sonde that hold the same samples, and how what they answer is compared."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_server import Started, prometheus_server
from remote_write_messages import HEADERS_1
from sonde.ingest.config import IngestConfig
from sonde.ingest.service import IngestService
from sonde.storage.migrate import migrate
from sonde.storage.retention import FOR_EVER
from sonde.storage.store import Store, open_store
from stored import Served

V1 = "/api/v1"
PATIENCE = 120
RELATIVE, ABSOLUTE = 1e-9, 1e-12
FLAGS = (
    "--web.enable-remote-write-receiver",
    "--enable-feature=exemplar-storage,native-histograms,promql-at-modifier,promql-negative-offset",
)


@dataclass(frozen=True, slots=True)
class Both:
    """Base URLs of both, and a client for either."""

    prometheus: str
    sonde: str
    client: httpx.Client

    def ask(
        self, path: str, fields: Any, ours: Any = None, method: str = "GET"
    ) -> tuple[httpx.Response, httpx.Response]:
        """(their answer, our answer); `ours` where sonde is to be asked for something else."""
        answers = []
        for base, asked in ((self.prometheus, fields), (self.sonde, fields if ours is None else ours)):
            given = {"params": asked} if method == "GET" else {"data": asked}
            answers.append(self.client.request(method, f"{base}{V1}/{path}", **given))
        return answers[0], answers[1]


@contextmanager
def both_servers(engine_url: str, folder: Path, bodies: Iterable[bytes]) -> Iterator[Both]:
    """Both servers, filled with these remote writes; sonde's store is a database of its own."""
    bodies = list(bodies)
    with (
        own_store(engine_url) as store,
        prometheus_server(folder, "scrape_configs: []\n", *FLAGS) as started,
        httpx.Client(timeout=PATIENCE, trust_env=False) as client,
        Served(store) as served,
    ):
        theirs = f"http://127.0.0.1:{started.port}"
        fill_sonde(client, store, folder, bodies)
        wait_until_ready(client, theirs, started)
        write(client, f"{theirs}{V1}/write", bodies)
        yield Both(theirs, f"{str(served.base_url).rstrip('/')}/prometheus", client)


@contextmanager
def own_store(engine_url: str) -> Iterator[Store]:
    with open_store(engine_url, database="t_both_servers") as store:
        migrate(store, retention=FOR_EVER)
        yield store
        store.command(f"DROP DATABASE {store.database} SYNC")


def wait_until_ready(client: httpx.Client, url: str, started: Started) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if client.get(f"{url}/-/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert started.process.poll() is None, started.log.read_text()
        assert time.monotonic() < deadline, started.log.read_text()
        time.sleep(0.05)


def fill_sonde(client: httpx.Client, store: Store, folder: Path, bodies: list[bytes]) -> None:
    """By the door that senders use; all is stored when the service has stopped."""
    spool = str(folder / "spool")
    config = IngestConfig(otlp_grpc="off", otlp_http="127.0.0.1:0", spool=spool, spool_min_free_bytes=0)
    service = IngestService(config, store, retention=FOR_EVER)
    service.start()
    write(client, f"http://{service.http_address}/prometheus/api/v1/write", bodies)
    assert service.stop(PATIENCE)


def write(client: httpx.Client, url: str, bodies: list[bytes]) -> None:
    for body in bodies:
        answer = client.post(url, content=body, headers=HEADERS_1)
        assert answer.status_code == 204, answer.text


def difference(theirs: Any, ours: Any, where: str = "answer") -> str:
    """The first place where two values of JSON differ; empty where there is none. Texts that are numbers
    are compared as such, but for labels."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        if theirs.keys() != ours.keys():
            return f"{where}: {sorted(theirs)} and {sorted(ours)}"
        if "__name__" in theirs or where.endswith((".metric", ".labels", ".seriesLabels")):
            return "" if theirs == ours else f"{where}: {theirs} and {ours}"
        return first(difference(theirs[key], ours[key], f"{where}.{key}") for key in theirs)
    if isinstance(theirs, list) and isinstance(ours, list):
        if len(theirs) != len(ours):
            return f"{where}: {len(theirs)} and {len(ours)} items\n  {theirs!r:.500}\n  {ours!r:.500}"
        pairs = zip(theirs, ours, strict=True)
        return first(difference(*pair, f"{where}[{place}]") for place, pair in enumerate(pairs))
    return "" if same(theirs, ours) else f"{where}: {theirs!r} and {ours!r}"


def first(texts: Iterator[str]) -> str:
    return next(filter(None, texts), "")


def same(theirs: Any, ours: Any) -> bool:
    if theirs == ours:
        return type(theirs) is type(ours) or not isinstance(theirs, bool)
    try:
        left, right = float(theirs), float(ours)
    except (TypeError, ValueError):
        return False
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    return math.isclose(left, right, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def ordered(answer: Any) -> Any:
    """The answer to a query with its series by their labels: mostly the order they come in says nothing."""
    data = answer.get("data")
    if not isinstance(data, dict) or data.get("resultType") not in ("vector", "matrix"):
        return answer
    rows = sorted(data["result"], key=lambda row: sorted(row["metric"].items()))
    return answer | {"data": data | {"result": rows}}
