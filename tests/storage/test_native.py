"""The Native encoder against golden bytes, its slow twin, and the engine itself."""

from __future__ import annotations

import math
import uuid
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slow_native import encode_slowly, text
from sonde.storage import native_kernels as kernels
from sonde.storage.columns import Column, Constant, Interned, Lists, Maps, Nullables, Packed, Strings
from sonde.storage.native import FIXED, encode_block, parse_type, split_arguments
from sonde.storage.schema import TABLES, Table
from sonde.storage.schema import Column as SchemaColumn
from sonde.storage.store import Store, rows_in

KINDS = (
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "Float32",
    "Float64",
    "Bool",
    "DateTime64(9, 'UTC')",
    "FixedString(16)",
    "String",
    "LowCardinality(String)",
    "Nullable(Float64)",
    "Nullable(String)",
    "Array(UInt64)",
    "Array(String)",
    "Array(FixedString(8))",
    "Array(LowCardinality(String))",
    "Array(Array(LowCardinality(String)))",
    "Array(Map(LowCardinality(String), String))",
    "Map(LowCardinality(String), String)",
    "Map(LowCardinality(String), Int64)",
    "Map(LowCardinality(String), Bool)",
    "Map(LowCardinality(String), LowCardinality(String))",
    "Map(LowCardinality(String), Array(LowCardinality(String)))",
)


def a_table(*kinds: str) -> Table:
    columns = tuple(SchemaColumn(f"c{i}", kind, "") for i, kind in enumerate(kinds))
    return Table("scratch", "", columns, order_by=())


def strings(values: list[bytes]) -> Strings:
    """The values one behind the other, equal ones sharing their slice every other time."""
    buffer, starts, seen = bytearray(), [], {}
    for place, value in enumerate(values):
        if place % 2 or value not in seen:
            seen[value] = len(buffer)
            buffer += value
        starts.append(seen[value])
    lengths = [len(value) for value in values]
    return Strings(np.frombuffer(bytes(buffer), np.uint8), np.array(starts, np.int64), np.array(lengths, np.int64))


def offsets(values: list[list[Any]]) -> Any:
    return np.cumsum([len(value) for value in values], dtype=np.uint64)


def decoded_text(head: str, values: list[bytes]) -> Column:
    """The same texts as the decode kernels make them: packed, or numbers of a list that has more than them, in another order."""
    if head == "String":
        return Packed(np.frombuffer(b"".join(text(value) for value in values), np.uint8), len(values))
    listed = [b"in no row", *sorted(set(values), reverse=True)]
    return Interned(strings(listed), np.array([listed.index(value, 1) for value in values], np.int64))


def column(kind: str, values: list[Any], text_column: Any = lambda _head, values: strings(values)) -> Column:
    """Python values (see `slow_native.data`) as the encoder takes them; `text_column` makes the columns of text."""
    head, _, rest = kind.partition("(")
    inside = rest.removesuffix(")")
    if head in FIXED:
        return np.array(values, FIXED[head])
    if head == "FixedString":
        return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), int(inside))
    if head in ("String", "LowCardinality"):
        return text_column(head, values)
    if head == "Nullable":
        default = b"" if inside == "String" else 0
        plain = [default if value is None else value for value in values]
        return Nullables(np.array([value is None for value in values], np.uint8), column(inside, plain, text_column))
    flat = [item for value in values for item in value]
    if head == "Array":
        return Lists(offsets(values), column(inside, flat, text_column))
    key, value_kind = split_arguments(inside)
    keys = column(key, [pair[0] for pair in flat], text_column)
    return Maps(offsets(values), keys, column(value_kind, [pair[1] for pair in flat], text_column))


def encode(*columns: tuple[str, list[Any]], **made: Any) -> bytes:
    table = a_table(*(kind for kind, _ in columns))
    rows = len(columns[0][1])
    return bytes(encode_block(table, {f"c{i}": column(*pair, **made) for i, pair in enumerate(columns)}, rows))


def number(value: int) -> bytes:
    return value.to_bytes(8, "little")


