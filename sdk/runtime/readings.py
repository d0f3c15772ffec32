"""What is read at each collection of metrics, declared as a table: one row a metric, with what reads it.

Names, units and attributes are those of OpenTelemetry's semantic conventions wherever they have one. Values that can't be read on
this system, or not by this user, are left out.
https://opentelemetry.io/docs/specs/semconv/system/
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

log = logging.getLogger("sonde.sdk")

Kind = Literal["counter", "up_down_counter", "gauge"]
Reading = tuple[float, Mapping[str, str | int]]
"""A value and its attributes."""
NOWHERE = set_span_in_context(INVALID_SPAN, Context())
"""Readings belong to no trace, whatever the thread that collects was started by. OpenTelemetry takes an empty context for none."""

MOST_NOTED = 1 << 16


class Noted:
    """Measurements that a histogram is told when metrics are collected, all at once: now and then, by code that the CPU has
    forgotten meanwhile, one costs ten times as much. The oldest give way where nobody collects."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._values: deque[float] = deque(maxlen=MOST_NOTED)
        self.note = self._values.append
        self.forget = self._values.clear

    def tell(self) -> None:
        with contextlib.suppress(IndexError):  # another thread tells them too
            for _ in range(len(self._values)):
                self._histogram.record(self._values.popleft(), None, NOWHERE)


class Measure(NamedTuple):
    """A metric that is read when metrics are collected."""

    name: str
    kind: Kind
    unit: str
    description: str
    read: Callable[[], Iterable[Reading]]


def telling(tell: Callable[[], None], measure: Measure) -> Measure:
    """The measure, which has `tell` called when it is read: what that records comes with the same collection."""

    def read() -> Iterable[Reading]:
        tell()
        return measure.read()

    return measure._replace(read=read)


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
