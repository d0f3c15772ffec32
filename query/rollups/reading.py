"""Summaries for a selector: from the rollups where they hold, from the points themselves everywhere else.

So the answer is always that of the points; only how much of them is read differs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sonde.query.prometheus.metrics import CLASSIC, TARGET_INFO, Part, accepted
from sonde.query.prometheus.points import Budget, Window
from sonde.query.prometheus.strands import Strand, find_strands
from sonde.query.promql.labels import NAME, LabelTable
from sonde.query.promql.summaries import Summaries, summarize, where
from sonde.query.promql.syntax import Matcher
from sonde.query.promql.values import Samples
from sonde.query.reader import Reader
from sonde.query.rollups.hours import DAY_MS, HOUR_MS, NEVER, Hours, Ints, Kept, read_hours, read_kept, runs
from sonde.query.rollups.joining import in_order, one_of_each
from sonde.query.rollups.kinds import HISTOGRAMS, NUMBERS, Kind
from sonde.query.rollups.stored_windows import Asked as StoredAsked
from sonde.query.rollups.stored_windows import TooManyWindows, nothing, read_windows

WORTH_IT = 0.5
"""Rollups are used where they hold at least this share of the points."""
LITTLE = 1_000
"""Hours of series whose points at a minute's distance take as long as to look up what is summarised: 30 ms."""
VALUES_A_WINDOW = 12
"""What a window takes of a budget of samples."""

ReadSamples = Callable[[Strand, Window], Iterator[Samples]]


@dataclass(frozen=True, slots=True)
class Asked:
    """The windows of a selector that end in `(after_ms, end_ms]`; both are multiples of the width."""

    matchers: Sequence[Matcher]
    width_ms: int
    after_ms: int
    end_ms: int
    values: bool
    """Whether sums and extremes are wanted."""
    budget: Budget


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the summaries of a kind are to come from."""

    kind: Kind
    asked: Asked
    hours: Hours
    from_points: Ints
    """Those of them that are summarised now."""

    def windows_of_points(self) -> Iterator[tuple[int, int]]:
        """`(after, end]` in ms of each run of these hours."""
        for first, last in runs(self.from_points):
            yield max((first - 1) * HOUR_MS, self.asked.after_ms), min(last * HOUR_MS, self.asked.end_ms)


def summaries(reader: Reader, asked: Asked, samples_of: ReadSamples) -> Summaries | None:
    """All windows of all series that match; None where they can't be had or are not worth it: then the samples are."""
    names = [matcher for matcher in asked.matchers if matcher.name == NAME]
    if accepted([TARGET_INFO], names)[0] or asked.width_ms not in NUMBERS.tables:
        return None
    strands = list(find_strands(reader, asked.matchers, asked.after_ms))
    if is_little(strands, asked, round(time.time() * 1000)):
        return None
    kinds = [kind_of(strand, values=asked.values) for strand in strands]
    plans: dict[str, Plan] = {}
    for kind in kinds:
        if kind is None:
            return None
        plan = plans.get(kind.name) or planned(reader, kind, asked)
        if plan is None:
            return None
        plans[kind.name] = plan
    found: list[Summaries] = []
    try:
        for kind, strand in zip(kinds, strands, strict=True):
            assert kind is not None
            found += of_strand(reader, plans[kind.name], strand, samples_of)
    except TooManyWindows:
        return None
    return one_of_each(found) if found else nothing(LabelTable.empty(0), asked.width_ms)


def is_little(strands: Sequence[Strand], asked: Asked, now_ms: int) -> bool:
    """Whether points are read quicker than is looked up what is summarised: of few series of late, whose points are there."""
    hours = (asked.end_ms - asked.after_ms) / HOUR_MS
    return now_ms - asked.after_ms <= DAY_MS and hours * sum(len(each.chosen.ids) for each in strands) <= LITTLE


def kind_of(strand: Strand, *, values: bool) -> Kind | None:
    """None for series that have no rollups, and for histograms where `values` are wanted."""
    if strand.is_delta:
        return None
    if strand.table == NUMBERS.source:
        return NUMBERS
    return HISTOGRAMS if strand.table == HISTOGRAMS.source and strand.part in CLASSIC and not values else None


def planned(reader: Reader, kind: Kind, asked: Asked) -> Plan | None:
    """None where too few of the hours are summarised."""
    hours = read_hours(reader.rows, reader.tenant, kind, asked.after_ms, asked.end_ms)
    holding = held(hours, read_kept(reader.rows, kind), asked.width_ms)
    points = hours.points[holding].sum()
    if points < WORTH_IT * hours.points.sum():
        return None
    return Plan(kind, asked, hours, hours.hours[~holding])


def held(hours: Hours, kept: Kept, width_ms: int) -> Any:
    """(h,) which hours' summaries of that width are there and hold; where the points are gone they hold as they are."""
    there = (hours.built != NEVER) & ((hours.hours - 1) * HOUR_MS >= kept.windows_ms[width_ms])
    return there & (hours.current | kept.gone(hours.hours))


def of_strand(reader: Reader, plan: Plan, strand: Strand, samples_of: ReadSamples) -> list[Summaries]:
    """The windows of a strand; those of the same series may stand in several answers, but for single numbers."""
    stored = read_windows(reader, stored_of(plan, strand))
    found = [where(each, ~np.isin(-(-each.ends // HOUR_MS), plan.from_points)) for each in stored]
    for after, end in plan.windows_of_points():
        found += [summarize(samples, plan.asked.width_ms) for samples in samples_of(strand, Window(after + 1, end))]
    return [in_order(found)] if found and strand.part is Part.VALUE else found


def stored_of(plan: Plan, strand: Strand) -> StoredAsked:
    asked = plan.asked

    def accepts(edges: Sequence[str]) -> Sequence[bool]:
        return accepted(edges, [matcher for matcher in asked.matchers if matcher.name == "le"])

    where_and_when = (plan.kind.tables[asked.width_ms], asked.width_ms, strand.part, strand.chosen, strand.labels)
    most = asked.budget.max_samples // VALUES_A_WINDOW
    return StoredAsked(*where_and_when, asked.after_ms, asked.end_ms, asked.values, accepts, most, plan.hours)
