"""OTLP/JSON becomes the protobuf that the official library would have made of it."""

from __future__ import annotations

import base64
import json
import math
import random
from typing import Any

import pytest
from conformance import path_of
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sonde.ingest.errors import Malformed
from sonde.ingest.json_otlp import HEX_FIELDS, RECURSIVE, transcode
from sonde.ingest.signals import Signal

REQUESTS: dict[Signal, type[Message]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
MAX_DEPTH = 8


def parsed(signal: Signal, body: bytes | str | dict[str, Any]) -> Message:
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return REQUESTS[signal].FromString(transcode(signal, raw, MAX_DEPTH))


def twin(signal: Signal, body: dict[str, Any]) -> Message:
    """The obvious way: turn the hex ids into the base64 that json_format expects, and let it do the rest."""
    return json_format.ParseDict(with_base64_ids(body), REQUESTS[signal](), ignore_unknown_fields=True)


HEX_NAMES = {"traceId", "spanId", "parentSpanId"}


def with_base64_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [with_base64_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64encode(bytes.fromhex(item)).decode() if name in HEX_NAMES else with_base64_ids(item)
        for name, item in value.items()
    }


def with_hex_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [with_hex_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64decode(item).hex() if name in HEX_NAMES else with_hex_ids(item) for name, item in value.items()
    }


# Random messages of every field, by the descriptors.

EDGES = {
    FieldDescriptor.TYPE_INT32: [0, 1, -1, 2**31 - 1, -(2**31)],
    FieldDescriptor.TYPE_SINT32: [0, 1, -1, 2**31 - 1, -(2**31)],
    FieldDescriptor.TYPE_ENUM: [0, 1, 2],
    FieldDescriptor.TYPE_INT64: [0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1],
    FieldDescriptor.TYPE_SFIXED64: [0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1],
    FieldDescriptor.TYPE_UINT32: [0, 1, 127, 128, 2**32 - 1],
    FieldDescriptor.TYPE_FIXED32: [0, 1, 2**32 - 1],
    FieldDescriptor.TYPE_UINT64: [0, 1, 127, 16383, 16384, 2**64 - 1],
    FieldDescriptor.TYPE_FIXED64: [0, 1, 2**64 - 1, 1_700_000_000_000_000_001],
    FieldDescriptor.TYPE_DOUBLE: [0.0, -0.0, 1.5, 1e300, -1e-300, math.nan, math.inf, -math.inf, 5.0],
    FieldDescriptor.TYPE_BOOL: [True, False],
    FieldDescriptor.TYPE_STRING: ["", "a", "naïve ☃ 𝄞", "x" * 200, '"\\\n\0'],
}


def fill(message: Message, rng: random.Random, depth: int) -> None:
    descriptor: Descriptor = message.DESCRIPTOR
    for oneof in descriptor.oneofs:
        if rng.random() < 0.9:
            fill_field(message, rng.choice(oneof.fields), rng, depth)
    for field in descriptor.fields:
        if field.containing_oneof is None and rng.random() < 0.7:
            fill_field(message, field, rng, depth)


def fill_field(message: Message, field: FieldDescriptor, rng: random.Random, depth: int) -> None:
    if field.message_type is not None:
        if field.message_type.full_name == RECURSIVE:
            depth -= 1
        if depth == 0:
            return
        if not field.is_repeated:
            child = getattr(message, field.name)
            child.SetInParent()
            fill(child, rng, depth)
            return
        for _ in range(rng.randrange(3)):
            fill(getattr(message, field.name).add(), rng, depth)
        return
    values = [rng.randbytes(rng.choice([0, 8, 16, 33]))] if field.type == field.TYPE_BYTES else EDGES[field.type]
    if field.is_repeated:
        getattr(message, field.name).extend(rng.choices(values, k=rng.randrange(4)))
    else:
        setattr(message, field.name, rng.choice(values))


def same(one: Message, other: Message) -> bool:
    """Equal in meaning; NaN equals NaN, which `==` of messages denies."""
    return one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)


