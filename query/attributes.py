"""Attribute sets as plain JSON, for answers that are read rather than imported again.

A key gives its value as JSON has it: text, number (an int without a point, a double with one), true or false, list, object.
What JSON has no spelling for is an object with one `$` key, as in the store: bytes `{"$bytes": "<base64>"}`, and
`{"$double": "NaN"}`, "Infinity" or "-Infinity". Of a key that was sent twice in one set, the last is shown; the OTLP answers
(`/api/traces/{trace_id}`, `/api/export`) hold every one.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any

from pydantic import BaseModel, Field
from sonde.query.identities import Identities, resources, scopes
from sonde.query.reader import Reader, Row

Attributes = Annotated[
    dict[str, Any], Field(examples=[{"http.request.method": "GET", "http.response.status_code": 200, "ratio": 0.5}])
]


class Resource(BaseModel):
    """What sent the telemetry."""

    attributes: Attributes
    schema_url: str = ""
    dropped_attributes_count: int = 0


class Scope(BaseModel):
    """The instrumentation scope (library) that recorded it."""

    name: str
    version: str = ""
    attributes: Attributes
    schema_url: str = ""
    dropped_attributes_count: int = 0


class Origins(BaseModel):
    """What the rows of an answer refer to by `resource_id` and `scope_id`."""

    resources: dict[str, Resource]
    scopes: dict[str, Scope]


def attributes_of(row: Row, prefix: str = "attributes") -> dict[str, Any]:
    """The five typed maps of one set, read by `select_list`, as one object."""
    found: dict[str, Any] = {}
    for kind in ("string", "int", "bool"):
        found.update(row[f"{prefix}_{kind}_pairs"])
    found.update((key, double_of(value)) for key, value in row[f"{prefix}_double_pairs"])
    found.update((key, json.loads(text)) for key, text in row[f"{prefix}_json_pairs"])
    return found


def small_attributes_of(strings: Any, texts: Any) -> dict[str, Any]:
    """The two maps of a small set, as one object."""
    return {**dict(strings), **{key: json.loads(text) for key, text in texts}}


def double_of(value: float) -> Any:
    if math.isfinite(value):
        return value
    return {"$double": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}


def id_text(id: int) -> str:
    """A fingerprint as every answer spells it: 16 hex digits, since JSON numbers are not exact beyond 2^53."""
    return f"{id:016x}"


def resource_of(row: Row) -> Resource:
    return Resource(
        attributes=attributes_of(row),
        schema_url=row["schema_url"],
        dropped_attributes_count=row["dropped_attributes_count"],
    )


def scope_of(row: Row) -> Scope:
    return Scope(
        name=row["name"],
        version=row["version"],
        attributes=attributes_of(row),
        schema_url=row["schema_url"],
        dropped_attributes_count=row["dropped_attributes_count"],
    )


def origins_of(reader: Reader, rows: list[Row]) -> Origins:
    """The resources and scopes that `rows` name."""
    found_resources: Identities[Resource] = resources(reader, resource_of)
    found_scopes: Identities[Scope] = scopes(reader, scope_of)
    return Origins(
        resources={id_text(id): it for id, it in found_resources.load(row["resource_id"] for row in rows).items()},
        scopes={id_text(id): it for id, it in found_scopes.load(row["scope_id"] for row in rows).items()},
    )
