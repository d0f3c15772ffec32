"""Attribute sets into columns: five maps by type for records, two for the small sets of events and links.

Each map is a region (regions.py) of keys, as symbols, and values; a set's row in its parent holds where its items end. The
string values of the full set are packed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sonde.ingest.any_value import locate_key_value, locate_value, put_attribute_text
from sonde.ingest.kernel import inline, kernel, out_of_line
from sonde.ingest.regions import ARENA_END, Regions, filled, next_row, put_packed
from sonde.ingest.scan_any_value import (
    ANY_VALUE_BOOL_VALUE,
    ANY_VALUE_DOUBLE_VALUE,
    ANY_VALUE_INT_VALUE,
    ANY_VALUE_STRING_VALUE,
    BOOL,
    DOUBLE,
    INT,
    KEY_VALUE_KEY,
    KEY_VALUE_VALUE,
    STRING,
)
from sonde.ingest.scan_resource import RESOURCE_ATTRIBUTES
from sonde.ingest.symbols import symbol
from sonde.ingest.tally import KINDS
from sonde.ingest.wire import byte_at, fixed32_at, fixed64_at, int64_at, pass_field, take_len, take_tag, take_varint
from sonde.storage.columns import I64, Block, Column, Lists

STRINGS, BOOLS, INTS, DOUBLES, TEXTS = range(5)
"""Regions of a full set, from its first on: STRING - 1, BOOL - 1 and so on."""
MAPS = 5
SMALL_STRINGS, SMALL_TEXTS = range(2)
SMALL_MAPS = 2
PACKED_COLUMNS = 1
"""key; the value is packed."""
NUMBER_COLUMNS = 2
"""key, 64 bits of value."""
TEXT_COLUMNS = 3
"""key, value start, value length."""

SERVICE = np.uint64(int.from_bytes(b"service.", "little"))
NAME = int.from_bytes(b"name", "little")


@inline
def put_attribute(buf: Any, pos: int, end: int, maps: int, out: Any, plan: Any) -> Any:
    """What put_any_attribute is; by itself for the shape that nearly all have: a key and then one scalar, each shorter than 128
    bytes."""
    if end - pos > 5 and byte_at(buf, pos) == KEY_VALUE_KEY and byte_at(buf, pos + 1) < 0x80:
        value = pos + 2 + byte_at(buf, pos + 1)
        size = end - value - 3
        if 0 < size < 0x7E and byte_at(buf, value) == KEY_VALUE_VALUE and byte_at(buf, value + 1) == size + 1:
            field, content = byte_at(buf, value + 2), value + 3
            if field == ANY_VALUE_STRING_VALUE:
                if byte_at(buf, content) == size - 1:
                    put_string(buf, pos + 2, value, content + 1, end, maps, out, plan)
                    return
            else:
                stop, bits = 0, 0
                if field == ANY_VALUE_INT_VALUE:
                    bits, stop = take_varint(buf, content)
                elif field == ANY_VALUE_DOUBLE_VALUE and size == 8:
                    bits, stop = int64_at(buf, content), end
                elif field == ANY_VALUE_BOOL_VALUE and size == 1:
                    bits, stop = int(byte_at(buf, content) != 0), end
                if stop == end:
                    put_number(buf, pos + 2, value, bits, maps + (field >> 3) - 1, out, plan)
                    return
    put_any_attribute(buf, pos, end, maps, out, plan)


@kernel
def put_any_attribute(buf: Any, pos: int, end: int, maps: int, out: Any, plan: Any) -> Any:
    """Put the KeyValue in [pos, end) into its map, one of the MAPS regions from `maps` on."""
    out_of_line()
    key, key_stop, value, value_stop, key_strindex = locate_key_value(buf, pos, end)
    kind, a, b = locate_value(buf, value, value_stop)
    if kind == STRING and key_strindex == 0:
        put_string(buf, key, key_stop, a, b, maps, out, plan)
    elif STRING < kind <= DOUBLE and key_strindex == 0:
        put_number(buf, key, key_stop, a, maps + kind - 1, out, plan)
    else:
        put_text(buf, key, key_stop, value, value_stop, key_strindex, maps + TEXTS, out, plan)


@kernel
def put_small_attribute(buf: Any, pos: int, end: int, maps: int, out: Any, plan: Any) -> Any:
    """Put the KeyValue in [pos, end) into its map, one of the two regions from `maps` on."""
    out_of_line()
    key, key_stop, value, value_stop, key_strindex = locate_key_value(buf, pos, end)
    kind, a, b = locate_value(buf, value, value_stop)
    if kind == STRING and key_strindex == 0:
        put_slice(buf, key, key_stop, a, b, maps + SMALL_STRINGS, out, plan)
    else:
        put_text(buf, key, key_stop, value, value_stop, key_strindex, maps + SMALL_TEXTS, out, plan)


@inline
def put_string(buf: Any, key: int, key_stop: int, value: int, value_stop: int, maps: int, out: Any, plan: Any) -> Any:
    at, _column = next_row(plan, maps + STRINGS)
    out[at] = symbol(buf, key, key_stop, out, plan)
    put_packed(buf, value, value_stop, plan)


@inline
def put_number(buf: Any, key: int, key_stop: int, bits: int, region: int, out: Any, plan: Any) -> Any:
    at, column = next_row(plan, region)
    out[at] = symbol(buf, key, key_stop, out, plan)
    out[at + column] = bits


@inline
def put_slice(buf: Any, key: int, key_stop: int, value: int, value_stop: int, region: int, out: Any, plan: Any) -> Any:
    at, column = next_row(plan, region)
    out[at] = symbol(buf, key, key_stop, out, plan)
    out[at + column] = value
    out[at + 2 * column] = value_stop - value


@kernel
def put_text(
    buf: Any, key: int, key_stop: int, value: int, value_stop: int, key_strindex: int, region: int, out: Any, plan: Any
) -> Any:
    """Put a key and the JSON text of its value."""
    out_of_line()
    to = plan[ARENA_END]
    stop = put_attribute_text(buf, key_strindex, value, value_stop, to)
    plan[ARENA_END] = stop
    put_slice(buf, key, key_stop, to, stop, region, out, plan)


@inline
def put_ends(at: int, column: int, maps: int, out: Any, plan: Any) -> Any:
    """Write where the five maps of a row end, into its five columns from `at` on."""
    for i in range(MAPS):
        out[at + i * column] = filled(plan, maps + i)


@kernel
def locate_service_name(buf: Any, pos: int, end: int) -> Any:
    """(start, stop) of the value of service.name in the Resource in [pos, end): its first that is a string; else (0, 0)."""
    out_of_line()
    while pos < end:
        field, pos = take_tag(buf, pos)
        if field != RESOURCE_ATTRIBUTES:
            pos = pass_field(buf, pos, field)
            continue
        start, pos = take_len(buf, pos)
        key, key_stop, value, value_stop, key_strindex = locate_key_value(buf, start, pos)
        if key_stop - key == 12 and fixed64_at(buf, key) == SERVICE and fixed32_at(buf, key + 8) == NAME:
            kind, a, b = locate_value(buf, value, value_stop)
            if kind == STRING and key_strindex == 0:
                return a, b
    return 0, 0


def map_shapes(maps: int, tally: I64, counts: int) -> dict[int, tuple[int, int]]:
    """Rows and columns of the regions of a full set, from what scan counted at tally[counts]."""
    kinds = tally[counts : counts + KINDS].tolist()
    return {
        maps + STRINGS: (kinds[STRING], PACKED_COLUMNS),
        maps + BOOLS: (kinds[BOOL], NUMBER_COLUMNS),
        maps + INTS: (kinds[INT], NUMBER_COLUMNS),
        maps + DOUBLES: (kinds[DOUBLE], NUMBER_COLUMNS),
        maps + TEXTS: (kinds[0] + sum(kinds[DOUBLE + 1 :]), TEXT_COLUMNS),
    }


def small_map_shapes(maps: int, tally: I64, counts: int) -> dict[int, tuple[int, int]]:
    kinds = tally[counts : counts + KINDS].tolist()
    return {
        maps + SMALL_STRINGS: (kinds[STRING], TEXT_COLUMNS),
        maps + SMALL_TEXTS: (sum(kinds) - kinds[STRING], TEXT_COLUMNS),
    }


def map_columns(prefix: str, found: Regions, maps: int, parent: int, ends: int) -> Block:
    """The five columns of a full set; its ends are in the columns of region `parent` from `ends` on."""

    def column(place: int, values: Column) -> Column:
        return found.maps(parent, ends + place, found.interned(maps + place, 0), values)

    return {
        f"{prefix}_string": column(STRINGS, found.packed(found.rows(maps + STRINGS))),
        f"{prefix}_int": column(INTS, found.signed(maps + INTS, 1)),
        f"{prefix}_double": column(DOUBLES, found.signed(maps + DOUBLES, 1).view(np.float64)),
        f"{prefix}_bool": column(BOOLS, found.narrow(maps + BOOLS, 1, "u1")),
        f"{prefix}_json": column(TEXTS, found.text(maps + TEXTS, 1)),
    }


def small_map_columns(prefix: str, found: Regions, maps: int, parent: int, ends: int) -> Block:
    """The two columns of a small set, likewise."""

    def column(place: int) -> Column:
        return found.maps(parent, ends + place, found.interned(maps + place, 0), found.text(maps + place, 1))

    return {f"{prefix}_string": column(SMALL_STRINGS), f"{prefix}_json": column(SMALL_TEXTS)}


def nested(block: Block, found: Regions, parent: int, ends: int) -> dict[str, Lists]:
    """Columns of a Nested: the items' columns, whose ends are in column `ends` of region `parent`."""
    return {name: found.lists(parent, ends, column) for name, column in block.items()}
