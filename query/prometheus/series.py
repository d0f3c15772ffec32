"""Stored series and their labels: found by SQL, held as arrays, matched exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sonde.query import filters
from sonde.query.errors import TOO_MANY_ROWS, clickhouse_code
from sonde.query.filters import Filter
from sonde.query.prometheus import conditions, resources
from sonde.query.prometheus.attribute_text import double_text, json_attribute_text
from sonde.query.prometheus.metrics import Metric, View, Wanted
from sonde.query.prometheus.names import label_name
from sonde.query.promql.labels import LabelColumn, LabelTable, values_of
from sonde.query.promql.syntax import Matcher
from sonde.query.reader import Reader
from sonde.storage.errors import StoreRefused
from sonde.storage.native_blocks import Dictionary, ListColumn, NativeBlock, whole

Codes = NDArray[np.int64]
Ids = NDArray[np.uint64]
DAY_NANO = 86_400_000_000_000
LATE_DAYS = 3
"""`last_seen` is a time of receipt, kept to a day; a point may be a day ahead of it."""
IDENTITY = ("name", "unit", "type", "temporality", "is_monotonic", "prometheus_type", "prometheus_counts")
MOST_NAMES = 2_000
"""Metric names that one statement is given; for more, all series of the tenant are read."""
TEXTS = "CAST(arrayConcat({}), 'Array(LowCardinality(String))')"
PLAIN_KEYS = TEXTS.format("mapKeys(attributes_string), mapKeys(attributes_int), mapKeys(attributes_bool)")
PLAIN_VALUES = TEXTS.format(
    "mapValues(attributes_string), arrayMap(value -> toString(value), mapValues(attributes_int)),"
    " arrayMap(value -> if(value, 'true', 'false'), mapValues(attributes_bool))"
)


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of many series: entry i says that series `rows[i]` has `values[value[i]]` under `keys[key[i]]`."""

    rows: Codes
    key: Codes
    keys: list[str]
    value: Codes
    values: list[str]


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """n series of the store, by id."""

    ids: NDArray[np.uint64]
    """(n,), ascending."""
    metrics: list[Metric]
    metric: Codes
    """(n,) index into `metrics`."""
    resource_ids: NDArray[np.uint64]
    scope_ids: NDArray[np.uint64]
    attributes: Attributes
    last_seen: NDArray[np.int64]
    """ns; see `seen_since`."""

    def __len__(self) -> int:
        return len(self.ids)


def find_series(
    reader: Reader, wanted: Sequence[Wanted], matchers: Sequence[Matcher], since_ms: int
) -> tuple[StoredSeries, Filter]:
    """The series of those metrics which the matchers may accept (`conditions.py`), seen since then; and that they are these
    as a condition over a points table."""
    names = named(wanted)
    where, params = filters.join([names, *conditions.candidates(matchers), seen_since(since_ms)])
    among = f"series_id IN (SELECT series_id FROM series WHERE tenant = {{tenant:String}} AND {where})"
    if names is not None:
        among = f"metric IN {{names:Array(String)}} AND {among}"
    return read_series(reader, where, params), Filter(among, params)


def read_named(reader: Reader, names: Sequence[str], most: int) -> StoredSeries | None:
    """All series of the metrics with these names; None where there are more than `most`."""
    try:
        return read_series(reader, "name IN {names:Array(String)}", {"names": list(names)}, most_rows=most)
    except StoreRefused as error:
        if clickhouse_code(error) == TOO_MANY_ROWS:
            return None
        raise


def read_series(reader: Reader, where: str, params: dict[str, Any], *, most_rows: int = 0) -> StoredSeries:
    sql = f"""
        SELECT
          series_id, resource_id, scope_id, name, unit, type, temporality, is_monotonic, last_seen,
          CAST(metadata_string['prometheus.type'], 'LowCardinality(String)') AS prometheus_type,
          CAST(metadata_string['prometheus.counts'], 'LowCardinality(String)') AS prometheus_counts,
          {PLAIN_KEYS} AS plain_keys,
          {PLAIN_VALUES} AS plain_values,
          mapKeys(attributes_double) AS double_keys,
          mapValues(attributes_double) AS double_values,
          mapKeys(attributes_json) AS json_keys,
          CAST(mapValues(attributes_json), 'Array(LowCardinality(String))') AS json_values
        FROM series
        WHERE tenant = {{tenant:String}}
          AND {where}
    """
    block = whole(reader.blocks(sql, params, most_rows=most_rows))
    return stored_series(block) if block else NO_SERIES


