"""Which functions of a module are traced."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
from sonde.sdk.functions import full_name
from sonde.sdk.wrapping.members import functions_of

MODULE = """
    import contextlib, functools
    from dataclasses import dataclass
    from os.path import join
    from opentelemetry import trace
    from sonde.sdk import traced

    def plain(): ...
    async def coroutine(): ...
    def generator(): yield
    another_name = plain
    short = lambda: None

    @traced
    def told(): ...

    @trace.get_tracer("a").start_as_current_span("b")
    def told_by_opentelemetry(): ...

    def decorator(function):
        @functools.wraps(function)
        def around(*args):
            return function(*args)
        return around

    @decorator
    def decorated(): ...

    @functools.lru_cache
    def remembered(): ...

    @contextlib.contextmanager
    def managed(): yield

    @functools.partial(decorator)
    @traced
    def told_and_decorated(): ...

    class Cart:
        def __init__(self): ...
        def __repr__(self): return "Cart"
        def __call__(self): ...
        def total(self): ...
        sum = total
        @staticmethod
        def check(): ...
        @classmethod
        def make(cls): ...
        @property
        def size(self): return 1
        class Item:
            def price(self): ...
        other = join

    class Derived(Cart):
        pass

    @dataclass(frozen=True, order=True)
    class Price:
        amount: int
        def half(self): ...

    exec("def generated(): ...")

    class Looked:
        "Wakes up when it is looked at, as proxies do."
        @property
        def __class__(self):
            raise RuntimeError("awake")
        def __getattr__(self, name):
            raise RuntimeError("awake")
    asleep = Looked()
"""
TRACED = [
    "plain",
    "coroutine",
    "generator",
    "decorator",
    "decorated",
    "remembered",
    "managed",
    "Cart.__call__",
    "Cart.total",
    "Cart.check",
    "Cart.make",
    "Cart.Item.price",
    "Price.half",
]


def test_those_that_are_written_in_it_and_are_not_traced_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "members_shop.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.syspath_prepend(tmp_path)
    import members_shop

    try:
        found = list(functions_of(members_shop))
    finally:
        del sys.modules["members_shop"]
    assert [full_name(function) for function in found] == [f"members_shop.{name}" for name in TRACED]
    assert len(set(found)) == len(found)
