"""Kernels against their slow twin: spans and log records of every field, whole, hostile, and as mutated bytes."""

from __future__ import annotations

import random

import pytest
from columns import tables_of
from corpus import RECEIVED_UNIX_NANO, any_values, log_records, log_requests, spans, trace_requests
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from mutants import mutated
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from sonde.ingest.decode import decode, warm
from sonde.ingest.errors import Malformed
from sonde.ingest.limits import Limits, Reason
from sonde.ingest.scan import explain, scan
from sonde.ingest.signals import Signal
from sonde.ingest.twin import decode_slowly, judge_slowly
from sonde.storage.native import encode_block
from sonde.storage.schema import table

from benchmarks import payload

TRACES, LOGS = Signal.TRACES, Signal.LOGS
REQUESTS = {TRACES: ExportTraceServiceRequest, LOGS: ExportLogsServiceRequest}
TIGHT = Limits(
    max_age_seconds=3600, max_future_seconds=60, max_attributes=2, max_events=1, max_links=1, max_value_bytes=9
)
SMALL_BODIES = {
    TRACES: [*payload.trace_requests(2, at_unix_nano=RECEIVED_UNIX_NANO, records=16)],
    LOGS: [*payload.log_requests(2, at_unix_nano=RECEIVED_UNIX_NANO, records=16)],
}
requests = {
    TRACES: trace_requests() | trace_requests(hostile=True),
    LOGS: log_requests() | log_requests(hostile=True),
}


def assert_same(signal: Signal, bodies: list[bytes], limits: Limits, received: list[int]) -> None:
    found, slow = decode(signal, bodies, received, limits), decode_slowly(signal, bodies, received, limits)
    assert found.records == slow.records
    assert tables_of(found) == tables_of(slow)
    assert messages(found.resources, Resource) == messages(slow.resources, Resource)
    assert messages(found.scopes, InstrumentationScope) == messages(slow.scopes, InstrumentationScope)
    for block in found.blocks:
        encode_block(table(block.table), block.block, block.rows)


def messages(ranges, kind):
    """What is noted under each fingerprint, its attributes in one order."""
    found = {}
    for identity, (message, schema_url) in ranges.items():
        parsed = kind.FromString(message)
        attributes = sorted(without_presence(attribute).SerializeToString() for attribute in parsed.attributes)
        parsed.ClearField("attributes")
        parsed.DiscardUnknownFields()
        found[identity] = (attributes, parsed.SerializeToString(), schema_url)
    return found


def without_presence(attribute):
    """`attribute` with every value there, since a missing and an empty one mean the same."""
    attribute.DiscardUnknownFields()
    attribute.value.SetInParent()
    give_values(attribute.value)
    return attribute


def give_values(value: AnyValue) -> None:
    for item in value.array_value.values if value.HasField("array_value") else ():
        give_values(item)
    for member in value.kvlist_value.values if value.HasField("kvlist_value") else ():
        without_presence(member)


def assert_same_verdicts(signal: Signal, body: bytes, limits: Limits) -> None:
    found = scan(signal, body, limits, RECEIVED_UNIX_NANO)
    reasons = judge_slowly(signal, body, RECEIVED_UNIX_NANO, limits)
    assert found.records == len(reasons)
    assert found.rejected == tuple(reasons.count(reason) for reason in Reason)
    assert (found.first_rejected < 0) == (found.accepted == found.records)


@pytest.mark.parametrize("signal", [TRACES, LOGS])
@pytest.mark.parametrize("limits", [Limits(), TIGHT], ids=["default", "tight"])
@given(data=st.data())
def test_columns_and_verdicts_agree_with_the_twin(signal, limits, data):
    bodies = [request.SerializeToString() for request in data.draw(st.lists(requests[signal], max_size=2))]
    for body in bodies:
        assert_same_verdicts(signal, body, limits)
    assert_same(signal, bodies, limits, [RECEIVED_UNIX_NANO + i for i in range(len(bodies))])


@pytest.mark.parametrize("signal", [TRACES, LOGS])
def test_the_benchmark_payload_agrees_with_the_twin(signal):
    assert_same(signal, SMALL_BODIES[signal], Limits(), [RECEIVED_UNIX_NANO, RECEIVED_UNIX_NANO + 1])


def test_no_bodies_are_no_records():
    assert decode(TRACES, [], [], Limits()).blocks == []
    assert decode(TRACES, [b"", b""], [1, 2], Limits()).records == 0


def judge_mutant(signal: Signal, body: bytes) -> str:
    """Kernel and official parser agree whether `body` is a request; where it is, on everything in it."""
    try:
        REQUESTS[signal].FromString(body)
        official = True
    except DecodeError:
        official = False
    try:
        scan(signal, body, Limits(), RECEIVED_UNIX_NANO)
        refusal = ""
    except Malformed as malformed:
        refusal = str(malformed)
    if refusal:
        stricter = "a group" in refusal or "too deeply" in refusal
        assert stricter or not official, f"{refusal}: {body.hex()}"
        return "refused"
    assert official, f"the official parser refuses {body.hex()}"
    assert_same_verdicts(signal, body, Limits())
    assert_same(signal, [body], Limits(), [RECEIVED_UNIX_NANO])
    return "kept"