@pytest.mark.parametrize("signal", Signal)
def test_random_messages_of_every_field_survive_the_way_through_json(signal: Signal) -> None:
    for seed in range(150):
        message = REQUESTS[signal]()
        fill(message, random.Random(seed), depth=5)
        body = with_hex_ids(json_format.MessageToDict(message, use_integers_for_enums=True))
        back = parsed(signal, body)
        assert same(back, message), f"seed {seed}"
        assert same(back, twin(signal, body)), f"seed {seed}"


@pytest.mark.parametrize("signal", Signal)
def test_mutated_json_gives_what_the_official_parser_gives_or_is_refused(signal: Signal) -> None:
    """Wherever both accept, both agree; the official parser may be more lenient (enum names, snake_case, upper bounds)."""
    accepted = 0
    for seed in range(200):
        rng = random.Random(seed)
        message = REQUESTS[signal]()
        fill(message, rng, depth=4)
        body = with_hex_ids(json_format.MessageToDict(message, use_integers_for_enums=True))
        mutate(body, rng)
        try:
            back = parsed(signal, body)
        except Malformed:
            continue
        accepted += 1
        assert same(back, twin(signal, body)), f"seed {seed}"
    assert accepted > 20


def mutate(value: Any, rng: random.Random) -> None:
    """Replaces one leaf somewhere below with something else."""
    while isinstance(value, dict | list) and value:
        key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
        child = value[key]
        if not isinstance(child, dict | list) or not child or rng.random() < 0.1:
            if isinstance(key, str) and key in HEX_NAMES:
                value[key] = rng.choice([None, "zz", "ABCDEF", "abc", 7])
            else:
                value[key] = rng.choice([None, 0, 1, -1, 2.5, "", "12", "-7", "1e3", True, [], {}, 2**64, 1e30, "x"])
            return
        value = child


def span(**fields: Any) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]}


def point(**fields: Any) -> dict[str, Any]:
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"gauge": {"dataPoints": [fields]}}]}]}]}


def first_span(body: dict[str, Any]) -> Any:
    return parsed(Signal.TRACES, body).resource_spans[0].scope_spans[0].spans[0]  # type: ignore[attr-defined]


def first_point(body: dict[str, Any]) -> Any:
    return parsed(Signal.METRICS, body).resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["5b8efff798038103d269b633813fc60c", "5B8EFFF798038103D269B633813FC60C"])
def test_trace_ids_are_hex_of_either_case(text: str) -> None:
    assert first_span(span(traceId=text)).trace_id.hex() == text.lower()


def test_every_id_field_of_the_protocol_is_hex() -> None:
    """Each bytes field is an id or AnyValue.bytes_value: a new one in the protocol must be looked at."""
    names: set[str] = set()
    seen: set[str] = set()

    def walk(descriptor: Descriptor) -> None:
        if descriptor.full_name in seen:
            return
        seen.add(descriptor.full_name)
        for field in descriptor.fields:
            if field.type == field.TYPE_BYTES:
                names.add(field.name)
            if field.message_type is not None:
                walk(field.message_type)

    for request in REQUESTS.values():
        walk(request.DESCRIPTOR)
    assert names == HEX_FIELDS | {"bytes_value"}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("1544712660300000001", 1544712660300000001),
        (1544712660300000001, 1544712660300000001),
        (5.0, 5),
        ("1e3", 1000),
        (1e3, 1000),
        ("12.0", 12),
        (str(2**64 - 1), 2**64 - 1),
        (2**64 - 1, 2**64 - 1),
    ],
)
def test_a_64_bit_integer_is_a_number_or_a_string(value: Any, number: int) -> None:
    assert first_span(span(startTimeUnixNano=value)).start_time_unix_nano == number


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5.0),
        (1.5, 1.5),
        ("1.5", 1.5),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        (2**64, 2.0**64),
        ("-2e-3", -0.002),
    ],
)
def test_a_double_is_a_number_or_a_string(value: Any, number: float) -> None:
    assert first_point(point(asDouble=value)).as_double == number


