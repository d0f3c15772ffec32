"""Where an evaluation gets its samples from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from sonde.query.promql.summaries import Summaries
from sonde.query.promql.syntax import Matcher
from sonde.query.promql.values import Samples


class Source(Protocol):
    """Samples by matchers and time. Implemented over the store, and over plain arrays for what has none."""

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Samples:
        """All series that match every matcher and have samples in `start_ms` to `end_ms`, both inclusive.

        A label that a series has not matches as the empty string. Stale markers are given as they are. No two series of
        the answer have the same labels.
        """
        ...


@runtime_checkable
class SummarySource(Source, Protocol):
    """A source that also has summaries of windows, of some samples and some widths."""

    def summaries(
        self, matchers: Sequence[Matcher], width_ms: int, after_ms: int, end_ms: int, *, values: bool
    ) -> Summaries | None:
        """The windows of that width that end in `(after_ms, end_ms]`, both multiples of it, of all series that match.

        They are those of what `select` gives for `after_ms + 1` to `end_ms`, but for the order in which floats were added.
        None where they are not to be had for all of these series, or cost more than the samples. Without `values` the sums and
        extremes are not looked at, and mean nothing.
        """
        ...
