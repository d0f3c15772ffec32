"""A program's telemetry arrives whichever way it is sent: by OTLP/HTTP or gRPC, by sonde's exporter or OpenTelemetry's own."""

from __future__ import annotations

import sys

import pytest
from apps import HERE, logs, run, spans
from running import Running

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("exporter", ["sonde", "opentelemetry"])
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_every_way_out_brings_spans_logs_and_metrics(server: Running, protocol: str, exporter: str) -> None:
    service = f"{exporter}-{protocol}"
    way = ["--endpoint", server.urls[protocol], "--protocol", "grpc" if protocol == "grpc" else "http/protobuf"]
    done = run(server, service, *way, "--", sys.executable, "way_out.py", cwd=HERE, SONDE_SDK_EXPORTER=exporter)
    assert done.returncode == 0, done.stderr
    (span,), (record,) = spans(server, service), logs(server, service)
    assert (span["name"], span["attributes"]["thing"]) == ("sell", "nail")
    assert (record["body"], record["trace_id"]) == ("sold a nail", span["trace_id"])
    assert span["resource"]["service.name"] == record["resource"]["service.name"] == service
    found = server.wait_for(f"/api/series?service={service}&name=sold", lambda answer: bool(answer["series"]))
    assert [series["unit"] for series in found["series"]] == ["{thing}"]


def test_a_task_in_memory_belongs_to_the_trace_that_asked_for_it(server: Running) -> None:
    done = run(server, "in-memory", sys.executable, "in_memory_tasks.py", cwd=HERE)
    assert done.returncode == 0, done.stderr
    found = {span["name"]: span for span in spans(server, "in-memory", 3)}
    assert found["apply_async/double"]["parent_span_id"] == found["ask"]["span_id"]
    assert found["run/double"]["parent_span_id"] == found["apply_async/double"]["span_id"]
