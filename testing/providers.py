"""How telemetry of this process gets into the test's slice: through processors and readers on the OpenTelemetry providers.

Where the app has set providers of its own, they are joined; where it has not, ones of ours stand in for them until it does. They
are put in place behind the API's "set once", so that an app that sets its own later, in a test even, can; it is joined then.
"""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from opentelemetry import _logs, metrics, trace
from opentelemetry._logs import _internal as logs_api
from opentelemetry.context import Context
from opentelemetry.metrics import _internal as metrics_api
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadableLogRecord
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as SdkSpan
from sonde.testing.records import MILLISECOND
from sonde.testing.slices import Slice

UNNAMED_SERVICE = "app"
TRACES_REMEMBERED = 100_000


class Collector(SpanProcessor, LogRecordProcessor):
    """Puts each span and record into the slice it belongs to.

    That is the slice in which its trace began, so that a thread that outlives its test adds to that one and not to the next;
    what has no such trace belongs to the present test, and to none where none is running.
    """

    def __init__(self) -> None:
        self.present: Slice | None = None
        self._of_trace: OrderedDict[int, Slice] = OrderedDict()
        self._of_span: dict[int, Slice] = {}

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        context = span.get_span_context()
        found = self._of_trace.get(context.trace_id, self.present)
        if found is not None:
            # A local parent of an unknown trace began before the test, perhaps for all tests: such a trace is nobody's.
            if span.parent is None or span.parent.is_remote:
                self._remember(context.trace_id, found)
            self._of_span[context.span_id] = found
            found.began(context.span_id, span.name)

    def _remember(self, trace_id: int, own: Slice) -> None:
        self._of_trace[trace_id] = own
        if len(self._of_trace) > TRACES_REMEMBERED:
            self._of_trace.popitem(last=False)

    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context is not None and (found := self._of_span.pop(context.span_id, None)) is not None:
            found.ended(context.span_id, span)

    def on_emit(self, log_record: Any) -> None:
        record = log_record.log_record
        found = self._of_trace.get(record.trace_id or 0, self.present)
        if found is not None:
            found.emitted(
                ReadableLogRecord(
                    log_record=record,
                    resource=log_record.resource,
                    instrumentation_scope=log_record.instrumentation_scope,
                    limits=log_record.limits,
                )
            )

    def shutdown(self) -> None:
        """Of a provider that the app shuts down: others may still be in use."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


class Providers:
    """The providers of this process. One at a time, for the length of a session."""

    def __init__(self) -> None:
        self.collector = Collector()
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()
        self._meters: weakref.WeakSet[MeterProvider] = weakref.WeakSet()
        self._readers: list[tuple[MeterProvider, InMemoryMetricReader]] = []
        self._collected = 0
        self._unwatch = [watched(self, module, name) for module, name in SETTERS]
        self._logging = LoggingBridge(self.collector)
        stand_in()

    def begin(self, own: Slice) -> None:
        """From now on what this process tells belongs to `own`."""
        self.collector.present = own
        self.join()
        logging.getLogger().addHandler(self._logging)

    def end(self) -> None:
        logging.getLogger().removeHandler(self._logging)
        self.collector.present = None
        for provider, reader in self._readers:
            provider.remove_metric_reader(reader)
        self._readers = []

    def close(self) -> None:
        """The API's functions as they were. Providers stay: what was instrumented holds on to them."""
        self.end()
        for unwatch in self._unwatch:
            unwatch()

    def join(self) -> None:
        """Listen to the providers that are set now."""
        for provider in (trace.get_tracer_provider(), _logs.get_logger_provider(), metrics.get_meter_provider()):
            if isinstance(provider, TracerProvider) and provider not in self._known:
                provider.add_span_processor(self.collector)
                self._known.add(provider)
            elif isinstance(provider, LoggerProvider) and provider not in self._known:
                provider.add_log_record_processor(self.collector)
                self._known.add(provider)
            elif isinstance(provider, MeterProvider):
                self._meters.add(provider)
        self._read_meters()

    def _read_meters(self) -> None:
        """A reader of its own for each test: its sums begin at nothing, and series of other tests are not in it."""
        if self.collector.present is None:
            return
        read = [provider for provider, _ in self._readers]
        for provider in self._meters:
            if provider not in read:
                reader = InMemoryMetricReader()
                provider.add_metric_reader(reader)
                self._readers.append((provider, reader))

    def collect(self) -> Iterator[Any]:
        """An ExportMetricsServiceRequest of each meter provider that has something to tell."""
        from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

        # Points of one series have different milliseconds, for that is how PromQL tells them apart.
        while time.time_ns() // MILLISECOND == self._collected and not is_frozen():
            time.sleep(0.0005)
        for _, reader in list(self._readers):
            data = reader.get_metrics_data()
            if data is not None and data.resource_metrics:
                yield encode_metrics(data)
        self._collected = time.time_ns() // MILLISECOND


