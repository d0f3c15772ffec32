"""The tracer provider of sonde's SDK: OpenTelemetry's, whose spans cost less where its SDK is one that is known here."""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry import trace as trace_api
from opentelemetry.sdk import trace as sdk_trace
from opentelemetry.sdk.version import __version__

log = logging.getLogger("sonde.sdk")

try:
    from sonde.sdk import recording

    recording.check()
    KNOWN = True
except Exception as error:
    KNOWN = False
    log.warning(
        "opentelemetry-sdk %s is none that sonde has cheaper spans for (%s: %s): spans are the SDK's own",
        __version__,
        type(error).__name__,
        error,
    )


class TracerProvider(sdk_trace.TracerProvider):
    """Takes the arguments of the SDK's, and means what it means."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **(recording.furnished(len(args), kwargs) if KNOWN else kwargs))

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace_api.Tracer:
        tracer = super().get_tracer(*args, **kwargs)
        if KNOWN and type(tracer) is sdk_trace.Tracer:
            recording.adopt(tracer)
        return tracer
