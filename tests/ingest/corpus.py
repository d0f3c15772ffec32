"""Hypothesis strategies for OTLP messages of every field of common, resource, trace and logs.proto, shared by the rooms' tests.

Metrics are in `corpus_metrics.py`. By default a message is one that sonde keeps whole: ids of the right length, times near
RECEIVED_UNIX_NANO, sets within the limits. `hostile=True` adds what is refused or odd: wrong ids, far times, big enums.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    EntityRef,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

RECEIVED_UNIX_NANO = 1_800_000_000 * 10**9

u64 = st.sampled_from([0, 1, 2**32, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)
u32 = st.sampled_from([0, 1, 2**32 - 1]) | st.integers(0, 2**32 - 1)
i32 = st.sampled_from([0, -1, -(2**31), 2**31 - 1]) | st.integers(-(2**31), 2**31 - 1)
i64 = st.sampled_from([0, -1, -(2**63), 2**63 - 1]) | st.integers(-(2**63), 2**63 - 1)
doubles = st.sampled_from([0.0, -0.0, 1.0, 1e300, 5e-324, 1e16, 1e-5]) | st.floats(width=64)
texts = st.sampled_from(["", "a", "service.name", 'q"\\\n\x00', "naïve 漢字 𝄞"]) | st.text(max_size=12)
keys = st.sampled_from(["service.name", "k", "", "$", "$bytes", "$$"]) | st.text(max_size=6)
schema_urls = st.sampled_from(["", "https://opentelemetry.io/schemas/1.38.0"]) | st.text(max_size=4)
near_times = st.integers(RECEIVED_UNIX_NANO - 3600 * 10**9, RECEIVED_UNIX_NANO + 60 * 10**9)
far_times = u64 | near_times
trace_ids = st.binary(min_size=16, max_size=16).filter(any)
span_ids = st.binary(min_size=8, max_size=8).filter(any)
odd_ids = st.sampled_from([b"", bytes(8), bytes(16)]) | st.binary(max_size=17)


def fields(make: Any, always: dict[str, Any] | None = None, **maybe: Any) -> st.SearchStrategy[Any]:
    """`make` with every field in `always` and any of those in `maybe`."""
    return st.fixed_dictionaries(always or {}, optional=maybe).map(lambda chosen: make(**chosen))


scalars = st.one_of(
    texts.map(lambda v: AnyValue(string_value=v)),
    st.booleans().map(lambda v: AnyValue(bool_value=v)),
    i64.map(lambda v: AnyValue(int_value=v)),
    doubles.map(lambda v: AnyValue(double_value=v)),
    st.binary(max_size=10).map(lambda v: AnyValue(bytes_value=v)),
    i32.map(lambda v: AnyValue(string_value_strindex=v)),
    st.just(AnyValue()),
)


def key_values_of(values: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[KeyValue]:
    """KeyValues; a few have no value, a few name their key by index."""
    return st.one_of(
        st.builds(lambda k, v: KeyValue(key=k, value=v), keys, values),
        st.builds(lambda k, v: KeyValue(key=k, value=v), keys, values),
        fields(KeyValue, key=keys, value=values, key_strindex=i32),
    )


any_values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda v: AnyValue(array_value=ArrayValue(values=v))),
        st.lists(key_values_of(inner), max_size=3).map(lambda v: AnyValue(kvlist_value=KeyValueList(values=v))),
    ),
    max_leaves=6,
)
key_values = key_values_of(any_values)
attribute_sets = st.lists(key_values, max_size=4)
entity_refs = fields(
    EntityRef,
    schema_url=texts,
    type=texts,
    id_keys=st.lists(texts, max_size=2),
    description_keys=st.lists(texts, max_size=2),
)
resources = fields(
    Resource,
    attributes=attribute_sets,
    dropped_attributes_count=u32,
    entity_refs=st.lists(entity_refs, max_size=2),
)
scopes = fields(
    InstrumentationScope, name=texts, version=texts, attributes=attribute_sets, dropped_attributes_count=u32
)
statuses = fields(Status, message=texts, code=st.sampled_from([0, 1, 2, 7, -1]))
kinds = st.sampled_from([0, 1, 2, 3, 4, 5, 6, -1])


def events(hostile: bool = False) -> st.SearchStrategy[Span.Event]:
    return fields(Span.Event, time_unix_nano=u64, name=texts, attributes=attribute_sets, dropped_attributes_count=u32)


def links(hostile: bool = False) -> st.SearchStrategy[Span.Link]:
    return fields(
        Span.Link,
        {
            "trace_id": trace_ids | odd_ids if hostile else trace_ids,
            "span_id": span_ids | odd_ids if hostile else span_ids,
        },
        trace_state=texts,
        attributes=attribute_sets,
        dropped_attributes_count=u32,
        flags=u32,
    )


def spans(hostile: bool = False) -> st.SearchStrategy[Span]:
    return fields(
        Span,
        {
            "trace_id": trace_ids | odd_ids if hostile else trace_ids,
            "span_id": span_ids | odd_ids if hostile else span_ids,
            "start_time_unix_nano": far_times if hostile else near_times | st.just(0),
        },
        parent_span_id=span_ids | st.just(bytes(8)) | (odd_ids if hostile else st.just(b"")),
        trace_state=texts,
        flags=u32,
        name=texts,
        kind=kinds,
        end_time_unix_nano=far_times if hostile else near_times,
        attributes=attribute_sets,
        dropped_attributes_count=u32,
        events=st.lists(events(hostile), max_size=2),
        dropped_events_count=u32,
        links=st.lists(links(hostile), max_size=2),
        dropped_links_count=u32,
        status=statuses,
    )


def log_records(hostile: bool = False) -> st.SearchStrategy[LogRecord]:
    return fields(
        LogRecord,
        {"time_unix_nano": far_times if hostile else near_times | st.just(0)},
        observed_time_unix_nano=far_times if hostile else near_times,
        severity_number=st.sampled_from([0, 1, 9, 24, 99, -1]),
        severity_text=texts,
        body=any_values,
        attributes=attribute_sets,
        dropped_attributes_count=u32,
        flags=u32,
        trace_id=trace_ids | st.just(bytes(16)) | (odd_ids if hostile else st.just(b"")),
        span_id=span_ids | st.just(bytes(8)) | (odd_ids if hostile else st.just(b"")),
        event_name=texts,
    )


def trace_requests(hostile: bool = False) -> st.SearchStrategy[ExportTraceServiceRequest]:
    scope_spans = fields(ScopeSpans, scope=scopes, spans=st.lists(spans(hostile), max_size=3), schema_url=schema_urls)
    resource_spans = fields(
        ResourceSpans, resource=resources, scope_spans=st.lists(scope_spans, max_size=2), schema_url=schema_urls
    )
    return fields(ExportTraceServiceRequest, resource_spans=st.lists(resource_spans, max_size=3))


def log_requests(hostile: bool = False) -> st.SearchStrategy[ExportLogsServiceRequest]:
    scope_logs = fields(
        ScopeLogs, scope=scopes, log_records=st.lists(log_records(hostile), max_size=3), schema_url=schema_urls
    )
    resource_logs = fields(
        ResourceLogs, resource=resources, scope_logs=st.lists(scope_logs, max_size=2), schema_url=schema_urls
    )
    return fields(ExportLogsServiceRequest, resource_logs=st.lists(resource_logs, max_size=3))
