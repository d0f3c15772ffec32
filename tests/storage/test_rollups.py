"""What the materialized views keep, that a token counts once in all of them, and the views for others' dashboards."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sonde.storage.columns import Constant, Lists, Maps, Strings
from sonde.storage.rollups import ALL_TABLES, KEYS_A_BLOCK, ROLLUPS, VALUES_A_KEY
from sonde.storage.schema import POINTS_NUMBER, RESOURCES, SERIES, SPANS, Table
from sonde.storage.store import Store, open_store
from storage_rows import AT, count, insert, insert_logs, insert_points, insert_spans

SOME = 2_000


def texts(*values: str) -> Strings:
    encoded = [value.encode() for value in values]
    lengths = np.array([len(value) for value in encoded], np.int64)
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
    return Strings(np.frombuffer(b"".join(encoded), np.uint8), starts, lengths)


def one_row(table: Table, **values: Any) -> dict[str, Any]:
    """One row of `table`: defaults, and what is given."""
    return {column.name: values.get(column.name, Constant(b"", 1)) for column in table.columns}


def one_pair(key: str, value: str) -> Maps:
    return Maps(np.array([1], np.uint64), texts(key), texts(value))


def test_minutes_count_calls_errors_and_durations(store: Store) -> None:
    block = insert_spans(store, SOME, "a")
    [row] = store.rows(
        "SELECT sum(calls) AS calls, sum(errors) AS errors, sum(duration_sum) AS duration, "
        "quantilesBFloat16Merge(0.5, 0.99)(duration_quantiles) AS quantiles, min(minute) AS minute FROM span_minutes"
    )
    assert row["calls"] == SOME
    assert row["errors"] == int((block["status_code"] == 2).sum())
    assert row["duration"] == int(block["duration_nano"].sum())
    assert row["minute"] == AT // 1_000_000_000
    exact = np.quantile(block["duration_nano"], [0.5, 0.99], method="inverted_cdf")
    assert row["quantiles"] == pytest.approx(exact, rel=0.05)


def test_a_span_that_ends_before_it_starts_counts_as_no_time(store: Store) -> None:
    insert(store, SPANS, one_row(SPANS, duration_nano=np.array([-5])), 1, "a")
    assert count(store, "span_minutes", "sum(duration_sum)") == 0


def test_log_minutes_count_by_severity(store: Store) -> None:
    block = insert_logs(store, SOME, "a")
    rows = store.rows("SELECT severity_number, sum(records) AS records FROM log_minutes GROUP BY severity_number")
    assert {row["severity_number"]: row["records"] for row in rows} == Counter(block["severity_number"].tolist())
    assert count(store, "log_minutes", "sum(body_bytes)") == int(block["body"].lengths.sum())


def test_a_trace_range_holds_every_span_of_the_trace(store: Store) -> None:
    insert_spans(store, 800, "a")
    insert_spans(store, 800, "b", at_unix_nano=AT + 90_000_000_000)
    missing = """
        SELECT count() AS n FROM spans
        LEFT JOIN (SELECT tenant, trace_id, min(first) AS first, max(last) AS last FROM trace_ranges GROUP BY ALL) AS r
        USING (tenant, trace_id)
        WHERE time < first OR time >= last + 1
    """
    assert store.rows(missing) == [{"n": 0}]
    assert count(store, "trace_ranges", "sum(spans)") == 1_600


def test_a_trace_range_holds_any_64_bits_of_time(store: Store) -> None:
    for time in (-(2**63), -1_500_000_000, -1, 0, 1, 2**32 * 1_000_000_000 + 5, 2**63 - 1):
        store.command("TRUNCATE TABLE trace_ranges")
        insert(store, SPANS, one_row(SPANS, time=np.array([time])), 1, str(time))
        [row] = store.rows("SELECT min(first) AS first, max(last) AS last FROM trace_ranges")
        assert row["first"] * 10**9 <= time < (row["last"] + 1) * 10**9


def test_every_attribute_key_is_known(store: Store) -> None:
    insert_spans(store, SOME, "a")
    insert_logs(store, SOME, "b")
    rows = store.rows("SELECT DISTINCT source, type, key FROM attribute_keys")
    found = {(row["source"], row["type"], row["key"]) for row in rows}
    assert ("spans", "string", "client.address") in found
    assert ("spans", "int", "http.response.status_code") in found
    assert ("spans", "double", "app.cart.total") in found
    assert ("spans", "bool", "app.cache.hit") in found
    assert ("logs", "int", "code.line.number") in found
    assert len(found) == 17


def test_keys_and_values_are_bounded_in_each_block(store: Store) -> None:
    rows = 5_000
    block = {column.name: Constant(b"", rows) for column in SPANS.columns}
    names = texts(*(f"key-{i}" for i in range(rows)))
    ends = np.arange(1, rows + 1, dtype=np.uint64)
    same = Strings(texts("key").buffer, np.zeros(rows, np.int64), np.full(rows, 3, np.int64))
    insert(store, SPANS, {**block, "attributes_string": Maps(ends, names, names)}, rows, "a")
    insert(store, SPANS, {**block, "attributes_string": Maps(ends, same, names)}, rows, "b")
    assert KEYS_A_BLOCK <= count(store, "attribute_keys") <= KEYS_A_BLOCK + 1
    assert count(store, "(SELECT * FROM attribute_values WHERE key = 'key')") == VALUES_A_KEY


def test_resources_and_series_tell_their_attributes(store: Store) -> None:
    for table in (RESOURCES, SERIES):
        insert(store, table, one_row(table, attributes_string=one_pair("host.name", "node-1")), 1, table.name)
    rows = store.rows("SELECT source, type, key, value, records FROM attribute_values ORDER BY source")
    kept = {"type": "string", "key": "host.name", "value": "node-1", "records": 1}
    assert rows == [{"source": "resources", **kept}, {"source": "series", **kept}]


def test_long_values_are_no_suggestions(store: Store) -> None:
    insert(store, RESOURCES, one_row(RESOURCES, attributes_string=one_pair("k", "v" * 129)), 1, "a")
    assert count(store, "attribute_values") == 0


def totals(store: Store) -> dict[str, int]:
    """What every table and rollup adds up to."""
    sums = {
        "span_minutes": "sum(calls)",
        "log_minutes": "sum(records)",
        "trace_ranges": "sum(spans)",
        "attribute_keys": "sum(blocks)",
        "attribute_values": "sum(records)",
    }
    return {table.name: count(store, table.name, sums.get(table.name, "count()")) for table in ALL_TABLES}


def test_a_token_counts_once_in_tables_and_rollups(store: Store) -> None:
    def insert_all() -> None:
        insert_spans(store, SOME, "segment/spans/0")
        insert_logs(store, SOME, "segment/logs/0")
        insert_points(store, SOME, "segment/points/0")
        insert(store, RESOURCES, one_row(RESOURCES, attributes_string=one_pair("a", "b")), 1, "segment/resources/0")

    insert_all()
    once = totals(store)
    assert once["spans"] == once["span_minutes"] == once["trace_ranges"] == SOME
    insert_all()
    assert totals(store) == once


def test_a_token_is_remembered_when_the_tables_are_loaded_again(store: Store) -> None:
    insert_spans(store, SOME, "a")
    once = totals(store)
    again = open_store(store.url, database=store.database)
    for table in (SPANS, *ROLLUPS):
        again.command(f"DETACH TABLE {table.name} SYNC")
    for table in (*ROLLUPS, SPANS):
        again.command(f"ATTACH TABLE {table.name}")
    insert_spans(again, SOME, "a")
    assert totals(again) == once
    again.close()


def test_the_same_rows_under_another_token_are_other_rows(store: Store) -> None:
    insert_spans(store, SOME, "a")
    insert_spans(store, SOME, "b")
    assert count(store, "spans") == count(store, "span_minutes", "sum(calls)") == 2 * SOME


def test_rows_of_many_days_go_in_under_one_token(store: Store) -> None:
    days = 101
    block = {column.name: Constant(b"", days) for column in POINTS_NUMBER.columns}
    block["time"] = AT - np.arange(days) * 86_400_000_000_000
    for _ in range(2):
        insert(store, POINTS_NUMBER, block, days, "a")
    assert count(store, "points_number") == days


REOPENED = """
import os, sys
sys.path[:0] = [{tests!r}, {root!r}]
from storage_rows import count, insert_spans
from sonde.storage.migrate import migrate
from sonde.storage.retention import FOR_EVER
from sonde.storage.store import open_store
store = open_store(sys.argv[1])
migrate(store, retention=FOR_EVER)
insert_spans(store, 1_000, "a")
print(count(store, "spans"), count(store, "span_minutes", "sum(calls)"), count(store, "trace_ranges", "sum(spans)"))
sys.stdout.flush()
os.kill(os.getpid(), 9)
"""


def test_a_token_counts_once_across_processes_that_were_killed(tmp_path: Path) -> None:
    tests = Path(__file__).parent
    code = REOPENED.format(tests=str(tests), root=str(tests.parents[1]))
    for _ in range(2):
        command = [sys.executable, "-c", code, f"chdb://{tmp_path}/store"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout == "1000 1000 1000\n", done.stderr


def test_a_key_that_repeats_within_a_row_is_kept_in_order(store: Store) -> None:
    pairs = [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("a", "1")]
    rows = 3_000
    ends = np.arange(1, rows + 1, dtype=np.uint64) * np.uint64(len(pairs))
    keys, values = (texts(*(pair[i] for pair in pairs)) for i in (0, 1))

    def repeated(strings: Strings) -> Strings:
        return Strings(strings.buffer, np.tile(strings.starts, rows), np.tile(strings.lengths, rows))

    block = {column.name: Constant(b"", rows) for column in SPANS.columns}
    block["attributes_string"] = Maps(ends, repeated(keys), repeated(values))
    for token in ("a", "b"):
        insert(store, SPANS, block, rows, token)
    store.command("ALTER TABLE spans MODIFY SETTING min_bytes_for_wide_part = 0")
    store.command("OPTIMIZE TABLE spans FINAL")
    [row] = store.rows(
        "SELECT uniqExact(p) AS shapes, any(p) AS pairs FROM "
        "(SELECT arrayZip(mapKeys(attributes_string), mapValues(attributes_string)) AS p FROM spans)"
    )
    assert row["shapes"] == 1
    for key in "abc":
        assert [v for k, v in row["pairs"] if k == key] == [v for k, v in pairs if k == key]


VIEWS = (
    "otel_traces",
    "otel_logs",
    "otel_metrics_gauge",
    "otel_metrics_sum",
    "otel_metrics_histogram",
    "otel_metrics_exponential_histogram",
    "otel_metrics_summary",
)


@pytest.mark.parametrize("view", VIEWS)
def test_a_compatibility_view_has_the_exporters_columns(store: Store, view: str) -> None:
    sql = "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {view:String} ORDER BY position"
    columns = {row["name"]: row["type"].replace(", 'UTC'", "") for row in store.rows(sql, {"view": view})}
    for name, kind in EXPORTER[view].items():
        assert columns[name] == kind, name


TEXT_MAP = "Map(LowCardinality(String), String)"
EXEMPLARS = {
    "Exemplars.FilteredAttributes": f"Array({TEXT_MAP})",
    "Exemplars.TimeUnix": "Array(DateTime64(9))",
    "Exemplars.Value": "Array(Float64)",
    "Exemplars.SpanId": "Array(String)",
    "Exemplars.TraceId": "Array(String)",
}
METRIC = {
    "ResourceAttributes": TEXT_MAP,
    "ScopeAttributes": TEXT_MAP,
    "ScopeDroppedAttrCount": "UInt32",
    "ServiceName": "LowCardinality(String)",
    "Attributes": TEXT_MAP,
    "StartTimeUnix": "DateTime64(9)",
    "TimeUnix": "DateTime64(9)",
    "Flags": "UInt32",
}
EXPORTER: dict[str, dict[str, str]] = {
    "otel_traces": {
        "Timestamp": "DateTime64(9)",
        "TraceId": "String",
        "SpanId": "String",
        "ParentSpanId": "String",
        "TraceState": "String",
        "SpanName": "LowCardinality(String)",
        "SpanKind": "LowCardinality(String)",
        "ServiceName": "LowCardinality(String)",
        "ResourceAttributes": TEXT_MAP,
        "SpanAttributes": TEXT_MAP,
        "Duration": "UInt64",
        "StatusCode": "LowCardinality(String)",
        "StatusMessage": "String",
        "Events.Timestamp": "Array(DateTime64(9))",
        "Events.Name": "Array(LowCardinality(String))",
        "Events.Attributes": f"Array({TEXT_MAP})",
        "Links.TraceId": "Array(String)",
        "Links.SpanId": "Array(String)",
        "Links.TraceState": "Array(String)",
        "Links.Attributes": f"Array({TEXT_MAP})",
    },
    "otel_logs": {
        "Timestamp": "DateTime64(9)",
        "TraceId": "String",
        "SpanId": "String",
        "TraceFlags": "UInt8",
        "SeverityText": "LowCardinality(String)",
        "SeverityNumber": "UInt8",
        "ServiceName": "LowCardinality(String)",
        "Body": "String",
        "ResourceAttributes": TEXT_MAP,
        "ScopeAttributes": TEXT_MAP,
        "LogAttributes": TEXT_MAP,
    },
    "otel_metrics_gauge": {**METRIC, **EXEMPLARS, "Value": "Float64"},
    "otel_metrics_sum": {
        **METRIC,
        **EXEMPLARS,
        "Value": "Float64",
        "AggregationTemporality": "Int32",
        "IsMonotonic": "Bool",
    },
    "otel_metrics_histogram": {
        **METRIC,
        **EXEMPLARS,
        "Count": "UInt64",
        "Sum": "Float64",
        "Min": "Float64",
        "Max": "Float64",
        "BucketCounts": "Array(UInt64)",
        "ExplicitBounds": "Array(Float64)",
        "AggregationTemporality": "Int32",
    },
    "otel_metrics_exponential_histogram": {
        **METRIC,
        **EXEMPLARS,
        "Count": "UInt64",
        "Sum": "Float64",
        "Scale": "Int32",
        "ZeroCount": "UInt64",
        "PositiveOffset": "Int32",
        "PositiveBucketCounts": "Array(UInt64)",
        "NegativeOffset": "Int32",
        "NegativeBucketCounts": "Array(UInt64)",
    },
    "otel_metrics_summary": {
        **METRIC,
        "Count": "UInt64",
        "Sum": "Float64",
        "ValueAtQuantiles.Quantile": "Array(Float64)",
        "ValueAtQuantiles.Value": "Array(Float64)",
    },
}


def test_the_traces_view_speaks_as_the_exporter_does(store: Store) -> None:
    resource = np.array([7], np.uint64)
    insert(
        store,
        RESOURCES,
        one_row(RESOURCES, resource_id=resource, attributes_string=one_pair("host.name", "node-1")),
        1,
        "r",
    )
    nested = Maps(np.array([1], np.uint64), texts("exception.type"), texts("KeyError"))
    one = np.array([1], np.uint64)
    block = one_row(
        SPANS,
        time=np.array([AT]),
        duration_nano=np.array([5]),
        trace_id=np.full((1, 16), 0xAB, np.uint8),
        span_id=np.full((1, 8), 0xCD, np.uint8),
        kind=np.array([2], np.int32),
        status_code=np.array([2], np.int32),
        resource_id=resource,
        attributes_int=Maps(one, texts("code"), np.array([500])),
        attributes_bool=Maps(one, texts("hit"), np.array([1], np.uint8)),
    )
    events = {name: Lists(one, Constant(b"", 1)) for name in block if name.startswith("events.")}
    events |= {"events.name": Lists(one, texts("exception")), "events.attributes_string": Lists(one, nested)}
    events["events.attributes_json"] = Lists(one, Maps(np.array([0], np.uint64), Constant(b"", 0), Constant(b"", 0)))
    insert(store, SPANS, {**block, **events}, 1, "s")
    [row] = store.rows("SELECT * FROM otel_traces")
    assert row["Timestamp"] == AT
    assert (row["TraceId"], row["SpanId"], row["ParentSpanId"]) == ("ab" * 16, "cd" * 8, "")
    assert (row["SpanKind"], row["StatusCode"], row["Duration"]) == ("Server", "Error", 5)
    assert row["ResourceAttributes"] == {"host.name": "node-1"}
    assert row["SpanAttributes"] == {"code": "500", "hit": "true"}
    assert row["Events.Name"] == ["exception"]
    assert row["Events.Attributes"] == [{"exception.type": "KeyError"}]


def test_the_sum_and_gauge_views_share_the_points_by_the_series_type(store: Store) -> None:
    insert_points(store, 20, "p", series=2)
    ids = store.rows("SELECT DISTINCT series_id FROM points_number ORDER BY series_id")
    for kind, row in zip((5, 7), ids, strict=True):
        series_id = np.array([row["series_id"]], np.uint64)
        block = one_row(SERIES, tenant=Constant(b"default", 1), series_id=series_id, type=np.array([kind], np.uint8))
        insert(store, SERIES, block, 1, str(kind))
    assert count(store, "otel_metrics_gauge") == count(store, "otel_metrics_sum") == 10