def test_nan_is_a_string() -> None:
    assert math.isnan(first_point(point(asDouble="NaN")).as_double)


@pytest.mark.parametrize("text", ["+/+/AA==", "-_-_AA==", "-_-_AA", "+/+/AA"])
def test_bytes_are_base64_of_either_alphabet_padded_or_not(text: str) -> None:
    value = first_span(span(attributes=[{"key": "k", "value": {"bytesValue": text}}])).attributes[0].value
    assert value.bytes_value == base64.b64decode("+/+/AA==")


def test_an_empty_member_of_a_oneof_is_kept_apart_from_none() -> None:
    attributes = [{"key": "empty", "value": {"stringValue": ""}}, {"key": "none", "value": {}}, {"key": "absent"}]
    empty, none, absent = first_span(span(attributes=attributes)).attributes
    assert empty.value.WhichOneof("value") == "string_value"
    assert none.HasField("value")
    assert none.value.WhichOneof("value") is None
    assert not absent.HasField("value")


def test_an_optional_zero_is_kept_apart_from_absent() -> None:
    histogram = {"dataPoints": [{"sum": 0, "count": 0}, {}, {"min": None}]}
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"histogram": histogram}]}]}]}
    metric = parsed(Signal.METRICS, body).resource_metrics[0].scope_metrics[0].metrics[0]  # type: ignore[attr-defined]
    assert [p.HasField("sum") for p in metric.histogram.data_points] == [True, False, False]


@pytest.mark.parametrize(
    "fields",
    [
        {"unknown": {"deep": [[{}], 1]}},
        {"trace_id": "5b8efff798038103d269b633813fc60c"},
        {"start_time_unix_nano": 1},
        {"name": None, "attributes": None, "status": None, "kind": None},
    ],
)
def test_unknown_names_snake_case_and_null_are_as_if_absent(fields: dict[str, Any]) -> None:
    assert first_span(span(**fields)).ByteSize() == 0


@pytest.mark.parametrize(
    ("signal", "body"), [(signal, body) for signal in Signal for body in (b"{}", b' {"a": [1]} \n')]
)
def test_an_object_without_telemetry_is_an_empty_request(signal: Signal, body: bytes) -> None:
    assert transcode(signal, body, MAX_DEPTH) == b""


TRACES_REFUSED = [
    (span(traceId="abc"), r"resourceSpans\[0\]\.scopeSpans\[0\]\.spans\[0\]\.traceId: must be hex digits"),
    (span(traceId="zz" * 16), r"traceId: must be hex digits"),
    (span(traceId="5b8e fff798038103d269b633813fc60c"), r"traceId: must be hex digits"),
    (span(spanId=12), r"spanId: must be a string of hex digits, not a number"),
    (span(kind="SPAN_KIND_SERVER"), r"kind: must be the enum's number"),
    (span(kind="2"), r"kind: must be the enum's number"),
    (span(kind=2**31), r"kind: must be between"),
    (span(name=5), r"name: must be a string, not a number"),
    (span(name=["x"]), r"name: must be a string, not an array"),
    (span(flags=-1), r"flags: must be between 0 and 4294967295"),
    (span(startTimeUnixNano="-1"), r"startTimeUnixNano: must be between"),
    (span(startTimeUnixNano=2**64), r"startTimeUnixNano: must be a whole number"),
    (span(startTimeUnixNano=str(2**64)), r"startTimeUnixNano: must be between"),
    (span(startTimeUnixNano="1_000"), r"startTimeUnixNano: must be a whole number"),
    (span(startTimeUnixNano=" 1"), r"startTimeUnixNano: must be a whole number"),
    (span(startTimeUnixNano=""), r"startTimeUnixNano: must be a whole number"),
    (span(startTimeUnixNano="٣"), r"startTimeUnixNano: must be a whole number"),
    (span(startTimeUnixNano="1e999999999"), r"startTimeUnixNano: must be a whole number"),
    (span(startTimeUnixNano="NaN"), r"startTimeUnixNano: must be a whole number"),
    (span(startTimeUnixNano=1.5), r"startTimeUnixNano: must be a whole number"),
    (span(startTimeUnixNano=True), r"startTimeUnixNano: must be a number .* not a boolean"),
    (span(attributes={}), r"attributes: must be an array, not an object"),
    (span(attributes=[{"key": "a"}, None]), r"attributes\[1\]: must be an object \(KeyValue\), not null"),
    (span(attributes=[{"value": {"boolValue": 1}}]), r"attributes\[0\]\.value\.boolValue: must be true or false"),
    (span(attributes=[{"value": {"bytesValue": "*"}}]), r"bytesValue: must be base64"),
    (span(attributes=[{"value": {"bytesValue": "ä"}}]), r"bytesValue: must be base64"),
    (span(attributes=[{"value": {"doubleValue": "nan"}}]), r'doubleValue: must be a number, "NaN"'),
    (span(attributes=[{"value": {"doubleValue": "1e400"}}]), r"doubleValue: must be a number"),
    (
        span(attributes=[{"value": {"intValue": 1, "stringValue": "1"}}]),
        r"attributes\[0\]\.value: intValue and stringValue exclude",
    ),
    ([], r"the body: must be an object \(ExportTraceServiceRequest\), not an array"),
    (None, r"the body: must be an object"),
    ({"resourceSpans": "x"}, r"resourceSpans: must be an array, not a string"),
]


