"""What a Prometheus server says of itself: so that clients know what they speak to, and empty where sonde has no such thing."""

from __future__ import annotations

import os
import platform
from dataclasses import fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, Request, Response
from sonde.query.parameters import parts_of
from sonde.query.prometheus.api_errors import PrometheusRoute
from sonde.query.prometheus.envelope import success

router = APIRouter(route_class=PrometheusRoute, include_in_schema=False)

PROMETHEUS_VERSION = "3.14.0"
"""The version whose API and language this is. Clients such as Grafana decide by it what they may ask for."""
STARTED = datetime.now(UTC)


@router.get("/status/buildinfo")
async def build_info() -> Response:
    return success(
        {
            "version": PROMETHEUS_VERSION,
            "revision": own_version(),
            "branch": "sonde",
            "buildUser": "sonde",
            "buildDate": "",
            "goVersion": f"python{platform.python_version()}",
        }
    )


def own_version() -> str:
    try:
        return version("sonde")
    except PackageNotFoundError:
        return "0"


@router.get("/status/runtimeinfo")
async def runtime_info() -> Response:
    now = datetime.now(UTC)
    return success(
        {
            "startTime": STARTED.isoformat(),
            "CWD": "",
            "hostname": "",
            "serverTime": now.isoformat(),
            "reloadConfigSuccess": True,
            "lastConfigTime": STARTED.isoformat(),
            "corruptionCount": 0,
            "goroutineCount": 0,
            "GOMAXPROCS": os.cpu_count() or 1,
            "GOMEMLIMIT": 0,
            "GOGC": "",
            "GODEBUG": "",
            "storageRetention": "",
        }
    )


@router.get("/status/flags")
async def flags(request: Request) -> Response:
    """The settings of the query service, by the names of Prometheus' flags where there is one."""
    config = parts_of(request).config
    settings = {field.name: str(getattr(config, field.name)) for field in fields(config)}
    known = {
        "query.lookback-delta": f"{config.promql_lookback_seconds:g}s",
        "query.max-concurrency": str(config.promql_max_concurrent),
        "query.max-samples": str(config.promql_max_samples),
        "query.timeout": f"{config.promql_max_seconds:g}s",
    }
    return success(known | settings)


@router.get("/status/config")
async def config() -> Response:
    """Prometheus' configuration file, of which there is none here."""
    return success({"yaml": ""})


@router.get("/targets")
async def targets() -> Response:
    """Nothing is scraped: whoever has metrics sends them."""
    return success({"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}})


@router.get("/targets/metadata")
async def targets_metadata() -> Response:
    return success([])


@router.get("/scrape_pools")
async def scrape_pools() -> Response:
    return success({"scrapePools": []})


@router.get("/rules")
async def rules() -> Response:
    return success({"groups": []})


@router.get("/alerts")
async def alerts() -> Response:
    return success({"alerts": []})


@router.get("/alertmanagers")
async def alertmanagers() -> Response:
    return success({"activeAlertmanagers": [], "droppedAlertmanagers": []})


EMPTY_HEAD: dict[str, Any] = {"numSeries": 0, "numLabelPairs": 0, "chunkCount": 0, "minTime": 0, "maxTime": 0}


@router.get("/status/tsdb")
async def tsdb() -> Response:
    """Prometheus' own store in numbers; metrics are kept in another one here, which `GET /api/metrics` describes."""
    counts = (
        "seriesCountByMetricName",
        "labelValueCountByLabelName",
        "memoryInBytesByLabelName",
        "seriesCountByLabelValuePair",
    )
    return success({"headStats": EMPTY_HEAD, **{name: [] for name in counts}})
