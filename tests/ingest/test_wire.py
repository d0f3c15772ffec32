"""The wire primitives against the encoding guide's own examples, the C parser's habits, and Python's UTF-8 codec."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sonde.ingest import wire


def array(data: bytes):
    return np.frombuffer(data, np.uint8)


def varint(value: int, width: int = 0) -> bytes:
    """`value` as a varint of at least `width` bytes."""
    out = bytearray()
    while value >= 0x80 or len(out) + 1 < width:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x00", 0),
        (b"\x7f", 127),
        (b"\x96\x01", 150),
        (varint(1 << 35), 1 << 35),
        (varint((1 << 64) - 1), -1),
        (varint(5, 10), 5),
        (b"\xff" * 9 + b"\x7f", -1),
    ],
)
def test_a_varint_is_its_64_bits(data, value):
    assert wire.read_varint(array(data), 0, len(data)) == (value, len(data))
    assert wire.take_varint(array(data), 0) == (value, len(data))


@pytest.mark.parametrize(
    ("data", "end", "what"),
    [
        (b"", 0, wire.TRUNCATED),
        (b"\x80", 1, wire.TRUNCATED),
        (b"\x96\x01", 1, wire.TRUNCATED),
        (b"\xff" * 10 + b"\x01", 11, wire.OVERLONG_VARINT),
    ],
)
def test_a_varint_ends_within_its_message_and_ten_bytes(data, end, what):
    _, after = wire.read_varint(array(data), 0, end)
    assert after < 0
    assert wire.failure(after) == (wire.FAILURES[what], 0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x0a", wire.tag(1, wire.LEN)),
        (b"\x82\x01", wire.tag(16, wire.LEN)),
        (varint(wire.tag(5, wire.LEN), 5), wire.tag(5, wire.LEN)),
        (varint(0xFFFFFFFF), 0xFFFFFFFF),
        (varint(wire.tag(5, wire.LEN), 6), None),
        (varint(1 << 32), None),
        (b"\x00", None),
        (b"\x07", None),
        (b"\x80\x00", None),
    ],
)
def test_a_tag_has_a_field_number_and_at_most_five_bytes(data, expected):
    got, after = wire.read_tag(array(data), 0, len(data))
    assert (got, after) == (expected, len(data)) if expected else after == wire.fail(wire.BAD_TAG, 0)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x02a", wire.TRUNCATED),
        (varint(1, 6) + b"a", wire.OVERLONG_LENGTH),
        (varint((1 << 64) - 1), wire.OVERLONG_LENGTH),
        (varint(1 << 34) + b"a", wire.TRUNCATED),
    ],
)
def test_a_length_stays_within_its_parent(data, what):
    _, stop = wire.read_len(array(data), 0, len(data))
    assert stop == wire.fail(what, 0)


def test_a_length_delimited_field_is_start_and_stop():
    data = array(b"\xff\x03abc")
    assert wire.read_len(data, 1, 5) == (2, 5)
    assert wire.take_len(data, 1) == (2, 5)


@pytest.mark.parametrize(
    ("wire_type", "data", "after"),
    [
        (wire.VARINT, b"\x96\x01", 2),
        (wire.FIXED64, bytes(8), 8),
        (wire.LEN, b"\x02ab", 3),
        (wire.FIXED32, bytes(4), 4),
        (wire.FIXED64, bytes(7), wire.fail(wire.TRUNCATED, 0)),
        (wire.FIXED32, bytes(3), wire.fail(wire.TRUNCATED, 0)),
        (wire.START_GROUP, b"", wire.fail(wire.GROUP, 0)),
        (wire.END_GROUP, b"", wire.fail(wire.GROUP, 0)),
        (6, b"", wire.fail(wire.BAD_WIRE_TYPE, 0)),
        (7, b"", wire.fail(wire.BAD_WIRE_TYPE, 0)),
    ],
)
def test_a_field_nobody_knows_is_skipped_by_its_wire_type(wire_type, data, after):
    assert wire.skip_field(array(data), 0, len(data), wire.tag(99, wire_type)) == after
    if after >= 0:
        assert wire.pass_field(array(data), 0, wire.tag(99, wire_type)) == after


@given(st.integers(0, 2**64 - 1))
def test_fixed_fields_are_little_endian(value):
    data = array(b"\x00" + value.to_bytes(8, "little"))
    assert int(wire.fixed64_at(data, 1)) == value
    assert wire.fixed32_at(data, 1) == value & 0xFFFFFFFF


@pytest.mark.parametrize(("value", "signed"), [(1, 1), (-1, -1), (0x80000000, -(1 << 31)), (1 << 32 | 7, 7)])
def test_an_enum_is_the_low_32_bits_with_their_sign(value, signed):
    assert wire.low32_signed(value) == signed
    assert wire.low32(value) == value & 0xFFFFFFFF


UTF8_EDGES = [
    "",
    "plain ascii of more than eight bytes",
    "naïve — 漢字 𝄞 and more ascii",
    "\x00\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff",
]
NOT_UTF8 = [
    b"\x80",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xc3",
    b"\xe0\x9f\xbf",
    b"\xed\xa0\x80",
    b"\xe2\x82",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xe2\x28\xa1",
    b"12345678\xff",
]


@pytest.mark.parametrize("data", [*(text.encode() for text in UTF8_EDGES), *NOT_UTF8])
def test_utf8_is_judged_as_python_does(data):
    check_against_python(data)


@given(
    st.one_of(
        st.binary(max_size=24), st.text(max_size=12).map(str.encode), st.lists(st.integers(0x70, 0xFF)).map(bytes)
    )
)
def test_any_bytes_are_judged_as_python_does(data):
    check_against_python(data)


def check_against_python(data: bytes) -> None:
    try:
        data.decode()
        expected = len(data)
    except UnicodeDecodeError as error:
        expected = wire.fail(wire.BAD_UTF8, error.start)
    assert wire.check_utf8(array(data), 0, len(data)) == expected
