"""GET /api/metrics and /api/metrics/{name}/cardinality on the real engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from httpx import Client
from sonde.storage.store import Store
from stored import RESOURCE, SCOPE, SECOND, T0, put

Filled = Callable[[str, Callable[[Store], None]], str]
RANGE = {"start": str(T0), "end": str(T0 + 3600 * SECOND)}


def series(id: int, name: bytes, type: int, **values: Any) -> dict[str, Any]:
    seen = {"first_seen": T0, "last_seen": T0 + 60 * SECOND}
    return {"series_id": id, "resource_id": RESOURCE, "scope_id": SCOPE, "name": name, "type": type} | seen | values


def fill(store: Store) -> None:
    hits = {"unit": b"1", "temporality": 2, "is_monotonic": 1, "description": b"answers"}
    rows = [
        series(
            100 + user,
            b"http/hits",
            7,
            **hits,
            attributes_string=[(b"user.id", b"u%d" % user)],
            attributes_int=[(b"code", code)],
        )
        for user, code in zip(range(6), (200, 200, 200, 200, 500, 500), strict=True)
    ]
    rows.append(rows[0] | {"last_seen": T0 + 120 * SECOND})
    put(
        store,
        "series",
        *rows,
        series(1, b"latency", 9, unit=b"s", temporality=1),
        series(2, b"load", 5),
        tenant="metrics",
    )
    put(store, "series", series(3, b"load", 5, unit=b"1"), tenant="metrics")


@pytest.fixture
def tenant(filled: Filled) -> dict[str, str]:
    return {"X-Sonde-Tenant": filled("metrics", fill)}


def test_metrics_are_listed_by_name(shared_client: Client, tenant: dict[str, str]) -> None:
    page = shared_client.get("/api/metrics", params=RANGE, headers=tenant).json()
    assert [(each["name"], each["type"], each["unit"], each["series_count"]) for each in page["metrics"]][:2] == [
        ("http/hits", "sum", "1", 6),
        ("latency", "histogram", "s", 1),
    ]
    assert page["metrics"][0] == {
        "name": "http/hits",
        "prometheus_names": ["http_hits_total"],
        "type": "sum",
        "temporality": "cumulative",
        "is_monotonic": True,
        "unit": "1",
        "description": "answers",
        "series_count": 6,
        "last_seen": "2026-02-02T02:42:00.000000000Z",
    }
    assert page["metrics"][1]["prometheus_names"] == [
        "latency_seconds_bucket",
        "latency_seconds_sum",
        "latency_seconds_count",
    ]
    assert sorted(each["prometheus_names"][0] for each in page["metrics"][2:]) == ["load", "load_ratio"]
    assert page["next_cursor"] is None


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"name_regex": "^l"}, ["latency", "load", "load"]),
        ({"type": "gauge"}, ["load", "load"]),
        ({"start": str(T0 - 90_000 * SECOND), "end": str(T0)}, []),
    ],
)
def test_metrics_are_filtered(
    shared_client: Client, tenant: dict[str, str], parameters: dict[str, str], expected: list[str]
) -> None:
    page = shared_client.get("/api/metrics", params=RANGE | parameters, headers=tenant).json()
    assert [each["name"] for each in page["metrics"]] == expected


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_metrics_are_read_page_by_page(shared_client: Client, tenant: dict[str, str], limit: int) -> None:
    given: dict[str, Any] = RANGE | {"limit": limit}
    names = []
    while True:
        page = shared_client.get("/api/metrics", params=given, headers=tenant).json()
        names += [(each["name"], each["unit"]) for each in page["metrics"]]
        if page["next_cursor"] is None:
            break
        given["cursor"] = page["next_cursor"]
    assert sorted(names) == [("http/hits", "1"), ("latency", "s"), ("load", ""), ("load", "1")]


@pytest.mark.parametrize("name", ["http/hits", "http_hits_total"])
def test_the_label_with_most_values_comes_first(shared_client: Client, tenant: dict[str, str], name: str) -> None:
    found = shared_client.get(f"/api/metrics/{name}/cardinality", params=RANGE | {"values": 2}, headers=tenant).json()
    assert (found["name"], found["series_count"]) == (name, 6)
    user, code, *rest = found["labels"]
    assert (user["label"], user["distinct_values"], user["series_without"]) == ("user_id", 6, 2)
    assert [each["series_count"] for each in user["top_values"]] == [1, 1]
    assert code == {
        "label": "code",
        "distinct_values": 2,
        "series_without": 6,
        "top_values": [{"value": "200", "series_count": 4}, {"value": "500", "series_count": 2}],
    }
    assert {each["label"] for each in rest} == {"job", "otel_scope_name", "otel_scope_version"}


def test_a_metric_that_is_not_there_is_not_found(shared_client: Client, tenant: dict[str, str]) -> None:
    answer = shared_client.get("/api/metrics/nothing/cardinality", params=RANGE, headers=tenant)
    assert answer.status_code == 404
    assert "'nothing'" in answer.json()["error"]["message"]
