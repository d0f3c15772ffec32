"""The store as PromQL's source: what was sent as OTLP, as Prometheus series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sent import (
    HOUR_MS,
    T0_MS,
    counter,
    exponential,
    found,
    gauge,
    histogram,
    matchers,
    point,
    reader,
    select,
    send,
    summary,
)
from sonde.query.prometheus.samples import StoreSource
from sonde.query.promql.errors import TooManySamples
from sonde.query.promql.histogram import CounterReset, Histogram
from sonde.storage.store import Store

Filled = Callable[[str, Callable[[Store], None]], str]
CART = {"service.name": "cart", "service.namespace": "shop", "service.instance.id": "cart-1", "host.name": "h1"}
CART_LABELS = "instance=cart-1 job=shop/cart"
STALE = {"flags": 1}


def fill_kinds(store: Store) -> None:
    def put(*metrics: Any, **given: Any) -> None:
        send(store, "kinds", *metrics, resource=CART, **given)

    buckets = {"count": 6, "sum": 7.5, "bucketCounts": [1, 2, 3], "explicitBounds": [0.5, 2]}
    put(
        gauge("queue.size", point(0, asDouble=1.5), point(10, asInt=7), point(20, **STALE), unit="1"),
        counter("requests", point(0, start=-5, asInt=3, labels={"http.route": "/cart"}), unit="{request}"),
        counter("balance", point(0, asDouble=-2.0), monotonic=False, unit="By"),
        histogram("latency", point(0, start=-5, **buckets), point(10, start=-5, **STALE), unit="s"),
        summary(
            "gc",
            point(
                0, count=4, sum=2.0, quantileValues=[{"quantile": 0.5, "value": 0.25}, {"quantile": 0.99, "value": 1}]
            ),
            unit="ms",
        ),
        exponential(
            "size",
            point(
                0,
                count=10,
                sum=99.0,
                scale=1,
                zeroCount=2,
                zeroThreshold=0.25,
                positive={"offset": -1, "bucketCounts": [1, 0, 3]},
                negative={"offset": 2, "bucketCounts": [4]},
            ),
            point(10, **STALE),
            unit="By",
        ),
    )


@pytest.fixture
def kinds(shared_store: Store, filled: Filled) -> tuple[Store, str]:
    return shared_store, filled("kinds", fill_kinds)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("queue_size_ratio", {f"queue_size_ratio {CART_LABELS}": {0: 1.5, 10: 7, 20: "stale"}}),
        ('{"queue.size"}', {f"queue.size {CART_LABELS}": {0: 1.5, 10: 7, 20: "stale"}}),
        ("requests_total", {f"requests_total http_route=/cart {CART_LABELS}": {0: 3}}),
        ('{"requests"}', {f"requests http.route=/cart {CART_LABELS}": {0: 3}}),
        ("balance_bytes", {f"balance_bytes {CART_LABELS}": {0: -2}}),
        ("latency_seconds_sum", {f"latency_seconds_sum {CART_LABELS}": {0: 7.5, 10: "stale"}}),
        ("latency_seconds_count", {f"latency_seconds_count {CART_LABELS}": {0: 6, 10: "stale"}}),
        (
            "latency_seconds_bucket",
            {
                f"latency_seconds_bucket {CART_LABELS} le=0.5": {0: 1, 10: "stale"},
                f"latency_seconds_bucket {CART_LABELS} le=2": {0: 3, 10: "stale"},
                f"latency_seconds_bucket {CART_LABELS} le=+Inf": {0: 6, 10: "stale"},
            },
        ),
        ('{"latency_bucket", le="2"}', {f"latency_bucket {CART_LABELS} le=2": {0: 3, 10: "stale"}}),
        ('latency_seconds_bucket{le=~"0.*"}', {f"latency_seconds_bucket {CART_LABELS} le=0.5": {0: 1, 10: "stale"}}),
        (
            "gc_milliseconds",
            {
                f"gc_milliseconds {CART_LABELS} quantile=0.5": {0: 0.25},
                f"gc_milliseconds {CART_LABELS} quantile=0.99": {0: 1},
            },
        ),
        ('{"gc", quantile="0.5"}', {f"gc {CART_LABELS} quantile=0.5": {0: 0.25}}),
        ("gc_milliseconds_count", {f"gc_milliseconds_count {CART_LABELS}": {0: 4}}),
        ("gc_milliseconds_sum", {f"gc_milliseconds_sum {CART_LABELS}": {0: 2}}),
        ("latency_seconds", {}),
        ("latency", {}),
        ("requests_total_total", {}),
        ('requests_total{http_route!="/cart"}', {}),
        (
            'requests_total{http_route="/cart",job=~"shop/.*",missing=""}',
            {f"requests_total http_route=/cart {CART_LABELS}": {0: 3}},
        ),
        ('requests_total{missing!=""}', {}),
        ('requests_total{"http.route"="/cart"}', {}),
        ("target_info", {f"target_info host_name=h1 {CART_LABELS}": {20: 1}}),
        ('{"target_info", "host.name"="h1"}', {f"target_info host.name=h1 {CART_LABELS}": {20: 1}}),
        ('target_info{host_name="h2"}', {}),
    ],
)
def test_every_kind_has_its_series_in_both_views(kinds: tuple[Store, str], selector: str, expected: Any) -> None:
    assert found(*kinds, selector) == expected


def test_without_an_equal_name_the_translated_view_alone_answers(kinds: tuple[Store, str]) -> None:
    names = {key.split()[0] for key in found(*kinds, '{job="shop/cart"}')}
    parts = {"latency_seconds_bucket", "latency_seconds_count", "latency_seconds_sum"}
    parts |= {"gc_milliseconds", "gc_milliseconds_count", "gc_milliseconds_sum"}
    assert names == parts | {"queue_size_ratio", "requests_total", "balance_bytes", "size_bytes", "target_info"}
    assert {key.split()[0] for key in found(*kinds, '{__name__=~"gc.*|queue.*"}')} == {
        "gc_milliseconds",
        "gc_milliseconds_count",
        "gc_milliseconds_sum",
        "queue_size_ratio",
    }
    assert found(*kinds, '{__name__=~"queue.size", __name__!="queue_size_ratio"}') == {}


def test_an_exponential_histogram_is_a_native_one_with_its_buckets_one_index_higher(kinds: tuple[Store, str]) -> None:
    (values,) = found(*kinds, "size_bytes").values()
    assert values == {0: values[0], 10: "stale"}
    assert values[0] == Histogram(
        schema=1,
        zero_threshold=0.25,
        zero_count=2,
        count=10,
        sum=99,
        positive_indices=np.array([0, 2], np.int32),
        positive_counts=np.array([1.0, 3.0]),
        negative_indices=np.array([3], np.int32),
        negative_counts=np.array([4.0]),
    )
    assert values[0].counter_reset_hint is CounterReset.UNKNOWN
    (original,) = found(*kinds, '{"size"}')
    assert original == f"size {CART_LABELS}"


def test_a_scale_beyond_prometheus_is_reduced(store: Store) -> None:
    # Of scale 10, OTLP's buckets -1 to 4 end at base ** 0 to 5; of scale 8 these are within 0, 1, 1, 1, 1, 2.
    buckets = {"offset": -1, "bucketCounts": [1, 1, 1, 1, 1, 1]}
    send(store, "t", exponential("x", point(0, count=6, sum=1, scale=10, positive=buckets)))
    ((value,),) = (series.values() for series in found(store, "t", "x").values())
    assert (value.schema, value.positive_indices.tolist(), value.positive_counts.tolist()) == (8, [0, 1, 2], [1, 4, 1])


def test_start_times_are_told(kinds: tuple[Store, str]) -> None:
    samples = select(*kinds, "requests_total")
    assert samples.start_times is not None
    assert samples.start_times.tolist() == [T0_MS - 5000]
    samples = select(*kinds, "queue_size_ratio")
    assert samples.start_times is not None
    assert samples.start_times.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("start", "end", "times"),
    [(0, 20, [0, 10, 20]), (1, 20, [10, 20]), (10, 10, [10]), (11, 19, []), (-(2**53), 2**53, [0, 10, 20])],
)
def test_both_ends_of_the_window_are_within(kinds: tuple[Store, str], start: int, end: int, times: list[int]) -> None:
    answer = found(*kinds, "queue_size_ratio", T0_MS + start * 1000, T0_MS + end * 1000)
    assert [list(series) for series in answer.values()] == ([times] if times else [])


def test_attributes_of_every_type_are_text(store: Store) -> None:
    labels = {
        "text": "a",
        "int": 500,
        "double": 0.5,
        "bool": True,
        "empty": "",
        "list": {"arrayValue": {"values": [{"intValue": 1}, {"stringValue": "x"}]}},
        "bytes": {"bytesValue": "AQI="},
        "unset": {},
    }
    send(store, "t", gauge("x", point(0, asInt=1, labels=labels)))
    assert found(store, "t", "x") == {'x bool=true bytes=AQI= double=0.5 int=500 list=[1,"x"] text=a': {0: 1}}
    for selector in ('{int="500"}', '{double="0.5"}', '{bool="true"}', '{bytes="AQI="}', '{text=~"b|a"}', '{unset=""}'):
        assert len(found(store, "t", f"x{selector}")) == 1, selector
    for selector in ('{int="5"}', '{double="0.50"}', '{bool="1"}', '{text=~"b|c"}', '{text!~"a"}', '{list=""}'):
        assert found(store, "t", f"x{selector}") == {}, selector


def test_attributes_that_become_one_label_are_joined_in_the_order_of_their_keys(store: Store) -> None:
    send(
        store,
        "t",
        gauge(
            "x", point(0, asInt=1, labels={"a_b": "2", "a.b": "1", "a-b": 0.5}), point(0, asInt=2, labels={"a.b": "9"})
        ),
    )
    assert found(store, "t", "x") == {"x a_b=0.5;1;2": {0: 1}, "x a_b=9": {0: 2}}
    assert found(store, "t", 'x{a_b="0.5;1;2"}') == {"x a_b=0.5;1;2": {0: 1}}
    assert found(store, "t", '{"x", "a.b"="1"}') == {"x a-b=0.5 a.b=1 a_b=2": {0: 1}}


def test_a_metric_of_one_name_in_both_views_shows_once(store: Store) -> None:
    send(store, "t", counter("up_total", point(0, asInt=1, labels={"http.route": "/"})))
    assert found(store, "t", "up_total") == {"up_total http_route=/": {0: 1}}
    assert found(store, "t", '{"up_total", "http.route"=~".*"}') == {"up_total http.route=/": {0: 1}}


def test_job_and_instance_come_from_the_resource_and_scopes_are_labels(store: Store) -> None:
    def put(resource: dict[str, Any], **scope: str) -> None:
        send(store, "t", gauge("x", point(0, asInt=1, labels={"job": "own"})), resource=resource, scope=scope)

    put({"service.name": "a"}, name="lib", version="2")
    put({"service.name": "b", "service.namespace": "n", "service.instance.id": 7})
    put({"service.namespace": "n"}, name="lib")
    assert found(store, "t", "x") == {
        "x job=a otel_scope_name=lib otel_scope_version=2": {0: 1},
        "x instance=7 job=n/b": {0: 1},
        "x job=own otel_scope_name=lib": {0: 1},
    }
    assert len(found(store, "t", 'x{job="a"}')) == len(found(store, "t", 'x{job="own"}')) == 1
    assert len(found(store, "t", 'x{job=~"n/b|a"}')) == 2
    assert len(found(store, "t", 'x{instance="7"}')) == 1
    assert len(found(store, "t", 'x{otel_scope_version="2"}')) == 1


def test_a_resource_that_nothing_identifies_or_describes_has_no_target_info(store: Store) -> None:
    send(store, "t", gauge("x", point(0, asInt=1)), resource={"host.name": "h"})
    send(store, "t", gauge("x", point(0, asInt=1)), resource={"service.name": "a"})
    assert found(store, "t", "target_info") == {}


def test_target_info_has_a_sample_in_each_minute_that_its_resource_has_points_in(store: Store) -> None:
    points = [point(seconds, asInt=1) for seconds in (0, 20, 50, 70, 900)]
    send(store, "t", gauge("x", *points), resource={"service.name": "a", "host.name": "h"})
    assert found(store, "t", "target_info") == {"target_info host_name=h job=a": {50: 1, 70: 1, 900: 1}}
    assert found(store, "t", "target_info", T0_MS + 100_000, T0_MS + 800_000) == {}


def test_series_with_the_same_labels_are_one_by_time_and_no_time_comes_twice(store: Store) -> None:
    send(store, "t", gauge("x", point(0, asInt=1), point(20, asInt=3), description="old"))
    send(store, "t", gauge("x", point(10, asInt=2), point(20.0004, asInt=4), description="new"))
    send(store, "t", gauge("x.", point(30, asInt=5)))
    assert list(found(store, "t", "x")) == ["x"]
    series = found(store, "t", "x")["x"]
    assert [series[0], series[10], series[30]] == [1, 2, 5]
    assert series[20] in (3, 4)


def test_of_a_point_sent_twice_the_later_one_stays(store: Store) -> None:
    send(store, "t", gauge("x", point(0, asInt=1)))
    send(store, "t", gauge("x", point(0.0003, asInt=2)))
    assert found(store, "t", "x") == {"x": {0: 2}}


def test_a_classic_histogram_may_change_its_bounds(store: Store) -> None:
    def at(seconds: int, bounds: list[float], counts: list[int]) -> Any:
        return point(seconds, count=sum(counts), sum=1, bucketCounts=counts, explicitBounds=bounds)

    send(store, "t", histogram("x", at(0, [1, 5], [1, 1, 1]), at(10, [1], [2, 2]), at(20, [1, 5], [3, 3, 3])))
    send(store, "t", histogram("x", point(30, count=9, sum=1), point(40, **STALE)))
    assert found(store, "t", "x_bucket") == {
        "x_bucket le=1": {0: 1, 10: 2, 20: 3},
        "x_bucket le=5": {0: 2, 20: 6},
        "x_bucket le=+Inf": {0: 3, 10: 4, 20: 9, 30: 9, 40: "stale"},
    }


def test_a_sum_that_was_not_sent_is_no_sample(store: Store) -> None:
    send(store, "t", histogram("x", point(0, count=1), point(10, count=2, sum=4)))
    assert found(store, "t", "x_sum") == {"x_sum": {10: 4}}
    assert found(store, "t", "x_count") == {"x_count": {0: 1, 10: 2}}


def test_tenants_are_apart(store: Store) -> None:
    send(store, "one", gauge("x", point(0, asInt=1)), resource=CART)
    assert found(store, "two", "x") == found(store, "two", "target_info") == {}
    assert len(found(store, "one", '{__name__=~".+"}')) == 2


def test_more_series_than_ids_fit_a_statement(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from sonde.query.prometheus import points, resources

    send(store, "t", gauge("x", *(point(0, asInt=each, labels={"n": str(each)}) for each in range(20))))
    send(store, "t", gauge("y", point(0, asInt=1)))
    whole = found(store, "t", "x")
    monkeypatch.setattr(points, "MOST_IN_TEXT", 3)
    monkeypatch.setattr(resources, "MOST_IN_TEXT", 3)
    assert found(store, "t", "x") == whole
    assert len(whole) == 20
    assert found(store, "t", 'x{n=~"1."}') == {
        key: value for key, value in whole.items() if key.startswith("x n=1") and len(key) == 6
    }


@pytest.mark.parametrize(("selector", "most"), [("x", 99), ("h_bucket", 99), ('{__name__=~".+"}', 99)])
def test_what_has_too_many_samples_is_refused_by_the_name_of_the_limit(store: Store, selector: str, most: int) -> None:
    send(store, "t", gauge("x", *(point(seconds, asInt=1) for seconds in range(100))))
    buckets = {"count": 3, "bucketCounts": [1] * 3, "explicitBounds": [1, 2]}
    send(store, "t", histogram("h", *(point(seconds, **buckets) for seconds in range(40))))
    source = StoreSource(reader(store, "t"), max_samples=most)
    with pytest.raises(TooManySamples, match=r"99 \(promql_max_samples\)"):
        source.select(matchers(selector), T0_MS, T0_MS + HOUR_MS)
    assert len(source.select(matchers("h_count"), T0_MS, T0_MS + HOUR_MS).times) == 40
