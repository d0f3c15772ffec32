"""Which traces are kept, and which measurements become exemplars, by the names that OTEL_TRACES_SAMPLER and
OTEL_METRICS_EXEMPLAR_FILTER take."""

from __future__ import annotations

from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    ExemplarFilter,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from sonde.sdk.settings import Settings

PARENT_BASED = "parentbased_"


def sampler(settings: Settings) -> Sampler:
    name = settings.sampler.removeprefix(PARENT_BASED)
    root = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF}.get(name) or TraceIdRatioBased(settings.sampler_ratio)
    return ParentBased(root) if settings.sampler.startswith(PARENT_BASED) else root


def exemplar_filter(settings: Settings) -> ExemplarFilter:
    known = {"always_on": AlwaysOnExemplarFilter(), "always_off": AlwaysOffExemplarFilter()}
    return known.get(settings.exemplars) or TraceBasedExemplarFilter()
