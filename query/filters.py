"""Optional conditions of a question as small (clause, parameters) values, joined once.

A clause is fixed text; what the caller wrote is in `params` only, bound by the server as `{name:Type}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from sonde.query.errors import InvalidParameter
from sonde.query.times import TimeRange, parse_duration


class Filter(NamedTuple):
    clause: str
    params: dict[str, Any]


KINDS = {"unspecified": 0, "internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
STATUSES = {"unset": 0, "ok": 1, "error": 2}
SEVERITIES = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17, "fatal": 21}
SEVERITY_ALIASES = {"warning": "warn", "err": "error", "critical": "fatal", "information": "info"}
NO_TRACE = bytes(16)
NO_SPAN = bytes(8)


def join(filters: Iterable[Filter | None]) -> tuple[str, dict[str, Any]]:
    """One WHERE text and its parameters. ValueError where two filters claim the same parameter name."""
    clauses: list[str] = []
    params: dict[str, Any] = {}
    for found in filters:
        if found is None:
            continue
        if clash := params.keys() & found.params.keys():
            raise ValueError(f"two filters use the parameter {sorted(clash)[0]}")
        clauses.append(found.clause if " OR " not in found.clause else f"({found.clause})")
        params.update(found.params)
    return "\n  AND ".join(clauses) or "1", params


def between(range: TimeRange, column: str = "time") -> Filter:
    """Rows of the half-open range; the conversion is of the constant, so that the column's order is used."""
    return Filter(
        f"{column} >= fromUnixTimestamp64Nano({{start:Int64}}, 'UTC') AND {column} < fromUnixTimestamp64Nano({{end:Int64}}, 'UTC')",
        range.parameters,
    )


def equals(column: str, value: str | int | None, type: str = "String") -> Filter | None:
    """Nothing where `value` is None."""
    return None if value is None else Filter(f"{column} = {{{column}:{type}}}", {column: value})


def kind(text: str | None) -> Filter | None:
    return None if text is None else equals("kind", _enum("kind", text, KINDS), "Int32")


def status(text: str | None) -> Filter | None:
    return None if text is None else equals("status_code", _enum("status", text, STATUSES), "Int32")


def _enum(parameter: str, text: str, names: dict[str, int]) -> int:
    """A name in any case, or the number itself: an enum is open, so numbers without a name are fine."""
    if re.fullmatch(r"-?\d{1,9}", text, re.ASCII):
        return int(text)
    try:
        return names[text.lower()]
    except KeyError:
        raise InvalidParameter(
            parameter,
            f"{parameter} is not known: {text[:64]!r}",
            hint=f"Write one of {', '.join(names)}, or its number.",
        ) from None


def duration(least: str | None, most: str | None) -> Filter | None:
    """Spans that took at least `least` and at most `most`."""
    clauses, params = [], {}
    if least is not None:
        clauses.append("duration_nano >= {min_duration:Int64}")
        params["min_duration"] = parse_duration(least, "min_duration")
    if most is not None:
        clauses.append("duration_nano <= {max_duration:Int64}")
        params["max_duration"] = parse_duration(most, "max_duration")
    return Filter(" AND ".join(clauses), params) if clauses else None


def severity_number(text: str) -> int:
    """The least number of a severity: `warn` is 13, `warn2` 14; a number is itself."""
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return int(text)
    found = re.fullmatch(r"([a-z]+)([1-4]?)", text.lower(), re.ASCII)
    name = SEVERITY_ALIASES.get(found.group(1), found.group(1)) if found else ""
    if found is None or name not in SEVERITIES:
        raise InvalidParameter(
            "severity",
            f"severity is not known: {text[:64]!r}",
            hint=f"Write one of {', '.join(SEVERITIES)}, or a number from 1 to 24.",
        )
    return SEVERITIES[name] + int(found.group(2) or 1) - 1


def severity(text: str | None) -> Filter | None:
    """Records at least that severe."""
    return None if text is None else Filter("severity_number >= {severity:Int32}", {"severity": severity_number(text)})


def identifier(text: str, size: int, parameter: str) -> bytes:
    """The `size` bytes of a trace or span id in hex; InvalidParameter says what is wrong with it."""
    if not re.fullmatch(r"[0-9a-fA-F]+", text) or len(text) != 2 * size:
        raise InvalidParameter(
            parameter,
            f"{parameter} is not an id: {text[:64]!r}",
            hint=f"Write {2 * size} hex digits, for example {'4bf92f3577b34da6a3ce929d0e0e4736'[: 2 * size]}.",
        )
    return bytes.fromhex(text)


def identified(column: str, text: str | None, size: int) -> Filter | None:
    """Rows with that trace_id (16 bytes) or span_id (8 bytes). Hex goes to the server, which has it as bytes."""
    if text is None:
        return None
    value = identifier(text, size, column).hex()
    return Filter(f"{column} = toFixedString(unhex({{{column}:String}}), {size})", {column: value})


def fingerprint(text: str, parameter: str) -> int:
    """A series, resource or scope id: 16 hex digits, as every answer spells it."""
    return int.from_bytes(identifier(text, 8, parameter), "big")


_WORD = re.compile(r"[0-9A-Za-z\u0080-\U0010ffff]+")
"""A token of the text index (splitByNonAlpha): it divides at ASCII signs and spaces only."""


def whole_words(text: str) -> list[str]:
    """The words of `text` that stand between two other characters in it: wherever `text` occurs they are whole tokens
    of the body, while its first and last word may be parts of longer ones."""
    return [found.group() for found in _WORD.finditer(text) if found.start() > 0 and found.end() < len(text)]


def body_contains(texts: list[str]) -> list[Filter]:
    """Log bodies with each of the texts, letter for letter. The words surely whole let the text index skip granules."""
    found = []
    for number, text in enumerate(texts):
        name = f"body{number}"
        clause, params = f"position(body, {{{name}:String}}) > 0", {name: text}
        if words := whole_words(text):
            clause = f"hasAllTokens(body, {{{name}_words:String}}) AND {clause}"
            params[f"{name}_words"] = " ".join(words)
        found.append(Filter(clause, params))
    return found


def body_words(texts: list[str]) -> list[Filter]:
    """Log bodies with every word of each of the texts, in any order: answered from the text index."""
    found = []
    for number, text in enumerate(texts):
        if not _WORD.search(text):
            raise InvalidParameter(
                "words", f"words has no word in it: {text[:64]!r}", hint="Use `body` to look for signs."
            )
        found.append(Filter(f"hasAllTokens(body, {{words{number}:String}})", {f"words{number}": text}))
    return found
