"""Checks KeyValue and AnyValue of untrusted bytes: structure, UTF-8, nesting; counts them and measures their text.

opentelemetry/proto/common/v1/common.proto

The *size* of a value is what limits judge: the bytes of a string or bytes value, 8 for any other scalar or an empty value,
and for an array or kvlist 8 and the sizes of all keys and values in it. It depends on the meaning alone, never on how a
message was encoded.
"""

from __future__ import annotations

from typing import Any

from sonde.ingest.kernel import inline, kernel, out_of_line
from sonde.ingest.tally import ARENA, KEYED, KINDS, MAX_DEPTH, REPEATED
from sonde.ingest.wire import (
    FIXED64,
    LEN,
    TOO_DEEP,
    VARINT,
    byte_at,
    check_utf8,
    fail,
    is_ascii,
    low32,
    read_fixed,
    read_len,
    read_tag,
    read_varint,
    skip_field,
    tag,
)

UNSET = 0
STRING = 1
BOOL = 2
INT = 3
DOUBLE = 4
ARRAY = 5
KVLIST = 6
BYTES = 7
STRINDEX = 8

ANY_VALUE_STRING_VALUE = tag(STRING, LEN)
ANY_VALUE_BOOL_VALUE = tag(BOOL, VARINT)
ANY_VALUE_INT_VALUE = tag(INT, VARINT)
ANY_VALUE_DOUBLE_VALUE = tag(DOUBLE, FIXED64)
ANY_VALUE_ARRAY_VALUE = tag(ARRAY, LEN)
ANY_VALUE_KVLIST_VALUE = tag(KVLIST, LEN)
ANY_VALUE_BYTES_VALUE = tag(BYTES, LEN)
ANY_VALUE_STRING_VALUE_STRINDEX = tag(STRINDEX, VARINT)
ARRAY_VALUE_VALUES = tag(1, LEN)
KEY_VALUE_LIST_VALUES = tag(1, LEN)
KEY_VALUE_KEY = tag(1, LEN)
KEY_VALUE_VALUE = tag(2, LEN)
KEY_VALUE_KEY_STRINDEX = tag(3, VARINT)

SCALAR_SIZE = 8
SCALAR_TEXT = 25
"""Room for the JSON text of any number, bool, null or strindex: `{"$strindex":-2147483648}` is the longest."""
BYTES_TEXT = 13
ITEM_TEXT = 5
"""Room for what every item of an array takes: a comma, and `null` where the value is empty."""
MEMBER_TEXT = 10
"""The same of a member of a kvlist: quotes, colon, comma, `$`, and `null` where there is no value."""
KEYED_TEXT = 48
"""Room for what a key_strindex adds: `{"$key_strindex":-2147483648,"$value":` and `}`."""

IN_ANY = 0
IN_ARRAY = 1
IN_KVLIST = 2
IN_KEY_VALUE = 3
FRAME = 3
"""Words in a frame of the walk through a nested value: which message, its end, how many singular fields were set. A level of
AnyValue has three frames at most, so NESTING words hold DEEPEST levels."""


@inline
def scan_attribute(buf: Any, pos: int, end: int, small: int, counts: int, limits: Any, tally: Any, frames: Any) -> Any:
    """What scan_any_attribute is; by itself for the shape that nearly all have, an ASCII key and then one scalar, each shorter
    than 128 bytes. That made the scan of a span 0.16 us instead of 0.27."""
    if end - pos > 5 and byte_at(buf, pos) == KEY_VALUE_KEY and byte_at(buf, pos + 1) < 0x80:
        value = pos + 2 + byte_at(buf, pos + 1)
        size = end - value - 3
        if 0 < size < 0x7E and byte_at(buf, value) == KEY_VALUE_VALUE and byte_at(buf, value + 1) == size + 1:
            field, content = byte_at(buf, value + 2), value + 3
            plain = False
            if field == ANY_VALUE_STRING_VALUE:
                size -= 1
                if byte_at(buf, content) == size and is_ascii(buf, pos, end):  # the tags and lengths are ASCII as well
                    tally[counts + STRING] += 1
                    return max(value - pos - 2, size)
            elif small == 0 and field == ANY_VALUE_INT_VALUE:
                plain = read_varint(buf, content, end)[1] == end
                size = SCALAR_SIZE
            elif small == 0 and field == ANY_VALUE_DOUBLE_VALUE:
                plain = size == SCALAR_SIZE
            elif small == 0 and field == ANY_VALUE_BOOL_VALUE:
                plain = size == 1 and byte_at(buf, content) < 0x80
                size = SCALAR_SIZE
            if plain and is_ascii(buf, pos + 2, value):
                tally[counts + (field >> 3)] += 1
                return max(value - pos - 2, size)
    return scan_any_attribute(buf, pos, end, small, counts, limits, tally, frames)


