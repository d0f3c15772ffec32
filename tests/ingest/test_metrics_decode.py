"""The metrics kernels against their slow twin: points of every kind and field, whole, hostile, and as mutated bytes."""

from __future__ import annotations

import random

import numpy as np
import pytest
from columns import rows_of, tables_of
from corpus import RECEIVED_UNIX_NANO
from corpus_metrics import metrics, metrics_requests, number_points
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from sonde.ingest.decode import decode
from sonde.ingest.errors import Malformed
from sonde.ingest.limits import Limits, Reason
from sonde.ingest.scan import scan
from sonde.ingest.signals import Signal
from sonde.ingest.twin import resource_service_name
from sonde.ingest.twin_metrics import decode_metrics_slowly, points_slowly
from sonde.storage.native import encode_block
from sonde.storage.schema import table
from test_decode_records import field, messages, mutated, varint

from benchmarks import payload

TIGHT = Limits(
    max_age_seconds=3600, max_future_seconds=60, max_attributes=2, max_buckets=3, max_exemplars=1, max_value_bytes=9
)
requests = metrics_requests() | metrics_requests(hostile=True)


def series_block(decoded):
    """The block of all series of the batch, in the order of their first points."""
    names = {
        identity: resource_service_name(Resource.FromString(message))
        for identity, (message, _) in decoded.resources.items()
    }
    first = np.sort(np.unique(decoded.series.ids, return_index=True)[1])
    portions = decoded.series.portions(first)
    assert np.concatenate(portions).tolist() == first.tolist()
    assert len(portions) == 1
    return decoded.series.block(first, names), len(first)


def assert_same(bodies, limits, received):
    found = decode(Signal.METRICS, bodies, received, limits)
    slow, slow_series = decode_metrics_slowly(bodies, received, limits)
    assert found.records == slow.records
    assert tables_of(found) == tables_of(slow)
    assert messages(found.resources, Resource) == messages(slow.resources, Resource)
    assert messages(found.scopes, InstrumentationScope) == messages(slow.scopes, InstrumentationScope)
    for block in found.blocks:
        encode_block(table(block.table), block.block, block.rows)
    if found.records:
        block, rows = series_block(found)
        assert rows_of(block) == rows_of(slow_series)
        encode_block(table("series"), block, rows)


def assert_same_verdicts(body, limits):
    found = scan(Signal.METRICS, body, limits, RECEIVED_UNIX_NANO)
    reasons = points_slowly([body], [RECEIVED_UNIX_NANO], limits).verdicts
    assert found.records == len(reasons)
    assert found.rejected == tuple(reasons.count(reason) for reason in Reason)
    assert (found.first_rejected < 0) == (found.accepted == found.records)


def request_of(*found: pb.Metric, **above) -> bytes:
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add(metrics=found, **above)
    return request.SerializeToString()


@pytest.mark.parametrize("limits", [Limits(), TIGHT], ids=["default", "tight"])
@given(drawn=st.lists(requests, max_size=2))
def test_columns_and_verdicts_agree_with_the_twin(limits, drawn):
    bodies = [request.SerializeToString() for request in drawn]
    for body in bodies:
        assert_same_verdicts(body, limits)
    assert_same(bodies, limits, [RECEIVED_UNIX_NANO + i for i in range(len(bodies))])


def test_the_benchmark_payload_agrees_with_the_twin():
    bodies = payload.number_requests(2, at_unix_nano=RECEIVED_UNIX_NANO, records=64)
    assert_same(bodies, Limits(), [RECEIVED_UNIX_NANO, RECEIVED_UNIX_NANO + 1])


