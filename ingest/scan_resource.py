"""Checks the upper levels that the three signals share: resource and scope with their schema URLs.

A fault of a resource or scope (too many attributes, a value too long) is the verdict on every record beneath, so it must be
known before the first of them: both functions look through the whole message for their fields, stepping over the records.
"""

from __future__ import annotations

from typing import Any

from sonde.ingest.kernel import kernel, out_of_line
from sonde.ingest.scan_any_value import scan_attribute
from sonde.ingest.tally import (
    DIMENSIONS,
    MAX_ATTRIBUTES,
    NO_REASON,
    REPEATED,
    TOO_MANY_ATTRIBUTES,
    judge_text,
)
from sonde.ingest.wire import LEN, VARINT, check_utf8, read_len, read_tag, read_varint, skip_field, tag

RESOURCE_OF = tag(1, LEN)
SCOPE_OF = tag(1, LEN)
SCHEMA_URL = tag(3, LEN)

RESOURCE_ATTRIBUTES = tag(1, LEN)
RESOURCE_DROPPED_ATTRIBUTES_COUNT = tag(2, VARINT)
RESOURCE_ENTITY_REFS = tag(3, LEN)
ENTITY_REF_SCHEMA_URL = tag(1, LEN)
ENTITY_REF_DESCRIPTION_KEYS = tag(4, LEN)
SCOPE_NAME = tag(1, LEN)
SCOPE_VERSION = tag(2, LEN)
SCOPE_ATTRIBUTES = tag(3, LEN)
SCOPE_DROPPED_ATTRIBUTES_COUNT = tag(4, VARINT)


@kernel
def scan_text(buf: Any, pos: int, end: int) -> Any:
    """(length, next) of the string field whose length stands at `pos`; next below zero on failure."""
    start, stop = read_len(buf, pos, end)
    if stop < 0:
        return 0, stop
    return stop - start, check_utf8(buf, start, stop)


@kernel
def scan_resource_of(buf: Any, pos: int, end: int, limits: Any, tally: Any, frames: Any) -> Any:
    """The verdict on what the ResourceSpans, ResourceMetrics or ResourceLogs in [pos, end) says of its resource, or a failure.

    message ResourceSpans {
      opentelemetry.proto.resource.v1.Resource resource = 1;
      repeated ScopeSpans scope_spans = 2;
      string schema_url = 3;
    }
    """
    out_of_line()
    verdict = NO_REASON
    resources = 0
    schema_url = 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if field == RESOURCE_OF:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            verdict = scan_resource(buf, start, pos, limits, tally, frames)
            resources += 1
            if verdict < 0:
                return verdict
        elif field == SCHEMA_URL:
            schema_url, pos = scan_text(buf, pos, end)
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos
    if resources > 1:
        tally[REPEATED] += 1
    return min(verdict, judge_text(schema_url, limits))


@kernel
def scan_resource(buf: Any, pos: int, end: int, limits: Any, tally: Any, frames: Any) -> Any:
    """The verdict on the Resource in [pos, end), or a failure.

    message Resource {
      repeated opentelemetry.proto.common.v1.KeyValue attributes = 1;
      uint32 dropped_attributes_count = 2;
      repeated opentelemetry.proto.common.v1.EntityRef entity_refs = 3;
    }
    """
    out_of_line()
    longest = 0
    attributes = 0
    entity_refs = 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if field == RESOURCE_ATTRIBUTES:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            size = scan_attribute(buf, start, pos, 0, DIMENSIONS, limits, tally, frames)
            if size < 0:
                return size
            longest = max(longest, size)
            attributes += 1
        elif field == RESOURCE_ENTITY_REFS:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            size = scan_entity_ref(buf, start, pos)
            if size < 0:
                return size
            entity_refs += size
        elif field == RESOURCE_DROPPED_ATTRIBUTES_COUNT:
            _value, pos = read_varint(buf, pos, end)
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos
    if attributes > limits[MAX_ATTRIBUTES]:
        return TOO_MANY_ATTRIBUTES
    return judge_text(max(longest, entity_refs), limits)


@kernel
def scan_entity_ref(buf: Any, pos: int, end: int) -> Any:
    """Bytes of text in the EntityRef in [pos, end), or a failure.

    message EntityRef {
      string schema_url = 1;
      string type = 2;
      repeated string id_keys = 3;
      repeated string description_keys = 4;
    }
    """
    out_of_line()
    total = 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if ENTITY_REF_SCHEMA_URL <= field <= ENTITY_REF_DESCRIPTION_KEYS and field & 7 == LEN:
            length, pos = scan_text(buf, pos, end)
            total += length
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos
    return total


@kernel
def scan_scope_of(buf: Any, pos: int, end: int, limits: Any, tally: Any, frames: Any) -> Any:
    """The verdict on what the ScopeSpans, ScopeMetrics or ScopeLogs in [pos, end) says of its scope, or a failure.

    message ScopeSpans {
      opentelemetry.proto.common.v1.InstrumentationScope scope = 1;
      repeated Span spans = 2;
      string schema_url = 3;
    }
    """
    out_of_line()
    verdict = NO_REASON
    scopes = 0
    schema_url = 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if field == SCOPE_OF:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            verdict = scan_scope(buf, start, pos, limits, tally, frames)
            scopes += 1
            if verdict < 0:
                return verdict
        elif field == SCHEMA_URL:
            schema_url, pos = scan_text(buf, pos, end)
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos
    if scopes > 1:
        tally[REPEATED] += 1
    return min(verdict, judge_text(schema_url, limits))


@kernel
def scan_scope(buf: Any, pos: int, end: int, limits: Any, tally: Any, frames: Any) -> Any:
    """The verdict on the InstrumentationScope in [pos, end), or a failure.

    message InstrumentationScope {
      string name = 1;
      string version = 2;
      repeated KeyValue attributes = 3;
      uint32 dropped_attributes_count = 4;
    }
    """
    out_of_line()
    longest = 0
    attributes = 0
    name = 0
    version = 0
    while pos < end:
        field, pos = read_tag(buf, pos, end)
        if pos < 0:
            return pos
        if field == SCOPE_NAME:
            name, pos = scan_text(buf, pos, end)
        elif field == SCOPE_VERSION:
            version, pos = scan_text(buf, pos, end)
        elif field == SCOPE_ATTRIBUTES:
            start, pos = read_len(buf, pos, end)
            if pos < 0:
                return pos
            size = scan_attribute(buf, start, pos, 0, DIMENSIONS, limits, tally, frames)
            if size < 0:
                return size
            longest = max(longest, size)
            attributes += 1
        elif field == SCOPE_DROPPED_ATTRIBUTES_COUNT:
            _value, pos = read_varint(buf, pos, end)
        else:
            pos = skip_field(buf, pos, end, field)
        if pos < 0:
            return pos
    if attributes > limits[MAX_ATTRIBUTES]:
        return TOO_MANY_ATTRIBUTES
    return judge_text(max(longest, name, version), limits)
