"""Modules by pattern: what is traced, when, and what becomes of it."""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sonde.sdk import wrapping
from sonde.sdk.frames import frames
from sonde.sdk.wrapping import Hook, install
from telling import named, telling

__all__ = ["telling"]

FILES = {
    "hooked/__init__.py": "from hooked.cart import total",
    "hooked/cart.py": """
        from hooked import prices
        from hooked.registry import register

        @register
        def total(count):
            return sum(prices.price(number) for number in range(count))

        class Cart:
            def add(self, thing): return thing
    """,
    "hooked/prices.py": "def price(number): return number",
    "hooked/registry.py": """
        REGISTERED = {}
        def register(function):
            REGISTERED[function.__name__] = function
            return function
    """,
    "beside.py": "def outside(): return 1",
    "user.py": "from hooked.cart import total",
}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path
    for name in list(sys.modules):
        if name.partition(".")[0] in ("hooked", "beside", "user"):
            del sys.modules[name]


@pytest.fixture
def hooked(modules: Path) -> Iterator[Callable[..., Hook]]:
    """Installs, and takes away at the end."""
    hooks: list[Hook] = []

    def begin(*patterns: str, **how: Any) -> Hook:
        hooks.append(install(patterns, **{"min_duration_seconds": 0.0, "budget": 1.0} | how))
        return hooks[-1]

    yield begin
    for hook in hooks:
        hook.remove()


def load(name: str) -> Any:
    return importlib.import_module(name)


NAMES = ["hooked.cart.Cart.add", "hooked.cart.total", "hooked.prices.price", "hooked.registry.register"]


def traced_names(hook: Hook) -> list[str]:
    return sorted(site.name for site in hook.sites.values())


def test_modules_are_traced_when_they_are_imported(hooked: Callable[..., Hook], telling: InMemorySpanExporter) -> None:
    hook = hooked("hooked.*")
    assert hook.sites == {}
    user, beside = load("user"), load("beside")
    assert traced_names(hook) == NAMES
    telling.clear()
    assert (user.total(2), beside.outside()) == (1, 1)
    assert [one.name for one in telling.get_finished_spans()] == ["hooked.prices.price"] * 2 + ["hooked.cart.total"]
    assert sorted(hook.modules) == ["hooked", "hooked.cart", "hooked.prices", "hooked.registry"]
    assert hook.notes == []


def test_modules_that_were_imported_before_are_traced_at_once_whoever_holds_their_functions(
    hooked: Callable[..., Hook], telling: InMemorySpanExporter
) -> None:
    user = load("user")
    held, registered = user.total, load("hooked.registry").REGISTERED["total"]
    assert traced_names(hooked("hooked.*")) == NAMES
    assert held is registered is load("hooked.cart").total
    registered(0)
    held(0)
    assert [one.name for one in telling.get_finished_spans()] == ["hooked.cart.total"] * 2


def test_only_what_the_pattern_means_is_traced(hooked: Callable[..., Hook]) -> None:
    hook = hooked("hooked.prices")
    load("user")
    assert traced_names(hook) == ["hooked.prices.price"]


def test_a_module_that_is_loaded_again_is_traced_again(
    hooked: Callable[..., Hook], telling: InMemorySpanExporter
) -> None:
    hooked("hooked.*")
    prices = load("hooked.prices")
    importlib.reload(prices)
    telling.clear()
    prices.price(1)
    assert list(named(telling)) == ["hooked.prices.price"]


def test_everything_is_as_it_was_when_the_hook_is_removed(modules: Path, telling: InMemorySpanExporter) -> None:
    cart = load("hooked.cart")
    codes = [cart.total.__code__, cart.Cart.add.__code__]
    hook = install(["hooked.*"], min_duration_seconds=0)
    assert [cart.total.__code__, cart.Cart.add.__code__] != codes
    hook.remove()
    assert [cart.total.__code__, cart.Cart.add.__code__] == codes
    cart.total(1)
    assert load("beside").outside() == 1
    assert not telling.get_finished_spans()


