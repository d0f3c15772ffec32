"""One call that instruments a program: what is true of it, where its telemetry goes, which libraries are wrapped.

    from sonde.sdk import instrument
    instrument(service="shop", trace=["shop.*"])

`sonde run` makes the same call before the program's first line. This is the place where the parts of the SDK are put together.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.version import __version__ as OPENTELEMETRY_VERSION
from sonde.sdk import libraries, logs, resource
from sonde.sdk.errors import SdkError
from sonde.sdk.lane import Counts
from sonde.sdk.libraries import Library, State
from sonde.sdk.lifecycle import MetricsThroughForks, let_telemetry_fork, on_end
from sonde.sdk.meter import MeterProvider
from sonde.sdk.pipeline import Pipeline, build
from sonde.sdk.sending import Signal
from sonde.sdk.settings import SIGNALS, Settings, read_settings
from sonde.sdk.surroundings import Surroundings, distribution_version, here, measures_host
from sonde.sdk.threads import carry_context
from sonde.sdk.tracer import TracerProvider

if TYPE_CHECKING:
    from sonde.sdk.wrapping import Hook

log = logging.getLogger("sonde.sdk")

DISTRIBUTION = "sonde"
FLUSH_SECONDS = 5.0


@dataclass
class Instrumented:
    """An instrumented program. `notes` are sentences about what is not as it might be expected."""

    settings: Settings
    resource: Resource
    pipeline: Pipeline
    libraries: list[Library] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    traced: Hook | None = None
    """The functions that are traced, where any are."""
    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None
    logger_provider: LoggerProvider | None = None
    observers: list[Any] = field(default_factory=list)
    """RuntimeMetrics and HostMetrics, where they are asked for: their modules are loaded only then."""
    _ended_in: int = 0
    """The process that was shut down, by its id: a forked child has not been."""

    def explain(self) -> str:
        """What is wrapped, what could be, where data goes and as what, as text to read."""
        from sonde.sdk.explain import explanation

        attributes, functions = dict(self.resource.attributes), self.traced.report() if self.traced is not None else []
        return explanation(self.settings, attributes, self.libraries, self.notes, self.counts(), functions=functions)

    def counts(self) -> dict[Signal, Counts]:
        """What became of the telemetry; empty where OpenTelemetry's own exporters send it."""
        return self.pipeline.exporter.counts() if self.pipeline.exporter is not None else {}

    def flush(self, timeout_seconds: float = FLUSH_SECONDS) -> bool:
        """Sends all that was told until now; False where not all of it arrived in time."""
        deadline = time.monotonic() + timeout_seconds
        done = True
        for provider in self._providers():
            done = provider.force_flush(round(1000 * max(0.0, deadline - time.monotonic()))) is not False and done
        if self.pipeline.exporter is not None:
            done = self.pipeline.exporter.flush(max(0.0, deadline - time.monotonic())) and done
        return done

    def shutdown(self) -> None:
        """Sends what is left, within `exit_seconds`, and ends. Once in a process; what comes later is not sent."""
        if self._ended_in == os.getpid():
            return
        self._ended_in = os.getpid()
        libraries.wrap_no_more()
        if self.traced is not None:
            self.traced.remove()
        deadline = time.monotonic() + self.settings.exit_seconds
        for observer in self.observers:
            observer.stop()
        if self.meter_provider is not None:
            self.meter_provider.shutdown(timeout_millis=1000 * self.settings.exit_seconds)
        for provider in (self.tracer_provider, self.logger_provider):
            if provider is not None and self.pipeline.exporter is None:
                provider.shutdown()
        if self.pipeline.exporter is not None:
            self.pipeline.exporter.shutdown(max(0.1, deadline - time.monotonic()))

    def _providers(self) -> list[Any]:
        found = (self.meter_provider, self.tracer_provider, self.logger_provider)
        return [provider for provider in found if provider is not None]

    def begin_in_child(self) -> None:
        """What a forked child tells is told by an instance of its own."""
        own = Resource(resource.of_instance(os.getpid(), os.getppid()))
        self.resource = self.resource.merge(own)
        for provider in self._providers():
            provider._update_resource(own)


_lock = threading.Lock()
_instrumented: Instrumented | None = None


