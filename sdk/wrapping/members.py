"""Which functions of a module are traced: those that are written in it, and their classes' methods.

Not: what is imported from elsewhere, properties, lambdas, methods with names like `__init__` (but `__call__` is), code that was
generated, and what is traced already. Of a function that is decorated it is the function itself, where the decorator says what it
decorates (`__wrapped__`, as functools.wraps does), and not what is around it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

LRU_CACHE = type(functools.lru_cache(lambda: None))
TRACERS = ("sonde.sdk.", "opentelemetry.")
MOST_DECORATORS = 50


def functions_of(module: ModuleType) -> Iterator[FunctionType]:
    """Each once, in the order they are written in."""
    seen: set[int] = set()
    for member in list(vars(module).values()):
        yield from functions_in(member, module, seen)


def functions_in(member: Any, module: ModuleType, seen: set[int]) -> Iterator[FunctionType]:
    if id(member) in seen:
        return
    seen.add(id(member))
    if issubclass(type(member), type):  # isinstance would wake objects that are made when they are looked at
        if member.__module__ == module.__name__:
            for name, attribute in list(vars(member).items()):
                if is_told_of(name):
                    yield from functions_in(attribute, module, seen)
        return
    found = innermost(member, module)
    if found is not None and (found is member or id(found) not in seen):
        seen.add(id(found))
        yield found


def is_told_of(name: str) -> bool:
    return name == "__call__" or not (name.startswith("__") and name.endswith("__"))


def innermost(member: Any, module: ModuleType) -> FunctionType | None:
    """The function that is written in `module`, under whatever decorators; None where there is none, or it is traced already."""
    found = None
    for _ in range(MOST_DECORATORS):
        if type(member) in (classmethod, staticmethod):
            member = member.__func__
        if type(member) is FunctionType:
            if traces(member):
                return None
            if is_written_in(module, member):
                found = member
        elif type(member) is not LRU_CACHE:
            break
        if "__wrapped__" not in vars(member):
            break
        member = member.__wrapped__
    return found


def is_written_in(module: ModuleType, function: FunctionType) -> bool:
    return (
        function.__globals__ is vars(module)
        and function.__name__ != "<lambda>"
        and not function.__code__.co_filename.startswith("<")
    )


def traces(function: FunctionType) -> bool:
    """Whether `function` was made by a decorator that makes spans: @traced, or a tracer's `start_as_current_span`."""
    if str(function.__globals__.get("__name__")).startswith(TRACERS):
        return True
    cells = function.__closure__ or ()
    return any(type(content).__module__.startswith(TRACERS) for content in map(contents, cells))


def contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not set yet
        return None