def judge_mutant(body):
    """Kernel and official parser agree whether `body` is a request; where it is, on everything in it."""
    try:
        ExportMetricsServiceRequest.FromString(body)
        official = True
    except DecodeError:
        official = False
    try:
        scan(Signal.METRICS, body, Limits(), RECEIVED_UNIX_NANO)
        refusal = ""
    except Malformed as malformed:
        refusal = str(malformed)
    if refusal:
        stricter = "a group" in refusal or "too deeply" in refusal
        assert stricter or not official, f"{refusal}: {body.hex()}"
        return "refused"
    assert official, f"the official parser refuses {body.hex()}"
    assert_same_verdicts(body, Limits())
    assert_same([body], Limits(), [RECEIVED_UNIX_NANO])
    return "kept"


@given(request=requests, seed=st.integers(0, 2**32))
@settings(max_examples=200)
def test_mutated_bytes_are_judged_as_the_official_parser_judges(request, seed):
    judge_mutant(mutated(random.Random(seed), request.SerializeToString()))


def test_many_mutants_of_ordinary_requests():
    rng = random.Random(11)
    seeds = payload.number_requests(4, records=8)
    seeds += [every_kind().SerializeToString()] * 4
    outcomes = [judge_mutant(mutated(rng, rng.choice(seeds))) for _ in range(400)]
    assert set(outcomes) == {"refused", "kept"}


@given(some=st.lists(metrics(), min_size=2, max_size=4), above=requests)
def test_data_that_stands_repeatedly_is_merged_as_the_official_parser_merges(some, above):
    """The last kind of the oneof holds, and adjacent ones of a kind are one; Buckets, resources and scopes are merged."""
    merged = b"".join(metric.SerializeToString() for metric in some)
    tops = b"".join(top.SerializeToString() for top in above.resource_metrics)
    below = field(2, field(2, merged) + field(1, field(1, b"name")) + field(1, field(2, b"version")))
    judge_mutant(field(1, tops + below))


@given(points=st.lists(number_points(), min_size=1, max_size=4), both=st.booleans())
def test_of_two_values_in_a_point_the_last_holds(points, both):
    merged = b"".join(point.SerializeToString() for point in points)
    judge_mutant(field(1, field(2, field(2, field(5, field(1, merged))))))


def fixed64(number: int, *values: int) -> bytes:
    return b"".join(varint(number << 3 | 1) + value.to_bytes(8, "little") for value in values)


@pytest.mark.parametrize("style", ["packed", "one by one", "both", "in two runs"])
def test_repeated_numbers_may_be_packed_or_not(style):
    counts = [1, 2, 300, 2**64 - 1]
    words = [value.to_bytes(8, "little") for value in counts]
    runs = {
        "packed": field(6, b"".join(words)) + field(7, b"".join(words[:3])),
        "one by one": fixed64(6, *counts) + fixed64(7, *counts[:3]),
        "both": field(6, b"".join(words[:2]))
        + fixed64(7, counts[0])
        + fixed64(6, *counts[2:])
        + fixed64(7, *counts[1:3]),
        "in two runs": field(6, words[0]) + field(7, b"".join(words[:3])) + field(6, b"".join(words[1:])),
    }
    body = field(1, field(2, field(2, field(9, field(1, runs[style]) + field(1, b"")))))
    assert judge_mutant(body) == "kept"
    block = decode(Signal.METRICS, [body], [RECEIVED_UNIX_NANO], Limits()).blocks[0].block
    rows = rows_of(block)
    assert rows["bucket_counts"] == [counts, []]
    assert [len(bounds) for bounds in rows["explicit_bounds"]] == [3, 0]


@pytest.mark.parametrize("style", ["packed", "one by one", "both"])
def test_exponential_bucket_counts_may_be_packed_or_not(style):
    counts = [1, 200, 3, 2**64 - 1]
    packed = field(2, b"".join(map(varint, counts)))
    single = b"".join(varint(2 << 3) + varint(value) for value in counts)
    buckets = {"packed": packed, "one by one": single, "both": packed + single}[style] + varint(1 << 3) + varint(5)
    body = field(1, field(2, field(2, field(10, field(1, field(8, buckets) + field(9, single))))))
    assert judge_mutant(body) == "kept"
    rows = rows_of(decode(Signal.METRICS, [body], [RECEIVED_UNIX_NANO], Limits()).blocks[0].block)
    assert rows["positive_bucket_counts"] == [counts * (2 if style == "both" else 1)]
    assert rows["negative_bucket_counts"] == [counts]
    assert rows["positive_offset"] == [-3]


