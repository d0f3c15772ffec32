"""Exemplars of selected series, in the shape of Prometheus' `/api/v1/query_exemplars`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from sonde.query import filters
from sonde.query.filters import Filter
from sonde.query.prometheus.attribute_text import json_attribute_text
from sonde.query.prometheus.catalogue import Labels, layouts
from sonde.query.prometheus.metrics import Part, accepted
from sonde.query.prometheus.points import Window
from sonde.query.prometheus.strands import Strand, find_strands
from sonde.query.promql.float_text import plain
from sonde.query.promql.syntax import Matcher
from sonde.query.reader import Reader
from sonde.query.times import MAX_NANO, TimeRange

PARTS = (Part.VALUE, Part.BUCKET, Part.HISTOGRAM)
"""What exemplars belong to; a bucket's are those whose value lies in it."""
APART_NANO = 3_600_000_000_000
"""How far from its point's time an exemplar's may be and still be found."""
NO_ID = ("0" * 32, "0" * 16)


def query(reader: Reader, selectors: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[dict[str, Any]]:
    """`{"seriesLabels": ..., "exemplars": [...]}` of each series that has any in the range, ends included; oldest first.

    Of each selector the newest `query_max_limit` exemplars.
    """
    found: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    window = Window(start_ms, end_ms)
    for matchers in selectors:
        for strand in find_strands(reader, matchers, start_ms):
            if strand.part not in PARTS:
                continue
            for labels, exemplar in of_strand(reader, strand, matchers, window):
                entry = {"seriesLabels": labels, "exemplars": []}
                listed = found.setdefault(tuple(sorted(labels.items())), entry)["exemplars"]
                if exemplar not in listed:
                    listed.append(exemplar)
    return list(found.values())


def of_strand(
    reader: Reader, strand: Strand, matchers: Sequence[Matcher], window: Window
) -> Iterator[tuple[Labels, dict[str, Any]]]:
    rows = exemplar_rows(reader, strand, window)
    if not rows:
        return
    place = {id: row for row, id in enumerate(strand.chosen.ids.tolist())}
    bucket_of = buckets(reader, strand, window) if strand.part is Part.BUCKET else None
    on_le = [matcher for matcher in matchers if matcher.name == "le"]
    for row in rows:
        labels = strand.labels.row(place[row["series_id"]])
        if bucket_of is not None:
            labels["le"] = bucket_of(row["series_id"], row["value"])
            if not accepted([labels["le"]], on_le)[0]:
                continue
        yield labels, exemplar_of(row)


def exemplar_rows(reader: Reader, strand: Strand, window: Window) -> list[dict[str, Any]]:
    """The rows of the strand's series, by time. An exemplar without a time of its own has its point's."""
    least, most = window.range.start_nano, window.range.end_nano
    wide = TimeRange(max(0, least - APART_NANO), min(most + APART_NANO, MAX_NANO))
    params = {"least": least, "most": most, "rows": reader.config.query_max_limit}
    rows: list[dict[str, Any]] = []
    for wanted, _ in strand.chosen.statements():
        where, where_params = filters.join([wanted, filters.between(wide, "point_time"), Filter("value_type != 0", {})])
        sql = f"""
            SELECT
              series_id,
              toUnixTimestamp64Nano(if(toUnixTimestamp64Nano(time) = 0, point_time, time)) AS nano,
              value,
              lower(hex(trace_id)) AS trace,
              lower(hex(span_id)) AS span,
              mapKeys(filtered_attributes_string) AS string_keys,
              mapValues(filtered_attributes_string) AS string_values,
              mapKeys(filtered_attributes_json) AS json_keys,
              mapValues(filtered_attributes_json) AS json_values
            FROM exemplars
            PREWHERE tenant = {{tenant:String}}
              AND {where}
            WHERE nano >= {{least:Int64}}
              AND nano < {{most:Int64}}
            ORDER BY nano DESC, series_id
            LIMIT {{rows:UInt64}}
        """
        rows += reader.rows(sql, {**where_params, **params})
    known = set(strand.chosen.ids.tolist())
    return [row for row in reversed(rows) if row["series_id"] in known]


def exemplar_of(row: dict[str, Any]) -> dict[str, Any]:
    labels = {name: id for name, id in (("trace_id", row["trace"]), ("span_id", row["span"])) if id not in NO_ID}
    labels |= dict(zip(row["string_keys"], row["string_values"], strict=True))
    labels |= {key: json_attribute_text(text) for key, text in zip(row["json_keys"], row["json_values"], strict=True)}
    return {"labels": labels, "value": plain(row["value"]), "timestamp": row["nano"] // 1_000_000 / 1000}


def buckets(reader: Reader, strand: Strand, window: Window) -> Callable[[int, float], str]:
    """The `le` of the bucket that a value of a series lies in, by the bounds of its points in the window."""
    bounds = {
        id: np.array(row["layout"]) for row in layouts(reader, strand, "explicit_bounds", window) for id in row["ids"]
    }

    def le(series_id: int, value: float) -> str:
        own = bounds.get(series_id, np.zeros(0))
        place = int(np.searchsorted(own, value))
        return plain(float(own[place])) if place < len(own) else "+Inf"

    return le
