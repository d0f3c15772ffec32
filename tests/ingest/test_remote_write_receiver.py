"""Remote write over HTTP: what is answered, what is on disk, and that the ledger counts it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from receiving import Running, ask, running, segments_in
from remote_write_messages import (
    HEADERS_1,
    HEADERS_2,
    NOW_MS,
    ONE,
    TWO,
    WRITE,
    Symbols,
    compressed,
    request_1,
    series_1,
)
from sonde.ingest.errors import SpoolFull

UP = {"__name__": "up", "job": "shop"}
LATE_MS = NOW_MS + 400 * 86_400_000
GOOD = request_1(series_1(UP, [(1.0, NOW_MS)]))
STATISTICS = ("samples", "histograms", "exemplars")


def statistics(headers: Any) -> tuple[str | None, ...]:
    return tuple(headers.get(f"x-prometheus-remote-write-{name}-written") for name in STATISTICS)


def tallies(up: Running) -> dict[str, Any]:
    """Requests and records of all segments: accepted, and refused by reason."""
    (contents,) = segments_in(up.path)
    return contents.tally.as_dict()


def test_a_request_of_1_0_is_on_disk_when_it_is_answered_204(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        answer = up.post(WRITE, compressed(GOOD), HEADERS_1)
        assert (answer.status, answer.body, statistics(answer.headers)) == (204, b"", (None, None, None))
        (spooled,) = up.spooled()
        assert (spooled.tenant, spooled.signal) == ("default", "metrics")
        assert b"up" in spooled.body


def test_a_request_of_2_0_is_told_what_was_written(tmp_path: Path) -> None:
    symbols = Symbols()
    exemplar = TWO["Exemplar"](labels_refs=symbols.refs({"user": "x"}), value=3.0, timestamp=NOW_MS)
    histogram = TWO["Histogram"](timestamp=NOW_MS)
    series = [
        symbols.series(UP, [(1.0, NOW_MS), (2.0, NOW_MS + 1)], exemplars=[exemplar, exemplar]),
        symbols.series(UP, histograms=[histogram]),
    ]
    late = symbols.series(UP, [(3.0, LATE_MS)], exemplars=[exemplar])
    nameless = symbols.series({"job": "x"}, [(4.0, NOW_MS)])
    with running(tmp_path) as up:
        whole = up.post(WRITE, compressed(symbols.request(*series)), HEADERS_2)
        assert (whole.status, statistics(whole.headers)) == (204, ("2", "1", "2"))
        partial = up.post(WRITE, compressed(symbols.request(*series, late, nameless)), HEADERS_2)
        assert (partial.status, statistics(partial.headers)) == (400, ("2", "1", "2"))
        assert b"2 samples" in partial.body
        assert b'up{job="shop"}: in_the_future' in partial.body
        assert b'{job="x"}: the label __name__ is missing' in partial.body
        none = up.post(WRITE, compressed(symbols.request(nameless)), HEADERS_2)
        assert (none.status, statistics(none.headers)) == (400, ("0", "0", "0"))
        assert tallies(up) == {
            "accepted": [2, 6],
            "rejected": {"in_the_future": [0, 1], "invalid_labels": [1, 2]},
        }


def test_what_1_0_refuses_is_400_with_the_reasons_and_the_rest_is_kept(tmp_path: Path) -> None:
    many = [series_1({"job": str(number)}, [(1.0, NOW_MS)]) for number in range(30)]
    with running(tmp_path) as up:
        answer = up.post(WRITE, compressed(request_1(*many, series_1(UP, [(1.0, NOW_MS)]))), HEADERS_1)
        assert (answer.status, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
        assert b"30 samples" in answer.body
        assert b"and 20 more" in answer.body
        assert tallies(up) == {"accepted": [1, 1], "rejected": {"invalid_labels": [0, 30]}}


def test_a_large_request_is_transcoded_off_the_loop(tmp_path: Path) -> None:
    body = request_1(*[series_1({**UP, "n": f"{number:x}" * 9}, [(1.0, NOW_MS)]) for number in range(3_000)])
    with running(tmp_path) as up:
        assert up.post(WRITE, compressed(body), HEADERS_1).status == 204
        assert tallies(up)["accepted"] == [1, 3_000]


def test_metadata_alone_is_a_request_without_records(tmp_path: Path) -> None:
    body = request_1(metadata=[ONE["MetricMetadata"](type=1, metric_family_name="up")])
    with running(tmp_path) as up:
        assert up.post(WRITE, compressed(body), HEADERS_1).status == 204
        assert up.post(WRITE, compressed(GOOD), HEADERS_1).status == 204
        assert tallies(up)["accepted"] == [2, 1]
        assert b"counter" in up.spooled()[-1].body


BOMB = b"\xff\xff\xff\x1f" + b"\xfe\x01\x00" * 3_000_000
"""Says that it is 64 MiB."""
REFUSED: list[tuple[str, str, bytes, dict[str, str], int, str]] = [
    ("not snappy", "POST", GOOD, HEADERS_1, 400, "snappy"),
    ("empty", "POST", b"", HEADERS_1, 400, "snappy"),
    ("cut short", "POST", compressed(GOOD)[:-1], HEADERS_1, 400, "snappy"),
    ("a bomb", "POST", BOMB, HEADERS_1, 413, "max_request_bytes"),
    ("a length without a body", "POST", b"\xff\xff\x3f", HEADERS_1, 400, "no block grows"),
    ("not protobuf", "POST", compressed(b"\x0a\xff"), HEADERS_1, 400, "at byte"),
    ("another encoding", "POST", GOOD, {**HEADERS_1, "Content-Encoding": "gzip"}, 415, "snappy"),
    ("no encoding", "POST", GOOD, {"Content-Type": "application/x-protobuf"}, 415, "snappy"),
    ("another type", "POST", GOOD, {**HEADERS_1, "Content-Type": "application/json"}, 415, "application/x-protobuf"),
    (
        "another message",
        "POST",
        GOOD,
        {**HEADERS_1, "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v3.Request"},
        415,
        "proto=io.prometheus.write.v2.Request",
    ),
    ("another method", "GET", b"", {}, 405, "POST"),
    ("a stranger", "POST", compressed(GOOD), {**HEADERS_1, "X-Sonde-Tenant": "acme"}, 401, "X-Sonde-Tenant"),
]


@pytest.mark.parametrize(
    ("method", "body", "headers", "code", "said"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_can_not_be_taken_is_refused_in_words(
    tmp_path: Path, method: str, body: bytes, headers: dict[str, str], code: int, said: str
) -> None:
    with running(tmp_path, max_request_bytes=16 << 20) as up:
        answer = ask(up.http, method, WRITE, body, headers)
        assert answer.status == code, answer
        assert said in answer.body.decode()
        assert up.spooled() == []
        assert up.post(WRITE, compressed(GOOD), HEADERS_1).status == 204


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-protobuf",
        "application/x-protobuf;proto=prometheus.WriteRequest",
        'Application/X-Protobuf; proto="prometheus.WriteRequest"',
    ],
)
def test_the_ways_to_say_1_0_are_known(tmp_path: Path, content_type: str) -> None:
    with running(tmp_path) as up:
        headers = {"Content-Type": content_type, "Content-Encoding": "Snappy"}
        assert up.post(WRITE, compressed(GOOD), headers).status == 204


def test_what_can_not_be_taken_now_is_503_which_prometheus_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path, max_in_flight_requests=1) as up:
        up.door.in_flight_requests += 1
        busy = up.post(WRITE, compressed(GOOD), HEADERS_1)
        up.door.in_flight_requests -= 1
        assert (busy.status, busy.headers["retry-after"]) == (503, "1")

        def full(*_: object, **__: object) -> None:
            raise SpoolFull("no room")

        monkeypatch.setattr(up.spool, "_enqueue", full)
        answer = up.post(WRITE, compressed(GOOD), HEADERS_2)
        assert (answer.status, answer.headers["retry-after"], answer.body) == (503, "1", b"no room\n")


def test_a_token_says_whose_the_samples_are(tmp_path: Path) -> None:
    with running(tmp_path, tokens=("acme=correct-horse",)) as up:
        assert up.post(WRITE, compressed(GOOD), HEADERS_1).status == 401
        headers = {**HEADERS_1, "Authorization": "Bearer correct-horse"}
        assert up.post(WRITE, compressed(GOOD), headers).status == 204
        assert [spooled.tenant for spooled in up.spooled()] == ["acme"]


def test_pages_of_listed_origins_may_write(tmp_path: Path) -> None:
    origin = {"Origin": "https://shop.example.org"}
    with running(tmp_path, cors_origins=("https://shop.example.org",)) as up:
        preflight = ask(up.http, "OPTIONS", WRITE, b"", {**origin, "Access-Control-Request-Method": "POST"})
        answer = up.post(WRITE, compressed(GOOD), {**HEADERS_1, **origin})
        assert (preflight.status, answer.status) == (204, 204)
        assert answer.headers["access-control-allow-origin"] == "https://shop.example.org"


def test_a_refused_request_is_noted_for_the_ledger_and_leaves_nothing_in_flight(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        assert up.post(WRITE, b"\xff", HEADERS_1).status == 400
        assert up.rejected() == {("default", "metrics", "malformed"): 1}
        deadline = time.monotonic() + 30
        while up.door.in_flight_bytes or up.door.in_flight_requests:
            assert time.monotonic() < deadline
            time.sleep(0.005)