def test_a_packed_run_that_is_not_whole_values_is_malformed():
    body = field(1, field(2, field(2, field(9, field(1, field(6, b"1234567"))))))
    assert judge_mutant(body) == "refused"


def test_a_value_of_another_wire_type_is_an_unknown_field():
    wrong = varint(6 << 3) + varint(7) + field(4, b"12345678") + varint(2 << 3) + varint(9)
    body = field(1, field(2, field(2, field(7, field(1, wrong) + varint(2 << 3 | 1) + bytes(8)))))
    assert judge_mutant(body) == "kept"


def every_kind() -> ExportMetricsServiceRequest:
    """A point of each kind, with an exemplar."""
    exemplar = pb.Exemplar(
        time_unix_nano=RECEIVED_UNIX_NANO,
        as_int=-3,
        trace_id=b"1" * 16,
        span_id=b"2" * 8,
        filtered_attributes=[KeyValue(key="k", value=AnyValue(int_value=5))],
    )
    head = {
        "time_unix_nano": RECEIVED_UNIX_NANO,
        "start_time_unix_nano": RECEIVED_UNIX_NANO - 10**9,
        "attributes": [KeyValue(key="route", value=AnyValue(string_value="/api"))],
    }
    buckets = pb.ExponentialHistogramDataPoint.Buckets(offset=-4, bucket_counts=[1, 0, 1000])
    request = ExportMetricsServiceRequest()
    into = request.resource_metrics.add(schema_url="https://s").scope_metrics.add()
    into.scope.name = "shop"
    gauge = into.metrics.add(name="temperature", unit="Cel", description="How warm.")
    gauge.gauge.data_points.add(**head, as_double=21.5, exemplars=[exemplar])
    total = into.metrics.add(name="requests", metadata=[KeyValue(key="m", value=AnyValue(bool_value=True))])
    total.sum.is_monotonic, total.sum.aggregation_temporality = True, 2
    total.sum.data_points.add(**head, as_int=2**53 + 1, exemplars=[exemplar, exemplar])
    total.sum.data_points.add(**head, flags=1)
    histogram = into.metrics.add(name="duration")
    histogram.histogram.aggregation_temporality = 1
    histogram.histogram.data_points.add(
        **head, count=4, sum=1.5, min=0.0, bucket_counts=[1, 3], explicit_bounds=[0.5], exemplars=[exemplar]
    )
    exponential = into.metrics.add(name="size")
    exponential.exponential_histogram.data_points.add(
        **head, count=1001, scale=-2, zero_threshold=1e-9, positive=buckets, negative=buckets, exemplars=[exemplar]
    )
    summary = into.metrics.add(name="latency")
    summary.summary.data_points.add(
        **head, count=7, sum=2.5, quantile_values=[pb.SummaryDataPoint.ValueAtQuantile(quantile=0.5, value=1.25)]
    )
    return request


