"""What the parameters of several paths have in common: how they are declared, documented and read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from pydantic import BaseModel, ConfigDict, Field
from sonde.query import predicates
from sonde.query.config import QueryConfig
from sonde.query.cursor import Cursor, decode, digest
from sonde.query.errors import InvalidParameter
from sonde.query.filters import Filter
from sonde.query.parts import PartsNow
from sonde.query.prometheus.held import HeldSeries
from sonde.query.prometheus.held_points import HeldPoints
from sonde.query.prometheus.running import Evaluations
from sonde.query.reader import Gate, Reader
from sonde.query.times import TIME_HINT, TimeRange, time_range
from sonde.storage.store import Store

TENANT_HEADER = "X-Sonde-Tenant"
TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)

Start = Annotated[
    str | None,
    Field(description=f"first instant, inclusive; an hour before `end` if left out. {TIME_HINT}", examples=["-15m"]),
]
End = Annotated[
    str | None, Field(description="last instant, exclusive; now if left out", examples=["now", "2026-01-31T10:00:00Z"])
]
Service = Annotated[str | None, Field(description="exact service.name", examples=["cart"])]
Predicates = Annotated[
    list[str],
    Field(
        description="attribute predicate, repeatable; all must hold. `key` (is there), `!key` (is not), or `key OP value` with OP "
        "one of `= != < <= > >= ~ !~`. Prefix the key with `resource.`, `scope.` or, of spans, `event.`. A number "
        'matches int and double, `true`/`false` bool, anything else string; quote to force a string: `"500"`.',
        examples=[["http.response.status_code>=500", "resource.k8s.pod.name~^cart-"]],
    ),
]
Limit = Annotated[int, Field(ge=1, description="rows in one answer", examples=[100])]
CursorText = Annotated[str | None, Field(description="`next_cursor` of the page before, under the same filters")]


class Parameters(BaseModel):
    """Base of the parameters of a path: a name that is not declared is an error, not a silence."""

    model_config = ConfigDict(extra="forbid")


class RangeParameters(Parameters):
    start: Start = None
    end: End = None

    def range(self) -> TimeRange:
        return time_range(self.start, self.end)


class PageParameters(RangeParameters):
    """A range, read page by page."""

    limit: Limit = 100
    cursor: CursorText = None

    def question(self) -> str:
        """What a cursor is bound to: every parameter but those that may change from page to page."""
        return digest(type(self).__name__, self.model_dump(exclude={"start", "end", "limit", "cursor"}))

    def page(self, key: Sequence[type]) -> tuple[TimeRange, Cursor | None]:
        """The range of the question, and where to go on from. A cursor brings its range: `-15m` has moved on since."""
        if self.cursor is None:
            return self.range(), None
        found = decode(self.cursor, self.question(), key)
        return found.range, found


def checked_limit(limit: int, reader: Reader) -> int:
    most = reader.config.query_max_limit
    if limit > most:
        raise InvalidParameter(
            "limit", f"limit is at most {most} (query_max_limit)", hint="Use next_cursor to read on."
        )
    return limit


def checked_text(parameter: str, text: str | None, reader: Reader) -> str | None:
    most = reader.config.query_max_text
    if text is not None and len(text) > most:
        raise InvalidParameter(parameter, f"{parameter} is longer than {most} characters (query_max_text)")
    return text


def checked_count(parameter: str, texts: Sequence[str], reader: Reader) -> None:
    most = reader.config.query_max_predicates
    if len(texts) > most:
        raise InvalidParameter(parameter, f"{parameter} is given more than {most} times (query_max_predicates)")


def attribute_filters(texts: Sequence[str], reader: Reader, *, events: bool = False) -> list[Filter]:
    """The conditions of `attr=` parameters; `events` where the rows have events, as spans do."""
    checked_count("attr", texts, reader)
    parsed = [predicates.parse(text, max_text=reader.config.query_max_text) for text in texts]
    if not events and any(predicate.place == "event" for predicate in parsed):
        raise InvalidParameter(
            "attr",
            "attr asks for events, which only spans have.",
            hint='Ask /api/spans, or quote a key that begins with event.: "event.name"=x.',
        )
    return [predicates.condition(predicate, number) for number, predicate in enumerate(parsed)]


@dataclass(frozen=True, slots=True)
class ServiceParts:
    """What `create_app` gives every request, as `app.state.service`."""

    store: Store
    config: QueryConfig
    ledger: Callable[[], Mapping[str, Any]] | None
    cluster: str | None
    questions: Gate
    exports: Gate
    evaluations: Evaluations
    held: HeldSeries
    held_points: HeldPoints
    parts_now: PartsNow
    lookups: Evaluations
    """What asks the store alone: it does not wait behind evaluations, which take longer."""


def parts_of(request: Request) -> ServiceParts:
    parts: ServiceParts = request.app.state.service
    return parts


async def reader_of(
    request: Request,
    tenant: Annotated[
        str | None, Header(alias=TENANT_HEADER, description="whose data is read; the setting query_tenant if left out")
    ] = None,
) -> Reader:
    """The reader of this request, for the tenant its header names. Async though nothing waits: it would be given a thread."""
    parts = parts_of(request)
    tenant = tenant or parts.config.query_tenant
    if not TENANT.fullmatch(tenant):
        raise InvalidParameter(
            TENANT_HEADER, "A tenant is letters, digits, dots, dashes and underscores, up to 128 of them."
        )
    return Reader(
        parts.store,
        tenant,
        parts.config,
        parts.questions,
        parts.exports,
        parts.held,
        parts.held_points,
        parts.parts_now,
    )


AskedReader = Annotated[Reader, Depends(reader_of)]
