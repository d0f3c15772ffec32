"""PromQL over the store, from OTLP to the answer."""

from __future__ import annotations

import numpy as np
import pytest
from sent import T0_MS, counter, exponential, gauge, histogram, point, reader, send
from sonde.query.prometheus.samples import StoreSource
from sonde.query.promql.evaluate import evaluate
from sonde.query.promql.parser import parse
from sonde.query.promql.values import Samples, Vector
from sonde.storage.store import Store
from test_running_totals import MIDNIGHT, deltas


def value(store: Store, query: str, seconds: float) -> list[float]:
    """What an instant query answers at so many seconds after T0."""
    at = T0_MS + round(seconds * 1000)
    answer = evaluate(parse(query), StoreSource(reader(store, "t")), start_ms=at, end_ms=at).value
    assert isinstance(answer, Vector | Samples)
    return np.asarray(answer.values).ravel().tolist()


@pytest.mark.parametrize(
    ("query", "seconds", "expected"),
    [
        ("increase(x_total[100s])", 100, 10 * 3),
        ("rate(x_total[100s])", 100, 0.3),
        ("sum(increase(x_total[50s]))", 200, 15),
        ("x_total", 100, 30),
        # Over midnight nothing is lost, and nothing counts twice.
        ("increase(x_total[100s])", MIDNIGHT + 50, 30),
        ("x_total", MIDNIGHT + 50, 18),
        ("increase(y_total[100s])", 100, 10 * 3),
        ("increase(y_total[100s])", MIDNIGHT + 50, 30),
    ],
)
def test_rate_and_increase_over_deltas_are_those_of_the_counts(
    store: Store, query: str, seconds: float, expected: float
) -> None:
    times = [*range(10, 300, 10), *range(MIDNIGHT - 300, MIDNIGHT + 300, 10)]
    send(store, "t", deltas(*((time, time - 10, 3) for time in times)))
    # The same counts, cumulative.
    points = [point(time, 0, asInt=3 * (index + 1)) for index, time in enumerate(times)]
    send(store, "t", counter("y", *points))
    assert value(store, query, seconds) == [pytest.approx(expected)]


def test_an_increase_of_few_deltas_counts_each(store: Store) -> None:
    send(store, "t", deltas((1000, 990, 4), (2000, 1990, 5)), gauge("other", point(0, asInt=1)))
    [increase] = value(store, "increase(x_total[1500s])", 2100)
    assert increase == pytest.approx(9, rel=0.15)


def fill_shop(store: Store) -> None:
    """Two instances of a service, each with a counter, a histogram of both kinds, and attributes of its resource."""
    for number, region in enumerate(["north", "south"]):
        times = [(index + 1, 10.0 * (index + 1)) for index in range(30)]
        labels = {"http.route": "/cart"}
        hits = [point(at, 0, asInt=(number + 1) * n, labels=labels) for n, at in times]
        classic = [
            point(at, 0, count=10 * n, sum=5.0 * n, bucketCounts=[4 * n, 4 * n, 2 * n], explicitBounds=[0.5, 1])
            for n, at in times
        ]
        buckets = {"offset": 0, "bucketCounts": [5, 5]}
        deltas = [point(at, at - 10, count=10, sum=15.0, scale=0, positive=buckets) for _, at in times]
        resource = {"service.name": "shop", "service.instance.id": f"i{number}", "cloud.region": region}
        metrics = [
            counter("hits", *hits),
            histogram("latency", *classic, unit="s"),
            exponential("size", *deltas, temporality=1, unit="By"),
        ]
        send(store, "t", *metrics, resource=resource)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sum(rate(hits_total[100s]))", [0.3]),
        ('sum(rate({"hits"}[100s]))', [0.3]),
        ('sum by ("http.route") (rate({"hits"}[100s]))', [0.3]),
        ('sum by (http_route) (rate(hits_total{job="shop"}[100s]))', [0.3]),
        (
            'sum(rate(hits_total[100s]) * on (job, instance) group_left (cloud_region) target_info{cloud_region="south"})',
            [0.2],
        ),
        ("histogram_quantile(0.4, sum by (le) (rate(latency_seconds_bucket[100s])))", [0.5]),
        ('histogram_quantile(0.8, sum by (le) (rate({"latency_bucket"}[100s])))', [1]),
        ("sum(rate(latency_seconds_sum[100s])) / sum(rate(latency_seconds_count[100s]))", [0.5]),
        ("histogram_count(sum(rate(size_bytes[100s])))", [2]),
        ("histogram_avg(sum(rate(size_bytes[100s])))", [1.5]),
        ("histogram_quantile(1, sum(rate(size_bytes[100s])))", [4]),
        ('count({job="shop"})', [2 * (1 + 3 + 2 + 1 + 1)]),
        ("absent(nothing)", [1]),
        ("hits_total offset 1h", []),
    ],
)
def test_promql_over_what_was_sent_as_otlp(store: Store, query: str, expected: list[float]) -> None:
    fill_shop(store)
    assert value(store, query, 300) == [pytest.approx(each) for each in expected]
