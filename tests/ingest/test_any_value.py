"""The kernels write the JSON text of storage/json_text.py, byte for byte."""

import math
import random
import struct

import numpy as np
import pytest
from corpus import key_values
from hypothesis import given
from hypothesis import strategies as st
from sonde.ingest import any_value, double_text
from sonde.ingest import tally as t
from sonde.ingest.limits import Limits
from sonde.ingest.scan_any_value import scan_attribute
from sonde.storage import json_text


@given(key_values)
def test_the_text_of_an_attribute_agrees_and_fits_where_scan_makes_room(attribute):
    data = attribute.SerializeToString()
    buffer = np.zeros(len(data) + 4096, np.uint8)
    buffer[: len(data)] = np.frombuffer(data, np.uint8)
    _key, _key_stop, value, value_stop, strindex = any_value.locate_key_value(buffer, 0, len(data))
    stop = any_value.put_attribute_text(buffer, strindex, value, value_stop, len(data))
    assert buffer[len(data) : stop].tobytes().decode() == json_text.render_key_value(attribute)
    tally = t.new_tally()
    scan_attribute(buffer, 0, len(data), 1, t.OWN, t.limits_array(Limits()), tally, t.new_frames())
    if attribute.value.WhichOneof("value") != "string_value" or attribute.key_strindex:
        assert stop - len(data) <= tally[t.ARENA]


def double_as_text(value: float) -> str:
    buffer = np.zeros(32, np.uint8)
    bits = struct.unpack("<q", struct.pack("<d", value))[0]
    return buffer[: double_text.put_double(buffer, bits, 0)].tobytes().decode()


EDGES = [
    *(
        0.0,
        1.0,
        0.1,
        1e15,
        1e16,
        9999999999999998.0,
        1e17,
        1e22,
        1e23,
        0.0001,
        0.00001,
        1.5e-5,
        123456.789,
        2.0**53,
        2.0**63,
    ),
    *(5e-324, 2.2250738585072014e-308, 2.225073858507201e-308, 1.7976931348623157e308, 9007199254740993.0, 3e-323),
    *(math.nan, math.inf, -math.inf),
]


@pytest.mark.parametrize("value", [*EDGES, *(-value for value in EDGES)])
def test_doubles_at_the_edges_are_spelled_as_repr_does(value):
    assert double_as_text(value) == json_text.render_double(value)


def test_powers_of_two_and_ten_are_spelled_as_repr_does():
    for value in (*(2.0**e for e in range(-1074, 1024)), *(float(f"1e{e}") for e in range(-323, 309))):
        assert double_as_text(value) == repr(value)


@given(st.floats(width=64))
def test_any_double_is_spelled_as_repr_does(value):
    assert double_as_text(value) == json_text.render_double(value)


def test_random_bits_are_spelled_as_repr_does():
    rng = random.Random(7)
    for _ in range(50_000):
        value = struct.unpack("<d", rng.randbytes(8))[0]
        assert double_as_text(value) == json_text.render_double(value)


@given(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 63).map(lambda shift: (1 << shift) - 1))
def test_integers_are_decimal(value):
    buffer = np.zeros(32, np.uint8)
    assert buffer[: any_value.put_integer(buffer, value, 0)].tobytes().decode() == str(value)
