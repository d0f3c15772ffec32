"""What OTLP requests mean: two requests (or lists of them) are equal in meaning when their `meaning` is equal.

A request is a bag of records, each with the whole of what stands above it (resource, scope, schema URLs, metric). How
records are divided among requests, and grouped within one, means nothing; a resource, scope or metric without records
holds nothing. Every field of every message counts, with its presence where it has one. What alone is not told apart:

* the order of attributes in a set (attributes, metadata, filtered attributes), and of exemplars in a point;
* a message that is empty and one that is absent, where it is no choice of a oneof (a Resource, a Status, an AnyValue);
* an id that is empty and one that is all zero, where OTLP says both mean none;
* the payload bits of a NaN within an AnyValue (JSON text has none);
* exemplars of two points equal in series, time and start time, which OTLP forbids: they are pooled.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

Meaning: TypeAlias = Counter[Any]

SETS = {"attributes", "metadata", "filtered_attributes", "exemplars"}
"""Repeated fields whose order means nothing."""
OPTIONAL_IDS = {
    ("Span", "parent_span_id"),
    ("LogRecord", "trace_id"),
    ("LogRecord", "span_id"),
    ("Exemplar", "trace_id"),
    ("Exemplar", "span_id"),
}
LEVELS = {
    "ResourceSpans": "scope_spans",
    "ScopeSpans": "spans",
    "ResourceLogs": "scope_logs",
    "ScopeLogs": "log_records",
    "ResourceMetrics": "scope_metrics",
    "ScopeMetrics": "metrics",
    "Gauge": "data_points",
    "Sum": "data_points",
    "Histogram": "data_points",
    "ExponentialHistogram": "data_points",
    "Summary": "data_points",
}
"""The field of each container message that holds what is one level below."""


def meaning(requests: Iterable[Message], *, nan_bits: bool = True) -> Meaning:
    """The records of Export*ServiceRequests. Without `nan_bits` every NaN is the same, as in OTLP/JSON."""
    found: Meaning = Counter()
    pooled: dict[Any, tuple[list[Any], list[Any]]] = {}
    for request in requests:
        (top,) = request.DESCRIPTOR.fields
        for above, record in records(getattr(request, top.name), (), nan_bits):
            if hasattr(record, "time_unix_nano") and "DataPoint" in record.DESCRIPTOR.name:
                points, exemplars = pooled.setdefault(point_key(above, record, nan_bits), ([], []))
                points.append(message(record, nan_bits, leave_out="exemplars"))
                exemplars += [message(exemplar, nan_bits) for exemplar in getattr(record, "exemplars", ())]
            else:
                found[above, message(record, nan_bits)] += 1
    for key, (points, exemplars) in pooled.items():
        found[key, unordered(points), unordered(exemplars)] += 1
    return found


def records(containers: Iterable[Message], above: Any, nan_bits: bool) -> Iterator[tuple[Any, Message]]:
    """Every record with the meaning of all its containers."""
    for container in containers:
        name = container.DESCRIPTOR.name
        if name == "Metric":
            kind = container.WhichOneof("data")
            own = message(container, nan_bits, leave_out=kind or "")
            if kind:
                yield from records([getattr(container, kind)], (*above, own), nan_bits)
        elif name in LEVELS:
            own = message(container, nan_bits, leave_out=LEVELS[name])
            yield from records(getattr(container, LEVELS[name]), (*above, own), nan_bits)
        else:
            yield above, container


def point_key(above: Any, point: Message, nan_bits: bool) -> Any:
    """What identifies a point: its series, time and start time."""
    own = dict(message(point, nan_bits)[1:])
    return above, own["attributes"], own["time_unix_nano"], own["start_time_unix_nano"]


def message(found: Message, nan_bits: bool, leave_out: str = "") -> tuple[Any, ...]:
    """Every field of a message, by name."""
    name = found.DESCRIPTOR.name
    inner_bits = nan_bits and name != "AnyValue"
    fields = ((f.name, value(found, f, inner_bits)) for f in found.DESCRIPTOR.fields if f.name != leave_out)
    return (name, *fields)


def value(found: Message, field: FieldDescriptor, nan_bits: bool) -> Any:
    held = getattr(found, field.name)
    if field.is_repeated:
        items = [single(item, found, field, nan_bits) for item in held]
        return unordered(items) if field.name in SETS else tuple(items)
    choice = field.containing_oneof is not None
    if choice and not found.HasField(field.name):
        return None
    return single(held, found, field, nan_bits)


def single(held: Any, parent: Message, field: FieldDescriptor, nan_bits: bool) -> Any:
    if field.message_type is not None:
        return message(held, nan_bits and parent.DESCRIPTOR.name != "KeyValue")
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return "NaN" if math.isnan(held) and not nan_bits else struct.pack(">d", held)
    if (parent.DESCRIPTOR.name, field.name) in OPTIONAL_IDS and not any(held):
        return b""
    return type(held).__name__, held


def unordered(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(items, key=repr))


def difference(sent: Meaning, got: Meaning, most: int = 3) -> str:
    """What is in one and not in the other, for a test's message."""
    lost, made = list((sent - got).elements()), list((got - sent).elements())
    lines = [f"{len(lost)} records were lost or altered, {len(made)} came that were not sent"]
    lines += [f"sent: {record!r}" for record in lost[:most]]
    lines += [f"got:  {record!r}" for record in made[:most]]
    return "\n".join(lines)
