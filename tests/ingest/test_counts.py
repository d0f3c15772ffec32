"""The counts that a frame carries: relied on only where this start's scan gave them, of these bytes; else all is scanned again."""

from __future__ import annotations

import numpy as np
import pytest
from columns import tables_of
from corpus import RECEIVED_UNIX_NANO
from sonde.ingest import counts, decode, scan, signature
from sonde.ingest.accounts import Stream
from sonde.ingest.limits import Limits
from sonde.ingest.segment import Frame, Opened, encode_request, read_segment
from sonde.ingest.signals import Signal

from benchmarks import payload

SEED = 7
REQUESTS = {
    Signal.TRACES: payload.trace_requests(3, at_unix_nano=RECEIVED_UNIX_NANO, records=8),
    Signal.METRICS: payload.number_requests(3, at_unix_nano=RECEIVED_UNIX_NANO, records=8),
    Signal.LOGS: payload.log_requests(3, at_unix_nano=RECEIVED_UNIX_NANO, records=8),
}


def scanned(signal: Signal, body: bytes, limits: Limits | None = None) -> scan.Scan:
    return scan.scan(signal, body, limits or Limits(), RECEIVED_UNIX_NANO)


def frames_of(signal: Signal, bodies: list[bytes], notes: list[bytes] | None = None) -> list[Frame]:
    """The frames of these requests as read from a segment, with the counts of their scans or those in `notes`."""
    content = Opened(Stream("acme", signal.value), Limits(), RECEIVED_UNIX_NANO, "00" * 8, SEED).encode()
    for body, note in zip(bodies, notes or [scanned(signal, body).counts for body in bodies], strict=True):
        content += encode_request(SEED, body, RECEIVED_UNIX_NANO, 1, (), note) + body
    return read_segment(content).frames


@pytest.mark.parametrize("signal", list(Signal))
def test_counts_of_many_requests_are_the_tally_of_a_scan_over_all(signal):
    bodies = REQUESTS[signal]
    tally = counts.total(signal, frames_of(signal, bodies))
    joined = b"".join(bodies)
    ends = np.cumsum([len(body) for body in bodies])
    expected = scan.walk(signal, np.frombuffer(joined, np.uint8), ends, [RECEIVED_UNIX_NANO] * 3, Limits())
    assert tally is not None
    assert tally[counts.PLACES].tolist() == expected[counts.PLACES].tolist()


@pytest.mark.parametrize("signal", list(Signal))
def test_columns_are_the_same_with_counts_and_without(signal):
    bodies, received = REQUESTS[signal], [RECEIVED_UNIX_NANO] * 3
    found = decode.decode(signal, bodies, received, Limits(), counts.total(signal, frames_of(signal, bodies)))
    again = decode.decode(signal, bodies, received, Limits())
    assert found.records == again.records == 24
    assert tables_of(found) == tables_of(again)
    assert (found.resources, found.scopes) == (again.resources, again.scopes)


def test_a_request_with_a_refused_record_has_no_counts():
    found = scanned(Signal.TRACES, REQUESTS[Signal.TRACES][0], Limits(max_attributes=11))
    assert found.rejected_total
    assert found.counts == b""


def test_a_request_that_is_merged_has_no_counts():
    resource = b"\x0a\x00"
    assert scanned(Signal.TRACES, b"\x0a\x02" + resource).counts
    assert scanned(Signal.TRACES, b"\x0a\x04" + resource + resource).counts == b""


def test_refusals_and_counts_stand_side_by_side():
    head = encode_request(SEED, b"x", 1, 1, (0, 2), b"counted")
    content = Opened(Stream("acme", "traces"), Limits(), 1, "00" * 8, SEED).encode() + head + b"x"
    (frame,) = read_segment(content).frames
    assert frame.rejected() == (0, 2)
    assert bytes(frame.counts[signature.SIGNATURE_BYTES :]) == b"counted"


@pytest.mark.parametrize(
    "forge",
    [
        lambda frame: frame._replace(extra=b""),
        lambda frame: frame._replace(extra=b"\x00"),
        lambda frame: frame._replace(extra=b"\x00" + bytes(signature.SIGNATURE_BYTES)),
        lambda frame: frame._replace(extra=bytes(frame.extra[:-1]) + b"\x01"),
        lambda frame: frame._replace(extra=bytes(frame.extra[:-5])),
        lambda frame: frame._replace(identity=bytes(16)),
        lambda frame: frame._replace(body_length=frame.body_length + 1),
    ],
    ids=["nothing", "no signature", "zeros", "another count", "a count less", "another body", "another length"],
)
def test_counts_that_are_not_of_this_body_are_not_taken(forge):
    first, *others = frames_of(Signal.TRACES, REQUESTS[Signal.TRACES])
    assert counts.total(Signal.TRACES, [first, *others]) is not None
    assert counts.total(Signal.TRACES, [forge(first), *others]) is None


def test_counts_of_another_signal_are_not_taken():
    assert counts.total(Signal.LOGS, frames_of(Signal.TRACES, REQUESTS[Signal.TRACES])) is None


def test_counts_of_other_kernels_are_not_taken():
    bodies = REQUESTS[Signal.TRACES]
    notes = [scanned(Signal.TRACES, body).counts for body in bodies]
    notes[1] = notes[1][:1] + bytes(8) + notes[1][9:]
    assert counts.total(Signal.TRACES, frames_of(Signal.TRACES, bodies, notes)) is None


def test_counts_from_before_a_restart_are_not_taken(monkeypatch):
    frames = frames_of(Signal.TRACES, REQUESTS[Signal.TRACES])
    monkeypatch.setattr(signature, "_key", bytes(32))
    assert counts.total(Signal.TRACES, frames) is None


def test_a_process_with_the_same_key_is_believed(monkeypatch):
    frames = frames_of(Signal.TRACES, REQUESTS[Signal.TRACES])
    key = signature.key()
    monkeypatch.setattr(signature, "_key", bytes(32))
    signature.adopt_key(key)
    assert counts.total(Signal.TRACES, frames) is not None
