"""What the rows of a batch refer to, told to the store once a day: blocks of `resources`, `scopes` and `series`.

The tables merge rows of one fingerprint (first_seen, last_seen), so telling twice is harmless: after a restart, when a segment
is replayed, or when a hostile number of series makes `Announced` forget. Telling too little is not, so ids are marked only
when the store has the blocks, and the token of a block covers which ids it tells of: the same segment decoded again, when
other ids are known, gives other tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import xxhash
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from sonde.ingest.announced import Announced
from sonde.ingest.decoded import Decoded
from sonde.ingest.rows import block_of_rows
from sonde.ingest.series import SeriesOfBatch
from sonde.ingest.twin import attribute_row, resource_service_name
from sonde.storage.columns import U64, Block
from sonde.storage.json_text import render_entity_refs
from sonde.storage.schema import table

Ranges: TypeAlias = Mapping[int, tuple[bytes, bytes]]
"""By fingerprint: the bytes of the message and of the schema_url beside it."""
Announcement: TypeAlias = tuple[str, Block, int, str]
"""Table, columns without the tenant, rows, and what tells this block from any other of the table in its token."""

MOST_RESOURCES = 1 << 18
MOST_SCOPES = 1 << 18
MOST_SERIES = 1 << 22


class Told(NamedTuple):
    """What a batch refers to: fingerprints, uint64. A copy, so that the batch's own large arrays can be used again while
    the store takes its time."""

    resources: U64
    scopes: U64
    series: U64

    @classmethod
    def of(cls, decoded: Decoded) -> Told:
        series = as_ids(()) if decoded.series is None else decoded.series.ids.copy()
        return cls(as_ids(decoded.resources), as_ids(decoded.scopes), series)


class Announcer:
    """Which resources, scopes and series the store has been told of today. Not thread-safe."""

    def __init__(self, most_series: int = MOST_SERIES) -> None:
        self._resources = Announced(MOST_RESOURCES)
        self._scopes = Announced(MOST_SCOPES)
        self._series = Announced(most_series)

    @property
    def nbytes(self) -> int:
        return self._resources.nbytes + self._scopes.nbytes + self._series.nbytes

    def announce(self, tenant: str, decoded: Decoded, received_unix_nano: int) -> list[Announcement]:
        """The blocks of what `decoded` refers to and the store has not been told of, received at that time.

        To be stored before the rows that refer to them; `mark` says that they are.
        """
        salt, received = salt_of(tenant), received_unix_nano
        announcements = []
        if fresh := missing(self._resources, decoded.resources, salt, received):
            rows = [resource_row(each, *decoded.resources[each]) for each in fresh]
            announcements.append(plain_announcement("resources", rows, fresh, received))
        if fresh := missing(self._scopes, decoded.scopes, salt, received):
            rows = [scope_row(each, *decoded.scopes[each]) for each in fresh]
            announcements.append(plain_announcement("scopes", rows, fresh, received))
        if decoded.series is not None:
            announcements += self._series_announcements(decoded.series, decoded.resources, salt, received)
        return announcements

    def mark(self, tenant: str, told: Told, received_unix_nano: int) -> None:
        """The store has been told of all that a batch refers to: `announce` was called with that batch and time."""
        salt = salt_of(tenant)
        for known, ids in (
            (self._resources, told.resources),
            (self._scopes, told.scopes),
            (self._series, told.series),
        ):
            known.add(ids[known.missing(ids, salt, received_unix_nano)], salt, received_unix_nano)

    def _series_announcements(
        self, series: SeriesOfBatch, resources: Ranges, salt: int, received: int
    ) -> Iterable[Announcement]:
        points = self._series.missing(series.ids, salt, received)
        if not len(points):
            return
        names = {each: service_name(resources[each][0]) for each in np.unique(series.resource_ids(points)).tolist()}
        for portion in series.portions(points):
            block = {**series.block(portion, names), **seen_columns(received, len(portion))}
            yield "series", block, len(portion), token(series.ids[portion], received)


def salt_of(tenant: str) -> int:
    return int(xxhash.xxh3_64_intdigest(tenant.encode()))


def as_ids(ids: Iterable[int]) -> U64:
    return np.array(list(ids), np.uint64)


def missing(known: Announced, ranges: Ranges, salt: int, received: int) -> list[int]:
    ids = as_ids(ranges)
    found: list[int] = ids[known.missing(ids, salt, received)].tolist()
    return found


def plain_announcement(name: str, rows: list[dict[str, Any]], ids: list[int], received: int) -> Announcement:
    block = {**block_of_rows(table(name), rows), **seen_columns(received, len(rows))}
    return name, block, len(rows), token(as_ids(ids), received)


def seen_columns(received: int, rows: int) -> Block:
    seen = np.full(rows, received, np.int64)
    return {"first_seen": seen, "last_seen": seen}


def token(ids: U64, received: int) -> str:
    return str(xxhash.xxh3_128_hexdigest(ids.tobytes() + received.to_bytes(8, "little", signed=True)))


def service_name(message: bytes) -> bytes:
    return resource_service_name(Resource.FromString(message))


def resource_row(identity: int, message: bytes, schema_url: bytes) -> dict[str, Any]:
    resource = Resource.FromString(message)
    attributes = attribute_row("attributes", resource.attributes)
    texts = dict(reversed(attributes["attributes_string"]))
    return {
        "resource_id": identity,
        "service_name": resource_service_name(resource),
        "service_namespace": texts.get(b"service.namespace", b""),
        "service_version": texts.get(b"service.version", b""),
        "service_instance_id": texts.get(b"service.instance.id", b""),
        "deployment_environment": texts.get(b"deployment.environment.name", texts.get(b"deployment.environment", b"")),
        **attributes,
        "dropped_attributes_count": resource.dropped_attributes_count,
        "entity_refs": render_entity_refs(resource.entity_refs).encode(),
        "schema_url": schema_url,
    }


def scope_row(identity: int, message: bytes, schema_url: bytes) -> dict[str, Any]:
    scope = InstrumentationScope.FromString(message)
    return {
        "scope_id": identity,
        "name": scope.name.encode(),
        "version": scope.version.encode(),
        **attribute_row("attributes", scope.attributes),
        "dropped_attributes_count": scope.dropped_attributes_count,
        "schema_url": schema_url,
    }
