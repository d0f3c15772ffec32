"""Whether what is asked for can be had from summaries of windows, and from how wide ones."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sonde.query.promql.values import Ints

WIDTHS_MS = (3_600_000, 300_000)
"""Of the windows that are summarised, the widest first."""
LEAST_STEP_MS = 300_000
"""Steps closer than that look at about as many windows as there are samples."""
MOST_ROUNDED = 0.01
"""By how much of itself a range may be rounded."""


class Use(StrEnum):
    """When summaries are read in place of samples."""

    AUTO = "auto"
    """Also where a range has to be rounded a little."""
    EXACT = "exact"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Choice:
    width_ms: int
    range_ms: int
    """As it is read: the range that was asked for, or that rounded to a multiple of the width; 0 for instants."""


def choose(ends: Ints, step_ms: int, range_ms: int, use: Use) -> Choice | None:
    """The widest windows that the ranges which end at `ends` (s,) are made of; None where there are none.

    `step_ms` is the distance of neighbours in `ends`, or, of a single one, that of the query's steps. A range of 0 is for
    instants, which need nothing but the last sample at `ends`.
    """
    if use is Use.OFF or not len(ends) or step_ms < LEAST_STEP_MS:
        return None
    fitting = [width for width in WIDTHS_MS if fits(ends, width)]
    for width in fitting:
        if range_ms % width == 0:
            return Choice(width, range_ms)
    if use is Use.AUTO:
        for width in fitting:
            rounded = (range_ms + width // 2) // width * width
            if rounded and abs(rounded - range_ms) <= MOST_ROUNDED * range_ms:
                return Choice(width, rounded)
    return None


def fits(ends: Ints, width_ms: int) -> bool:
    """Whether all of `ends`, which are evenly spaced, are edges of windows of that width."""
    return int(ends[0]) % width_ms == 0 and (len(ends) < 2 or int(ends[1] - ends[0]) % width_ms == 0)
