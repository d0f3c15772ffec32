"""What a remote-write request becomes in OTLP, for both versions; and that hostile ones are refused in words."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutants import mutated
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from remote_write_messages import NOW_MS, ONE, TWO, Symbols, request_1, series_1
from sonde.ingest.errors import Malformed
from sonde.ingest.limits import Limits, Reason
from sonde.ingest.remote_write import Transcoded, Transcoder, Version
from sonde.ingest.scan import scan
from sonde.ingest.signals import Signal

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
NANO = 1_000_000
UP = {"__name__": "up", "instance": "a:1", "job": "shop"}
SPAN_1, SPAN_2 = ONE["BucketSpan"], TWO["BucketSpan"]


@pytest.fixture
def transcoder(tmp_path: Path) -> Transcoder:
    return Transcoder(tmp_path)


def transcode(transcoder: Transcoder, version: Version, body: bytes, max_buckets: int = 160) -> Transcoded:
    """What is made of `body`: a request in which the scan finds all that is said to be in it, and nothing to refuse."""
    made = transcoder.transcode(version, "default", body, max_buckets)
    found = scan(Signal.METRICS, made.body, Limits(max_future_seconds=0), 10**18)
    assert found.rejected_total == 0
    assert found.records >= made.samples + made.histograms
    return made


def metrics_of(made: Transcoded) -> list[Any]:
    return [
        metric
        for resource in ExportMetricsServiceRequest.FromString(made.body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


def one_metric(made: Transcoded) -> Any:
    assert made.refusals.explain() == ""
    (metric,) = metrics_of(made)
    return metric


def texts(attributes: Any) -> dict[str, str]:
    return {each.key: each.value.string_value for each in attributes}


def sent_twice(transcoder: Transcoder, version: Version, body: bytes) -> Any:
    """The metric of `body`, which is the same whether or not its labels are known already."""
    first = transcode(transcoder, version, body)
    second = transcode(transcoder, version, body)
    assert metrics_of(first) == metrics_of(second)
    assert (first.samples, first.exemplars) == (second.samples, second.exemplars)
    return one_metric(second)


# Samples.


@pytest.mark.parametrize("value", [1.5, 0.0, -0.0, float("inf"), -1e-300])
def test_a_sample_of_1_0_is_a_point_of_a_gauge_with_its_labels_verbatim(transcoder: Transcoder, value: float) -> None:
    metric = sent_twice(transcoder, Version.V1, request_1(series_1(UP, [(value, NOW_MS)])))
    assert (metric.name, texts(metric.metadata)) == ("up", {"prometheus.type": "unknown"})
    (point,) = metric.gauge.data_points
    assert texts(point.attributes) == {"instance": "a:1", "job": "shop"}
    assert struct.pack("<d", point.as_double) == struct.pack("<d", value)
    assert (point.WhichOneof("value"), point.time_unix_nano, point.flags) == ("as_double", NOW_MS * NANO, 0)


@pytest.mark.parametrize("started", [0, NOW_MS - 5000], ids=["unknown start", "known start"])
@pytest.mark.parametrize("value", [7.0, 0.0])
def test_a_counter_of_2_0_is_a_cumulative_sum_with_its_start(
    transcoder: Transcoder, value: float, started: int
) -> None:
    symbols = Symbols()
    series = symbols.series(UP, [(value, NOW_MS, started)], (1, "Whether it is up.", "ratio"))
    metric = sent_twice(transcoder, Version.V2, symbols.request(series))
    assert (metric.name, metric.description, metric.unit) == ("up", "Whether it is up.", "ratio")
    assert texts(metric.metadata) == {"prometheus.type": "counter"}
    assert metric.sum.is_monotonic
    assert metric.sum.aggregation_temporality == 2
    (point,) = metric.sum.data_points
    assert (point.as_double, point.time_unix_nano) == (value, NOW_MS * NANO)
    assert point.start_time_unix_nano == started * NANO
    assert texts(point.attributes) == {"instance": "a:1", "job": "shop"}


def test_more_symbols_than_a_byte_can_name_are_looked_up(transcoder: Transcoder) -> None:
    symbols = Symbols()
    names = [{"__name__": "m", "n": f"value {number}"} for number in range(400)]
    body = symbols.request(*[symbols.series(labels, [(1.0, NOW_MS)], (2, "", "")) for labels in names])
    for _ in range(2):
        made = transcode(transcoder, Version.V2, body)
        assert made.samples == 400
        assert [texts(metric.gauge.data_points[0].attributes)["n"] for metric in metrics_of(made)] == [
            labels["n"] for labels in names
        ]


def test_the_created_timestamp_of_a_series_is_the_start_of_its_samples(transcoder: Transcoder) -> None:
    symbols = Symbols()
    series = symbols.series(UP, [(1.0, NOW_MS), (2.0, NOW_MS + 1)], created_timestamp=NOW_MS - 9)
    points = sent_twice(transcoder, Version.V2, symbols.request(series)).gauge.data_points
    assert [point.start_time_unix_nano for point in points] == [(NOW_MS - 9) * NANO] * 2


def test_a_stale_marker_is_a_point_without_a_recorded_value_and_another_nan_stays_a_value(
    transcoder: Transcoder,
) -> None:
    body = request_1(
        series_1(UP, [(1.0, NOW_MS)]), series_1(UP, [(STALE, NOW_MS + 1)]), series_1(UP, [(float("nan"), NOW_MS + 2)])
    )
    transcode(transcoder, Version.V1, body)
    points = [metric.gauge.data_points[0] for metric in metrics_of(transcode(transcoder, Version.V1, body))]
    assert [(point.flags, point.WhichOneof("value")) for point in points] == [
        (0, "as_double"),
        (1, None),
        (0, "as_double"),
    ]


def test_metadata_of_1_0_is_remembered_for_the_samples_that_follow_and_after_a_restart(tmp_path: Path) -> None:
    told = [
        ONE["MetricMetadata"](type=1, metric_family_name="requests_total", help="Requests.", unit=""),
        ONE["MetricMetadata"](type=3, metric_family_name="latency_seconds", help="Latency.", unit="seconds"),
    ]
    first = Transcoder(tmp_path)
    counter = request_1(series_1({"__name__": "requests_total"}, [(1.0, NOW_MS)]))
    assert texts(sent_twice(first, Version.V1, counter).metadata) == {"prometheus.type": "unknown"}
    assert transcode(first, Version.V1, request_1(metadata=told)).body == b""
    for transcoder in (first, Transcoder(tmp_path)):
        metric = sent_twice(transcoder, Version.V1, counter)
        assert (metric.description, texts(metric.metadata), metric.sum.is_monotonic) == (
            "Requests.",
            {"prometheus.type": "counter"},
            True,
        )
        bucket = request_1(series_1({"__name__": "latency_seconds_bucket", "le": "1"}, [(1.0, NOW_MS)]))
        metric = sent_twice(transcoder, Version.V1, bucket)
        assert (metric.unit, texts(metric.metadata)) == ("seconds", {"prometheus.type": "histogram"})
        other = transcoder.transcode(Version.V1, "other", counter, 10)
        assert texts(metrics_of(other)[0].metadata) == {"prometheus.type": "unknown"}


# Exemplars.


def test_exemplars_go_to_the_last_sample_and_ids_in_hex_become_ids(transcoder: Transcoder) -> None:
    series = series_1(UP, [(1.0, NOW_MS), (2.0, NOW_MS + 1)])
    labels = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", "user": "ä"}
    exemplar = series.exemplars.add(value=0.5, timestamp=NOW_MS + 1)
    for name, value in labels.items():
        exemplar.labels.add(name=name, value=value)
    series.exemplars.add(value=0.7).labels.add(name="trace_id", value="0AF7651916CD43DD8448EB211C80319C")
    made = transcode(transcoder, Version.V1, request_1(series))
    first, last = one_metric(made).gauge.data_points
    assert (made.samples, made.exemplars, len(first.exemplars)) == (2, 2, 0)
    one, two = last.exemplars
    assert (one.trace_id.hex(), one.span_id.hex()) == (labels["trace_id"], labels["span_id"])
    assert (one.as_double, one.time_unix_nano, texts(one.filtered_attributes)) == (
        0.5,
        (NOW_MS + 1) * NANO,
        {"user": "ä"},
    )
    assert (two.trace_id, texts(two.filtered_attributes)) == (b"", {"trace_id": "0AF7651916CD43DD8448EB211C80319C"})


def test_exemplars_without_a_sample_come_on_a_point_that_is_none(transcoder: Transcoder) -> None:
    symbols = Symbols()
    exemplar = TWO["Exemplar"](labels_refs=symbols.refs({"user": "x"}), value=3.0, timestamp=NOW_MS)
    made = transcode(transcoder, Version.V2, symbols.request(symbols.series(UP, exemplars=[exemplar])))
    (point,) = one_metric(made).gauge.data_points
    assert (point.WhichOneof("value"), point.flags, point.time_unix_nano) == (None, 0, NOW_MS * NANO)
    assert texts(point.exemplars[0].filtered_attributes) == {"user": "x"}
    assert (made.samples, made.exemplars) == (0, 1)


# Native histograms.


def sparse(made: Any) -> dict[int, int]:
    """Prometheus' bucket indexes of an OTLP Buckets."""
    return {made.offset + 1 + place: count for place, count in enumerate(made.bucket_counts) if count}


