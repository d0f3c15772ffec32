"""Rows of a test's slice are the rows that the gateway stores of the same OTLP."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from corpus import RECEIVED_UNIX_NANO, log_requests, trace_requests
from corpus_metrics import metrics_requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sonde.ingest.decode import decode
from sonde.ingest.dimensions import Announcer
from sonde.ingest.inserts import as_insert
from sonde.ingest.limits import Limits
from sonde.ingest.signals import Signal
from sonde.query.reader import row_hash
from sonde.storage.migrate import migrate
from sonde.storage.retention import FOR_EVER
from sonde.storage.schema import TABLES
from sonde.storage.store import Store
from sonde.testing.engine import Engine, insert_rows, table_statements
from sonde.testing.rows import LIMITS, SliceRows
from sonde.testing.slices import Batch, Slice

STRATEGIES = {"traces": trace_requests(), "logs": log_requests(), "metrics": metrics_requests()}
_tenants = (f"tenant-{number}" for number in itertools.count())


@pytest.mark.parametrize("signal", STRATEGIES)
@given(data=st.data())
@settings(
    max_examples=10,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_slice_has_the_rows_of_the_gateway(store: Store, signal: str, data: st.DataObject) -> None:
    message = data.draw(STRATEGIES[signal])
    ours, theirs = next(_tenants), next(_tenants)
    for name, rows in SliceRows(ours).of(Batch(signal, message, RECEIVED_UNIX_NANO)):
        insert_rows(store, name, rows, token=ours)
    through_the_gateway(store, theirs, Signal(signal), message.SerializeToString())
    for table in TABLES:
        assert stored(store, table, ours) == stored(store, table, theirs), table.name


def through_the_gateway(store: Store, tenant: str, signal: Signal, body: bytes) -> None:
    decoded = decode(signal, [body], [RECEIVED_UNIX_NANO], LIMITS)
    blocks = [
        *Announcer().announce(tenant, decoded, RECEIVED_UNIX_NANO),
        *((part.table, part.block, part.rows, "rows") for part in decoded.blocks),
    ]
    for name, block, rows, token in blocks:
        insert = as_insert(name, block, rows, tenant, f"{tenant}/{token}")
        store.insert_block(name, insert.block, insert.columns, token=insert.token)


def stored(store: Store, table: Any, tenant: str) -> list[Any]:
    sql = f"SELECT {row_hash(table)} AS hash FROM {table.name} WHERE tenant = {{tenant:String}} ORDER BY hash"
    return [row["hash"] for row in store.rows(sql, {"tenant": tenant})]


def test_what_the_limits_refuse_is_told_of() -> None:
    request = Spans(trace_id=b"short")
    rows = SliceRows("tenant")
    assert [name for name, _ in rows.of(Batch("traces", request.message, 1))] == []
    assert rows.refused == ["invalid_trace_id"]


class Spans:
    """A request with one span."""

    def __init__(self, **fields: Any) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        self.message = ExportTraceServiceRequest()
        self.message.resource_spans.add().scope_spans.add().spans.add(
            **{"name": "a", "trace_id": b"t" * 16, "span_id": b"s" * 8, "start_time_unix_nano": 10**18, **fields}
        )


def test_limits_are_the_gateways_but_for_the_clock() -> None:
    assert LIMITS.as_dict() == {**Limits().as_dict(), "max_future_seconds": 0}


ROLLUPS = {
    "trace_ranges": "SELECT trace_id, min(first) AS a, max(last) AS b, sum(spans) AS n FROM {} GROUP BY ALL",
    "span_minutes": "SELECT service_name, name, kind, minute, sum(calls) AS n, sum(errors) AS e, sum(duration_sum) AS d, "
    "quantilesBFloat16Merge(0.5)(duration_quantiles) AS q FROM {} GROUP BY ALL",
    "attribute_keys": "SELECT source, type, key, day FROM {} GROUP BY ALL",
}


@pytest.mark.parametrize("rollup", ROLLUPS)
def test_a_slices_rollups_are_those_that_materialized_views_fill(
    empty_store: Store, engine: Store, rollup: str
) -> None:
    message = Spans(end_time_unix_nano=10**18 + 5, kind=2).message
    message.resource_spans[0].resource.attributes.add(key="service.name").value.string_value = "shop"
    own = Slice("ours", lambda own: [])
    own.received("traces", message)
    asked = Engine(engine.url)
    found = asked.sql(own, ROLLUPS[rollup].format(rollup) + " ORDER BY ALL", {})
    asked.close()

    migrate(empty_store, retention=FOR_EVER)
    for name, rows in SliceRows("ours").of(own.batches[0]):
        insert_rows(empty_store, name, rows, token="t")
    assert found
    assert found == empty_store.rows(ROLLUPS[rollup].format(rollup) + " ORDER BY ALL")


def test_every_declared_table_is_there() -> None:
    from sonde.storage.rollups import ALL_TABLES

    created = " ".join(table_statements("db"))
    assert all(f"`db`.`{table.name}`" in created for table in ALL_TABLES)
    assert "fsync_after_insert = 1" not in created
