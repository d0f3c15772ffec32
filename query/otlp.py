"""Rows of the store back into OTLP messages: what the three signals share. The inverse of decoding, field by field, by the
rules of `storage/schema.py`; `otlp_spans.py`, `otlp_logs.py` and `otlp_points.py` do the records.

Attributes come back in another order: the store keeps them by type, and OTLP gives their order no meaning. A message
that was sent empty and one that was not sent at all (a Resource, a Status, Buckets) mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from sonde.query.reader import Row
from sonde.storage import json_text

Request: TypeAlias = ExportTraceServiceRequest | ExportLogsServiceRequest | ExportMetricsServiceRequest
Pairs: TypeAlias = Sequence[tuple[str, Any]]

MASK = 2**64 - 1
"""Times are stored as Int64; on the wire they are unsigned."""
OWN_TIME, NEXT_BEST_TIME, RECEIPT_TIME = 0, 1, 2
"""Values of `time_source`."""
NO_TRACE, NO_SPAN = bytes(16), bytes(8)


def add_attributes(target: Any, row: Row, prefix: str = "attributes") -> None:
    """The five typed maps of one attribute set into a repeated KeyValue."""
    for key, string in row[f"{prefix}_string_pairs"]:
        target.add(key=key).value.string_value = string
    for key, integer in row[f"{prefix}_int_pairs"]:
        target.add(key=key).value.int_value = integer
    for key, double in row[f"{prefix}_double_pairs"]:
        target.add(key=key).value.double_value = double
    for key, boolean in row[f"{prefix}_bool_pairs"]:
        target.add(key=key).value.bool_value = bool(boolean)
    add_texts(target, row[f"{prefix}_json_pairs"])


def add_small_attributes(target: Any, strings: Pairs, texts: Pairs) -> None:
    """The two maps of a small attribute set: strings, and JSON text for all else."""
    for key, string in strings:
        target.add(key=key).value.string_value = string
    add_texts(target, texts)


def add_texts(target: Any, pairs: Pairs) -> None:
    for key, text in pairs:
        target.add(key=key, **json_text.parse_key_value(text))


@dataclass(frozen=True, slots=True)
class Origin:
    """A resource or scope as a message, with the schema URL that stands beside it."""

    message: Any
    schema_url: str


def resource_of(row: Row) -> Origin:
    resource = Resource(dropped_attributes_count=row["dropped_attributes_count"])
    add_attributes(resource.attributes, row)
    for found in json_text.parse_entity_refs(row["entity_refs"]):
        resource.entity_refs.add(**found)
    return Origin(resource, row["schema_url"])


def scope_of(row: Row) -> Origin:
    scope = InstrumentationScope(
        name=row["name"], version=row["version"], dropped_attributes_count=row["dropped_attributes_count"]
    )
    add_attributes(scope.attributes, row)
    return Origin(scope, row["schema_url"])


Origins: TypeAlias = Mapping[int, Origin]


@dataclass(slots=True)
class Tree:
    """The two upper levels of a request, filled as records come: records are put under the resource and scope they name.

    `top`: the request's repeated ResourceSpans, ResourceLogs or ResourceMetrics. `below`: the name of its repeated field
    of ScopeSpans, ScopeLogs or ScopeMetrics.
    """

    top: Any
    below: str
    resources: Origins
    scopes: Origins
    _by_resource: dict[int, Any] = field(default_factory=dict)
    _by_scope: dict[tuple[int, int], Any] = field(default_factory=dict)

    def scope(self, resource_id: int, scope_id: int) -> Any:
        """The ScopeSpans (or ...) message for records of that resource and scope."""
        found = self._by_scope.get((resource_id, scope_id))
        if found is None:
            origin = self.scopes[scope_id]
            found = getattr(self._resource(resource_id), self.below).add(schema_url=origin.schema_url)
            found.scope.CopyFrom(origin.message)
            self._by_scope[resource_id, scope_id] = found
        return found

    def _resource(self, resource_id: int) -> Any:
        found = self._by_resource.get(resource_id)
        if found is None:
            origin = self.resources[resource_id]
            found = self._by_resource[resource_id] = self.top.add(schema_url=origin.schema_url)
            found.resource.CopyFrom(origin.message)
        return found