@kernel
def scan_any_attribute(
    buf: Any, pos: int, end: int, small: int, counts: int, limits: Any, tally: Any, frames: Any
) -> Any:
    """Check the KeyValue in [pos, end); its size (key or value, whichever is larger) or a failure.

    Counts it in tally[counts + kind], and in tally[ARENA] the JSON text it will need: in a `small` set all but strings
    become text, in a full one only what has no map of its own.

    message KeyValue {
      string key = 1;
      AnyValue value = 2;
      int32 key_strindex = 3;
    }
    """
    out_of_line()
    key_size = 0
    kind, size, text = UNSET, SCALAR_SIZE, SCALAR_TEXT
    values = 0
    key_strindex = 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if field == KEY_VALUE_KEY:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            key_size = pos - start
            pos = check_utf8(buf, start, pos)
        elif field == KEY_VALUE_VALUE:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            kind, size, text = scan_value(buf, start, pos, limits[MAX_DEPTH], tally, frames)
            values += 1
            if kind < 0:
                return kind
        elif field == KEY_VALUE_KEY_STRINDEX:
            key_strindex, pos = read_varint(buf, pos, end)
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos
    if values > 1:
        tally[REPEATED] += 1
    if low32(key_strindex) != 0:
        tally[ARENA] += KEYED_TEXT + (6 * size + 2 if kind == STRING else text)
        kind = KEYED
    elif kind != STRING and (small != 0 or kind < STRING or kind > DOUBLE):
        tally[ARENA] += text
    tally[counts + kind] += 1
    return max(key_size, size)


@kernel
def scan_value(buf: Any, pos: int, end: int, max_depth: int, tally: Any, frames: Any) -> Any:
    """Check the AnyValue in [pos, end): (kind or a failure, size, room for its JSON text; that of a string is not counted).

    message AnyValue {
      oneof value {
        string string_value = 1;
        bool bool_value = 2;
        int64 int_value = 3;
        double double_value = 4;
        ArrayValue array_value = 5;
        KeyValueList kvlist_value = 6;
        bytes bytes_value = 7;
        int32 string_value_strindex = 8;
      }
    }
    """
    kind, size, text = UNSET, SCALAR_SIZE, SCALAR_TEXT
    fields = 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos, 0, 0
        if field == ANY_VALUE_STRING_VALUE:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos, 0, 0
            kind, size, text = STRING, pos - start, 0
            pos = check_utf8(buf, start, pos)
        elif field == ANY_VALUE_INT_VALUE:
            _value, pos = read_varint(buf, pos, end)
            kind, size, text = INT, SCALAR_SIZE, SCALAR_TEXT
        elif field == ANY_VALUE_DOUBLE_VALUE:
            pos = read_fixed(pos, end, 8)
            kind, size, text = DOUBLE, SCALAR_SIZE, SCALAR_TEXT
        elif field == ANY_VALUE_BOOL_VALUE:
            _value, pos = read_varint(buf, pos, end)
            kind, size, text = BOOL, SCALAR_SIZE, SCALAR_TEXT
        elif field in (ANY_VALUE_ARRAY_VALUE, ANY_VALUE_KVLIST_VALUE):
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos, 0, 0
            kind = field >> 3
            size, text = scan_nested(buf, start, pos, kind, max_depth, tally, frames)
            if size < 0:
                return size, 0, 0
        elif field == ANY_VALUE_BYTES_VALUE:
            start, pos = read_len(buf, pos, end)
            kind, size = BYTES, pos - start
            text = BYTES_TEXT + (size + 2) // 3 * 4
        elif field == ANY_VALUE_STRING_VALUE_STRINDEX:
            _value, pos = read_varint(buf, pos, end)
            kind, size, text = STRINDEX, SCALAR_SIZE, SCALAR_TEXT
        else:
            pos = skip_field(buf, pos, end, field)
            fields -= 1
        if pos < 0:
            return pos, 0, 0
        fields += 1
    if fields > 1:
        tally[REPEATED] += 1
    return kind, size, text


