"""Functions in spans, of each kind there is: plain ones, coroutines, generators and asynchronous generators.

What a span of a call is, and whether one is kept, is said by who asks (`Begin`); here is when it begins, when it is the current
one, what is an error, and when it is over. A generator's span is current while the generator runs, and not while its consumer
does. As in OpenTelemetry's API, what is no Exception (GeneratorExit, CancelledError, KeyboardInterrupt) is no error.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, Protocol

from opentelemetry.context import Context
from sonde.sdk.contexts import attach, detach, leave


class Running(Protocol):
    """A call that was begun."""

    def resumed(self) -> bool:
        """Whether a generator that goes on now does so within the span."""

    def failed(self, error: BaseException) -> None:
        """Told before `over` what the call raises."""

    def over(self) -> None:
        """Told once, at the end."""


Begin = Callable[[], tuple[Running, Context]]
"""Begins a call: gives it, and the context it runs in."""


def around(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    """`function`, each of its calls told to what `begin` gives; looks like `function`, and is of the same kind."""
    if inspect.isasyncgenfunction(function):
        wrapped = around_async_generator(function, begin)
    elif inspect.iscoroutinefunction(function):
        wrapped = around_coroutine(function, begin)
    elif inspect.isgeneratorfunction(function):
        wrapped = around_generator(function, begin)
    else:
        wrapped = around_plain(function, begin)
    if getattr(getattr(function, "__code__", None), "co_flags", 0) & inspect.CO_ITERABLE_COROUTINE:
        wrapped = types.coroutine(wrapped)
    return functools.wraps(function)(wrapped)


def around_plain(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def traced(*args: Any, **kwargs: Any) -> Any:
        running, context = begin()
        token = attach(context)
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            running.failed(error)
            raise
        finally:
            detach(token)
            running.over()

    return traced


def around_coroutine(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def traced(*args: Any, **kwargs: Any) -> Any:
        running, context = begin()
        token = attach(context)
        try:
            return await function(*args, **kwargs)
        except BaseException as error:
            running.failed(error)
            raise
        finally:
            leave(token)
            running.over()

    return traced


def around_generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def traced(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        resume, given = generator.send, None
        running, context = begin()
        try:
            while True:
                token = attach(context) if running.resumed() else None
                try:
                    value = resume(given)
                except StopIteration as end:
                    return end.value
                finally:
                    if token is not None:
                        detach(token)
                try:
                    resume, given = generator.send, (yield value)
                except BaseException as thrown:
                    resume, given = generator.throw, thrown
        except BaseException as error:
            running.failed(error)
            raise
        finally:
            given = None  # what was thrown in refers to this frame
            running.over()

    return traced


def around_async_generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def traced(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        resume, given = generator.asend, None
        running, context = begin()
        try:
            while True:
                token = attach(context) if running.resumed() else None
                try:
                    value = await resume(given)
                except StopAsyncIteration:
                    return
                finally:
                    if token is not None:
                        leave(token)
                try:
                    resume, given = generator.asend, (yield value)
                except BaseException as thrown:
                    resume, given = generator.athrow, thrown
        except BaseException as error:
            running.failed(error)
            raise
        finally:
            given = None
            running.over()

    return traced
