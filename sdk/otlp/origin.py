"""Where telemetry comes from, said once for all records of a request that share it: resource and scope.

    message Resource { repeated KeyValue attributes = 1; uint32 dropped_attributes_count = 2; }
    message InstrumentationScope { string name = 1; string version = 2; repeated KeyValue attributes = 3; ... }

The requests of the three signals are alike in their outer messages, down to the field numbers:

    message Export*ServiceRequest { repeated Resource* = 1; }
    message Resource* { Resource resource = 1; repeated Scope* = 2; string schema_url = 3; }
    message Scope* { InstrumentationScope scope = 1; repeated * records = 2; string schema_url = 3; }
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from sonde.sdk.otlp.attributes import encoder, items
from sonde.sdk.otlp.wire import delimited, text

FIRST, SECOND, THIRD = b"\x0a", b"\x12", b"\x1a"
"""Tags of fields 1, 2 and 3, all length-delimited."""

of_resource = encoder(1)
of_scope = encoder(3)

MOST_KEPT = 256
"""Origins whose bytes are kept; a process has one resource and a scope for each library."""

Thing = TypeVar("Thing")


class Kept(Generic[Thing]):
    """Bytes of objects that never change, by identity: to hash a Resource is to write it as JSON, each time."""

    def __init__(self) -> None:
        self._bytes_of: dict[int, tuple[Thing, tuple[bytes, bytes]]] = {}

    def get(self, thing: Thing) -> tuple[bytes, bytes] | None:
        found = self._bytes_of.get(id(thing))
        # The object is kept beside its bytes, so that no other one gets its id meanwhile.
        return None if found is None else found[1]

    def keep(self, thing: Thing, head: bytes, tail: bytes) -> tuple[bytes, bytes]:
        if len(self._bytes_of) >= MOST_KEPT:
            self._bytes_of.clear()
        self._bytes_of[id(thing)] = thing, (head, tail)
        return head, tail


RESOURCES: Kept[Resource] = Kept()
SCOPES: Kept[InstrumentationScope | None] = Kept()


def resource_fields(resource: Resource) -> tuple[bytes, bytes]:
    """What stands before and after the scopes of a resource: fields 1 and 3."""
    found = RESOURCES.get(resource)
    if found is not None:
        return found
    head = delimited(FIRST, of_resource(items(resource.attributes)))
    return RESOURCES.keep(resource, head, text(THIRD, resource.schema_url))


def scope_fields(scope: InstrumentationScope | None) -> tuple[bytes, bytes]:
    """What stands before and after the records of a scope: fields 1 and 3."""
    found = SCOPES.get(scope)
    if found is not None:
        return found
    if scope is None:
        return SCOPES.keep(scope, delimited(FIRST, b""), b"")
    body = text(FIRST, scope.name) + text(SECOND, scope.version) + of_scope(items(scope.attributes))
    return SCOPES.keep(scope, delimited(FIRST, body), text(THIRD, scope.schema_url))


class Origin(NamedTuple):
    """A resource and a scope, with the records of both."""

    resource: Resource
    scope: InstrumentationScope | None
    records: list[bytes]
    """Each with its tag and length."""


class Request:
    """Records gathered by where they come from. Order within a scope is kept."""

    def __init__(self) -> None:
        self._origins: dict[tuple[int, int], Origin] = {}

    def records(self, resource: Resource, scope: InstrumentationScope | None) -> list[bytes]:
        """The list that records of this origin are appended to."""
        found = self._origins.get((id(resource), id(scope)))
        if found is None:
            found = self._origins[id(resource), id(scope)] = Origin(resource, scope, [])
        return found.records

    def encode(self) -> bytes:
        """The whole Export*ServiceRequest; empty where there are no records."""
        by_resource: dict[int, list[Origin]] = {}
        for origin in self._origins.values():
            by_resource.setdefault(id(origin.resource), []).append(origin)
        return b"".join([delimited(FIRST, of_one_resource(origins)) for origins in by_resource.values()])


def of_one_resource(origins: Iterable[Origin]) -> bytes:
    origins = list(origins)
    head, tail = resource_fields(origins[0].resource)
    return b"".join([head, *(delimited(SECOND, of_one_scope(origin)) for origin in origins), tail])


def of_one_scope(origin: Origin) -> bytes:
    head, tail = scope_fields(origin.scope)
    return b"".join([head, *origin.records, tail])
