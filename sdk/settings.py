"""The settings of the SDK, each declared once: as an argument of `instrument`, as a variable, and as a line of the docs.

A variable wins over an argument: who runs a program knows better than who wrote it where its telemetry goes. Variables are
OpenTelemetry's own wherever it has one, with its units (milliseconds); what it has no variable for is a `SONDE_SDK_*` one.
What is unknown or malformed is an SdkError with a sentence that says what to write instead.
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from sonde.sdk.errors import SdkError

OWN_PREFIX = "SONDE_SDK_"
INTERNAL_PREFIX = "SONDE_SDK_RUN_"
"""Variables by which `sonde run` tells the program that it starts something; not settings."""
SIGNALS = ("traces", "metrics", "logs")
HTTP_ENDPOINT, GRPC_ENDPOINT = "http://127.0.0.1:4318", "http://127.0.0.1:4317"
GRPC_PORT = 4317
EXPORTERS = ("otlp", "console", "none")
SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
EXEMPLARS = ("trace_based", "always_on", "always_off")
LEVELS = ("debug", "info", "warning", "error", "critical")

MODULES = re.compile(r"[\w*?\[\]!-]+(?:\.[\w*?\[\]!-]+)*")
"""A pattern of modules."""

Read = Callable[[str], Any]
"""Reads the text of a variable; ValueError says what to write."""
Config = TypeVar("Config")


def words(text: str) -> tuple[str, ...]:
    """`a, b` as ("a", "b")."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def flag(text: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    try:
        return known[text.strip().lower()]
    except KeyError:
        raise ValueError("write true or false") from None


def pairs(text: str) -> dict[str, str]:
    """`key=value,key2=value2`, values percent-encoded where they hold a comma or other special characters."""
    found = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not part.strip():
            continue
        if not equals or not key.strip():
            raise ValueError("write key=value,key2=value2 (a comma within a value is %2C)")
        found[unquote(key.strip())] = unquote(value.strip())
    return found


def number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("write a number") from None


def count(text: str) -> int:
    if not text.strip().isdigit() or int(text) == 0:
        raise ValueError("write a whole number above 0")
    return int(text)


def milliseconds(text: str) -> float:
    """Seconds, of a number of milliseconds."""
    found = number(text) / 1000
    if not found > 0:
        raise ValueError("write a number of milliseconds above 0")
    return found


def milliseconds_or_none(text: str) -> float:
    """Seconds, of a number of milliseconds that may be 0."""
    found = number(text) / 1000
    if not found >= 0:
        raise ValueError("write a number of milliseconds, or 0")
    return found


def request_time(text: str) -> float:
    """Seconds, of milliseconds as the specification says, or of seconds as OpenTelemetry's Python exporter reads them: a number
    below 100 can't be meant in milliseconds."""
    found = milliseconds(text)
    return found * 1000 if found < 0.1 else found


def one_of(*choices: str) -> Read:
    def read(text: str) -> str:
        if text.strip().lower() not in choices:
            raise ValueError(f"write one of {', '.join(choices)}")
        return text.strip().lower()

    return read


def some_of(*choices: str) -> Read:
    def read(text: str) -> tuple[str, ...]:
        return tuple(one_of(*choices)(word) for word in words(text))

    return read


