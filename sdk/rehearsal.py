"""`sonde run --explain`: everything but the program."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence

from sonde.sdk import libraries
from sonde.sdk.explain import explanation
from sonde.sdk.instrumenting import notes_on, resource_of
from sonde.sdk.libraries import Library, State
from sonde.sdk.pipeline import destination
from sonde.sdk.sending import Verdict, sender
from sonde.sdk.settings import SIGNALS, Settings, read_settings
from sonde.sdk.surroundings import here

ANSWER_SECONDS = 3.0
ANSWERS = "it answers"
WHERE_TO_SEND = "`sonde serve` starts a receiver on this machine; --endpoint URL names another one"


def rehearse(environ: Mapping[str, str], command: Sequence[str]) -> str:
    """What `sonde run` would do with `command` (first its program), as text."""
    settings = read_settings(environ)
    if settings.disabled:
        return "OTEL_SDK_DISABLED is true: nothing would be done"
    found = libraries.installed(settings.disabled_instrumentations)
    for library in found:
        look_at(library)
    around = dataclasses.replace(here(), environ=environ, command=interpreted(command))
    attributes = dict(resource_of(settings, around).attributes)
    for name in ("service.instance.id", "process.pid", "process.parent_pid"):
        attributes[name] = "(of each process)"
    said = answers(settings)
    notes = notes_on(environ) + ([] if set(said.values()) <= {ANSWERS} else [WHERE_TO_SEND])
    return explanation(settings, attributes, found, notes, {}, said)


def interpreted(command: Sequence[str]) -> Sequence[str]:
    """The command line as the interpreter will get it: a script that is run by itself comes after its interpreter."""
    name = os.path.basename(command[0])
    return command if name.startswith(("python", "pypy")) else ["python", *command]


def look_at(library: Library) -> None:
    """Says of a library whether it is there and fits, without loading it."""
    if library.state is State.WAITING and libraries.tells_by_itself(library.name):
        library.state = State.BY_ITSELF
    elif (
        library.state is State.WAITING
        and libraries.check(library, quiet=True)
        and not libraries.can_be_imported(library)
    ):
        library.state = State.ABSENT


def answers(settings: Settings) -> dict[str, str]:
    """What each endpoint makes of a request that holds nothing, by URL."""
    found = {}
    for signal in SIGNALS:
        if "otlp" in settings.exporters(signal):
            to = destination(settings, signal)
            outcome = sender(to)(b"", ANSWER_SECONDS)
            found[to.url] = ANSWERS if outcome.verdict is Verdict.TAKEN else f"no answer to use ({outcome.message})"
    return found