def test_a_point_of_every_kind_is_decoded_whole():
    body = every_kind().SerializeToString()
    found = tables_of(decode(Signal.METRICS, [body], [RECEIVED_UNIX_NANO], Limits()))
    assert_same([body], Limits(), [RECEIVED_UNIX_NANO])
    assert found["points_number"]["value_remainder"] == [0, 1, 0]
    assert found["points_number"]["value_type"] == [1, 2, 0]
    assert found["points_number"]["flags"] == [0, 0, 1], "a point without a recorded value is kept"
    assert found["points_histogram"]["max"] == [None]
    assert found["points_histogram"]["min"] == [bytes(8)]
    assert found["points_exponential_histogram"]["positive_bucket_counts"] == [[1, 0, 1000]]
    assert found["points_exponential_histogram"]["negative_offset"] == [-4]
    assert found["exemplars"]["trace_id"] == [b"1" * 16] * 5
    assert found["exemplars"]["filtered_attributes_json"] == [[(b"k", b"5")]] * 5


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"time_unix_nano": 0}, None),
        ({"time_unix_nano": RECEIVED_UNIX_NANO - 3601 * 10**9}, Reason.TOO_OLD),
        ({"time_unix_nano": RECEIVED_UNIX_NANO + 61 * 10**9}, Reason.IN_THE_FUTURE),
        ({"time_unix_nano": 1 << 63}, Reason.IN_THE_FUTURE),
        ({"attributes": [KeyValue(key="a")] * 3}, Reason.TOO_MANY_ATTRIBUTES),
        ({"attributes": [KeyValue(key="0123456789")]}, Reason.VALUE_TOO_LONG),
        ({"bucket_counts": [1] * 4}, Reason.TOO_MANY_BUCKETS),
        ({"bucket_counts": [1] * 3}, None),
        ({"explicit_bounds": [1.0] * 4}, Reason.TOO_MANY_BUCKETS),
        ({"exemplars": [pb.Exemplar()] * 2}, Reason.TOO_MANY_EXEMPLARS),
        ({"exemplars": [pb.Exemplar(trace_id=b"1")]}, Reason.INVALID_EXEMPLAR),
        ({"exemplars": [pb.Exemplar(span_id=b"1" * 16)]}, Reason.INVALID_EXEMPLAR),
        ({"exemplars": [pb.Exemplar(span_id=bytes(8), trace_id=bytes(16))]}, None),
        ({"exemplars": [pb.Exemplar(filtered_attributes=[KeyValue()] * 3)]}, Reason.TOO_MANY_ATTRIBUTES),
        ({"exemplars": [pb.Exemplar(span_id=b"1")] * 2, "time_unix_nano": 1}, Reason.TOO_OLD),
    ],
)
def test_a_point_is_refused_for_the_least_of_its_faults(change, reason):
    good = {"time_unix_nano": RECEIVED_UNIX_NANO}
    metric = pb.Metric()
    metric.histogram.data_points.add(**{**good, **change})
    metric.histogram.data_points.add(**good)
    body = request_of(metric)
    found = scan(Signal.METRICS, body, TIGHT, RECEIVED_UNIX_NANO)
    assert found.rejected == tuple(int(each == reason) for each in Reason)
    assert_same_verdicts(body, TIGHT)
    assert_same([body], TIGHT, [RECEIVED_UNIX_NANO])


@pytest.mark.parametrize(
    "fault",
    [{"name": "0123456789"}, {"unit": "0123456789"}, {"description": "0123456789"}, {"metadata": [KeyValue()] * 3}],
    ids=["name", "unit", "description", "metadata"],
)
def test_a_fault_of_a_metric_refuses_its_points_and_no_others(fault):
    bad, good = pb.Metric(**fault), pb.Metric(name="ok")
    for metric in (bad, good):
        metric.gauge.data_points.add(time_unix_nano=RECEIVED_UNIX_NANO)
        metric.gauge.data_points.add(time_unix_nano=1)
    body = request_of(good, bad, good)
    found = scan(Signal.METRICS, body, TIGHT, RECEIVED_UNIX_NANO)
    assert (found.records, found.accepted) == (6, 2)
    assert found.rejected[Reason.TOO_OLD] == 3
    assert_same_verdicts(body, TIGHT)
    assert_same([body], TIGHT, [RECEIVED_UNIX_NANO])


