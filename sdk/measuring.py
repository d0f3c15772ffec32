"""Measurements that cost less than the OpenTelemetry SDK's, and mean the same.

What the SDK does anew with each measurement, cleaning its attributes and finding the sums that it belongs to, is done once for
each set of attributes of an instrument. Instruments, sums, readers and views are the SDK's own, and what is seldom done is left to
them. What is imported here is partly private to the SDK: `check` says whether the installed one is as this file knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from sys import float_info
from time import time_ns
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    MeterProvider,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.metrics._internal import Meter as SdkMeter
from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes
from opentelemetry.sdk.metrics._internal.aggregation import _Aggregation
from opentelemetry.sdk.metrics._internal.instrument import _Counter, _Gauge, _Histogram, _UpDownCounter
from opentelemetry.sdk.metrics._internal.measurement_consumer import SynchronousMeasurementConsumer
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from sonde.sdk.contexts import SPAN, current
from sonde.sdk.recording import FLAGS, PLAIN, SAMPLED, Span, all_plain, context_of

Measure = Callable[..., None]
Sums = dict[tuple[Any, ...], tuple[_Aggregation[Any], ...]]
"""What a measurement is added to, by its attributes and their types: an aggregation for each reader and view."""

MOST_HELD = 4096
"""Sets of attributes that are held for one instrument. Beyond, all are forgotten, and found again when they are measured."""
NUMBERS = frozenset({int, float})
LEAST = -float_info.max
MEASURES = {_Counter: ("add", 0), _UpDownCounter: ("add", LEAST), _Histogram: ("record", 0), _Gauge: ("set", LEAST)}
"""By instrument: the method that measures, and the least that may be measured."""


class Measurement:
    """One of the SDK's, as far as an aggregation looks at it. `attributes` are those of the sum that it is added to."""

    __slots__ = ("attributes", "context", "time_unix_nano", "value")

    def __init__(self, value: float, time_unix_nano: int, attributes: Any, context: Context) -> None:
        self.value, self.time_unix_nano = value, time_unix_nano
        self.attributes, self.context = attributes, context


class Held:
    """The sums of one provider's instruments, for as long as its readers stay the same."""

    def __init__(self, consumer: SynchronousMeasurementConsumer, is_exemplar: Callable[[Context], bool]) -> None:
        self.consumer, self.is_exemplar = consumer, is_exemplar
        self.storages = consumer._reader_storages
        self._all: list[Sums] = []

    def new(self) -> Sums:
        self._all.append({})
        return self._all[-1]

    def forget(self) -> None:
        """To be called when readers come or go, and in a forked child, whose sums begin again."""
        self.storages = self.consumer._reader_storages
        for sums in self._all:
            sums.clear()


def held_for(provider: MeterProvider) -> Held | None:
    """None where exemplars are chosen in a way that only the SDK's own measurements serve."""
    consumer: Any = provider._measurement_consumer
    is_exemplar = EXEMPLARS.get(type(consumer._sdk_config.exemplar_filter))
    return Held(consumer, is_exemplar) if is_exemplar is not None else None


class Meter(SdkMeter):
    """One of the SDK's, whose instruments measure at less cost. Made by `adopt` alone."""

    _held: Held

    def create_counter(self, *args: Any, **kwargs: Any) -> Any:
        return quicken(super().create_counter(*args, **kwargs), self._held)

    def create_up_down_counter(self, *args: Any, **kwargs: Any) -> Any:
        return quicken(super().create_up_down_counter(*args, **kwargs), self._held)

    def create_histogram(self, *args: Any, **kwargs: Any) -> Any:
        return quicken(super().create_histogram(*args, **kwargs), self._held)

    def create_gauge(self, *args: Any, **kwargs: Any) -> Any:
        return quicken(super().create_gauge(*args, **kwargs), self._held)


def adopt(meter: SdkMeter, held: Held) -> None:
    """Makes `meter`, which the SDK has made, one of ours."""
    found: Any = meter
    found._held = held
    found.__class__ = Meter


