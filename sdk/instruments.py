"""Metrics of your own: `counter(...)`, `histogram(...)` and `gauge(...)`, over OpenTelemetry's API alone.

    from sonde.sdk import counter
    counter("orders", unit="{order}").add(1, {"country": "de"})

The same name gives the same instrument, so that it may be asked for where it is used. One that is asked for before `instrument()`
works from then on.
"""

from __future__ import annotations

from typing import Any

from opentelemetry import metrics

SCOPE = "sonde.sdk"

_made: dict[tuple[str, str], Any] = {}


def counter(name: str, unit: str = "", description: str = "") -> metrics.Counter:
    """A sum that only grows: `.add(amount, attributes)`. `unit` and `description` are those of the first who asks."""
    found: metrics.Counter = made("create_counter", name, unit, description)
    return found


def histogram(name: str, unit: str = "", description: str = "") -> metrics.Histogram:
    """A distribution: `.record(value, attributes)`."""
    found: metrics.Histogram = made("create_histogram", name, unit, description)
    return found


def gauge(name: str, unit: str = "", description: str = "") -> metrics._Gauge:
    """A value of which the last one counts: `.set(value, attributes)`."""
    found: metrics._Gauge = made("create_gauge", name, unit, description)
    return found


def made(create: str, name: str, unit: str, description: str) -> Any:
    """Until there is a provider the API gives instruments that pass on to it when it comes."""
    found = _made.get((create, name))
    if found is None:
        found = getattr(metrics.get_meter(SCOPE), create)(name, unit=unit, description=description)
        _made[create, name] = found
    return found