GOLDEN = {
    "UInt8": ([1, 255], b"\x01\xff"),
    "Int32": ([-1], b"\xff\xff\xff\xff"),
    "Bool": ([1, 0], b"\x01\x00"),
    "DateTime64(9, 'UTC')": ([1], number(1)),
    "FixedString(2)": ([b"ab", b"\0\0"], b"ab\0\0"),
    "String": ([b"", b"x" * 128], b"\x00\x80\x01" + b"x" * 128),
    "Nullable(Float64)": ([None, 1.0], b"\x01\x00" + number(0) + b"\0\0\0\0\0\0\xf0?"),
    "LowCardinality(String)": (
        [b"a", b"b", b"a"],
        number(1) + number(0x600) + number(2) + b"\x01a\x01b" + number(3) + b"\x00\x01\x00",
    ),
    "Array(LowCardinality(String))": (
        [[], [b"q", b"q"]],
        number(1) + number(0) + number(2) + number(0x600) + number(1) + b"\x01q" + number(2) + b"\0\0",
    ),
    "Map(LowCardinality(String), String)": (
        [[(b"k", b"v")], []],
        number(1) + number(1) + number(1) + number(0x600) + number(1) + b"\x01k" + number(1) + b"\0" + b"\x01v",
    ),
    "Map(LowCardinality(String), LowCardinality(String))": ([[]], number(1) + number(1) + number(0)),
    "Array(Map(LowCardinality(String), String))": (
        [[[(b"k", b"v")], []]],
        number(1) + number(2) + number(1) + number(1) + number(0x600) + number(1) + b"\x01k" + number(1) + b"\0\x01v",
    ),
}


@pytest.mark.parametrize("kind", GOLDEN)
def test_a_column_is_written_as_the_format_says(kind: str) -> None:
    values, data = GOLDEN[kind]
    head = b"\x01" + bytes([len(values)]) + b"\x02c0" + bytes([len(kind)]) + kind.encode()
    assert encode((kind, values)) == head + data


def values_of(kind: str) -> st.SearchStrategy[Any]:
    head, _, rest = kind.partition("(")
    inside = rest.removesuffix(")")
    if head == "Bool":
        return st.integers(0, 1)
    if head == "DateTime64":
        return st.integers(-(1 << 63), (1 << 63) - 1)
    if head.startswith("Float"):
        return st.floats(width=int(head[5:]), allow_nan=False)
    if head in FIXED:
        limits = np.iinfo(FIXED[head])
        return st.integers(int(limits.min), int(limits.max))
    if head == "FixedString":
        return st.binary(min_size=int(inside), max_size=int(inside))
    if head in ("String", "LowCardinality"):
        short = st.binary(max_size=40)
        return st.one_of(
            short, st.sampled_from([b"", b"http.request.method", b"url.path", b"k\0", b"k"]), st.binary(max_size=300)
        )
    if head == "Nullable":
        return st.none() | values_of(inside)
    if head == "Array":
        return st.lists(values_of(inside), max_size=4)
    key, value = split_arguments(inside)
    return st.lists(st.tuples(values_of(key), values_of(value)), max_size=4)


@st.composite
def blocks(draw: st.DrawFn) -> list[tuple[str, list[Any]]]:
    rows = draw(st.integers(1, 12))
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
    return [(kind, draw(st.lists(values_of(kind), min_size=rows, max_size=rows))) for kind in kinds]


@given(blocks())
@settings(max_examples=150, deadline=None)
def test_the_encoder_agrees_with_its_slow_twin(block: list[tuple[str, list[Any]]]) -> None:
    slow = encode_slowly([(f"c{i}", kind, values) for i, (kind, values) in enumerate(block)], len(block[0][1]))
    assert encode(*block) == slow
    assert encode(*block, text_column=decoded_text) == slow


