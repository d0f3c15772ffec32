"""The kinds of series that have rollups: whose points they are made of, and where their summaries are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sonde.query.prometheus.expressions import BUCKETS, HAS_VALUE, NUMBER, SUM
from sonde.query.prometheus.metrics import DELTA, NHCB
from sonde.storage.rollups import POINTS_HISTOGRAM_1H, POINTS_HISTOGRAM_5M, POINTS_NUMBER_1H, POINTS_NUMBER_5M
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
    expressions: tuple[str, ...]
    """What is read of a point."""
    where: str
    """Which points count."""
    others: str
    """Which of `series` are read from their points."""
    at_once: int
    """About how many points are in memory at a time while they are summarised."""


DELTAS = f"temporality = {DELTA}"
"""Their samples are totals since midnight."""

NUMBERS = Kind(
    name="points_number",
    source="points_number",
    tables={FIVE_MINUTES_MS: POINTS_NUMBER_5M, HOUR_MS: POINTS_NUMBER_1H},
    expressions=(NUMBER,),
    where=HAS_VALUE,
    others=DELTAS,
    at_once=1_000_000,
)
"""Gauges and sums. A point takes 32 bytes as it is read, three times that while it is summarised."""

HISTOGRAMS = Kind(
    name="points_histogram",
    source="points_histogram",
    tables={FIVE_MINUTES_MS: POINTS_HISTOGRAM_5M, HOUR_MS: POINTS_HISTOGRAM_1H},
    expressions=(*BUCKETS, SUM),
    where="1",
    others=f"{DELTAS} OR metadata_string['prometheus.type'] = '{NHCB}'",
    at_once=100_000,
)
"""Histograms with explicit bounds: `_bucket`, `_count` and `_sum`. Each bucket of a point takes as much as a number."""

KINDS = (NUMBERS, HISTOGRAMS)