def instrument(
    service: str | None = None,
    *,
    endpoint: str | None = None,
    protocol: str | None = None,
    headers: Mapping[str, str] | None = None,
    attributes: Mapping[str, object] | None = None,
    trace: Sequence[str] = (),
    **more: Any,
) -> Instrumented:
    """Instruments this process, the processes it forks included. Without arguments everything is found out.

    `service` is the service's name; `endpoint`, `protocol` and `headers` say where telemetry goes; `attributes` are those of the
    resource; `trace` are patterns of modules whose functions are traced. Every other setting of `Settings` may be given by its
    name. Variables win over arguments. A second call changes nothing and gives what the first one gave. SdkError where a setting
    can't be right; nothing else that fails reaches the program.
    """
    global _instrumented
    with _lock:
        if _instrumented is None:
            given = {
                "service": service,
                "endpoint": endpoint,
                "protocol": protocol,
                "headers": headers,
                "attributes": attributes,
                "trace": (trace,) if isinstance(trace, str) else tuple(trace),
            }
            _instrumented = start(read_settings(os.environ, given | more), here())
        return _instrumented


def current() -> Instrumented | None:
    """What `instrument` gave in this process, where it was called."""
    return _instrumented


def start(settings: Settings, around: Surroundings) -> Instrumented:
    """The parts, put together."""
    if settings.disabled:
        return Instrumented(
            settings, Resource.get_empty(), Pipeline(None), notes=["OTEL_SDK_DISABLED is true: nothing is done"]
        )
    started = Instrumented(settings, resource_of(settings, around), build(settings), notes=notes_on(around.environ))
    check_propagators()
    provide_traces(started)
    provide_metrics(started)
    provide_logs(started)
    os.environ.setdefault(libraries.CONVENTIONS, libraries.STABLE_CONVENTIONS)
    if not {"*", "threading"} & set(settings.disabled_instrumentations):
        carry_context()
    started.libraries = libraries.installed(settings.disabled_instrumentations)
    libraries.wrap(started.libraries)
    trace_functions(started)
    observe(started)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=started.begin_in_child)
    let_telemetry_fork()
    on_end(started.shutdown)
    record_exceptions(started)
    return started


def resource_of(settings: Settings, around: Surroundings) -> Resource:
    """What was found out, under what was said."""
    found: dict[str, Any] = dict(resource.detect(around))
    found |= resource.of_instance(around.pid, around.parent_pid)
    if settings.command_args:
        found["process.command_args"] = resource.command_args(around.command)
    found |= {
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": OPENTELEMETRY_VERSION,
        "telemetry.distro.name": DISTRIBUTION,
        "telemetry.distro.version": distribution_version(DISTRIBUTION) or "",
    }
    found |= settings.attributes
    if settings.service:
        found["service.name"] = settings.service
    return Resource(found)


def notes_on(environ: Mapping[str, str]) -> list[str]:
    if environ.get("OTEL_CONFIG_FILE"):
        return ["OTEL_CONFIG_FILE is not read: say the same in variables"]
    return []


def check_propagators() -> None:
    """OpenTelemetry's API loads those that OTEL_PROPAGATORS names when it is imported."""
    try:
        import opentelemetry.propagate  # noqa: F401
    except ValueError as error:
        raise SdkError(
            f"OTEL_PROPAGATORS: {error} Write tracecontext,baggage, or install what brings it, such as opentelemetry-propagator-b3"
        ) from error


def provide_traces(started: Instrumented) -> None:
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        started.notes.append("spans go where the program's own TracerProvider sends them")
        return
    if not started.pipeline.spans:
        return
    from sonde.sdk.sampling import sampler

    provider = TracerProvider(sampler=sampler(started.settings), resource=started.resource, shutdown_on_exit=False)
    for processor in started.pipeline.spans:
        provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    started.tracer_provider = provider