def named(wanted: Sequence[Wanted]) -> Filter | None:
    found = sorted({each.metric.name for each in wanted})
    return Filter("name IN {names:Array(String)}", {"names": found}) if len(found) <= MOST_NAMES else None


def seen_since(since_ms: int) -> Filter:
    """Series that may have points since then. Not also those seen before the end: points can be older than their receipt."""
    return Filter(
        "last_seen >= fromUnixTimestamp64Nano({seen_since:Int64}, 'UTC')", {"seen_since": seen_from(since_ms)}
    )


def seen_from(since_ms: int) -> int:
    """When, in ns, a series must have been seen at the earliest to have points since then."""
    return max(0, since_ms * 1_000_000 - LATE_DAYS * DAY_NANO)


def stored_series(block: NativeBlock) -> StoredSeries:
    """Rows of `series` as they are stored: one series may have several, which are equal but for when it was seen."""
    ids, first, place = np.unique(block["series_id"], return_index=True, return_inverse=True)
    metrics, metric = identities(block, first)
    origins = block["resource_id"][first], block["scope_id"][first]
    last_seen = np.zeros(len(ids), np.int64)
    np.maximum.at(last_seen, place, block["last_seen"])
    return StoredSeries(ids, metrics, metric, *origins, attributes_of(block, first), last_seen)


def identities(block: NativeBlock, first: Codes) -> tuple[list[Metric], Codes]:
    """The distinct metrics of these rows, and which one each row is of."""
    key = np.zeros(len(first), np.int64)
    for name in IDENTITY:
        column = block[name]
        codes = column.codes[first] if isinstance(column, Dictionary) else column[first]
        _, codes = np.unique(codes, return_inverse=True)
        _, key = np.unique(key * (int(codes.max()) + 1) + codes, return_inverse=True)
    _, example = np.unique(key, return_index=True)
    rows = [{name: cell(block[name], first[index]) for name in IDENTITY} for index in example]
    return [Metric(**{**row, "is_monotonic": bool(row["is_monotonic"])}) for row in rows], key


def cell(column: Any, row: int) -> Any:
    return column.values[column.codes[row]] if isinstance(column, Dictionary) else column[row].item()


def attributes_of(block: NativeBlock, first: Codes) -> Attributes:
    """The attributes of the rows `first`, which are numbered anew from 0."""
    number = np.full(len(block["series_id"]), -1, np.int64)
    number[first] = np.arange(len(first))
    found = [
        entries(block["plain_keys"], block["plain_values"], number, None),
        entries(block["double_keys"], block["double_values"], number, double_text),
        entries(block["json_keys"], block["json_values"], number, json_attribute_text),
    ]
    keys: dict[str, int] = {}
    values: dict[str, int] = {"": 0}
    key = [recoded(each.keys, keys)[each.key] for each in found]
    value = [recoded(each.values, values)[each.value] for each in found]
    rows = np.concatenate([each.rows for each in found])
    return Attributes(rows, np.concatenate(key), list(keys), np.concatenate(value), list(values))


def entries(keys: ListColumn, values: ListColumn, number: Codes, text: Callable[[Any], str] | None) -> Attributes:
    """The entries of one pair of lists; `text` spells values that are not texts of their own."""
    rows = np.repeat(number, np.diff(keys.ends, prepend=0))
    kept = rows >= 0
    if not kept.any():
        return Attributes(rows[kept], rows[kept], [], rows[kept], [])
    codes, texts = distinct(values.items)
    if text is not None:
        # A dictionary has "" among its values whether it is used or not.
        texts = ["" if each == "" else text(each) for each in texts]
    return Attributes(rows[kept], keys.items.codes[kept].astype(np.int64), keys.items.values, codes[kept], texts)


def distinct(items: Any) -> tuple[Codes, list[Any]]:
    if isinstance(items, Dictionary):
        return items.codes.astype(np.int64), items.values
    # By their bits: NaN is one value, 0 and -0 are two.
    bits, codes = np.unique(items.view(np.int64), return_inverse=True)
    return codes, bits.view(items.dtype).tolist()


def recoded(texts: Sequence[str], known: dict[str, int]) -> Codes:
    """The code of each text in `known`, which grows by those that are new."""
    return np.fromiter((known.setdefault(text, len(known)) for text in texts), np.int64, len(texts))


def labels_of(series: StoredSeries, view: View, origins: Origins) -> LabelTable:
    """The labels of the series but for `__name__` and what their parts add."""
    columns = attribute_columns(series, view)
    for name, texts in origins.columns(series):
        columns[name] = overridden(columns.get(name), texts)
    return LabelTable(len(series), columns)


