"""What there is to select."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sent import (
    HOUR_MS,
    T0_MS,
    attributes,
    counter,
    exponential,
    gauge,
    histogram,
    matchers,
    nano,
    point,
    reader,
    send,
    spelled,
    summary,
)
from sonde.query.prometheus import catalogue, exemplars
from sonde.storage.store import Store

Filled = Callable[[str, Callable[[Store], None]], str]
RANGE = (T0_MS, T0_MS + HOUR_MS)
LATER = (T0_MS + 30 * 86_400_000, T0_MS + 31 * 86_400_000)
CART = {"service.name": "cart", "service.instance.id": "i", "host.name": "h"}
TRACE, SPAN = b"\x01" * 16, b"\x02" * 8


def exemplar(seconds: float, value: float, **filtered: Any) -> dict[str, Any]:
    import base64

    ids = {"traceId": base64.b64encode(TRACE).decode(), "spanId": base64.b64encode(SPAN).decode()}
    return {"timeUnixNano": nano(seconds), "asDouble": value, "filteredAttributes": attributes(filtered)} | ids


def fill(store: Store) -> None:
    buckets = {"bucketCounts": [1, 2, 3], "explicitBounds": [0.5, 2]}
    send(
        store,
        "catalogue",
        gauge("queue.size", point(0, asInt=1, labels={"queue": "mail"}), unit="1", description="waiting"),
        gauge("queue.size", point(0, asInt=1, labels={"queue": "sms"}), unit="1", description="waiting"),
        counter("hits", point(0, asInt=1, labels={"http.route": "/"}, exemplars=[exemplar(1, 3.5, user=7)]), unit="By"),
        histogram("latency", point(0, count=6, exemplars=[exemplar(2, 0.7), exemplar(3, 9)], **buckets), unit="s"),
        exponential("size", point(0, count=1)),
        summary("gc", point(0, count=1, quantileValues=[{"quantile": 0.5, "value": 1}])),
        gauge("go_gc_sum", point(0, asInt=1)) | {"metadata": attributes({"prometheus.type": "summary"})},
        resource=CART,
    )


@pytest.fixture
def filled_store(shared_store: Store, filled: Filled) -> Store:
    filled("catalogue", fill)
    return shared_store


def sets(*selectors: str) -> list[Any]:
    return [matchers(selector) for selector in selectors]


@pytest.mark.parametrize(
    ("selectors", "expected"),
    [
        (
            ["queue_size_ratio"],
            ["queue_size_ratio instance=i job=cart queue=mail", "queue_size_ratio instance=i job=cart queue=sms"],
        ),
        (
            ['queue_size_ratio{queue="sms"}', '{"hits"}'],
            ["hits http.route=/ instance=i job=cart", "queue_size_ratio instance=i job=cart queue=sms"],
        ),
        (
            ['latency_seconds_bucket{le=~"2|.Inf"}'],
            ["latency_seconds_bucket instance=i job=cart le=+Inf", "latency_seconds_bucket instance=i job=cart le=2"],
        ),
        (["gc"], ["gc instance=i job=cart quantile=0.5"]),
        (["target_info", "target_info"], ["target_info host_name=h instance=i job=cart"]),
        (["nothing"], []),
    ],
)
def test_series_are_listed_once(filled_store: Store, selectors: list[str], expected: list[str]) -> None:
    found = catalogue.series(reader(filled_store, "catalogue"), sets(*selectors), *RANGE)
    assert sorted(spelled(labels) for labels in found) == expected


def test_lists_have_limits_and_a_time(filled_store: Store) -> None:
    asked = reader(filled_store, "catalogue")
    everything = sets('{__name__=~".+"}')
    assert len(catalogue.series(asked, everything, *RANGE)) == 14
    assert len(catalogue.series(asked, everything, *RANGE, limit=3)) == 3
    assert catalogue.series(asked, everything, *LATER) == []
    assert catalogue.label_names(asked, [], *RANGE, limit=2) == ["__name__", "host_name"]
    assert catalogue.label_values(asked, "__name__", [], *RANGE, limit=1) == ["gc"]
    assert catalogue.label_values(asked, "queue", [], *LATER) == []


def test_label_names_and_values(filled_store: Store) -> None:
    asked = reader(filled_store, "catalogue")
    assert catalogue.label_names(asked, [], *RANGE) == [
        *("__name__", "host_name", "http_route", "instance", "job", "le", "quantile", "queue"),
    ]
    assert catalogue.label_names(asked, sets('{"hits"}'), *RANGE) == ["__name__", "http.route", "instance", "job"]
    assert catalogue.label_values(asked, "queue", [], *RANGE) == ["mail", "sms"]
    assert catalogue.label_values(asked, "queue", sets('{queue!="sms",job="cart"}'), *RANGE) == ["mail"]
    assert catalogue.label_values(asked, "le", [], *RANGE) == ["+Inf", "0.5", "2"]
    assert catalogue.label_values(asked, "job", [], *RANGE) == ["cart"]
    assert catalogue.label_values(asked, "absent", [], *RANGE) == []
    assert catalogue.label_values(asked, "__name__", [], *RANGE) == [
        *("gc", "gc_count", "gc_sum", "go_gc_sum", "hits_bytes_total"),
        *("latency_seconds_bucket", "latency_seconds_count", "latency_seconds_sum"),
        *("queue_size_ratio", "size", "target_info"),
    ]


def test_values_without_matchers_are_those_of_every_kind_of_attribute(store: Store) -> None:
    def put(**labels: Any) -> dict[str, Any]:
        return point(0, asInt=1, labels={key.replace("__", "."): value for key, value in labels.items()})

    send(store, "t", gauge("x", put(a__b=1), put(a__b="x"), put(a__b=0.5), put(a__b=True), put(c="1"), put(c="")))
    send(store, "t", gauge("y", put(c="2", both="own")), resource={"service.name": "s", "both": "of the resource"})
    marked = gauge("z", put(c="3", a__b="verbatim")) | {"metadata": attributes({"prometheus.type": "gauge"})}
    send(store, "t", marked, gauge("y", put(d__e="1"), put(d_e="2")))
    asked = reader(store, "t")
    for label, expected in {
        "a_b": ["0.5", "1", "true", "x"],
        "a.b": ["verbatim"],
        "c": ["1", "2", "3"],
        "d_e": ["1", "2"],
        "both": ["of the resource", "own"],
        "job": ["s"],
        "none": [],
    }.items():
        assert catalogue.label_values(asked, label, [], *RANGE) == expected, label
        everything = sets('{__name__=~".+"}')
        assert catalogue.label_values(asked, label, everything, *RANGE) == expected, label


def test_label_names_without_matchers_are_translated_but_for_series_of_prometheus(store: Store) -> None:
    def put(*keys: str) -> dict[str, Any]:
        return point(0, asInt=1, labels=dict.fromkeys(keys, "1"))

    def marked(name: str, *keys: str) -> dict[str, Any]:
        return gauge(name, put(*keys)) | {"metadata": attributes({"prometheus.type": "gauge"})}

    send(store, "only", marked("z", "_own", "a.b", "c"))
    send(store, "mixed", marked("z", "_own", "a.b", "c"), gauge("y", put("a.b", "d.e", "_of", "c")))
    for tenant, expected in {
        "only": ["__name__", "_own", "a.b", "c"],
        "mixed": ["__name__", "_own", "a.b", "a_b", "c", "d_e", "key_of"],
    }.items():
        asked = reader(store, tenant)
        assert catalogue.label_names(asked, [], *RANGE) == expected
        matched = catalogue.label_names(asked, sets('{__name__=~".+"}'), *RANGE)
        assert matched == expected


def test_metadata_tells_type_help_and_unit(filled_store: Store) -> None:
    asked = reader(filled_store, "catalogue")
    found = catalogue.metadata(asked)
    assert {name: entries[0]["type"] for name, entries in found.items()} == {
        "queue_size_ratio": "gauge",
        "hits_bytes_total": "counter",
        "latency_seconds": "histogram",
        "size": "histogram",
        "gc": "summary",
        "go_gc": "summary",
    }
    assert found["queue_size_ratio"] == [{"type": "gauge", "help": "waiting", "unit": ""}]
    assert found["hits_bytes_total"] == [{"type": "counter", "help": "", "unit": "bytes"}]
    assert list(catalogue.metadata(asked, "gc")) == ["gc"]
    assert len(catalogue.metadata(asked, limit=2)) == 2
    assert catalogue.metadata(reader(filled_store, "nobody")) == {}


def test_exemplars_stand_with_the_series_and_the_bucket_they_belong_to(filled_store: Store) -> None:
    asked = reader(filled_store, "catalogue")
    ids = {"trace_id": TRACE.hex(), "span_id": SPAN.hex()}
    hits = {"__name__": "hits_bytes_total", "http_route": "/", "instance": "i", "job": "cart"}
    assert exemplars.query(asked, sets("hits_bytes_total"), *RANGE) == [
        {
            "seriesLabels": hits,
            "exemplars": [{"labels": ids | {"user": "7"}, "value": "3.5", "timestamp": T0_MS / 1000 + 1}],
        }
    ]
    buckets = exemplars.query(asked, sets("latency_seconds_bucket"), *RANGE)
    assert [(each["seriesLabels"]["le"], each["exemplars"][0]["value"]) for each in buckets] == [
        ("2", "0.7"),
        ("+Inf", "9"),
    ]
    assert [
        each["seriesLabels"]["le"] for each in exemplars.query(asked, sets('latency_seconds_bucket{le="2"}'), *RANGE)
    ] == ["2"]
    assert exemplars.query(asked, sets("latency_seconds_sum", "queue_size_ratio", "nothing"), *RANGE) == []
    assert exemplars.query(asked, sets("hits_bytes_total"), T0_MS + 1001, T0_MS + HOUR_MS) == []
    assert len(exemplars.query(asked, sets("hits_bytes_total"), T0_MS + 1000, T0_MS + 1000)) == 1
