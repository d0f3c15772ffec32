"""The small grammar of attribute predicates: `attr=http.status_code>=500`.

    predicate  = ["!"] key                  the key is there (or is not), whatever its value's type
               | key operator value
    key        = [place "."] name           no place: the record's own attributes (of the span, log record or point)
    place      = "resource" | "scope" | "span" | "log" | "point" | "event" (of spans only)
    name       = characters other than = ! < > ~ "  |  a JSON string: "odd=key"
    operator   = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~"
    value      = integer | float | "true" | "false" | JSON string | any other text, which is a string

The value's spelling gives its type, and the type says which attributes can match:

* a number (500, -1, 0.5, 1e3) matches int and double attributes, compared exactly by value, never strings;
* true and false match bool attributes;
* a JSON string ("500") or other text (/cart) matches string attributes; quote what looks like a number or a bool;
* `~` and `!~` take an RE2 pattern, found anywhere in a string attribute (anchor with ^ and $);
* `!=` and `!~` match records that have the key with another value or of another type; a record without the key matches
  only `!key`;
* attributes that are arrays, kvlists, bytes or empty can be asked for presence only.

Of a key that occurs twice in one attribute set and type, the first is looked at.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sonde.query.errors import InvalidParameter
from sonde.query.filters import Filter

Value: TypeAlias = str | int | float | bool
Place: TypeAlias = Literal["record", "resource", "scope", "event"]

PLACES: dict[str, Place] = {
    "resource.": "resource",
    "scope.": "scope",
    "event.": "event",
    "span.": "record",
    "log.": "record",
    "point.": "record",
}
HINT = "Write key, !key, or key OP value with OP one of = != < <= > >= ~ !~: http.route=/cart, http.status_code>=500."
_OPERATOR = re.compile(r"\s*(!=|!~|<=|>=|=|<|>|~)")
_BARE_NAME = re.compile(r"[^=!<>~\"\x00-\x1f]+")
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d+)?", re.ASCII)
TYPED_MAPS = ("string", "int", "double", "bool", "json")


@dataclass(frozen=True, slots=True)
class Predicate:
    """`operator` is one of the grammar's, or "exists" or "absent" (then `value` is empty text)."""

    place: Place
    key: str
    operator: str
    value: Value = ""


def parse(text: str, *, max_text: int = 1_000, parameter: str = "attr") -> Predicate:
    """The predicate in `text`; InvalidParameter says where it can't be read."""
    if len(text) > 3 * max_text:
        raise InvalidParameter(parameter, f"{parameter} is longer than {3 * max_text} characters")
    rest = text.strip()
    absent = rest.startswith("!")
    rest = rest[1:].lstrip() if absent else rest
    place, key, rest = _key(rest, text, parameter)
    if not rest.strip():
        found = Predicate(place, key, "absent" if absent else "exists")
    elif absent:
        raise InvalidParameter(
            parameter, f"`!` asks for a key that is absent and takes no value: {text[:64]!r}", hint=HINT
        )
    else:
        found = _comparison(place, key, rest, text, parameter)
    for part in (found.key, found.value):
        if isinstance(part, str) and len(part) > max_text:
            raise InvalidParameter(
                parameter, f"{parameter}: a key or value is longer than {max_text} characters (query_max_text)"
            )
    return found


def _key(rest: str, text: str, parameter: str) -> tuple[Place, str, str]:
    place: Place = "record"
    for prefix, named in PLACES.items():
        if rest.startswith(prefix):
            place, rest = named, rest[len(prefix) :]
            break
    if rest.startswith('"'):
        found = _JSON_STRING.match(rest)
        key = _json_string(found.group(), parameter) if found else ""
    else:
        found = _BARE_NAME.match(rest)
        key = found.group().strip() if found else ""
    if found is None or not key:
        raise InvalidParameter(parameter, f"{parameter} has no attribute key: {text[:64]!r}", hint=HINT)
    return place, key, rest[found.end() :]


def _comparison(place: Place, key: str, rest: str, text: str, parameter: str) -> Predicate:
    found = _OPERATOR.match(rest)
    if not found:
        raise InvalidParameter(parameter, f"{parameter} has no operator after its key: {text[:64]!r}", hint=HINT)
    operator, written = found.group(1), rest[found.end() :].strip()
    if operator in ("~", "!~"):
        pattern = _json_string(written, parameter) if _JSON_STRING.fullmatch(written) else written
        if not pattern:
            raise InvalidParameter(parameter, f"{parameter}: the pattern is empty: {text[:64]!r}", hint=HINT)
        return Predicate(place, key, operator, pattern)
    value = parse_value(written, parameter)
    if operator not in ("=", "!=") and (isinstance(value, str | bool)):
        raise InvalidParameter(
            parameter, f"{operator} compares numbers, and {written[:64]!r} is none", hint="Only = != ~ !~ take text."
        )
    return Predicate(place, key, operator, value)


