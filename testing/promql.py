"""PromQL over a test's slice, by the server's own engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sonde.query.config import QueryConfig
from sonde.query.prometheus.samples import StoreSource
from sonde.query.promql.evaluate import evaluate
from sonde.query.promql.parser import parse
from sonde.query.promql.values import Samples, Scalar, Text, Value, Vector
from sonde.query.reader import Gate, Reader
from sonde.testing.engine import Engine
from sonde.testing.records import MILLISECOND
from sonde.testing.series import Answer, Series
from sonde.testing.slices import Slice


def ask(engine: Engine, own: Slice, query: str, at_ms: int | None) -> Answer:
    """The value of `query` at `at_ms`, by default the time of the slice's latest point. ParseError, EvaluationError."""
    expression = parse(query)
    engine.store_new(own)
    if at_ms is None:
        at_ms = max((point.time_unix_nano for point in own.points(collect=False)), default=0) // MILLISECOND
    config = QueryConfig()
    source = StoreSource(Reader(engine.store, own.tenant, config, Gate(1, 60.0), Gate(1, 60.0)))
    lookback_ms = round(config.promql_lookback_seconds * 1000)
    result = evaluate(expression, source, start_ms=at_ms, end_ms=at_ms, lookback_ms=lookback_ms)
    return Answer(query, list(series_of(result.value, at_ms)))


def series_of(value: Value, at_ms: int) -> Iterator[Series]:
    at = at_ms / 1000
    match value:
        case Vector():
            for index, labels in enumerate(value.labels.rows()):
                yield Series(labels, ((at, number(value.values, value.histograms, (index, 0))),))
        case Samples():
            for index, labels in enumerate(value.labels.rows()):
                own = range(value.offsets[index], value.offsets[index + 1])
                times = (value.times[own.start : own.stop] / 1000).tolist()
                values = [number(value.values, value.histograms, place) for place in own]
                yield Series(labels, tuple(zip(times, values, strict=True)))
        case Scalar():
            yield Series({}, ((at, float(value.values[0])),))
        case Text():
            yield Series({}, ((at, value.value),))


def number(values: Any, histograms: Any, place: Any) -> Any:
    if histograms is not None and histograms[place] is not None:
        return histograms[place]
    return float(values[place])
