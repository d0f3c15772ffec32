"""A shop of four services as they are run in life, none of which knows of telemetry: Flask by gunicorn with --preload, FastAPI by
uvicorn, Django by gunicorn, Celery's prefork worker. One purchase is one trace through all of them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from apps import HERE, answers, get, logs, spans, started, wait_until
from ports import quiet_port
from redis_server import redis_program, redis_server
from running import Running

pytestmark = pytest.mark.slow

SHOP = HERE / "shop"
PURCHASES = 6
BIN = Path(sys.executable).parent


@dataclass
class Shop:
    """What was seen of it from outside, once it has ended."""

    server: Running
    answers: list[dict[str, Any]]
    redis: bool
    pids: dict[str, int]
    log: dict[str, Path]

    def spans(self, service: str, each: int, more: int = 0) -> list[dict[str, Any]]:
        """The spans of a service that makes `each` for a purchase, and `more` besides."""
        return spans(self.server, service, each * PURCHASES + more)


@pytest.fixture(scope="module")
def shop(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Started, used, and ended by SIGTERM."""
    folder = tmp_path_factory.mktemp("shop")
    queue = folder / "queue"
    queue.mkdir()
    ports = {name: quiet_port() for name in ("storefront", "prices", "stock")}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    extra = {
        "PRICES": urls["prices"],
        "STOCK": urls["stock"],
        "QUEUE": str(queue),
        "OTEL_METRIC_EXPORT_INTERVAL": "60000",
    }
    program = redis_program()
    with contextlib.ExitStack() as stack:
        if program is not None:
            extra["REDIS"] = stack.enter_context(redis_server(program, folder))
        commands = {
            "stock": [f"{BIN}/gunicorn", "-b", f"127.0.0.1:{ports['stock']}", "stock:application"],
            "prices": [f"{BIN}/uvicorn", "--port", str(ports["prices"]), "prices:app"],
            "receipts": [f"{BIN}/celery", "-A", "receipts", "worker", "-c", "2", "-l", "INFO", "--without-gossip"],
            "storefront": [
                f"{BIN}/gunicorn",
                "--preload",
                "-w",
                "2",
                "-b",
                f"127.0.0.1:{ports['storefront']}",
                "storefront:app",
            ],
        }
        processes: dict[str, subprocess.Popen[bytes]] = {}
        log = {name: folder / f"{name}.log" for name in commands}
        for name, words in commands.items():
            processes[name] = stack.enter_context(started(server, name, *words, cwd=SHOP, log=log[name], **extra))
        for name, url in urls.items():
            wait_until(lambda url=url: answers(f"{url}/none"), processes[name], log[name])
        said = [json.loads(get(f"{urls['storefront']}/buy/{number}")) for number in range(PURCHASES)]
        assert answers(f"{urls['storefront']}/fail")
        spans(server, "receipts", PURCHASES)
        pids = {name: process.pid for name, process in processes.items()}
    return Shop(server, said, program is not None, pids, log)


def trace_of(found: list[dict[str, Any]], name: str) -> dict[str, dict[str, Any]]:
    """The spans of this name, by trace."""
    by_trace = {span["trace_id"]: span for span in found if span["name"] == name}
    assert len(by_trace) == PURCHASES, [span["name"] for span in found]
    return by_trace


def test_a_purchase_is_one_trace_through_all_services(shop: Shop) -> None:
    buy = trace_of(shop.spans("storefront", 2), "GET /buy/<thing>")
    price = trace_of(shop.spans("prices", 3), "GET /price/{thing}")
    stock = trace_of(shop.spans("stock", 1), "GET stock/<thing>")
    receipt = trace_of(shop.spans("receipts", 1), "run/send_receipt")
    assert set(buy) == set(price) == set(stock) == set(receipt)


def test_each_call_is_the_child_of_its_caller(shop: Shop) -> None:
    everything = [span for name in ("storefront", "prices", "stock", "receipts") for span in shop.spans(name, 1)]
    by_id = {(span["trace_id"], span["span_id"]): span for span in everything}
    for service, caller in (("prices", "storefront"), ("stock", "prices"), ("receipts", "prices")):
        entries = [span for span in shop.spans(service, 1) if span["kind"] in ("server", "consumer")]
        parents = [by_id[span["trace_id"], span["parent_span_id"]] for span in entries if "/none" not in str(span)]
        assert {parent["service_name"] for parent in parents} == {caller}
        assert {parent["kind"] for parent in parents} <= {"client", "producer"}


