"""The announcer: what it tells the store of, when again, and that the engine takes and merges it."""

from __future__ import annotations

from typing import Any

import pytest
from columns import rows_of
from corpus import RECEIVED_UNIX_NANO
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, EntityRef, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from sonde.ingest.decode import decode
from sonde.ingest.dimensions import Announcement, Announcer, Told, resource_row
from sonde.ingest.limits import Limits
from sonde.ingest.signals import Signal
from sonde.storage.columns import Constant
from sonde.storage.native import encode_block
from sonde.storage.schema import table
from sonde.storage.store import Store

DAY = 86_400 * 10**9


def text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def gauge_request(*routes: str, service: str = "shop") -> bytes:
    """One gauge with a point for each route."""
    request = ExportMetricsServiceRequest()
    top = request.resource_metrics.add(resource=Resource(attributes=[text("service.name", service)]), schema_url="u")
    scope = top.scope_metrics.add(scope=InstrumentationScope(name="http", version="1"))
    metric = scope.metrics.add(name="inflight", unit="1", metadata=[text("m", "d")])
    for route in routes:
        metric.gauge.data_points.add(attributes=[text("route", route)], as_int=1)
    return request.SerializeToString()


def decoded_of(*bodies: bytes, signal: Signal = Signal.METRICS) -> Any:
    return decode(signal, bodies, [RECEIVED_UNIX_NANO] * len(bodies), Limits())


def rows_by_table(announcements: list[Announcement]) -> dict[str, int]:
    for name, block, rows, _ in announcements:
        assert {len(column) for column in block.values()} == {rows}, name
    return {name: rows for name, _, rows, _ in announcements}


def test_each_resource_scope_and_series_is_announced_once_it_is_marked_and_not_before() -> None:
    announcer = Announcer()
    batch = decoded_of(gauge_request("/a", "/b", "/a"))
    first = announcer.announce("t", batch, RECEIVED_UNIX_NANO)
    assert rows_by_table(first) == {"resources": 1, "scopes": 1, "series": 2}
    assert rows_by_table(announcer.announce("t", batch, RECEIVED_UNIX_NANO)) == rows_by_table(first)
    announcer.mark("t", Told.of(batch), RECEIVED_UNIX_NANO)
    assert announcer.announce("t", batch, RECEIVED_UNIX_NANO) == []
    more = decoded_of(gauge_request("/a", "/c"), gauge_request("/a", service="other"))
    assert rows_by_table(announcer.announce("t", more, RECEIVED_UNIX_NANO)) == {"resources": 1, "series": 2}


def test_tenants_are_told_apart() -> None:
    announcer = Announcer()
    batch = decoded_of(gauge_request("/a"))
    announcer.mark("t", Told.of(batch), RECEIVED_UNIX_NANO)
    assert len(announcer.announce("u", batch, RECEIVED_UNIX_NANO)) == 3


def test_all_is_announced_again_after_a_day() -> None:
    announcer = Announcer()
    batch = decoded_of(gauge_request("/a", "/b"))
    announcer.mark("t", Told.of(batch), RECEIVED_UNIX_NANO)
    again = announcer.announce("t", batch, RECEIVED_UNIX_NANO + DAY)
    assert rows_by_table(again) == {"resources": 1, "scopes": 1, "series": 2}


def test_the_token_of_a_block_tells_which_ids_it_holds() -> None:
    known, fresh = Announcer(), Announcer()
    one, both = decoded_of(gauge_request("/a")), decoded_of(gauge_request("/a", "/b"))
    known.mark("t", Told.of(one), RECEIVED_UNIX_NANO)
    few = {name: token for name, _, _, token in known.announce("t", both, RECEIVED_UNIX_NANO)}
    all_of_them = {name: token for name, _, _, token in fresh.announce("t", both, RECEIVED_UNIX_NANO)}
    assert few["series"] != all_of_them["series"]
    assert all_of_them == {name: token for name, _, _, token in Announcer().announce("t", both, RECEIVED_UNIX_NANO)}


def test_memory_stays_bounded_under_hostile_cardinality() -> None:
    announcer = Announcer(most_series=1000)
    for batch in range(20):
        found = decoded_of(gauge_request(*(f"/{batch}/{i}" for i in range(400))))
        assert rows_by_table(announcer.announce("t", found, RECEIVED_UNIX_NANO))["series"] == 400
        announcer.mark("t", Told.of(found), RECEIVED_UNIX_NANO)
    assert announcer.nbytes < 100_000


