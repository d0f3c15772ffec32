"""The meter provider of sonde's SDK: OpenTelemetry's, whose measurements cost less where its SDK is one that is known here."""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry import metrics as metrics_api
from opentelemetry.sdk import metrics as sdk_metrics
from opentelemetry.sdk.version import __version__

log = logging.getLogger("sonde.sdk")

try:
    from sonde.sdk import measuring

    measuring.check()
    KNOWN = True
except Exception as error:
    KNOWN = False
    log.warning(
        "opentelemetry-sdk %s is none that sonde has cheaper measurements for (%s: %s): they are the SDK's own",
        __version__,
        type(error).__name__,
        error,
    )


class MeterProvider(sdk_metrics.MeterProvider):
    """Takes the arguments of the SDK's, and means what it means."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held = measuring.held_for(self) if KNOWN else None

    def get_meter(self, *args: Any, **kwargs: Any) -> metrics_api.Meter:
        meter = super().get_meter(*args, **kwargs)
        if self._held is not None and type(meter) is sdk_metrics.Meter:
            measuring.adopt(meter, self._held)
        return meter

    def forget(self) -> None:
        """What a forked child is to call, whose sums begin again: those of its parent are not added to."""
        if self._held is not None:
            self._held.forget()
