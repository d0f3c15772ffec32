"""The instrumentation SDK: wraps a program's libraries, and sends what they tell as OTLP. Imports nothing of the server.

    from sonde.sdk import instrument
    instrument(service="shop")

What is asked of it is loaded when it is asked for: `import sonde.sdk` alone loads next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sonde.sdk.errors import SdkError
    from sonde.sdk.instrument import Instrumented, instrument

__all__ = ["Instrumented", "SdkError", "instrument"]

_WHERE = {
    "Instrumented": "sonde.sdk.instrument",
    "SdkError": "sonde.sdk.errors",
    "instrument": "sonde.sdk.instrument",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_WHERE[name]), name)
    globals()[name] = found
    return found
