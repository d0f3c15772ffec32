"""The kernels that put points in order are there before the first query, and no kind of series compiles them anew."""

from __future__ import annotations

import pytest
from sent import T0_MS, counter, exponential, gauge, histogram, point, reader, send, summary
from sonde.query.prometheus import json_kernels, kernels
from sonde.query.prometheus.samples import StoreSource
from sonde.query.prometheus.warm import CALLS, warm
from sonde.query.promql.evaluate import evaluate
from sonde.query.promql.parser import parse
from sonde.query.promql.warm import warm as warm_promql
from sonde.storage.store import Store
from test_warm import compiled


def test_warm_says_what_it_does_and_compiles_every_kernel() -> None:
    steps: list[tuple[str, int, int]] = []
    warm(lambda what, step, of: steps.append((what, step, of)))
    assert [step for _, step, _ in steps] == list(range(len(CALLS)))
    kinds = compiled([kernels, json_kernels])
    assert {name.rpartition(".")[2] for name in kinds} == set(CALLS)
    assert all(kinds.values())


QUANTILES = [{"quantile": 0.5, "value": 2.0}]


@pytest.mark.parametrize("text", ["x", "x_total", "y_total", "h_bucket", "h_sum", "e", "q", "d", "dh_bucket"])
def test_no_kind_of_series_compiles_a_kernel_anew(store: Store, text: str) -> None:
    times = (30, 10, 20, 20)
    buckets = {"count": 3, "sum": 2.0, "bucketCounts": [1, 2], "explicitBounds": [1]}
    native = {"count": 3, "sum": 2.0, "positive": {"offset": 0, "bucketCounts": [1, 2]}}
    send(
        store,
        "t",
        gauge("x", *(point(at, asDouble=at) for at in times)),
        counter("x", *(point(at, 0, asInt=at) for at in times)),
        counter("y", *(point(at, at - 10, asInt=1) for at in times), delta=True),
        histogram("h", *(point(at, 0, **buckets) for at in times)),
        histogram("dh", *(point(at, at - 10, **buckets) for at in times), delta=True),
        exponential("e", *(point(at, 0, **native) for at in times)),
        exponential("d", *(point(at, at - 10, **native) for at in times), temporality=1),
        summary("q", *(point(at, count=1, sum=2.0, quantileValues=QUANTILES) for at in times)),
    )
    warm()
    warm_promql()
    before = compiled([kernels])
    found = evaluate(parse(text), StoreSource(reader(store, "t")), start_ms=T0_MS + 40_000, end_ms=T0_MS + 40_000)
    assert found.value.labels.size  # type: ignore[union-attr]
    assert compiled([kernels]) == before
