"""What an exception says of itself, by the semantic conventions: `exception.type`, `exception.message`, `exception.stacktrace`.
https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-logs/
"""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Any

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