INT_HISTOGRAM: dict[str, Any] = {
    "count_int": 21,
    "sum": 18.5,
    "schema": 3,
    "zero_threshold": 0.001,
    "zero_count_int": 2,
    "positive_deltas": [1, 2, -2, 6],  # 1 3 1 7
    "negative_deltas": [3, 4],  # 3 7
    "timestamp": NOW_MS,
}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("hint", "temporality", "kind"), [(0, 2, "histogram"), (1, 2, "histogram"), (3, 0, "gaugehistogram")]
)
def test_an_integer_histogram_keeps_every_field(
    transcoder: Transcoder, version: int, hint: int, temporality: int, kind: str
) -> None:
    span = SPAN_1 if version == 1 else SPAN_2
    spans = {
        "positive_spans": [span(offset=-2, length=2), span(offset=3, length=2)],
        "negative_spans": [span(offset=0, length=1), span(offset=0, length=1)],
    }
    fields = {**INT_HISTOGRAM, **spans, "reset_hint": hint}
    if version == 1:
        body = request_1(series_1(UP, histograms=[ONE["Histogram"](**fields)]))
    else:
        symbols = Symbols()
        histogram = TWO["Histogram"](**fields, start_timestamp=NOW_MS - 7)
        body = symbols.request(symbols.series(UP, histograms=[histogram]))
    metric = sent_twice(transcoder, Version.V1 if version == 1 else Version.V2, body)
    assert texts(metric.metadata) == {"prometheus.type": kind}
    assert metric.exponential_histogram.aggregation_temporality == temporality
    (point,) = metric.exponential_histogram.data_points
    assert (point.count, point.sum, point.scale, point.zero_count, point.zero_threshold) == (21, 18.5, 3, 2, 0.001)
    assert sparse(point.positive) == {-2: 1, -1: 3, 3: 1, 4: 7}
    assert sparse(point.negative) == {0: 3, 1: 7}
    assert point.time_unix_nano == NOW_MS * NANO
    assert point.start_time_unix_nano == (0 if version == 1 else (NOW_MS - 7) * NANO)