@given(blocks())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_engine_reads_back_what_was_written(empty_store: Store, block: list[tuple[str, list[Any]]]) -> None:
    table = f"scratch_{uuid.uuid4().hex}"
    rows = len(block[0][1])
    kinds = ", ".join(f"c{i} {kind}" for i, (kind, _) in enumerate(block))
    empty_store.command(f"CREATE TABLE {table} (place UInt32, {kinds}) ENGINE = Memory")
    numbered = [("UInt32", list(range(rows))), *block]
    declared = Table(
        table,
        "",
        tuple(SchemaColumn("place" if i == 0 else f"c{i - 1}", k, "") for i, (k, _) in enumerate(numbered)),
        (),
    )
    values = {c.name: column(kind, data) for c, (kind, data) in zip(declared.columns, numbered, strict=True)}
    empty_store.insert_block(table, encode_block(declared, values, rows), list(values), token=table)
    for i, (kind, expected) in enumerate(block):
        assert read_back(empty_store, table, f"c{i}", kind) == expected
    empty_store.command(f"DROP TABLE {table}")


def read_back(store: Store, table: str, name: str, kind: str) -> list[Any]:
    """The column as Python values, through a dump of the engine's own that loses nothing."""
    client = store._own.client
    if kind.startswith("Map("):
        pairs = f"arrayZip(mapKeys({name}), mapValues({name}))"
    elif kind.startswith("Array(Map("):
        pairs = f"arrayMap(m -> arrayZip(mapKeys(m), mapValues(m)), {name})"
    else:
        pairs = name
    sql = f"SELECT {pairs} AS v FROM {table} ORDER BY place"
    formats = {"String": "bytes", "FixedString": "bytes", "DateTime64": "int"}
    return [as_written(value) for value in client.query(sql, query_formats=formats).result_columns[0]]


def as_written(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list):
        return [as_written(item) for item in value]
    if isinstance(value, tuple):
        return tuple(as_written(item) for item in value)
    return value


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_declared_table_takes_a_block_of_constants(store: Store, table: Table) -> None:
    block = {column.name: Constant(b"", 3) for column in table.columns}
    assert store.insert_block(table.name, encode_block(table, block, 3), list(block), token="one") == 3
    merged = table.engine == "AggregatingMergeTree"
    counted = store.rows(f"SELECT count() AS rows FROM {table.name} {'FINAL' if merged else ''}")
    assert counted == [{"rows": 1 if merged else 3}]


def test_a_constant_stands_for_every_row() -> None:
    table = a_table("LowCardinality(String)", "String", "FixedString(2)", "UInt16", "Nullable(Float64)")
    block = {
        "c0": Constant(b"default", 2),
        "c1": Constant(b"x", 2),
        "c2": Constant(b"ab", 2),
        "c3": Constant(b"\x01\x02", 2),
        "c4": Constant(b"", 2),
    }
    slow = [
        ("c0", "LowCardinality(String)", [b"default"] * 2),
        ("c1", "String", [b"x"] * 2),
        ("c2", "FixedString(2)", [b"ab"] * 2),
        ("c3", "UInt16", [0x0201] * 2),
        ("c4", "Nullable(Float64)", [None] * 2),
    ]
    assert bytes(encode_block(table, block, 2)) == encode_slowly(slow, 2)


@pytest.mark.parametrize("distinct", [1, 256, 257, 65_536, 65_537])
def test_indexes_are_as_narrow_as_the_dictionary_allows(distinct: int) -> None:
    values = [b"v%d" % i for i in range(distinct)] * 2
    slow = encode_slowly([("c0", "LowCardinality(String)", values)], len(values))
    assert encode(("LowCardinality(String)", values)) == slow
    places = np.arange(len(values)) % distinct
    assert (
        encode(("LowCardinality(String)", values), text_column=lambda *_: Interned(strings(values[:distinct]), places))
        == slow
    )


