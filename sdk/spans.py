"""Spans and events of your own: `@traced`, `with span(...)` and `event(...)`, over OpenTelemetry's API alone.

    from sonde.sdk import event, span, traced

    @traced
    def checkout(cart):
        with span("reserve", items=len(cart)):
            ...
        event("reserved", {"warehouse": "north"})

What they make goes where OpenTelemetry's providers send it, sonde's or others; nowhere where there are none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar, overload

from opentelemetry import _logs, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue
from sonde.sdk.calls import around
from sonde.sdk.contexts import attach, current, leave, with_span
from sonde.sdk.functions import code_attributes, full_name
from sonde.sdk.raised import left_span

SCOPE = "sonde.sdk"

Traced = TypeVar("Traced", bound="Callable[..., Any] | classmethod[Any, Any, Any] | staticmethod[Any, Any]")

_tracer: tuple[object, trace.Tracer] = (None, trace.NoOpTracer())


def tracer() -> trace.Tracer:
    """That of the global provider, which a program may set after its functions were decorated."""
    global _tracer
    provider = trace.get_tracer_provider()
    if _tracer[0] is not provider:
        _tracer = provider, provider.get_tracer(SCOPE)
    return _tracer[1]


class Recorded:
    """A call, or a block, whose span is there from its beginning."""

    __slots__ = ("span",)

    def __init__(self, span: trace.Span) -> None:
        self.span = span

    def resumed(self) -> bool:
        return True

    def failed(self, error: BaseException) -> None:
        if isinstance(error, Exception) and self.span.is_recording():
            left_span(error, self.span.get_span_context())
            self.span.record_exception(error)
            self.span.set_status(status_of(error))

    def over(self) -> None:
        self.span.end()


def status_of(error: Exception) -> Status:
    """As OpenTelemetry's API has it."""
    return Status(StatusCode.ERROR, f"{type(error).__name__}: {error}")


@overload
def traced(function: Traced, /) -> Traced: ...
@overload
def traced(
    *, name: str | None = None, attributes: Mapping[str, AttributeValue] | None = None, kind: SpanKind = ...
) -> Callable[[Traced], Traced]: ...
def traced(
    function: Traced | None = None,
    /,
    *,
    name: str | None = None,
    attributes: Mapping[str, AttributeValue] | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
) -> Traced | Callable[[Traced], Traced]:
    """Makes each call of a function a span: of a method, coroutine or (asynchronous) generator too, over or under `@classmethod`
    and `@staticmethod`.

    The span is called `name`, or like the function (`shop.cart.Cart.total`), and says where that is written. An exception that
    leaves the function is recorded, and makes the span an error. A generator's span lasts from its first item to its end; what
    its consumer does between two items is not within it.
    """

    def decorate(function: Any) -> Any:
        if isinstance(function, classmethod | staticmethod):
            return type(function)(decorate(function.__func__))
        called, said = name or full_name(function), {**code_attributes(function), **(attributes or {})}

        def begin() -> tuple[Recorded, Context]:
            span = tracer().start_span(called, kind=kind, attributes=said)
            return Recorded(span), with_span(current(), span)

        return around(function, begin)

    decorated: Traced | Callable[[Traced], Traced] = decorate if function is None else decorate(function)
    return decorated


class span:
    """A block as a span: `with span("reserve", {"item.count": 3}) as reserve:`, or `async with`.

    Attributes are given as a mapping, as keywords, or both. What the block gets is OpenTelemetry's span. An exception that
    leaves the block is recorded, and makes the span an error.
    """

    __slots__ = ("_attributes", "_kind", "_name", "_recorded", "_token")

    def __init__(
        self,
        name: str,
        attributes: Mapping[str, AttributeValue] | None = None,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        **more: AttributeValue,
    ) -> None:
        self._name, self._kind = name, kind
        self._attributes = {**(attributes or {}), **more} if more else attributes

    def __enter__(self) -> trace.Span:
        started = tracer().start_span(self._name, kind=self._kind, attributes=self._attributes)
        self._recorded = Recorded(started)
        self._token = attach(with_span(current(), started))
        return started

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        leave(self._token)
        if error is not None:
            self._recorded.failed(error)
        self._recorded.over()

    async def __aenter__(self) -> trace.Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, where)


def event(name: str, attributes: Mapping[str, AttributeValue] | None = None, **more: AttributeValue) -> None:
    """Something that happened at this moment: an event of the current span, or where none is recorded a log record with this
    event name, by OpenTelemetry's log API."""
    said = {**(attributes or {}), **more}
    here = trace.get_current_span()
    if here.is_recording():
        here.add_event(name, said)
    else:
        _logs.get_logger(SCOPE).emit(event_name=name, attributes=said)
