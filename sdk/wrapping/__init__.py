"""Traces the functions of modules by pattern: every one is a span, if it takes long enough to be worth one.

    hook = install(["shop.*", "billing.tax"], min_duration_seconds=0.001, budget=0.01)

Modules are seen to when they are imported, before anyone has got them; those that were imported before at once. What can't be
traced is left as it is, and said in `notes`. Nothing of the program is replaced: its functions get other code (`swap.py`). Only
OpenTelemetry's API is used, so that spans go where the program's provider sends them.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Sequence
from types import FunctionType, ModuleType

from sonde.sdk.calls import around
from sonde.sdk.imports import Watch, is_being_imported, watch_imports, watch_no_longer, when_run
from sonde.sdk.wrapping.budget import Budget, Verdict, cost_of_a_dropped_call_ns
from sonde.sdk.wrapping.members import functions_of
from sonde.sdk.wrapping.patterns import matching
from sonde.sdk.wrapping.pending import beginning
from sonde.sdk.wrapping.script import script_names, when_defined
from sonde.sdk.wrapping.site import Site
from sonde.sdk.wrapping.swap import put_around, put_back, why_not

__all__ = ["Hook", "Verdict", "install"]

log = logging.getLogger("sonde.sdk")

SHORT_SECONDS = 0.001
"""Calls below it are paid for, where the minimum is less."""


class Hook:
    """What is traced, and what no longer is. `verdicts` are in the order in which they were given."""

    def __init__(self, patterns: Sequence[str], min_duration_seconds: float, budget: float) -> None:
        self.min_duration_ns = round(min_duration_seconds * 1e9)
        self.short_ns = max(self.min_duration_ns, round(SHORT_SECONDS * 1e9))
        self.sites: dict[FunctionType, Site] = {}
        self.modules: list[str] = []
        self.notes: list[str] = []
        self.verdicts: list[Verdict] = []
        self._budget = Budget(
            budget, lambda: list(self.sites.values()), self.let_go, lambda: cost_of_a_dropped_call_ns(trace)
        )
        self._watch = Watch(matching(patterns), self.trace_module)

    def begin(self) -> None:
        for name, module in watch_imports(self._watch):
            if name == "__main__":
                continue
            if is_being_imported(name):
                when_run(module, self.trace_module)
            else:
                self.trace_module(module)
        if any(map(self._watch.matches, script_names())):
            try:
                when_defined(self.trace_module)
            except RuntimeError as error:
                self.note("__main__", error)

    def trace_module(self, module: ModuleType) -> None:
        """All functions of a module whose code has run. What fails is noted, and does not reach who imports it."""
        try:
            functions = list(functions_of(module))
        except Exception as error:
            self.note(str(getattr(module, "__name__", module)), error)
            return
        self.modules.append(module.__name__)
        for function in functions:
            if function not in self.sites:
                self.trace_function(function)

    def trace_function(self, function: FunctionType) -> None:
        try:
            site = Site(function, self.min_duration_ns, self.short_ns, self._budget)
            trace(function, site)
            self.sites[function] = site
        except Exception as error:
            self.note(f"{function.__module__}.{function.__qualname__}", error)

    def note(self, what: str, error: Exception) -> None:
        self.notes.append(f"{what} is not traced: {type(error).__name__}: {error}")
        log.debug("%s is not traced", what, exc_info=error)

    def let_go(self, found: list[tuple[Site, Verdict]]) -> None:
        """Those functions are as they were before. Said by another thread: this one may hold locks that a log handler waits for."""
        verdicts = []
        for site, verdict in found:
            if site.is_traced:
                leave_alone(site)
                verdicts.append(verdict)
        self.verdicts += verdicts
        if verdicts:
            text = ", ".join(map(str, verdicts))
            with contextlib.suppress(RuntimeError):  # a program that ends starts no threads
                threading.Thread(target=warn, args=(text,), name="sonde-sdk-tracing", daemon=False).start()

    def report(self) -> list[str]:
        """What is traced, and what no longer is and why, as lines to read."""
        traced = sum(site.is_traced for site in self.sites.values())
        lines = [f"{traced} functions of {len(set(self.modules))} modules"]
        lines += [f"no longer: {verdict}" for verdict in self.verdicts]
        return lines + self.notes

    def remove(self) -> None:
        """Every function is as it was before, and no more are traced."""
        watch_no_longer(self._watch)
        for site in self.sites.values():
            leave_alone(site)


def warn(text: str) -> None:
    log.warning("no longer traced: %s", text)


def trace(function: FunctionType, site: Site) -> None:
    site.code = put_around(function, lambda was: around(was, beginning(site)))


def leave_alone(site: Site) -> None:
    site.is_traced = False
    if site.code is not None:
        put_back(site.function, site.code)


def install(patterns: Sequence[str], *, min_duration_seconds: float = 0.001, budget: float = 0.01) -> Hook:
    """Traces from now on. A call that takes less than `min_duration_seconds` is told only if it fails, or if something happened
    within it that is told; `budget` is the share of the process's CPU time that calls may cost which are that short."""
    hook = Hook(patterns, min_duration_seconds, budget)
    if reason := why_not():
        hook.notes.append(f"functions are not traced: not possible with this Python ({reason})")
    else:
        hook.begin()
    return hook
