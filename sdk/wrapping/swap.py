"""Puts something around a function, in place: the function stays the object it is, with its signature, and gets other code.

Whoever holds the function already, a router, a registry, another module, calls the new code as well, and `put_back` leaves nothing
behind. The new code is of the function's own kind and takes its parameters one by one, so that wrong arguments raise what they
always raised, and passes them on to a constant of the code: nothing of it has to be found in the function's globals or closure.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import CodeType, FunctionType
from typing import Any

CALL = "\0call"
"""Stands in the source for what is called, and is replaced among the constants."""
ENTRY_UNITS, NO_COLUMNS = 8, 0x80 | 13 << 3
"""Of the table of lines: how many units of code an entry can cover, and the kind that says a line without columns.
https://github.com/python/cpython/blob/3.11/Objects/locations.md"""

PLAIN = """
def enclosing({enclosed}):
    def f({parameters}):
        {free}
        return {call}
"""
COROUTINE = """
def enclosing({enclosed}):
    async def f({parameters}):
        {free}
        return await {call}
"""
GENERATOR = """
def enclosing({enclosed}):
    def f({parameters}):
        {free}
        return (yield from {call})
"""
ASYNC_GENERATOR = """
def enclosing({enclosed}):
    async def f({parameters}):
        {free}
        _sonde_generator = {call}
        _sonde_resume, _sonde_given = _sonde_generator.asend, None
        while True:
            try:
                _sonde_value = await _sonde_resume(_sonde_given)
            except StopAsyncIteration:
                return
            try:
                _sonde_resume, _sonde_given = _sonde_generator.asend, (yield _sonde_value)
            except BaseException as _sonde_error:
                _sonde_resume, _sonde_given = _sonde_generator.athrow, _sonde_error
"""


def put_around(function: FunctionType, around: Callable[[FunctionType], Callable[..., Any]]) -> CodeType:
    """From now on `function` does what `around` makes of it, which gets a function that does what it did. Gives the code of
    before."""
    code = function.__code__
    was = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    was.__kwdefaults__, was.__qualname__, was.__module__ = (
        function.__kwdefaults__,
        function.__qualname__,
        function.__module__,
    )
    function.__code__ = passing_on(code, around(was))
    return code


def put_back(function: FunctionType, code: CodeType) -> None:
    function.__code__ = code


def passing_on(code: CodeType, call: Callable[..., Any]) -> CodeType:
    """Code with the parameters, kind and place of `code`, which passes everything on to `call`."""
    varargs, varkeywords = bool(code.co_flags & inspect.CO_VARARGS), bool(code.co_flags & inspect.CO_VARKEYWORDS)
    made = compiled(
        template(code),
        code.co_posonlyargcount,
        code.co_argcount,
        code.co_kwonlyargcount,
        varargs,
        varkeywords,
        len(code.co_freevars),
    )
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + varargs + varkeywords]
    units, renamed = len(made.co_code) // 2, dict(zip(made.co_varnames, names, strict=False))
    return made.replace(
        co_consts=tuple(call if constant == CALL else named(constant, renamed) for constant in made.co_consts),
        co_varnames=names + made.co_varnames[len(names) :],
        co_freevars=code.co_freevars,
        co_flags=made.co_flags | code.co_flags & inspect.CO_ITERABLE_COROUTINE,
        co_filename=code.co_filename,
        co_name=code.co_name,
        co_qualname=code.co_qualname,
        co_firstlineno=code.co_firstlineno,
        co_linetable=b"".join(
            bytes((NO_COLUMNS | min(ENTRY_UNITS, units - first) - 1, 0)) for first in range(0, units, ENTRY_UNITS)
        ),
    )


def named(constant: Any, names: Mapping[str, str]) -> Any:
    """A constant that is the name of a keyword, or several, under the names that they have."""
    if isinstance(constant, tuple):
        return tuple(named(each, names) for each in constant)
    return names.get(constant, constant) if isinstance(constant, str) else constant


def template(code: CodeType) -> str:
    if code.co_flags & inspect.CO_ASYNC_GENERATOR:
        return ASYNC_GENERATOR
    if code.co_flags & inspect.CO_COROUTINE:
        return COROUTINE
    return GENERATOR if code.co_flags & inspect.CO_GENERATOR else PLAIN


@cache
def compiled(
    source: str, only_positional: int, positional: int, keywords: int, varargs: bool, varkeywords: bool, free: int
) -> CodeType:
    """Code with so many parameters, whose names are made up: to compile takes seven times as long as all the rest, and functions
    have few shapes. It takes as many variables from its closure, although it uses none: who looks at the locals of a frame, as
    debuggers and error reports do, expects them there, and CPython up to 3.12 crashes where they are not."""
    enclosed = ", ".join(f"_sonde_f{number}" for number in range(free))
    text = source.format(
        enclosed=enclosed,
        free=f"nonlocal {enclosed}" if enclosed else "pass",
        parameters=", ".join(parameters(only_positional, positional, keywords, varargs, varkeywords)),
        call=f"{CALL!r}({', '.join(arguments(positional, keywords, varargs, varkeywords))})",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # a text that is called
        module = compile(text, "<sonde.sdk.wrapping>", "exec", dont_inherit=True)
    return code_within(code_within(module))


def code_within(code: CodeType) -> CodeType:
    return next(constant for constant in code.co_consts if isinstance(constant, CodeType))


def parameters(only_positional: int, positional: int, keywords: int, varargs: bool, varkeywords: bool) -> Iterator[str]:
    """Without defaults, for these are the function's."""
    for number in range(positional):
        yield f"_sonde_p{number}"
        if number == only_positional - 1:
            yield "/"
    if varargs or keywords:
        yield "*_sonde_args" if varargs else "*"
    yield from (f"_sonde_k{number}" for number in range(keywords))
    if varkeywords:
        yield "**_sonde_kwargs"


def arguments(positional: int, keywords: int, varargs: bool, varkeywords: bool) -> Iterator[str]:
    yield from (f"_sonde_p{number}" for number in range(positional))
    if varargs:
        yield "*_sonde_args"
    yield from (f"_sonde_k{number}=_sonde_k{number}" for number in range(keywords))
    if varkeywords:
        yield "**_sonde_kwargs"


@cache
def why_not() -> str:
    """Why this can't be done with the Python that runs; empty where it can. It stands on how CPython lays out code."""
    kept = object()

    def tried(first: int, /, second: int = 2, *more: int, last: int = 4, **named: int) -> tuple[object, ...]:
        return first, second, more, last, named, kept

    expected = (1, 2, (), 3, {"a": 5}, kept)
    told = []

    def telling(was: FunctionType) -> Callable[..., Any]:
        def tell(*args: Any, **kwargs: Any) -> Any:
            told.append(was.__name__)
            return was(*args, **kwargs)

        return tell

    try:
        code = put_around(tried, telling)  # type: ignore[arg-type]
        before = tried(1, last=3, a=5)
        put_back(tried, code)  # type: ignore[arg-type]
        right = before == tried(1, last=3, a=5) == expected and told == ["tried"]
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "" if right else "code that was replaced does something else"
