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
    from sonde.sdk.instrumenting import Instrumented, instrument
    from sonde.sdk.instruments import counter, gauge, histogram
    from sonde.sdk.spans import event, span, traced

__all__ = ["Instrumented", "SdkError", "counter", "event", "gauge", "histogram", "instrument", "span", "traced"]

_WHERE = {
    "Instrumented": "sonde.sdk.instrumenting",
    "SdkError": "sonde.sdk.errors",
    "counter": "sonde.sdk.instruments",
    "event": "sonde.sdk.spans",
    "gauge": "sonde.sdk.instruments",
    "histogram": "sonde.sdk.instruments",
    "instrument": "sonde.sdk.instrumenting",
    "span": "sonde.sdk.spans",
    "traced": "sonde.sdk.spans",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_WHERE[name]), name)
    globals()[name] = found
    return found
