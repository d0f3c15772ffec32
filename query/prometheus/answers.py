"""A question evaluated, and the answer in pieces of JSON."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sonde.query.config import QueryConfig
from sonde.query.prometheus.envelope import notes
from sonde.query.prometheus.json_text import json_of
from sonde.query.prometheus.question import STATS, Question
from sonde.query.prometheus.result_json import result_json, result_type, series_count
from sonde.query.prometheus.running import Stop
from sonde.query.promql.errors import TooManySamples
from sonde.query.promql.evaluate import evaluate
from sonde.query.promql.limits import TOO_MANY, Limits
from sonde.query.promql.quoting import quote
from sonde.query.promql.source import Source
from sonde.query.promql.syntax import Matcher
from sonde.query.promql.values import Ints, Samples, Value

TRUNCATED = "results truncated due to limit"


@dataclass(slots=True)
class Answer:
    """The value of a question, and what there is to say about it."""

    question: Question
    value: Value
    warnings: list[str]
    infos: list[str]
    stats: dict[str, Any] = field(default_factory=dict)

    def times_ms(self) -> Ints:
        asked = self.question
        if asked.instant:
            return np.array([asked.start_ms], np.int64)
        return np.arange(asked.start_ms, asked.end_ms + 1, asked.step_ms).astype(np.int64)

    def pieces(self) -> Iterator[bytes]:
        """The whole body."""
        asked = self.question
        kind = result_type(self.value, instant=asked.instant)
        yield b'{"status":"success","data":{"resultType":"%b","result":' % kind.encode()
        yield from result_json(self.value, self.times_ms(), instant=asked.instant, limit=asked.limit)
        yield (b',"stats":' + json_of(self.stats) if self.stats else b"") + b"}"
        yield notes(self.warnings, self.infos) + b"}"


class Counted:
    """A source that counts the samples it gives."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.samples = 0

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Samples:
        found = self._source.select(matchers, start_ms, end_ms)
        self.samples += len(found.times)
        return found


def answer(asked: Question, source: Source, stop: Stop, config: QueryConfig) -> Answer:
    """Evaluates the question. Blocking: call it on a worker thread. Raises `EvaluationError`."""
    began = time.monotonic()
    counted = Counted(source)
    try:
        result = evaluate(
            asked.expr,
            counted,
            start_ms=asked.start_ms,
            end_ms=asked.end_ms,
            step_ms=asked.step_ms,
            lookback_ms=asked.lookback_ms,
            default_step_ms=round(config.promql_subquery_step_seconds * 1000),
            limits=Limits(config.promql_max_samples, stop.check),
        )
    except TooManySamples:
        raise TooManySamples(f"{TOO_MANY}: promql_max_samples allows {config.promql_max_samples:,}") from None
    said = result.annotations
    warnings = [*said.warnings(asked.text), *limit_warning(asked, result.value), *stats_warning(asked.stats)]
    stats = statistics(time.monotonic() - began, counted.samples) if asked.stats else {}
    return Answer(asked, result.value, warnings, said.infos(asked.text), stats)


def limit_warning(asked: Question, value: Value) -> list[str]:
    return [TRUNCATED] if asked.limit and series_count(value) > asked.limit else []


def stats_warning(stats: str) -> list[str]:
    if not stats or stats in STATS:
        return []
    known = " or ".join(map(quote, STATS))
    return [
        f'value {quote(stats)} for parameter "stats" is deprecated and will be rejected in the next major release, use {known}'
    ]


def statistics(seconds: float, samples: int) -> dict[str, Any]:
    """What `stats` asks for. Reading and evaluating are interleaved here: the whole time stands as that of the evaluation."""
    timings = {
        "evalTotalTime": seconds,
        "resultSortTime": 0.0,
        "queryPreparationTime": 0.0,
        "innerEvalTime": seconds,
        "execQueueTime": 0.0,
        "execTotalTime": seconds,
    }
    return {"timings": timings, "samples": {"totalQueryableSamples": samples, "samplesRead": samples}}
