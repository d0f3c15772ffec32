"""The query service as one FastAPI app, put together in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline
from sonde.query import errors, export, health, logs, metrics, page, points, series, services, spans, traces
from sonde.query.config import QueryConfig
from sonde.query.errors import ErrorBody
from sonde.query.guard import Guard
from sonde.query.parameters import TENANT_HEADER, ServiceParts
from sonde.query.parts import PartsNow
from sonde.query.prometheus import api as prometheus
from sonde.query.prometheus.held import HeldSeries
from sonde.query.prometheus.held_points import HeldPoints
from sonde.query.prometheus.running import Evaluations
from sonde.query.reader import Gate
from sonde.query.rollups import status_api as rollups
from sonde.storage.store import Store

ROUTERS: tuple[APIRouter, ...] = (
    # Routes are looked through in this order: first those of which a dashboard asks many at once.
    prometheus.router,
    page.router,
    health.router,
    services.router,
    spans.router,
    traces.router,
    logs.router,
    metrics.router,
    series.router,
    points.router,
    export.router,
    rollups.router,
)
DESCRIPTION = """
Questions about logs, metrics and traces. Every path is read with GET. Beside these paths, `/prometheus` is the HTTP API of a
Prometheus server.

* **Times** are RFC 3339, unix seconds, milliseconds, microseconds or nanoseconds, `now`, or relative to now (`-15m`).
* **Pages** are newest first; give `next_cursor` back as `cursor`. Rows that arrive meanwhile neither move nor repeat others.
* **Attributes** are asked for with `attr=`: `attr=http.response.status_code>=500`, `attr=resource.k8s.pod.name~^cart-`.
* **Tenant**: the header `X-Sonde-Tenant` names whose data is read.
* **Errors** have one shape: `{"error": {"code", "message", "hint", "parameter"}}`.
"""
ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorBody, "description": "a parameter can't be read; the message says which and why"},
    422: {
        "model": ErrorBody,
        "description": "too heavy: a limit on time, memory or rows was reached; the message names it",
    },
    503: {"model": ErrorBody, "description": "the store does not answer, or too many questions are being answered"},
}


def create_app(
    store: Store,
    *,
    ledger: Callable[[], Mapping[str, Any]] | None = None,
    config: QueryConfig | None = None,
    cluster: str | None = None,
) -> FastAPI:
    """The app over `store`. `ledger` reads the books of ingest, where this process keeps them.

    `cluster`: the ClickHouse cluster the tables were made for, which /readyz must know.
    """
    config = config or QueryConfig()
    # FastAPI whose page /docs loads nothing from the network: it has to work where there is none.
    app = FastAPIOffline(
        title="sonde",
        version=version(),
        description=DESCRIPTION,
        openapi_url="/api/openapi.json",
        redoc_url=None,
        static_url="/docs/files",
        redirect_slashes=False,
    )
    app.state.service = ServiceParts(
        store=store,
        config=config,
        ledger=ledger,
        cluster=cluster or None,
        questions=Gate(config.query_max_concurrent, config.query_max_seconds),
        exports=Gate(config.query_max_concurrent, 0),
        held=HeldSeries(config.promql_held_series),
        held_points=HeldPoints(config.promql_held_points),
        parts_now=PartsNow(store),
        evaluations=Evaluations(config.promql_max_concurrent, "promql_max_concurrent"),
        lookups=Evaluations(config.query_max_concurrent, "query_max_concurrent"),
    )
    for router in ROUTERS:
        app.include_router(router, responses=ERRORS)
    errors.install(app)
    # Outermost last: a request passes CORS, then the guard, then its route.
    app.add_middleware(Guard, config=config)
    if config.query_cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(config.query_cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=[TENANT_HEADER],
            max_age=600,
        )
    return app


def version() -> str:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("sonde")
    except PackageNotFoundError:
        return "0"
