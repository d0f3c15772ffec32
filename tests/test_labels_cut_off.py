"""A label that never repeats, from the SDK to PromQL: the first series are kept and go on, the others are refused and counted."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from sonde.ingest.config import IngestConfig
from sonde.ingest.ledger import read_ledger
from sonde.ingest.service import IngestService
from sonde.storage.retention import FOR_EVER
from sonde.storage.store import Store
from stored import Served

PATIENCE = 120.0
"""Seconds that a client, and a test, wait for what must come about, on a machine however busy."""
LIMIT = 20


def exporter(protocol: str, service: IngestService) -> Any:
    if protocol == "grpc":
        return GrpcMetrics(endpoint=f"http://{service.grpc_address}", insecure=True, timeout=PATIENCE)
    return HttpMetrics(endpoint=f"http://{service.http_address}/v1/metrics", timeout=PATIENCE)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_label_that_never_repeats_is_cut_off(protocol: str, tmp_path: Path, store: Store) -> None:
    spool = tmp_path / "spool"
    config = IngestConfig(
        otlp_grpc="127.0.0.1:0",
        otlp_http="127.0.0.1:0",
        spool=str(spool),
        spool_min_free_bytes=0,
        stop_timeout_seconds=PATIENCE,
        max_series_per_metric=LIMIT,
    )
    service = IngestService(config, store, retention=FOR_EVER)
    service.start()
    reader = PeriodicExportingMetricReader(exporter(protocol, service), export_interval_millis=3_600_000)
    provider = MeterProvider([reader], resource=Resource({"service.name": "shop"}))
    meter = provider.get_meter("shop")
    logins, orders = meter.create_counter("logins"), meter.create_counter("orders")
    for number in range(3 * LIMIT):
        logins.add(1, {"user_id": f"u{number}"})
        orders.add(1, {"country": ("at", "de")[number % 2]})
        if number in (LIMIT - 1, 2 * LIMIT):
            assert provider.force_flush(PATIENCE * 1_000)
    assert provider.force_flush(PATIENCE * 1_000)
    provider.shutdown()
    assert service.stop(), "something is left in the spool"
    ledger = read_ledger(spool)
    assert ledger.balanced, ledger.as_dict()
    assert ledger.total.rejected["too_many_series"].records > 2 * LIMIT
    assert not ledger.total.quarantined
    with Served(store) as client:
        at = {"time": str(time.time())}
        assert asked(client, "count(logins_total)", at) == {"": LIMIT}
        assert asked(client, "sum by (country) (orders_total)", at) == {"at": 1.5 * LIMIT, "de": 1.5 * LIMIT}
        assert asked(client, 'logins_total{user_id="u0"}', at) == {"": 1}
        assert asked(client, f'logins_total{{user_id="u{LIMIT}"}}', at) == {}


def asked(client: Any, query: str, at: dict[str, str]) -> dict[str, float]:
    """The value of each series of the answer, by its country."""
    answer = client.get("/prometheus/api/v1/query", params={"query": query, **at})
    assert answer.status_code == 200, answer.text
    result = answer.json()["data"]["result"]
    return {each["metric"].get("country", ""): float(each["value"][1]) for each in result}