def test_what_identifies_a_series_and_what_does_not():
    def series_ids(change=lambda metric: None, **above):
        metric = pb.Metric(name="n", unit="u", description="d")
        metric.sum.aggregation_temporality = 2
        metric.sum.data_points.add(
            time_unix_nano=RECEIVED_UNIX_NANO,
            attributes=[KeyValue(key=key, value=AnyValue(string_value=key)) for key in "ab"],
        )
        change(metric)
        found = decode(Signal.METRICS, [request_of(metric, **above)], [RECEIVED_UNIX_NANO], Limits())
        return found.series.ids.tolist()[0]

    def reverse(metric):
        attributes = list(metric.sum.data_points[0].attributes)
        del metric.sum.data_points[0].attributes[:]
        metric.sum.data_points[0].attributes.extend(reversed(attributes))

    def other_time(metric):
        metric.sum.data_points[0].time_unix_nano -= 1
        metric.sum.data_points[0].as_int = 5

    changes = {
        "name": lambda metric: setattr(metric, "name", "N"),
        "unit": lambda metric: setattr(metric, "unit", "U"),
        "description": lambda metric: setattr(metric, "description", "D"),
        "temporality": lambda metric: setattr(metric.sum, "aggregation_temporality", 1),
        "monotonic": lambda metric: setattr(metric.sum, "is_monotonic", True),
        "metadata": lambda metric: metric.metadata.add(key="m"),
        "value": lambda metric: metric.sum.data_points[0].attributes[0].value.CopyFrom(AnyValue(bytes_value=b"a")),
        "key": lambda metric: setattr(metric.sum.data_points[0].attributes[0], "key", "c"),
        "more": lambda metric: metric.sum.data_points[0].attributes.add(),
        "kind": lambda metric: metric.gauge.data_points.extend(list(metric.sum.data_points)),
    }
    plain = series_ids()
    assert plain == series_ids(reverse) == series_ids(other_time)
    others = [series_ids(change) for change in changes.values()]
    others += [series_ids(schema_url="s"), series_ids(scope=InstrumentationScope(name="s"))]
    assert len({plain, *others}) == len(others) + 1


def test_metadata_is_repeated_for_every_series_of_its_metric():
    metric = pb.Metric(name="n", metadata=[KeyValue(key="k", value=AnyValue(string_value="v"))])
    metric.metadata.add(key="j", value=AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1)])))
    for i in range(5):
        metric.gauge.data_points.add(attributes=[KeyValue(key="i", value=AnyValue(int_value=i))])
    body = request_of(metric, pb.Metric(name="none"), metric)
    found = decode(Signal.METRICS, [body], [RECEIVED_UNIX_NANO], Limits())
    block, rows = series_block(found)
    assert rows == 5
    assert rows_of(block)["metadata_string"] == [[(b"k", b"v")]] * 5
    assert rows_of(block)["metadata_json"] == [[(b"j", b"[1]")]] * 5


def test_series_with_much_metadata_are_cut_into_portions():
    metric = pb.Metric(metadata=[KeyValue(key="k")] * 1000)
    for i in range(3000):
        metric.gauge.data_points.add(attributes=[KeyValue(key=str(i))])
    found = decode(Signal.METRICS, [request_of(metric)], [RECEIVED_UNIX_NANO], Limits())
    portions = found.series.portions(np.arange(3000))
    assert [len(portion) for portion in portions] == [1048, 1049, 903]
    first, second = (found.series.block(portion, dict.fromkeys(found.resources, b"")) for portion in portions[:2])
    assert rows_of(first)["metadata_json"][0] == rows_of(second)["metadata_json"][-1] == [(b"k", b"null")] * 1000
    assert rows_of(second)["attributes_json"][0] == [(b"1048", b"null")]


def test_values_nest_as_deep_as_the_official_parser_lets_them():
    for depth in (1, 30, 31, 32):
        value = AnyValue(array_value=ArrayValue())
        for level in range(depth - 1):
            outer = AnyValue()
            if level % 2:
                outer.array_value.values.append(value)
            else:
                outer.kvlist_value.values.add(key="k", value=value)
            value = outer
        metric = pb.Metric()
        metric.gauge.data_points.add().exemplars.add(filtered_attributes=[KeyValue(key="k", value=value)])
        assert judge_mutant(request_of(metric)) == ("kept" if depth < 32 else "refused")
