"""Puts something around a function, in place: the function stays the object it is, with its signature, and gets other code.

Whoever holds the function already, a router, a registry, another module, calls the new code as well, and `put_back` leaves nothing
behind. The new code is of the function's own kind and takes its parameters one by one, so that wrong arguments raise what they
always raised, and passes them on to a constant of the code: nothing of it has to be found in the function's globals or closure.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import cache
from types import CodeType, FunctionType
from typing import Any

CALL = "\0call"
"""Stands in the source for what is called, and is replaced among the constants."""
ENTRY_UNITS, NO_COLUMNS = 8, 0x80 | 13 << 3
"""Of the table of lines: how many units of code an entry can cover, and the kind that says a line without columns.
https://github.com/python/cpython/blob/3.11/Objects/locations.md"""

PLAIN = "def f({parameters}): return {call}"
COROUTINE = "async def f({parameters}): return await {call}"
GENERATOR = "def f({parameters}): return (yield from {call})"
ASYNC_GENERATOR = """
async def f({parameters}):
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
    made = compiled(template(code), *signature(code))
    units = len(made.co_code) // 2
    return made.replace(
        co_consts=tuple(call if constant == CALL else constant for constant in made.co_consts),
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


def template(code: CodeType) -> str:
    if code.co_flags & inspect.CO_ASYNC_GENERATOR:
        return ASYNC_GENERATOR
    if code.co_flags & inspect.CO_COROUTINE:
        return COROUTINE
    return GENERATOR if code.co_flags & inspect.CO_GENERATOR else PLAIN


def signature(code: CodeType) -> tuple[str, str]:
    """The parameters of `code` without their defaults, which are the function's, and the arguments that pass them on."""
    names, rest = list(code.co_varnames), code.co_argcount + code.co_kwonlyargcount
    positional, keywords = names[: code.co_argcount], names[code.co_argcount : rest]
    parameters = [*positional[: code.co_posonlyargcount], *(["/"] if code.co_posonlyargcount else [])]
    parameters += positional[code.co_posonlyargcount :]
    arguments = [*positional]
    if code.co_flags & inspect.CO_VARARGS:
        parameters.append(f"*{names[rest]}")
        arguments.append(f"*{names[rest]}")
        rest += 1
    elif keywords:
        parameters.append("*")
    parameters += keywords
    arguments += [f"{name}={name}" for name in keywords]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        parameters.append(f"**{names[rest]}")
        arguments.append(f"**{names[rest]}")
    return ", ".join(parameters), ", ".join(arguments)


@cache
def compiled(source: str, parameters: str, arguments: str) -> CodeType:
    text = source.format(parameters=parameters, call=f"{CALL!r}({arguments})")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # a text that is called
        module = compile(text, "<sonde.sdk.wrapping>", "exec", dont_inherit=True)
    return next(constant for constant in module.co_consts if isinstance(constant, CodeType))


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
