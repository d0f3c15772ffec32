"""The exporter: nothing lost that a receiver takes, all else counted, the app never waited for."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import SpanContext, TraceFlags
from receiver import Answer, Receiver, receiving
from sonde.sdk import lane
from sonde.sdk.exporting import Exporter
from sonde.sdk.lane import BUFFER_FULL, QUEUE_FULL, REFUSED, UNENCODABLE, UNSENT, Bounds, Counts
from sonde.sdk.sending import Destination, Signal, sender

PROMPT = Bounds(delay_seconds=0.01)
RESOURCE = Resource({"service.name": "shop"})
NOBODY = "http://127.0.0.1:9"
"""The port of the discard service, which nobody runs."""


def destination(url: str, signal: Signal = Signal.TRACES) -> Destination:
    return Destination(f"{url}/v1/{signal.value}", signal, timeout_seconds=10)


def exporter_to(url: str, bounds: Bounds = PROMPT) -> Exporter:
    wanted = (Signal.TRACES, Signal.LOGS, Signal.METRICS)
    return Exporter({each: partial(sender, destination(url, each)) for each in wanted}, dict.fromkeys(wanted, bounds))


@contextlib.contextmanager
def tracing(url: str, bounds: Bounds = PROMPT) -> Iterator[tuple[Exporter, TracerProvider]]:
    exporter = exporter_to(url, bounds)
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(exporter.span_processor())
    try:
        yield exporter, provider
    finally:
        exporter.shutdown(0.0)


def make_spans(provider: TracerProvider, *names: str) -> None:
    for name in names:
        provider.get_tracer("test").start_span(name).end()


def closes(counts: Counts) -> bool:
    return counts.received == counts.waiting + counts.sent + counts.rejected + sum(counts.dropped.values())


def test_what_is_added_arrives_without_being_asked_for() -> None:
    with receiving() as receiver, tracing(receiver.url) as (exporter, provider):
        make_spans(provider, "a", "b")
        receiver.wait_until(lambda: len(receiver.span_names()) == 2)
        assert exporter.flush(10)
        assert receiver.paths[0] == "/v1/traces"
        assert exporter.counts()[Signal.TRACES].sent == 2


def test_one_connection_serves_all_requests() -> None:
    with receiving() as receiver, tracing(receiver.url) as (exporter, provider):
        for number in range(5):
            make_spans(provider, str(number))
            assert exporter.flush(10)
        assert receiver.span_names() == ["0", "1", "2", "3", "4"]
        assert receiver.connections == 1


def test_a_connection_that_was_closed_meanwhile_is_opened_anew() -> None:
    with receiving(Answer(hang_up=True), Answer(), Answer()) as receiver, tracing(receiver.url) as (exporter, provider):
        for name in ("a", "b", "c"):
            make_spans(provider, name)
            assert exporter.flush(10)
        assert receiver.span_names() == ["a", "b", "c"]
        assert exporter.counts()[Signal.TRACES].retries == 0


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_receiver_that_is_busy_is_tried_again(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "FIRST_BACKOFF_SECONDS", 0.01)
    with receiving(Answer(status), Answer(status)) as receiver, tracing(receiver.url) as (exporter, provider):
        make_spans(provider, "a")
        receiver.wait_until(lambda: receiver.span_names() == ["a"])
        assert exporter.flush(10)
        counts = exporter.counts()[Signal.TRACES]
        assert (counts.sent, counts.retries, counts.requests) == (1, 2, 3)


def test_it_comes_again_when_the_receiver_said_so_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "FIRST_BACKOFF_SECONDS", 0.01)
    busy = Answer(503, headers=(("Retry-After", "300"),))
    with receiving(busy) as receiver, tracing(receiver.url) as (exporter, provider):
        make_spans(provider, "a")
        receiver.wait_until(lambda: not receiver.answers)
        assert not exporter.flush(0.2)
        assert not exporter.flush(0.2)
        assert exporter.counts()[Signal.TRACES].requests == 1
        assert receiver.bodies == []


@pytest.mark.parametrize("status", [400, 401, 413, 500])
def test_what_is_refused_is_dropped_counted_and_said(status: int, caplog: pytest.LogCaptureFixture) -> None:
    body = Status(code=3, message="attributes are too many").SerializeToString()
    with receiving(Answer(status, body)) as receiver, tracing(receiver.url) as (exporter, provider):
        make_spans(provider, "a")
        assert exporter.flush(10)
        make_spans(provider, "b")
        assert exporter.flush(10)
        assert receiver.span_names() == ["b"]
        counts = exporter.counts()[Signal.TRACES]
        assert counts.dropped == {REFUSED: 1}
        assert closes(counts)
    assert f"1 of the traces were refused: HTTP {status} attributes are too many" in caplog.text


def test_what_a_receiver_did_not_take_of_a_request_is_counted() -> None:
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans, answer.partial_success.error_message = 1, "too old"
    with (
        receiving(Answer(200, answer.SerializeToString())) as receiver,
        tracing(receiver.url, Bounds(delay_seconds=60)) as (exporter, provider),
    ):
        make_spans(provider, "a", "b", "c")
        assert exporter.flush(10)
        counts = exporter.counts()[Signal.TRACES]
        assert (counts.sent, counts.rejected) == (2, 1)
        assert closes(counts)


def test_a_queue_that_is_full_drops_the_oldest_with_a_count() -> None:
    bounds = Bounds(records=4, batch=100, delay_seconds=60)
    with receiving() as receiver, tracing(receiver.url, bounds) as (exporter, provider):
        make_spans(provider, *"abcdefg")
        assert exporter.counts()[Signal.TRACES].dropped == {QUEUE_FULL: 3}
        assert exporter.flush(10)
        assert receiver.span_names() == ["d", "e", "f", "g"]
        assert closes(exporter.counts()[Signal.TRACES])


def test_requests_wait_for_a_receiver_that_is_away_within_their_bound() -> None:
    bounds = Bounds(batch=1, delay_seconds=0.01, bytes=1000)
    with tracing(NOBODY, bounds) as (exporter, provider):
        for number in range(100):
            make_spans(provider, f"span {number}")
        assert not exporter.flush(5)
        counts = exporter.counts()[Signal.TRACES]
        assert 0 < counts.waiting < 100
        assert counts.dropped[BUFFER_FULL] == 100 - counts.waiting
        assert closes(counts)
        assert not exporter.shutdown(1)
        counts = exporter.counts()[Signal.TRACES]
        assert counts.waiting == 0
        assert counts.dropped[UNSENT] + counts.dropped[BUFFER_FULL] == 100


def test_a_record_that_cannot_be_encoded_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    with receiving() as receiver, tracing(receiver.url, Bounds(delay_seconds=60)) as (exporter, provider):
        make_spans(provider, "a")
        context = SpanContext(1 << 200, 2, is_remote=False, trace_flags=TraceFlags(1))
        exporter.span_processor().on_end(ReadableSpan("broken", context, resource=RESOURCE))
        make_spans(provider, "b")
        assert exporter.flush(10)
        assert receiver.span_names() == ["a", "b"]
        assert exporter.counts()[Signal.TRACES].dropped == {UNENCODABLE: 1}
    assert "could not be encoded" in caplog.text


def test_spans_that_are_not_sampled_are_not_sent() -> None:
    context = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(0))
    with receiving() as receiver, tracing(receiver.url) as (exporter, _):
        exporter.span_processor().on_end(ReadableSpan("a", context, resource=RESOURCE))
        assert exporter.flush(10)
        assert exporter.counts()[Signal.TRACES].received == 0
        assert receiver.bodies == []


def test_metrics_go_the_same_way() -> None:
    with receiving() as receiver:
        exporter = exporter_to(receiver.url)
        reader = PeriodicExportingMetricReader(exporter.metric_exporter(), export_interval_millis=1e9)
        provider = MeterProvider([reader], RESOURCE, shutdown_on_exit=False)
        provider.get_meter("test").create_counter("orders").add(3)
        provider.force_flush()
        provider.shutdown()
        assert receiver.paths == ["/v1/metrics", "/v1/metrics"]
        assert closes(exporter.counts()[Signal.METRICS])
        exporter.shutdown()


def test_nobody_there_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with tracing(NOBODY) as (exporter, provider):
        make_spans(provider, "a")
        exporter.flush(1)
    assert caplog.text == ""


PROGRAM = """
    import multiprocessing, os, signal, sys, threading, time
    from functools import partial
    from opentelemetry.sdk.trace import TracerProvider
    from sonde.sdk.exporting import Exporter
    from sonde.sdk.lane import Bounds
    from sonde.sdk.lifecycle import end_on_sigterm
    from sonde.sdk.sending import Destination, Signal, sender

    to = Destination(sys.argv[1] + "/v1/traces", Signal.TRACES)
    exporter = Exporter({Signal.TRACES: partial(sender, to)}, {Signal.TRACES: Bounds(delay_seconds=600)})
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(exporter.span_processor())

    def make(name):
        provider.get_tracer("test").start_span(name).end()
