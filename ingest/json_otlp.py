"""OTLP/JSON to protobuf bytes, so that one decoder serves both encodings.

OTLP specification 1.11, "JSON Protobuf Encoding": proto3's JSON mapping, but trace and span ids are hex (of either
case), enums are integers only, unknown names are ignored, and names are lowerCamelCase only. Where the mapping leaves a
choice it is the strict one: a value of the wrong type, a number out of its field's range, or two members of one oneof
refuse the request with the path of the culprit, because a sender that is not told goes on losing data.

`FIELDS` is derived from the protobuf descriptors; nothing here spells a field of OTLP but the ids and AnyValue.
"""

from __future__ import annotations

import base64
import binascii
import decimal
import math
import struct
from collections.abc import Callable
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from sonde.ingest.errors import Malformed
from sonde.ingest.services import REQUESTS
from sonde.ingest.signals import Signal
from sonde.ingest.status import varint

HEX_FIELDS = frozenset({"trace_id", "span_id", "parent_span_id"})
"""Fields of type bytes that OTLP/JSON writes in hex; every other one is base64."""
RECURSIVE = "opentelemetry.proto.common.v1.AnyValue"
"""The one message that may hold itself: its nesting is what `max_depth` bounds."""

Encode = Callable[[Any, int], bytes]
"""(value from JSON, how many AnyValues it stands within yet allowed) -> its bytes on the wire, without a tag."""


class WrongValue(Exception):
    """Says what is wrong with a value; the messages it stands in add, on the way out, where it stands."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.path: list[str | int] = []

    def where(self) -> str:
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in reversed(self.path))
        return text.lstrip(".") or "the body"


def transcode(signal: Signal, body: bytes | memoryview, max_depth: int) -> bytes:
    """`body`, an Export<Signal>ServiceRequest in OTLP/JSON, as protobuf. Malformed says what is wrong and where.

    `max_depth` bounds the nesting of AnyValue, as `Limits.max_depth` does for protobuf.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON (in UTF-8): {error}") from None
    try:
        return _MESSAGES[signal](value, max_depth)
    except WrongValue as error:
        raise Malformed(f"OTLP/JSON: {error.where()}: {error}") from None


# Values: one function for each way in which a field is written. Zeros are written too: equal in meaning, and simpler.


def _string(value: Any, _depth: int) -> bytes:
    if type(value) is not str:
        raise WrongValue(f"must be a string, not {_kind(value)}")
    text = value.encode()
    return _length(len(text)) + text


def _hex(value: Any, _depth: int) -> bytes:
    if type(value) is not str:
        raise WrongValue(f"must be a string of hex digits, not {_kind(value)}")
    try:
        raw = bytes.fromhex(value)
    except ValueError:
        raw = b""
    if len(raw) * 2 != len(value):  # fromhex skips spaces, which are no hex digits
        raise WrongValue(f"must be hex digits, two a byte (ids are not base64 in OTLP/JSON), not {_shown(value)}")
    return _length(len(raw)) + raw


def _base64(value: Any, _depth: int) -> bytes:
    """Standard or URL-safe alphabet, with or without padding: the JSON mapping accepts all four."""
    if type(value) is not str:
        raise WrongValue(f"must be a base64 string, not {_kind(value)}")
    text = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise WrongValue(f"must be base64, not {_shown(value)}") from None
    return _length(len(raw)) + raw


def _bool(value: Any, _depth: int) -> bytes:
    if value is True:
        return b"\x01"
    if value is False:
        return b"\x00"
    raise WrongValue(f"must be true or false, not {_kind(value)}")


def _double(value: Any, _depth: int) -> bytes:
    if type(value) is float or type(value) is int:
        return struct.pack("<d", value)
    return struct.pack("<d", _double_in(value))


