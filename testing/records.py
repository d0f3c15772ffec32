"""What a test sees of its telemetry: spans, log records and points, as plain values from OTLP messages.

What came from this process and what a subprocess sent have the same form, for both were OTLP. Ids are lowercase hexadecimal,
empty where there is none; times are Unix nanoseconds; attributes are Python values (str, bool, int, float, bytes, list, dict).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")
ERROR_SEVERITY = 17
"""SeverityNumber from which on a log record tells of an error."""
POINT_KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
NANO = 1_000_000_000
MILLISECOND = 1_000_000
"""Nanoseconds in a second, and in a millisecond."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a span."""

    name: str
    time_unix_nano: int
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Link:
    trace_id: str
    span_id: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """A span that has ended."""

    name: str
    kind: str
    """One of KINDS."""
    status: str
    """One of STATUSES."""
    status_message: str
    trace_id: str
    span_id: str
    parent_span_id: str
    """Empty for a root."""
    start_time_unix_nano: int
    end_time_unix_nano: int
    attributes: Mapping[str, Any]
    events: tuple[Event, ...]
    links: tuple[Link, ...]
    resource: Mapping[str, Any]
    scope: str

    @property
    def duration(self) -> float:
        """Seconds."""
        return (self.end_time_unix_nano - self.start_time_unix_nano) / NANO

    @property
    def service(self) -> str:
        return service_of(self.resource)

    @property
    def exceptions(self) -> tuple[Event, ...]:
        """The exceptions that were recorded in it."""
        return tuple(event for event in self.events if event.name == "exception")

    def __repr__(self) -> str:
        marks = [self.kind, f"{self.duration * 1000:.1f} ms", *([self.status] if self.status != "unset" else [])]
        return f"<Span {self.name!r} {' '.join(marks)} {dict(self.attributes)}>"


@dataclass(frozen=True, slots=True)
class Log:
    """A log record."""

    body: Any
    severity: str
    """The source's own word, such as "ERROR"."""
    severity_number: int
    event_name: str
    time_unix_nano: int
    trace_id: str
    span_id: str
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    scope: str
    """For records of Python's `logging`, the logger's name."""

    @property
    def service(self) -> str:
        return service_of(self.resource)

    @property
    def is_error(self) -> bool:
        return self.severity_number >= ERROR_SEVERITY


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured of one series up to a moment."""

    name: str
    """Of the metric, as sent."""
    kind: str
    """One of POINT_KINDS."""
    unit: str
    value: float | int
    """Of a gauge or sum; of the others the sum of what was measured, 0 where it was not sent."""
    count: int
    """Of the values measured; 0 for gauges and sums."""
    attributes: Mapping[str, Any]
    start_time_unix_nano: int
    time_unix_nano: int
    temporality: str
    """"delta", "cumulative" or ""."""
    resource: Mapping[str, Any]
    scope: str

    @property
    def service(self) -> str:
        return service_of(self.resource)


def service_of(resource: Mapping[str, Any]) -> str:
    name = resource.get("service.name", "")
    return name if isinstance(name, str) else ""


def spans_of(request: Any) -> Iterator[Span]:
    """The spans of an ExportTraceServiceRequest."""
    for top in request.resource_spans:
        resource = attributes_of(top.resource.attributes)
        for below in top.scope_spans:
            for span in below.spans:
                yield span_of(span, resource, below.scope.name)


def span_of(span: Any, resource: Mapping[str, Any], scope: str) -> Span:
    return Span(
        name=span.name,
        kind=KINDS[span.kind] if 0 <= span.kind < len(KINDS) else str(span.kind),
        status=STATUSES[span.status.code] if 0 <= span.status.code < len(STATUSES) else str(span.status.code),
        status_message=span.status.message,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        start_time_unix_nano=span.start_time_unix_nano,
        end_time_unix_nano=span.end_time_unix_nano,
        attributes=attributes_of(span.attributes),
        events=tuple(Event(each.name, each.time_unix_nano, attributes_of(each.attributes)) for each in span.events),
        links=tuple(
            Link(each.trace_id.hex(), each.span_id.hex(), attributes_of(each.attributes)) for each in span.links
        ),
        resource=resource,
        scope=scope,
    )


def logs_of(request: Any) -> Iterator[Log]:
    """The records of an ExportLogsServiceRequest."""
    for top in request.resource_logs:
        resource = attributes_of(top.resource.attributes)
        for below in top.scope_logs:
            for record in below.log_records:
                yield Log(
                    body=value_of(record.body),
                    severity=record.severity_text,
                    severity_number=record.severity_number,
                    event_name=record.event_name,
                    time_unix_nano=record.time_unix_nano or record.observed_time_unix_nano,
                    trace_id=record.trace_id.hex(),
                    span_id=record.span_id.hex(),
                    attributes=attributes_of(record.attributes),
                    resource=resource,
                    scope=below.scope.name,
                )


def points_of(request: Any) -> Iterator[Point]:
    """The data points of an ExportMetricsServiceRequest."""
    for top in request.resource_metrics:
        resource = attributes_of(top.resource.attributes)
        for below in top.scope_metrics:
            for metric in below.metrics:
                kind = metric.WhichOneof("data")
                for point in getattr(metric, kind).data_points if kind else ():
                    yield point_of(metric, kind, point, resource, below.scope.name)


def point_of(metric: Any, kind: str, point: Any, resource: Mapping[str, Any], scope: str) -> Point:
    is_number = kind in ("gauge", "sum")
    temporality = getattr(getattr(metric, kind), "aggregation_temporality", 0)
    return Point(
        name=metric.name,
        kind=kind,
        unit=metric.unit,
        value=getattr(point, point.WhichOneof("value") or "as_double") if is_number else point.sum,
        count=0 if is_number else point.count,
        attributes=attributes_of(point.attributes),
        start_time_unix_nano=point.start_time_unix_nano,
        time_unix_nano=point.time_unix_nano,
        temporality=("", "delta", "cumulative")[temporality] if 0 <= temporality < 3 else str(temporality),
        resource=resource,
        scope=scope,
    )


def attributes_of(attributes: Iterable[Any]) -> dict[str, Any]:
    return {attribute.key: value_of(attribute.value) for attribute in attributes}


def value_of(value: Any) -> Any:
    """An AnyValue as a Python value; None where nothing is set."""
    kind = value.WhichOneof("value")
    match kind:
        case None:
            return None
        case "array_value":
            return [value_of(item) for item in value.array_value.values]
        case "kvlist_value":
            return attributes_of(value.kvlist_value.values)
    return getattr(value, kind)
