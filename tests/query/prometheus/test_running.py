"""Evaluations run a bounded number at once, and stop when their time is over or their client has gone."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from sonde.query.prometheus.api_errors import PrometheusRoute, failure_of
from sonde.query.prometheus.running import Evaluations, Stop
from sonde.query.promql.errors import QueryCancelled, QueryTimeout

PATIENCE = 60
"""Seconds after which a test gives up; none is expected to take a fraction of it."""


class Desk:
    """What the work of the tests does, and what became of it."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.ended: list[type[Exception]] = []
        self.finished = threading.Semaphore(0)
        self.go_on = threading.Event()

    def until_stopped(self, stop: Stop) -> Response:
        self.begun.release()
        try:
            while not self.go_on.wait(0.001):
                stop.check()
            return Response("done")
        except (QueryCancelled, QueryTimeout) as error:
            self.ended.append(type(error))
            raise
        finally:
            self.finished.release()


@contextmanager
def served(desk: Desk, *, size: int, seconds: float) -> Iterator[int]:
    """A service with one route; gives its port."""
    app = FastAPI()
    app.router.route_class = PrometheusRoute
    evaluations = Evaluations(size, "a_setting")

    @app.api_route("/work", methods=["GET", "POST"])
    async def work(request: Request) -> Response:
        await request.body()
        asked = float(request.query_params.get("seconds", seconds))
        return await evaluations.run(request, desk.until_stopped, asked)

    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started)
    yield server.servers[0].sockets[0].getsockname()[1]
    desk.go_on.set()
    server.should_exit = True
    thread.join(PATIENCE)
    assert not thread.is_alive()


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_work_stops_when_the_client_leaves(method: str) -> None:
    desk = Desk()
    with served(desk, size=1, seconds=PATIENCE) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(f"{method} /work HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\na=b".encode())
            assert desk.begun.acquire(timeout=PATIENCE)
        assert desk.finished.acquire(timeout=PATIENCE)
        assert desk.ended == [QueryCancelled]


def test_work_stops_when_its_time_is_over() -> None:
    desk = Desk()
    with served(desk, size=1, seconds=0.05) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/work", timeout=PATIENCE)
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "error",
        "errorType": "timeout",
        "error": "query timed out in query execution",
    }
    assert desk.ended == [QueryTimeout]


def test_who_has_gone_would_be_answered_with_the_status_of_prometheus() -> None:
    assert failure_of(QueryCancelled("query was canceled in query execution")).response().status_code == 499


def test_more_than_allowed_at_once_wait_their_turn() -> None:
    desk = Desk()
    answers: list[int] = []
    with served(desk, size=2, seconds=PATIENCE) as port:
        url = f"http://127.0.0.1:{port}/work"
        askers = [
            threading.Thread(target=lambda: answers.append(httpx.get(url, timeout=PATIENCE).status_code))
            for _ in range(5)
        ]
        for asker in askers:
            asker.start()
        assert desk.begun.acquire(timeout=PATIENCE)
        assert desk.begun.acquire(timeout=PATIENCE)
        # A third would have begun at once, were it let in: the loop that lets it in has answered others since.
        assert not desk.begun.acquire(timeout=0.2)
        desk.go_on.set()
        for asker in askers:
            asker.join(PATIENCE)
    assert answers == [200] * 5


def test_who_waits_too_long_is_told_which_limit_it_was() -> None:
    desk = Desk()
    with served(desk, size=1, seconds=PATIENCE) as port, socket.create_connection(("127.0.0.1", port)) as first:
        first.sendall(b"GET /work HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert desk.begun.acquire(timeout=PATIENCE)
        answer = httpx.get(f"http://127.0.0.1:{port}/work?seconds=0.05", timeout=PATIENCE)
    assert answer.status_code == 503
    assert answer.json()["errorType"] == "timeout"
    assert answer.json()["error"] == "query timed out in query queue (a_setting)"