def _double_in(value: Any) -> float:
    if type(value) is not str:
        raise WrongValue(f"must be a number, not {_kind(value)}")
    if value in _NOT_FINITE:
        return _NOT_FINITE[value]
    try:
        number = float(value) if _NUMBER_CHARACTERS.issuperset(value) else math.inf
    except ValueError:
        number = math.inf
    if math.isinf(number):
        raise WrongValue(f'must be a number, "NaN", "Infinity" or "-Infinity", not {_shown(value)}')
    return number


_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_NUMBER_CHARACTERS = frozenset("0123456789+-.eE")


def _integer(low: int, high: int, write: Callable[[int], bytes]) -> Encode:
    """An integer of low..high: a number, or decimal digits in a string; 1.0 and 1e3 are integers too."""

    def encode(value: Any, _depth: int) -> bytes:
        number = value if type(value) is int else _integer_in(value)
        if not low <= number <= high:
            raise WrongValue(f"must be between {low} and {high}, not {_shown(value)}")
        return write(number)

    return encode


def _integer_in(value: Any) -> int:
    if type(value) is str:
        digits = value.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) <= 20:
            return int(value)
    elif type(value) is float:
        # A float this large may be an integer that the JSON parser could not hold: what it was is no longer known.
        if value.is_integer() and abs(value) < 2.0**63:
            return int(value)
        raise WrongValue(f"must be a whole number of at most 64 bits (in a string, or digits only), not {value!r}")
    else:
        raise WrongValue(f"must be a number or a string of digits, not {_kind(value)}")
    return _integer_with_exponent(value)


def _integer_with_exponent(text: str) -> int:
    if text and len(text) <= 64 and _NUMBER_CHARACTERS.issuperset(text):
        try:
            number = decimal.Decimal(text)
        except decimal.InvalidOperation:
            number = decimal.Decimal("0.5")
        # The exponent is looked at first: 1e999999999 must not be written out.
        if number.adjusted() <= 20 and number == number.to_integral_value():
            return int(number)
    raise WrongValue(f"must be a whole number, not {_shown(text)}")


def _enum(value: Any, _depth: int) -> bytes:
    if type(value) is str:
        raise WrongValue(f"must be the enum's number, not {_shown(value)}: OTLP/JSON has no names for enum values")
    return _INT32(value, 0)


def _signed_varint(value: int) -> bytes:
    return _length(value) if value >= 0 else varint(value + (1 << 64))


def _zigzag32(value: int) -> bytes:
    return varint((value << 1) ^ (value >> 31))


_LENGTHS = [varint(value) for value in range(1 << 14)]


def _length(value: int) -> bytes:
    """`varint`, looked up for what is common: lengths are most of what is written here."""
    return _LENGTHS[value] if value < 1 << 14 else varint(value)


_INT32 = _integer(-(1 << 31), (1 << 31) - 1, _signed_varint)
_Field = FieldDescriptor
_SCALARS: dict[int, tuple[Encode, int]] = {
    _Field.TYPE_STRING: (_string, 2),
    _Field.TYPE_BYTES: (_base64, 2),
    _Field.TYPE_BOOL: (_bool, 0),
    _Field.TYPE_DOUBLE: (_double, 1),
    _Field.TYPE_ENUM: (_enum, 0),
    _Field.TYPE_INT32: (_INT32, 0),
    _Field.TYPE_INT64: (_integer(-(1 << 63), (1 << 63) - 1, _signed_varint), 0),
    _Field.TYPE_UINT32: (_integer(0, (1 << 32) - 1, _length), 0),
    _Field.TYPE_UINT64: (_integer(0, (1 << 64) - 1, _length), 0),
    _Field.TYPE_SINT32: (_integer(-(1 << 31), (1 << 31) - 1, _zigzag32), 0),
    _Field.TYPE_FIXED32: (_integer(0, (1 << 32) - 1, struct.Struct("<I").pack), 5),
    _Field.TYPE_FIXED64: (_integer(0, (1 << 64) - 1, struct.Struct("<Q").pack), 1),
    _Field.TYPE_SFIXED64: (_integer(-(1 << 63), (1 << 63) - 1, struct.Struct("<q").pack), 1),
}
"""Protobuf type -> (how its value is written, wire type)."""
LEN = 2