def attribute_columns(series: StoredSeries, view: View) -> dict[str, LabelColumn]:
    """One column a label. Attributes whose keys become the same label are joined by `;`, in the order of their keys."""
    found = series.attributes
    verbatim = np.array([metric.verbatim for metric in series.metrics], bool)[series.metric]
    known: dict[str, int] = {}
    original = recoded(found.keys, known)
    label = original[found.key]
    if view is View.TRANSLATED:
        translated = recoded([label_name(key) for key in found.keys], known)
        label = np.where(verbatim[found.rows], label, translated[found.key])
    order = np.argsort(label, kind="stable")
    bounds = np.searchsorted(label[order], np.arange(len(known) + 1))
    columns = {}
    for name, begin, end in zip(known, bounds, bounds[1:], strict=False):
        if begin < end:
            columns[name] = attribute_column(found, order[begin:end], len(series))
    return columns


def attribute_column(found: Attributes, entries: Codes, size: int) -> LabelColumn:
    """The column that these entries make."""
    rows, codes = found.rows[entries], found.value[entries]
    taken = np.zeros(size, np.int64)
    taken[rows[::-1]] = codes[::-1]
    if np.bincount(rows, minlength=1).max() < 2:
        return compact(taken, found.values)
    texts = list(found.values)
    for row in np.flatnonzero(np.bincount(rows) > 1):
        here = entries[rows == row]
        by_key: dict[str, str] = {}
        for entry in here:
            by_key.setdefault(found.keys[found.key[entry]], found.values[found.value[entry]])
        taken[row] = len(texts)
        texts.append(";".join(by_key[key] for key in sorted(by_key)))
    return compact(taken, texts)


def compact(codes: Codes, values: Sequence[str]) -> LabelColumn:
    """A column with only the values in use. `values[0]` is "", and a value may stand twice."""
    used = np.zeros(len(values), bool)
    used[codes] = True
    used[0] = True
    known: dict[str, int] = {}
    code = np.zeros(len(values), np.int32)
    code[used] = recoded([values[index] for index in np.flatnonzero(used).tolist()], known)
    return LabelColumn(code[codes], values_of(known))


def overridden(column: LabelColumn | None, texts: LabelColumn) -> LabelColumn:
    """`texts`, and where they are empty what was there before."""
    if column is None:
        return texts
    known: dict[str, int] = {}
    before, after = recoded(column.values.tolist(), known), recoded(texts.values.tolist(), known)
    codes = np.where(texts.codes > 0, after[texts.codes], before[column.codes])
    return compact(codes, list(known))


@dataclass(frozen=True, slots=True)
class Origins:
    """The resources and scopes of some series."""

    resources: dict[int, resources.Resource]
    scopes: dict[int, tuple[str, str]]

    @classmethod
    def of(cls, reader: Reader, series: StoredSeries) -> Origins:
        return cls(
            resources.read_resources(reader, np.unique(series.resource_ids).tolist()),
            resources.read_scopes(reader, np.unique(series.scope_ids).tolist()),
        )

    def complete(self, series: StoredSeries) -> bool:
        """Whether the store had all of them: a series may be seen a moment before its resource."""
        asked = set(series.resource_ids.tolist()), set(series.scope_ids.tolist())
        return asked[0] <= self.resources.keys() and asked[1] <= self.scopes.keys()

    def columns(self, series: StoredSeries) -> list[tuple[str, LabelColumn]]:
        """The labels that come from them, where any series has them."""
        nothing = resources.Resource("", "", {})
        found = [
            ("job", by_id(series.resource_ids, lambda each: self.resources.get(each, nothing).job)),
            ("instance", by_id(series.resource_ids, lambda each: self.resources.get(each, nothing).instance)),
            ("otel_scope_name", by_id(series.scope_ids, lambda each: self.scopes.get(each, ("", ""))[0])),
            ("otel_scope_version", by_id(series.scope_ids, lambda each: self.scopes.get(each, ("", ""))[1])),
        ]
        return [(name, column) for name, column in found if len(column.values) > 1]


def by_id(ids: NDArray[np.uint64], text: Callable[[int], str]) -> LabelColumn:
    each, codes = np.unique(ids, return_inverse=True)
    return compact(codes + 1, ["", *(text(id) for id in each.tolist())])


NO_IDS = np.empty(0, np.uint64)
NO_CODES = np.empty(0, np.int64)
NO_SERIES = StoredSeries(
    NO_IDS, [], NO_CODES, NO_IDS, NO_IDS, Attributes(NO_CODES, NO_CODES, [], NO_CODES, [""]), NO_CODES
)
