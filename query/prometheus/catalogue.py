"""What there is to select: series, label names, label values, metadata.

Whether a series had samples in a range is told by when it was last seen, to a few days (`series.seen_since`): the end of the
range is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sonde.query import filters
from sonde.query.prometheus import target_info
from sonde.query.prometheus.metrics import GAUGE, SUM, SUMMARY, Metric, Part, View, accepted, all_metrics
from sonde.query.prometheus.names import unit_words
from sonde.query.prometheus.points import Window
from sonde.query.prometheus.strands import Strand, find_strands
from sonde.query.promql.float_text import plain
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.syntax import Matcher
from sonde.query.reader import Reader

Labels = dict[str, str]
MatcherSets = Sequence[Sequence[Matcher]]
EVERYTHING: Sequence[Matcher] = ()
MADE_FROM = {Part.BUCKET: ("le", "explicit_bounds"), Part.QUANTILE: ("quantile", "`quantile_values.quantile`")}


def series(reader: Reader, matcher_sets: MatcherSets, start_ms: int, end_ms: int, limit: int = 0) -> list[Labels]:
    """The label sets that any of the sets of matchers accepts, each once; at most `limit` (0: all)."""
    found: dict[tuple[tuple[str, str], ...], Labels] = {}
    for table in tables(reader, matcher_sets, start_ms, end_ms):
        for row in table.rows():
            found.setdefault(tuple(sorted(row.items())), row)
            if limit and len(found) >= limit:
                return list(found.values())
    return list(found.values())


def label_names(reader: Reader, matcher_sets: MatcherSets, start_ms: int, end_ms: int, limit: int = 0) -> list[str]:
    """The names of the labels that these series have, in order."""
    found: set[str] = set()
    for table in tables(reader, matcher_sets or [EVERYTHING], start_ms, end_ms):
        found |= {name for name, column in table.columns.items() if column.codes.any()}
    return limited(sorted(found), limit)


def label_values(
    reader: Reader, name: str, matcher_sets: MatcherSets, start_ms: int, end_ms: int, limit: int = 0
) -> list[str]:
    """The values that a label has in these series, in order."""
    found: set[str] = set()
    for table in tables(reader, matcher_sets or [EVERYTHING], start_ms, end_ms):
        if column := table.columns.get(name):
            found |= set(column.values[np.unique(column.codes)])
    return limited(sorted(found - {""}), limit)


def limited(texts: list[str], limit: int) -> list[str]:
    return texts[:limit] if limit else texts


def tables(reader: Reader, matcher_sets: MatcherSets, start_ms: int, end_ms: int) -> Iterator[LabelTable]:
    """The labels of all series that any of the sets accepts; some may come twice."""
    window = Window(start_ms, end_ms)
    for matchers in matcher_sets:
        info = target_info.matching(reader, matchers, start_ms)
        if info:
            yield LabelTable.of(info.values())
        for strand in find_strands(reader, matchers, start_ms):
            yield from with_made_label(reader, strand, matchers, window)


def with_made_label(
    reader: Reader, strand: Strand, matchers: Sequence[Matcher], window: Window
) -> Iterator[LabelTable]:
    """The strand's labels, with `le` or `quantile` as its points in the window have them."""
    if strand.part not in MADE_FROM:
        yield strand.labels
        return
    label, column = MADE_FROM[strand.part]
    on_label = [matcher for matcher in matchers if matcher.name == label]
    place = {id: row for row, id in enumerate(strand.chosen.ids.tolist())}
    for row in layouts(reader, strand, column, window):
        rows = np.array([place[id] for id in row["ids"] if id in place], np.int64)
        texts = [*(plain(bound) for bound in row["layout"]), *(["+Inf"] if label == "le" else [])]
        for text, yes in zip(texts, accepted(texts, on_label), strict=True):
            if yes and len(rows):
                yield strand.labels.take(rows).with_column(
                    label, LabelTable.of([{label: text}] * len(rows)).columns[label]
                )


def layouts(reader: Reader, strand: Strand, column: str, window: Window) -> Iterator[dict[str, Any]]:
    """The distinct lists of a column, and the series that have each."""
    for wanted, _ in strand.chosen.statements():
        where, params = filters.join([wanted, filters.between(window.range)])
        sql = f"""
            SELECT {column} AS layout, groupUniqArray(series_id) AS ids
            FROM {strand.table}
            PREWHERE tenant = {{tenant:String}}
              AND {where}
            WHERE NOT bitTest(flags, 0)
            GROUP BY layout
        """
        yield from reader.rows(sql, params)


def metadata(reader: Reader, metric: str = "", limit: int = 0, limit_per_metric: int = 0) -> dict[str, list[Labels]]:
    """Type, help and unit by the name of a metric's family; of one metric alone, or of `limit` (0: all)."""
    found: dict[str, list[Labels]] = {}
    for each in all_metrics(reader):
        name = metadata_name(each)
        if metric and name != metric:
            continue
        if name not in found and limit and len(found) >= limit:
            continue
        entry = {"type": metadata_type(each), "help": each.description, "unit": metadata_unit(each)}
        entries = found.setdefault(name, [])
        if entry not in entries and not (limit_per_metric and len(entries) >= limit_per_metric):
            entries.append(entry)
    return found


def metadata_name(metric: Metric) -> str:
    """The family's name: of classic histograms and summaries that came as series, without what its parts add."""
    name = metric.family(View.TRANSLATED)
    suffixes = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
    for suffix in suffixes.get(metric.prometheus_type, ()) if Part.VALUE in metric.parts else ():
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def metadata_type(metric: Metric) -> str:
    """Prometheus' word for a metric's type."""
    if metric.verbatim:
        return "histogram" if metric.prometheus_type == "nhcb" else metric.prometheus_type
    if metric.type == GAUGE or (metric.type == SUM and not metric.is_monotonic):
        return "gauge"
    return "counter" if metric.type == SUM else "summary" if metric.type == SUMMARY else "histogram"


def metadata_unit(metric: Metric) -> str:
    return metric.unit if metric.verbatim else "_".join(unit_words(metric.unit))
