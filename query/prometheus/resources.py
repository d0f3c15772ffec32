"""Resources and scopes as labels: `job`, `instance`, `otel_scope_*`, and the attributes that `target_info` shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sonde.query.prometheus.attribute_text import double_text, json_attribute_text
from sonde.query.reader import Reader
from sonde.storage.schema import RESOURCES

Ids = NDArray[np.uint64]

SERVICE_NAME, SERVICE_NAMESPACE, SERVICE_INSTANCE_ID = "service.name", "service.namespace", "service.instance.id"
IDENTIFYING = (SERVICE_NAME, SERVICE_NAMESPACE, SERVICE_INSTANCE_ID)
KINDS = ("string", "int", "double", "bool", "json")
MOST_IN_TEXT = 4_000
"""Ids that one statement is given."""


@dataclass(frozen=True, slots=True)
class Resource:
    job: str
    instance: str
    attributes: dict[str, str]
    """Those that do not identify it, under their own keys."""


def read_resources(reader: Reader, ids: Iterable[int]) -> dict[int, Resource]:
    """By id; one that the store does not have is left out."""
    pairs = ", ".join(
        f"mapKeys(attributes_{kind}) AS {kind}_keys, mapValues(attributes_{kind}) AS {kind}_values" for kind in KINDS
    )
    sql = f"""
        SELECT resource_id, {pairs}
        FROM {RESOURCES.name}
        WHERE tenant = {{tenant:String}}
          AND resource_id IN {{ids:Array(UInt64)}}
        LIMIT 1 BY resource_id
    """
    rows = (row for part in parts_of(ids) for row in reader.rows(sql, {"ids": part}))
    return {row["resource_id"]: resource_of(row) for row in rows}


def parts_of(ids: Iterable[int]) -> list[list[int]]:
    listed = sorted(ids)
    return [listed[begin : begin + MOST_IN_TEXT] for begin in range(0, len(listed), MOST_IN_TEXT)]


def resource_of(row: dict[str, Any]) -> Resource:
    found = texts_of(row)
    namespace, name = found.get(SERVICE_NAMESPACE, ""), found.get(SERVICE_NAME, "")
    rest = {key: text for key, text in found.items() if key not in IDENTIFYING}
    return Resource(f"{namespace}/{name}" if namespace and name else name, found.get(SERVICE_INSTANCE_ID, ""), rest)


def texts_of(row: dict[str, Any]) -> dict[str, str]:
    """The attributes of a row read as `<kind>_keys` and `<kind>_values`, as texts; of a key that repeats the first."""
    found: dict[str, str] = {}
    for kind in KINDS:
        for key, value in zip(row[f"{kind}_keys"], row[f"{kind}_values"], strict=True):
            found.setdefault(key, text_of(kind, value))
    return found


def text_of(kind: str, value: Any) -> str:
    match kind:
        case "double":
            return double_text(value)
        case "bool":
            return "true" if value else "false"
        case "json":
            return json_attribute_text(value)
        case _:
            return str(value)


def read_scopes(reader: Reader, ids: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Name and version by id."""
    sql = """
        SELECT scope_id, name, version
        FROM scopes
        WHERE tenant = {tenant:String}
          AND scope_id IN {ids:Array(UInt64)}
        LIMIT 1 BY scope_id
    """
    rows = (row for part in parts_of(ids) for row in reader.rows(sql, {"ids": part}))
    return {row["scope_id"]: (row["name"], row["version"]) for row in rows}