def provide_metrics(started: Instrumented) -> None:
    from opentelemetry.metrics._internal import _ProxyMeterProvider

    if not isinstance(metrics.get_meter_provider(), _ProxyMeterProvider):
        started.notes.append("metrics go where the program's own MeterProvider sends them")
        return
    if not started.pipeline.metrics:
        return
    from sonde.sdk.sampling import exemplar_filter

    interval = 1000 * started.settings.metric_interval_seconds
    readers = [PeriodicExportingMetricReader(exporter, interval) for exporter in started.pipeline.metrics]
    exemplars = exemplar_filter(started.settings)
    provider = MeterProvider(readers, resource=started.resource, exemplar_filter=exemplars, shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    MetricsThroughForks(provider)
    started.meter_provider = provider


def observe(started: Instrumented) -> None:
    """The interpreter's metrics and the host's, where anybody takes metrics. What fails of it is left out."""
    from opentelemetry.metrics._internal import _ProxyMeterProvider

    provider = metrics.get_meter_provider()
    if isinstance(provider, _ProxyMeterProvider):
        return
    try:
        for observer in observers(started, provider):
            observer.start()
            started.observers.append(observer)
    except Exception:
        log.warning("the interpreter or the host is not measured", exc_info=True)


def observers(started: Instrumented, provider: metrics.MeterProvider) -> Iterator[Any]:
    version, settings = distribution_version(DISTRIBUTION), started.settings
    if settings.runtime_metrics:
        from sonde.sdk.runtime.interpreter import RuntimeMetrics

        yield RuntimeMetrics(provider, version)
    if measures_host(settings.host_metrics, started.resource.attributes):
        from sonde.sdk.runtime.host import HostMetrics

        yield HostMetrics(provider, goal_of_metrics(settings), version)


def goal_of_metrics(settings: Settings) -> str:
    """Who sends to somebody else, or as somebody else, has another one."""
    return f"{settings.exporters('metrics')} {settings.url('metrics')} {sorted(settings.routes['metrics'].headers.items())}"


def provide_logs(started: Instrumented) -> None:
    from opentelemetry._logs._internal import ProxyLoggerProvider

    if not isinstance(_logs.get_logger_provider(), ProxyLoggerProvider):
        started.notes.append("log records go where the program's own LoggerProvider sends them")
        return
    if not started.pipeline.logs:
        return
    provider = LoggerProvider(resource=started.resource, shutdown_on_exit=False)
    for processor in started.pipeline.logs:
        provider.add_log_record_processor(processor)
    _logs.set_logger_provider(provider)
    started.logger_provider = provider
    logs.bridge(provider, started.settings.log_level, started.settings.disabled_instrumentations)


def record_exceptions(started: Instrumented) -> None:
    """Those that nobody handles. After `on_end`, for exit goes backwards: what has ended the program is told before all is sent."""
    if started.settings.exceptions and started.pipeline.logs:
        from sonde.sdk.exceptions import record_unhandled

        record_unhandled(started.settings.log_level, source=started.settings.source_lines)


def trace_functions(started: Instrumented) -> None:
    """Functions of modules by pattern; nothing of it is loaded where none is asked for."""
    settings = started.settings
    if not settings.trace:
        return
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        started.notes.append("functions are not traced: spans are not sent")
        return
    from sonde.sdk.wrapping import install

    started.traced = install(
        settings.trace, min_duration_seconds=settings.trace_min_duration_seconds, budget=settings.trace_budget
    )


def one_line(started: Instrumented) -> str:
    """What a program says at its start."""
    if started.settings.disabled:
        return started.notes[0]
    name, version = (started.resource.attributes.get(key, "") for key in ("service.name", "service.version"))
    hoped_for = [one for one in started.libraries if one.state in (State.WAITING, State.WRAPPED, State.BY_ITSELF)]
    wrapped = [library.name for library in hoped_for if libraries.can_be_imported(library)]
    could_be = len(libraries.missing())
    parts = [
        f"{name} {version}".strip(),
        f"sends to {goal(started.settings)}",
        f"wraps {', '.join(wrapped) or 'no library'}" + (f" ({could_be} more could be)" if could_be else ""),
        *([f"traces {', '.join(started.settings.trace)}"] if started.traced is not None else []),
        *started.notes,
    ]
    return "; ".join(parts) + " [sonde run --explain tells more]"


def goal(settings: Settings) -> str:
    """Where telemetry goes, in a few words."""
    goals: dict[str, list[str]] = {}
    for signal in SIGNALS:
        for exporter in settings.exporters(signal) or ("nowhere",):
            where = settings.url(signal).removesuffix(f"/v1/{signal}") if exporter == "otlp" else exporter
            goals.setdefault(where, []).append(signal)
    if len(goals) == 1:
        return next(iter(goals))
    return ", ".join(f"{where} ({', '.join(signals)})" for where, signals in goals.items())
