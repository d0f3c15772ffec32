"""Metrics that came from Prometheus come back as they were, whichever view is asked."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from sent import attributes, counter, exponential, found, gauge, histogram, point, send
from sonde.query.promql.histogram import CounterReset, Histogram
from sonde.storage.store import Store

LABELS = {"__x": "1", "job": "j", "instance": "i", "with.dot": "d"}
SPELLED = "__x=1 instance=i job=j with.dot=d"


def marked(metric: dict[str, Any], type: str, **more: str) -> dict[str, Any]:
    return metric | {
        "metadata": attributes({"prometheus.type": type, **{f"prometheus.{k}": v for k, v in more.items()}})
    }


def bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def test_names_and_labels_stay_in_both_views(store: Store) -> None:
    send(
        store,
        "t",
        marked(counter("http_requests", point(0, asInt=1, labels=LABELS), unit="s"), "counter"),
        marked(gauge("with.dot", point(0, asInt=2, labels=LABELS), unit="1"), "gauge"),
        marked(gauge("h_bucket", point(0, asInt=2, labels={"le": "1.0"})), "histogram"),
    )
    assert found(store, "t", "http_requests") == {f"http_requests {SPELLED}": {0: 1}}
    assert found(store, "t", "http_requests_seconds_total") == {}
    assert found(store, "t", '{"with.dot","with.dot"="d",job="j"}') == {f"with.dot {SPELLED}": {0: 2}}
    assert found(store, "t", '{__name__=~"with.dot"}') == {f"with.dot {SPELLED}": {0: 2}}
    assert found(store, "t", 'h_bucket{le="1.0"}') == {"h_bucket le=1.0": {0: 2}}
    assert found(store, "t", 'h_bucket{le!="1.0"}') == {}


def test_a_marked_metric_and_one_of_otlp_may_have_one_name(store: Store) -> None:
    send(store, "t", gauge("a.b", point(0, asInt=1)), marked(gauge("a_b", point(10, asInt=2)), "gauge"))
    assert found(store, "t", "a_b") == {"a_b": {0: 1, 10: 2}}
    assert found(store, "t", '{"a.b"}') == {"a.b": {0: 1}}


def test_a_point_with_neither_value_nor_flags_is_no_sample(store: Store) -> None:
    send(store, "t", marked(counter("x", point(0), point(10, asInt=1), point(20, flags=1)), "counter"))
    assert found(store, "t", "x") == {"x": {10: 1, 20: "stale"}}


@pytest.mark.parametrize("floats", [False, True], ids=["integers", "floats"])
def test_explicit_buckets_are_a_native_histogram_with_custom_ones(store: Store, floats: bool) -> None:
    counts = [1.5, 0.0, 2.0] if floats else [1.0, 0.0, 2.0]
    sent = [bits(each) if floats else int(each) for each in (sum(counts), *counts)]
    fields = {"count": sent[0], "sum": 7.0, "bucketCounts": sent[1:], "explicitBounds": [0.5, 2]}
    metric = histogram("h", point(0, **fields), point(10, flags=1))
    send(store, "t", marked(metric, "nhcb", **({"counts": "float64"} if floats else {})))
    expected = Histogram(
        schema=-53,
        count=sum(counts),
        sum=7,
        positive_indices=np.array([0, 2], np.int32),
        positive_counts=np.array([counts[0], counts[2]]),
        custom_values=np.array([0.5, 2]),
    )
    assert found(store, "t", "h") == {"h": {0: expected, 10: "stale"}}
    assert found(store, "t", "h_bucket") == found(store, "t", "h_count") == {}


def test_float_counts_and_gauge_histograms_come_back(store: Store) -> None:
    buckets = {"offset": 0, "bucketCounts": [bits(0.25)]}
    metric = exponential("g", point(0, count=bits(0.75), zeroCount=bits(0.5), sum=1, positive=buckets), temporality=0)
    send(store, "t", marked(metric, "gaugehistogram", counts="float64"))
    ((value,),) = (series.values() for series in found(store, "t", "g").values())
    assert (value.count, value.zero_count, value.positive_counts.tolist()) == (0.75, 0.5, [0.25])
    assert value.counter_reset_hint is CounterReset.GAUGE
