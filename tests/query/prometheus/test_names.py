"""OpenTelemetry's names as Prometheus'."""

from __future__ import annotations

import pytest
from sonde.query.prometheus.names import is_plain_label, label_name, metric_name, unit_words


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("http.server.duration", "s", "histogram", "http_server_duration_seconds"),
        ("http.server.duration", "ms", "histogram", "http_server_duration_milliseconds"),
        ("requests", "", "counter", "requests_total"),
        ("requests_total", "", "counter", "requests_total"),
        ("total.requests", "", "counter", "requests_total"),
        ("requests", "{request}", "counter", "requests_total"),
        ("requests", "1", "counter", "requests_total"),
        ("cpu.utilization", "1", "gauge", "cpu_utilization_ratio"),
        ("cpu.ratio", "1", "gauge", "cpu_ratio"),
        ("ratio.of.hits", "1", "gauge", "of_hits_ratio"),
        ("cpu.utilization", "1", "histogram", "cpu_utilization"),
        ("disk.io", "By", "counter", "disk_io_bytes_total"),
        ("disk.io.bytes", "By", "counter", "disk_io_bytes_total"),
        ("disk.bytes.io", "By", "gauge", "disk_bytes_io"),
        ("disk.speed", "By/s", "gauge", "disk_speed_bytes_per_second"),
        ("disk.speed", "KiBy/m", "gauge", "disk_speed_kibibytes_per_minute"),
        ("packets", "{packet}/s", "gauge", "packets_per_second"),
        ("fan.speed", "m/s", "gauge", "fan_speed_meters_per_second"),
        ("orders", "widgets/{day}", "gauge", "orders_widgets"),
        ("memory", "TiBy", "gauge", "memory_tebibytes"),
        ("temperature", "Cel", "gauge", "temperature_celsius"),
        ("load", "%", "gauge", "load_percent"),
        ("x", " ms ", "gauge", "x_milliseconds"),
        ("odd", "m^2", "gauge", "odd_m_2"),
        ("a..b--c", "", "gauge", "a_b_c"),
        ("_private_", "", "gauge", "private"),
        ("node:cpu:rate", "", "gauge", "node:cpu:rate"),
        ("2xx", "", "gauge", "_2xx"),
        ("größe", "", "gauge", "gr_e"),
        ("度", "s", "gauge", "度"),
    ],
)
def test_metric_names_get_suffixes_of_unit_and_type(name: str, unit: str, kind: str, expected: str) -> None:
    assert metric_name(name, unit, is_counter=kind == "counter", is_gauge=kind == "gauge") == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("http.route", "http_route"),
        ("http-route", "http_route"),
        ("a..b", "a__b"),
        ("plain_1", "plain_1"),
        ("2xx", "key_2xx"),
        ("_x", "key_x"),
        ("__x", "__x"),
        ("a:b", "a_b"),
        ("ключ1", "____1"),
        ("ключ", "ключ"),
    ],
)
def test_label_names_are_escaped(key: str, expected: str) -> None:
    assert label_name(key) == expected


def test_a_unit_in_words() -> None:
    assert "_".join(unit_words("By/s")) == "bytes_per_second"
    assert unit_words("{req}") == unit_words("1") == unit_words("") == []


def test_what_a_translated_label_can_be_called() -> None:
    assert is_plain_label("http_route")
    assert not is_plain_label("http.route")
    assert not is_plain_label("2xx")
