"""The comparer of the round trip notices every change of every field: each is made in turn, by the descriptors."""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from otlp_meaning import SETS, difference, meaning

REQUESTS = (ExportTraceServiceRequest, ExportMetricsServiceRequest, ExportLogsServiceRequest)
CHOICES = 8
"""As many as the largest oneof has members: in `whole(..., choice=n)` each oneof takes its n-th."""

Change = tuple[str, Callable[[Message], None]]


def fill(target: Message, numbers: Iterator[int], choice: int, depth: int = 0) -> None:
    """Set every field of `target` to something distinct; of each oneof, member `choice`."""
    for field in target.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if oneof is not None and oneof.fields[choice % len(oneof.fields)] != field:
            continue
        count = 2 if field.is_repeated and not is_grouping(field) else 1
        for _ in range(count):
            if field.message_type is not None:
                inner_choice = choice if depth < 12 else next(numbers) % 2
                inner = getattr(target, field.name).add() if field.is_repeated else getattr(target, field.name)
                inner.SetInParent()
                fill(inner, numbers, 0 if nested_too_deep(target.DESCRIPTOR, depth) else inner_choice, depth + 1)
            else:
                set_scalar(target, field, distinct(field, next(numbers)))


def nested_too_deep(descriptor: Descriptor, depth: int) -> bool:
    """Values within values need an end: there a string is chosen."""
    return descriptor.name in ("ArrayValue", "KeyValueList") or depth > 14


def distinct(field: FieldDescriptor, number: int) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return f"text {number}"
    if field.type == FieldDescriptor.TYPE_BYTES:
        return number.to_bytes(8 if "span" in field.name else 16, "big")
    if field.type == FieldDescriptor.TYPE_BOOL:
        return True
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return number + 0.5
    return number if field.type != FieldDescriptor.TYPE_ENUM else 1 + number % 2


def set_scalar(target: Message, field: FieldDescriptor, value: Any) -> None:
    if field.is_repeated:
        getattr(target, field.name).append(value)
    else:
        setattr(target, field.name, value)


def whole(make: type[Message], choice: int) -> Message:
    request = make()
    fill(request, itertools.count(1), choice)
    return request


