"""What a binary operator gets, and what it gives: cell by cell, after the series of both sides have found each other."""

from __future__ import annotations

from dataclasses import dataclass

from sonde.query.promql.values import Bools, Floats, Objects


@dataclass(frozen=True, slots=True)
class Operands:
    """Both sides of an operation, brought together: cell by cell."""

    left: Floats
    right: Floats
    present: Bools
    left_histograms: Objects | None = None
    right_histograms: Objects | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation makes of its operands."""

    values: Floats
    present: Bools
    """Without the cells that a comparison does not keep and those that can't be computed."""
    histograms: Objects | None = None
