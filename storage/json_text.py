"""AnyValue as JSON text and back, by the rules at the top of `schema.py`.

The plain implementation, over anything with the fields of the official protobuf classes; the ingest kernels write the same
bytes. What comes back is a mapping of field names that the official classes take as keyword arguments:
`AnyValue(**parse(text))`, `KeyValue(key=key, **parse_key_value(text))`, `EntityRef(**found)`.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from typing import Any, TypeAlias

Fields: TypeAlias = dict[str, Any]

NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def render(value: Any) -> str:
    """The JSON text of an AnyValue."""
    match value.WhichOneof("value"):
        case None:
            return "null"
        case "string_value":
            return quoted(value.string_value)
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "int_value":
            return str(value.int_value)
        case "double_value":
            return render_double(value.double_value)
        case "array_value":
            return f"[{','.join(render(item) for item in value.array_value.values)}]"
        case "kvlist_value":
            return f"{{{','.join(render_member(item) for item in value.kvlist_value.values)}}}"
        case "bytes_value":
            return f'{{"$bytes":"{base64.b64encode(value.bytes_value).decode()}"}}'
        case "string_value_strindex":
            return f'{{"$strindex":{value.string_value_strindex}}}'
        case unknown:
            raise ValueError(f"AnyValue has a field {unknown} that the JSON text of attributes does not know yet")


def render_key_value(attribute: Any) -> str:
    """The JSON text of a KeyValue's value, with its key_strindex where it has one."""
    text = render(attribute.value)
    return f'{{"$key_strindex":{attribute.key_strindex},"$value":{text}}}' if attribute.key_strindex else text


def render_member(member: Any) -> str:
    """`"key":value`, as it stands in a kvlist's object."""
    escape = "$" if member.key.startswith("$") else ""
    return f"{quoted(escape + member.key)}:{render_key_value(member)}"


def render_double(value: float) -> str:
    """Shortest text that reads back the same, with `.` or an exponent: Python's repr. NaN and infinities as an object."""
    if math.isfinite(value):
        return repr(value)
    return f'{{"$double":"{"NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}"}}'


def render_entity_refs(references: Iterable[Any]) -> str:
    """The EntityRefs of a resource as a JSON array of objects, empty text where there are none."""
    found = [
        {
            "schema_url": reference.schema_url,
            "type": reference.type,
            "id_keys": list(reference.id_keys),
            "description_keys": list(reference.description_keys),
        }
        for reference in references
    ]
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")) if found else ""


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def parse(text: str | bytes) -> Fields:
    """The fields of the AnyValue whose JSON text this is: one of its oneof, or none for `null`. ValueError if it is not one."""
    return any_value(json.loads(text, object_pairs_hook=object_fields))


def parse_key_value(text: str | bytes) -> Fields:
    """The fields of a KeyValue, but for its key: `value`, and `key_strindex` where the text has one."""
    return key_value(json.loads(text, object_pairs_hook=object_fields))


def parse_entity_refs(text: str | bytes) -> list[Fields]:
    """The fields of each EntityRef in what `render_entity_refs` wrote."""
    return list(json.loads(text)) if text else []


class Keyed(dict[str, Any]):
    """The fields of a KeyValue that names its key by index, in the place of its value."""


def any_value(found: Any) -> Fields:
    """AnyValue fields of what the JSON parser found; objects are already fields (`object_fields`)."""
    match found:
        case None:
            return {}
        case str():
            return {"string_value": found}
        case bool():
            return {"bool_value": found}
        case int():
            return {"int_value": found}
        case float():
            return {"double_value": found}
        case list():
            return {"array_value": {"values": [any_value(item) for item in found]}}
        case dict() if not isinstance(found, Keyed):
            return found
    raise ValueError("$key_strindex stands where a value without a key is expected")


def key_value(found: Any) -> Fields:
    return dict(found) if isinstance(found, Keyed) else {"value": any_value(found)}


def object_fields(pairs: list[tuple[str, Any]]) -> Fields:
    """AnyValue fields of a JSON object: a kvlist, or one of the `$` objects."""
    match pairs:
        case [("$bytes", str() as text)]:
            return {"bytes_value": base64.b64decode(text, validate=True)}
        case [("$double", str() as text)] if text in NOT_FINITE:
            return {"double_value": NOT_FINITE[text]}
        case [("$strindex", int() as index)]:
            return {"string_value_strindex": index}
        case [("$key_strindex", int() as index), ("$value", value)]:
            return Keyed(key_strindex=index, value=any_value(value))
    return {"kvlist_value": {"values": [{"key": unescaped(key), **key_value(value)} for key, value in pairs]}}


def unescaped(key: str) -> str:
    if key.startswith("$") and not key.startswith("$$"):
        raise ValueError(f"{key!r} is not a key of a kvlist: one that begins with $ is written with one more")
    return key[1:] if key.startswith("$$") else key
