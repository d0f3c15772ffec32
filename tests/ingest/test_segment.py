"""The segment file: readable OTLP, and never a frame that is not whole."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sonde.ingest.accounts import Count, Stream, Tally
from sonde.ingest.limits import Limits, Reason
from sonde.ingest.segment import (
    FORMAT,
    Contents,
    DamagedSegment,
    Opened,
    TornAtStart,
    encode_refusals,
    encode_request,
    encode_sealed,
    read_segment,
    sealed_tally,
)

SEED = 0x0123_4567_89AB_CDEF
OPENED = Opened(Stream("acme", "traces"), Limits(max_events=7), 1_700_000_000_000_000_000, "00" * 8, SEED)


def request(name: str) -> bytes:
    message = ExportTraceServiceRequest()
    message.resource_spans.add().scope_spans.add().spans.add(name=name, trace_id=b"t" * 16, span_id=b"s" * 8)
    return message.SerializeToString()


def segment_of(*bodies: bytes, sealed: bool = False) -> tuple[bytes, list[int]]:
    """A segment with one accepted record a body, and where each of its frames ends."""
    content = OPENED.encode()
    ends = [len(content)]
    tally = Tally()
    for body in bodies:
        content += encode_request(SEED, body, 42, 1, ()) + body
        tally.add_request(1, ())
        ends.append(len(content))
    if sealed:
        content += encode_sealed(SEED, tally)
        ends.append(len(content))
    return content, ends


def bodies_of(contents: Contents) -> list[bytes]:
    return [bytes(contents.body(frame)) for frame in contents.frames]


def test_a_segment_is_itself_an_otlp_message():
    bodies = [request("a"), request("b")]
    content, _ = segment_of(*bodies, sealed=True)
    parsed = ExportTraceServiceRequest.FromString(content)
    assert [spans.scope_spans[0].spans[0].name for spans in parsed.resource_spans] == ["a", "b"]
    parsed.DiscardUnknownFields()
    assert parsed == ExportTraceServiceRequest.FromString(b"".join(bodies))


def test_what_was_written_is_read():
    rejected = tuple(3 if reason is Reason.TOO_OLD else 0 for reason in Reason)
    body = request("a")
    content = OPENED.encode()
    content += encode_request(SEED, body, 42, 1, rejected) + body
    content += encode_request(SEED, b"", 43, 0, rejected)
    content += encode_refusals(SEED, {"malformed": (2, 0), "spool_full": (1, 512)})
    contents = read_segment(content)
    assert contents.opened == OPENED
    assert bodies_of(contents) == [body, b"", b""]
    assert [frame.received_unix_nano for frame in contents.frames[:2]] == [42, 43]
    assert contents.frames[0].rejected() == (3,)
    assert contents.tally == Tally(
        Count(1, 1), {"too_old": Count(1, 6), "malformed": Count(2, 0), "spool_full": Count(1, 512)}
    )
    assert contents.tally.received == Count(5, 519)
    assert not contents.sealed


def test_identity_is_the_bodys_alone():
    content = (
        OPENED.encode() + encode_request(SEED, b"x", 1, 1, ()) + b"x" + encode_request(SEED, b"x", 2, 1, ()) + b"x"
    )
    first, second = read_segment(content).frames
    assert first.identity == second.identity
    assert len(first.identity) == 16


def test_a_tail_torn_at_any_byte_is_left_out():
    content, ends = segment_of(request("a"), request("b"), request("c"))
    for cut in range(len(content)):
        if cut < ends[0]:
            with pytest.raises(TornAtStart):
                read_segment(content[:cut])
            continue
        contents = read_segment(content[:cut])
        assert contents.end == max(end for end in ends if end <= cut)
        assert len(contents.frames) == ends.index(contents.end)


def test_a_tail_of_zeros_is_a_torn_tail():
    content, ends = segment_of(request("a"))
    assert read_segment(content + bytes(5000)).end == ends[-1]


def test_any_changed_byte_is_noticed():
    content, ends = segment_of(request("a"), request("b"), sealed=True)
    original = bodies_of(read_segment(content))
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 0x40
        try:
            contents = read_segment(bytes(changed))
        except DamagedSegment:
            continue
        # Only damage to the last frame can pass, as a torn tail: that frame repeats what the others say.
        assert position >= ends[-2]
        assert bodies_of(contents) == original
        assert not contents.sealed


def test_damage_before_a_whole_frame_is_no_torn_tail():
    content, ends = segment_of(request("a"), request("b"))
    changed = bytearray(content)
    changed[ends[1] - 1] ^= 1
    with pytest.raises(DamagedSegment, match=f"bytes {ends[0]} to {ends[1]}"):
        read_segment(bytes(changed))


def test_a_body_that_holds_a_frame_is_not_taken_for_one():
    forged = encode_request(0, b"", 1, 1, ()) + OPENED.encode()
    content, ends = segment_of(request("a"), forged)
    assert len(read_segment(content).frames) == 2
    torn = read_segment(content[:-1])  # the forged frames are whole, but the one they lie in is torn
    assert torn.end == ends[1]


def test_a_sealed_segment_with_a_frame_missing_is_damaged():
    content, ends = segment_of(request("a"), request("b"), sealed=True)
    with pytest.raises(DamagedSegment, match="was sealed with"):
        read_segment(content[: ends[1]] + content[ends[2] :])


def test_the_tally_is_found_at_the_end_alone():
    content, ends = segment_of(request("a"), request("b"), sealed=True)
    assert sealed_tally(OPENED, content[-4096:]) == Tally(Count(2, 2))
    assert sealed_tally(OPENED, content[ends[0] :]) == Tally(Count(2, 2))
    assert sealed_tally(OPENED, content[:-1]) is None
    assert sealed_tally(OPENED, content[: ends[2]]) is None


def test_a_segment_of_a_newer_format_says_so():
    newer = Opened(OPENED.stream, OPENED.limits, 1, "00" * 8, SEED, format=FORMAT + 1)
    with pytest.raises(DamagedSegment, match=f"format {FORMAT + 1}"):
        read_segment(newer.encode())


@pytest.mark.parametrize(
    "text", [b"{}", b"[]", b"nonsense", b'{"format": 1, "stream": ["a", "traces"], "limits": {"new": 1}}']
)
def test_an_opened_frame_that_makes_no_sense_is_damage(text: bytes):
    from sonde.ingest.segment import Kind, encode_head

    with pytest.raises(DamagedSegment):
        read_segment(encode_head(Kind.OPENED, seed=0, extra=text))
