"""Measurements that cost less: whatever an app measures, what is collected and said is what the OpenTelemetry SDK gives."""

from __future__ import annotations

import enum
import logging
import os
import random
import subprocess
import sys
import textwrap
import threading
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import context as context_api
from opentelemetry import trace as trace_api
from opentelemetry.sdk import metrics as sdk_metrics
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, AlwaysOnExemplarFilter, TraceBasedExemplarFilter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import DropAggregation, ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from sonde.sdk import measuring
from sonde.sdk.meter import MeterProvider
from sonde.sdk.tracer import TracerProvider

RESOURCE = Resource({"service.name": "shop"})
KINDS = ("counter", "up_down_counter", "histogram", "gauge")


class Color(enum.StrEnum):
    RED = "red"


SPANS = {
    "none": None,
    "remote sampled": NonRecordingSpan(SpanContext(1, 2, True, TraceFlags(1))),
    "remote unsampled": NonRecordingSpan(SpanContext(3, 4, True, TraceFlags(0))),
    "invalid": trace_api.INVALID_SPAN,
    "ours": TracerProvider(shutdown_on_exit=False).get_tracer("shop").start_span("ours"),
}
amounts = st.one_of(
    st.integers(-3, 20_000), st.floats(-1, 20_000), st.sampled_from([float("inf"), float("-inf"), True, -0.0, 2**70])
)
values = st.sampled_from(["a", "b", "", 1, 1.0, True, 0, None, b"a", Color.RED, ["a", "b"], (1,), {"a": 1}, 2**70])
attributes = st.one_of(
    st.none(),
    st.dictionaries(st.sampled_from(["a", "b", "c", "", Color.RED]), values, max_size=3),
    st.just(MappingProxyType({"a": "b"})),
    st.sampled_from([[("a", "b")], "a"]),
)
measurements = st.tuples(st.sampled_from(KINDS), amounts, attributes, st.sampled_from(sorted(SPANS)))
COLLECT, ADD_READER, REMOVE_READER = "collect", "add a reader", "remove a reader"
steps = st.lists(
    st.one_of(measurements, measurements, st.sampled_from([COLLECT, ADD_READER, REMOVE_READER])), max_size=25
)
views = st.lists(
    st.sampled_from(
        [
            View(instrument_name="counter", attribute_keys={"a"}),
            View(instrument_name="histogram", aggregation=ExponentialBucketHistogramAggregation()),
            View(instrument_name="histogram", name="again"),
            View(instrument_name="gauge", aggregation=DropAggregation()),
        ]
    ),
    unique=True,
)
DELTA = dict.fromkeys((sdk_metrics.Counter, sdk_metrics.Histogram), AggregationTemporality.DELTA)


def told(kind: type[sdk_metrics.MeterProvider], program: list[Any], exemplars: Any, given: list[View]) -> list[Any]:
    """What readers collect, without times, and what is logged."""
    random.seed(4)
    heard: list[Any] = []
    readers = [InMemoryMetricReader(), InMemoryMetricReader(preferred_temporality=DELTA)]
    provider = kind(readers, RESOURCE, exemplars, shutdown_on_exit=False, views=given)
    meter = provider.get_meter("shop", "1", "https://schema", {"scope": 1})
    instruments = {name: getattr(meter, f"create_{name}")(name) for name in KINDS}
    for step in [*program, COLLECT]:
        if step == COLLECT:
            heard += [collected(reader) for reader in readers]
        elif step == ADD_READER:
            readers.append(InMemoryMetricReader())
            provider.add_metric_reader(readers[-1])
        elif step == REMOVE_READER:
            if len(readers) > 1:
                provider.remove_metric_reader(readers.pop())
        else:
            name, amount, about, span = step
            context = trace_api.set_span_in_context(SPANS[span]) if SPANS[span] else None
            method = {"histogram": "record", "gauge": "set"}.get(name, "add")
            try:
                getattr(instruments[name], method)(amount, about, context)
            except Exception as error:
                heard.append(f"{type(error).__name__}: {error}")
    return heard


