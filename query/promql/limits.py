"""How much an evaluation may hold at once, and when it is to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sonde.query.promql.errors import TooManySamples

TOO_MANY = "query processing would load too many samples into memory in query execution"


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one evaluation."""

    max_samples: int = 50_000_000
    """Samples in memory at once: raw ones, and cells of (series x steps) matrices, present or not. A histogram is several
    (`sample_counts.py`)."""
    check: Callable[[], None] | None = None
    """Called between operators; raises when the time is over (`QueryTimeout`) or nobody waits any more (`QueryCancelled`)."""


class Budget:
    """The samples that one evaluation holds. They are counted before their arrays are allocated."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held = 0
        self.peak = 0

    def take(self, samples: int) -> None:
        """Counts samples about to be allocated; raises `TooManySamples`."""
        self.held += samples
        self.peak = max(self.peak, self.held)
        if self.held > self.limits.max_samples:
            raise TooManySamples(TOO_MANY)

    def has_room(self, samples: int) -> bool:
        """Whether so many more could be taken."""
        return self.held + samples <= self.limits.max_samples

    def check(self) -> None:
        if self.limits.check is not None:
            self.limits.check()