def test_a_float_histogram_is_given_back_bit_by_bit(transcoder: Transcoder) -> None:
    counts = [0.25, 1e300, 2.0]
    histogram = ONE["Histogram"](
        count_float=2.5, sum=-1.0, schema=-4, zero_count_float=0.125, positive_counts=counts, timestamp=NOW_MS,
        positive_spans=[SPAN_1(offset=5, length=3)], negative_spans=[SPAN_1(offset=-1, length=1)], negative_counts=[0.1],
    )  # fmt: skip
    metric = sent_twice(transcoder, Version.V1, request_1(series_1(UP, histograms=[histogram])))
    assert texts(metric.metadata) == {"prometheus.type": "histogram", "prometheus.counts": "float64"}
    (point,) = metric.exponential_histogram.data_points

    def doubles(values: Sequence[int]) -> list[float]:
        return list(struct.unpack(f"<{len(values)}d", struct.pack(f"<{len(values)}Q", *values)))

    assert doubles([point.count, point.zero_count]) == [2.5, 0.125]
    assert doubles(point.positive.bucket_counts) == counts
    assert doubles(point.negative.bucket_counts) == [0.1]
    assert (point.positive.offset, point.negative.offset, point.scale) == (4, -2, -4)


def test_custom_buckets_are_explicit_ones(transcoder: Transcoder) -> None:
    histogram = ONE["Histogram"](
        count_int=6, sum=9.0, schema=-53, custom_values=[0.5, 1.0, 5.0], timestamp=NOW_MS,
        positive_spans=[SPAN_1(offset=1, length=1), SPAN_1(offset=1, length=1)], positive_deltas=[2, 2],
    )  # fmt: skip
    metric = sent_twice(transcoder, Version.V1, request_1(series_1(UP, histograms=[histogram])))
    assert texts(metric.metadata) == {"prometheus.type": "nhcb"}
    (point,) = metric.histogram.data_points
    assert list(point.explicit_bounds) == [0.5, 1.0, 5.0]
    assert list(point.bucket_counts) == [0, 2, 0, 4]
    assert (point.count, point.sum) == (6, 9.0)


