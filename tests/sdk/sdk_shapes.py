"""Telemetry of every shape, as the OpenTelemetry SDK has it, drawn by hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import LogRecordLimits, ReadableLogRecord
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
times = st.integers(0, 2**64 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
doubles = st.floats(allow_nan=False)
"""NaN is unequal to itself; it has a test of its own."""
scalars = st.one_of(st.none(), st.booleans(), i64, doubles, texts, st.binary(max_size=9))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3).map(tuple), st.dictionaries(names, inner, max_size=3)),
    max_leaves=8,
)
plain_attributes = st.dictionaries(names, values, max_size=5)


@st.composite
def bounded(draw: st.DrawFn) -> BoundedAttributes:
    """Attributes as the SDK keeps them, some dropped for being too many."""
    attributes = BoundedAttributes(3, draw(plain_attributes), immutable=False)
    attributes.dropped += draw(st.sampled_from([0, 0, 1, 4_000_000_000]))
    return attributes


attributes = st.one_of(bounded(), plain_attributes)
span_ids = st.integers(1, 2**64 - 1)
trace_ids = st.integers(1, 2**128 - 1)
states = st.sampled_from([TraceState(), TraceState([("k", "v")]), TraceState([("a", "1"), ("b@c", "2")])])
contexts = st.builds(
    SpanContext,
    trace_ids,
    span_ids,
    st.booleans(),
    st.sampled_from([TraceFlags(0), TraceFlags(1), TraceFlags(3)]),
    states,
)
resources = st.builds(Resource, plain_attributes, texts)
scopes = st.one_of(
    st.none(),
    st.builds(InstrumentationScope, names, st.one_of(st.none(), texts), st.one_of(st.none(), texts), plain_attributes),
)
statuses = st.one_of(
    st.just(Status(StatusCode.UNSET)),
    st.just(Status(StatusCode.OK)),
    texts.map(lambda text: Status(StatusCode.ERROR, text)),
)


def listed(things: st.SearchStrategy[Any]) -> st.SearchStrategy[BoundedList]:
    def build(found: list[Any], dropped: int) -> BoundedList:
        bounded = BoundedList.from_seq(5, found)
        bounded.dropped = dropped
        return bounded

    return st.builds(build, st.lists(things, max_size=3), st.sampled_from([0, 0, 7]))


spans = st.builds(
    ReadableSpan,
    name=texts,
    context=contexts,
    parent=st.one_of(st.none(), contexts),
    resource=resources,
    attributes=attributes,
    events=listed(st.builds(Event, texts, attributes, times)),
    links=listed(st.builds(Link, contexts, attributes)),
    kind=st.sampled_from(SpanKind),
    status=statuses,
    start_time=times,
    end_time=times,
    instrumentation_scope=scopes,
)


@st.composite
def log_records(draw: st.DrawFn) -> ReadableLogRecord:
    record = LogRecord(
        timestamp=draw(st.one_of(st.none(), times)),
        observed_timestamp=draw(times),
        severity_text=draw(st.one_of(st.none(), texts)),
        severity_number=draw(st.one_of(st.none(), st.sampled_from(SeverityNumber))),
        body=draw(values),
        attributes=draw(attributes),
        event_name=draw(st.one_of(st.none(), texts)),
    )
    record.trace_id, record.span_id = draw(st.one_of(st.just(0), trace_ids)), draw(st.one_of(st.just(0), span_ids))
    record.trace_flags = TraceFlags(draw(st.integers(0, 255)))
    return ReadableLogRecord(record, draw(resources), draw(scopes), LogRecordLimits())


exemplars = st.lists(
    st.one_of(
        st.builds(Exemplar, plain_attributes, st.one_of(i64, doubles), times, span_ids, trace_ids),
        st.builds(Exemplar, plain_attributes, doubles, times, st.none(), st.none()),
    ),
    max_size=2,
)
temporalities = st.sampled_from(AggregationTemporality)
numbers = st.builds(NumberDataPoint, plain_attributes, times, times, st.one_of(i64, doubles), exemplars)
counts = st.integers(0, 2**64 - 1)
histograms = st.builds(
    HistogramDataPoint,
    plain_attributes,
    times,
    times,
    counts,
    doubles,
    st.lists(counts, max_size=4),
    st.lists(doubles, max_size=4),
    doubles,
    doubles,
    exemplars,
)
i32 = st.integers(-(2**31), 2**31 - 1)
buckets = st.builds(Buckets, i32, st.lists(counts, max_size=4))
exponentials = st.builds(
    ExponentialHistogramDataPoint,
    plain_attributes,
    times,
    times,
    counts,
    doubles,
    i32,
    counts,
    buckets,
    buckets,
    st.sampled_from([0, 1]),
    doubles,
    doubles,
    exemplars,
)


def some(things: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(things, min_size=1, max_size=3)


metrics = st.builds(
    Metric,
    names,
    texts,
    texts,
    st.one_of(
        st.builds(Gauge, some(numbers)),
        st.builds(Sum, some(numbers), temporalities, st.booleans()),
        st.builds(Histogram, some(histograms), temporalities),
        st.builds(ExponentialHistogram, some(exponentials), temporalities),
    ),
)
metrics_data = st.builds(
    MetricsData,
    st.lists(
        st.builds(
            ResourceMetrics,
            resources,
            st.lists(
                st.builds(ScopeMetrics, scopes.filter(lambda scope: scope is not None), some(metrics), texts),
                max_size=2,
            ),
            texts,
        ),
        max_size=2,
        unique_by=lambda of_resource: of_resource.resource,
    ),
)