@pytest.mark.parametrize("signal", [TRACES, LOGS])
@given(data=st.data(), seed=st.integers(0, 2**32))
@settings(max_examples=150)
def test_mutated_bytes_are_judged_as_the_official_parser_judges(signal, data, seed):
    body = data.draw(requests[signal]).SerializeToString()
    judge_mutant(signal, mutated(random.Random(seed), body))


@pytest.mark.parametrize("signal", [TRACES, LOGS])
def test_many_mutants_of_ordinary_requests(signal):
    rng = random.Random(11)
    seeds = payload.trace_requests(6, records=8) if signal == TRACES else payload.log_requests(6, records=8)
    outcomes = {judge_mutant(signal, mutated(rng, rng.choice(seeds))) for _ in range(300)}
    assert outcomes == {"refused", "kept"}


@pytest.mark.parametrize("signal", [TRACES, LOGS])
@given(data=st.data())
@settings(max_examples=60)
def test_repeated_singular_messages_are_merged_as_the_official_parser_merges(signal, data):
    """Two resources, scopes and schema URLs, two statuses or bodies, two values of an attribute, two members of a oneof."""
    one, other = (data.draw(requests[signal]).SerializeToString() for _ in range(2))
    values = b"".join(data.draw(st.lists(any_values, min_size=2, max_size=3).map(parts)))
    attribute = (
        field(1, b"k") + field(2, values) + data.draw(st.sampled_from([b"", field(2, values[:0]), field(2, values)]))
    )
    record = data.draw(spans() if signal == TRACES else log_records())
    more = data.draw(spans() if signal == TRACES else log_records())
    merged = b"".join(
        (
            record.SerializeToString(),
            more.SerializeToString(),
            field(9 if signal == TRACES else 6, attribute),
            b"" if signal == TRACES else field(5, values),
        )
    )
    below = field(2, field(2, merged) + field(1, field(1, b"name")) + field(1, field(2, b"version")))
    body = field(1, contents(signal, one) + contents(signal, other) + below)
    assert judge_mutant(signal, body) == "kept"


def parts(values: list[AnyValue]) -> list[bytes]:
    return [value.SerializeToString() for value in values]


def contents(signal: Signal, body: bytes) -> bytes:
    """The fields of all top-level messages of a request, one after another: what is singular in them stands repeatedly."""
    tops = getattr(REQUESTS[signal].FromString(body), "resource_spans" if signal == TRACES else "resource_logs")
    return b"".join(top.SerializeToString() for top in tops)


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"start_time_unix_nano": RECEIVED_UNIX_NANO - 3601 * 10**9}, Reason.TOO_OLD),
        ({"start_time_unix_nano": RECEIVED_UNIX_NANO + 61 * 10**9}, Reason.IN_THE_FUTURE),
        ({"start_time_unix_nano": 1 << 63}, Reason.IN_THE_FUTURE),
        ({"trace_id": b""}, Reason.INVALID_TRACE_ID),
        ({"trace_id": bytes(16)}, Reason.INVALID_TRACE_ID),
        ({"span_id": b"1234567"}, Reason.INVALID_SPAN_ID),
        ({"parent_span_id": b"123456789"}, Reason.INVALID_PARENT_SPAN_ID),
        ({"parent_span_id": bytes(8)}, None),
        ({"links": [Span.Link(trace_id=b"1" * 16, span_id=bytes(8))]}, Reason.INVALID_LINK),
        ({"attributes": [KeyValue(key="a")] * 3}, Reason.TOO_MANY_ATTRIBUTES),
        ({"events": [Span.Event(attributes=[KeyValue(key="a")] * 3)]}, Reason.TOO_MANY_ATTRIBUTES),
        ({"events": [Span.Event()] * 2}, Reason.TOO_MANY_EVENTS),
        ({"links": [Span.Link(trace_id=b"1" * 16, span_id=b"1" * 8)] * 2}, Reason.TOO_MANY_LINKS),
        ({"name": "0123456789"}, Reason.VALUE_TOO_LONG),
        ({"name": "012345678"}, None),
        ({"status": Status(message="0123456789")}, Reason.VALUE_TOO_LONG),
        ({"attributes": [KeyValue(key="a", value=AnyValue(bytes_value=bytes(10)))]}, Reason.VALUE_TOO_LONG),
        ({"span_id": b"", "trace_id": b""}, Reason.INVALID_TRACE_ID),
    ],
)
def test_a_span_is_refused_for_the_first_of_its_faults(change, reason):
    span = Span(trace_id=b"1" * 16, span_id=b"1" * 8, start_time_unix_nano=RECEIVED_UNIX_NANO)
    changed = Span(**{name: change.get(name, getattr(span, name)) for name in {*change, "trace_id", "span_id"}})
    if "start_time_unix_nano" not in change:
        changed.start_time_unix_nano = RECEIVED_UNIX_NANO
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add(spans=[changed, span])
    body = request.SerializeToString()
    found = scan(TRACES, body, TIGHT, RECEIVED_UNIX_NANO)
    assert found.rejected == tuple(int(each == reason) for each in Reason)
    assert decode(TRACES, [body], [RECEIVED_UNIX_NANO], TIGHT).records == found.accepted
    assert (explain(found, TRACES) == "") == (reason is None)
    assert reason is None or reason.label in explain(found, TRACES)


