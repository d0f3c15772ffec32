"""PromQL over stored points and over their rollups gives the same answers."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from httpx import Client
from sent import T0_MS, counter, gauge, histogram, point, reader, send
from sonde.query.config import QueryConfig
from sonde.query.prometheus.samples import StoreSource
from sonde.query.promql.evaluate import Result, evaluate
from sonde.query.promql.parser import parse
from sonde.query.promql.summaries import Summaries
from sonde.query.promql.summary_widths import Use
from sonde.query.promql.syntax import Matcher
from sonde.query.promql.values import Samples, Scalar, Vector
from sonde.storage.migrate import migrate
from sonde.storage.retention import Retention
from sonde.storage.store import Store
from stored import Served
from windows_of import HOUR, build_all

BEGIN = T0_MS // HOUR * HOUR
HOURS = 12
ENDED = BEGIN + HOURS * HOUR
EXPRESSIONS = (
    "rate(x_total[1h])",
    "rate(x_total[2h] offset 1h)",
    "sum by (zone) (rate(x_total[1h]))",
    "topk(1, increase(x_total[30m]))",
    "x_total",
    "timestamp(x_total)",
    "avg_over_time(g[1h])",
    "max by (zone) (max_over_time(g[2h]))",
    "g - g offset 1h",
    "sum by (zone) (count_over_time({__name__=~'g|x_total'}[1h]))",
    "absent_over_time(x_total{zone='a'}[1h])",
    "histogram_quantile(0.9, sum by (le) (rate(h_bucket[1h])))",
    "rate(h_sum[1h]) / rate(h_count[1h])",
    "h_bucket{le='1'} / ignoring (le) h_count",
    "max_over_time(rate(x_total[1h])[3h:1h])",
    "rate(x_total[6h] @ end())",
)


def at(hours: float, **fields: Any) -> Any:
    return point((BEGIN - T0_MS) / 1000 + hours * 3600, **fields)


def fill(store: Store, tenant: str, scale: int, first: int = 0, last: int = HOURS * 20) -> None:
    """Points at every three minutes."""
    numbers = range(first, last)
    for zone in "ab":
        labels = {"zone": zone}
        counts = [[scale * i // 3, scale * (i % 90), scale * i] for i in numbers]
        observed = [
            at(
                i / 20 + 0.01,
                labels=labels,
                count=sum(buckets),
                sum=float(sum(buckets) * 3),
                bucketCounts=buckets,
                explicitBounds=[0.5, 1.0],
            )
            for i, buckets in zip(numbers, counts, strict=True)
        ]
        send(
            store,
            tenant,
            counter("x", *(at(i / 20 + 0.01, asDouble=float(scale * (i % 70)), labels=labels) for i in numbers)),
            gauge("g", *(at(i / 20, asDouble=scale * math.sin(i), labels=labels) for i in numbers)),
            histogram("h", *observed),
        )


class Witness:
    """Says how often which of the two was asked for."""

    def __init__(self, source: StoreSource) -> None:
        self.source = source
        self.selected = self.summarised = 0

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Samples:
        self.selected += 1
        return self.source.select(matchers, start_ms, end_ms)

    def summaries(
        self, matchers: Sequence[Matcher], width_ms: int, after_ms: int, end_ms: int, *, values: bool
    ) -> Summaries | None:
        found = self.source.summaries(matchers, width_ms, after_ms, end_ms, values=values)
        self.summarised += found is not None
        return found


def asked(
    store: Store, tenant: str, text: str, use: Use, first: int = BEGIN, last: int = ENDED
) -> tuple[Result, Witness]:
    witness = Witness(StoreSource(reader(store, tenant)))
    grid = {"start_ms": first, "end_ms": last, "step_ms": HOUR}
    return evaluate(parse(text), witness, counting=True, use=use, **grid), witness


def check(store: Store, tenant: str, *, summarised: bool = True) -> None:
    for text in EXPRESSIONS:
        found, witness = asked(store, tenant, text, Use.EXACT)
        expected, _ = asked(store, tenant, text, Use.OFF)
        same(found, expected, text)
        assert (witness.summarised > 0, witness.selected > 0) == (summarised, not summarised), text


def same(found: Result, expected: Result, text: str) -> None:
    here, there = found.value, expected.value
    assert not isinstance(there, Scalar)
    assert isinstance(here, Vector)
    assert isinstance(there, Vector)
    assert there.present.any()
    assert list(here.labels.rows()) == list(there.labels.rows()), text
    np.testing.assert_array_equal(here.present, there.present, text)
    np.testing.assert_allclose(here.values[here.present], there.values[there.present], rtol=1e-12, err_msg=text)
    assert found.annotations.infos(text) == expected.annotations.infos(text)
    assert found.annotations.warnings(text) == expected.annotations.warnings(text)
    np.testing.assert_array_equal(found.queryable, expected.queryable)


def test_answers_are_the_same_before_and_after_late_points_and_for_every_tenant(store: Store) -> None:
    for number, tenant in enumerate("tu"):
        fill(store, tenant, scale=1 + number)
    for tenant in "tu":
        check(store, tenant, summarised=False)
        build_all(store, tenant, 0, ENDED - 2 * HOUR)
        check(store, tenant)
    # A sample between two others, a reset that was not known, a series that was not there.
    send(store, "t", counter("x", at(3.02, asDouble=0.0, labels={"zone": "a"})), gauge("g", at(5.5, asDouble=99.0)))
    send(
        store,
        "t",
        histogram(
            "h", at(7.03, count=4, sum=1.0, bucketCounts=[1, 3, 0], explicitBounds=[0.5, 1.0], labels={"zone": "a"})
        ),
    )
    check(store, "t")
    build_all(store, "t", 0, ENDED)
    for tenant in "tu":
        check(store, tenant)


def test_rollups_answer_where_the_points_are_gone(store: Store) -> None:
    end = (round(time.time() * 1000) // HOUR - 24 * 40) * HOUR
    seconds = (end - T0_MS) / 1000
    points = [point(seconds - 60 * index, asDouble=float(600 - index)) for index in range(600)]
    send(store, "t", counter("x", *points), received=seconds)
    build_all(store, "t", 0, end)
    before, _ = asked(store, "t", "rate(x_total[1h])", Use.OFF, end - 9 * HOUR, end)
    migrate(store, retention=Retention(0, 0, metrics_days=30, rollups_5m_days=0, rollups_1h_days=0))
    store.command("OPTIMIZE TABLE points_number FINAL")
    assert store.rows("SELECT count() AS n FROM points_number") == [{"n": 0}]
    after, witness = asked(store, "t", "rate(x_total[1h])", Use.EXACT, end - 9 * HOUR, end)
    assert witness.selected == 0
    same(after, before, "rate(x_total[1h])")


def test_series_that_have_no_rollups_are_read_from_their_points(store: Store) -> None:
    points = [at(index / 20, asDouble=1.0) for index in range(HOURS * 20)]
    send(store, "t", counter("x", *points, delta=True))
    build_all(store, "t", 0, ENDED)
    for text in ("rate(x_total[1h])", "{__name__=~'.+'}"):
        _, witness = asked(store, "t", text, Use.EXACT)
        assert (witness.summarised, witness.selected) == (0, 1)


@pytest.mark.parametrize(("use", "rounded"), [("auto", True), ("exact", False), ("off", False)])
def test_the_api_rounds_only_where_that_is_allowed_and_says_so(store: Store, use: str, rounded: bool) -> None:
    fill(store, "default", scale=1)
    build_all(store, "default", 0, ENDED)
    query = "sum(rate(x_total[1h15s]))"
    fields = {"query": query, "start": BEGIN / 1000, "end": ENDED / 1000, "step": 3600, "stats": "all"}
    with Served(store, QueryConfig(promql_rollups=use)) as client:
        answer = client.get("/prometheus/api/v1/query_range", params=fields).json()
        exact = client.get("/prometheus/api/v1/query_range", params=fields | {"query": "sum(rate(x_total[1h]))"}).json()
    said = "PromQL info: answered from 1h rollups: range 1h15s was read as 1h (1:10)"
    assert answer.get("infos", []) == ([said] if rounded else [])
    assert (answer["data"]["result"] == exact["data"]["result"]) == rounded
    read = exact["data"]["stats"]["samples"]["samplesRead"]
    assert read == (2 * HOURS if use != "off" else 2 * HOURS * 20)
    assert "infos" not in exact


def test_an_unknown_use_of_rollups_is_refused() -> None:
    with pytest.raises(ValueError, match="promql_rollups must be one of auto, exact, off, not 'on'"):
        QueryConfig(promql_rollups="on")


def test_a_client_gets_the_same_numbers_with_and_without_rollups(store: Store) -> None:
    fill(store, "default", scale=1)
    build_all(store, "default", 0, ENDED)
    answers: list[Any] = []
    for use in ("auto", "off"):
        with Served(store, QueryConfig(promql_rollups=use)) as client:
            answers.append([result_of(client, text) for text in EXPRESSIONS])
    for text, here, there in zip(EXPRESSIONS, *answers, strict=True):
        assert [one["metric"] for one in here] == [one["metric"] for one in there], text
        for one, other in zip(here, there, strict=True):
            found, expected = (np.array(each["values"], np.float64) for each in (one, other))
            np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=text)


def result_of(client: Client, text: str) -> Any:
    fields = {"query": text, "start": BEGIN / 1000, "end": ENDED / 1000, "step": 3600}
    answer = client.post("/prometheus/api/v1/query_range", data=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["result"]
