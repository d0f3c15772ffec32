"""The slow twin of the decode kernels: the same columns from the official protobuf classes, one Python object at a time.

It says what the kernels must give: tests hold them against it, and benchmarks show what walking objects costs. It reads like
the specification, and is far too slow for use. `twin_metrics.py` does the metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sonde.ingest import fingerprint
from sonde.ingest.decoded import Decoded, DecodedBlock
from sonde.ingest.limits import Limits, Reason
from sonde.ingest.rows import block_of_rows
from sonde.ingest.signals import Signal
from sonde.storage import json_text
from sonde.storage.schema import table

Row: TypeAlias = dict[str, Any]
Pairs: TypeAlias = list[tuple[bytes, Any]]

NO_TRACE, NO_SPAN = bytes(16), bytes(8)
BODY_TYPES = {
    None: 0,
    "string_value": 1,
    "bool_value": 2,
    "int_value": 3,
    "double_value": 4,
    "array_value": 5,
    "kvlist_value": 6,
    "bytes_value": 7,
    "string_value_strindex": 8,
}
MAPS = {"string_value": "string", "int_value": "int", "double_value": "double", "bool_value": "bool"}


def decode_slowly(
    signal: Signal, bodies: Sequence[bytes], received_unix_nano: Sequence[int], limits: Limits
) -> Decoded:
    """What `decode.decode` gives for traces and logs. DecodeError (protobuf's) where a body is malformed."""
    decoded = Decoded(0)
    rows: list[Row] = []
    for body, received in zip(bodies, received_unix_nano, strict=True):
        rows.extend(row for row, reason in records_slowly(signal, body, received, limits, decoded) if reason is None)
    decoded.records = len(rows)
    if rows:
        name = {Signal.TRACES: "spans", Signal.LOGS: "logs"}[signal]
        decoded.blocks.append(DecodedBlock(name, block_of_rows(table(name), rows), len(rows)))
    return decoded


def judge_slowly(signal: Signal, body: bytes, received: int, limits: Limits) -> list[Reason | None]:
    """The verdict on each record in wire order: why it is refused, or None."""
    return [reason for _, reason in records_slowly(signal, body, received, limits, Decoded(0))]


def records_slowly(
    signal: Signal, body: bytes, received: int, limits: Limits, decoded: Decoded
) -> Iterator[tuple[Row, Reason | None]]:
    """The row and the verdict of each record; notes in `decoded` which resources and scopes the kept ones refer to."""
    request: Any = (ExportTraceServiceRequest if signal == Signal.TRACES else ExportLogsServiceRequest).FromString(body)
    tops = request.resource_spans if signal == Signal.TRACES else request.resource_logs
    for top in tops:
        resource_id = fingerprint.resource_id_slowly(top.resource, top.schema_url)
        of_resource = resource_reason(top.resource, top.schema_url, limits)
        for below in top.scope_spans if signal == Signal.TRACES else top.scope_logs:
            scope_id = fingerprint.scope_id_slowly(below.scope, below.schema_url)
            of_scope = scope_reason(below.scope, below.schema_url, limits)
            head = {
                "service_name": resource_service_name(top.resource),
                "resource_id": resource_id,
                "scope_id": scope_id,
            }
            for record in below.spans if signal == Signal.TRACES else below.log_records:
                own = (span_reasons if signal == Signal.TRACES else log_reasons)(record, received, limits)
                reason = first_reason([of_resource, of_scope, *own])
                row = (span_row if signal == Signal.TRACES else log_row)(record, received)
                if reason is None:
                    decoded.resources[resource_id] = as_sent(top.resource, top.schema_url)
                    decoded.scopes[scope_id] = as_sent(below.scope, below.schema_url)
                yield {**row, **head}, reason


def as_sent(message: Any, schema_url: str) -> tuple[bytes, bytes]:
    return message.SerializeToString(), schema_url.encode()


# ---- rows ----


def span_row(span: Any, received: int) -> Row:
    if span.start_time_unix_nano:
        time, source = span.start_time_unix_nano, 0
        duration = span.end_time_unix_nano - span.start_time_unix_nano
    elif span.end_time_unix_nano:
        time, source, duration = span.end_time_unix_nano, 1, 0
    else:
        time, source, duration = received, 2, 0
    return {
        "time": time,
        "time_source": source,
        "duration_nano": duration,
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id or NO_SPAN,
        "trace_state": span.trace_state.encode(),
        "flags": span.flags,
        "name": span.name.encode(),
        "kind": span.kind,
        "status_code": span.status.code,
        "status_message": span.status.message.encode(),
        **attribute_row("attributes", span.attributes),
        "dropped_attributes_count": span.dropped_attributes_count,
        **nested("events", [event_row(event) for event in span.events], EVENT_COLUMNS),
        "dropped_events_count": span.dropped_events_count,
        **nested("links", [link_row(link) for link in span.links], LINK_COLUMNS),
        "dropped_links_count": span.dropped_links_count,
    }


def event_row(event: Any) -> Row:
    return {
        "time": event.time_unix_nano,
        "name": event.name.encode(),
        **small_attribute_row("attributes", event.attributes),
        "dropped_attributes_count": event.dropped_attributes_count,
    }


def link_row(link: Any) -> Row:
    return {
        "trace_id": link.trace_id,
        "span_id": link.span_id,
        "trace_state": link.trace_state.encode(),
        "flags": link.flags,
        **small_attribute_row("attributes", link.attributes),
        "dropped_attributes_count": link.dropped_attributes_count,
    }


SMALL = ("attributes_string", "attributes_json")
EVENT_COLUMNS = ("time", "name", *SMALL, "dropped_attributes_count")
LINK_COLUMNS = ("trace_id", "span_id", "trace_state", "flags", *SMALL, "dropped_attributes_count")


def nested(prefix: str, items: list[Row], columns: Iterable[str]) -> Row:
    """One array a column."""
    return {f"{prefix}.{column}": [item[column] for item in items] for column in columns}


def log_row(record: Any, received: int) -> Row:
    if record.time_unix_nano:
        time, source = record.time_unix_nano, 0
    elif record.observed_time_unix_nano:
        time, source = record.observed_time_unix_nano, 1
    else:
        time, source = received, 2
    kind = record.body.WhichOneof("value")
    if kind is None:
        body = ""
    elif kind == "string_value":
        body = record.body.string_value
    else:
        body = json_text.render(record.body)
    return {
        "time": time,
        "time_source": source,
        "observed_time": record.observed_time_unix_nano,
        "trace_id": record.trace_id or NO_TRACE,
        "span_id": record.span_id or NO_SPAN,
        "flags": record.flags,
        "severity_number": record.severity_number,
        "severity_text": record.severity_text.encode(),
        "event_name": record.event_name.encode(),
        "body": body.encode(),
        "body_type": BODY_TYPES[kind],
        **attribute_row("attributes", record.attributes),
        "dropped_attributes_count": record.dropped_attributes_count,
    }


def attribute_row(prefix: str, attributes: Iterable[Any]) -> Row:
    """The five maps of a full set."""
    maps: dict[str, Pairs] = {f"{prefix}_{name}": [] for name in ("string", "int", "double", "bool", "json")}
    for attribute in attributes:
        kind = attribute.value.WhichOneof("value")
        name = "json" if attribute.key_strindex else MAPS.get(kind, "json")
        maps[f"{prefix}_{name}"].append((attribute.key.encode(), map_value(attribute, name)))
    return dict(maps)


def small_attribute_row(prefix: str, attributes: Iterable[Any]) -> Row:
    """The two maps of a small set."""
    maps: dict[str, Pairs] = {f"{prefix}_string": [], f"{prefix}_json": []}
    for attribute in attributes:
        is_string = attribute.value.HasField("string_value") and not attribute.key_strindex
        name = "string" if is_string else "json"
        maps[f"{prefix}_{name}"].append((attribute.key.encode(), map_value(attribute, name)))
    return dict(maps)


def map_value(attribute: Any, name: str) -> Any:
    if name == "json":
        return json_text.render_key_value(attribute).encode()
    value = getattr(attribute.value, f"{name}_value")
    return value.encode() if name == "string" else value


def resource_service_name(resource: Any) -> bytes:
    """The first service.name that is a string; empty where there is none."""
    for attribute in resource.attributes:
        if attribute.key == "service.name" and attribute.value.HasField("string_value") and not attribute.key_strindex:
            return bytes(attribute.value.string_value.encode())
    return b""


# ---- verdicts ----


def first_reason(reasons: Iterable[Reason | None]) -> Reason | None:
    """A record with several faults is counted under the first of them in the order of Reason."""
    return min((reason for reason in reasons if reason is not None), default=None)


def span_reasons(span: Any, received: int, limits: Limits) -> Iterator[Reason | None]:
    yield time_reason(span.start_time_unix_nano or span.end_time_unix_nano, received, limits)
    if len(span.trace_id) != 16 or not any(span.trace_id):
        yield Reason.INVALID_TRACE_ID
    if len(span.span_id) != 8 or not any(span.span_id):
        yield Reason.INVALID_SPAN_ID
    if len(span.parent_span_id) not in (0, 8):
        yield Reason.INVALID_PARENT_SPAN_ID
    if len(span.events) > limits.max_events:
        yield Reason.TOO_MANY_EVENTS
    if len(span.links) > limits.max_links:
        yield Reason.TOO_MANY_LINKS
    yield texts_reason((span.trace_state, span.name, span.status.message), limits)
    yield attributes_reason(span.attributes, limits)
    for event in span.events:
        yield texts_reason((event.name,), limits)
        yield attributes_reason(event.attributes, limits)
    for link in span.links:
        if len(link.trace_id) != 16 or len(link.span_id) != 8 or not any(link.trace_id) or not any(link.span_id):
            yield Reason.INVALID_LINK
        yield texts_reason((link.trace_state,), limits)
        yield attributes_reason(link.attributes, limits)


def log_reasons(record: Any, received: int, limits: Limits) -> Iterator[Reason | None]:
    yield time_reason(record.time_unix_nano or record.observed_time_unix_nano, received, limits)
    if len(record.trace_id) not in (0, 16):
        yield Reason.INVALID_TRACE_ID
    if len(record.span_id) not in (0, 8):
        yield Reason.INVALID_SPAN_ID
    yield texts_reason((record.severity_text, record.event_name), limits)
    yield attributes_reason(record.attributes, limits)
    if record.HasField("body") and value_size(record.body) > limits.max_value_bytes:
        yield Reason.VALUE_TOO_LONG


def resource_reason(resource: Any, schema_url: str, limits: Limits) -> Reason | None:
    entities = "".join(
        "".join((entity.schema_url, entity.type, *entity.id_keys, *entity.description_keys))
        for entity in resource.entity_refs
    )
    return first_reason((attributes_reason(resource.attributes, limits), texts_reason((schema_url, entities), limits)))


def scope_reason(scope: Any, schema_url: str, limits: Limits) -> Reason | None:
    texts = texts_reason((schema_url, scope.name, scope.version), limits)
    return first_reason((attributes_reason(scope.attributes, limits), texts))


def time_reason(time: int, received: int, limits: Limits) -> Reason | None:
    """The verdict on a row's time, ns; 0 stands for the time of receipt."""
    if time == 0:
        return None
    if limits.max_age_seconds and time < received - limits.max_age_seconds * 1_000_000_000:
        return Reason.TOO_OLD
    if time >= 1 << 63 or (limits.max_future_seconds and time > received + limits.max_future_seconds * 1_000_000_000):
        return Reason.IN_THE_FUTURE
    return None


def texts_reason(texts: Iterable[str], limits: Limits) -> Reason | None:
    return Reason.VALUE_TOO_LONG if any(len(text.encode()) > limits.max_value_bytes for text in texts) else None


def attributes_reason(attributes: Sequence[Any], limits: Limits) -> Reason | None:
    if len(attributes) > limits.max_attributes:
        return Reason.TOO_MANY_ATTRIBUTES
    for attribute in attributes:
        if max(len(attribute.key.encode()), value_size(attribute.value)) > limits.max_value_bytes:
            return Reason.VALUE_TOO_LONG
    return None


def value_size(value: Any) -> int:
    """What limits judge of an AnyValue: see scan_any_value.py."""
    match value.WhichOneof("value"):
        case "string_value":
            return len(value.string_value.encode())
        case "bytes_value":
            return len(value.bytes_value)
        case "array_value":
            return 8 + sum(value_size(item) for item in value.array_value.values)
        case "kvlist_value":
            members = value.kvlist_value.values
            return 8 + sum(len(member.key.encode()) + value_size(member.value) for member in members)
        case _:
            return 8
