"""Series beyond the bound are refused at the door, each protocol told why, what is left is whole, and the ledger counts it."""

from __future__ import annotations

import gzip
import json
import logging
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from columns import tables_of
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from receiving import NOW, PATIENCE, Running, ask, running, segments_in, wait_until
from remote_write_messages import HEADERS_1, HEADERS_2, NOW_MS, TWO, WRITE, Symbols, compressed, request_1, series_1
from sonde.ingest.accounts import Count, Stream
from sonde.ingest.config import IngestConfig
from sonde.ingest.counts import total
from sonde.ingest.decode import decode
from sonde.ingest.ledger import read_ledger
from sonde.ingest.limits import Limits
from sonde.ingest.processes import ReceiverProcesses
from sonde.ingest.scan import explain, scan
from sonde.ingest.segment import Kind
from sonde.ingest.series_file import SeriesBounds
from sonde.ingest.series_limits import MOST_SERIES, Kept, SeriesLimits
from sonde.ingest.signals import Signal
from sonde.ingest.tally import SEEN
from sonde.ingest.writer import Writer
from sonde.storage.store import Store

from benchmarks.payload import attribute

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
METHOD = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
SECOND = 10**9
HOUR = 3_600
RECEIVED = 1_767_225_600 * SECOND


def gauge(users: Iterable[Any], name: str = "logins", host: str = "h", at: int = NOW) -> bytes:
    """A point for each user, whose number is the point's value."""
    request = ExportMetricsServiceRequest()
    parent = request.resource_metrics.add()
    parent.resource.attributes.append(attribute("host.name", host))
    metric = parent.scope_metrics.add().metrics.add(name=name)
    for number, user in enumerate(users):
        attributes = [attribute("user_id", user), attribute("route", "/login")]
        metric.gauge.data_points.add(time_unix_nano=at, as_int=number, attributes=attributes)
    return request.SerializeToString()


def partial(body: bytes) -> Any:
    return ExportMetricsServiceResponse.FromString(body).partial_success


def users_in(bodies: Iterable[bytes]) -> list[Any]:
    """Of all points, in order."""
    return [
        getattr(point.attributes[0].value, point.attributes[0].value.WhichOneof("value"))
        for body in bodies
        for parent in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in parent.scope_metrics
        for metric in scope.metrics
        for point in metric.gauge.data_points
    ]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, max_series_per_metric=10) as up:
        yield up


def over_http(up: Running, body: bytes) -> Any:
    answer = up.post("/v1/metrics", body, PROTOBUF)
    assert answer.status == 200
    return partial(answer.body)


def over_gzip(up: Running, body: bytes) -> Any:
    answer = up.post("/v1/metrics", gzip.compress(body), {**PROTOBUF, "Content-Encoding": "gzip"})
    assert answer.status == 200
    return partial(answer.body)


def over_json(up: Running, body: bytes) -> Any:
    document = json_format.MessageToJson(ExportMetricsServiceRequest.FromString(body))
    answer = up.post("/v1/metrics", document.encode(), JSON)
    assert answer.status == 200
    return json_format.ParseDict(json.loads(answer.body), ExportMetricsServiceResponse()).partial_success


def over_grpc(up: Running, body: bytes) -> Any:
    with grpc.insecure_channel(up.grpc) as channel:
        return partial(channel.unary_unary(METHOD)(body, timeout=PATIENCE))


@pytest.mark.parametrize("send", [over_http, over_gzip, over_json, over_grpc])
def test_what_exceeds_is_a_partial_success_that_names_the_label(up: Running, send: Any) -> None:
    assert send(up, gauge(range(8))).rejected_data_points == 0
    answer = send(up, gauge(range(4, 30)))
    assert answer.rejected_data_points == 20
    assert answer.error_message == (
        "refused 20 of 26 data points: 20 too_many_series (metric logins has 10 series within 3600 s, as many as it may "
        "(setting max_series_per_metric); label with most values: attribute user_id (26 values)). The others were kept. "
        "Sending the refused ones again won't help."
    )
    assert users_in(request.body for request in up.spooled()) == [*range(8), *range(4, 10)]
    ledger = read_ledger(up.path)
    assert ledger.balanced
    accounts = ledger.streams[Stream("default", "metrics")]
    assert (accounts.received, accounts.pending) == (Count(2, 34), Count(2, 14))
    assert accounts.rejected == {"too_many_series": Count(0, 20)}
    (stream,) = ledger.as_dict()["streams"]
    assert stream["rejected"]["too_many_series"]["records"] == 20


