"""64-bit fingerprints of what repeats: resources, scopes, metrics, series. One definition, as kernels and as plain Python.

`mix(a, b)` is the 128-bit product of two words folded to 64 bits, as in wyhash; bytes are hashed sixteen at a time. An
attribute's hash takes its key, its type and its value; a set of attributes is the wrapping sum of theirs and so has no order,
while arrays and kvlists do. What is equal in meaning has one fingerprint: a value that is empty and one that is not there, a
nested message however it was encoded. Doubles count by their bits.

The fingerprints are kept in the store: changing anything here makes every resource, scope and series a new one.

Names in `*_slowly` are the plain twins, over the official protobuf classes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from sonde.ingest.any_value import locate_key_value, locate_value
from sonde.ingest.kernel import inline, intrinsic, kernel, out_of_line
from sonde.ingest.scan_any_value import (
    ANY_VALUE_INT_VALUE,
    ANY_VALUE_STRING_VALUE,
    ARRAY,
    BOOL,
    BYTES,
    DOUBLE,
    INT,
    KEY_VALUE_KEY,
    KEY_VALUE_VALUE,
    KVLIST,
    STRINDEX,
    STRING,
    UNSET,
)
from sonde.ingest.scan_resource import (
    RESOURCE_ATTRIBUTES,
    RESOURCE_DROPPED_ATTRIBUTES_COUNT,
    RESOURCE_ENTITY_REFS,
    SCOPE_ATTRIBUTES,
    SCOPE_DROPPED_ATTRIBUTES_COUNT,
    SCOPE_NAME,
    SCOPE_VERSION,
)
from sonde.ingest.wire import (
    LEN,
    byte_at,
    fixed32_at,
    fixed64_at,
    low32,
    pass_field,
    take_len,
    take_tag,
    take_varint,
)

MASK = (1 << 64) - 1
P0 = 0xA0761D6478BD642F
P1 = 0xE7037ED1A0B428DB
P2 = 0x8EBC6AF09C88C6E3
P3 = 0x589965CC75374CC3
W0, W1, W2, W3 = np.uint64(P0), np.uint64(P1), np.uint64(P2), np.uint64(P3)

RESOURCE_SEED = 1
SCOPE_SEED = 2
METRIC_SEED = 3
SERIES_SEED = 4
ENTITY_SEED = 5


@intrinsic
def mix(_typing: Any, _a: Any, _b: Any) -> Any:
    """The 128-bit product of two uint64, its halves xored."""

    def multiply(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        word, wide = ir.IntType(64), ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        high = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), word)
        return builder.xor(builder.trunc(product, word), high)

    return types.uint64(types.uint64, types.uint64), multiply


@inline
def fold(hashed: Any, more: Any) -> Any:
    """`hashed` with one more uint64 after it."""
    return mix(hashed ^ W1, more ^ W2)


@inline
def word_hash(kind: int, value: int) -> Any:
    """Hash of 64 bits of a kind."""
    return mix(np.uint64(value) ^ W1, np.uint64(kind) * W2 ^ W3)


@kernel
def text_hash(buf: Any, start: int, stop: int, seed: int) -> Any:
    """Hash of the bytes in [start, stop) under a small `seed`."""
    out_of_line()
    length = stop - start
    hashed = np.uint64(seed) * W3 ^ W0
    while stop - start > 16:
        hashed = mix(fixed64_at(buf, start) ^ W1, fixed64_at(buf, start + 8) ^ hashed)
        start += 16
    left = stop - start
    first, last = np.uint64(0), np.uint64(0)
    if left >= 8:
        first, last = fixed64_at(buf, start), fixed64_at(buf, stop - 8)
    elif left >= 4:
        first, last = np.uint64(fixed32_at(buf, start)), np.uint64(fixed32_at(buf, stop - 4))
    elif left > 0:
        middle = byte_at(buf, start + (left >> 1))
        first = np.uint64(byte_at(buf, start) << 16 | middle << 8 | byte_at(buf, stop - 1))
    return mix(W2 ^ np.uint64(length), mix(first ^ W1, last ^ hashed))


@kernel
def attribute_hash(buf: Any, pos: int, end: int) -> Any:
    """Hash of the KeyValue in [pos, end). That of a set of attributes is the sum of theirs, mod 2^64; of none, 0.

    First by itself for a key and then a string or an int, each shorter than 128 bytes, as most are.
    """
    if end - pos > 5 and byte_at(buf, pos) == KEY_VALUE_KEY and byte_at(buf, pos + 1) < 0x80:
        value = pos + 2 + byte_at(buf, pos + 1)
        size = end - value - 3
        if 0 < size < 0x7E and byte_at(buf, value) == KEY_VALUE_VALUE and byte_at(buf, value + 1) == size + 1:
            field, content = byte_at(buf, value + 2), value + 3
            if field == ANY_VALUE_STRING_VALUE and byte_at(buf, content) == size - 1:
                return fold(text_hash(buf, pos + 2, value, 0), text_hash(buf, content + 1, end, STRING))
            if field == ANY_VALUE_INT_VALUE:
                number, stop = take_varint(buf, content)
                if stop == end:
                    return fold(text_hash(buf, pos + 2, value, 0), word_hash(INT, number))
    key, key_stop, value, value_stop, key_strindex = locate_key_value(buf, pos, end)
    return fold(key_hash(buf, key, key_stop, key_strindex), value_hash(buf, value, value_stop))


@inline
def key_hash(buf: Any, key: int, key_stop: int, key_strindex: int) -> Any:
    return text_hash(buf, key, key_stop, 0) + np.uint64(key_strindex) * W0


@kernel
def value_hash(buf: Any, pos: int, end: int) -> Any:
    """Hash of the AnyValue in [pos, end). Calls itself for what is nested; scan has bounded the depth."""
    out_of_line()
    kind, a, b = locate_value(buf, pos, end)
    if kind in (STRING, BYTES):
        return text_hash(buf, a, b, kind)
    if kind not in (ARRAY, KVLIST):
        return word_hash(kind, a)
    hashed = word_hash(kind, 0)
    while a < b:
        field, a = take_tag(buf, a)
        if field != KEY_VALUE_KEY:  # the same tag as `values` of ArrayValue and KeyValueList
            a = pass_field(buf, a, field)
            continue
        start, a = take_len(buf, a)
        if kind == ARRAY:
            hashed = fold(hashed, value_hash(buf, start, a))
            continue
        key, key_stop, value, value_stop, key_strindex = locate_key_value(buf, start, a)
        member = fold(key_hash(buf, key, key_stop, key_strindex), value_hash(buf, value, value_stop))
        hashed = fold(hashed, member)
    return hashed


@kernel
def resource_id(buf: Any, pos: int, end: int, schema_url: int, schema_url_stop: int) -> Any:
    """Fingerprint of the Resource in [pos, end) with the schema_url that stands beside it."""
    out_of_line()
    attributes, entity_refs, dropped = np.uint64(0), np.uint64(0), 0
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == RESOURCE_ATTRIBUTES:
            start, pos = take_len(buf, pos)
            attributes += attribute_hash(buf, start, pos)
        elif field == RESOURCE_ENTITY_REFS:
            start, pos = take_len(buf, pos)
            entity_refs = fold(entity_refs, entity_hash(buf, start, pos))
        elif field == RESOURCE_DROPPED_ATTRIBUTES_COUNT:
            dropped, pos = take_varint(buf, pos)
        else:
            pos = pass_field(buf, pos, field)
    hashed = fold(np.uint64(RESOURCE_SEED), attributes)
    hashed = fold(hashed, np.uint64(low32(dropped)))
    hashed = fold(hashed, entity_refs)
    return fold(hashed, text_hash(buf, schema_url, schema_url_stop, 0))


@kernel
def entity_hash(buf: Any, pos: int, end: int) -> Any:
    """Hash of the EntityRef in [pos, end)."""
    id_keys, description_keys = np.uint64(0), np.uint64(0)
    schema_url = kind = text_hash(buf, pos, pos, 0)
    while pos < end:
        field, pos = take_tag(buf, pos)
        number = field >> 3
        if field & 7 != LEN or number > 4:
            pos = pass_field(buf, pos, field)
            continue
        start, pos = take_len(buf, pos)
        hashed = text_hash(buf, start, pos, 0)
        if number == 1:
            schema_url = hashed
        elif number == 2:
            kind = hashed
        elif number == 3:
            id_keys = fold(id_keys, hashed)
        else:
            description_keys = fold(description_keys, hashed)
    hashed = fold(fold(np.uint64(ENTITY_SEED), schema_url), kind)
    return fold(fold(hashed, id_keys), description_keys)


@kernel
def scope_id(buf: Any, pos: int, end: int, schema_url: int, schema_url_stop: int) -> Any:
    """Fingerprint of the InstrumentationScope in [pos, end) with the schema_url that stands beside it."""
    out_of_line()
    attributes, dropped = np.uint64(0), 0
    name, name_stop, version, version_stop = 0, 0, 0, 0
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == SCOPE_NAME:
            name, name_stop = take_len(buf, pos)
            pos = name_stop
        elif field == SCOPE_VERSION:
            version, version_stop = take_len(buf, pos)
            pos = version_stop
        elif field == SCOPE_ATTRIBUTES:
            start, pos = take_len(buf, pos)
            attributes += attribute_hash(buf, start, pos)
        elif field == SCOPE_DROPPED_ATTRIBUTES_COUNT:
            dropped, pos = take_varint(buf, pos)
        else:
            pos = pass_field(buf, pos, field)
    hashed = fold(np.uint64(SCOPE_SEED), text_hash(buf, name, name_stop, 0))
    hashed = fold(hashed, text_hash(buf, version, version_stop, 0))
    hashed = fold(hashed, attributes)
    hashed = fold(hashed, np.uint64(low32(dropped)))
    return fold(hashed, text_hash(buf, schema_url, schema_url_stop, 0))


@kernel
def metric_id(
    resource: int,
    scope: int,
    name: int,
    description: int,
    unit: int,
    kind: int,
    temporality: int,
    is_monotonic: int,
    metadata: int,
) -> Any:
    """Fingerprint of what all series of a metric share: the resource's and scope's, the texts' hashes (`text_hash` with seed 0),
    `kind` (the Metric's field number) and the sum of the metadata's hashes."""
    out_of_line()
    hashed = fold(np.uint64(METRIC_SEED), np.uint64(resource))
    hashed = fold(hashed, np.uint64(scope))
    hashed = fold(hashed, np.uint64(name))
    hashed = fold(hashed, np.uint64(description))
    hashed = fold(hashed, np.uint64(unit))
    hashed = fold(
        hashed,
        np.uint64(kind) << np.uint64(40) | np.uint64(is_monotonic) << np.uint64(32) | np.uint64(low32(temporality)),
    )
    return fold(hashed, np.uint64(metadata))


@inline
def series_id(metric: int, attributes: int) -> Any:
    """Fingerprint of the series of a metric (`metric_id`) whose points have these attributes (the sum of their hashes)."""
    return fold(fold(np.uint64(SERIES_SEED), np.uint64(metric)), np.uint64(attributes))


# ---- the plain twins ----


def mix_slowly(a: int, b: int) -> int:
    product = (a & MASK) * (b & MASK)
    return (product ^ product >> 64) & MASK


def fold_slowly(hashed: int, more: int) -> int:
    return mix_slowly(hashed ^ P1, more ^ P2)


def word_hash_slowly(kind: int, value: int) -> int:
    return mix_slowly(value & MASK ^ P1, kind * P2 & MASK ^ P3)


def text_hash_slowly(text: str | bytes, seed: int = 0) -> int:
    data = text.encode() if isinstance(text, str) else text
    hashed, rest = seed * P3 & MASK ^ P0, data
    while len(rest) > 16:
        hashed = mix_slowly(int.from_bytes(rest[:8], "little") ^ P1, int.from_bytes(rest[8:16], "little") ^ hashed)
        rest = rest[16:]
    first, last = 0, 0
    if len(rest) >= 4:
        width = 8 if len(rest) >= 8 else 4
        first, last = int.from_bytes(rest[:width], "little"), int.from_bytes(rest[-width:], "little")
    elif rest:
        first = rest[0] << 16 | rest[len(rest) >> 1] << 8 | rest[-1]
    return mix_slowly(P2 ^ len(data), mix_slowly(first ^ P1, last ^ hashed))


def attribute_hash_slowly(attribute: Any) -> int:
    key = (text_hash_slowly(attribute.key) + attribute.key_strindex * P0) & MASK
    return fold_slowly(key, value_hash_slowly(attribute.value))


def attributes_hash_slowly(attributes: Iterable[Any]) -> int:
    return sum(map(attribute_hash_slowly, attributes)) & MASK


def value_hash_slowly(value: Any) -> int:
    match value.WhichOneof("value"):
        case None:
            return word_hash_slowly(UNSET, 0)
        case "string_value":
            return text_hash_slowly(value.string_value, STRING)
        case "bytes_value":
            return text_hash_slowly(value.bytes_value, BYTES)
        case "bool_value":
            return word_hash_slowly(BOOL, value.bool_value)
        case "int_value":
            return word_hash_slowly(INT, value.int_value)
        case "double_value":
            return word_hash_slowly(DOUBLE, int.from_bytes(struct.pack("<d", value.double_value), "little"))
        case "string_value_strindex":
            return word_hash_slowly(STRINDEX, value.string_value_strindex)
        case "array_value":
            return sequence_hash_slowly(ARRAY, map(value_hash_slowly, value.array_value.values))
        case _:
            return sequence_hash_slowly(KVLIST, map(attribute_hash_slowly, value.kvlist_value.values))


def sequence_hash_slowly(kind: int, hashes: Iterable[int]) -> int:
    hashed = word_hash_slowly(kind, 0)
    for item in hashes:
        hashed = fold_slowly(hashed, item)
    return hashed


def chain_slowly(seed: int, parts: Iterable[int]) -> int:
    for part in parts:
        seed = fold_slowly(seed, part)
    return seed


def resource_id_slowly(resource: Any, schema_url: str) -> int:
    return chain_slowly(
        RESOURCE_SEED,
        (
            attributes_hash_slowly(resource.attributes),
            resource.dropped_attributes_count,
            chain_slowly(0, map(entity_hash_slowly, resource.entity_refs)),
            text_hash_slowly(schema_url),
        ),
    )


def entity_hash_slowly(reference: Any) -> int:
    return chain_slowly(
        ENTITY_SEED,
        (
            text_hash_slowly(reference.schema_url),
            text_hash_slowly(reference.type),
            chain_slowly(0, map(text_hash_slowly, reference.id_keys)),
            chain_slowly(0, map(text_hash_slowly, reference.description_keys)),
        ),
    )


def scope_id_slowly(scope: Any, schema_url: str) -> int:
    return chain_slowly(
        SCOPE_SEED,
        (
            text_hash_slowly(scope.name),
            text_hash_slowly(scope.version),
            attributes_hash_slowly(scope.attributes),
            scope.dropped_attributes_count,
            text_hash_slowly(schema_url),
        ),
    )


def metric_id_slowly(resource: int, scope: int, metric: Any, kind: int, temporality: int, is_monotonic: bool) -> int:
    return chain_slowly(
        METRIC_SEED,
        (
            resource,
            scope,
            text_hash_slowly(metric.name),
            text_hash_slowly(metric.description),
            text_hash_slowly(metric.unit),
            kind << 40 | is_monotonic << 32 | temporality & 0xFFFFFFFF,
            attributes_hash_slowly(metric.metadata),
        ),
    )


def series_id_slowly(metric: int, attributes: Iterable[Any]) -> int:
    return chain_slowly(SERIES_SEED, (metric, attributes_hash_slowly(attributes)))
