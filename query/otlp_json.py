"""OTLP messages as OTLP/JSON (opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).

protobuf's own JSON mapping, but: trace and span ids are hex and not base64, and enums are numbers. 64-bit integers are
decimal text, other bytes base64, and doubles that JSON has no spelling for "NaN", "Infinity" and "-Infinity".

Written by hand over the descriptors, since `json_format.MessageToDict` spends four times as long; a test holds the two
against each other.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import orjson
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

IDS = ("trace_id", "span_id", "parent_span_id")
LONG = (
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT64,
)


def to_line(request: Message) -> bytes:
    """One line of JSON, with its end."""
    return orjson.dumps(to_object(request), option=orjson.OPT_APPEND_NEWLINE)


def to_object(message: Message) -> dict[str, Any]:
    """Any OTLP message as plain values; what is at its default and has no presence is left out."""
    found = {}
    for field, value in message.ListFields():
        name, render = rendering(field)
        found[name] = render(value)
    return found


@cache
def rendering(field: FieldDescriptor) -> tuple[str, Callable[[Any], Any]]:
    """A field's name in JSON, and what makes JSON of its value."""
    render = rendering_of_one(field)
    if field.is_repeated:
        return field.json_name, lambda values: [render(value) for value in values]
    return field.json_name, render


def rendering_of_one(field: FieldDescriptor) -> Callable[[Any], Any]:
    if field.message_type is not None:
        return to_key_value if field.message_type.name == "KeyValue" else to_object
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bytes.hex if field.name in IDS else to_base64
    if field.cpp_type in LONG:
        return str
    return to_double if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE else unchanged


def to_key_value(attribute: Any) -> dict[str, Any]:
    """A KeyValue: most of what there is to write, so its common kinds go without a look at the descriptors."""
    value = attribute.value
    kind = value.WhichOneof("value")
    if attribute.key_strindex or not attribute.HasField("value"):
        return to_object(attribute)
    found: dict[str, Any] = {"key": attribute.key} if attribute.key else {}
    if kind == "string_value":
        found["value"] = {"stringValue": value.string_value}
    elif kind == "int_value":
        found["value"] = {"intValue": str(value.int_value)}
    else:
        found["value"] = to_object(value)
    return found


def to_double(value: float) -> Any:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def to_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def unchanged(value: Any) -> Any:
    return value
