"""OTLP metrics put into the store by the decoder, and what a selector then finds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from sonde.ingest.decode import decode
from sonde.ingest.dimensions import Announcer
from sonde.ingest.inserts import as_insert
from sonde.ingest.limits import Limits
from sonde.ingest.signals import Signal
from sonde.query.config import QueryConfig
from sonde.query.prometheus.held import HeldSeries
from sonde.query.prometheus.held_points import HeldPoints
from sonde.query.prometheus.samples import StoreSource
from sonde.query.promql.parser import parse
from sonde.query.promql.syntax import Matcher, VectorSelector
from sonde.query.promql.values import Samples
from sonde.query.reader import Gate, Reader
from sonde.storage.store import Store

T0 = 1_770_000_000
"""s; 2026-02-02T02:40:00Z, so 9600 s after midnight."""
T0_MS = T0 * 1000
HOUR_MS = 3_600_000
STALE_BITS = 0x7FF0000000000002
_tokens = itertools.count()


def text_attribute(key: str, value: Any) -> dict[str, Any]:
    """A KeyValue of OTLP/JSON; a mapping is an AnyValue as it is."""
    if isinstance(value, Mapping):
        return {"key": key, "value": value}
    kinds = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    return {"key": key, "value": {kinds[type(value)]: value}}


def attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [text_attribute(key, value) for key, value in values.items()]


def point(seconds: float, start: float | None = None, labels: Mapping[str, Any] | None = None, **fields: Any) -> Any:
    """A data point so many seconds after T0; `start` likewise, unset where left out."""
    head = {"timeUnixNano": nano(seconds), "attributes": attributes(labels or {})}
    return head | ({} if start is None else {"startTimeUnixNano": nano(start)}) | fields


def nano(seconds: float) -> int:
    return T0 * 10**9 + round(seconds * 10**9)


def gauge(name: str, *points: Any, **fields: Any) -> dict[str, Any]:
    return {"name": name, "gauge": {"dataPoints": list(points)}} | fields


def counter(name: str, *points: Any, delta: bool = False, monotonic: bool = True, **fields: Any) -> dict[str, Any]:
    kind = {"dataPoints": list(points), "isMonotonic": monotonic, "aggregationTemporality": 1 if delta else 2}
    return {"name": name, "sum": kind} | fields


def histogram(name: str, *points: Any, delta: bool = False, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "histogram": {"dataPoints": list(points), "aggregationTemporality": 1 if delta else 2},
    } | fields


def exponential(name: str, *points: Any, temporality: int = 2, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "exponentialHistogram": {"dataPoints": list(points), "aggregationTemporality": temporality},
    } | fields


def summary(name: str, *points: Any, **fields: Any) -> dict[str, Any]:
    return {"name": name, "summary": {"dataPoints": list(points)}} | fields


def send(
    store: Store,
    tenant: str,
    *metrics: Mapping[str, Any],
    resource: Mapping[str, Any] | None = None,
    scope: Mapping[str, str] | None = None,
    received: float = 0,
) -> None:
    """One request with these metrics, received so many seconds after T0."""
    scoped = {"scope": dict(scope or {}), "metrics": list(metrics)}
    found = {"resource": {"attributes": attributes(resource or {})}, "scopeMetrics": [scoped]}
    request = json_format.ParseDict({"resourceMetrics": [found]}, ExportMetricsServiceRequest())
    decoded = decode(Signal.METRICS, [request.SerializeToString()], [nano(received)], Limits())
    blocks = [block[:3] for block in Announcer().announce(tenant, decoded, nano(received))]
    blocks += [(part.table, part.block, part.rows) for part in decoded.blocks]
    for table, block, rows in blocks:
        insert = as_insert(table, block, rows, tenant, f"sent-{next(_tokens)}")
        store.insert_block(table, insert.block, insert.columns, token=insert.token)


_held: WeakKeyDictionary[Store, tuple[HeldSeries, HeldPoints]] = WeakKeyDictionary()


def reader(store: Store, tenant: str, *, holding: bool = True, **settings: Any) -> Reader:
    """With `holding`, what the questions of a store found is in memory for those that come after them."""
    held = _held.setdefault(store, (HeldSeries(10_000), HeldPoints(100_000))) if holding else ()
    return Reader(store, tenant, QueryConfig(**settings), Gate(8, 60), Gate(8, 0), *held)


def matchers(selector: str) -> Sequence[Matcher]:
    expr = parse(selector)
    assert isinstance(expr, VectorSelector)
    return expr.matchers


def select(store: Store, tenant: str, selector: str, start_ms: int = T0_MS, end_ms: int = T0_MS + HOUR_MS) -> Samples:
    """What is found with the help of what is in memory, which has to be what the store alone tells."""
    one, other = (
        StoreSource(reader(store, tenant, holding=holding)).select(matchers(selector), start_ms, end_ms)
        for holding in (True, False)
    )
    assert list(one.labels.rows()) == list(other.labels.rows())
    assert np.array_equal(one.offsets, other.offsets)
    assert np.array_equal(one.times, other.times)
    assert np.array_equal(one.values.view(np.int64), other.values.view(np.int64))
    assert repr(one.histograms) == repr(other.histograms)
    starts = [np.zeros(0) if each.start_times is None else each.start_times for each in (one, other)]
    assert np.array_equal(*starts)
    return one


def found(
    store: Store, tenant: str, selector: str, start_ms: int = T0_MS, end_ms: int = T0_MS + HOUR_MS
) -> dict[str, Any]:
    """Samples by series as text: `{(seconds after T0): value}`, a histogram where one stands, "stale" for a marker."""
    samples = select(store, tenant, selector, start_ms, end_ms)
    answer: dict[str, Any] = {}
    for series, labels in enumerate(samples.labels.rows()):
        key = spelled(labels)
        assert key not in answer, f"twice: {key}"
        rows = range(samples.offsets[series], samples.offsets[series + 1])
        assert len(rows), f"without samples: {key}"
        answer[key] = {(int(samples.times[row]) - T0_MS) / 1000: value_of(samples, row) for row in rows}
        assert list(answer[key]) == sorted(answer[key]), f"not in order: {key}"
        assert len(answer[key]) == len(rows), f"a time twice: {key}"
    return answer


def spelled(labels: Mapping[str, str]) -> str:
    return " ".join(
        [labels.get("__name__", ""), *(f"{name}={text}" for name, text in labels.items() if name != "__name__")]
    )


def value_of(samples: Samples, row: int) -> Any:
    if samples.histograms is not None and samples.histograms[row] is not None:
        return samples.histograms[row]
    value = samples.values[row]
    return "stale" if np.float64(value).view(np.uint64) == STALE_BITS else float(value)
