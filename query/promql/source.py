"""Where an evaluation gets its samples from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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
