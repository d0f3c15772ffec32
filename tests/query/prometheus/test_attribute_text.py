"""Attribute values as label values."""

from __future__ import annotations

import pytest
from sonde.query.prometheus.attribute_text import double_text, json_attribute_text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-0.5, "-0.5"),
        (123456.789, "123456.789"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (1e-6, "0.000001"),
        (1.5e-7, "1.5e-7"),
        (5e-324, "5e-324"),
        (float("nan"), "NaN"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
    ],
)
def test_doubles_are_spelled_as_json_has_them(value: float, expected: str) -> None:
    assert double_text(value) == expected


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ('["a",1,2.5,true,null]', '["a",1,2.5,true,null]'),
        ('{"b":1,"a":{"$bytes":"AQI="}}', '{"a":"AQI=","b":1}'),
        ('{"$bytes":"AQI="}', "AQI="),
        ('{"$double":"NaN"}', "NaN"),
        ('{"$key_strindex":3,"$value":"x"}', "x"),
        ('[{"$double":"Infinity"}]', '["+Inf"]'),
        ('["ü"]', '["ü"]'),
        ("null", ""),
        ("7", "7"),
    ],
)
def test_other_values_are_spelled_as_the_collector_does(stored: str, expected: str) -> None:
    assert json_attribute_text(stored) == expected
