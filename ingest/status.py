"""From the tree of errors to what goes over the wire: HTTP status, gRPC code, and the google.rpc.Status that says why.

OTLP specification 1.11, "Failures", "Throttling" and "Partial Success" of OTLP/gRPC and of OTLP/HTTP. The answer speaks
the language of the request: protobuf to protobuf, JSON to JSON.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import orjson
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from sonde.ingest import errors
from sonde.ingest.signals import Signal

# google.rpc.Code
INVALID_ARGUMENT = 3
DEADLINE_EXCEEDED = 4
NOT_FOUND = 5
RESOURCE_EXHAUSTED = 8
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14
UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True)
class Codes:
    http: int
    grpc: int


TABLE: dict[type[Exception], Codes] = {
    errors.Malformed: Codes(400, INVALID_ARGUMENT),
    errors.Unauthenticated: Codes(401, UNAUTHENTICATED),
    errors.NotFound: Codes(404, UNIMPLEMENTED),
    errors.MethodNotAllowed: Codes(405, UNIMPLEMENTED),
    errors.TooSlow: Codes(408, DEADLINE_EXCEEDED),
    # Without RetryInfo, RESOURCE_EXHAUSTED tells the client not to send the same again.
    errors.TooLarge: Codes(413, RESOURCE_EXHAUSTED),
    errors.UnsupportedMediaType: Codes(415, INVALID_ARGUMENT),
    errors.HeadersTooLarge: Codes(431, RESOURCE_EXHAUSTED),
    errors.SpoolFull: Codes(503, UNAVAILABLE),
    errors.Overloaded: Codes(429, UNAVAILABLE),
}
"""Looked up by class, nearest base first. Whatever is not here is a fault of sonde: 500, INTERNAL."""
FAULT = Codes(500, INTERNAL)
FAULT_MESSAGE = "sonde failed to handle this request: that is a fault of sonde, its log says more"

REJECTED_JSON = {
    Signal.TRACES: "rejectedSpans",
    Signal.METRICS: "rejectedDataPoints",
    Signal.LOGS: "rejectedLogRecords",
}
"""Field 1 of Export<Signal>PartialSuccess in JSON; field 2 is errorMessage in all three."""


def codes_of(error: Exception) -> Codes:
    for kind in type(error).__mro__:
        if found := TABLE.get(kind):
            return found
    return FAULT


def message_of(error: Exception) -> str:
    """What the sender may read: the sentence of a refusal, nothing of a fault's inside."""
    return str(error) if isinstance(error, errors.RequestRefused) else FAULT_MESSAGE


def retry_after_seconds(error: Exception) -> float | None:
    """When to send the same request again; None: never."""
    return error.retry_after_seconds if isinstance(error, errors.Overloaded) else None


def retry_after_header(seconds: float) -> bytes:
    """Retry-After counts whole seconds (RFC 9110, 10.2.3)."""
    return b"%d" % max(1, math.ceil(seconds))


def status_of(error: Exception) -> status_pb2.Status:
    """The google.rpc.Status of `error`: RetryInfo where it may be retried, BadRequest where the bytes are at fault."""
    message = message_of(error)
    status = status_pb2.Status(code=codes_of(error).grpc, message=message)
    if (seconds := retry_after_seconds(error)) is not None:
        status.details.add().Pack(retry_info(seconds))
    elif isinstance(error, errors.Malformed):
        violation = error_details_pb2.BadRequest.FieldViolation(description=message)
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    return status


def retry_info(seconds: float) -> error_details_pb2.RetryInfo:
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromMilliseconds(max(1, round(seconds * 1000)))
    return info


def encode_status(status: status_pb2.Status, *, json: bool) -> bytes:
    return orjson.dumps(json_format.MessageToDict(status)) if json else status.SerializeToString()


def encode_success(signal: Signal, rejected: int, message: str, *, json: bool) -> bytes:
    """An Export<Signal>ServiceResponse. All accepted and nothing to say: partial_success stays unset, as it must."""
    if not rejected and not message:
        return b"{}" if json else b""
    if json:  # protobuf's JSON mapping writes int64 as a string
        partial = {REJECTED_JSON[signal]: str(rejected), "errorMessage": message}
        return orjson.dumps({"partialSuccess": partial})
    text = message.encode()
    inner = (b"\x08" + varint(rejected) if rejected else b"") + b"\x12" + varint(len(text)) + text
    return b"\x0a" + varint(len(inner)) + inner


def varint(value: int) -> bytes:
    """`value` (not negative) in protobuf's base 128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
