"""Attribute values of any type as label values, in the spelling of Prometheus and the Collector.

Source: `pcommon.Value.AsString` of the OpenTelemetry Collector: booleans and integers as they are read aloud, doubles as
JSON has them, bytes in base64, arrays and maps as JSON with sorted keys.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from sonde.query.promql.float_text import plain as plain_float
from sonde.storage.json_text import Fields, parse_key_value


def double_text(value: float) -> str:
    """As JavaScript prints numbers: digits from 1e-6 to 1e21, beyond that an exponent without leading zeros."""
    if not math.isfinite(value) or value == 0 or 1e-6 <= abs(value) < 1e21:
        return plain_float(value)
    digits, _, exponent = repr(value).partition("e")
    return f"{digits}e{int(exponent):+}"


def json_attribute_text(text: str) -> str:
    """The label value of an attribute that the store has as JSON text (`storage/json_text.py`)."""
    return value_text(parse_key_value(text).get("value", {}))


def value_text(value: Fields) -> str:
    """The label value of an AnyValue, given as its fields."""
    if not value:
        return ""
    ((kind, content),) = value.items()
    match kind:
        case "string_value":
            return str(content)
        case "bool_value":
            return "true" if content else "false"
        case "double_value":
            return double_text(content)
        case "bytes_value":
            return base64.b64encode(content).decode()
        case "array_value" | "kvlist_value":
            return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        case _:
            return str(content)


def plain(value: Fields) -> Any:
    """What JSON makes of an AnyValue."""
    if not value:
        return None
    ((kind, content),) = value.items()
    match kind:
        case "array_value":
            return [plain(item) for item in content["values"]]
        case "kvlist_value":
            return {item["key"]: plain(item.get("value", {})) for item in content["values"]}
        case "bytes_value":
            return base64.b64encode(content).decode()
        case "double_value" if not math.isfinite(content):
            return double_text(content)
        case _:
            return content