def test_the_libraries_tell_what_they_do(shop: Shop) -> None:
    told = {
        name: {(span["kind"], span["name"].split()[0]) for span in shop.spans(name, 1)}
        for name in ("storefront", "prices", "stock")
    }
    assert ("client", "SELECT") in told["storefront"], "SQLAlchemy"
    assert ("client", "GET") in told["storefront"], "requests"
    assert ("client", "GET") in told["prices"], "httpx"
    assert ("producer", "apply_async/send_receipt") in told["prices"], "Celery"
    assert ("client", "SELECT") in told["stock"], "sqlite3"


def test_redis_tells_what_it_is_asked(shop: Shop) -> None:
    if not shop.redis:
        pytest.skip("redis-server is not there: apt-get install redis-server brings it")
    sets = [span for span in shop.spans("prices", 3) if span["name"] == "SET"]
    assert len(sets) == PURCHASES
    assert all(span["attributes"]["db.system.name"] == "redis" for span in sets)


@pytest.mark.parametrize(
    ("service", "body"),
    [("storefront", "bought"), ("prices", "priced"), ("stock", "counted"), ("receipts", "receipt for")],
)
def test_log_records_carry_the_trace_they_were_written_in(shop: Shop, service: str, body: str) -> None:
    traces = {span["trace_id"] for span in shop.spans(service, 1)}
    written = [record for record in logs(shop.server, service, PURCHASES) if record["body"].startswith(body)]
    assert len(written) == PURCHASES
    assert {record["trace_id"] for record in written} <= traces
    assert all(record["span_id"] for record in written)


@pytest.mark.parametrize(
    ("service", "logger", "each"),
    [("storefront", "gunicorn.error", 0), ("prices", "uvicorn.access", 1), ("receipts", "celery.worker.strategy", 1)],
)
def test_loggers_that_servers_set_up_for_themselves_are_told_once(
    shop: Shop, service: str, logger: str, each: int
) -> None:
    """gunicorn's and uvicorn's don't propagate, Celery takes all handlers off the root logger."""
    found = [record for record in logs(shop.server, service, PURCHASES) if record["scope"] == logger]
    assert found
    assert not each or sum("/none" not in record["body"] for record in found) == each * PURCHASES


def test_the_names_are_those_of_the_conventions_of_today(shop: Shop) -> None:
    span = next(span for span in shop.spans("storefront", 1) if span["name"] == "GET /buy/<thing>")
    assert span["attributes"]["http.request.method"] == "GET"
    assert span["attributes"]["http.response.status_code"] == 200


def test_a_request_that_fails_is_told_as_an_error(shop: Shop) -> None:
    failed = [span for span in shop.spans("storefront", 1) if span["name"] == "GET /fail"]
    assert [span["status"] for span in failed] == ["error"]


def test_every_worker_of_a_forking_server_is_an_instance(shop: Shop) -> None:
    """The answers say which process served: its spans say the same, and no other has its instance."""
    found = {
        span["trace_id"]: span["resource"]
        for span in shop.spans("storefront", 2)
        if span["name"].startswith("GET /buy")
    }
    assert {resource["process.pid"] for resource in found.values()} == {answer["process"] for answer in shop.answers}
    instances = {(resource["process.pid"], resource["service.instance.id"]) for resource in found.values()}
    assert len({pid for pid, _ in instances}) == len({instance for _, instance in instances}) == len(instances)


def test_a_parent_that_supervises_sends_no_spans(shop: Shop) -> None:
    for service in ("storefront", "stock", "receipts"):
        assert shop.pids[service] not in {span["resource"]["process.pid"] for span in shop.spans(service, 1)}


def test_metrics_of_each_worker_count_its_own_requests(shop: Shop) -> None:
    """No worker goes on from what its parent had, so that the sums over all are what was served."""
    query = 'sum(http_server_request_duration_seconds_count{job="storefront",http_route="/buy/<thing>"})'
    answer = shop.server.wait_for(
        f"/prometheus/api/v1/query?query={urlquote(query)}", lambda answer: total(answer) >= PURCHASES
    )
    assert total(answer) == PURCHASES


@pytest.mark.parametrize("service", ["storefront", "prices", "stock"])
def test_durations_of_requests_carry_the_traces_they_were_measured_in(shop: Shop, service: str) -> None:
    """Of Flask, FastAPI and Django."""
    query = urlquote(f'http_server_request_duration_seconds_bucket{{job="{service}"}}')
    until = time.time() + 60
    answer = shop.server.wait_for(
        f"/prometheus/api/v1/query_exemplars?query={query}&start={until - 3600}&end={until}",
        lambda answer: answer["data"],
    )
    traces = {exemplar["labels"]["trace_id"] for series in answer["data"] for exemplar in series["exemplars"]}
    assert traces
    assert traces <= {span["trace_id"] for span in shop.spans(service, 1)}


def total(answer: dict[str, Any]) -> float:
    return sum(float(one["value"][1]) for one in answer["data"]["result"])


def urlquote(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