"""


def run(program: str, url: str, *, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(PROGRAM) + textwrap.dedent(program))
    return subprocess.run([sys.executable, str(path), url], capture_output=True, text=True, timeout=120)


def names_of(program: str, receiver: Receiver, tmp_path: Path, *, returns: int = 0) -> list[str]:
    done = run(program, receiver.url, tmp_path=tmp_path)
    assert (done.returncode, done.stderr) == (returns, "")
    return sorted(receiver.span_names())


def test_the_end_of_a_program_sends_what_is_left(tmp_path: Path) -> None:
    with receiving() as receiver:
        assert names_of('make("a")\nmake("b")\n', receiver, tmp_path) == ["a", "b"]


def test_sigterm_sends_what_is_left_and_ends_the_process(tmp_path: Path) -> None:
    program = """
        end_on_sigterm(exporter.shutdown)
        make("a")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    """
    with receiving() as receiver:
        assert names_of(program, receiver, tmp_path, returns=-signal.SIGTERM) == ["a"]


def test_a_handler_of_the_apps_own_is_left_alone(tmp_path: Path) -> None:
    program = """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        end_on_sigterm(exporter.shutdown)
        make("a")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    """
    with receiving() as receiver:
        assert names_of(program, receiver, tmp_path, returns=7) == ["a"]


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_a_child_of_multiprocessing_sends_what_is_left(way: str, tmp_path: Path) -> None:
    assert way in multiprocessing.get_all_start_methods()
    program = f"""
        if __name__ == "__main__":
            make("parent")
            context = multiprocessing.get_context({way!r})
            child = context.Process(target=make, args=("child",))
            child.start()
            child.join()
            assert child.exitcode == 0
    """
    with receiving() as receiver:
        assert names_of(program, receiver, tmp_path) == ["child", "parent"]


def test_a_forked_child_sends_its_own_and_nothing_of_its_parents(tmp_path: Path) -> None:
    program = """
        make("before")
        child = os.fork()
        if child == 0:
            make("child")
            os._exit(0 if exporter.flush(30) and exporter.counts()[Signal.TRACES].sent == 1 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        make("after")
    """
    with receiving() as receiver:
        done = run(program, receiver.url, tmp_path=tmp_path)
        assert done.returncode == 0, done.stderr
        assert sorted(receiver.span_names()) == ["after", "before", "child"]


def test_a_parent_that_leaves_for_its_child_has_sent_before(tmp_path: Path) -> None:
    """As daemons do it: fork, and os._exit in the parent, which runs nothing of atexit."""
    program = """
        make("parent")
        if os.fork():
            os._exit(0)
        make("daemon")
    """
    with receiving() as receiver:
        done = run(program, receiver.url, tmp_path=tmp_path)
        assert done.returncode == 0
        receiver.wait_until(lambda: sorted(receiver.span_names()) == ["daemon", "parent"])


def test_a_program_without_a_receiver_ends_at_once(tmp_path: Path) -> None:
    done = run('make("a")', NOBODY, tmp_path=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
