"""A real Prometheus scrapes an exporter and remote-writes into sonde: what the store holds then is what Prometheus holds.

Needs Debian's package `prometheus`; without it the test is skipped, but for CI, where it must be there.
"""

from __future__ import annotations

import json
import math
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import prometheus_client as official
import pytest
from prometheus_server import program, prometheus_server
from sonde.ingest.config import IngestConfig
from sonde.ingest.service import IngestService
from sonde.query.config import QueryConfig
from sonde.query.prometheus import catalogue
from sonde.query.reader import Gate, Reader
from sonde.storage.retention import FOR_EVER
from sonde.storage.store import Store

PATIENCE_SECONDS = 120
SCRAPES = 4
"""That are compared at the least."""
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
Series = frozenset[tuple[str, str]]
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: shop
  static_configs: [{{targets: ["127.0.0.1:{exporter}"]}}]
remote_write:
- url: http://{sonde}/prometheus/api/v1/write
  send_exemplars: true
  queue_config: {{batch_send_deadline: 1s}}
  metadata_config: {{send: true, send_interval: 1s}}
"""
STORED = """
SELECT series.name AS name, series.labels AS labels, toUnixTimestamp64Milli(points.time) AS ms, points.value AS value
FROM points_number AS points
INNER JOIN (SELECT series_id, any(name) AS name, any(attributes_string) AS labels FROM series GROUP BY series_id) AS series
USING series_id
WHERE points.value_type = 1 AND ms <= {at_ms:Int64}
"""
TYPES = "SELECT name, metadata_string['prometheus.type'] AS type, description, is_monotonic FROM series"
EXEMPLARS = """
SELECT series.name AS name, series.labels AS labels, exemplars.value AS value, lower(hex(exemplars.trace_id)) AS trace_id,
    lower(hex(exemplars.span_id)) AS span_id, exemplars.filtered_attributes_string AS others
FROM exemplars
INNER JOIN (SELECT series_id, any(name) AS name, any(attributes_string) AS labels FROM series GROUP BY series_id) AS series
USING series_id
"""
STALE = "SELECT count() AS number FROM points_number WHERE bitAnd(flags, 1) = 1 AND value_type = 0"


@pytest.fixture(scope="module", autouse=True)
def there_is_a_prometheus() -> None:
    program("prometheus")


def wait_for(what: str, found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        if value := found():
            return value
        assert time.monotonic() < deadline, f"{what} did not come about in {PATIENCE_SECONDS} s"
        time.sleep(0.1)


@dataclass
class Exporter:
    """A small shop that can be scraped, made with the official client."""

    registry: official.CollectorRegistry
    port: int
    stop: Callable[[], None]


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    registry = official.CollectorRegistry()
    orders = official.Counter("shop_orders", "Orders taken.", ["country"], registry=registry)
    basket = official.Gauge("shop_basket_euros", "What is in the baskets.", registry=registry)
    latency = official.Histogram("shop_latency_seconds", "Time to answer.", buckets=(0.1, 1.0), registry=registry)
    official.Summary("shop_size_bytes", "Size of answers.", registry=registry).observe(12.5)
    official.Info("shop_build", "What runs.", registry=registry).info({"version": '1.2 "ä"'})
    orders.labels("at").inc(3, exemplar={"trace_id": TRACE_ID, "span_id": SPAN_ID, "user": "x"})
    orders.labels("de").inc()
    basket.set(-0.5)
    basket.set_function(time.time)
    official.Gauge("shop_nan", "Not a number.", registry=registry).set(math.nan)
    latency.observe(0.05, exemplar={"user": "y"})
    latency.observe(3.0)
    server, thread = official.start_http_server(0, "127.0.0.1", registry=registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    made = Exporter(registry, server.server_port, stop)
    yield made
    if thread.is_alive():
        stop()


@pytest.fixture
def service(store: Store, tmp_path: Path) -> Iterator[IngestService]:
    config = IngestConfig(
        otlp_grpc="off", otlp_http="127.0.0.1:0", spool=str(tmp_path / "spool"), spool_min_free_bytes=0
    )
    service = IngestService(config, store, retention=FOR_EVER)
    service.start()
    yield service
    assert service.stop()


@dataclass
class Prometheus:
    port: int

    def ask(self, path: str, **parameters: Any) -> Any:
        """`data` of an answer of the API; None where it does not answer (yet)."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None


