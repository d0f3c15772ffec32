"""What there is to select: series, label names, label values, metadata.

Whether a series had samples in a range is told by when it was last seen, to a few days (`series.seen_since`): the end of the
range is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sonde.query import filters
from sonde.query.prometheus import resources, target_info
from sonde.query.prometheus.metrics import (
    GAUGE,
    SUM,
    SUMMARY,
    TARGET_INFO,
    Metric,
    Names,
    Part,
    View,
    accepted,
    all_metrics,
    wanted,
)
from sonde.query.prometheus.names import label_name, unit_words
from sonde.query.prometheus.points import Window
from sonde.query.prometheus.series import seen_since
from sonde.query.prometheus.strands import Strand, find_strands
from sonde.query.promql.float_text import plain
from sonde.query.promql.labels import NAME, LabelTable
from sonde.query.promql.syntax import Matcher
from sonde.query.reader import Reader

Labels = dict[str, str]
MatcherSets = Sequence[Sequence[Matcher]]
EVERYTHING: Sequence[Matcher] = ()
MADE_ELSEWHERE = (NAME, "job", "instance", "le", "quantile", "otel_scope_name", "otel_scope_version")
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
    """The names of the labels that these series have, in order. Without matchers from rollups, whatever the number of series."""
    found = set() if matcher_sets else every_label_name(reader, start_ms)
    for table in tables(reader, matcher_sets, start_ms, end_ms):
        found |= {name for name, column in table.columns.items() if column.codes.any()}
    return limited(sorted(found), limit)


def label_values(
    reader: Reader, name: str, matcher_sets: MatcherSets, start_ms: int, end_ms: int, limit: int = 0
) -> list[str]:
    """The values that a label has in these series, in order."""
    matcher_sets = matcher_sets or [EVERYTHING]
    if name == NAME and all(matcher.name == NAME for matchers in matcher_sets for matcher in matchers):
        return limited(metric_names(reader, matcher_sets, start_ms), limit)
    if matcher_sets == [EVERYTHING] and (keys := attribute_keys(reader, name, start_ms)) is not None:
        return limited(attribute_values(reader, name, keys, start_ms), limit)
    found: set[str] = set()
    for table in tables(reader, matcher_sets, start_ms, end_ms):
        if column := table.columns.get(name):
            found |= set(column.values[np.unique(column.codes)])
    return limited(sorted(found - {""}), limit)


def metric_names(reader: Reader, matcher_sets: MatcherSets, start_ms: int) -> list[str]:
    """The names of series that conditions on the name alone accept, in order: no series is looked at."""
    metrics = Names.of(all_metrics(reader, seen_since(start_ms)))
    found = {each.series_name for matchers in matcher_sets for each in wanted(metrics, matchers)}
    if any(target_info.matching(reader, matchers, start_ms) for matchers in matcher_sets):
        found.add(TARGET_INFO)
    return sorted(found)


def every_label_name(reader: Reader, start_ms: int) -> set[str]:
    """The labels of all series seen since then: of attributes, of resources and scopes, and of parts."""
    metrics = all_metrics(reader, seen_since(start_ms))
    if not metrics:
        return set()
    made = {label for part, (label, _) in MADE_FROM.items() if any(part in metric.parts for metric in metrics)}
    info = LabelTable.of(target_info.matching(reader, EVERYTHING, start_ms).values())
    keys = {row["key"] for row in keys_in_use(reader, start_ms)}
    return {
        NAME,
        *made,
        *info.columns,
        *labels_of_keys(reader, keys, metrics, start_ms),
        *origin_labels(reader, start_ms),
    }


def labels_of_keys(reader: Reader, keys: set[str], metrics: Sequence[Metric], start_ms: int) -> set[str]:
    """The labels that attributes of points make: series that came from Prometheus have them verbatim, others translated.

    Only where there are both kinds, series are looked at for the keys that are not one as the other.
    """
    if all(metric.verbatim for metric in metrics):
        return keys
    translated = {label_name(key) for key in keys}
    odd = [key for key in keys if label_name(key) != key]
    if not odd or not any(metric.verbatim for metric in metrics):
        return translated
    where, params = filters.join([seen_since(start_ms)])
    sql = f"""
        SELECT arrayJoin(mapKeys(attributes_string)) AS key, min(metadata_string['prometheus.type'] != '') AS verbatim_only,
            max(metadata_string['prometheus.type'] != '') AS verbatim
        FROM series
        WHERE tenant = {{tenant:String}}
          AND {where}
          AND hasAny(mapKeys(attributes_string), {{odd:Array(String)}})
        GROUP BY key
        HAVING verbatim AND key IN {{odd:Array(String)}}
    """
    found = reader.rows(sql, {**params, "odd": odd})
    only = {row["key"] for row in found if row["verbatim_only"]}
    return {label_name(key) for key in keys - only} | {row["key"] for row in found}


def keys_in_use(reader: Reader, start_ms: int) -> list[dict[str, Any]]:
    """Attribute keys of points since then, and their types."""
    sql = """
        SELECT DISTINCT key, type
        FROM attribute_keys
        WHERE tenant = {tenant:String}
          AND source = 'series'
          AND day >= toDate(fromUnixTimestamp64Nano({seen_since:Int64}, 'UTC'))
    """
    return reader.rows(sql, seen_since(start_ms).params)


def attribute_keys(reader: Reader, label: str, start_ms: int) -> list[dict[str, Any]] | None:
    """The one attribute, under each type it has, that makes the label; None where it is made of anything else."""
    if label in MADE_ELSEWHERE:
        return None
    found = [row for row in keys_in_use(reader, start_ms) if label in (row["key"], label_name(row["key"]))]
    return found if len({row["key"] for row in found}) <= 1 else None


def attribute_values(reader: Reader, label: str, keys: list[dict[str, Any]], start_ms: int) -> list[str]:
    """The values of that attribute, and of resources in `target_info`, in order: labels of series are not made for it."""
    info = target_info.matching(reader, EVERYTHING, start_ms).values()
    found = {labels.get(label, "") for labels in info}
    where, params = filters.join([seen_since(start_ms)])
    for row in keys:
        attributes = f"attributes_{row['type']}"
        sql = f"""
            SELECT DISTINCT {attributes}[{{key:String}}] AS value
            FROM series
            WHERE tenant = {{tenant:String}}
              AND {where}
              AND mapContains({attributes}, {{key:String}})
              AND (metadata_string['prometheus.type'] = '' ? {{translated:Bool}} : {{verbatim:Bool}})
        """
        views = {"translated": label_name(row["key"]) == label, "verbatim": row["key"] == label}
        values = reader.rows(sql, {**params, **views, "key": row["key"]})
        found |= {resources.text_of(row["type"], value["value"]) for value in values}
    return sorted(found - {""})


def origin_labels(reader: Reader, start_ms: int) -> set[str]:
    """The labels that the resources and scopes of series seen since then make."""
    where, params = filters.join([seen_since(start_ms)])
    sql = f"""
        SELECT groupUniqArray(resource_id) AS resource_ids, groupUniqArray(scope_id) AS scope_ids
        FROM series
        WHERE tenant = {{tenant:String}}
          AND {where}
    """
    [row] = reader.rows(sql, params)
    known = resources.read_resources(reader, row["resource_ids"]).values()
    scopes = resources.read_scopes(reader, row["scope_ids"]).values()
    there = {
        "job": any(each.job for each in known),
        "instance": any(each.instance for each in known),
        "otel_scope_name": any(name for name, _ in scopes),
        "otel_scope_version": any(version for _, version in scopes),
    }
    return {label for label, yes in there.items() if yes}


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
    for those, _ in strand.chosen.statements():
        where, params = filters.join([those, filters.between(window.range)])
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
