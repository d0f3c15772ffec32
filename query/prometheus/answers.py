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
from sonde.query.promql.evaluate import Result, evaluate
from sonde.query.promql.limits import TOO_MANY, Limits
from sonde.query.promql.quoting import quote
from sonde.query.promql.sample_counts import samples_in
from sonde.query.promql.source import Source, SummarySource
from sonde.query.promql.summaries import Summaries
from sonde.query.promql.summary_widths import Use
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
    """A source that counts the samples it gives, as Prometheus counts them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.samples = 0

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Samples:
        found = self._source.select(matchers, start_ms, end_ms)
        self.samples += samples_in(found)
        return found

    def summaries(
        self, matchers: Sequence[Matcher], width_ms: int, after_ms: int, end_ms: int, *, values: bool
    ) -> Summaries | None:
        """A window counts as one sample."""
        if not isinstance(self._source, SummarySource):
            return None
        found = self._source.summaries(matchers, width_ms, after_ms, end_ms, values=values)
        self.samples += 0 if found is None else len(found.ends)
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
            counting=bool(asked.stats),
            use=Use(config.promql_rollups),
        )
    except TooManySamples:
        raise TooManySamples(f"{TOO_MANY}: promql_max_samples allows {config.promql_max_samples:,}") from None
    said = result.annotations
    warnings = [*said.warnings(asked.text), *limit_warning(asked, result.value), *stats_warning(asked.stats)]
    found = Answer(asked, result.value, warnings, said.infos(asked.text))
    if asked.stats:
        timings = timings_of(time.monotonic() - began, stop.waited_seconds)
        found.stats = {"timings": timings, "samples": samples_of(found, result, counted.samples)}
    return found


def limit_warning(asked: Question, value: Value) -> list[str]:
    return [TRUNCATED] if asked.limit and series_count(value) > asked.limit else []


def stats_warning(stats: str) -> list[str]:
    if not stats or stats in STATS:
        return []
    known = " or ".join(map(quote, STATS))
    return [
        f'value {quote(stats)} for parameter "stats" is deprecated and will be rejected in the next major release, use {known}'
    ]


def timings_of(seconds: float, waited: float) -> dict[str, float]:
    """Reading and evaluating are interleaved here: the whole time stands as that of the evaluation."""
    return {
        "evalTotalTime": seconds,
        "resultSortTime": 0.0,
        "queryPreparationTime": 0.0,
        "innerEvalTime": seconds,
        "execQueueTime": waited,
        "execTotalTime": waited + seconds,
    }


def samples_of(answer: Answer, result: Result, read: int) -> dict[str, Any]:
    """Samples looked at, in all and for each step, and the most held at once. `read`: those that the store gave; it gives
    those of all steps in one go, so there is no `samplesReadPerStep`."""
    assert result.queryable is not None
    per_step = result.queryable.tolist()
    found = {"totalQueryableSamples": sum(per_step), "samplesRead": read, "peakSamples": result.peak_samples}
    if answer.question.stats == "all":
        seconds = (answer.times_ms() / 1000).tolist()
        found["totalQueryableSamplesPerStep"] = [list(pair) for pair in zip(seconds, per_step, strict=True)]
    return found
