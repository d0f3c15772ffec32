"""GET /api/series and GET /api/points on the real engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from httpx import Client
from sonde.storage.store import Store
from stored import RESOURCE, SCOPE, SECOND, T0, insert, put

Filled = Callable[[str, Callable[[Store], None]], str]
RANGE = {"start": str(T0), "end": str(T0 + 3600 * SECOND)}
GAUGE, SUM, HISTOGRAM, EXPONENTIAL, SUMMARY = 0xFFFF_FFFF_FFFF_FFF1, 2, 3, 4, 5
NAN = float("nan")


def series(id: int, name: bytes, type: int, **values: Any) -> dict[str, Any]:
    seen = {"first_seen": T0, "last_seen": T0 + 60 * SECOND}
    ids = {"series_id": id, "resource_id": RESOURCE, "scope_id": SCOPE}
    return ids | {"service_name": b"cart", "name": name, "type": type} | seen | values


SERIES = (
    series(GAUGE, b"queue.size", 5, unit=b"1", description=b"waiting", attributes_string=[(b"queue", b"mail")]),
    series(SUM, b"requests", 7, temporality=2, is_monotonic=1, attributes_int=[(b"status", 500)]),
    series(HISTOGRAM, b"duration", 9, temporality=1, metadata_string=[(b"m", b"d")], service_name=b"web"),
    series(EXPONENTIAL, b"size", 10, temporality=1),
    series(SUMMARY, b"latency", 11),
)
METRICS = {each["series_id"]: each["name"] for each in SERIES}


def fill(store: Store) -> None:
    """Every kind of point, some series announced twice, as a writer that restarted does."""
    tenant = b"points"
    put(store, "series", *SERIES, tenant="points")
    insert(store, "series", SERIES[0] | {"tenant": tenant, "last_seen": T0 + 90_000 * SECOND})

    def at(id: int, seconds: int, **values: Any) -> dict[str, Any]:
        return {
            "tenant": tenant,
            "metric": METRICS[id],
            "series_id": id,
            "time": T0 + seconds * SECOND,
            "start_time": T0 - 5,
        } | values

    insert(
        store,
        "points_number",
        at(GAUGE, 0, value=1.5, value_type=1),
        at(GAUGE, 10, value=NAN, value_type=1),
        at(GAUGE, 20, value=float("-inf"), value_type=1),
        at(GAUGE, 30, flags=1),
        at(SUM, 0, value=2.0**63, value_remainder=-1, value_type=2),
        at(SUM, 10, value=-(2.0**63), value_remainder=0, value_type=2),
        at(SUM, 20, time_source=2, value=7.0, value_type=2),
    )
    buckets = {"bucket_counts": [1, 2**64 - 1], "explicit_bounds": [0.5]}
    insert(store, "points_histogram", at(HISTOGRAM, 1, count=3, sum=1.0, max=NAN, **buckets))
    halves = {
        "positive_offset": -2,
        "positive_bucket_counts": [1, 2],
        "negative_offset": 3,
        "negative_bucket_counts": [4],
    }
    scaled = {"scale": -1, "zero_count": 9, "zero_threshold": 0.25}
    insert(store, "points_exponential_histogram", at(EXPONENTIAL, 1, count=16, min=0.0, **scaled, **halves))
    quantiles = {"quantile_values.quantile": [0.5, 0.99], "quantile_values.value": [1.0, 2.0]}
    insert(store, "points_summary", at(SUMMARY, 1, count=2, sum=3.0, **quantiles))
    exemplar = {"tenant": tenant, "start_time": T0 - 5, "value": 4.0, "value_type": 2}
    insert(
        store,
        "exemplars",
        exemplar
        | {
            "metric": METRICS[SUM],
            "series_id": SUM,
            "point_time": T0,
            "time": T0 - 1,
            "trace_id": b"\x01" * 16,
            "span_id": b"\x02" * 8,
        }
        | {"filtered_attributes_string": [(b"user", b"7")], "filtered_attributes_json": [(b"n", b"1")]},
        exemplar
        | {
            "metric": METRICS[SUM],
            "series_id": SUM,
            "point_time": T0 + 10 * SECOND,
            "time": 0,
            "value": 0.5,
            "value_type": 1,
        },
        exemplar
        | {"metric": METRICS[HISTOGRAM], "series_id": HISTOGRAM, "point_time": T0 + SECOND, "time": 3, "start_time": 0},
    )


@pytest.fixture
def tenant(filled: Filled) -> dict[str, str]:
    return {"X-Sonde-Tenant": filled("points", fill)}


def points(client: Client, tenant: dict[str, str], **parameters: Any) -> dict[str, list[dict[str, Any]]]:
    answer = client.get("/api/points", params=RANGE | parameters, headers=tenant)
    assert answer.status_code == 200, answer.text
    return {each["name"]: each["points"] for each in answer.json()["series"]}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "duration latency queue.size requests size"),
        ({"name": "requests"}, "requests"),
        ({"name_regex": "^(re|la)"}, "latency requests"),
        ({"type": "histogram"}, "duration"),
        ({"service": "web"}, "duration"),
        ({"attr": "queue=mail"}, "queue.size"),
        ({"attr": "status>=500"}, "requests"),
        ({"attr": "resource.service.name=cart", "type": "gauge"}, "queue.size"),
        ({"start": str(T0 - 90_000 * SECOND), "end": str(T0)}, ""),
        ({"start": str(T0 + 9 * 86_400 * SECOND), "end": str(T0 + 10 * 86_400 * SECOND)}, ""),
        ({"start": str(T0 + 2 * 86_400 * SECOND + 3600 * SECOND), "end": str(T0 + 10 * 86_400 * SECOND)}, "queue.size"),
        ({"limit": "2"}, "duration latency"),
    ],
)
def test_series_are_listed_by_name(
    shared_client: Client, tenant: dict[str, str], parameters: dict[str, str], expected: str
) -> None:
    page = shared_client.get("/api/series", params=RANGE | parameters, headers=tenant).json()
    assert [each["name"] for each in page["series"]] == expected.split()


def test_a_series_comes_with_everything_it_has(shared_client: Client, tenant: dict[str, str]) -> None:
    (found,) = shared_client.get("/api/series", params=RANGE | {"name": "queue.size"}, headers=tenant).json()["series"]
    assert found == {
        "series_id": "fffffffffffffff1",
        "name": "queue.size",
        "description": "waiting",
        "unit": "1",
        "type": "gauge",
        "temporality": "unspecified",
        "is_monotonic": False,
        "service_name": "cart",
        "attributes": {"queue": "mail"},
        "metadata": {},
        "resource_id": "00000000000000ab",
        "scope_id": "00000000000000cd",
        "first_seen": "2026-02-02T02:40:00.000000000Z",
        "last_seen": "2026-02-03T03:40:00.000000000Z",
    }


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
def test_series_are_read_page_by_page(shared_client: Client, tenant: dict[str, str], limit: int) -> None:
    given: dict[str, Any] = RANGE | {"limit": limit}
    names: list[str] = []
    while True:
        page = shared_client.get("/api/series", params=given, headers=tenant).json()
        names += [each["name"] for each in page["series"]]
        if page["next_cursor"] is None:
            break
        given["cursor"] = page["next_cursor"]
    assert names == ["duration", "latency", "queue.size", "requests", "size"]


def test_points_of_all_five_kinds_have_their_fields(shared_client: Client, tenant: dict[str, str]) -> None:
    found = points(shared_client, tenant, name_regex=".")

    def head(seconds: int, **values: Any) -> dict[str, Any]:
        nano = T0 + seconds * SECOND
        time = f"2026-02-02T02:40:{seconds:02}.000000000Z"
        base = {"time": time, "time_unix_nano": str(nano), "start_time_unix_nano": str(T0 - 5), "flags": 0}
        return base | {"exemplars": []} | values

    assert [each["as_double"] for each in found["queue.size"]] == [1.5, "NaN", "-Infinity", None]
    assert [each["flags"] for each in found["queue.size"]] == [0, 0, 0, 1]
    assert [each["as_int"] for each in found["requests"]] == [str(2**63 - 1), str(-(2**63)), "7"]
    assert found["requests"][2]["time_unix_nano"] == "0"
    assert found["duration"] == [
        head(1, count="3", sum=1.0, min=None, max="NaN", bucket_counts=["1", str(2**64 - 1)], explicit_bounds=[0.5])
    ]
    assert found["size"] == [
        head(
            1,
            count="16",
            sum=None,
            min=0.0,
            max=None,
            scale=-1,
            zero_count="9",
            zero_threshold=0.25,
            positive={"offset": -2, "bucket_counts": ["1", "2"]},
            negative={"offset": 3, "bucket_counts": ["4"]},
        )
    ]
    quantiles = [{"quantile": 0.5, "value": 1.0}, {"quantile": 0.99, "value": 2.0}]
    assert found["latency"] == [head(1, count="2", sum=3.0, quantile_values=quantiles)]


def test_exemplars_stand_with_their_points(shared_client: Client, tenant: dict[str, str]) -> None:
    found = points(shared_client, tenant, name_regex=".")
    first, second, third = (each["exemplars"] for each in found["requests"])
    assert first == [
        {
            "time_unix_nano": str(T0 - 1),
            "as_double": None,
            "as_int": "4",
            "trace_id": "01" * 16,
            "span_id": "02" * 8,
            "filtered_attributes": {"user": "7", "n": 1},
        }
    ]
    assert [each["as_double"] for each in second] == [0.5]
    assert third == []
    assert found["duration"][0]["exemplars"] == [], "another start time is another point"


def test_points_of_series_by_id(shared_client: Client, tenant: dict[str, str]) -> None:
    found = points(shared_client, tenant, series_id=["fffffffffffffff1", f"{SUMMARY:016x}"])
    assert {name: len(each) for name, each in found.items()} == {"queue.size": 4, "latency": 1}
    assert points(shared_client, tenant, series_id="fffffffffffffff1", service="web") == {}


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
def test_points_are_read_page_by_page(shared_client: Client, tenant: dict[str, str], limit: int) -> None:
    given: dict[str, Any] = RANGE | {"limit": limit, "name_regex": "."}
    seen: list[tuple[str, str]] = []
    while True:
        page = shared_client.get("/api/points", params=given, headers=tenant).json()
        seen += [(each["name"], point["time"]) for each in page["series"] for point in each["points"]]
        if page["next_cursor"] is None:
            break
        given["cursor"] = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 10


@pytest.mark.parametrize(
    ("parameters", "parameter"),
    [
        ({}, "series_id"),
        ({"series_id": "7"}, "series_id"),
        ({"series_id": ["0" * 16] * 33}, "series_id"),
        ({"type": "counter"}, "type"),
        ({"name": "x", "cursor": "x"}, "cursor"),
    ],
)
def test_what_can_not_be_read_is_refused_by_name(
    shared_client: Client, tenant: dict[str, str], parameters: dict[str, Any], parameter: str
) -> None:
    answer = shared_client.get("/api/points", params=RANGE | parameters, headers=tenant)
    assert answer.status_code == 400
    assert answer.json()["error"]["parameter"] == parameter


def test_a_pattern_that_is_none_is_refused_with_the_reason(shared_client: Client, tenant: dict[str, str]) -> None:
    answer = shared_client.get("/api/points", params=RANGE | {"name_regex": "a("}, headers=tenant)
    assert answer.status_code == 400
    assert "'a(': missing )" in answer.json()["error"]["message"]