@pytest.mark.parametrize(("body", "message"), TRACES_REFUSED)
def test_what_is_wrong_is_refused_with_its_path(body: Any, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        transcode(Signal.TRACES, json.dumps(body).encode(), MAX_DEPTH)


def test_a_wrong_bucket_count_is_refused_with_its_index() -> None:
    histogram = {"dataPoints": [{"bucketCounts": ["1", 2, -3]}]}
    body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"histogram": histogram}]}]}]}).encode()
    with pytest.raises(
        Malformed, match=r"metrics\[0\]\.histogram\.dataPoints\[0\]\.bucketCounts\[2\]: must be between"
    ):
        transcode(Signal.METRICS, body, MAX_DEPTH)


NOT_JSON = [
    b"",
    b"{",
    b"{}x",
    b'{"a":NaN}',
    b'{"a":1e999}',
    b'{"a":"\xff"}',
    b'{"a":"\\ud800"}',
    b"[" * 5000,
    b"{'a':1}",
]


@pytest.mark.parametrize("body", [*NOT_JSON, b"\xef\xbb\xbf{}"])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed, match="not JSON"):
        transcode(Signal.TRACES, body, MAX_DEPTH)


def nested(levels: int, kind: str) -> dict[str, Any]:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(levels - 1):
        inner = [value] if kind == "array" else [{"key": "k", "value": value}]
        value = {"arrayValue" if kind == "array" else "kvlistValue": {"values": inner}}
    return value


@pytest.mark.parametrize("kind", ["array", "map"])
def test_values_nest_as_deeply_as_allowed_and_no_deeper(kind: str) -> None:
    first_span(span(attributes=[{"value": nested(MAX_DEPTH, kind)}]))
    with pytest.raises(Malformed, match="nested too deeply"):
        first_span(span(attributes=[{"value": nested(MAX_DEPTH + 1, kind)}]))


@pytest.mark.parametrize("kind", ["array", "map"])
def test_the_deepest_setting_is_walked_without_exhausting_the_stack(kind: str) -> None:
    body = json.dumps(span(attributes=[{"value": nested(64, kind)}])).encode()
    assert transcode(Signal.TRACES, body, 64)


@pytest.mark.parametrize(
    ("name", "signal"),
    [("trace", Signal.TRACES), ("metrics", Signal.METRICS), ("logs", Signal.LOGS), ("events", Signal.LOGS)],
)
def test_the_examples_of_the_protocol_agree_with_the_official_parser(name: str, signal: Signal) -> None:
    path = path_of(f"otlp/{name}.json")
    body = json.loads(path.read_text())
    message = parsed(signal, path.read_bytes())
    assert message.ByteSize() > 100
    assert same(message, twin(signal, body))