def is_frozen() -> bool:
    """Whether a test holds the clock still."""
    before, began = time.time_ns(), time.perf_counter_ns()
    while time.perf_counter_ns() - began < MILLISECOND // 10:
        pass
    return time.time_ns() == before


# ---- the API's global providers ----

SETTERS = (
    (trace, "_set_tracer_provider"),
    (logs_api, "_set_logger_provider"),
    (metrics_api, "_set_meter_provider"),
)


def watched(providers: Providers, module: Any, name: str) -> Callable[[], None]:
    """Join each provider that the app sets from now on, at once. Returns what undoes it."""
    original = getattr(module, name)

    def setting(*arguments: Any, **named: Any) -> None:
        original(*arguments, **named)
        providers.join()

    setattr(module, name, setting)

    def undo() -> None:
        if getattr(module, name) is setting:
            setattr(module, name, original)

    return undo


def stand_in() -> None:
    """Providers of ours where the app has set none, put there without using up its one chance to set them."""
    resource = test_resource()
    if trace._TRACER_PROVIDER is None:
        trace._TRACER_PROVIDER = TracerProvider(resource=resource, shutdown_on_exit=False)
    if logs_api._LOGGER_PROVIDER is None:
        logs_api._LOGGER_PROVIDER = LoggerProvider(resource=resource, shutdown_on_exit=False)
    if metrics_api._METER_PROVIDER is None:
        metrics_api._METER_PROVIDER = MeterProvider(resource=resource, shutdown_on_exit=False)
        metrics_api._PROXY_METER_PROVIDER.on_set_meter_provider(metrics_api._METER_PROVIDER)


def test_resource() -> Resource:
    """By the environment, as an app's own would be; its name where nobody gave one is UNNAMED_SERVICE."""
    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: UNNAMED_SERVICE}))
    return resource


# ---- logging ----


class LoggingBridge(logging.Handler):
    """Records of `logging` as OpenTelemetry's, where the app has no bridge of its own. It is there while a test runs."""

    def __init__(self, collector: Collector) -> None:
        super().__init__()
        self._collector = collector

    def emit(self, record: logging.LogRecord) -> None:
        if self._collector.present is None or record.name.startswith("opentelemetry") or bridged(record.name):
            return
        _logs.get_logger(record.name).emit(log_record_of(record))


def bridged(name: str) -> bool:
    """Whether another bridge to OpenTelemetry hears the logger `name`."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        if any(is_bridge(handler) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def is_bridge(handler: logging.Handler) -> bool:
    module = type(handler).__module__
    return module.startswith(("opentelemetry.", "sonde.sdk"))


PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
SEVERITIES = ((50, 21, "FATAL"), (40, 17, "ERROR"), (30, 13, "WARN"), (20, 9, "INFO"), (10, 5, "DEBUG"))


def log_record_of(record: logging.LogRecord) -> Any:
    """What OpenTelemetry's own bridges make of it: the extra fields as attributes, and the exception."""
    attributes: dict[str, Any] = {key: value for key, value in vars(record).items() if key not in PLAIN}
    attributes["code.file.path"] = os.fspath(record.pathname)
    attributes["code.function.name"] = record.funcName
    attributes["code.line.number"] = record.lineno
    if record.exc_info and record.exc_info[0] is not None:
        attributes["exception.type"] = record.exc_info[0].__name__
        attributes["exception.message"] = str(record.exc_info[1])
        attributes["exception.stacktrace"] = logging.Formatter().formatException(record.exc_info)
    number, text = next(((number, text) for level, number, text in SEVERITIES if record.levelno >= level), (1, "TRACE"))
    return _logs.LogRecord(
        timestamp=int(record.created * 1e9),
        observed_timestamp=time.time_ns(),
        severity_number=_logs.SeverityNumber(number),
        severity_text=text if record.levelname not in ("ERROR", "INFO", "DEBUG") else record.levelname,
        body=record.getMessage(),
        attributes=attributes,
    )