def test_a_stale_histogram_has_no_recorded_value(transcoder: Transcoder) -> None:
    histogram = ONE["Histogram"](sum=STALE, timestamp=NOW_MS)
    (point,) = sent_twice(
        transcoder, Version.V1, request_1(series_1(UP, histograms=[histogram]))
    ).exponential_histogram.data_points
    assert (point.flags, point.HasField("sum"), point.time_unix_nano) == (1, False, NOW_MS * NANO)


BAD_HISTOGRAMS: list[tuple[str, dict[str, Any], Reason, str]] = [
    ("schema", {"schema": 53}, Reason.INVALID_HISTOGRAM, "schema 53"),
    (
        "fewer counts than buckets",
        {"positive_spans": [SPAN_1(length=2)], "positive_deltas": [1]},
        Reason.INVALID_HISTOGRAM,
        "2 buckets",
    ),
    (
        "a length of 4 G",
        {"positive_spans": [SPAN_1(length=2**32 - 1)], "positive_deltas": [1]},
        Reason.INVALID_HISTOGRAM,
        "4294967295",
    ),
    (
        "below zero",
        {"positive_spans": [SPAN_1(length=2)], "positive_deltas": [1, -2]},
        Reason.INVALID_HISTOGRAM,
        "below zero",
    ),
    (
        "more than 64 bits",
        {"positive_spans": [SPAN_1(length=3)], "positive_deltas": [2**63 - 1] * 3},
        Reason.INVALID_HISTOGRAM,
        "64 bits",
    ),
    (
        "spans that overlap",
        {"positive_spans": [SPAN_1(length=1), SPAN_1(offset=-1, length=1)], "positive_deltas": [1, 1]},
        Reason.INVALID_HISTOGRAM,
        "a span begins before",
    ),
    (
        "too far apart",
        {"positive_spans": [SPAN_1(length=1), SPAN_1(offset=10**6, length=1)], "positive_deltas": [1, 1]},
        Reason.TOO_MANY_BUCKETS,
        "max_buckets",
    ),
    (
        "too many",
        {"positive_spans": [SPAN_1(length=500)], "positive_deltas": [0] * 500},
        Reason.TOO_MANY_BUCKETS,
        "max_buckets",
    ),
    (
        "no index so large",
        {"positive_spans": [SPAN_1(offset=2**31 - 1, length=1)], "positive_deltas": [1]},
        Reason.INVALID_HISTOGRAM,
        "no index",
    ),
    ("mixed counts", {"count_int": 1, "zero_count_float": 1.0}, Reason.INVALID_HISTOGRAM, "zero_count"),
    ("mixed buckets", {"count_int": 1, "positive_counts": [1.0]}, Reason.INVALID_HISTOGRAM, "floats"),
    ("bounds in disorder", {"schema": -53, "custom_values": [2.0, 1.0]}, Reason.INVALID_HISTOGRAM, "ascending"),
    (
        "a bound that is no number",
        {"schema": -53, "custom_values": [float("nan")]},
        Reason.INVALID_HISTOGRAM,
        "ascending",
    ),
    (
        "beyond its bounds",
        {"schema": -53, "custom_values": [1.0], "positive_spans": [SPAN_1(offset=2, length=1)], "positive_deltas": [1]},
        Reason.INVALID_HISTOGRAM,
        "custom ones",
    ),
    (
        "custom and negative",
        {"schema": -53, "negative_spans": [SPAN_1(length=1)], "negative_deltas": [1]},
        Reason.INVALID_HISTOGRAM,
        "neither",
    ),
    ("before 1970", {"timestamp": -1}, Reason.TOO_OLD, "1970"),
]


