"""Which traces are kept, by the names that OTEL_TRACES_SAMPLER takes."""

from __future__ import annotations

from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from sonde.sdk.settings import Settings

PARENT_BASED = "parentbased_"


def sampler(settings: Settings) -> Sampler:
    name = settings.sampler.removeprefix(PARENT_BASED)
    root = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF}.get(name) or TraceIdRatioBased(settings.sampler_ratio)
    return ParentBased(root) if settings.sampler.startswith(PARENT_BASED) else root
