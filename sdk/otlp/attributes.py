"""Values and attributes: `AnyValue` and `KeyValue` of opentelemetry/proto/common/v1/common.proto.

    message AnyValue {
      oneof value {
        string string_value = 1;  bool bool_value = 2;  int64 int_value = 3;  double double_value = 4;
        ArrayValue array_value = 5;  KeyValueList kvlist_value = 6;  bytes bytes_value = 7;
      }
    }
    message ArrayValue { repeated AnyValue values = 1; }
    message KeyValueList { repeated KeyValue values = 1; }
    message KeyValue { string key = 1; AnyValue value = 2; }

What OTLP has no word for is not lost with its neighbours: an integer beyond 64 bits and an object of an unknown type are
sent as text, what nests deeper than DEEPEST as the text `...`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from sonde.sdk.otlp.wire import LENGTH_DELIMITED, delimited, double, signed, tag, utf8

STRING_VALUE, BOOL_VALUE, INT_VALUE, DOUBLE_VALUE = b"\x0a", b"\x10", b"\x18", b"\x21"
ARRAY_VALUE, KVLIST_VALUE, BYTES_VALUE = b"\x2a", b"\x32", b"\x3a"
VALUES = b"\x0a"
KEY, VALUE = b"\x0a", b"\x12"

TRUE, FALSE = BOOL_VALUE + b"\x01", BOOL_VALUE + b"\x00"
DEEPEST = 32
"""Levels of arrays and maps within a value."""
TOO_DEEP = delimited(STRING_VALUE, b"...")

LARGEST_CACHED = 4096
"""Attributes that a cache of fragments holds before it begins anew."""
LONGEST_CACHED = 128
"""Bytes of the longest of them."""
VALUES_OF_A_KEY = 256
"""A key that had as many values is one of identifiers, say: caching more of them would only push out what repeats."""


def any_value(value: Any, depth: int = 0) -> bytes:
    """The body of an AnyValue; empty for None."""
    if value is None:
        return b""
    if isinstance(value, bool):
        return TRUE if value else FALSE
    if isinstance(value, str):
        return delimited(STRING_VALUE, utf8(value))
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, float):
        return DOUBLE_VALUE + double(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return delimited(BYTES_VALUE, bytes(value))
    if isinstance(value, (Sequence, Mapping)):
        return TOO_DEEP if depth >= DEEPEST else nested(value, depth + 1)
    return delimited(STRING_VALUE, utf8(str(value)))


def nested(value: Sequence[Any] | Mapping[Any, Any], depth: int) -> bytes:
    if isinstance(value, Mapping):
        pairs = (delimited(VALUES, key_value(str(key), one, depth)) for key, one in value.items())
        return delimited(KVLIST_VALUE, b"".join(pairs))
    return delimited(ARRAY_VALUE, b"".join([delimited(VALUES, any_value(one, depth)) for one in value]))


def integer(value: int) -> bytes:
    if -(1 << 63) <= value < 1 << 63:
        return INT_VALUE + signed(value)
    return delimited(STRING_VALUE, str(value).encode())


def key_value(key: str, value: Any, depth: int = 0) -> bytes:
    """The body of a KeyValue."""
    return delimited(KEY, utf8(key)) + delimited(VALUE, any_value(value, depth))


def items(attributes: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """`attributes` as a mapping that is quick to walk: BoundedAttributes takes a lock and a call for each."""
    if type(attributes) is BoundedAttributes:
        return attributes._dict
    return attributes or {}


Encode = Callable[[Mapping[str, Any]], bytes]


def encoder(field: int) -> Encode:
    """A function that writes attributes as the repeated field number `field` of a message.

    Attributes repeat: the key nearly always, the value of most. The bytes of a pair that was written before are found by one
    look-up, 0.15 us where writing them takes 0.9. Threads may share an encoder: at worst one writes a pair that another
    has just written.
    """
    field_tag = tag(field, LENGTH_DELIMITED)
    # True, 1 and 1.0 are one key of a dict, hence one for each type.
    caches: dict[type, dict[tuple[str, Any], bytes]] = {str: {}, int: {}, bool: {}}
    texts, numbers, flags = caches[str], caches[int], caches[bool]
    distinct: dict[str, int] = {}

    def write(key: str, value: Any) -> bytes:
        fragment = delimited(field_tag, key_value(key, value))
        cache = caches.get(type(value))
        if cache is None or len(fragment) > LONGEST_CACHED:
            return fragment
        count = distinct.get(key, 0)
        if count < VALUES_OF_A_KEY:
            if len(texts) + len(numbers) + len(flags) >= LARGEST_CACHED:
                for full in (texts, numbers, flags, distinct):
                    full.clear()
                count = 0
            distinct[key] = count + 1
            cache[key, value] = fragment
        return fragment

    def encode(attributes: Mapping[str, Any]) -> bytes:
        found = []
        for key, value in attributes.items():
            kind = type(value)
            if kind is str:
                fragment = texts.get((key, value))
            elif kind is int:
                fragment = numbers.get((key, value))
            elif kind is bool:
                fragment = flags.get((key, value))
            else:
                fragment = None
            found.append(fragment or write(key, value))
        return b"".join(found)

    return encode
