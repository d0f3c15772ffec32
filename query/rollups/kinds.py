"""The kinds of series that have rollups: whose points they are made of, and where their summaries are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sonde.storage.rollups import POINTS_NUMBER_1H, POINTS_NUMBER_5M
from sonde.storage.schema import Table

FIVE_MINUTES_MS = 300_000
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Kind:
    """Series that are summarised together."""

    name: str
    """In `rollup_hours`."""
    source: str
    """The table of their points."""
    tables: Mapping[int, Table]
    """Of their summaries, by the width of the windows in ms."""


NUMBERS = Kind("points_number", "points_number", {FIVE_MINUTES_MS: POINTS_NUMBER_5M, HOUR_MS: POINTS_NUMBER_1H})
"""Gauges and sums but for deltas, whose samples are totals since midnight: those are read from their points."""

KINDS = (NUMBERS,)
