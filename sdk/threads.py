"""The context of a thread is that of the code that started it: spans made in threads and pools belong to the caller's trace.

By itself, and not by opentelemetry-instrumentation-threading: what that one wraps with costs every program 50 ms at its start, and
it leaves out threads whose class has a `run` of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from opentelemetry import context
from opentelemetry.context import Context
from sonde.sdk.imports import when_imported

CARRIED_AS = "_sonde_context"


def carry_context() -> None:
    """From now on, in this process and in those it forks. Once."""
    if hasattr(threading.Thread, CARRIED_AS):
        return
    setattr(threading.Thread, CARRIED_AS, None)
    carry_into_threads(threading.Thread)
    when_imported("concurrent.futures.thread", carry_into_pools)


def carry_into_threads(kind: Any) -> None:
    start, bootstrap = kind.start, kind._bootstrap_inner

    def start_with_context(self: Any) -> None:
        setattr(self, CARRIED_AS, context.get_current())
        start(self)

    def bootstrap_in_context(self: Any) -> None:
        carried, self.__dict__[CARRIED_AS] = getattr(self, CARRIED_AS), None
        # A thread begins with a context of its own, and takes it along when it ends: there is nothing to detach.
        if carried:
            context.attach(carried)
        bootstrap(self)

    kind.start, kind._bootstrap_inner = start_with_context, bootstrap_in_context


def carry_into_pools(module: ModuleType) -> None:
    pool: Any = module.ThreadPoolExecutor
    submit = pool.submit

    def submit_with_context(self: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        carried = context.get_current()
        if not carried:
            return submit(self, function, *args, **kwargs)
        return submit(self, within, carried, function, *args, **kwargs)

    pool.submit = submit_with_context


def within(carried: Context, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    token = context.attach(carried)
    try:
        return function(*args, **kwargs)
    finally:
        context.detach(token)
