"""The service as a whole: errors of one shape, who may ask, health, and the OpenAPI page."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from httpx import Client
from sonde.query.app import create_app
from sonde.query.config import QueryConfig, listen_address
from sonde.query.guard import host_is_allowed
from sonde.query.reader import Gate
from sonde.storage.store import Store
from stored import Served, insert, put, span

PATHS = (
    "/healthz",
    "/readyz",
    "/api/ledger",
    "/api/services",
    "/api/operations",
    "/api/spans",
    "/api/traces/{trace_id}",
    "/api/logs",
    "/api/metrics",
    "/api/metrics/{name}/cardinality",
    "/api/series",
    "/api/points",
    "/api/rollups",
    "/api/export",
)


def error_of(answer: Any) -> dict[str, Any]:
    body = answer.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() <= {"code", "message", "hint", "parameter"}
    assert body["error"]["message"]
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/api/spans/", 404, "not_found"),
        ("GET", "/api/traces/", 404, "not_found"),
        ("GET", "/%00", 404, "not_found"),
        ("POST", "/api/spans", 405, "method_not_allowed"),
        ("DELETE", "/api/traces/00", 405, "method_not_allowed"),
        ("GET", "/api/spans?limit=x", 400, "invalid_parameter"),
        ("GET", "/api/spans?nonsense=1", 400, "invalid_parameter"),
        ("GET", "/api/export", 400, "invalid_parameter"),
        ("GET", "/api/logs?attr=event.exception.type", 400, "invalid_parameter"),
        ("GET", "/api/series?attr=event.exception.type%3Dx", 400, "invalid_parameter"),
        ("GET", "/api/points?attr=event.exception.type~(", 400, "invalid_parameter"),
        ("GET", "/api/ledger", 503, "not_served"),
        ("GET", "/api/spans?attr=" + "x" * 20_000, 414, "url_too_long"),
    ],
)
def test_every_error_has_one_shape(shared_client: Client, method: str, path: str, status: int, code: str) -> None:
    answer = shared_client.request(method, path)
    assert answer.status_code == status
    assert error_of(answer)["code"] == code


def test_a_fault_of_ours_has_the_shape_too_and_tells_nothing(store: Store) -> None:
    def broken() -> dict[str, Any]:
        raise RuntimeError("secret")

    with Served(store, ledger=broken) as client:
        answer = client.get("/api/ledger")
    assert answer.status_code == 500
    assert error_of(answer)["code"] == "internal"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("host", "allowed", "expected"),
    [
        ("localhost", (), True),
        ("LOCALHOST:8318", (), True),
        ("sonde.localhost:8318", (), True),
        ("127.0.0.1:8318", (), True),
        ("10.1.2.3", (), True),
        ("[::1]:8318", (), True),
        ("[::1]", (), True),
        ("evil.example:8318", (), False),
        ("127.0.0.1.evil.example", (), False),
        ("localhost.evil.example", (), False),
        ("sonde.example", ("sonde.example",), True),
        ("SONDE.example.:80", ("sonde.example",), True),
        ("evil.example", ("*",), True),
        ("", (), False),
        ("", ("*",), False),
        ("localhost:", (), False),
        ("localhost:80:80", (), False),
        ("[::1", (), False),
        ("[::1]x", (), False),
        ("localhost@evil.example", (), False),
    ],
)
def test_a_host_header_names_this_service(host: str, allowed: tuple[str, ...], expected: bool) -> None:
    assert host_is_allowed(host, allowed) is expected


def test_another_name_for_this_address_is_refused(shared_client: Client) -> None:
    """DNS rebinding: a page's own name points at 127.0.0.1."""
    answer = shared_client.get("/api/spans", headers={"Host": "evil.example:8318"})
    assert answer.status_code == 421
    assert error_of(answer)["code"] == "misdirected_host"
    assert shared_client.get("/api/spans", headers={"Host": "localhost:8318"}).status_code == 200