def collected(reader: InMemoryMetricReader) -> list[Any]:
    data: Any = reader.get_metrics_data()
    found = []
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                points = [without_times(point) for point in metric.data.data_points]
                found.append((scope.scope, metric.name, metric.unit, type(metric.data).__name__, points))
    return found


def without_times(point: Any) -> dict[str, Any]:
    told = {name: value for name, value in vars(point).items() if "time" not in name}
    told["exemplars"] = [
        {name: value for name, value in vars(one).items() if "time" not in name} for one in point.exemplars
    ]
    # Told apart are also values that Python takes for equal, such as 1 and True.
    return told | {"attributes": repr(point.attributes), "exemplars": repr(told["exemplars"])}


@settings(max_examples=300, deadline=None)
@given(
    program=steps,
    exemplars=st.sampled_from([TraceBasedExemplarFilter(), AlwaysOnExemplarFilter(), AlwaysOffExemplarFilter()]),
    given=views,
)
def test_what_is_collected_and_said_is_what_the_sdk_gives(
    program: list[Any], exemplars: Any, given: list[View]
) -> None:
    # What is measured the first time is left to the SDK: everything is measured again.
    logging.disable()
    try:
        ours, theirs = (
            told(kind, program * 3, exemplars, given) for kind in (MeterProvider, sdk_metrics.MeterProvider)
        )
    finally:
        logging.disable(logging.NOTSET)
    assert ours == theirs


def held(provider: MeterProvider) -> int:
    assert provider._held is not None
    return sum(len(sums) for sums in provider._held._all)


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def provider(reader: InMemoryMetricReader) -> MeterProvider:
    return MeterProvider([reader], RESOURCE, shutdown_on_exit=False)


def total(reader: InMemoryMetricReader) -> float:
    return sum(point["value"] for _, _, _, _, points in collected(reader) for point in points)


def test_instruments_are_the_sdks_to_whoever_asks(provider: MeterProvider) -> None:
    meter = provider.get_meter("shop")
    counter = meter.create_counter("sold")
    assert isinstance(meter, sdk_metrics.Meter)
    assert isinstance(counter, sdk_metrics.Counter)
    assert meter.create_counter("sold") is counter
    assert provider.get_meter("shop") is meter