def test_keys_that_collide_are_stored_twice_rather_than_searched_for_ever(
    empty_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 2_000
    values = [b"key-%d" % (i % 500) for i in range(rows)]
    columns = strings(values)
    out = np.empty(1 << 20, np.uint8)
    end = one_slot(out, columns)
    keys = int.from_bytes(out[8:16].tobytes(), "little")
    assert 500 <= keys <= rows
    block = b"\x01" + b"\xd0\x0f" + b"\x01a\x16LowCardinality(String)" + number(1) + out[:end].tobytes()
    empty_store.command("CREATE TABLE collided (a LowCardinality(String)) ENGINE = Memory")
    empty_store.insert_block("collided", block, ["a"], token="x")
    assert empty_store.select("SELECT a FROM collided")["a"] == [value.decode() for value in values]


def one_slot(out: Any, columns: Strings) -> int:
    """The kernel with a walk of one step: nearly every key is one that `PROBES` gives up on."""
    source = kernels.put_low_cardinality.py_func
    short = type(source)(source.__code__, {**source.__globals__, "PROBES": 1})
    compiled = numba.njit(short)
    return int(compiled(out, 0, columns.buffer, columns.starts, columns.lengths, np.uint64(7)))


WRONG: dict[str, tuple[str, Column]] = {
    "too few rows": ("UInt8", np.zeros(1, np.uint8)),
    "another width": ("UInt8", np.zeros(2, np.uint16)),
    "another shape": ("FixedString(4)", np.zeros((2, 3), np.uint8)),
    "a slice past its buffer": ("String", Strings(np.zeros(4, np.uint8), np.array([0, 2]), np.array([1, 3]))),
    "a slice before its buffer": (
        "LowCardinality(String)",
        Strings(np.zeros(4, np.uint8), np.array([0, -1]), np.array([1, 1])),
    ),
    "a number of no text": ("LowCardinality(String)", Interned(strings([b"a"]), np.array([0, 1]))),
    "a number below zero": ("LowCardinality(String)", Interned(strings([b"a"]), np.array([0, -1]))),
    "a text past its buffer": (
        "LowCardinality(String)",
        Interned(Strings(np.zeros(4, np.uint8), np.array([2]), np.array([3])), np.array([0, 0])),
    ),
    "packed where there is a dictionary": ("LowCardinality(String)", Packed(np.zeros(2, np.uint8), 2)),
    "numbers where there is no dictionary": ("String", Interned(strings([b"a"]), np.array([0, 0]))),
    "a length below zero": ("String", Strings(np.zeros(4, np.uint8), np.array([0, 2]), np.array([1, -1]))),
    "starts without lengths": ("String", Strings(np.zeros(4, np.uint8), np.array([0, 2]), np.array([1]))),
    "offsets that fall": ("Array(UInt8)", Lists(np.array([2, 1], np.uint64), np.zeros(1, np.uint8))),
    "offsets that end elsewhere": ("Array(UInt8)", Lists(np.array([1, 2], np.uint64), np.zeros(3, np.uint8))),
    "keys without values": (
        "Map(LowCardinality(String), UInt8)",
        Maps(np.array([1, 1], np.uint64), strings([b"k"]), np.zeros(2, np.uint8)),
    ),
    "a column of another kind": ("String", np.zeros(2, np.uint8)),
    "a constant that does not fit": ("UInt32", Constant(b"\0", 2)),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_column_that_does_not_fit_is_named(case: str) -> None:
    kind, values = WRONG[case]
    with pytest.raises(ValueError, match=r"scratch\.c0"):
        encode_block(a_table(kind), {"c0": values}, 2)


def test_a_block_stays_as_it_is_while_it_is_held() -> None:
    table = a_table("UInt64")
    first = encode_block(table, {"c0": np.full(100, 1, np.uint64)}, 100)
    kept = bytes(first)
    second = encode_block(table, {"c0": np.full(100, 2, np.uint64)}, 100)
    assert bytes(first) == kept != bytes(second)


def test_rows_are_told_from_the_head_of_a_block() -> None:
    assert rows_in(encode(("UInt8", [0] * 300))) == 300


def test_a_type_the_encoder_does_not_know_is_named() -> None:
    with pytest.raises(ValueError, match="Decimal"):
        parse_type("Array(Decimal(9, 2))")


def test_not_a_number_keeps_its_bits() -> None:
    strange = np.array([0x7FF8_0000_0000_0001, 0xFFF0_0000_0000_0001], np.uint64).view(np.float64)
    assert all(math.isnan(value) for value in strange)
    block = encode_block(a_table("Float64"), {"c0": strange}, 2)
    assert bytes(block)[-16:] == strange.tobytes()