def test_pages_of_other_sites_may_not_ask_in_the_background(store: Store) -> None:
    cross = {"Sec-Fetch-Site": "cross-site", "Origin": "https://grafana.example"}
    with Served(store) as client:
        answer = client.get("/api/spans", headers=cross | {"Sec-Fetch-Mode": "cors"})
        assert answer.status_code == 403
        assert error_of(answer)["code"] == "forbidden_origin"
        assert client.get("/api/spans", headers=cross | {"Sec-Fetch-Mode": "navigate"}).status_code == 200
        assert client.get("/api/spans", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
        assert "access-control-allow-origin" not in client.get("/api/spans", headers={"Origin": "https://a.b"}).headers
    with Served(store, QueryConfig(query_cors_origins=("https://grafana.example",))) as client:
        answer = client.get("/api/spans", headers=cross | {"Sec-Fetch-Mode": "cors"})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://grafana.example"
        preflight = cross | {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "X-Sonde-Tenant"}
        assert client.options("/api/spans", headers=preflight).status_code == 200
        other = client.get("/api/spans", headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"})
        assert other.status_code == 403


def test_answers_carry_safe_headers(shared_client: Client) -> None:
    for path in ("/", "/healthz", "/nowhere", "/api/spans"):
        headers = shared_client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"


def test_the_start_page_says_what_runs_and_runs_nothing(shared_client: Client) -> None:
    answer = shared_client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for link in ("/docs", "/api/services", "/readyz", "/api/ledger"):
        assert f'href="{link}' in answer.text
    assert "<script" not in answer.text


def test_a_service_that_is_up_is_healthy(shared_client: Client) -> None:
    assert shared_client.get("/healthz").json() == {"status": "ok"}
    assert shared_client.get("/readyz").json() == {"status": "ready"}


def test_a_database_without_the_schema_is_not_ready(empty_store: Store) -> None:
    with Served(empty_store) as client:
        assert client.get("/healthz").status_code == 200
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert error_of(answer)["code"] == "not_ready"
    assert "sonde migrate" in answer.json()["error"]["hint"]


def test_a_database_of_a_newer_version_is_not_ready(store: Store) -> None:
    store.command("INSERT INTO schema_migrations (number, name) VALUES (9999, 'later')")
    with Served(store) as client:
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "newer" in error_of(answer)["message"]


def test_a_store_that_is_gone_is_unavailable(store: Store) -> None:
    with Served(store) as client:
        assert client.get("/readyz").status_code == 200
        store.close()
        for path in ("/readyz", "/api/spans"):
            answer = client.get(path)
            assert answer.status_code == 503
            assert error_of(answer)["code"] == "store_unavailable"
            assert answer.headers["retry-after"] == "1"
        assert client.get("/healthz").status_code == 200


def test_the_ledger_is_shown_where_there_is_one(store: Store) -> None:
    books = {"balanced": True, "tenants": {"default": {"traces": {"received": 3}}}}
    with Served(store, ledger=lambda: books) as client:
        assert client.get("/api/ledger").json() == books


def test_every_path_is_documented_with_its_errors(store: Store) -> None:
    page = create_app(store).openapi()
    assert set(page["paths"]) == set(PATHS)
    for path, methods in page["paths"].items():
        assert list(methods) == ["get"]
        found = methods["get"]
        assert found["summary"], path
        assert found["description"], path
        for parameter in found.get("parameters", ()):
            described = parameter.get("description") or parameter["schema"].get("description")
            assert described, (path, parameter["name"])
        unprocessable = (
            found["responses"].get("422", {}).get("content", {}).get("application/json", {}).get("schema", {})
        )
        assert unprocessable.get("$ref", "").endswith("ErrorBody"), path


def test_the_openapi_page_needs_nothing_from_elsewhere(shared_client: Client) -> None:
    assert shared_client.get("/api/openapi.json").json()["info"]["title"] == "sonde"
    answer = shared_client.get("/docs")
    assert answer.status_code == 200
    files = re.findall(r'(?:src|href)="([^"]*)"', answer.text)
    assert any(file.endswith(".js") for file in files)
    for file in files:
        assert file.startswith("/"), "a machine without internet can't load this"
        assert shared_client.get(file).status_code == 200, file
    assert "url: '/api/openapi.json'" in answer.text


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:8318", ("127.0.0.1", 8318)), ("[::1]:80", ("::1", 80)), ("sonde:0", ("sonde", 0))],
)
def test_an_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert listen_address(text) == address


@pytest.mark.parametrize("text", ["", "8318", ":8318", "localhost", "localhost:", "localhost:99999", "[x]:1", "a:-1"])
def test_an_address_without_either_stops_the_start(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        QueryConfig(query=text)


@pytest.mark.parametrize("name", ["query_max_seconds", "query_max_limit", "query_max_concurrent"])
def test_a_limit_of_nothing_stops_the_start(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        QueryConfig(**{name: 0})


def test_an_origin_is_a_url() -> None:
    with pytest.raises(ValueError, match="grafana"):
        QueryConfig(query_cors_origins=("grafana.example.org",))


def test_more_questions_than_places_wait_for_one() -> None:
    gate, order = Gate(1, seconds=120), []

    def ask(name: str) -> None:
        with gate.entered():
            order.append(name)
            time.sleep(0.05)

    threads = [threading.Thread(target=ask, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(order) == ["a", "b", "c"]


HOSTILE = (
    "'; DROP TABLE spans; --",
    "\\'; SELECT 1 --",
    "{tenant:String}",
    "%(tenant)s",
    "\x00",
    "\ud7ff\U0010ffff",
    "' OR 1=1 OR '",
    "`tenant`",
    "/*",
    "\n\t\r",
    "<script>alert(1)</script>",
)  # fmt: skip


@pytest.fixture
def hostile_client(shared_store: Store, filled: Any) -> Iterator[Client]:
    filled("hostile", lambda store: put(store, "spans", span(name=b"x"), tenant="hostile"))
    with Served(shared_store) as client:
        client.headers["X-Sonde-Tenant"] = "hostile"
        yield client


def test_hostile_text_is_only_a_value(hostile_client: Client) -> None:
    """Wherever text may stand, it matches nothing and breaks nothing."""
    every = {"start": "0", "end": str(2**62)}
    for text in HOSTILE:
        for path, parameters in (
            ("/api/spans", {"service": text}),
            ("/api/spans", {"name": text}),
            (
                "/api/spans",
                {"attr": f'k="{text}"' if text != "\n\t\r" and "\\" not in text and "\x00" not in text else "k=1"},
            ),
            ("/api/spans", {"attr": f"k={text}"}),
            ("/api/logs", {"service": text}),
            ("/api/logs", {"body": text}),
            ("/api/logs", {"event_name": text}),
            ("/api/series", {"name": text}),
            ("/api/operations", {"service": text}),
            ("/api/export", {"signal": "traces", "service": text}),
        ):
            answer = hostile_client.get(path, params=every | parameters)
            assert answer.status_code == 200, (path, parameters, answer.text)
            assert not any(
                answer.json().get(key) for key in ("spans", "logs", "series", "operations") if answer.content
            )
    assert len(hostile_client.get("/api/spans", params=every).json()["spans"]) == 1


def test_a_tenant_is_never_sql(shared_client: Client, shared_store: Store) -> None:
    insert(shared_store, "spans", span(name=b"x", tenant=b"other"))
    for tenant in ("a b", "a'b", "*", "../x", "-", "x" * 129):
        assert shared_client.get("/api/spans", headers={"X-Sonde-Tenant": tenant}).status_code == 400