def test_a_function_that_can_not_be_traced_is_noted_and_the_import_goes_on(
    hooked: Callable[..., Hook], monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = hooked("hooked.*")
    with monkeypatch.context() as patched:
        patched.setattr(wrapping, "put_around", lambda function, around: 1 / 0)
        assert load("hooked.prices").price(3) == 3
    assert hook.sites == {}
    assert "hooked.prices.price is not traced: ZeroDivisionError: division by zero" in hook.notes


def test_a_python_that_can_not_do_it_is_noted(hooked: Callable[..., Hook], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrapping, "why_not", lambda: "another interpreter")
    hook = hooked("hooked.*")
    assert load("hooked.cart").total(3) == 3
    assert hook.notes == ["functions are not traced: not possible with this Python (another interpreter)"]


def test_a_module_that_asks_for_tracing_while_it_is_imported_is_traced(modules: Path) -> None:
    (modules / "hooked" / "__init__.py").write_text(
        "from sonde.sdk.wrapping import install\nHOOK = install(['hooked.*'])\n"
        "from hooked import prices\ndef own(): return 1\n"
    )
    hook = load("hooked").HOOK
    try:
        assert traced_names(hook) == ["hooked.own", "hooked.prices.price"]
        assert hook.notes == []
    finally:
        hook.remove()


def test_a_function_that_costs_more_than_it_tells_is_let_go_of_and_reported(
    hooked: Callable[..., Hook], telling: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    hook = hooked("hooked.*", min_duration_seconds=3600.0, budget=0.0001)
    cart, prices = load("hooked.cart"), load("hooked.prices")
    code = prices.price.__code__
    held = prices.price
    caplog.set_level(logging.WARNING, "sonde.sdk")
    for _ in range(1000):
        cart.total(1000)
        if hook.verdicts:
            break
    (verdict,) = hook.verdicts
    assert verdict.name == "hooked.prices.price"
    assert verdict.dropped > 1000
    assert verdict.kept == 0
    assert held.__code__ is not code
    assert prices.price(7) == 7
    assert hook.sites[prices.price].dropped == verdict.dropped
    for thread in threading.enumerate():
        if thread.name == "sonde-sdk-tracing":
            thread.join()
    (record,) = caplog.records
    assert record.getMessage() == f"no longer traced: {verdict}"
    assert not telling.get_finished_spans()


RECURSIVE = """
    def walk(depth):
        return 0 if depth == 0 else 1 + walk(depth - 1)

    def even(depth):
        return depth == 0 or odd(depth - 1)

    def odd(depth):
        return depth != 0 and even(depth - 1)

    def nodes(depth):
        yield depth
        if depth:
            yield from nodes(depth - 1)
"""


def test_a_function_that_calls_itself_can_do_so_as_deep_as_before(
    hooked: Callable[..., Hook], modules: Path, telling: InMemorySpanExporter
) -> None:
    (modules / "beside.py").write_text(textwrap.dedent(RECURSIVE))
    hook = hooked("beside", min_duration_seconds=3600.0)
    beside = load("beside")
    depth = sys.getrecursionlimit() - len(inspect.stack()) - 250
    assert beside.walk(depth) == depth
    assert beside.even(depth) == (depth % 2 == 0)
    assert len(list(beside.nodes(depth))) == depth + 1
    assert {verdict.name for verdict in hook.verdicts} == {
        f"beside.{name}" for name in ("walk", "even", "odd", "nodes")
    }
    assert {verdict.reason for verdict in hook.verdicts} == {"calls itself, 50 deep"}


def test_what_tells_spans_is_not_told_itself(
    hooked: Callable[..., Hook], modules: Path, telling: InMemorySpanExporter
) -> None:
    """A processor of the app's own, whose calls would be spans that it is called for."""
    (modules / "beside.py").write_text(
        textwrap.dedent("""
            from opentelemetry.sdk.trace import SpanProcessor
            class Own(SpanProcessor):
                def on_start(self, span, parent_context=None): self.look()
                def on_end(self, span): self.look()
                def look(self): pass
        """)
    )
    hook = hooked("beside")
    provider: Any = trace.get_tracer_provider()
    provider.add_span_processor(load("beside").Own())
    assert len(hook.sites) == 3
    hooked("hooked.prices")
    load("hooked.prices").price(1)
    assert [one.name for one in telling.get_finished_spans()] == ["hooked.prices.price"]


def test_a_traced_function_is_once_among_the_programs_own_frames(hooked: Callable[..., Hook], modules: Path) -> None:
    (modules / "beside.py").write_text("def fails():\n    raise KeyError\n")
    hooked("beside")
    with pytest.raises(KeyError) as raised:
        load("beside").fails()
    found = [(frame["line"], frame["own"]) for frame in frames(raised.tb, source=False) if frame["module"] == "beside"]
    assert found == [(1, False), (2, True)]


def test_a_generator_that_is_let_go_of_goes_on(hooked: Callable[..., Hook], modules: Path) -> None:
    (modules / "beside.py").write_text("def numbers():\n    for number in range(1_000_000): yield number\n")
    hook = hooked("beside", min_duration_seconds=3600.0, budget=0.0001)
    numbers, left = load("beside").numbers, 5000
    for expected, number in enumerate(numbers()):
        assert number == expected
        left -= len(hook.verdicts)
        if not left:
            break
    assert [verdict.name for verdict in hook.verdicts] == ["beside.numbers"]
    assert "resumed" in str(hook.verdicts[0])
