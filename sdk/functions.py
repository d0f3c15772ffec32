"""Which code a span tells of, by OpenTelemetry's conventions for code.
https://opentelemetry.io/docs/specs/semconv/registry/attributes/code/
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

FUNCTION_NAME, FILE_PATH, LINE_NUMBER = "code.function.name", "code.file.path", "code.line.number"


def full_name(function: Callable[..., Any]) -> str:
    """`shop.cart.Cart.total`, also of what is called without being a function."""
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{module}.{name}" if module else name


def code_attributes(function: Callable[..., Any]) -> dict[str, str | int]:
    """Where `function` is written."""
    found: dict[str, str | int] = {FUNCTION_NAME: full_name(function)}
    code = getattr(function, "__code__", None)
    if code is not None:
        found |= {FILE_PATH: code.co_filename, LINE_NUMBER: code.co_firstlineno}
    return found


def passes_on(code: CodeType) -> bool:
    """Whether this is what tracing has put in the place of a function's own code (`sonde.sdk.wrapping.swap`)."""
    called = (constant for constant in code.co_consts if type(constant) is FunctionType)
    return any(one.__globals__.get("__name__") == "sonde.sdk.calls" for one in called)
