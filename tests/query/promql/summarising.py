"""A source that has summaries of whatever another one has, and says what it was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from sonde.query.promql.source import Source
from sonde.query.promql.summaries import Summaries, coarser, summarize
from sonde.query.promql.syntax import Matcher
from sonde.query.promql.values import Samples

FIVE_MINUTES, HOUR = 300_000, 3_600_000


class Summarising:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.selected = 0
        self.widths: list[int] = []
        """Of the summaries that it gave."""

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Samples:
        self.selected += 1
        return self.source.select(matchers, start_ms, end_ms)

    def summaries(
        self, matchers: Sequence[Matcher], width_ms: int, after_ms: int, end_ms: int, *, values: bool
    ) -> Summaries | None:
        """Those of an hour are made of those of five minutes, as the store's are."""
        assert after_ms % width_ms == end_ms % width_ms == 0
        samples = self.source.select(matchers, after_ms + 1, end_ms)
        if samples.histograms is not None:
            return None
        self.widths.append(width_ms)
        found = summarize(samples, FIVE_MINUTES)
        return found if width_ms == FIVE_MINUTES else coarser(found, width_ms)