def setting(default: Any, variable: str, help: str, read: Read = str, *, secret: bool = False) -> Any:
    """A field that `variable` sets, read by `read`. `{SIGNAL}` and `{QUEUE}` in it stand for a signal, see `Route` and `Queue`.
    The values of a `secret` are shown nowhere."""
    metadata = {"variable": variable, "help": help, "read": read, "secret": secret}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Route:
    """Where the telemetry of one signal goes. Variables with the signal's name win over those without."""

    endpoint: str = setting(
        "",
        "OTEL_EXPORTER_OTLP_{SIGNAL}ENDPOINT",
        "URL of the receiver, such as http://collector:4318; for HTTP, /v1/traces, /v1/metrics or /v1/logs is added, but not to a "
        "URL that is said for one signal (default: http://127.0.0.1:4318, where `sonde serve` listens)",
    )
    protocol: str = setting(
        "",
        "OTEL_EXPORTER_OTLP_{SIGNAL}PROTOCOL",
        "http/protobuf or grpc (default: grpc where the endpoint's port is 4317, else http/protobuf)",
        one_of("http/protobuf", "grpc"),
    )
    headers: Mapping[str, str] = setting(
        {},
        "OTEL_EXPORTER_OTLP_{SIGNAL}HEADERS",
        "sent with each request, as key=value,key2=value2; a token for sonde is Authorization=Bearer%20secret",
        pairs,
        secret=True,
    )
    compression: str = setting("gzip", "OTEL_EXPORTER_OTLP_{SIGNAL}COMPRESSION", "gzip or none", one_of("gzip", "none"))
    timeout_seconds: float = setting(
        10.0,
        "OTEL_EXPORTER_OTLP_{SIGNAL}TIMEOUT",
        "how long a request may take, in milliseconds (a number below 100 is taken for seconds)",
        request_time,
    )
    certificate: str | None = setting(
        None,
        "OTEL_EXPORTER_OTLP_{SIGNAL}CERTIFICATE",
        "file of the authorities that the receiver's certificate is checked by",
    )
    client_certificate: str | None = setting(
        None, "OTEL_EXPORTER_OTLP_{SIGNAL}CLIENT_CERTIFICATE", "file of the certificate that is shown to the receiver"
    )
    client_key: str | None = setting(None, "OTEL_EXPORTER_OTLP_{SIGNAL}CLIENT_KEY", "file of that certificate's key")
    insecure: bool | None = setting(
        None, "OTEL_EXPORTER_OTLP_{SIGNAL}INSECURE", "for an endpoint without http:// or https://: true for http", flag
    )


@dataclass(frozen=True)
class Queue:
    """How much may wait to be sent."""

    records: int = setting(
        8192, "OTEL_{QUEUE}_MAX_QUEUE_SIZE", "how many may wait; the oldest give way, and are counted", count
    )
    batch: int = setting(512, "OTEL_{QUEUE}_MAX_EXPORT_BATCH_SIZE", "how many go into a request", count)
    delay_seconds: float = setting(
        1.0, "OTEL_{QUEUE}_SCHEDULE_DELAY", "how long one waits at most, in milliseconds", milliseconds
    )