def test_a_request_of_which_nothing_is_left_is_counted_and_has_no_body(up: Running) -> None:
    over_http(up, gauge(range(10)))
    answer = over_http(up, gauge(range(10, 15)))
    assert answer.rejected_data_points == 5
    assert "None was kept" in answer.error_message
    assert up.spooled()[-1].body == b""
    accounts = read_ledger(up.path).streams[Stream("default", "metrics")]
    assert accounts.rejected == {"too_many_series": Count(1, 5)}
    assert accounts.received == Count(2, 15)


def test_the_frame_has_the_counts_of_what_is_left_and_the_decoder_takes_them(up: Running) -> None:
    over_http(up, gauge(range(8)) + gauge(range(50), name="logouts"))
    over_http(up, gauge(range(4, 30)) + gauge(range(30), name="others"))
    (contents,) = segments_in(up.path)
    frames = [frame for frame in contents.frames if frame.kind == Kind.REQUEST]
    counted = total(Signal.METRICS, frames)
    assert counted is not None
    assert counted[SEEN] == 8 + 10 + 6 + 10 == sum(frame.records for frame in frames)
    bodies = [bytes(contents.body(frame)) for frame in frames]
    received = [frame.received_unix_nano for frame in frames]
    by_counts = decode(Signal.METRICS, bodies, received, Limits(), counted)
    assert by_counts.records == 34
    assert tables_of(by_counts) == tables_of(decode(Signal.METRICS, bodies, received, Limits()))


def test_what_the_scan_refuses_stays_for_the_decoder_to_refuse_and_is_no_series(tmp_path: Path) -> None:
    limits = Limits(max_age_seconds=HOUR)
    late = gauge(range(20), at=NOW - 2 * HOUR * SECOND)
    with running(tmp_path, limits, max_series_per_metric=10) as up:
        answer = over_http(up, late + gauge(range(15)))
        assert answer.rejected_data_points == 25
        assert "20 too_old" in answer.error_message
        assert "5 too_many_series" in answer.error_message
        (contents,) = segments_in(tmp_path)
        (frame,) = contents.frames
        decoded = decode(Signal.METRICS, [bytes(contents.body(frame))], [frame.received_unix_nano], limits)
        assert decoded.records == frame.records == 10
        rejected = {"too_old": Count(0, 20), "too_many_series": Count(0, 5)}
        assert read_ledger(tmp_path).streams[Stream("default", "metrics")].rejected == rejected


def test_a_resource_in_two_parts_is_one_and_so_are_its_series(up: Running) -> None:
    request = ExportMetricsServiceRequest.FromString(gauge(range(12)))
    resource = request.resource_metrics[0].resource.SerializeToString()
    parts = (
        b"\x0a\x02\x10\x00" + b"\x0a" + bytes([len(resource)]) + resource
    )  # dropped_attributes_count, then the attributes
    request.resource_metrics[0].ClearField("resource")
    rest = request.resource_metrics[0].SerializeToString()
    length = len(parts) + len(rest)
    body = b"\x0a" + bytes([length & 0x7F | 0x80, length >> 7]) + parts + rest
    assert over_http(up, body).rejected_data_points == 2
    assert over_http(up, gauge(range(12))).rejected_data_points == 2
    assert users_in(request.body for request in up.spooled()) == [*range(10), *range(10)]


