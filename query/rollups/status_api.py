"""How far the summaries of metrics are: GET /api/rollups."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, Field
from sonde.query.parameters import AskedReader
from sonde.query.rollups.hours import HOUR_MS, NEVER, Hours, hours_by_tenant
from sonde.query.rollups.kinds import KINDS
from sonde.query.times import format_time

router = APIRouter(tags=["operation"])
Rows = Callable[[str, Mapping[str, Any]], list[dict[str, Any]]]


class RollupStatus(BaseModel):
    """Hours of points of one tenant and kind, those that have not ended left out."""

    tenant: str = Field(examples=["default"])
    kind: str = Field(description="what is summarised", examples=["points_number"])
    built: int = Field(description="hours that are summarised", examples=[720])
    outdated: int = Field(description="summarised hours that got points since; queries read their points", examples=[1])
    missing: int = Field(description="hours not summarised yet; queries read their points", examples=[0])
    first: str | None = Field(description="when the first summarised hour ended, RFC 3339")
    last: str | None = Field(description="when the last one ended")


class RollupStatuses(BaseModel):
    rollups: list[RollupStatus]


@router.get("/api/rollups", summary="Which hours of metrics are summarised?")
def get_rollups(reader: AskedReader) -> RollupStatuses:
    """PromQL over long ranges reads summaries of five minutes and an hour where there are any."""
    return RollupStatuses(rollups=statuses(reader.rows, reader.tenant))


def statuses(rows: Rows, tenant: str | None = None) -> list[RollupStatus]:
    """Of one tenant or all."""
    now_ms = round(time.time() * 1000)
    closed = now_ms // HOUR_MS * HOUR_MS
    return [
        status(name, kind.name, hours)
        for kind in KINDS
        for name, hours in hours_by_tenant(rows, kind, 0, closed, tenant=tenant).items()
    ]


def status(tenant: str, kind: str, hours: Hours) -> RollupStatus:
    ever = hours.built != NEVER
    ends = [format_time(int(hour) * HOUR_MS * 1_000_000) for hour in hours.hours[ever][[0, -1]]] if ever.any() else None
    return RollupStatus(
        tenant=tenant,
        kind=kind,
        built=int(np.count_nonzero(ever & hours.current)),
        outdated=int(np.count_nonzero(ever & ~hours.current)),
        missing=int(np.count_nonzero(~ever)),
        first=ends[0] if ends else None,
        last=ends[1] if ends else None,
    )
