"""The current context, as OpenTelemetry's API keeps it, by the shortest way there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from opentelemetry.context import _RUNTIME_CONTEXT, _SUPPRESS_INSTRUMENTATION_KEY, Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.trace.propagation import _SPAN_KEY

SPAN: Final[str] = _SPAN_KEY
"""Where a context holds its span."""

SUPPRESSED: Final[str] = _SUPPRESS_INSTRUMENTATION_KEY
"""Where a context says that what happens within it is not to be told: it is telemetry itself."""

_runtime: Any = _RUNTIME_CONTEXT
current: Callable[[], Context] = _runtime.get_current
attach: Callable[[Context], Any] = _runtime.attach
detach: Callable[[Any], None] = _runtime.detach
if type(_runtime) is ContextVarsRuntimeContext:
    # The context variable itself: three calls less for each span.
    current, attach, detach = (getattr(_runtime._current_context, name) for name in ("get", "set", "reset"))

_set_item = dict.__setitem__


def with_span(before: Context, span: object) -> Context:
    """`before`, with another span in it."""
    if not before or (len(before) == 1 and SPAN in before):
        return Context({SPAN: span})
    found = Context(before)
    _set_item(found, SPAN, span)
    return found


def suppressed(before: Context) -> Context:
    """`before`, in which nothing is to be told."""
    found = Context(before)
    _set_item(found, SUPPRESSED, True)
    return found


def leave(token: Any) -> None:
    """Detaches, where that can be: a generator may be closed in another context than it was resumed in."""
    try:  # noqa: SIM105 - contextlib.suppress takes five times as long
        detach(token)
    except ValueError:
        pass
