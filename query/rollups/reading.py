"""Summaries for a selector: from the rollups where they hold, from the points themselves everywhere else.

So the answer is always that of the points; only how much of them is read differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sonde.query.prometheus.metrics import TARGET_INFO, Part, accepted
from sonde.query.prometheus.points import Budget, Window
from sonde.query.prometheus.strands import Strand, find_strands
from sonde.query.promql.labels import NAME, LabelTable
from sonde.query.promql.summaries import Summaries, summarize, where
from sonde.query.promql.syntax import Matcher
from sonde.query.promql.values import Samples
from sonde.query.reader import Reader
from sonde.query.rollups.hours import HOUR_MS, NEVER, Hours, Ints, Kept, read_hours, read_kept, runs
from sonde.query.rollups.joining import in_order, one_of_each
from sonde.query.rollups.kinds import NUMBERS, Kind
from sonde.query.rollups.stored_windows import TooManyWindows, nothing, read_windows

WORTH_IT = 0.5
"""Rollups are used where they hold at least this share of the points."""
VALUES_A_WINDOW = 12
"""What a window takes of a budget of samples."""

ReadSamples = Callable[[Strand, Window], Iterator[Samples]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the summaries of `(after_ms, end_ms]` are to come from."""

    kind: Kind
    width_ms: int
    after_ms: int
    end_ms: int
    from_points: Ints
    """Hours that are summarised now."""

    def windows_of_points(self) -> Iterator[tuple[int, int]]:
        """`(after, end]` in ms of each run of these hours."""
        for first, last in runs(self.from_points):
            yield max((first - 1) * HOUR_MS, self.after_ms), min(last * HOUR_MS, self.end_ms)


def summaries(
    reader: Reader,
    matchers: Sequence[Matcher],
    width_ms: int,
    after_ms: int,
    end_ms: int,
    budget: Budget,
    samples_of: ReadSamples,
) -> Summaries | None:
    """All windows of that width which end in `(after_ms, end_ms]`, of all series that match; both are multiples of the width.

    None where they can't be had or are not worth it: then the samples are.
    """
    if accepted([TARGET_INFO], [matcher for matcher in matchers if matcher.name == NAME])[0]:
        return None
    if width_ms not in NUMBERS.tables:
        return None
    plan = planned(reader, NUMBERS, width_ms, after_ms, end_ms)
    if plan is None:
        return None
    strands = list(find_strands(reader, matchers, after_ms))
    if any(kind_of(strand) is None for strand in strands):
        return None
    try:
        found = [of_strand(reader, plan, strand, budget, samples_of) for strand in strands]
    except TooManyWindows:
        return None
    return one_of_each(found) if found else nothing(LabelTable.empty(0), width_ms)


def kind_of(strand: Strand) -> Kind | None:
    """None for series that have no rollups."""
    return NUMBERS if strand.part is Part.VALUE and not strand.is_delta and strand.table == NUMBERS.source else None


def planned(reader: Reader, kind: Kind, width_ms: int, after_ms: int, end_ms: int) -> Plan | None:
    """None where too few of the hours are summarised."""
    hours = read_hours(reader.rows, reader.tenant, kind, after_ms, end_ms)
    holding = held(hours, read_kept(reader.rows, kind), width_ms)
    points = hours.points[holding].sum()
    if points < WORTH_IT * hours.points.sum():
        return None
    return Plan(kind, width_ms, after_ms, end_ms, hours.hours[~holding])


def held(hours: Hours, kept: Kept, width_ms: int) -> Any:
    """(h,) which hours' summaries of that width are there and hold; where the points are gone they hold as they are."""
    there = (hours.built != NEVER) & ((hours.hours - 1) * HOUR_MS >= kept.windows_ms[width_ms])
    return there & (hours.current | kept.gone(hours.hours))


def of_strand(reader: Reader, plan: Plan, strand: Strand, budget: Budget, samples_of: ReadSamples) -> Summaries:
    table = plan.kind.tables[plan.width_ms]
    most = budget.max_samples // VALUES_A_WINDOW
    stored = read_windows(reader, table, plan.width_ms, strand.chosen, plan.after_ms, plan.end_ms, most)
    outdated = np.isin(-(-stored.ends // HOUR_MS), plan.from_points)
    pieces = [where(replace(stored, labels=strand.labels), ~outdated)]
    for after, end in plan.windows_of_points():
        for samples in samples_of(strand, Window(after + 1, end)):
            pieces.append(summarize(samples, plan.width_ms))
    return in_order(pieces)
