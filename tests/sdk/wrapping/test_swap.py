"""Functions that get other code in place: callers, inspection and errors are as before, and so is the function afterwards."""

from __future__ import annotations

import asyncio
import inspect
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from types import FunctionType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sonde.sdk.wrapping.swap import put_around, put_back, why_not

KEPT = object()


def none() -> Any:
    return ()


def defaults(a: int, b: int = 2) -> Any:
    return a, b


def every_kind(a: int, /, b: int = 2, *more: int, c: int, d: int = 4, **named: int) -> Any:
    return a, b, more, c, d, named


def keywords(*, a: int, b: int = 2) -> Any:
    return a, b


def positional(a: int, b: int = 2, /) -> Any:
    return a, b


def of_closure() -> Callable[..., Any]:
    kept, other = KEPT, 1

    def closure(a: int = 1) -> Any:
        return a, kept, other

    return closure


class Base:
    def say(self) -> Any:
        return "base"


class Derived(Base):
    def say(self, word: str = "") -> Any:
        return super().say(), __class__, word  # type: ignore[name-defined]


def noting(heard: list[Any]) -> Callable[[FunctionType], Callable[..., Any]]:
    def around(was: FunctionType) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            heard.append((args, kwargs))
            return was(*args, **kwargs)

        return call

    return around


CALLS: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
    (none, (), {}),
    (none, (1,), {}),
    (defaults, (1,), {}),
    (defaults, (), {"b": 3, "a": 4}),
    (defaults, (), {}),
    (every_kind, (1,), {"c": 3}),
    (every_kind, (1, 2, 3, 4), {"c": 3, "d": 5, "e": 6}),
    (every_kind, (1,), {}),
    (every_kind, (), {"a": 1, "c": 3}),
    (keywords, (), {"a": 1}),
    (keywords, (1,), {}),
    (positional, (1,), {}),
    (positional, (), {"a": 1}),
    (of_closure(), (), {}),
    (Derived.say, (Derived(),), {"word": "a"}),
    (Derived.say, (Derived(),), {"words": "a"}),
]


def outcome(function: Any, args: Any, kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except TypeError as error:
        return str(error)


@pytest.mark.parametrize(("function", "args", "kwargs"), CALLS)
def test_a_call_gives_and_raises_what_it_did(function: Any, args: Any, kwargs: Any) -> None:
    before, signature = outcome(function, args, kwargs), inspect.signature(function)
    code, heard = function.__code__, list[Any]()
    held = function
    put_around(function, noting(heard))
    try:
        assert outcome(held, args, kwargs) == before
        assert len(heard) == (0 if isinstance(before, str) else 1), "wrong arguments are refused at the door"
        assert inspect.signature(function) == signature
        assert inspect.getfullargspec(function) is not None
        assert inspect.getsource(function).lstrip().startswith("def ")
        assert function.__code__.co_varnames[: code.co_argcount] == code.co_varnames[: code.co_argcount]
    finally:
        put_back(function, code)
    assert function.__code__ is code
    assert outcome(function, args, kwargs) == before


@st.composite
def signatures(draw: st.DrawFn) -> str:
    """Parameters of every kind, with defaults and without."""
    counts = [draw(st.integers(0, 2)) for _ in range(3)]
    names = [[f"{kind}{number}" for number in range(count)] for kind, count in zip("pqk", counts, strict=True)]
    positional = names[0] + names[1]
    without = draw(st.integers(0, len(positional)))
    texts = [name if at < without else f"{name}={at}" for at, name in enumerate(positional)]
    if names[0]:
        texts.insert(len(names[0]), "/")
    varargs = draw(st.booleans())
    if varargs or names[2]:
        texts.append("*rest" if varargs else "*")
    texts += [f"{name}=9" if draw(st.booleans()) else name for name in names[2]]
    if draw(st.booleans()):
        texts.append("**named")
    return ", ".join(texts)


@given(
    signatures(),
    st.lists(st.integers(), max_size=5),
    st.dictionaries(st.sampled_from(["p0", "q0", "q1", "k0", "k1", "other"]), st.integers(), max_size=4),
)
def test_whatever_the_parameters_and_the_call(text: str, args: list[int], kwargs: dict[str, int]) -> None:
    made: dict[str, Any] = {}
    exec(f"def function({text}): return dict(locals())", made)
    function, heard = made["function"], list[Any]()
    before, signature = outcome(function, args, kwargs), inspect.signature(function)
    put_around(function, noting(heard))
    assert outcome(function, args, kwargs) == before
    assert inspect.signature(function) == signature
    assert len(heard) == (0 if isinstance(before, str) else 1)


def generator(stop: int) -> Iterator[int]:
    yield from range(stop)


async def coroutine(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def asynchronous(stop: int) -> AsyncIterator[Any]:
    said: list[Any] = []
    for number in range(stop):
        try:
            said.append((yield number))
        except ValueError as error:
            said.append(str(error))
    yield said


@pytest.mark.parametrize("function", [none, generator, coroutine, asynchronous], ids=lambda function: function.__name__)
def test_a_function_stays_of_its_kind(function: Any) -> None:
    asked = (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    before = [ask(function) for ask in asked]
    code = put_around(function, noting([]))
    try:
        assert [ask(function) for ask in asked] == before
    finally:
        put_back(function, code)


def test_coroutines_and_generators_do_what_they_did() -> None:
    async def drive(ticks: Any) -> list[Any]:
        found = [await anext(ticks), await ticks.asend("a"), await ticks.athrow(ValueError("b"))]
        return found + [one async for one in ticks]

    heard: list[Any] = []
    functions: list[Any] = [generator, coroutine, asynchronous]
    codes = [put_around(function, noting(heard)) for function in functions]
    try:
        assert list(generator(3)) == [0, 1, 2]
        assert asyncio.run(coroutine(5)) == 5
        assert asyncio.run(drive(asynchronous(3))) == [0, 1, 2, ["a", "b", None]]
    finally:
        for function, code in zip(functions, codes, strict=True):
            put_back(function, code)
    assert [args for args, _ in heard] == [(3,), (5,), (3,)]


def fails() -> None:
    raise KeyError("here")


def test_a_traceback_shows_the_functions_own_file_and_lines() -> None:
    function: Any = fails
    code = put_around(function, noting([]))
    try:
        fails()
    except KeyError as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == "fails"]
    finally:
        put_back(function, code)
    assert {frame.filename for frame in frames} == {__file__}
    assert [frame.line for frame in frames] == ["def fails() -> None:", 'raise KeyError("here")']
    text = "".join(traceback.format_list(frames))
    assert "^" not in text.splitlines()[1], "no columns of code that is not there"


def looking(was: FunctionType) -> Callable[..., Any]:
    def look(*args: Any, **kwargs: Any) -> Any:
        return dict(sys._getframe(1).f_locals)

    return look


def test_who_looks_at_the_frame_sees_its_parameters_and_what_its_closure_holds() -> None:
    """As debuggers and error reports do, of every frame that there is."""
    closure: Any = of_closure()
    put_around(closure, looking)
    assert closure(2) == {"a": 2, "kept": KEPT, "other": 1}
    method: Any = Derived.say
    code = put_around(method, looking)
    try:
        derived = Derived()
        assert derived.say("a") == {"self": derived, "word": "a", "__class__": Derived}
    finally:
        put_back(method, code)


def test_this_python_can_do_it() -> None:
    assert why_not() == ""