# Fields and messages: closures over the descriptors, made once.


def _single(field: FieldDescriptor, encode: Encode, wire_type: int) -> Encode:
    tag = varint(field.number << 3 | wire_type)

    def write(value: Any, depth: int) -> bytes:
        return tag + encode(value, depth)

    return write


def _repeated(field: FieldDescriptor, encode: Encode, wire_type: int) -> Encode:
    """One tag and value an element; numbers are packed under one tag, as proto3 does."""
    packed = wire_type != LEN
    tag = varint(field.number << 3 | LEN)

    def write(value: Any, depth: int) -> bytes:
        if type(value) is not list:
            raise WrongValue(f"must be an array, not {_kind(value)}")
        parts: list[bytes] = []
        try:
            for item in value:
                if not packed:
                    parts.append(tag)
                parts.append(encode(item, depth))
        except WrongValue as error:
            error.path.append(len(parts) if packed else len(parts) // 2)
            raise
        content = b"".join(parts)
        return tag + _length(len(content)) + content if packed and content else content

    return write


class _Message:
    """Writes one message type; `fields` is filled after construction, because messages may hold themselves."""

    def __init__(self, descriptor: Descriptor) -> None:
        self.name = descriptor.name
        self.recursive = descriptor.full_name == RECURSIVE
        self.fields: dict[str, Encode] = {}
        self.oneofs: tuple[frozenset[str], ...] = tuple(
            frozenset(field.json_name for field in oneof.fields) for oneof in descriptor.oneofs if len(oneof.fields) > 1
        )

    def __call__(self, value: Any, depth: int) -> bytes:
        """The content of the message, without a length."""
        if type(value) is not dict:
            raise WrongValue(f"must be an object ({self.name}), not {_kind(value)}")
        if self.recursive:
            if depth == 0:
                raise WrongValue("values are nested too deeply (setting max_depth)")
            depth -= 1
        fields, parts, name = self.fields, [], ""
        try:
            for name, member in value.items():
                # null is the same as absent, and an unknown name is skipped, whatever it holds.
                if member is not None and (write := fields.get(name)) is not None:
                    parts.append(write(member, depth))
        except WrongValue as error:
            error.path.append(name)
            raise
        if len(parts) > 1 and self.oneofs:
            self._check_oneofs(value)
        return b"".join(parts)

    def delimited(self, value: Any, depth: int) -> bytes:
        content = self(value, depth)
        return _length(len(content)) + content

    def _check_oneofs(self, value: dict[str, Any]) -> None:
        for names in self.oneofs:
            given = [name for name, member in value.items() if name in names and member is not None]
            if len(given) > 1:
                raise WrongValue(f"{' and '.join(given)} exclude each other: send one of them")


def _compile(descriptor: Descriptor, known: dict[str, _Message]) -> _Message:
    if (message := known.get(descriptor.full_name)) is not None:
        return message
    message = known[descriptor.full_name] = _Message(descriptor)
    encode: Encode
    for field in descriptor.fields:
        if field.message_type is not None:
            encode, wire_type = _compile(field.message_type, known).delimited, LEN
        elif field.name in HEX_FIELDS:
            encode, wire_type = _hex, LEN
        else:
            encode, wire_type = _SCALARS[field.type]
        build = _repeated if field.is_repeated else _single
        message.fields[field.json_name] = build(field, encode, wire_type)
    return message


def _compile_all() -> dict[Signal, _Message]:
    known: dict[str, _Message] = {}
    return {signal: _compile(request.DESCRIPTOR, known) for signal, request in REQUESTS.items()}


_MESSAGES = _compile_all()


def _kind(value: Any) -> str:
    """What JSON calls the type of `value`."""
    if value is None:
        return "null"
    kinds = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return kinds[type(value)]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