def test_traces_announce_resources_and_scopes_alone() -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"1" * 16, span_id=b"1" * 8)
    found = decoded_of(request.SerializeToString(), signal=Signal.TRACES)
    assert rows_by_table(Announcer().announce("t", found, RECEIVED_UNIX_NANO)) == {"resources": 1, "scopes": 1}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ([text("service.name", "a"), text("service.name", "b")], {"service_name": b"a"}),
        ([KeyValue(key="service.name", value=AnyValue(int_value=1))], {"service_name": b""}),
        (
            [text("service.namespace", "n"), text("service.version", "v")],
            {"service_namespace": b"n", "service_version": b"v"},
        ),
        ([text("service.instance.id", "i")], {"service_instance_id": b"i"}),
        ([text("deployment.environment", "old")], {"deployment_environment": b"old"}),
        (
            [text("deployment.environment", "old"), text("deployment.environment.name", "new")],
            {"deployment_environment": b"new"},
        ),
    ],
)
def test_the_named_columns_of_a_resource(attributes: list[KeyValue], expected: dict[str, bytes]) -> None:
    row = resource_row(1, Resource(attributes=attributes).SerializeToString(), b"")
    assert {name: row[name] for name in expected} == expected


def test_the_engine_merges_what_is_announced_twice(store: Store) -> None:
    resource = Resource(
        attributes=[text("service.name", "shop"), KeyValue(key="pid", value=AnyValue(int_value=7))],
        dropped_attributes_count=2,
        entity_refs=[EntityRef(type="service", id_keys=["service.name"])],
    )
    request = ExportMetricsServiceRequest()
    top = request.resource_metrics.add(resource=resource, schema_url="u")
    scope = top.scope_metrics.add(scope=InstrumentationScope(name="http", version="1", attributes=[text("s", "a")]))
    metric = scope.metrics.add(name="inflight", unit="1", description="d", metadata=[text("m", "d")])
    metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, 2
    metric.sum.data_points.add(attributes=[text("route", "/a"), KeyValue(key="b", value=AnyValue(bool_value=True))])
    found = decoded_of(request.SerializeToString())
    for received in (RECEIVED_UNIX_NANO, RECEIVED_UNIX_NANO + 3600 * 10**9):
        for name, block, rows, token in Announcer().announce("t", found, received):
            whole = {"tenant": Constant(b"t", rows), **block}
            ordered = {column.name: whole[column.name] for column in table(name).columns}
            store.insert_block(name, bytes(encode_block(table(name), ordered, rows)), list(ordered), token=token)
    (series,) = store.rows("SELECT * EXCEPT (first_seen, last_seen) FROM series FINAL", {})
    (told,) = store.rows("SELECT * EXCEPT (first_seen, last_seen) FROM resources FINAL", {})
    (scope_told,) = store.rows("SELECT * EXCEPT (first_seen, last_seen) FROM scopes FINAL", {})
    for name in ("series", "resources", "scopes"):
        seen = f"SELECT toUnixTimestamp64Nano(first_seen) AS a, toUnixTimestamp64Nano(last_seen) AS b FROM {name} FINAL"
        assert store.rows(seen, {}) == [{"a": RECEIVED_UNIX_NANO, "b": RECEIVED_UNIX_NANO + 3600 * 10**9}]
    assert series["series_id"] == found.series.ids[0]
    assert series["resource_id"] == told["resource_id"]
    assert series["scope_id"] == scope_told["scope_id"]
    assert (series["service_name"], series["name"], series["type"]) == ("shop", "inflight", 7)
    assert (series["temporality"], series["is_monotonic"]) == (2, True)
    assert series["metadata_string"] == {"m": "d"}
    assert (series["attributes_string"], series["attributes_bool"]) == ({"route": "/a"}, {"b": True})
    assert (told["service_name"], told["attributes_int"], told["schema_url"]) == ("shop", {"pid": 7}, "u")
    assert told["dropped_attributes_count"] == 2
    assert '"id_keys":["service.name"]' in told["entity_refs"]
    assert (scope_told["name"], scope_told["version"], scope_told["attributes_string"]) == ("http", "1", {"s": "a"})


def test_every_column_of_the_tables_is_told() -> None:
    announcements = Announcer().announce("t", decoded_of(gauge_request("/a")), RECEIVED_UNIX_NANO)
    for name, block, _, _ in announcements:
        assert ["tenant", *rows_of(block)] == sorted(
            (column.name for column in table(name).columns), key=lambda column: (column != "tenant", column)
        )
