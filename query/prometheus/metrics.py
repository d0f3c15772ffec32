"""The metrics of a tenant, and which of them a selector's conditions on the name mean.

Every stored metric is seen in two views: with translated names (`names.py`), and with those it was sent with. A selector
that says `__name__="..."` is answered by the view in which the metric has that name; one that does not by the translated
view alone, so that nothing shows twice. See `docs/decisions/prometheus-names.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sonde.query import filters
from sonde.query.filters import Filter
from sonde.query.prometheus import names
from sonde.query.promql.labels import NAME
from sonde.query.promql.regex import matched_values
from sonde.query.promql.syntax import Matcher, MatchOp
from sonde.query.reader import Reader

GAUGE, SUM, HISTOGRAM, EXPONENTIAL_HISTOGRAM, SUMMARY = 5, 7, 9, 10, 11
DELTA, CUMULATIVE = 1, 2
TARGET_INFO = "target_info"


class View(Enum):
    TRANSLATED = "translated"
    ORIGINAL = "original"


class Part(Enum):
    """What of a metric's points makes a series of its own; the value is what the series' name has more than the metric's."""

    VALUE = ""
    BUCKET = "_bucket"
    SUM = "_sum"
    COUNT = "_count"
    QUANTILE = " quantile"
    HISTOGRAM = " histogram"

    @property
    def suffix(self) -> str:
        return self.value if self.value.startswith("_") else ""


CLASSIC = (Part.BUCKET, Part.SUM, Part.COUNT)
NHCB = "nhcb"
"""`prometheus.type` of a native histogram with custom buckets, which is stored as one with explicit ones."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What the series of a metric have in common, but for its description."""

    name: str
    unit: str
    type: int
    temporality: int
    is_monotonic: bool
    prometheus_type: str = ""
    prometheus_counts: str = ""
    description: str = field(default="", compare=False)

    @property
    def verbatim(self) -> bool:
        """Whether it came from Prometheus, with names that are Prometheus' own."""
        return bool(self.prometheus_type)

    @property
    def is_counter(self) -> bool:
        return self.type == SUM and self.is_monotonic

    @property
    def parts(self) -> tuple[Part, ...]:
        match self.type:
            case 9:
                return (Part.HISTOGRAM,) if self.prometheus_type == NHCB else CLASSIC
            case 10:
                return (Part.HISTOGRAM,)
            case 11:
                return (Part.QUANTILE, Part.SUM, Part.COUNT)
        return (Part.VALUE,)

    def family(self, view: View) -> str:
        """The name without what its parts add."""
        if view is View.ORIGINAL or self.verbatim:
            return self.name
        return names.metric_name(self.name, self.unit, is_counter=self.is_counter, is_gauge=self.type == GAUGE)

    def series_name(self, part: Part, view: View) -> str:
        return self.family(view) + part.suffix


@dataclass(frozen=True, slots=True)
class Wanted:
    """A part of a metric, in the view that answers for it."""

    metric: Metric
    part: Part
    view: View

    @property
    def series_name(self) -> str:
        return self.metric.series_name(self.part, self.view)


def all_metrics(reader: Reader, seen: Filter | None = None) -> list[Metric]:
    """Every metric of the tenant. One with several descriptions is there several times, equal to itself.

    `seen` is a condition over `last_seen`.
    """
    where, params = filters.join([seen])
    sql = f"""
        SELECT DISTINCT name, unit, type, temporality, is_monotonic, prometheus_type, prometheus_counts, description
        FROM metrics
        WHERE tenant = {{tenant:String}}
          AND {where}
    """
    return [metric_of(row) for row in reader.rows(sql, params)]


def metric_of(row: dict[str, Any]) -> Metric:
    """A row that has the columns of a metric's identity."""
    return Metric(
        row["name"],
        row["unit"],
        row["type"],
        row["temporality"],
        bool(row["is_monotonic"]),
        row["prometheus_type"],
        row["prometheus_counts"],
        row.get("description", ""),
    )


@dataclass(frozen=True, slots=True)
class Names:
    """What the parts of some metrics are called."""

    metrics: list[Metric]
    """With several descriptions, several times."""
    parts: list[tuple[Metric, Part]]
    """n, of each metric once."""
    translated: NDArray[Any]
    """(n,) of str"""
    original: NDArray[Any]

    @classmethod
    def of(cls, metrics: Iterable[Metric]) -> Names:
        known = list(metrics)
        parts = [(metric, part) for metric in dict.fromkeys(known) for part in metric.parts]
        translated, original = (
            texts_of([metric.series_name(part, view) for metric, part in parts])
            for view in (View.TRANSLATED, View.ORIGINAL)
        )
        return cls(known, parts, translated, original)


def wanted(known: Names, matchers: Sequence[Matcher]) -> list[Wanted]:
    """Which parts of which metrics the conditions on the name mean, each in one view."""
    on_name = [matcher for matcher in matchers if matcher.name == NAME]
    translated = fitting(known.translated, on_name)
    if not any(matcher.op is MatchOp.EQUAL for matcher in on_name):
        return [Wanted(*known.parts[place], View.TRANSLATED) for place in np.flatnonzero(translated)]
    original = fitting(known.original, on_name)
    asks_original = any(not names.is_plain_label(matcher.name) for matcher in matchers)
    found = []
    for place in np.flatnonzero(translated | original):
        is_original = original[place] and (not translated[place] or asks_original)
        found.append(Wanted(*known.parts[place], View.ORIGINAL if is_original else View.TRANSLATED))
    return found


def accepted(texts: Sequence[str], matchers: Iterable[Matcher]) -> list[bool]:
    """Which texts every matcher accepts."""
    return [bool(each) for each in fitting(texts_of(texts), matchers)]


def texts_of(texts: Sequence[str]) -> NDArray[Any]:
    values = np.empty(len(texts), object)
    values[:] = texts
    return values


def fitting(values: NDArray[Any], matchers: Iterable[Matcher]) -> NDArray[np.bool_]:
    """(n,) which values every matcher accepts."""
    yes = np.ones(len(values), bool)
    for matcher in matchers:
        yes &= matched_values(values, matcher)
    return yes
