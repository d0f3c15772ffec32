"""What an exception says of itself, by the semantic conventions: `exception.type`, `exception.message`, `exception.stacktrace`.
https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-logs/
"""

from __future__ import annotations

import contextlib
import traceback
from types import CodeType, TracebackType
from typing import Any, NamedTuple

from opentelemetry.trace import SpanContext
from sonde.sdk.plain import cut, cut_middle, shown

TYPE, MESSAGE, STACKTRACE = "exception.type", "exception.message", "exception.stacktrace"
LONGEST_MESSAGE = 16 * 1024
LONGEST_STACKTRACE = 64 * 1024
"""Characters; of a longer one beginning and end are kept."""


def described(error: BaseException, trace: TracebackType | None) -> dict[str, Any]:
    """The attributes of an exception that was caught with this traceback. Never raises."""
    return {TYPE: type_name(type(error)), MESSAGE: message_of(error), STACKTRACE: stacktrace(error, trace)}


def type_name(kind: type) -> str:
    module = getattr(kind, "__module__", None)
    return kind.__qualname__ if module in (None, "builtins", "__main__") else f"{module}.{kind.__qualname__}"


def message_of(error: BaseException) -> str:
    try:
        return cut(str(error), LONGEST_MESSAGE)
    except Exception:
        return shown(error)


def stacktrace(error: BaseException, trace: TracebackType | None) -> str:
    """As Python prints it, those of its causes first."""
    try:
        text = "".join(traceback.format_exception(type(error), error, trace))
    except Exception as failure:
        return f"{type_name(type(error))}: its stack trace can't be shown: {type(failure).__name__}"
    return cut_middle(text, LONGEST_STACKTRACE)


# Spans are left before anybody notices that an exception is not handled.


class Left(NamedTuple):
    span: SpanContext
    kind: type
    raised_at: tuple[CodeType, int] | None


MOST_LEFT = 64
_left: dict[int, Left] = {}
"""By the id of the exception, which is kept no longer for it; a later one with the same id comes from another place."""


def left_span(error: BaseException, span: SpanContext) -> None:
    """Notes that `error` has left a span; the first is the innermost."""
    found, place = _left.get(id(error)), raised_at(error)
    if found is not None and (found.kind, found.raised_at) == (type(error), place) and found.span[0] == span[0]:
        return
    if len(_left) >= MOST_LEFT:
        with contextlib.suppress(KeyError, RuntimeError, StopIteration):
            del _left[next(iter(_left))]
    _left.pop(id(error), None)
    _left[id(error)] = Left(span, type(error), place)


def span_left_by(error: BaseException) -> SpanContext | None:
    """The innermost span that `error` has left, as far as that is known."""
    found = _left.get(id(error))
    if found is None or (found.kind, found.raised_at) != (type(error), raised_at(error)):
        return None
    return found.span


def raised_at(error: BaseException) -> tuple[CodeType, int] | None:
    trace, place = error.__traceback__, None
    while trace is not None:
        place, trace = (trace.tb_frame.f_code, trace.tb_lineno), trace.tb_next
    return place
