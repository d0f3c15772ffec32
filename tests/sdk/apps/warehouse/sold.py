"""Telemetry of its own, through sonde's helpers."""

from __future__ import annotations

from sonde.sdk import counter, event, span, traced


@traced(name="sell", attributes={"counter": "front"})
def sell(pieces: int) -> None:
    with span("pack", pieces=pieces):
        event("packed", {"box": "small"})
    counter("pieces.sold", unit="{piece}").add(pieces)