def test_what_is_measured_again_is_added_without_the_sdk(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    counter = provider.get_meter("shop").create_counter("sold")
    for _ in range(3):
        counter.add(2, {"thing": "nail"})
    assert held(provider) == 1
    consume = provider._measurement_consumer.consume_measurement
    provider._measurement_consumer.consume_measurement = None  # type: ignore[method-assign,assignment]
    counter.add(2, {"thing": "nail"})
    provider._measurement_consumer.consume_measurement = consume  # type: ignore[method-assign]
    assert total(reader) == 8


def test_values_that_python_takes_for_equal_are_told_apart(
    provider: MeterProvider, reader: InMemoryMetricReader
) -> None:
    counter = provider.get_meter("shop").create_counter("sold")
    for value in [1, True, 1.0, "1"] * 3:
        counter.add(1, {"thing": value})
    ((_, _, _, _, points),) = collected(reader)
    assert [(point["attributes"], point["value"]) for point in points] == [
        ("{'thing': 1}", 3),
        ("{'thing': True}", 3),
        ("{'thing': 1.0}", 3),
        ("{'thing': '1'}", 3),
    ]


def test_what_a_wrong_measurement_is_told_is_what_the_sdk_says(
    provider: MeterProvider, caplog: pytest.LogCaptureFixture
) -> None:
    counter = provider.get_meter("shop").create_counter("sold")
    for amount in (1, 1, -1, float("nan")):
        counter.add(amount)
    assert [record.getMessage() for record in caplog.records] == [
        "Add amount must be non-negative on Counter sold.",
        "Add amount nan is not finite on Counter sold, ignoring measurement.",
    ]


def test_no_more_sets_of_attributes_are_held_than_there_may_be(
    provider: MeterProvider, reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "MOST_HELD", 10)
    counter = provider.get_meter("shop").create_counter("sold")
    for customer in [*range(100), *range(100)]:
        counter.add(1, {"customer": customer})
    assert 0 < held(provider) <= 10
    assert total(reader) == 200


def test_what_threads_add_is_all_there(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    counter = provider.get_meter("shop").create_counter("sold")

    def sell() -> None:
        for _ in range(2000):
            counter.add(1, {"thing": "nail"})

    threads = [threading.Thread(target=sell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total(reader) == 8000


def test_a_measurement_in_a_sampled_span_is_its_exemplar(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    histogram = provider.get_meter("shop").create_histogram("took")
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("shop")
    for _ in range(2):
        with tracer.start_as_current_span("checkout") as span:
            histogram.record(3, {"thing": "nail"})
    data: Any = reader.get_metrics_data()
    (point,) = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    own = span.get_span_context()
    assert [(one.trace_id, one.span_id, one.value) for one in point.exemplars] == [(own.trace_id, own.span_id, 3)]


def test_a_filter_of_exemplars_that_is_an_apps_own_sees_every_measurement(reader: InMemoryMetricReader) -> None:
    seen: list[float] = []

    class Large(sdk_metrics.AlwaysOnExemplarFilter):
        def should_sample(self, value: float, *_: Any) -> bool:
            seen.append(value)
            return value > 1

    provider = MeterProvider([reader], RESOURCE, Large(), shutdown_on_exit=False)
    histogram = provider.get_meter("shop").create_histogram("took")
    for amount in (1, 1, 2):
        histogram.record(amount)
    assert seen == [1, 1, 2]


def test_the_current_context_is_that_of_a_measurement(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    counter = provider.get_meter("shop").create_counter("sold")
    span: Any = SPANS["remote sampled"]
    for _ in range(2):
        token = context_api.attach(trace_api.set_span_in_context(span))
        counter.add(1)
        context_api.detach(token)
    data: Any = reader.get_metrics_data()
    (point,) = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert [one.trace_id for one in point.exemplars] == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_a_forked_child_measures_is_added_to_its_own_sums() -> None:
    program = """
        import os
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from sonde.sdk.lifecycle import MetricsThroughForks
        from sonde.sdk.meter import MeterProvider

        reader = InMemoryMetricReader()
        provider = MeterProvider([reader], shutdown_on_exit=False)
        MetricsThroughForks(provider)
        counter = provider.get_meter("shop").create_counter("sold")

        def sell(times):
            for _ in range(times):
                counter.add(1, {"thing": "nail"})
            metrics = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
            print(metrics[0].data.data_points[0].value, flush=True)

        sell(3)
        if child := os.fork():
            os.waitpid(child, 0)
            sell(4)
        else:
            sell(5)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == ["3", "5", "7"]


def test_with_an_sdk_that_is_not_known_measurements_are_its_own() -> None:
    program = """
        from opentelemetry.sdk.metrics._internal import _view_instrument_match as matches
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader

        class Other(matches._ViewInstrumentMatch):
            def consume_measurement(self, measurement, should_sample_exemplar=True):
                super().consume_measurement(measurement, should_sample_exemplar)
                self._sums, self._attributes_aggregation = self._attributes_aggregation, {}

            def collect(self, *args):
                self._attributes_aggregation = self._sums
                return super().collect(*args)

        from opentelemetry.sdk.metrics._internal import metric_reader_storage
        metric_reader_storage._ViewInstrumentMatch = Other
        from sonde.sdk import meter
        assert not meter.KNOWN
        reader = InMemoryMetricReader()
        meter.MeterProvider([reader], shutdown_on_exit=False).get_meter("shop").create_counter("sold").add(1)
        print(reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0].value)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == ["1"]
    assert "is none that sonde has cheaper measurements for" in done.stderr
