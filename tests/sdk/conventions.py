"""The metrics of OpenTelemetry's semantic conventions, as the installed package has them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from sonde.sdk.runtime.readings import Measure


class Recording:
    """A meter that says what it was asked to make."""

    made: tuple[str, str, str, str]

    def __getattr__(self, kind: str) -> Any:
        def make(name: str, unit: str, description: str, callbacks: Any = None) -> None:
            self.made = (kind, name, unit, description)

        return make


def assert_by_the_conventions(measures: Iterable[Measure], *modules: str) -> None:
    """Names, kinds, units and descriptions are those by which the conventions' own functions make instruments."""
    makes: dict[str, Any] = {}
    for name in modules:
        module = import_module(f"opentelemetry.semconv._incubating.metrics.{name}_metrics")
        makes |= {
            value: getattr(module, f"create_{key.lower()}") for key, value in vars(module).items() if key.isupper()
        }
    for measure in measures:
        meter, is_gauge = Recording(), measure.kind == "gauge"
        makes[measure.name](*([meter, None] if is_gauge else [meter]))
        kind = f"create_{'observable_' if is_gauge else ''}{measure.kind}"
        assert meter.made == (kind, measure.name, measure.unit, measure.description)
