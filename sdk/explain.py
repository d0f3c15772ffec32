"""What `sonde run --explain` and `Instrumented.explain()` tell: where data goes and as what, what is wrapped, what could be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sonde.sdk import libraries
from sonde.sdk.lane import Counts
from sonde.sdk.libraries import Library, State
from sonde.sdk.sending import Signal
from sonde.sdk.settings import SIGNALS, Settings
from sonde.sdk.surroundings import measures_host

WIDTH = 30


def explanation(
    settings: Settings,
    attributes: Mapping[str, Any],
    found: Sequence[Library],
    notes: Sequence[str],
    counts: Mapping[Signal, Counts],
    answers: Mapping[str, str] = {},
    functions: Sequence[str] = (),
) -> str:
    """`answers` are what the endpoints said, by URL; `functions` is what is known of those that are traced."""
    lines = [*destinations(settings, answers), *notes]
    lines += ["", "wrapped, when the program imports them:", *wrapped(found)]
    if could_be := libraries.missing():
        lines += ["", "installed, and could be wrapped:"]
        lines += [f"  {one.library:<{WIDTH}} {one.package.partition('==')[0]}" for one in could_be]
        lines += ["", "  pip install " + " ".join(f"'{one.package}'" for one in could_be)]
    if settings.trace:
        lines += ["", f"functions traced in {', '.join(settings.trace)}:", *rules(settings)]
        lines += [f"  {line}" for line in functions]
    lines += ["", f"measured: {', '.join(measured(settings, attributes)) or 'nothing but what libraries tell'}"]
    lines += [
        "",
        "all telemetry says:",
        *(f"  {name:<{WIDTH}} {shown(attributes[name])}" for name in sorted(attributes)),
    ]
    if counts:
        lines += ["", "sent so far:", *(f"  {signal.value:<{WIDTH}} {became(one)}" for signal, one in counts.items())]
    return "\n".join(lines)


def shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def destinations(settings: Settings, answers: Mapping[str, str]) -> Iterator[str]:
    for signal in SIGNALS:
        for exporter in settings.exporters(signal) or ("none",):
            if exporter != "otlp":
                yield f"{signal:<8} {'to the console' if exporter == 'console' else 'are not sent'}"
                continue
            url = settings.url(signal)
            answer = f": {answers[url]}" if url in answers else ""
            yield f"{signal:<8} to {url} ({settings.protocol(signal)}){answer}"
    if settings.exporters("logs"):
        exceptions = ", and exceptions that nobody handles" if settings.exceptions else ""
        yield f"{'':<8} from {settings.log_level} on{exceptions}"


def measured(settings: Settings, attributes: Mapping[str, Any]) -> Iterator[str]:
    if not settings.exporters("metrics"):
        return
    if settings.runtime_metrics:
        yield "the interpreter"
    if measures_host(settings.host_metrics, attributes):
        yield "the host, by one of the processes"


def wrapped(found: Sequence[Library]) -> Iterator[str]:
    shown_first = [State.WRAPPED, State.BY_ITSELF, State.WAITING, State.CONFLICT, State.FAILED, State.DISABLED]
    for library in sorted(found, key=lambda one: shown_first.index(one.state) if one.state in shown_first else 9):
        if library.state is State.ABSENT:
            continue
        why = f" ({library.reason})" if library.reason else ""
        yield f"  {library.name:<{WIDTH}} {library.state.value}{why}"


def rules(settings: Settings) -> Iterator[str]:
    yield f"  calls of {1000 * settings.trace_min_duration_seconds:g} ms and more, those that fail or have something within them"
    if settings.trace_budget < 1:
        yield f"  as long as shorter calls cost no more than {100 * settings.trace_budget:g} % of the CPU time"


def became(counts: Counts) -> str:
    parts = {"sent": counts.sent, "waiting": counts.waiting, "rejected": counts.rejected, **counts.dropped}
    return ", ".join(f"{number} {what}" for what, number in parts.items() if number) or "nothing yet"