@pytest.mark.parametrize("where", ["resource", "scope", "resource_url", "scope_url"])
def test_a_fault_above_refuses_every_record_beneath_and_no_other(where):
    request = ExportTraceServiceRequest()
    span = Span(trace_id=b"1" * 16, span_id=b"1" * 8, start_time_unix_nano=RECEIVED_UNIX_NANO)
    bad_span = Span(span_id=b"1" * 8, start_time_unix_nano=RECEIVED_UNIX_NANO)
    many, long = [KeyValue(key="a")] * 3, "0123456789"
    top = request.resource_spans.add(
        resource=Resource(attributes=many if where == "resource" else []),
        schema_url=long if where == "resource_url" else "",
    )
    top.scope_spans.add(
        scope=InstrumentationScope(attributes=many if where == "scope" else []),
        spans=[span, bad_span, span],
        schema_url=long if where == "scope_url" else "",
    )
    top.scope_spans.add(spans=[span])
    request.resource_spans.add().scope_spans.add(spans=[span])
    body = request.SerializeToString()
    assert_same_verdicts(TRACES, body, TIGHT)
    assert_same(TRACES, [body], TIGHT, [RECEIVED_UNIX_NANO])
    assert scan(TRACES, body, TIGHT, RECEIVED_UNIX_NANO).records == 5


def test_values_nest_as_deep_as_the_limit_and_no_deeper():
    for depth in (1, 2, 31, 32, 33, 40):
        value = AnyValue(string_value="x")
        for level in range(depth - 1):
            outer = AnyValue()
            if level % 2:
                outer.array_value.values.append(value)
            else:
                outer.kvlist_value.values.add(key="k", value=value)
            value = outer
        request = ExportTraceServiceRequest()
        span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"1" * 16, span_id=b"1" * 8)
        span.events.add().attributes.add(key="k", value=value)
        body = request.SerializeToString()
        if depth <= 32:
            assert_same(TRACES, [body], Limits(), [RECEIVED_UNIX_NANO])
        else:
            with pytest.raises(Malformed, match="nested too deeply, at byte"):
                scan(TRACES, body, Limits(), RECEIVED_UNIX_NANO)


@pytest.mark.parametrize("inner", [b"", field(5, b""), field(6, b""), field(6, field(1, b"")), field(5, field(1, b""))])
def test_the_deepest_message_that_is_accepted_the_official_parser_accepts_too(inner):
    for depth in range(30, 36):
        value = inner
        for _ in range(depth - 1):
            value = field(6, field(1, field(2, value)))
        event = field(3, field(2, value))
        body = field(1, field(2, field(2, field(1, b"1" * 16) + field(2, b"1" * 8) + field(11, event))))
        judge_mutant(TRACES, body)


def test_a_malformed_request_is_refused_with_the_place():
    body = SMALL_BODIES[TRACES][0]
    with pytest.raises(
        Malformed, match=r"ExportTraceServiceRequest: a field ends beyond the message it is in, at byte \d+"
    ):
        scan(TRACES, body[:-1], Limits(), RECEIVED_UNIX_NANO)
    with pytest.raises(Malformed, match="at byte 0"):
        scan(TRACES, b"\x00" + body, Limits(), RECEIVED_UNIX_NANO)


def test_each_body_keeps_to_itself_and_to_its_own_time_of_receipt():
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"1" * 16, span_id=b"1" * 8)
    body = request.SerializeToString()
    found = decode(TRACES, [body, b"", body], [5, 6, 7], Limits())
    assert found.blocks[0].block["time"].tolist() == [5, 7]
    assert found.blocks[0].block["time_source"].tolist() == [2, 2]
    with pytest.raises(Malformed):
        decode(TRACES, [body[:-3], body], [5, 6], Limits())


def test_warm_names_every_step():
    steps = []
    warm(lambda what, step, total: steps.append((what, step, total)))
    assert [step for _, step, _ in steps] == list(range(len(steps)))
    assert {total for _, _, total in steps} == {len(steps)}
    assert {"scan traces", "decode logs"} <= {what for what, _, _ in steps}