@pytest.mark.parametrize(
    ("fields", "reason", "said"), [case[1:] for case in BAD_HISTOGRAMS], ids=[case[0] for case in BAD_HISTOGRAMS]
)
def test_a_histogram_that_contradicts_itself_is_refused_and_the_rest_kept(
    transcoder: Transcoder, fields: dict[str, Any], reason: Reason, said: str
) -> None:
    bad = ONE["Histogram"](**{"timestamp": NOW_MS, **fields})
    good = ONE["Histogram"](timestamp=NOW_MS, count_int=0)
    body = request_1(series_1(UP, histograms=[bad, good]), series_1(UP, [(1.0, NOW_MS)]))
    made = transcode(transcoder, Version.V1, body)
    assert (made.samples, made.histograms) == (1, 1)
    assert made.refusals.counts[reason] == made.refusals.records == 1
    assert said in made.refusals.explain()
    assert 'up{instance="a:1", job="shop"}' in made.refusals.explain()


# Labels.


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([("job", "a")], "__name__ is missing"),
        ([("__name__", "")], "__name__ is missing"),
        ([], "__name__ is missing"),
        ([("__name__", "m"), ("a", "1"), ("a", "2")], "the label a stands twice"),
        ([("__name__", "m"), ("", "1")], "a label has no name"),
    ],
)
@pytest.mark.parametrize("version", list(Version))
def test_a_series_with_labels_that_name_none_is_refused_and_named(
    transcoder: Transcoder, version: Version, labels: list[tuple[str, str]], said: str
) -> None:
    if version == Version.V1:
        bad = ONE["TimeSeries"](
            labels=[ONE["Label"](name=name, value=value) for name, value in labels],
            samples=[ONE["Sample"](value=1, timestamp=NOW_MS)] * 3,
        )
        body = request_1(bad, series_1(UP, [(1.0, NOW_MS)]))
    else:
        symbols = Symbols()
        bad = symbols.series({}, [(1.0, NOW_MS)] * 3)
        bad.labels_refs.extend(symbols.ref(text) for pair in labels for text in pair)
        body = symbols.request(bad, symbols.series(UP, [(1.0, NOW_MS)]))
    made = transcode(transcoder, version, body)
    assert (made.samples, made.refusals.counts[Reason.INVALID_LABELS]) == (1, 3)
    assert said in made.refusals.explain()


def test_labels_may_be_in_any_order_and_empty_values_are_none(transcoder: Transcoder) -> None:
    body = request_1(series_1({"z": "1", "__name__": "m", "gone": "", "a": "2"}, [(1.0, NOW_MS)]))
    assert texts(sent_twice(transcoder, Version.V1, body).gauge.data_points[0].attributes) == {"z": "1", "a": "2"}


def test_text_that_is_not_utf_8_refuses_its_series_alone(transcoder: Transcoder) -> None:
    body = request_1(series_1({"__name__": "m", "a": "XX"}, [(1.0, NOW_MS)]), series_1(UP, [(1.0, NOW_MS)]))
    made = transcode(transcoder, Version.V1, body.replace(b"XX", b"\xff\xfe"))
    assert (made.samples, made.refusals.counts[Reason.INVALID_LABELS]) == (1, 1)
    assert "not UTF-8" in made.refusals.explain()


@pytest.mark.parametrize("refs", [[1, 99], [2**32 - 1, 1], [1], [1, 2, 3]])
def test_references_to_nothing_refuse_their_series_alone(transcoder: Transcoder, refs: list[int]) -> None:
    symbols = Symbols()
    good = symbols.series(UP, [(1.0, NOW_MS)])
    bad = TWO["TimeSeries"](labels_refs=refs, samples=[TWO["Sample"](value=1, timestamp=NOW_MS)])
    for _ in range(2):
        made = transcode(transcoder, Version.V2, symbols.request(good, bad))
        assert (made.samples, made.refusals.counts[Reason.INVALID_LABELS]) == (1, 1)