def test_without_a_limit_nothing_is_looked_at(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        assert up.door.series_limits is None
        assert over_http(up, gauge(range(500))).rejected_data_points == 0
        assert not (tmp_path / "series").exists()


def test_the_tenant_has_a_limit_too(tmp_path: Path) -> None:
    with running(tmp_path, max_series=10) as up:
        over_http(up, gauge(range(6)))
        answer = over_http(up, gauge(range(6), name="logouts"))
        assert answer.rejected_data_points == 2
        said = "tenant default has 10 series within 3600 s, as many as it may (setting max_series); of metric logouts; label"
        assert said in answer.error_message


def test_tenants_do_not_count_together(tmp_path: Path) -> None:
    with running(tmp_path, max_series=5, tokens=("acme=correct-horse", "zeta=battery-staple")) as up:
        for secret in ("correct-horse", "battery-staple"):
            headers = {**PROTOBUF, "Authorization": f"Bearer {secret}"}
            assert partial(up.post("/v1/metrics", gauge(range(6)), headers).body).rejected_data_points == 1
            assert partial(up.post("/v1/metrics", gauge(range(5)), headers).body).rejected_data_points == 0


def test_after_a_restart_the_same_series_pass_and_the_same_are_refused(tmp_path: Path) -> None:
    for first in (0, 5):
        with running(tmp_path, max_series_per_metric=10) as up:
            over_http(up, gauge(range(first, 15)))
    assert users_in(request.body for request in up.spooled()) == [*range(10), *range(5, 10)]


def test_receiver_processes_count_together(tmp_path: Path) -> None:
    config = IngestConfig(
        otlp_grpc="off",
        otlp_http="127.0.0.1:0",
        receivers=2,
        spool=str(tmp_path),
        spool_min_free_bytes=0,
        max_series_per_metric=10,
    )
    processes = ReceiverProcesses(config, {signal: config.limits() for signal in Signal})
    processes.start()
    try:
        assert processes.http_address is not None
        address = (processes.http_address.host, processes.http_address.port)
        for user in range(40):  # each over a connection of its own
            assert ask(address, "POST", "/v1/metrics", gauge([user]), PROTOBUF).status == 200
    finally:
        processes.stop(PATIENCE)
    segments = segments_in(tmp_path)
    assert len({contents.opened.receiver for contents in segments}) == 2  # 40 connections never all end at one of them
    bodies = [bytes(contents.body(frame)) for contents in segments for frame in contents.frames]
    assert sorted(users_in(bodies)) == list(range(10))
    assert read_ledger(tmp_path).total.rejected["too_many_series"].records == 30


def test_the_ledger_closes_over_a_crash_and_the_store_has_what_was_kept(tmp_path: Path, store: Store) -> None:
    """What a crash leaves is a copy of the folder, taken while the receiver is at work."""
    with running(tmp_path / "spool", max_series_per_metric=10, segment_age_seconds=3600.0) as up:
        over_http(up, gauge(range(30)))
        over_http(up, gauge(range(10, 30)))
        over_http(up, gauge(range(5, 15)) + gauge(range(3), name="logouts"))
        shutil.copytree(tmp_path / "spool", tmp_path / "crashed")
    before = read_ledger(tmp_path / "crashed")
    assert before.balanced
    assert (before.total.received, before.total.pending) == (Count(3, 63), Count(2, 18))
    writer = Writer(tmp_path / "crashed", store)
    writer.start()
    assert writer.stop(drain_seconds=PATIENCE)
    after = read_ledger(tmp_path / "crashed")
    assert after.balanced
    assert (after.total.received, after.total.stored, after.total.quarantined) == (Count(3, 63), Count(2, 18), Count())
    assert after.total.rejected == before.total.rejected == {"too_many_series": Count(1, 45)}
    assert store.rows("SELECT count() AS n, uniqExact(series_id) AS series FROM points_number") == [
        {"n": 18, "series": 13}
    ]


# -------------------------------------------------------------------- remote write


def test_remote_write_1_0_is_told_which_and_why(tmp_path: Path) -> None:
    series = [series_1({"__name__": "up", "pod": f"p{number}"}, [(1.0, NOW_MS)]) for number in range(30)]
    with running(tmp_path, max_series_per_metric=10) as up:
        answer = up.post(WRITE, compressed(request_1(*series)), HEADERS_1)
        assert answer.status == 400
        text = answer.body.decode()
        assert "20 samples were refused and are not to be sent again; every other was kept." in text
        assert "too_many_series: metric up has 10 series within 3600 s" in text
        assert "(setting max_series_per_metric); label with most values: attribute pod (30 values)" in text
        assert 'up{pod="p10"}: too_many_series' in text
        assert up.post(WRITE, compressed(request_1(*series[:10])), HEADERS_1).status == 204
        (contents,) = segments_in(tmp_path)
        assert contents.tally.as_dict() == {"accepted": [2, 20], "rejected": {"too_many_series": [0, 20]}}
        request = ExportMetricsServiceRequest.FromString(up.spooled()[0].body)
        assert [len(scope.metrics) for scope in request.resource_metrics[0].scope_metrics] == [10]


def test_remote_write_2_0_is_told_what_was_written(tmp_path: Path) -> None:
    symbols = Symbols()
    exemplar = TWO["Exemplar"](labels_refs=symbols.refs({"user": "x"}), value=3.0, timestamp=NOW_MS)
    labels = [{"__name__": "up", "pod": f"p{number}"} for number in range(4)]
    series = [symbols.series(each, [(1.0, NOW_MS), (2.0, NOW_MS + 1)], exemplars=[exemplar]) for each in labels]
    series += [symbols.series(each, histograms=[TWO["Histogram"](timestamp=NOW_MS)]) for each in labels]
    nameless = symbols.series({"job": "x"}, [(4.0, NOW_MS)])
    with running(tmp_path, max_series_per_metric=5) as up:
        answer = up.post(WRITE, compressed(symbols.request(*series, nameless)), HEADERS_2)
        written = [
            answer.headers[f"x-prometheus-remote-write-{what}-written"]
            for what in ("samples", "histograms", "exemplars")
        ]
        assert (answer.status, written) == (400, ["8", "1", "4"])
        assert "4 samples were refused" in answer.body.decode()
        (contents,) = segments_in(tmp_path)
        rejected = {"too_many_series": [0, 3], "invalid_labels": [0, 1]}
        assert contents.tally.as_dict() == {"accepted": [1, 9], "rejected": rejected}


# -------------------------------------------------------------------- what is said, by a clock of the test's


def limits_on(path: Path, **bounds: int) -> SeriesLimits:
    return SeriesLimits(
        path, SeriesBounds(bounds.get("tenant", 0), bounds.get("metric", 0), bounds.get("window", HOUR))
    )


def applied(series: SeriesLimits, body: bytes, at: int = RECEIVED, tenant: str = "acme") -> Kept:
    limits = Limits(max_future_seconds=0)
    return series.apply(tenant, body, scan(Signal.METRICS, body, limits, at), limits, at)


def test_a_window_later_others_may_come(tmp_path: Path) -> None:
    series = limits_on(tmp_path, metric=2)
    assert users_in([applied(series, gauge("abc")).body]) == ["a", "b"]
    assert users_in([applied(series, gauge("cb"), RECEIVED + HOUR // 2 * SECOND).body]) == ["b"]
    assert users_in([applied(series, gauge("cab"), RECEIVED + (HOUR + HOUR // 4) * SECOND).body]) == ["c", "b"]


def test_what_may_come_is_the_very_object_that_came(tmp_path: Path) -> None:
    body = gauge("ab")
    kept = applied(limits_on(tmp_path, metric=2), body)
    assert kept.body is body
    assert kept.over is None


def test_a_limit_on_metrics_bounds_the_tenant_as_well(tmp_path: Path) -> None:
    assert limits_on(tmp_path, metric=2)._bounds.of_tenant == MOST_SERIES


def test_a_sender_of_single_points_learns_the_label_all_the_same(tmp_path: Path) -> None:
    series = limits_on(tmp_path, metric=1)
    said = [applied(series, gauge([user])).found.too_many_series for user in range(4)]
    assert said[0] == ""
    assert said[1].endswith("attribute route, attribute user_id, resource attribute host.name (1 value each)")
    assert said[3].endswith("attribute user_id (3 values)")
    later = applied(series, gauge([9, 8]), RECEIVED + 3 * HOUR * SECOND)
    assert later.found.too_many_series.endswith("attribute user_id (2 values)")  # the rest is older than the window


def test_a_label_of_the_resource_is_named_as_one(tmp_path: Path) -> None:
    series = limits_on(tmp_path, metric=1)
    body = b"".join(gauge("ab", host=f"pod-{number}") for number in range(5))
    assert applied(series, body).found.too_many_series.endswith("resource attribute host.name (5 values)")


def test_a_label_with_more_values_than_are_counted_is_told_as_such(tmp_path: Path) -> None:
    said = applied(limits_on(tmp_path, metric=1), gauge(range(30_000))).found.too_many_series
    label, _, count = said.rpartition("attribute user_id (")[2].partition(" or more values")
    assert count == ")"
    assert 16_000 < int(label.replace(",", "")) <= 16_384


def test_of_many_metrics_the_worst_are_named(tmp_path: Path) -> None:
    series = limits_on(tmp_path, metric=1)
    body = b"".join(gauge(range(number + 1), name=f"m{number}") for number in range(6))
    said = applied(series, body).found.too_many_series
    assert re.findall(r"metric (\w+) has", said) == ["m5", "m4", "m3"]
    assert said.endswith("; and 2 metrics more")


def test_a_name_made_to_harm_is_short_and_printable(tmp_path: Path) -> None:
    name = "m\x1b[2J\n" + "é" * 100_000
    said = applied(limits_on(tmp_path, metric=1), gauge("ab", name=name)).found.too_many_series
    assert "m\\x1b[2J\\x0aé" in said
    assert len(said) < 500
    assert said.isprintable()


def test_the_log_has_a_line_a_minute_and_metric(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    series = limits_on(tmp_path, metric=1)
    with caplog.at_level(logging.WARNING):
        for second in (0, 1, 59, 61, 62):
            for name in ("one", "two"):
                applied(series, gauge("ab", name=name), RECEIVED + second * SECOND)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 4
    assert told[0].startswith("tenant acme: points of new series are refused: metric one has 1 series within 3600 s")


def test_the_log_of_ever_new_metrics_is_bounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    series = limits_on(tmp_path, tenant=1)
    with caplog.at_level(logging.WARNING):
        for number in range(200):
            applied(series, gauge("a", name=f"m{number}"))
        for number in range(200, 210):
            applied(series, gauge("a", name=f"m{number}"), RECEIVED + 61 * SECOND)
    assert len(caplog.records) == 64 + 10


def test_a_flood_of_distinct_series_in_one_small_request_is_bounded(tmp_path: Path) -> None:
    """300 000 series are 60 KB of gzip."""
    point = b"\x0a\x0b\x3a\x09\x0a\x01u\x12\x04\x18"
    points = b"".join(point + bytes([n & 127 | 128, n >> 7 & 127 | 128, n >> 14]) for n in range(300_000))
    body = points
    for tag in (b"\x2a", b"\x12", b"\x12", b"\x0a"):
        length = len(body)
        body = tag + bytes([length & 127 | 128, length >> 7 & 127 | 128, length >> 14 & 127 | 128, length >> 21]) + body
    with running(tmp_path, max_series_per_metric=1_000) as up:
        packed = gzip.compress(body)
        answer = up.post("/v1/metrics", packed, {**PROTOBUF, "Content-Encoding": "gzip"})
        assert answer.status == 200
        assert partial(answer.body).rejected_data_points == 299_000
        assert len(partial(answer.body).error_message) < 500
        (spooled,) = up.spooled()
        assert len(spooled.body) < 20_000
        assert (tmp_path / "series" / "default.series").stat().st_size < 100_000
        wait_until(lambda: up.door.in_flight_bytes == 0)


def test_explain_says_the_first_byte_only_of_what_the_scan_refused(tmp_path: Path) -> None:
    kept = applied(limits_on(tmp_path, metric=1), gauge("ab"))
    assert "at byte" not in explain(kept.found, Signal.METRICS)
    assert kept.found.rejected_total == 1
