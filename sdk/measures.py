"""What is read at each collection of metrics, declared as a table: one row a metric, with what reads it.

Names, units and attributes are those of OpenTelemetry's semantic conventions wherever they have one. Values that can't be read on
this system, or not by this user, are left out.
https://opentelemetry.io/docs/specs/semconv/system/
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

log = logging.getLogger("sonde.sdk")

Kind = Literal["counter", "up_down_counter", "gauge"]
Reading = tuple[float, Mapping[str, str | int]]
"""A value and its attributes."""
NOWHERE = set_span_in_context(INVALID_SPAN, Context())
"""Readings belong to no trace, whatever the thread that collects was started by. OpenTelemetry takes an empty context for none."""


class Measure(NamedTuple):
    """A metric that is read when metrics are collected."""

    name: str
    kind: Kind
    unit: str
    description: str
    read: Callable[[], Iterable[Reading]]


def register(meter: Meter, measures: Iterable[Measure]) -> None:
    for measure in measures:
        create: Any = getattr(meter, f"create_observable_{measure.kind}")
        create(measure.name, [reading(measure)], unit=measure.unit, description=measure.description)


def reading(measure: Measure) -> Callable[[CallbackOptions], list[Observation]]:
    def read(_: CallbackOptions) -> list[Observation]:
        try:
            return [Observation(value, dict(attributes), NOWHERE) for value, attributes in measure.read()]
        except (OSError, ValueError, LookupError) as error:
            log.debug("%s can't be read: %s", measure.name, error)
            return []

    return read


def alone(value: float) -> list[Reading]:
    """The only value of a metric."""
    return [(value, {})]


def by(attribute: str, values: Mapping[str, float]) -> list[Reading]:
    """Values that differ in one attribute."""
    return [(value, {attribute: name}) for name, value in values.items()]