@kernel
def scan_nested(buf: Any, pos: int, end: int, kind: int, max_depth: int, tally: Any, frames: Any) -> Any:
    """Check the ArrayValue or KeyValueList (`kind`) in [pos, end): (size or a failure, room for its JSON text).

    Walks with a stack of its own, `frames`, because the nesting is the sender's choice and the machine's stack is not. The
    room counted may be a little more than needed, never less.

    message ArrayValue {
      repeated AnyValue values = 1;
    }
    message KeyValueList {
      repeated KeyValue values = 1;
    }
    """
    out_of_line()
    size, text = SCALAR_SIZE, 2
    depth = 1
    if max_depth < 1:
        return fail(TOO_DEEP, pos), 0
    top = 0
    frames[0], frames[1], frames[2] = (IN_ARRAY if kind == ARRAY else IN_KVLIST), end, 0
    while True:
        while pos == frames[top + 1]:
            if frames[top] == IN_ANY:
                depth -= 1
                if frames[top + 2] == 0:
                    size += SCALAR_SIZE
            if frames[top] in (IN_ANY, IN_KEY_VALUE) and frames[top + 2] > 1:
                tally[REPEATED] += 1
            if frames[top] == IN_KEY_VALUE and frames[top + 2] == 0:
                size += SCALAR_SIZE
            if top == 0:
                return size, text
            top -= FRAME
        inside, stop = frames[top], frames[top + 1]
        field, at = read_tag(buf, pos, stop)
        if at < 0:
            return at, 0
        push = -1
        if inside == IN_ANY and ANY_VALUE_STRING_VALUE <= field <= ANY_VALUE_STRING_VALUE_STRINDEX:
            if field in (ANY_VALUE_ARRAY_VALUE, ANY_VALUE_KVLIST_VALUE):
                push = IN_ARRAY if field == ANY_VALUE_ARRAY_VALUE else IN_KVLIST
                frames[top + 2] += 1
                size += SCALAR_SIZE
                text += 2
            elif field in (ANY_VALUE_STRING_VALUE, ANY_VALUE_BYTES_VALUE):
                start, pos = read_len(buf, at, stop)
                if pos < 0:
                    return pos, 0
                frames[top + 2] += 1
                size += pos - start
                if field == ANY_VALUE_BYTES_VALUE:
                    text += BYTES_TEXT + (pos - start + 2) // 3 * 4
                else:
                    text += 2 + escaped_length(buf, start, pos)
                    pos = check_utf8(buf, start, pos)
            elif field == ANY_VALUE_DOUBLE_VALUE:
                pos = read_fixed(at, stop, 8)
                frames[top + 2] += 1
                size += SCALAR_SIZE
                text += SCALAR_TEXT
            elif field in (ANY_VALUE_BOOL_VALUE, ANY_VALUE_INT_VALUE, ANY_VALUE_STRING_VALUE_STRINDEX):
                _value, pos = read_varint(buf, at, stop)
                frames[top + 2] += 1
                size += SCALAR_SIZE
                text += SCALAR_TEXT
            else:
                pos = skip_field(buf, at, stop, field)
        elif inside == IN_ARRAY and field == ARRAY_VALUE_VALUES:
            push = IN_ANY
        elif inside == IN_KVLIST and field == KEY_VALUE_LIST_VALUES:
            push = IN_KEY_VALUE
            text += MEMBER_TEXT
        elif inside == IN_KEY_VALUE and field == KEY_VALUE_VALUE:
            push = IN_ANY
            frames[top + 2] += 1
        elif inside == IN_KEY_VALUE and field == KEY_VALUE_KEY:
            start, pos = read_len(buf, at, stop)
            if pos < 0:
                return pos, 0
            size += pos - start
            text += escaped_length(buf, start, pos)
            pos = check_utf8(buf, start, pos)
        elif inside == IN_KEY_VALUE and field == KEY_VALUE_KEY_STRINDEX:
            _value, pos = read_varint(buf, at, stop)
            text += KEYED_TEXT
        else:
            pos = skip_field(buf, at, stop, field)
        if push >= 0:
            pos, inner = read_len(buf, at, stop)
            if inner < 0:
                return inner, 0
            if push == IN_ANY:
                depth += 1
                text += ITEM_TEXT
            if depth + (push == IN_KEY_VALUE) > max_depth:
                return fail(TOO_DEEP, at), 0
            top += FRAME
            frames[top], frames[top + 1], frames[top + 2] = push, inner, 0
        if pos < 0:
            return pos, 0


@kernel
def escaped_length(buf: Any, start: int, stop: int) -> Any:
    r"""Bytes of the text in [start, stop) as the inside of a JSON string: \" \\ \b \f \n \r \t take two, other controls six."""
    length = stop - start
    for at in range(start, stop):
        byte = byte_at(buf, at)
        if byte < 0x20:
            length += 1 if byte in (8, 9, 10, 12, 13) else 5
        elif byte in (0x22, 0x5C):
            length += 1
    return length


def kinds_total(tally: Any, counts: int, *kinds: int) -> int:
    """How many values of `kinds` (all, where none are named) the tally holds from `counts` on."""
    return int(sum(tally[counts + kind] for kind in kinds or range(KINDS)))