def parse_value(written: str, parameter: str = "attr") -> Value:
    """The typed value of its spelling, by the module's rules."""
    if written in ("true", "false"):
        return written == "true"
    if _INTEGER.fullmatch(written) and len(written) <= 20:
        number = int(written)
        return number if -(2**63) <= number < 2**63 else float(number)
    if _FLOAT.fullmatch(written) and len(written) <= 400:
        return float(written)
    if _JSON_STRING.fullmatch(written):
        return _json_string(written, parameter)
    return written


def _json_string(text: str, parameter: str) -> str:
    try:
        value = json.loads(text)
        value.encode()
    except (ValueError, UnicodeEncodeError):
        raise InvalidParameter(parameter, f"{parameter}: not a JSON string: {text[:64]!r}", hint=HINT) from None
    return str(value)


def condition(predicate: Predicate, number: int) -> Filter:
    """The clause over a row of `spans`, `logs` or `series`; `number` keeps its parameter names apart from its siblings'.

    Resources and scopes are small tables: their rows are searched first, and the big one by id.
    """
    key, value = f"attr{number}_key", f"attr{number}_value"
    params: dict[str, Value] = {key: predicate.key}
    if predicate.operator not in ("exists", "absent"):
        params[value] = predicate.value
    if predicate.place == "event":
        return Filter(_in_events(predicate, key, value), params)
    clause = _in_maps("attributes", predicate, key, value)
    if predicate.place in ("resource", "scope"):
        table = f"{predicate.place}s"
        column = f"{predicate.place}_id"
        clause = f"{column} IN (SELECT {column} FROM {table} WHERE tenant = {{tenant:String}} AND ({clause}))"
    return Filter(clause, params)


def _in_maps(prefix: str, predicate: Predicate, key: str, value: str) -> str:
    """Over the five typed maps `<prefix>_string`, `_int`, ... of one attribute set."""
    has = {kind: f"mapContains({prefix}_{kind}, {{{key}:String}})" for kind in TYPED_MAPS}
    present = " OR ".join(has.values())
    if predicate.operator == "exists":
        return present
    if predicate.operator == "absent":
        return f"NOT ({present})"
    if predicate.operator in ("!=", "!~"):
        positive = Predicate(predicate.place, predicate.key, predicate.operator[1:], predicate.value)
        return f"({present}) AND NOT ({_in_maps(prefix, positive, key, value)})"
    wanted = predicate.value
    if predicate.operator == "~":
        return f"{has['string']} AND match({prefix}_string[{{{key}:String}}], {{{value}:String}})"
    kinds, type = _kinds(wanted)
    parts = []
    for kind in kinds:
        compared = f"{prefix}_{kind}[{{{key}:String}}] {predicate.operator} {{{value}:{type}}}"
        # A key that is absent reads as 0, false or '': only a value other than that proves it present.
        proven = predicate.operator == "=" and bool(wanted)
        parts.append(compared if proven else f"{has[kind]} AND {compared}")
    return " OR ".join(parts)


def _kinds(value: Value) -> tuple[tuple[str, ...], str]:
    """Which typed maps a value can be in, and as what type it is bound. ClickHouse compares Int64 with Float64 exactly."""
    if isinstance(value, bool):
        return ("bool",), "Bool"
    if isinstance(value, int):
        return ("int", "double"), "Int64"
    if isinstance(value, float):
        return ("int", "double"), "Float64"
    return ("string",), "String"


def _in_events(predicate: Predicate, key: str, value: str) -> str:
    """Any event of the span. Events keep strings apart and all else as JSON text."""
    strings, texts = "events.attributes_string", "events.attributes_json"
    has = f"mapContains(m, {{{key}:String}})"
    got = f"m[{{{key}:String}}]"
    if predicate.operator == "exists":
        return f"arrayExists(m -> {has}, {strings}) OR arrayExists(m -> {has}, {texts})"
    if predicate.operator == "absent":
        return f"NOT (arrayExists(m -> {has}, {strings}) OR arrayExists(m -> {has}, {texts}))"
    operator, wanted = predicate.operator, predicate.value
    negated = operator in ("!=", "!~")
    if operator in ("~", "!~"):
        test = f"match({got}, {{{value}:String}})"
    elif isinstance(wanted, str):
        test = f"{got} = {{{value}:String}}"
    elif isinstance(wanted, bool):
        strings, texts = texts, strings
        test = f"{got} = if({{{value}:Bool}}, 'true', 'false')"
    else:
        strings, texts = texts, strings
        test = f"ifNull(toFloat64OrNull({got}) {operator.lstrip('!')} {{{value}:{_kinds(wanted)[1]}}}, 0)"
    if negated:
        return f"arrayExists(m -> {has} AND NOT {test}, {strings}) OR arrayExists(m -> {has}, {texts})"
    return f"arrayExists(m -> {has} AND {test}, {strings})"
