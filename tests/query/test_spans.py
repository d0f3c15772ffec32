"""GET /api/spans on the real engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from httpx import Client
from sonde.query.config import QueryConfig
from sonde.storage.store import Store
from stored import SCOPE, SECOND, T0, Served, insert, put, resource, scope, span

Filled = Callable[[str, Callable[[Store], None]], str]
RANGE = {"start": str(T0), "end": str(T0 + 3600 * SECOND)}


def found(client: Client, tenant: str = "default", **parameters: Any) -> list[str]:
    answer = client.get("/api/spans", params=RANGE | parameters, headers={"X-Sonde-Tenant": tenant})
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in answer.json()["spans"]]


def test_an_empty_store_has_no_spans(client: Client) -> None:
    answer = client.get("/api/spans").json()
    assert answer == {"spans": [], "resources": {}, "scopes": {}, "next_cursor": None}


def test_a_span_comes_with_everything_it_has(client: Client, store: Store) -> None:
    put(
        store,
        "spans",
        span(
            parent_span_id=b"\x03" * 8,
            trace_state=b"a=b",
            flags=257,
            status_code=2,
            status_message=b"refused",
            attributes_string=[(b"http.route", b"/cart")],
            attributes_int=[(b"http.response.status_code", 500), (b"big", 2**63 - 1)],
            attributes_double=[(b"ratio", 1.0), (b"nan", float("nan"))],
            attributes_bool=[(b"retry", 1)],
            attributes_json=[(b"tags", b'["a",1]'), (b"blob", b'{"$bytes":"AQI="}')],
            dropped_attributes_count=1,
            **{
                "events.time": [T0 + 1],
                "events.name": [b"exception"],
                "events.attributes_string": [[(b"exception.type", b"KeyError")]],
                "events.attributes_json": [[(b"line", b"7")]],
                "events.dropped_attributes_count": [2],
                "links.trace_id": [b"\x05" * 16],
                "links.span_id": [b"\x06" * 8],
                "links.trace_state": [b"x=y"],
                "links.flags": [1],
                "links.attributes_string": [[(b"why", b"retry")]],
                "links.attributes_json": [[]],
                "links.dropped_attributes_count": [3],
            },
        ),
    )
    page = client.get("/api/spans", params=RANGE).json()
    assert page["spans"] == [
        {
            "trace_id": "01" * 16,
            "span_id": "02" * 8,
            "parent_span_id": "03" * 8,
            "time": "2026-02-02T02:40:00.000000000Z",
            "start_time_unix_nano": str(T0),
            "end_time_unix_nano": str(T0 + SECOND),
            "duration_nano": SECOND,
            "service_name": "cart",
            "name": "GET /cart",
            "kind": "server",
            "status": "error",
            "status_message": "refused",
            "attributes": {
                "http.route": "/cart",
                "http.response.status_code": 500,
                "big": 2**63 - 1,
                "ratio": 1.0,
                "nan": {"$double": "NaN"},
                "retry": True,
                "tags": ["a", 1],
                "blob": {"$bytes": "AQI="},
            },
            "dropped_attributes_count": 1,
            "events": [
                {
                    "time_unix_nano": str(T0 + 1),
                    "name": "exception",
                    "attributes": {"exception.type": "KeyError", "line": 7},
                    "dropped_attributes_count": 2,
                }
            ],
            "dropped_events_count": 0,
            "links": [
                {
                    "trace_id": "05" * 16,
                    "span_id": "06" * 8,
                    "trace_state": "x=y",
                    "flags": 1,
                    "attributes": {"why": "retry"},
                    "dropped_attributes_count": 3,
                }
            ],
            "dropped_links_count": 0,
            "trace_state": "a=b",
            "flags": 257,
            "resource_id": "00000000000000ab",
            "scope_id": "00000000000000cd",
        }
    ]
    assert page["resources"]["00000000000000ab"]["attributes"] == {"service.name": "cart"}
    assert page["scopes"]["00000000000000cd"]["name"] == "tests"


def test_the_range_is_half_open(client: Client, store: Store) -> None:
    put(store, "spans", span(name=b"first"), span(name=b"last", time=T0 + 5))
    assert found(client, end=str(T0 + 5)) == ["first"]
    assert found(client, start=str(T0 + 1)) == ["last"]


FILTERED = {
    "slow": span(name=b"slow", time=T0 + 1, duration_nano=2 * SECOND),
    "failed": span(name=b"failed", time=T0 + 2, status_code=2, duration_nano=150_000_000),
    "client": span(name=b"client", time=T0 + 3, kind=3, duration_nano=10, service_name=b"web", trace_id=b"\x09" * 16),
}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ["client", "failed", "slow"]),
        ({"service": "web"}, ["client"]),
        ({"name": "slow"}, ["slow"]),
        ({"name": "slo"}, []),
        ({"kind": "client"}, ["client"]),
        ({"kind": "2"}, ["failed", "slow"]),
        ({"status": "error"}, ["failed"]),
        ({"status": "unset"}, ["client", "slow"]),
        ({"min_duration": "150ms"}, ["failed", "slow"]),
        ({"max_duration": "150ms"}, ["client", "failed"]),
        ({"min_duration": "11ns", "max_duration": "1.9s"}, ["failed"]),
        ({"trace_id": "09" * 16}, ["client"]),
        ({"service": "web", "name": "slow"}, []),
        ({"name": "x' OR 1=1 --"}, []),
        ({"limit": "1"}, ["client"]),
    ],
)
def test_filters_narrow_the_answer(
    shared_client: Client, filled: Filled, parameters: dict[str, str], expected: list[str]
) -> None:
    tenant = filled("filters", lambda store: put(store, "spans", *FILTERED.values(), tenant="filters"))
    assert found(shared_client, tenant, **parameters) == expected


TYPED = {
    "string": span(name=b"string", attributes_string=[(b"a", b"500"), (b"route", b"/cart/7")]),
    "int": span(name=b"int", attributes_int=[(b"a", 500), (b"big", 2**53 + 1)]),
    "double": span(name=b"double", attributes_double=[(b"a", 500.5), (b"big", 2.0**53)]),
    "zero": span(name=b"zero", attributes_int=[(b"a", 0)]),
    "true": span(name=b"true", attributes_bool=[(b"a", 1)]),
    "false": span(name=b"false", attributes_bool=[(b"a", 0)]),
    "blank": span(name=b"blank", attributes_string=[(b"a", b"")]),
    "list": span(name=b"list", attributes_json=[(b"a", b"[500]")]),
    "none": span(name=b"none"),
    "nan": span(name=b"nan", attributes_double=[(b"a", float("nan"))]),
}


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        ("a", "string int double zero true false blank list nan"),
        ("!a", "none"),
        ("a=500", "int"),
        ('a="500"', "string"),
        ("a=500.5", "double"),
        ("a=500.0", "int"),
        ("a>=500", "int double"),
        ("a>500", "double"),
        ("a<1", "zero"),
        ("a<=0", "zero"),
        ("a=0", "zero"),
        ("a=true", "true"),
        ("a=false", "false"),
        ("a=", "blank"),
        ("a!=500", "string double zero true false blank list nan"),
        ("a!=false", "string int double zero true blank list nan"),
        ("a~^5", "string"),
        ("a!~^5", "int double zero true false blank list nan"),
        ("route~^/cart/[0-9]+$", "string"),
        ("route=/cart", ""),
        (f"big={2**53 + 1}", "int"),
        (f"big={2**53}", "double"),
        (f"big>{2**53}", "int"),
        ("big>9223372036854775808", ""),
        ("absent=500", ""),
        ("absent!=500", ""),
    ],
)
def test_an_attribute_is_matched_by_its_type(
    shared_client: Client, filled: Filled, predicate: str, expected: str
) -> None:
    tenant = filled("types", lambda store: put(store, "spans", *TYPED.values(), tenant="types"))
    assert sorted(found(shared_client, tenant, attr=predicate)) == sorted(expected.split())


def test_several_predicates_must_all_hold(shared_client: Client, filled: Filled) -> None:
    tenant = filled("types", lambda store: put(store, "spans", *TYPED.values(), tenant="types"))
    assert found(shared_client, tenant, attr=["a=500", "big"]) == ["int"]
    assert found(shared_client, tenant, attr=["a=500", "big<5"]) == []


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        ("resource.k8s.pod.name~^cart-", ["in cart"]),
        ("resource.k8s.pod.name=cart-1", ["in cart"]),
        ("!resource.k8s.pod.name", ["elsewhere"]),
        ("resource.replicas>=2", ["in cart"]),
        ("scope.library=async", ["elsewhere"]),
        ("event.exception.type=KeyError", ["in cart"]),
        ("event.exception.type~Error$", ["in cart"]),
        ("event.exception.type!=KeyError", []),
        ("event.line=7", ["in cart"]),
        ("event.line>=8", []),
        ("event.caught=true", ["in cart"]),
        ("event.caught=false", []),
        ("event.exception.type", ["in cart"]),
        ("!event.exception.type", ["elsewhere"]),
        ("event.line!=7", []),
    ],
)
def test_resources_scopes_and_events_can_be_asked_for(
    shared_client: Client, filled: Filled, predicate: str, expected: list[str]
) -> None:
    assert found(shared_client, filled("origins", fill_origins), attr=predicate) == expected


def fill_origins(store: Store) -> None:
    tenant = b"origins"
    pod = {"attributes_string": [(b"k8s.pod.name", b"cart-1")], "attributes_int": [(b"replicas", 3)]}
    insert(store, "resources", resource(tenant=tenant, resource_id=1, **pod), resource(tenant=tenant, resource_id=2))
    library = [(b"library", b"async")]
    insert(store, "scopes", scope(tenant=tenant), scope(tenant=tenant, scope_id=9, attributes_string=library))
    events = {
        "events.time": [T0],
        "events.name": [b"exception"],
        "events.attributes_string": [[(b"exception.type", b"KeyError")]],
        "events.attributes_json": [[(b"line", b"7"), (b"caught", b"true")]],
        "events.dropped_attributes_count": [0],
    }
    insert(
        store,
        "spans",
        span(tenant=tenant, name=b"in cart", resource_id=1, **events),
        span(tenant=tenant, name=b"elsewhere", resource_id=2, scope_id=9),
    )


def test_a_tenant_sees_its_own_alone(client: Client, store: Store) -> None:
    put(store, "spans", span(name=b"mine"))
    insert(store, "resources", resource(tenant=b"other"))
    insert(store, "scopes", scope(tenant=b"other"))
    insert(store, "spans", span(name=b"theirs", tenant=b"other"))
    assert found(client) == ["mine"]
    theirs = client.get("/api/spans", params=RANGE, headers={"X-Sonde-Tenant": "other"}).json()
    assert [each["name"] for each in theirs["spans"]] == ["theirs"]
    assert client.get("/api/spans", params=RANGE, headers={"X-Sonde-Tenant": "'; --"}).status_code == 400


def pages(client: Client, tenant: str, limit: int) -> list[list[str]]:
    given: dict[str, Any] = RANGE | {"limit": limit}
    seen = []
    while True:
        page = client.get("/api/spans", params=given, headers={"X-Sonde-Tenant": tenant}).json()
        seen.append([each["name"] for each in page["spans"]])
        if page["next_cursor"] is None:
            return seen
        given["cursor"] = page["next_cursor"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20])
def test_pages_give_every_span_once_newest_first(shared_client: Client, filled: Filled, limit: int) -> None:
    """Times lie close and far apart, several spans share one, and some are equal in everything."""
    times = [0, 1, 1, 1, 2, 5, 5, 1000, 10**9, 10**9, 1800 * 10**9, 3599 * 10**9]
    spans = [span(name=f"{number}".encode(), time=T0 + time) for number, time in enumerate(times)]
    tenant = filled("pages", lambda store: put(store, "spans", *spans, spans[2], spans[2], tenant="pages"))
    seen = pages(shared_client, tenant, limit)
    names = [name for page in seen for name in page]
    assert sorted(names, key=int) == sorted([*map(str, range(len(times))), "2", "2"], key=int)
    assert [times[int(name)] for name in names] == sorted((times[int(name)] for name in names), reverse=True)
    assert all(len(page) == limit for page in seen[:-1])


def test_rows_that_arrive_meanwhile_neither_move_nor_repeat_others(client: Client, store: Store) -> None:
    put(store, "spans", *(span(name=f"{number}".encode(), time=T0 + number) for number in range(10)))
    first = client.get("/api/spans", params=RANGE | {"limit": 4}).json()
    insert(store, "spans", span(name=b"newer", time=T0 + 100), span(name=b"older", time=T0 + 1))
    rest = client.get("/api/spans", params=RANGE | {"limit": 50, "cursor": first["next_cursor"]}).json()
    assert [each["name"] for each in first["spans"]] == ["9", "8", "7", "6"]
    names = [each["name"] for each in rest["spans"]]
    assert sorted(names) == sorted(["5", "4", "3", "2", "1", "0", "older"])


def test_a_cursor_keeps_the_range_of_a_relative_question(client: Client, store: Store) -> None:
    put(store, "spans", *(span(name=f"{number}".encode(), time=T0 + number) for number in range(3)))
    asked = {"start": str(T0), "end": "+1h", "limit": 2}
    first = client.get("/api/spans", params=asked).json()
    second = client.get("/api/spans", params=asked | {"cursor": first["next_cursor"]}).json()
    assert [each["name"] for each in second["spans"]] == ["0"]


def test_a_cursor_does_not_continue_another_question(client: Client, store: Store) -> None:
    put(store, "spans", *(span(time=T0 + number) for number in range(3)))
    first = client.get("/api/spans", params=RANGE | {"limit": 2}).json()
    answer = client.get("/api/spans", params=RANGE | {"limit": 2, "service": "cart", "cursor": first["next_cursor"]})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_cursor"


@pytest.mark.parametrize(
    ("parameters", "parameter"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "10001"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"start": "yesterday"}, "start"),
        ({"end": "1", "start": "2"}, "start"),
        ({"kind": "sever"}, "kind"),
        ({"status": "bad"}, "status"),
        ({"min_duration": "150"}, "min_duration"),
        ({"trace_id": "xyz"}, "trace_id"),
        ({"attr": "=5"}, "attr"),
        ({"attr": ["a"] * 33}, "attr"),
        ({"attr": "a~"}, "attr"),
        ({"service": "x" * 1001}, "service"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"servce": "cart"}, "servce"),
    ],
)
def test_what_can_not_be_read_is_refused_by_name(
    shared_client: Client, filled: Filled, parameters: dict[str, Any], parameter: str
) -> None:
    tenant = filled("types", lambda store: put(store, "spans", *TYPED.values(), tenant="types"))
    answer = shared_client.get("/api/spans", params=RANGE | parameters, headers={"X-Sonde-Tenant": tenant})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["parameter"] == parameter
    assert error["message"]


@pytest.mark.parametrize(
    ("pattern", "why"), [("(", "missing )"), ("(x{1000}){1000}", "invalid repetition size"), ("[", "missing ]")]
)
def test_a_pattern_that_is_none_is_refused_with_the_reason(
    shared_client: Client, filled: Filled, pattern: str, why: str
) -> None:
    tenant = filled("types", lambda store: put(store, "spans", *TYPED.values(), tenant="types"))
    asked = RANGE | {"attr": f"a~{pattern}"}
    answer = shared_client.get("/api/spans", params=asked, headers={"X-Sonde-Tenant": tenant})
    assert answer.status_code == 400
    assert why in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (QueryConfig(query_max_rows_read=5), "query_max_rows_read"),
        (QueryConfig(query_max_memory_mib=1), "query_max_memory_mib"),
    ],
)
def test_a_question_over_a_limit_is_told_which(store: Store, config: QueryConfig, named: str) -> None:
    put(store, "spans", *(span(time=T0 + number, attributes_string=[(b"a", b"x" * 1000)]) for number in range(20_000)))
    with Served(store, config) as client:
        answer = client.get("/api/spans", params=RANGE | {"attr": "a~y$", "limit": 1000})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "too_heavy"
    assert named in answer.json()["error"]["message"]


def test_rows_without_their_resource_are_a_fault_that_says_so(client: Client, store: Store) -> None:
    insert(store, "spans", span(scope_id=SCOPE))
    assert client.get("/api/spans", params=RANGE).status_code == 500
