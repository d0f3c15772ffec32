"""The span of a call that may turn out not to be worth one.

It is the current span while the call runs, and costs little: a clock, a context. It becomes a span of OpenTelemetry's, one that
began when the call did, as soon as anybody asks who it is (a child that is started under it, a log record, an attribute that is
set), or else at the end of a call that took long enough or failed. So a call that is told is told with all that belongs to it, and
nothing that is told refers to a call that is not. This is so with every provider, for only the API is used.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import time_ns
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, Status, StatusCode
from opentelemetry.util.types import AttributeValue
from sonde.sdk.calls import Begin
from sonde.sdk.contexts import SPAN, SUPPRESSED, attach, current, detach, suppressed, with_span
from sonde.sdk.raised import left_span
from sonde.sdk.spans import status_of, tracer
from sonde.sdk.wrapping.site import TOLD_EVERY, Site

log = logging.getLogger("sonde.sdk")


class Pending(trace.Span):
    """Made by `begin` alone; not by its constructor, for the time that takes."""

    __slots__ = ("_before", "_depth", "_end", "_in_another", "_site", "_span", "_start", "_took")
    _before: Context
    """The context that the call was made in."""
    _depth: int
    """How many calls that are traced this one is within, as far as no other span comes between."""
    _site: Site
    _span: trace.Span | None
    _start: int
    _end: int
    """Nanoseconds since 1970; 0 while the call runs."""
    _took: int
    """Nanoseconds to make the span."""
    _in_another: BaseException | None
    """An exception that was recorded in the span of a call made by this one."""

    def resumed(self) -> bool:
        site = self._site
        site.resumed = resumed = site.resumed + 1
        if not resumed % TOLD_EVERY:
            site.purse.pay_for_dropped(site)
        return site.is_traced

    def failed(self, error: BaseException) -> None:
        """What goes through several traced calls is recorded where it was raised; it makes all of them errors."""
        if not isinstance(error, Exception):
            return
        caller = self._before.get(SPAN)
        if type(caller) is Pending:
            caller._in_another = error
        try:
            span = self.real()
            left_span(error, span.get_span_context())
            if self._in_another is not error:
                span.record_exception(error)
            span.set_status(status_of(error))
        except Exception as own:
            say(self._site, own)

    def over(self) -> None:
        self._end = end = time_ns()
        self._in_another = None
        site, lasted = self._site, end - self._start
        if self._span is None and lasted < site.min_duration_ns:
            # Here and not in a method of Site's: most calls end in these lines.
            site.dropped = dropped = site.dropped + 1
            if not dropped % TOLD_EVERY:
                site.purse.pay_for_dropped(site)
            return
        try:
            span = self.real()
            ready = time_ns()
            self._finish(span)
            site.count_kept(lasted, self._took + time_ns() - ready)
        except Exception as own:
            say(site, own)

    def real(self) -> trace.Span:
        """The span that this one is. It is made now, where nobody asked before; by two threads at once, of whose spans one counts.
        Asked after the end, as by a thread that the call has started, it is ended as well."""
        span = self._span
        if span is None:
            site, began = self._site, time_ns()
            token = attach(suppressed(current()))  # a processor of the app's own may be traced itself
            try:
                made = tracer().start_span(site.name, self._before, attributes=site.attributes, start_time=self._start)
            finally:
                detach(token)
            self._took = time_ns() - began
            self._span = span = self.__dict__.setdefault("made", made)
            if self._end:
                self._finish(span)
        return span

    def still_there(self) -> object:
        """Of a call that is over the span that it was, or the nearest around it that is there: a task that starts the next one, and
        that the next, would keep all that were before in memory."""
        above: object = self
        while type(above) is Pending and above._end:
            above = above._span if above._span is not None else above._before.get(SPAN)
        return trace.INVALID_SPAN if above is None else above

    def _finish(self, span: trace.Span) -> None:
        """Once, whoever comes first."""
        ours = object()
        if self.__dict__.setdefault("finished", ours) is ours:
            token = attach(suppressed(current()))
            try:
                span.end(self._end)
            finally:
                detach(token)

    # OpenTelemetry's Span, and what SDKs add to it.

    def get_span_context(self) -> SpanContext:
        return self.real().get_span_context()

    def is_recording(self) -> bool:
        return self.real().is_recording()

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        self.real().set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        self.real().set_attributes(attributes)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self.real().add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        self.real().add_link(context, attributes)

    def update_name(self, name: str) -> None:
        self.real().update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self.real().set_status(status, description)

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        self.real().record_exception(exception, attributes, timestamp, escaped)

    def end(self, end_time: int | None = None) -> None:
        """As an app may that ends whatever is current; the end of the call is later, and changes nothing then."""
        self.__dict__.setdefault("finished", None)
        self.real().end(end_time)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.real(), name)


def say(site: Site, error: Exception) -> None:
    """What goes wrong with telemetry, in a sampler or a processor or an exception's own text, does not reach the program."""
    log.debug("a call of %s is not told", site.name, exc_info=error)


class Ignored:
    """A call that is not to be told."""

    def resumed(self) -> bool:
        return False

    def failed(self, error: BaseException) -> None: ...

    def over(self) -> None: ...


IGNORED = Ignored()
DEEP = 50
"""Calls within calls that make it worth a look whether a function calls itself."""
_new = object.__new__


def beginning(site: Site) -> Begin:
    """Begins calls of the function at `site`."""

    def begin() -> tuple[Pending | Ignored, Context]:
        before = current()
        if SUPPRESSED in before:
            return IGNORED, before
        caller = before.get(SPAN)
        if type(caller) is Pending and caller._end:
            caller = caller.still_there()
            before = with_span(before, caller)
        pending = _new(Pending)
        pending._site, pending._before, pending._span = site, before, None
        pending._in_another, pending._end, pending._took = None, 0, 0
        if type(caller) is Pending:
            pending._depth = depth = caller._depth + 1
            if not depth % DEEP:
                site.purse.look_at_depth(sites_above(pending))
        else:
            pending._depth = 0
        pending._start = time_ns()
        return pending, with_span(before, pending)

    return begin


def sites_above(pending: Pending) -> list[Site]:
    """Of the last calls, this one first."""
    found: list[Site] = []
    above: object = pending
    while type(above) is Pending and len(found) < DEEP:
        found.append(above._site)
        above = above._before.get(SPAN)
    return found
