"""Which series points belong to, and points cut out of a request: the kernels against protobuf classes."""

from __future__ import annotations

import random

import numpy as np
import pytest
from corpus import RECEIVED_UNIX_NANO
from corpus_metrics import metrics_requests
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mutants import mutated
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from sonde.ingest.decode import decode
from sonde.ingest.errors import Malformed
from sonde.ingest.limits import Limits
from sonde.ingest.point_cut import without_points
from sonde.ingest.point_series import LABEL_LENGTH, LABEL_START, labels_of_metrics, read_only, series_of_points
from sonde.ingest.scan import merged, scan
from sonde.ingest.signals import Signal
from sonde.ingest.twin_series import series_slowly, without_points_slowly
from test_decode_records import field

from benchmarks import payload

requests = metrics_requests() | metrics_requests(hostile=True)
BODIES = payload.number_requests(3, at_unix_nano=RECEIVED_UNIX_NANO, records=64)


def chosen(points: int, seed: int) -> np.ndarray:
    """Which points to cut: few, many, all or none."""
    rng = random.Random(seed)
    share = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
    return np.array([rng.random() < share for _ in range(points)], np.uint8)


def check(body: bytes, seed: int) -> str:
    """Kernels and twins agree on `body`, if it is a request."""
    try:
        found = scan(Signal.METRICS, body, Limits(), RECEIVED_UNIX_NANO)
    except Malformed:
        return "refused"
    whole = merged(Signal.METRICS, body) if found.repeated else body
    buffer = read_only(whole)
    assert series_of_points(buffer, found.records).tolist() == [list(each) for each in series_slowly(whole)]
    cut = chosen(found.records, seed)
    rest = bytes(without_points(buffer, cut))
    assert ExportMetricsServiceRequest.FromString(rest) == without_points_slowly(whole, cut.tolist())
    again = scan(Signal.METRICS, rest, Limits(), RECEIVED_UNIX_NANO)
    assert again.records == found.records - np.count_nonzero(cut)
    return "repeated" if found.repeated else "kept"


@given(request=requests, seed=st.integers(0, 2**32))
@settings(max_examples=200)
def test_series_and_cuts_agree_with_the_twin(request, seed):
    assert check(request.SerializeToString(), seed) == "kept"


@given(first=requests, second=requests, seed=st.integers(0, 2**32))
def test_requests_one_after_another_are_one_request(first, second, seed):
    assert check(first.SerializeToString() + second.SerializeToString(), seed) == "kept"


@given(request=requests, seed=st.integers(0, 2**32))
@settings(max_examples=300)
def test_mutated_bytes_are_cut_as_the_twin_cuts_them(request, seed):
    check(mutated(random.Random(seed), request.SerializeToString()), seed)


def test_mutants_of_a_payload_are_cut_as_the_twin_cuts_them():
    rng = random.Random(11)
    outcomes = {check(mutated(rng, rng.choice(BODIES)), seed) for seed in range(400)}
    assert {"refused", "kept"} <= outcomes


def test_a_resource_in_two_parts_is_one_resource():
    resource = b"\x0a\x07\x0a\x05\x0a\x01k\x12\x00"
    scope_metrics = b"\x12\x09\x12\x07\x0a\x01m\x2a\x02\x0a\x00"
    assert check(field(1, resource + resource + scope_metrics), 1) == "repeated"


@given(request=requests)
@example(request=ExportMetricsServiceRequest.FromString(BODIES[0]))
def test_a_series_is_the_one_that_is_stored(request):
    body = request.SerializeToString()
    found = decode(Signal.METRICS, [body], [RECEIVED_UNIX_NANO], Limits(max_future_seconds=0))
    if found.records:
        accepted = scan(Signal.METRICS, body, Limits(max_future_seconds=0), RECEIVED_UNIX_NANO)
        if not accepted.rejected_total:
            points = series_of_points(read_only(body), accepted.records)
            assert points[:, 0].tolist() == found.series.ids.tolist()


def test_nothing_cut_is_the_very_same_bytes():
    body = b"".join(BODIES) + field(99, b"from a later version")
    assert bytes(without_points(read_only(body), np.zeros(64 * 3, np.uint8))) == body


def test_everything_cut_leaves_what_is_not_of_points():
    unknown = field(99, b"from a later version")
    assert bytes(without_points(read_only(BODIES[0] + unknown), np.ones(64, np.uint8))) == unknown


@pytest.mark.parametrize("level", ["metric", "scope", "resource", "request"])
def test_fields_of_a_later_version_stay_byte_for_byte(level):
    later = field(77, b"later") + b"\xb8\x0f\x85\x80\x00"  # the second one a varint longer than need be
    point, other = field(1, b""), field(1, field(7, b"\x0a\x01k"))
    body, expected = field(5, point + other), field(5, other)
    for number, name in ((2, "metric"), (2, "scope"), (1, "resource")):
        here = later if level == name else b""
        body, expected = field(number, body + here), field(number, expected + here)
    here = later if level == "request" else b""
    assert bytes(without_points(read_only(body + here), np.array([1, 0], np.uint8))) == expected + here


def test_lengths_keep_their_width():
    """A message of 200 bytes has a length of two bytes, and has it still when 10 are left."""
    long, short = field(1, field(7, b"\x0a\xb4\x01" + b"k" * 180)), field(1, b"")
    body = field(1, field(2, field(2, field(5, long + short))))
    rest = bytes(without_points(read_only(body), np.array([1, 0], np.uint8)))
    assert len(rest) == len(body) - len(long)
    assert ExportMetricsServiceRequest.FromString(rest) == without_points_slowly(body, [1, 0])
    assert scan(Signal.METRICS, rest, Limits(), RECEIVED_UNIX_NANO).records == 1


def test_labels_of_a_metric_are_those_of_its_points_and_resource():
    body = BODIES[0]
    buffer = read_only(body)
    points = series_of_points(buffer, 64)
    names = np.unique(points[:, 1])
    one = labels_of_metrics(buffer, names[:1], 10_000)
    both = labels_of_metrics(buffer, names, 10_000)
    assert len(one.names) == 1
    assert 0 < len(one.labels) < len(both.labels)
    keys = {bytes(buffer[row[LABEL_START] :][: row[LABEL_LENGTH]]) for row in both.labels}
    assert {b"http.route", b"pool.name", b"service.name"} <= keys
    few = labels_of_metrics(buffer, names, 5)
    assert len(few.labels) == 5
    assert few.names.tolist() == both.names.tolist()