def other(value: Any) -> Any:
    """The least different value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value ^ 1
    if isinstance(value, float):
        return math.nextafter(value, math.inf)
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1])
    return value + "\x00"


def changes(found: Message, path: str = "") -> Iterator[Change]:
    """Every way to change one field somewhere in `found`; each is done to a copy, reached by its own steps."""
    for field in found.DESCRIPTOR.fields:
        name = field.name
        here = f"{path}.{name}"
        held = getattr(found, name)
        if field.is_repeated:
            yield from changes_of_list(held, field, here)
        elif field.has_presence and not found.HasField(name):
            yield f"{here}: set to its default", set_default(name, field)
        elif field.message_type is not None:
            yield f"{here}: cleared", clear(name)
            for label, change in changes(held, here):
                yield label, below(name, None, change)
        else:
            yield f"{here}: changed", assign(name, other(held))
            yield f"{here}: cleared", clear(name)


def changes_of_list(held: Any, field: FieldDescriptor, here: str) -> Iterator[Change]:
    yield f"{here}: last one dropped", lambda parent: getattr(parent, field.name).pop() and None
    yield f"{here}: last one doubled", double_last(field.name, field.message_type is not None)
    if field.name not in SETS and not is_grouping(field):
        yield f"{here}: swapped", reverse(field.name)
    for index, item in enumerate(held):
        if field.message_type is not None:
            for label, change in changes(item, f"{here}[{index}]"):
                yield label, below(field.name, index, change)
        else:
            yield f"{here}[{index}]: changed", assign_item(field.name, index, other(item))


def is_grouping(field: FieldDescriptor) -> bool:
    """Lists of containers or of records: their order is how things were grouped and sent, not what they mean."""
    return field.name.startswith(("resource_", "scope_")) or field.name in (
        "spans",
        "log_records",
        "metrics",
        "data_points",
    )


def below(name: str, index: int | None, change: Callable[[Message], None]) -> Callable[[Message], None]:
    def apply(parent: Message) -> None:
        held = getattr(parent, name)
        change(held if index is None else held[index])

    return apply


def clear(name: str) -> Callable[[Message], None]:
    return lambda parent: parent.ClearField(name)


def assign(name: str, value: Any) -> Callable[[Message], None]:
    return lambda parent: setattr(parent, name, value)


def set_default(name: str, field: FieldDescriptor) -> Callable[[Message], None]:
    def apply(parent: Message) -> None:
        if field.message_type is not None:
            getattr(parent, name).SetInParent()
        else:
            setattr(parent, name, field.default_value)

    return apply


def assign_item(name: str, index: int, value: Any) -> Callable[[Message], None]:
    def apply(parent: Message) -> None:
        getattr(parent, name)[index] = value

    return apply


def double_last(name: str, is_message: bool) -> Callable[[Message], None]:
    def apply(parent: Message) -> None:
        held = getattr(parent, name)
        if is_message:
            held.add().CopyFrom(held[-1 if len(held) < 2 else -2])
        else:
            held.append(held[-1])

    return apply


def reverse(name: str) -> Callable[[Message], None]:
    def apply(parent: Message) -> None:
        held = getattr(parent, name)
        items = list(held)
        copies = [
            type(item).FromString(item.SerializeToString()) if isinstance(item, Message) else item for item in items
        ]
        del held[:]
        held.extend(reversed(copies))

    return apply


def applied(change: Callable[[Message], None], request: Message) -> Message:
    copy = type(request)()
    copy.CopyFrom(request)
    change(copy)
    return copy


@pytest.mark.parametrize("choice", range(CHOICES))
@pytest.mark.parametrize("make", REQUESTS)
def test_every_change_of_every_field_is_noticed(make: type[Message], choice: int) -> None:
    request = whole(make, choice)
    sent = meaning([request])
    missed, count = [], 0
    for label, change in changes(request):
        count += 1
        if meaning([applied(change, request)]) == sent:
            missed.append(label)
    assert not missed
    assert count > 100


def field_names(descriptor: Descriptor, seen: set[str]) -> set[str]:
    for field in descriptor.fields:
        if field.full_name not in seen:
            seen.add(field.full_name)
            if field.message_type is not None:
                field_names(field.message_type, seen)
    return seen


def set_fields(found: Message, seen: set[str]) -> set[str]:
    for field, held in found.ListFields():
        seen.add(field.full_name)
        if field.message_type is not None:
            for item in held if field.is_repeated else [held]:
                set_fields(item, seen)
    return seen


@pytest.mark.parametrize("make", REQUESTS)
def test_the_messages_that_are_changed_have_every_field(make: type[Message]) -> None:
    seen: set[str] = set()
    for choice in range(CHOICES):
        set_fields(whole(make, choice), seen)
    assert seen == field_names(make.DESCRIPTOR, set())


def value(**fields: Any) -> ExportLogsServiceRequest:
    """A request whose one log record has this body."""
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add(body=AnyValue(**fields))
    return request


@pytest.mark.parametrize(
    ("one", "another"),
    [
        (value(int_value=1), value(double_value=1.0)),
        (value(int_value=1), value(bool_value=True)),
        (value(string_value="1"), value(int_value=1)),
        (value(string_value=""), value()),
        (value(string_value="a"), value(bytes_value=b"a")),
        (value(double_value=0.0), value(double_value=-0.0)),
        (value(array_value={}), value(kvlist_value={})),
        (value(array_value={}), value()),
        (value(string_value_strindex=0), value(int_value=0)),
        (
            value(kvlist_value={"values": [{"key": "a"}, {"key": "b"}]}),
            value(kvlist_value={"values": [{"key": "b"}, {"key": "a"}]}),
        ),
    ],
)
def test_values_of_another_type_or_order_are_not_equal(one: Message, another: Message) -> None:
    assert meaning([one]) != meaning([another])
    assert "1 records were lost or altered, 1 came" in difference(meaning([one]), meaning([another]))


def nan(payload: int) -> float:
    (found,) = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_0000 | payload))
    assert math.isnan(found)
    return float(found)


def point(**fields: Any) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.add().gauge.data_points.add(**fields)
    return request


def test_nan_bits_count_in_points_unless_told_otherwise() -> None:
    one, another = point(as_double=nan(1)), point(as_double=nan(2))
    assert meaning([one]) != meaning([another])
    assert meaning([one], nan_bits=False) == meaning([another], nan_bits=False)
    assert meaning([one], nan_bits=False) != meaning([point(as_double=1.0)], nan_bits=False)


def test_how_records_are_grouped_means_nothing() -> None:
    request = whole(ExportTraceServiceRequest, 0)
    second = request.resource_spans.add()
    second.CopyFrom(request.resource_spans[0])
    second.resource.dropped_attributes_count += 1
    halves = [ExportTraceServiceRequest(), ExportTraceServiceRequest(), ExportTraceServiceRequest()]
    for half, resource_spans in zip(halves, reversed(request.resource_spans), strict=False):
        for scope_spans in reversed(resource_spans.scope_spans):
            for span in scope_spans.spans:
                own = half.resource_spans.add(resource=resource_spans.resource, schema_url=resource_spans.schema_url)
                own.scope_spans.add(scope=scope_spans.scope, schema_url=scope_spans.schema_url).spans.append(span)
    halves[2].resource_spans.add().scope_spans.add()
    assert meaning(halves) == meaning([request])
    assert meaning(halves[:1]) != meaning([request])
    assert meaning([request, request]) != meaning([request])


def test_the_order_of_attributes_and_exemplars_means_nothing() -> None:
    a, b = KeyValue(key="a", value=AnyValue(int_value=1)), KeyValue(key="b", value=AnyValue(int_value=2))
    one = point(attributes=[a, b], exemplars=[{"as_int": 1}, {"as_int": 2}])
    another = point(attributes=[b, a], exemplars=[{"as_int": 2}, {"as_int": 1}])
    assert meaning([one]) == meaning([another])
    assert meaning([one]) != meaning([point(attributes=[b, a, a], exemplars=[{"as_int": 2}, {"as_int": 1}])])
    assert meaning([one]) != meaning([point(attributes=[b, a], exemplars=[{"as_int": 2}])])


def test_an_id_that_says_none_may_be_empty_or_zero() -> None:
    one, another = ExportLogsServiceRequest(), ExportLogsServiceRequest()
    one.resource_logs.add().scope_logs.add().log_records.add(trace_id=bytes(16), span_id=bytes(8))
    another.resource_logs.add().scope_logs.add().log_records.add()
    assert meaning([one]) == meaning([another])