@pytest.fixture
def prometheus(exporter: Exporter, service: IngestService, tmp_path: Path) -> Iterator[Prometheus]:
    config = CONFIG.format(exporter=exporter.port, sonde=service.http_address)
    with prometheus_server(tmp_path, config, "--enable-feature=exemplar-storage") as started:
        yield Prometheus(started.port)


def bits(value: float) -> str:
    return "NaN" if math.isnan(value) else repr(value)


def held_by_prometheus(prometheus: Prometheus, at_ms: int) -> dict[Series, list[tuple[int, str]]]:
    data = prometheus.ask("query", query='{__name__=~".+"}[1h]', time=at_ms / 1000)
    return {
        frozenset(each["metric"].items()): [(round(at * 1000), bits(float(value))) for at, value in each["values"]]
        for each in data["result"]
    }


def held_by_sonde(store: Store, at_ms: int) -> dict[Series, list[tuple[int, str]]]:
    found: dict[Series, list[tuple[int, str]]] = {}
    for row in store.rows(STORED, {"at_ms": at_ms}):
        found.setdefault(series_of(row), []).append((row["ms"], bits(row["value"])))
    return {series: sorted(samples) for series, samples in found.items()}


def series_of(row: Any) -> Series:
    return frozenset({"__name__": row["name"], **row["labels"]}.items())


@pytest.mark.slow
def test_what_prometheus_remote_writes_is_stored_as_prometheus_has_it(
    prometheus: Prometheus, exporter: Exporter, service: IngestService, store: Store
) -> None:
    def scraped() -> Any:
        """The time of the last scrape, once there were enough."""
        data = prometheus.ask("query", query="up[1h]")
        values = data["result"][0]["values"] if data and data["result"] else []
        return round(values[-1][0] * 1000) if len(values) >= SCRAPES else None

    wait_for("a scrape", scraped)
    metadata = wait_for("metadata", lambda: prometheus.ask("metadata"))
    exporter.stop()  # from now on `up` is 0, and every series of the shop goes stale

    def down() -> Any:
        data = prometheus.ask("query", query="up == 0")
        return data and data["result"]

    wait_for("a failed scrape", down)
    at_ms = scraped()
    expected = held_by_prometheus(prometheus, at_ms)
    wait_for(
        "the last sample",
        lambda: sum(map(len, held_by_sonde(store, at_ms).values())) >= sum(map(len, expected.values())),
    )
    assert held_by_sonde(store, at_ms) == expected
    names = {dict(series)["__name__"] for series in expected}
    assert {"up", "shop_orders_total", "shop_latency_seconds_bucket", "shop_size_bytes_sum", "shop_build_info"} <= names
    wait_for("stale markers", lambda: store.rows(STALE)[0]["number"] >= len(names) - 5)

    types = {(row["name"], row["type"], row["description"], bool(row["is_monotonic"])) for row in store.rows(TYPES)}
    assert ("shop_orders_total", "counter", "Orders taken.", True) in types
    assert ("shop_basket_euros", "gauge", "What is in the baskets.", False) in types
    assert ("shop_latency_seconds_bucket", "histogram", "Time to answer.", False) in types
    assert ("shop_size_bytes_count", "summary", "Size of answers.", False) in types

    known = catalogue.metadata(Reader(store, "default", QueryConfig(), Gate(1, 0), Gate(1, 0)))
    assert {name: known.get(name) for name in by_series(metadata)} == by_series(metadata)

    exemplars = prometheus.ask("query_exemplars", query='{__name__=~".+"}', start=0, end=at_ms / 1000)
    sent = {
        (frozenset(each["seriesLabels"].items()), float(one["value"]), frozenset(one["labels"].items()))
        for each in exemplars
        for one in each["exemplars"]
    }
    stored = {(series_of(row), row["value"], frozenset(exemplar_labels(row).items())) for row in store.rows(EXEMPLARS)}
    assert sent
    assert stored == sent

    ledger = service.ledger()
    assert ledger.balanced
    assert ledger.total.rejected == {}
    assert ledger.total.stored.records > 0


def by_series(metadata: dict[str, Any]) -> dict[str, Any]:
    """Prometheus' metadata by the names of series: OpenMetrics has families of counters and infos go without a suffix."""
    suffixes = {"counter": "_total", "info": "_info"}
    return {
        name.removesuffix(suffix) + suffix: entries
        for name, entries in metadata.items()
        for suffix in [suffixes.get(entries[0]["type"], "")]
    }


def exemplar_labels(row: Any) -> dict[str, str]:
    ids = {"trace_id": row["trace_id"], "span_id": row["span_id"]}
    return {**{name: text for name, text in ids.items() if text.strip("0")}, **row["others"]}
