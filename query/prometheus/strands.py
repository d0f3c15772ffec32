"""What a selector finds before any point is read: stored series, and which part of their points makes Prometheus series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from sonde.query.filters import Filter
from sonde.query.prometheus.held import Held, TenantSeries
from sonde.query.prometheus.metrics import (
    DELTA,
    EXPONENTIAL_HISTOGRAM,
    HISTOGRAM,
    SUMMARY,
    Metric,
    Names,
    Part,
    Wanted,
    all_metrics,
    wanted,
)
from sonde.query.prometheus.points import NUMBERS, Chosen
from sonde.query.prometheus.series import Origins, StoredSeries, find_series, seen_from
from sonde.query.promql.labels import NAME, LabelColumn, LabelTable, column_of
from sonde.query.promql.regex import matched_rows
from sonde.query.promql.syntax import Matcher
from sonde.query.promql.values import Bools
from sonde.query.reader import Reader

TABLES = {
    HISTOGRAM: "points_histogram",
    EXPONENTIAL_HISTOGRAM: "points_exponential_histogram",
    SUMMARY: "points_summary",
}
"""Where the points of a metric's type are; those of the other types in `NUMBERS`."""

MADE_BY = {Part.BUCKET: "le", Part.QUANTILE: "quantile"}
"""The label that the points of a part tell."""


@dataclass(frozen=True, slots=True)
class Strand:
    """Stored series whose points are in one table, and one part of them."""

    part: Part
    table: str
    is_delta: bool
    chosen: Chosen
    """n series, by id."""
    labels: LabelTable
    """n series, but for `le` and `quantile`, which the points tell."""
    metrics: list[Metric]
    """(n,)"""


def find_strands(reader: Reader, matchers: Sequence[Matcher], since_ms: int) -> Iterator[Strand]:
    """All that the matchers accept, those on `le` and `quantile` apart, of series seen since then."""
    held = reader.held_series()
    asked = wanted(held.names if held else Names.of(all_metrics(reader)), matchers)
    if not asked:
        return
    found = candidates(reader, held, asked, matchers, since_ms)
    series = found.series
    if not len(series):
        return
    tables = np.array([TABLES.get(metric.type, NUMBERS) for metric in series.metrics])
    delta = np.array([metric.temporality == DELTA for metric in series.metrics], bool)
    for view in dict.fromkeys(each.view for each in asked):
        labels = found.all_of.labels_in(view)
        in_view = sorted((each for each in asked if each.view is view), key=lambda each: each.part.value)
        for part, group in groupby(in_view, lambda each: each.part):
            names = {each.metric: each.series_name for each in group}
            name_of_metric = [names.get(metric, "") for metric in series.metrics]
            rows = found.recent & matching(labels, matchers, but=MADE_BY.get(part, ""))
            named = labels.with_column(NAME, named_column(name_of_metric, series.metric))
            asked_metric = np.array([name != "" for name in name_of_metric])
            for table, is_delta in sorted({(str(t), bool(d)) for t, d in zip(tables, delta, strict=True)}):
                of_kind = asked_metric & (tables == table) & (delta == is_delta)
                chosen = np.flatnonzero(rows & of_kind[series.metric])
                if len(chosen):
                    metrics = [series.metrics[index] for index in series.metric[chosen]]
                    ids = Chosen(series.ids[chosen], found.condition, len(series), found.metrics)
                    yield Strand(part, table, is_delta, ids, named.take(chosen), metrics)


@dataclass(frozen=True, slots=True)
class Candidates:
    """n series, some of which a selector's matchers accept."""

    all_of: Held
    recent: Bools
    """(n,) which of them can have points since the time asked for."""
    condition: Filter
    """That a point is of one of them."""
    metrics: tuple[str, ...] = ()
    """Whose series these are, where they are all of theirs."""

    @property
    def series(self) -> StoredSeries:
        return self.all_of.series


def candidates(
    reader: Reader, held: TenantSeries | None, asked: Sequence[Wanted], matchers: Sequence[Matcher], since_ms: int
) -> Candidates:
    """All series of the metrics asked for where these can be held, else those that the store finds."""
    names = sorted({each.metric.name for each in asked})
    if held and (known := held.metrics(reader, names)):
        recent = known.series.last_seen >= seen_from(since_ms)
        return Candidates(known, recent, Filter("metric IN {names:Array(String)}", {"names": names}), tuple(names))
    series, condition = find_series(reader, asked, matchers, since_ms)
    found = Held(series, Origins.of(reader, series))
    return Candidates(found, np.ones(len(series), bool), condition)


def named_column(names: Sequence[str], metric: NDArray[np.int64]) -> LabelColumn:
    """The column of `names[metric]`."""
    column = column_of(names)
    return LabelColumn(column.codes[metric], column.values)


def matching(labels: LabelTable, matchers: Sequence[Matcher], but: str) -> Bools:
    """(n,) which series every matcher accepts, but for those on the name and on the label `but`."""
    rows = np.ones(labels.size, bool)
    for matcher in matchers:
        if matcher.name not in (NAME, but):
            rows &= matched_rows(labels.column(matcher.name), matcher)
    return rows
