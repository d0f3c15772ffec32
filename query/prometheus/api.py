"""Prometheus' HTTP API under /prometheus: the address that a Grafana data source or `promtool` is given.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from sonde.query.health import check_ready
from sonde.query.parameters import parts_of
from sonde.query.prometheus import catalog_api, query_api, status_api

PREFIX = "/prometheus"

router = APIRouter(prefix=PREFIX, include_in_schema=False)
for part in (query_api.router, catalog_api.router, status_api.router):
    router.include_router(part, prefix="/api/v1")


@router.get("")
@router.get("/")
async def root() -> Response:
    """Where a Prometheus server has its web pages. Some clients ask for them to know that one is there."""
    return Response(
        "Here is Prometheus' HTTP API: give this address to Grafana or promtool.\n", media_type="text/plain"
    )


@router.get("/-/healthy")
async def healthy() -> Response:
    return Response("Prometheus Server is Healthy.\n", media_type="text/plain")


@router.get("/-/ready")
def ready(request: Request) -> Response:
    """503 where the store does not answer or is not this version's."""
    parts = parts_of(request)
    check_ready(parts.store, parts.cluster)
    return Response("Prometheus Server is Ready.\n", media_type="text/plain")
