"""Reads KeyValues and AnyValues of scanned bytes, and writes them as JSON text.

opentelemetry/proto/common/v1/common.proto; the messages are shown in `scan_any_value.py`. The JSON text is that of
`storage/json_text.py`, byte for byte. Both walks call themselves for nested values: scan has bounded the depth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sonde.ingest.double_text import put_double
from sonde.ingest.kernel import inline, kernel, out_of_line
from sonde.ingest.scan_any_value import (
    ANY_VALUE_ARRAY_VALUE,
    ANY_VALUE_BOOL_VALUE,
    ANY_VALUE_BYTES_VALUE,
    ANY_VALUE_DOUBLE_VALUE,
    ANY_VALUE_INT_VALUE,
    ANY_VALUE_KVLIST_VALUE,
    ANY_VALUE_STRING_VALUE,
    ANY_VALUE_STRING_VALUE_STRINDEX,
    ARRAY,
    BOOL,
    BYTES,
    DOUBLE,
    INT,
    KEY_VALUE_KEY,
    KEY_VALUE_KEY_STRINDEX,
    KEY_VALUE_VALUE,
    STRINDEX,
    STRING,
    UNSET,
)
from sonde.ingest.wire import byte_at, int64_at, low32_signed, pass_field, take_len, take_tag, take_varint

QUOTE = ord('"')
DOLLAR = ord("$")
BASE64 = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", np.uint8)
HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


@inline
def locate_key_value(buf: Any, pos: int, end: int) -> Any:
    """(key start, key stop, value start, value stop, key_strindex) of the KeyValue in [pos, end)."""
    key, key_stop, value, value_stop, key_strindex = 0, 0, 0, 0, 0
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field == KEY_VALUE_KEY:
            key, key_stop = take_len(buf, pos)
            pos = key_stop
        elif field == KEY_VALUE_VALUE:
            value, value_stop = take_len(buf, pos)
            pos = value_stop
        elif field == KEY_VALUE_KEY_STRINDEX:
            key_strindex, pos = take_varint(buf, pos)
        else:
            pos = pass_field(buf, pos, field)
    return key, key_stop, value, value_stop, low32_signed(key_strindex)


@inline
def locate_value(buf: Any, pos: int, end: int) -> Any:
    """(kind, a, b) of the AnyValue in [pos, end).

    a, b: start and stop of a string, bytes, ArrayValue or KeyValueList; of a scalar the value (a double's 64 bits) and 0.
    """
    kind, a, b = UNSET, 0, 0
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field in (ANY_VALUE_STRING_VALUE, ANY_VALUE_ARRAY_VALUE, ANY_VALUE_KVLIST_VALUE, ANY_VALUE_BYTES_VALUE):
            kind = field >> 3
            a, b = take_len(buf, pos)
            pos = b
        elif field == ANY_VALUE_INT_VALUE:
            kind, b = INT, 0
            a, pos = take_varint(buf, pos)
        elif field == ANY_VALUE_DOUBLE_VALUE:
            kind, a, b = DOUBLE, int64_at(buf, pos), 0
            pos += 8
        elif field == ANY_VALUE_BOOL_VALUE:
            value, pos = take_varint(buf, pos)
            kind, a, b = BOOL, int(value != 0), 0
        elif field == ANY_VALUE_STRING_VALUE_STRINDEX:
            value, pos = take_varint(buf, pos)
            kind, a, b = STRINDEX, low32_signed(value), 0
        else:
            pos = pass_field(buf, pos, field)
    return kind, a, b


@kernel
def put_attribute_text(buf: Any, key_strindex: int, pos: int, end: int, to: int) -> Any:
    """Write the value in [pos, end) of a KeyValue as JSON text at `to`, in the same buffer; the position behind it."""
    out_of_line()
    if key_strindex == 0:
        return put_value_text(buf, pos, end, to)
    to = put_integer(buf, key_strindex, put(buf, b'{"$key_strindex":', to))
    to = put_value_text(buf, pos, end, put(buf, b',"$value":', to))
    return put(buf, b"}", to)


@kernel
def put_value_text(buf: Any, pos: int, end: int, to: int) -> Any:
    """Write the AnyValue in [pos, end) as JSON text at `to`, in the same buffer; the position behind it."""
    out_of_line()
    kind, a, b = locate_value(buf, pos, end)
    if kind == UNSET:
        return put(buf, b"null", to)
    if kind == STRING:
        return put_quoted(buf, a, b, False, to)
    if kind == BOOL:
        return put(buf, b"true", to) if a != 0 else put(buf, b"false", to)
    if kind == INT:
        return put_integer(buf, a, to)
    if kind == DOUBLE:
        return put_double(buf, a, to)
    if kind == BYTES:
        return put_bytes(buf, a, b, to)
    if kind == STRINDEX:
        return put(buf, b"}", put_integer(buf, a, put(buf, b'{"$strindex":', to)))
    buf[to] = ord("[") if kind == ARRAY else ord("{")
    to += 1
    first = True
    while a < b:
        field, a = take_tag(buf, a)
        if field != KEY_VALUE_KEY:  # the same tag as `values` of ArrayValue and KeyValueList
            a = pass_field(buf, a, field)
            continue
        start, a = take_len(buf, a)
        if not first:
            to = put(buf, b",", to)
        first = False
        if kind == ARRAY:
            to = put_value_text(buf, start, a, to)
            continue
        key, key_stop, value, value_stop, key_strindex = locate_key_value(buf, start, a)
        to = put_quoted(buf, key, key_stop, True, to)
        to = put(buf, b":", to)
        if key_strindex != 0:
            to = put_integer(buf, key_strindex, put(buf, b'{"$key_strindex":', to))
            to = put(buf, b',"$value":', to)
        to = put_value_text(buf, value, value_stop, to)
        if key_strindex != 0:
            to = put(buf, b"}", to)
    buf[to] = ord("]") if kind == ARRAY else ord("}")
    return to + 1


@kernel
def put(buf: Any, text: bytes, to: int) -> Any:
    """Write `text` at `to`; the position behind it."""
    for i in range(len(text)):
        buf[to + i] = text[i]
    return to + len(text)


@kernel
def put_integer(buf: Any, value: int, to: int) -> Any:
    """Write an int64 in decimal at `to`; the position behind it."""
    out_of_line()
    left = np.uint64(value)
    if value < 0:
        buf[to] = ord("-")
        to += 1
        left = np.uint64(0) - left
    digits = 1
    power = np.uint64(10)
    while digits < 19 and left >= power:
        digits += 1
        power *= np.uint64(10)
    stop = to + digits
    for i in range(digits):
        buf[stop - 1 - i] = np.uint8(np.uint64(48) + left % np.uint64(10))
        left //= np.uint64(10)
    return stop


@kernel
def put_quoted(buf: Any, start: int, stop: int, is_key: bool, to: int) -> Any:
    r"""Write the UTF-8 in [start, stop) as a JSON string at `to`; a key that begins with $ gets one more. The position behind.

    Escaped are \" \\ \b \f \n \r \t and the other control characters as \u00xx (RFC 8259, section 7).
    """
    out_of_line()
    buf[to] = QUOTE
    to += 1
    if is_key and start < stop and byte_at(buf, start) == DOLLAR:
        buf[to] = DOLLAR
        to += 1
    for at in range(start, stop):
        byte = byte_at(buf, at)
        if byte >= 0x20 and byte != QUOTE and byte != 0x5C:
            buf[to] = byte
            to += 1
            continue
        letter = byte
        if byte == 8:
            letter = ord("b")
        elif byte == 9:
            letter = ord("t")
        elif byte == 10:
            letter = ord("n")
        elif byte == 12:
            letter = ord("f")
        elif byte == 13:
            letter = ord("r")
        buf[to] = 0x5C
        if letter >= 0x20:
            buf[to + 1] = letter
            to += 2
            continue
        buf[to + 1] = ord("u")
        buf[to + 2] = ord("0")
        buf[to + 3] = ord("0")
        buf[to + 4] = HEX[byte >> 4]
        buf[to + 5] = HEX[byte & 15]
        to += 6
    buf[to] = QUOTE
    return to + 1


@kernel
def put_bytes(buf: Any, start: int, stop: int, to: int) -> Any:
    """Write the bytes in [start, stop) as `{"$bytes":"<base64>"}` at `to`; the position behind it (RFC 4648, section 4)."""
    out_of_line()
    to = put(buf, b'{"$bytes":"', to)
    for at in range(start, stop, 3):
        left = stop - at
        word = byte_at(buf, at) << 16
        if left > 1:
            word |= byte_at(buf, at + 1) << 8
        if left > 2:
            word |= byte_at(buf, at + 2)
        buf[to] = BASE64[word >> 18]
        buf[to + 1] = BASE64[word >> 12 & 63]
        buf[to + 2] = BASE64[word >> 6 & 63] if left > 1 else ord("=")
        buf[to + 3] = BASE64[word & 63] if left > 2 else ord("=")
        to += 4
    return put(buf, b'"}', to)
