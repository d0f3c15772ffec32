"""A tenant's metrics for tests of the Prometheus API: two counters, a gauge, a classic and a native histogram, an exemplar."""

from __future__ import annotations

from typing import Any

from sonde.storage.store import Store
from stored import RESOURCE, SCOPE, SECOND, T0, insert, put

TENANT = "prometheus"
START = T0 // SECOND
STEPS = 41
STEP = 15
END = START + (STEPS - 1) * STEP
"""Ten minutes of a point every fifteen seconds."""

GETS, POSTS, QUEUE, DURATION, SIZE = 1, 2, 3, 4, 5


def series(id: int, name: bytes, type: int, **values: Any) -> dict[str, Any]:
    seen = {"first_seen": T0, "last_seen": T0 + 3600 * SECOND}
    ids = {"series_id": id, "resource_id": RESOURCE, "scope_id": SCOPE, "service_name": b"cart"}
    return ids | {"name": name, "type": type} | seen | values


COUNTER = {"temporality": 2, "is_monotonic": 1, "unit": b"{request}", "description": b"answered requests"}
SERIES = (
    series(GETS, b"http.server.requests", 7, attributes_string=[(b"http.method", b"GET")], **COUNTER),
    series(POSTS, b"http.server.requests", 7, attributes_string=[(b"http.method", b"POST")], **COUNTER),
    series(QUEUE, b"queue.size", 5, description=b"waiting", attributes_string=[(b"queue", b"mail")]),
    series(DURATION, b"http.server.duration", 9, unit=b"s", temporality=2),
    series(SIZE, b"rpc.size", 10, unit=b"By", temporality=2),
)
METRICS = {each["series_id"]: each["name"] for each in SERIES}


def fill(store: Store) -> None:
    put(store, "series", *SERIES, tenant=TENANT)

    def at(id: int, step: int, **values: Any) -> dict[str, Any]:
        time = T0 + step * STEP * SECOND
        head = {"tenant": TENANT.encode(), "metric": METRICS[id], "series_id": id}
        return head | {"time": time, "start_time": T0 - STEP * SECOND} | values

    steps = range(STEPS)
    insert(
        store,
        "points_number",
        *(at(GETS, step, value=30.0 * step, value_type=1) for step in steps),
        *(at(POSTS, step, value=15.0 * step, value_type=1) for step in steps),
        *(at(QUEUE, step, value=step + 0.5, value_type=1) for step in steps),
    )
    bounds = {"explicit_bounds": [0.1, 1.0]}
    insert(
        store,
        "points_histogram",
        *(
            at(DURATION, step, count=4 * step, sum=2.0 * step, bucket_counts=[step, 2 * step, step], **bounds)
            for step in steps
        ),
    )
    buckets = {"scale": 0, "positive_offset": 0, "zero_threshold": 0.0}
    insert(
        store,
        "points_exponential_histogram",
        *(
            at(SIZE, step, count=3 * step, sum=9.0 * step, positive_bucket_counts=[step, 2 * step], **buckets)
            for step in steps
        ),
    )
    insert(
        store,
        "exemplars",
        {
            "tenant": TENANT.encode(),
            "metric": METRICS[GETS],
            "series_id": GETS,
            "point_time": T0 + 60 * SECOND,
            "start_time": T0 - STEP * SECOND,
            "time": T0 + 59 * SECOND,
            "value": 1.0,
            "value_type": 1,
            "trace_id": b"\x01" * 16,
            "span_id": b"\x02" * 8,
        },
    )
