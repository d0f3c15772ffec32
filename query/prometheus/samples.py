"""Samples of the store, as PromQL asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from sonde.query.prometheus import classic, native_histograms, target_info
from sonde.query.prometheus.expressions import BUCKETS, COUNT, EXPONENTIAL, HAS_VALUE, NUMBER, QUANTILES, SUM
from sonde.query.prometheus.merging import merged
from sonde.query.prometheus.metrics import HISTOGRAM, Part, accepted
from sonde.query.prometheus.points import Budget, Points, Window, fetch
from sonde.query.prometheus.running_totals import midnight, since, with_running_totals
from sonde.query.prometheus.strands import TABLES, Strand, find_strands
from sonde.query.promql.summaries import Summaries
from sonde.query.promql.syntax import Matcher
from sonde.query.promql.values import Samples
from sonde.query.reader import Reader
from sonde.query.rollups import reading

MAX_SAMPLES = 50_000_000


class StoreSource:
    """`promql.source.Source` over the store of one tenant.

    Blocking. Raises `TooManySamples` where a selector has more than `max_samples`, and the store's own errors.
    """

    def __init__(self, reader: Reader, *, max_samples: int = MAX_SAMPLES) -> None:
        self.reader = reader
        self.budget = Budget(max_samples)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Samples:
        window = Window(start_ms, end_ms)
        pieces = list(target_info.select(self.reader, matchers, window, self.budget))
        for strand in find_strands(self.reader, matchers, start_ms):
            pieces += self._samples(strand, matchers, window)
        return merged(pieces)

    def summaries(
        self, matchers: Sequence[Matcher], width_ms: int, after_ms: int, end_ms: int, *, values: bool
    ) -> Summaries | None:
        """`promql.source.SummarySource`: None also where most of the summaries would be made of samples."""

        def samples(strand: Strand, window: Window) -> Iterator[Samples]:
            return self._samples(strand, matchers, window)

        asked = reading.Asked(matchers, width_ms, after_ms, end_ms, values, self.budget)
        return reading.summaries(self.reader, asked, samples)

    def _samples(self, strand: Strand, matchers: Sequence[Matcher], window: Window) -> Iterator[Samples]:
        """The samples of a strand; deltas are read from midnight on, and become totals since then."""
        if not strand.is_delta:
            yield from self._read(strand, matchers, window)
            return
        for piece in self._read(strand, matchers, replace(window, start_ms=midnight(window.start_ms))):
            has_totals = piece.histograms is not None or strand.part is Part.QUANTILE
            totals = piece if has_totals else with_running_totals(piece, np.ones(piece.labels.size, bool))
            yield since(totals, window.start_ms)

    def _read(self, strand: Strand, matchers: Sequence[Matcher], window: Window) -> Iterator[Samples]:
        labels = strand.labels
        match strand.part:
            case Part.VALUE:
                yield classic.column_series(self._fetch(strand, window, (NUMBER,), HAS_VALUE), labels, "value")
            case Part.COUNT:
                yield classic.column_series(self._fetch(strand, window, (COUNT,)), labels, "count")
            case Part.SUM:
                yield classic.column_series(self._fetch(strand, window, (SUM,)), labels, "sum")
            case Part.BUCKET:
                points = self._fetch(strand, window, BUCKETS)
                yield from classic.buckets(points, labels, on_label("le", matchers), self.budget)
            case Part.QUANTILE:
                points = self._fetch(strand, window, QUANTILES)
                yield from classic.quantiles(points, labels, on_label("quantile", matchers), self.budget)
            case Part.HISTOGRAM if strand.table == TABLES[HISTOGRAM]:
                points = self._fetch(strand, window, (*BUCKETS, "sum"))
                yield native_histograms.custom(points, labels, strand.metrics)
            case Part.HISTOGRAM:
                points = self._fetch(strand, window, EXPONENTIAL)
                yield native_histograms.exponential(points, labels, strand.metrics)

    def _fetch(self, strand: Strand, window: Window, expressions: Sequence[str], where: str = "1") -> Points:
        return fetch(self.reader, strand.table, expressions, strand.chosen, window, self.budget, where)


def on_label(name: str, matchers: Sequence[Matcher]) -> Callable[[Sequence[str]], Sequence[bool]]:
    """Which values of one label the matchers accept."""
    return lambda texts: accepted(texts, [matcher for matcher in matchers if matcher.name == name])