def quicken(instrument: Any, held: Held) -> Any:
    """Gives `instrument` a method of its own that measures; once."""
    name, least = MEASURES.get(type(instrument), ("", 0))
    if name and name not in vars(instrument):
        setattr(instrument, name, measuring(instrument, getattr(instrument, name), least, held))
    return instrument


def measuring(instrument: Any, by_the_sdk: Measure, least: float, held: Held) -> Measure:
    """Measures as `by_the_sdk` does, which is called for what is new, unusual or wrong."""
    sums, is_enabled = held.new(), instrument._is_enabled
    consumer, is_exemplar = held.consumer, held.is_exemplar

    def measure(amount: float, attributes: Any = None, context: Context | None = None) -> None:
        if held.storages is not consumer._reader_storages:
            held.forget()
        if type(amount) not in NUMBERS or not least <= amount < inf or not is_enabled():
            by_the_sdk(amount, attributes, context)
            return
        try:
            key = (*attributes.items(), *map(type, attributes.values())) if attributes else ()
            found = sums.get(key)
        except (AttributeError, TypeError):
            by_the_sdk(amount, attributes, context)
            return
        if found is None:
            by_the_sdk(amount, attributes, context)
            hold(sums, key, attributes, instrument, held)
            return
        within = context or current()
        sampled = is_exemplar(within)
        for aggregation in found:
            measured: Any = Measurement(amount, time_ns(), aggregation._attributes, within)
            aggregation.aggregate(measured, sampled)

    return measure


def hold(sums: Sums, key: tuple[Any, ...], attributes: Mapping[str, Any] | None, instrument: Any, held: Held) -> None:
    """Remembers which sums the SDK has just added to, unless it may have changed `attributes` before, or a view leaves some out."""
    attributes = dict(attributes or {})
    if not all_plain(attributes, PLAIN):
        return
    found, hashed = [], _hash_attributes(attributes)
    for storage in list(held.storages.values()):
        for match in storage._instrument_view_instrument_matches.get(instrument, ()):
            aggregation = match._attributes_aggregation.get(hashed)
            if match._view._attribute_keys is not None or aggregation is None:
                return
            found.append(aggregation)
    if len(sums) >= MOST_HELD:
        sums.clear()
    sums[key] = tuple(found)


def is_sampled(context: Context) -> bool:
    span = context.get(SPAN)
    if span is None:
        return False
    found = span._context if type(span) is Span else context_of(span)
    return found is not None and bool(found[FLAGS] & SAMPLED)


EXEMPLARS: dict[type, Callable[[Context], bool]] = {
    TraceBasedExemplarFilter: is_sampled,
    AlwaysOnExemplarFilter: lambda _: True,
    AlwaysOffExemplarFilter: lambda _: False,
}
"""By the SDK's filter: whether what is measured within a context may become an exemplar."""


def check() -> None:
    """Raises where the installed SDK is not as this file takes it to be."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], Resource({}), TraceBasedExemplarFilter(), shutdown_on_exit=False)
    meter, held = provider.get_meter("sonde.sdk"), held_for(provider)
    if not isinstance(meter, SdkMeter):
        return  # OTEL_SDK_DISABLED
    if held is None:
        raise AttributeError("exemplars are chosen in another way")
    adopt(meter, held)
    counter, histogram = meter.create_counter("counter"), meter.create_histogram("histogram")
    for _ in range(2):
        counter.add(1, {"a": "b"})
        histogram.record(1, {"a": "b"})
    data: Any = reader.get_metrics_data()
    points = [metric.data.data_points[0] for metric in data.resource_metrics[0].scope_metrics[0].metrics]
    if [points[0].value, points[1].count] != [2, 2] or [len(sums) for sums in held._all] != [1, 1]:
        raise AttributeError("measurements are added up elsewhere")
    provider.shutdown()
