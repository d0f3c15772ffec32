"""A Celery application whose queue is in memory, with its worker in a thread of the same process."""

from __future__ import annotations

from celery import Celery
from celery.contrib.testing.worker import start_worker
from opentelemetry import trace

app = Celery("tasks", broker="memory://", backend="cache+memory://")


@app.task(name="double")
def double(number: int) -> int:
    return 2 * number


with (
    start_worker(app, perform_ping_check=False, pool="solo", loglevel="warning"),
    trace.get_tracer("tasks").start_as_current_span("ask"),
):
    assert double.delay(21).get(timeout=60) == 42
