"""Telemetry under test: a pytest fixture `telemetry` that gives each test the spans, logs and metrics of the app it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sonde.testing.telemetry import Telemetry

__all__ = ["Telemetry"]


def __getattr__(name: str) -> Any:
    """Loaded when asked for: every run of pytest imports this package."""
    if name == "Telemetry":
        from sonde.testing.telemetry import Telemetry

        return Telemetry
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