@pytest.mark.parametrize("timestamp", [0, -1, 2**63 - 1])
def test_times_that_otlp_does_not_have_are_refused(transcoder: Transcoder, timestamp: int) -> None:
    made = transcode(transcoder, Version.V1, request_1(series_1(UP, [(1.0, timestamp), (2.0, NOW_MS)])))
    assert (made.samples, made.refusals.records) == (1, 1)


# Any bytes.


@st.composite
def requests(draw: Any) -> bytes:
    """Requests of 1.0 of few names, so that labels come again, and with numbers of any size."""
    name = st.sampled_from(["__name__", "a", "b", "job"])
    labels = st.dictionaries(name, st.sampled_from(["", "x", "yy", "é"]), max_size=4)
    sample = st.tuples(st.floats(), st.sampled_from([NOW_MS, NOW_MS + 1, 0, 5, 2**42, 2**62]))
    rows = draw(st.lists(st.tuples(labels, st.lists(sample, max_size=3)), max_size=6))
    return request_1(*[series_1(each, samples) for each, samples in rows])


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Transcoder:
    return Transcoder(tmp_path_factory.mktemp("memory"))


@settings(max_examples=150, deadline=None)
@given(body=requests())
def test_every_sample_is_kept_or_counted_as_refused_whatever_is_known(warm: Transcoder, body: bytes) -> None:
    made = transcode(warm, Version.V1, body)
    sent = ONE["WriteRequest"].FromString(body).timeseries
    good = [
        (series.labels, sample)
        for series in sent
        if any(label.name == "__name__" and label.value for label in series.labels)
        for sample in series.samples
        if 0 < sample.timestamp * NANO < 2**63
    ]
    assert made.samples == len(good)
    assert made.samples + made.refusals.records == sum(len(series.samples) for series in sent)
    points = [
        (metric.name, texts(point.attributes), struct.pack("<d", point.as_double), point.time_unix_nano)
        for metric in metrics_of(made)
        for point in metric.gauge.data_points
    ]
    expected = [
        (
            next(label.value for label in labels if label.name == "__name__"),
            {label.name: label.value for label in labels if label.value and label.name != "__name__"},
            struct.pack("<d", 0.0 if struct.pack("<d", sample.value) == struct.pack("<d", STALE) else sample.value),
            sample.timestamp * NANO,
        )
        for labels, sample in good
    ]
    assert points == expected


def full_requests() -> list[tuple[Version, bytes]]:
    series = series_1(UP, [(1.0, NOW_MS)], histograms=[ONE["Histogram"](**INT_HISTOGRAM)])
    series.exemplars.add(value=1.0, timestamp=NOW_MS).labels.add(name="trace_id", value="a" * 32)
    told = [ONE["MetricMetadata"](type=1, metric_family_name="up", help="h", unit="u")]
    symbols = Symbols()
    two = symbols.series(UP, [(1.0, NOW_MS, 5)], (1, "h", "u"), histograms=[TWO["Histogram"](**INT_HISTOGRAM)])
    two.exemplars.add(labels_refs=symbols.refs({"user": "x"}), value=2.0)
    simple = symbols.series(UP, [(1.0, NOW_MS)], (1, "h", "u"))
    return [
        (Version.V1, request_1(series, series_1(UP, [(2.0, NOW_MS)]), metadata=told)),
        (Version.V2, symbols.request(two, simple, simple)),
    ]


@pytest.mark.parametrize(("version", "body"), full_requests(), ids=["1.0", "2.0"])
def test_cut_and_mutated_requests_are_transcoded_or_refused_in_words(
    transcoder: Transcoder, version: Version, body: bytes
) -> None:
    rng = random.Random(5)
    outcomes = set()
    variants = [body[:length] for length in range(len(body))] + [mutated(rng, body) for _ in range(1_000)]
    for variant in variants:
        try:
            made = transcoder.transcode(version, "default", bytes(variant), 160)
        except Malformed as error:
            outcomes.add("refused" if "byte" in str(error) else "refused without saying where")
            continue
        outcomes.add("kept")
        found = scan(Signal.METRICS, made.body, Limits(), NOW_MS * NANO)
        assert found.records >= made.samples + made.histograms
    assert outcomes == {"refused", "kept"}
