"""The Python package `prometheus-api-client` asks sonde."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from httpx import Client
from prometheus_api_client import PrometheusApiClientException, PrometheusConnect
from prometheus_rows import END, START, STEP, TENANT, fill
from sonde.storage.store import Store

Filled = Callable[[str, Callable[[Store], None]], str]
FROM, TO = datetime.fromtimestamp(START, UTC), datetime.fromtimestamp(END, UTC)


@pytest.fixture
def prometheus(shared_client: Client, filled: Filled) -> Iterator[PrometheusConnect]:
    headers = {"X-Sonde-Tenant": filled(TENANT, fill)}
    client = PrometheusConnect(url=f"{str(shared_client.base_url).rstrip('/')}/prometheus", headers=headers)
    yield client
    client._session.close()


def test_it_finds_a_server(prometheus: PrometheusConnect) -> None:
    assert prometheus.check_prometheus_connection()


def test_it_lists_metrics_and_labels(prometheus: PrometheusConnect) -> None:
    assert {"queue_size", "http_server_requests_total"} <= set(prometheus.all_metrics())
    assert prometheus.get_label_values("http_method") == ["GET", "POST"]


def test_it_reads_the_present_value(prometheus: PrometheusConnect) -> None:
    (found,) = prometheus.custom_query("sum(queue_size)", params={"time": END})
    assert found == {"metric": {}, "value": [END, "40.5"]}


def test_it_reads_a_range(prometheus: PrometheusConnect) -> None:
    (found,) = prometheus.custom_query_range("sum(queue_size)", start_time=FROM, end_time=TO, step=str(STEP))
    assert found["values"][0] == [START, "0.5"]
    assert found["values"][-1] == [END, "40.5"]


def test_it_reads_raw_samples(prometheus: PrometheusConnect) -> None:
    (found,) = prometheus.get_metric_range_data("queue_size", {"queue": "mail"}, start_time=FROM, end_time=TO)
    assert found["values"][-1] == [END, "40.5"]


def test_an_error_is_an_exception_with_the_text(prometheus: PrometheusConnect) -> None:
    with pytest.raises(PrometheusApiClientException, match="parse error: unexpected identifier"):
        prometheus.custom_query("a b")
