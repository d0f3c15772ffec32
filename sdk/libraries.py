"""Which libraries of a program are wrapped, and which could be.

What wraps a library is an OpenTelemetry instrumentation, known by its entry point. It is loaded when the program imports the
library; one that fails, or that does not fit the library's version, is counted and left out.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from opentelemetry.util._importlib_metadata import entry_points
from sonde.sdk.imports import is_being_imported, when_imported

log = logging.getLogger("sonde.sdk")

GROUP = "opentelemetry_instrumentor"
LEFT_TO_SONDE = frozenset({"logging", "structlog", "system_metrics", "threading"})
"""What the SDK does by itself: `sonde.sdk.logs` tells log records, `sonde.sdk.runtime` measures the process and the host,
`sonde.sdk.threads` carries the context into threads."""
MODULES = {
    "aio-pika": "aio_pika",
    "aiohttp-client": "aiohttp",
    "aiohttp-server": "aiohttp.web",
    "aiokafka": "aiokafka",
    "aiopg": "aiopg",
    "asyncclick": "asyncclick",
    "asyncio": "asyncio",
    "asyncpg": "asyncpg",
    "boto": "boto",
    "boto3": "boto3",
    "botocore": "botocore",
    "cassandra": "cassandra",
    "celery": "celery",
    "click": "click",
    "confluent_kafka": "confluent_kafka",
    "django": "django",
    "elasticsearch": "elasticsearch",
    "falcon": "falcon",
    "fastapi": "fastapi",
    "flask": "flask",
    "grpc_aio_client": "grpc",
    "grpc_aio_server": "grpc",
    "grpc_client": "grpc",
    "grpc_server": "grpc",
    "httpx": "httpx",
    "httpx2": "httpx2",
    "jinja2": "jinja2",
    "kafka": "kafka",
    "mysql": "mysql.connector",
    "mysqlclient": "MySQLdb",
    "pika": "pika",
    "psycopg": "psycopg",
    "psycopg2": "psycopg2",
    "pymemcache": "pymemcache",
    "pymongo": "pymongo",
    "pymssql": "pymssql",
    "pymysql": "pymysql",
    "pyramid": "pyramid",
    "redis": "redis",
    "remoulade": "remoulade",
    "requests": "requests",
    "sqlalchemy": "sqlalchemy",
    "sqlite3": "sqlite3",
    "starlette": "starlette",
    "tornado": "tornado",
    "tortoiseorm": "tortoise",
    "urllib": "urllib.request",
    "urllib3": "urllib3",
}
"""What a program imports when it uses the library of an instrumentation, by the names of OpenTelemetry's own. Others are loaded
at once, for nothing says what they wait for."""
ADDS_NOTHING = frozenset(
    f"opentelemetry-instrumentation-{name}" for name in ("asgi", "logging", "structlog", "system-metrics")
)
"""Packages that wrap nothing by themselves, or nothing that is not wrapped already."""
NOT_A_SIGN_OF = {("pydantic", "opentelemetry-instrumentation-tortoiseorm")}


TELLS_BY_ITSELF = {"fastapi": "telemetry"}
"""Libraries that tell of themselves through OpenTelemetry's API where they have this submodule: more than their instrumentation
does, at less cost, by the stable names. They do so once there is a provider."""
KNOWN_TO_INSTRUMENTATIONS = (
    "OTEL_PYTHON_EXCLUDED_URLS",
    "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE",
)
"""Variables that those libraries do not know. Where one is set, they are wrapped as any other."""
CONVENTIONS = "OTEL_SEMCONV_STABILITY_OPT_IN"
STABLE_CONVENTIONS = "http,database"
"""Instrumentations use the names of before, such as http.method, unless they are asked for those of today."""

TOOL = "wrapt"
"""What instrumentations wrap with. It imports libraries that are wrapped itself: those wait until it is there."""


_is_over = False


class State(Enum):
    WAITING = "when imported"
    WRAPPED = "wrapped"
    BY_ITSELF = "tells by itself"
    ABSENT = "not installed"
    CONFLICT = "does not fit"
    FAILED = "failed"
    DISABLED = "left alone"


@dataclass
class Library:
    """One that has an instrumentation. `reason` says why it is not wrapped."""

    name: str
    entry_point: metadata.EntryPoint
    state: State = State.WAITING
    reason: str = ""

    @property
    def module(self) -> str | None:
        return MODULES.get(self.name)


@dataclass(frozen=True)
class Missing:
    """A library that is installed, whose instrumentation is not."""

    library: str
    package: str


def installed(disabled: Iterable[str] = ()) -> list[Library]:
    """Those with an instrumentation that is installed, by name."""
    left_alone = frozenset(disabled)
    found = {}
    for entry_point in entry_points(group=GROUP):
        if entry_point.name in LEFT_TO_SONDE or entry_point.name in found:
            continue
        library = found[entry_point.name] = Library(entry_point.name, entry_point)
        if "*" in left_alone or entry_point.name in left_alone:
            library.state, library.reason = State.DISABLED, "by OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
    return [found[name] for name in sorted(found)]


def wrap(libraries: Iterable[Library]) -> None:
    """Has each wrapped when the program imports it, or now where it has."""
    when_imported(TOOL, lambda _: None)
    for library in libraries:
        if library.state is State.DISABLED and library.name == "fastapi":
            when_imported("fastapi", keep_quiet)
        if library.state is not State.WAITING:
            continue
        if library.module is None:
            wrap_now(library)
        elif library.name == "django":
            when_imported("django", after_setup(library))
        else:
            when_imported(library.module, calling(library))


def calling(library: Library) -> Callable[[ModuleType], None]:
    return lambda _: wrap_now(library)


def after_setup(library: Library) -> Callable[[ModuleType], None]:
    """Django is wrapped when it has been set up: its settings are asked for then, and before it is too early to."""

    def wrap_setup(django: Any) -> None:
        setup = django.setup

        def wrapping_setup(*args: Any, **kwargs: Any) -> Any:
            result = setup(*args, **kwargs)
            if library.state is State.WAITING:
                wrap_now(library)
            return result

        django.setup = wrapping_setup

    return wrap_setup


def wrap_no_more() -> None:
    """What is imported after the end, as by what sends the last telemetry, would be told to nobody."""
    global _is_over
    _is_over = True


def wrap_now(library: Library) -> None:
    """Loads the instrumentation and lets it wrap. Nothing that goes wrong with it reaches the program."""
    if library.state is not State.WAITING or _is_over:
        return
    if is_being_imported(TOOL):
        when_imported(TOOL, calling(library))
        return
    try:
        if tells_by_itself(library.name):
            library.state = State.BY_ITSELF
        elif check(library):
            library.entry_point.load()().instrument(skip_dep_check=True)
            library.state = State.WRAPPED
            log.debug("%s is wrapped", library.name)
    except ModuleNotFoundError as error:
        library.state, library.reason = State.ABSENT, str(error)
    except Exception as error:
        library.state, library.reason = State.FAILED, f"{type(error).__name__}: {error}"
        log.warning("%s is not wrapped: its instrumentation fails", library.name, exc_info=True)


def tells_by_itself(name: str) -> bool:
    """Whether library `name` does, and nothing is set that only its instrumentation knows."""
    if any(os.environ.get(variable) for variable in KNOWN_TO_INSTRUMENTATIONS):
        return False
    return "http" in os.environ.get(CONVENTIONS, STABLE_CONVENTIONS).split(",") and can_tell_by_itself(name)


def can_tell_by_itself(name: str) -> bool:
    """Without loading it."""
    try:
        spec = find_spec(name) if name in TELLS_BY_ITSELF else None
    except (ImportError, ValueError):
        return False
    places = (spec.submodule_search_locations if spec is not None else None) or ()
    return any(os.path.isdir(os.path.join(place, TELLS_BY_ITSELF[name])) for place in places)


def keep_quiet(fastapi: Any) -> None:
    """Has FastAPI tell nothing by itself, but for applications that say what they want told."""
    if not can_tell_by_itself("fastapi"):
        return
    make = fastapi.FastAPI.__init__

    @functools.wraps(make)
    def make_quiet(self: Any, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("telemetry", {"tracing": False, "metrics": False, "logs": False})
        make(self, *args, **kwargs)

    fastapi.FastAPI.__init__ = make_quiet


def check(library: Library, *, quiet: bool = False) -> bool:
    """Whether what the instrumentation asks for is there; where not, `library` says so, and the log unless `quiet`."""
    from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts

    distribution = library.entry_point.dist
    conflict = get_dist_dependency_conflicts(distribution) if distribution is not None else None
    if conflict is None:
        return True
    there = bool(conflict.found or conflict.found_any)
    library.state = State.CONFLICT if there else State.ABSENT
    if there:
        wanted = conflict.required or " or ".join(str(one) for one in conflict.required_any or ())
        found = conflict.found or " and ".join(conflict.found_any or ())
        library.reason = f"{found} is installed, and its instrumentation wraps {str(wanted).partition(';')[0].strip()}"
        if not quiet:
            log.warning("%s is not wrapped: %s", library.name, library.reason)
    else:
        library.reason = "the library is not installed"
    return False


def missing() -> list[Missing]:
    """Libraries that are installed and could be wrapped, with the packages that would."""
    from opentelemetry.instrumentation.bootstrap_gen import libraries

    found = {}
    for item in libraries:
        name, package = (leading_name(item[key]) for key in ("library", "instrumentation"))
        if package in ADDS_NOTHING or (name, package) in NOT_A_SIGN_OF or package in found:
            continue
        if is_installed(name) and not is_installed(package) and not tells_by_itself(name):
            found[package] = Missing(name, item["instrumentation"].replace(" ", ""))
    return sorted(found.values(), key=lambda one: one.library)


def leading_name(requirement: str) -> str:
    """`flask` of `flask >= 1.0`."""
    end = next((at for at, char in enumerate(requirement) if not (char.isalnum() or char in "-_.")), len(requirement))
    return requirement[:end]


def is_installed(distribution: str) -> bool:
    return next(iter(metadata.distributions(name=distribution)), None) is not None


def can_be_imported(library: Library) -> bool:
    """Whether the library is there, as far as can be told without loading it."""
    root = (library.module or library.name).partition(".")[0]
    try:
        return library.module is None or root in sys.modules or find_spec(root) is not None
    except (ImportError, ValueError):
        return False