@dataclass(frozen=True)
class Settings:
    """Everything that `instrument` goes by."""

    disabled: bool = setting(
        False, "OTEL_SDK_DISABLED", "true leaves the program as it is: nothing is wrapped or sent", flag
    )
    service: str = setting("", "OTEL_SERVICE_NAME", "name of the service; found out where it is not said")
    attributes: Mapping[str, str] = setting(
        {},
        "OTEL_RESOURCE_ATTRIBUTES",
        "what else is true of all telemetry of this program, as key=value,key2=value2, such as "
        "deployment.environment.name=staging; wins over what is found out",
        pairs,
    )
    traces: tuple[str, ...] = setting(
        ("otlp",), "OTEL_TRACES_EXPORTER", "where spans go: otlp, console or none", some_of(*EXPORTERS)
    )
    metrics: tuple[str, ...] = setting(
        ("otlp",), "OTEL_METRICS_EXPORTER", "where metrics go: otlp, console or none", some_of(*EXPORTERS)
    )
    logs: tuple[str, ...] = setting(
        ("otlp",), "OTEL_LOGS_EXPORTER", "where log records go: otlp, console or none", some_of(*EXPORTERS)
    )
    sampler: str = setting(
        "parentbased_always_on",
        "OTEL_TRACES_SAMPLER",
        f"which traces are kept: {', '.join(SAMPLERS)}",
        one_of(*SAMPLERS),
    )
    sampler_ratio: float = setting(
        1.0, "OTEL_TRACES_SAMPLER_ARG", "the share of traces that the traceidratio samplers keep, 0 to 1", number
    )
    propagators: tuple[str, ...] = setting(
        ("tracecontext", "baggage"),
        "OTEL_PROPAGATORS",
        "how the context travels in requests: tracecontext, baggage, and what packages such as opentelemetry-propagator-b3 add",
        words,
    )
    metric_interval_seconds: float = setting(
        60.0, "OTEL_METRIC_EXPORT_INTERVAL", "how often metrics are sent, in milliseconds", milliseconds
    )
    temporality: str = setting(
        "cumulative",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "cumulative (sums since the start), delta (since the last time), or lowmemory",
        one_of("cumulative", "delta", "lowmemory"),
    )
    histograms: str = setting(
        "explicit_bucket_histogram",
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "explicit_bucket_histogram or base2_exponential_bucket_histogram",
        one_of("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
    )
    exemplars: str = setting(
        "trace_based",
        "OTEL_METRICS_EXEMPLAR_FILTER",
        f"which measurements may become exemplars of a metric: {', '.join(EXEMPLARS)}; trace_based is those of sampled spans",
        one_of(*EXEMPLARS),
    )
    runtime_metrics: bool = setting(
        True,
        "SONDE_SDK_RUNTIME_METRICS",
        "whether the running interpreter is measured: process, garbage collection, event loops, waiting for the GIL",
        flag,
    )
    host_metrics: str = setting(
        "auto",
        "SONDE_SDK_HOST_METRICS",
        "whether one of the processes measures the host (Linux): true, false, or auto for everywhere but in containers",
        one_of("auto", "true", "false"),
    )
    disabled_instrumentations: tuple[str, ...] = setting(
        (),
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
        "libraries that are left alone, such as redis,sqlite3; * for all",
        words,
    )
    trace: tuple[str, ...] = setting(
        (),
        "SONDE_SDK_TRACE",
        "patterns of modules whose functions are traced, such as shop.*,billing.tax: shop and all beneath it, and exactly one",
        words,
    )
    trace_min_duration_seconds: float = setting(
        0.001,
        "SONDE_SDK_TRACE_MIN_DURATION",
        "calls of those functions that are shorter, in milliseconds, are told only if they fail or something within them is told",
        milliseconds_or_none,
    )
    trace_budget: float = setting(
        0.01,
        "SONDE_SDK_TRACE_BUDGET",
        "the share of the program's CPU time, above 0 to 1, that shorter calls may cost; functions that cost more than they "
        "tell are traced no longer, and reported (1: whatever it costs)",
        number,
    )
    exporter: str = setting(
        "sonde",
        "SONDE_SDK_EXPORTER",
        "sonde, or opentelemetry for the exporters of opentelemetry-exporter-otlp",
        one_of("sonde", "opentelemetry"),
    )
    log_level: str = setting(
        "info", "SONDE_SDK_LOG_LEVEL", "log records below it are not sent: debug, info, warning, ...", one_of(*LEVELS)
    )
    exceptions: bool = setting(
        True,
        "SONDE_SDK_EXCEPTIONS",
        "whether exceptions that nobody handles are told as log records, in threads and tasks too",
        flag,
    )
    source_lines: bool = setting(
        True,
        "SONDE_SDK_SOURCE_LINES",
        "whether those exceptions carry lines of source; what looks like a secret is blotted out",
        flag,
    )
    command_args: bool = setting(
        False,
        "SONDE_SDK_COMMAND_ARGS",
        "whether the program's arguments are told (process.command_args); what looks like a secret is blotted out",
        flag,
    )
    exit_seconds: float = setting(
        5.0,
        "SONDE_SDK_EXIT_SECONDS",
        "how long a program that ends may take for sending what is left; a receiver that can't be reached is not waited for",
        number,
    )
    quiet: bool = setting(False, "SONDE_SDK_QUIET", "true leaves out the line that `sonde run` says at the start", flag)
    spans_queue: Queue = dataclasses.field(default_factory=Queue)
    logs_queue: Queue = dataclasses.field(default_factory=Queue)
    routes: Mapping[str, Route] = dataclasses.field(default_factory=dict)
    """By signal."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.sampler_ratio <= 1.0:
            raise SdkError(
                f"OTEL_TRACES_SAMPLER_ARG must be a share from 0 to 1, such as 0.1, not {self.sampler_ratio:g}"
            )
        for pattern in self.trace:
            if not MODULES.fullmatch(pattern):
                raise SdkError(
                    f"SONDE_SDK_TRACE: {pattern!r} names no modules; write for example shop.* or billing.tax"
                )
        if not 0.0 < self.trace_budget <= 1.0:
            raise SdkError(
                f"SONDE_SDK_TRACE_BUDGET must be a share above 0, up to 1, such as 0.01, not {self.trace_budget:g}"
            )

    def exporters(self, signal: str) -> tuple[str, ...]:
        """Where a signal goes: of otlp and console; empty for nowhere."""
        found: tuple[str, ...] = getattr(self, signal)
        return () if "none" in found else found

    def protocol(self, signal: str) -> Literal["http/protobuf", "grpc"]:
        route = self.routes[signal]
        if route.protocol:
            return "grpc" if route.protocol == "grpc" else "http/protobuf"
        return "grpc" if port_of(route.endpoint) == GRPC_PORT else "http/protobuf"

    def url(self, signal: str) -> str:
        """Where the requests of a signal go, path and all. SdkError where the endpoint is none."""
        route, protocol = self.routes[signal], self.protocol(signal)
        return checked_url(route.endpoint or (GRPC_ENDPOINT if protocol == "grpc" else HTTP_ENDPOINT), route.insecure)


def port_of(url: str) -> int | None:
    try:
        return urlsplit(url if "://" in url else f"//{url}").port
    except ValueError:
        return None


def checked_url(url: str, insecure: bool | None) -> str:
    if "://" not in url and insecure is not None:
        url = f"{'http' if insecure else 'https'}://{url}"
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known:
        raise SdkError(f"the endpoint {url!r} is no URL to send OTLP to; write for example {HTTP_ENDPOINT}")
    return url


def read_settings(environ: Mapping[str, str], arguments: Mapping[str, Any] = {}) -> Settings:
    """The settings by `environ`, then `arguments` (names of fields of Settings, and of Route for all signals), then the defaults.

    An argument of None or of nothing is one that was not given."""
    refuse_unknown(environ)
    given = {name: value for name, value in arguments.items() if value is not None and value != ()}
    values = {name: value for name, value in given.items() if name not in ROUTE_FIELDS}
    if "attributes" in given:
        values["attributes"] = {key: str(value) for key, value in given["attributes"].items()}
    said = dict(from_environment(Settings, environ))
    if "attributes" in said:
        said["attributes"] = {**values.get("attributes", {}), **said["attributes"]}
    try:
        return Settings(
            **values | said,
            spans_queue=Queue(**dict(from_environment(Queue, environ, QUEUE="BSP"))),
            logs_queue=Queue(**dict(from_environment(Queue, environ, QUEUE="BLRP"))),
            routes={signal: read_route(signal, environ, given) for signal in SIGNALS},
        )
    except TypeError as error:
        raise SdkError(f"instrument() has no such setting: {error}; see docs/sdk.md for those there are") from error


def read_route(signal: str, environ: Mapping[str, str], given: Mapping[str, Any]) -> Route:
    values = {name: value for name, value in given.items() if name in ROUTE_FIELDS}
    values |= from_environment(Route, environ, SIGNAL="")
    own = dict(from_environment(Route, environ, SIGNAL=f"{signal.upper()}_"))
    protocol = own.get("protocol") or values.get("protocol")
    base = values.get("endpoint", "")
    if "endpoint" not in own and protocol != "grpc" and (protocol or port_of(base) != GRPC_PORT):
        values["endpoint"] = f"{(base or HTTP_ENDPOINT).rstrip('/')}/v1/{signal}"
    return Route(**values | own)


def from_environment(config: type[Any], environ: Mapping[str, str], **parts: str) -> Iterator[tuple[str, Any]]:
    """The fields that variables set. An empty variable is one that is not set, as the specification has it."""
    for field in declared(config):
        variable = field.metadata["variable"].format(**parts)
        text = environ.get(variable, "")
        if not text.strip():
            continue
        try:
            yield field.name, field.metadata["read"](text)
        except ValueError as error:
            shown = "its value" if field.metadata["secret"] else repr(text)
            raise SdkError(f"{variable}: {shown} is not understood: {error}") from error


def declared(config: type[Any]) -> Iterator[dataclasses.Field[Any]]:
    return (field for field in dataclasses.fields(config) if "variable" in field.metadata)


ROUTE_FIELDS = frozenset(field.name for field in declared(Route))


def refuse_unknown(environ: Mapping[str, str]) -> None:
    known = {field.metadata["variable"] for field in declared(Settings)}
    for variable in environ:
        if variable.startswith(OWN_PREFIX) and not variable.startswith(INTERNAL_PREFIX) and variable not in known:
            own = sorted(name for name in known if name.startswith(OWN_PREFIX))
            raise SdkError(
                f"the environment has {variable}, which is no setting of the SDK; those are {', '.join(own)}"
            )
