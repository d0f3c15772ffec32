"""Which libraries are wrapped, and what becomes of instrumentations that can't wrap."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest
from sonde.sdk import libraries
from sonde.sdk.libraries import Library, State, installed, leading_name, missing, wrap

WRAPPED: list[str] = []


class Instrumentor:
    def instrument(self, **_: object) -> None:
        WRAPPED.append("it")


class Failing:
    def instrument(self, **_: object) -> None:
        raise RuntimeError("no such attribute")


def library(name: str, kind: str) -> Library:
    return Library(name, EntryPoint(name, f"{__name__}:{kind}", libraries.GROUP))


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that is there, and that nobody has imported yet."""
    (tmp_path / "sonde_tested_later.py").write_text("loaded = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(libraries.MODULES, "later", "sonde_tested_later")
    WRAPPED.clear()
    return "sonde_tested_later"


def imported(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    __import__(name)
    module = sys.modules[name]
    monkeypatch.delitem(sys.modules, name)
    return module


def test_a_library_is_wrapped_when_it_is_imported_and_not_before(later: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = library("later", "Instrumentor")
    wrap([one])
    assert (one.state, WRAPPED) == (State.WAITING, [])
    assert imported(later, monkeypatch).loaded
    assert (one.state, WRAPPED) == (State.WRAPPED, ["it"])


def test_a_library_that_was_imported_before_is_wrapped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries.MODULES, "early", "json")
    WRAPPED.clear()
    one = library("early", "Instrumentor")
    wrap([one])
    assert (one.state, WRAPPED) == (State.WRAPPED, ["it"])


def test_an_instrumentation_that_fails_is_told_and_the_import_goes_on(
    later: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = library("later", "Failing")
    with caplog.at_level(logging.WARNING):
        wrap([one])
        assert imported(later, monkeypatch).loaded
    assert (one.state, one.reason) == (State.FAILED, "RuntimeError: no such attribute")
    assert "later is not wrapped" in caplog.text


def test_an_instrumentation_whose_own_needs_are_absent_is_left_out(later: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Library("later", EntryPoint("later", "sonde_tested_absent:Instrumentor", libraries.GROUP))
    wrap([one])
    assert imported(later, monkeypatch).loaded
    assert one.state is State.ABSENT


@pytest.mark.parametrize(("disabled", "left"), [((), set()), (("redis", "flask"), {"redis", "flask"})])
def test_libraries_are_left_alone_by_name(disabled: tuple[str, ...], left: set[str]) -> None:
    assert {one.name for one in installed(disabled) if one.state is State.DISABLED} == left


def test_a_star_leaves_all_alone() -> None:
    found = installed(["*"])
    assert found
    assert {one.state for one in found} == {State.DISABLED}


def test_what_the_sdk_does_by_itself_is_not_done_twice() -> None:
    assert not {"logging", "structlog", "system_metrics", "threading"} & {one.name for one in installed()}


def test_a_library_is_missing_where_it_is_there_and_what_wraps_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "opentelemetry-instrumentation-flask" not in {one.package.partition("==")[0] for one in missing()}
    there = {"flask"}
    monkeypatch.setattr(libraries, "is_installed", there.__contains__)
    assert [(one.library, one.package.partition("==")[0]) for one in missing()] == [
        ("flask", "opentelemetry-instrumentation-flask")
    ]


@pytest.mark.parametrize(
    ("requirement", "name"), [("flask >= 1.0", "flask"), ("psycopg2-binary>=2", "psycopg2-binary"), ("a.b", "a.b")]
)
def test_the_name_of_a_requirement(requirement: str, name: str) -> None:
    assert leading_name(requirement) == name


def test_fastapi_tells_by_itself_where_its_version_can(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import fastapi

    one = library("fastapi", "Failing")
    wrap([one])
    assert fastapi
    assert one.state is State.BY_ITSELF
    (tmp_path / "fastapi").mkdir()
    (tmp_path / "fastapi" / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "fastapi")
    monkeypatch.syspath_prepend(tmp_path)
    assert not libraries.tells_by_itself("fastapi"), "one of before"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_PYTHON_FASTAPI_EXCLUDED_URLS", "health"),
        ("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", "accept"),
        ("OTEL_SEMCONV_STABILITY_OPT_IN", "database"),
    ],
)
def test_fastapi_is_wrapped_where_something_is_set_that_only_its_instrumentation_knows(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert libraries.tells_by_itself("fastapi")
    monkeypatch.setenv(variable, value)
    assert not libraries.tells_by_itself("fastapi")


def test_fastapi_that_is_left_alone_tells_nothing_by_itself() -> None:
    program = """
        import asyncio, sys
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from sonde.sdk import libraries

        kept = InMemorySpanExporter()
        trace.set_tracer_provider(TracerProvider())
        trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(kept))
        libraries.wrap(libraries.installed(sys.argv[1:]))
        import fastapi
        from starlette.testclient import TestClient

        app = fastapi.FastAPI()
        app.get("/price")(lambda: 1)
        assert TestClient(app).get("/price").json() == 1
        print(len(kept.get_finished_spans()))
    """
    spans = [
        int(
            subprocess.run(
                [sys.executable, "-c", textwrap.dedent(program), *left], capture_output=True, check=True
            ).stdout
        )
        for left in (["fastapi"], ["flask"])
    ]
    assert spans[0] == 0
    assert spans[1] > 0
