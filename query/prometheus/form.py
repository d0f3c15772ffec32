"""The parameters of a request to Prometheus' API: from the query string, and from the form in the body of a POST."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from sonde.query.parameters import parts_of
from sonde.query.prometheus.api_errors import BadData, invalid
from sonde.query.promql import durations
from sonde.query.promql.check import matches_empty
from sonde.query.promql.errors import ParseError
from sonde.query.promql.parser import parse_selector
from sonde.query.promql.quoting import quote
from sonde.query.promql.syntax import Matcher

MAX_FIELDS = 1_000
FORM = "application/x-www-form-urlencoded"
MIN_TIME_MS, MAX_TIME_MS = 0, 2**63 // 1_000_000
"""Where a range is open: OTLP counts nanoseconds since 1970, in an int64."""
FURTHEST_MS = 2**53
"""No time is further from 1970: milliseconds beyond have no place in a JSON number."""
BOUNDARY_TIMES = {"-292273086-05-16T16:47:06Z": MIN_TIME_MS, "292277025-08-18T07:12:54.999999999Z": MAX_TIME_MS}
"""What Prometheus' own clients send for an open range."""
RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Form:
    """The values of each parameter; those of the body stand before those of the query string."""

    fields: Mapping[str, Sequence[str]]

    def text(self, name: str) -> str:
        """The first value, or ""."""
        return next(iter(self.fields.get(name, ())), "")

    def time_ms(self, name: str, default: int | None = None) -> int:
        """Unix seconds or RFC 3339. Without a default the parameter is needed."""
        text = self.text(name)
        if not text and default is not None:
            return default
        try:
            return parse_time(text)
        except ValueError as error:
            raise invalid(name, error if default is None else f"invalid time value for '{name}': {error}") from None

    def seconds(self, name: str) -> float:
        """Seconds or a duration."""
        try:
            return parse_seconds(self.text(name))
        except ValueError as error:
            raise invalid(name, error) from None

    def limit(self, name: str = "limit") -> int:
        """0 where there is none."""
        text = self.text(name)
        if not text:
            return 0
        if not re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
            raise invalid(name, f"strconv.Atoi: parsing {quote(text)}: invalid syntax")
        if int(text) < 0:
            raise invalid(name, "limit must be non-negative")
        return int(text)

    def matcher_sets(self) -> list[tuple[Matcher, ...]]:
        """One set for each `match[]`: a series that any of them selects is meant."""
        try:
            sets = [parse_selector(text) for text in self.fields.get("match[]", ())]
        except ParseError as error:
            raise BadData(str(error)) from None
        for matchers in sets:
            if all(matches_empty(matcher) for matcher in matchers):
                raise BadData("match[] must contain at least one non-empty matcher")
        return sets

    def range_ms(self) -> tuple[int, int]:
        """`start` and `end`, both inclusive; open where they are left out. The end may come first: Prometheus takes that, too."""
        return self.time_ms("start", MIN_TIME_MS), self.time_ms("end", MAX_TIME_MS)


async def form_of(request: Request) -> Form:
    """Reads the parameters of a GET, or of a POST with a form."""
    most = parts_of(request).config.promql_max_body
    texts = [request.scope["query_string"].decode("ascii", "surrogateescape")]
    if request.method == "POST":
        texts.insert(0, await _body(request, most))
    fields: dict[str, list[str]] = {}
    for text in texts:
        for name, value in _pairs(text):
            fields.setdefault(name, []).append(value)
    return Form(fields)


async def _body(request: Request, most: int) -> str:
    kind = request.headers.get("content-type", FORM).partition(";")[0].strip().lower()
    if kind != FORM:
        raise BadData(f"the body of a POST is a form ({FORM}), not {kind[:100]}")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise BadData(f"the form is longer than {most} bytes (promql_max_body)")
    return body.decode("utf-8", "surrogateescape")


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="surrogateescape")
    except ValueError:
        raise BadData(f"more than {MAX_FIELDS} parameters") from None


AskedForm = Annotated[Form, Depends(form_of)]


def parse_time(text: str) -> int:
    """Milliseconds of unix seconds or of RFC 3339. Raises ValueError with Prometheus' sentence."""
    if NUMBER.fullmatch(text):
        seconds = float(text)
        if math.isfinite(seconds) and abs(seconds * 1000) <= FURTHEST_MS:
            return round(seconds * 1000)
    if text in BOUNDARY_TIMES:
        return BOUNDARY_TIMES[text]
    if found := RFC3339.fullmatch(text):
        date, clock, fraction, zone = found.groups()
        try:
            second = datetime.fromisoformat(f"{date}T{clock}{'+00:00' if zone in 'Zz' else zone}")
        except ValueError:
            pass
        else:
            whole = (second - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
            return int(whole) * 1000 + int(float(fraction or 0) * 1000)
    raise ValueError(f"cannot parse {quote(text)} to a valid timestamp")


def parse_seconds(text: str) -> float:
    """Seconds of a number or a duration. Raises ValueError with Prometheus' sentence."""
    if NUMBER.fullmatch(text):
        seconds = float(text)
        if abs(seconds) > durations.MAX_SECONDS:
            raise ValueError(f"cannot parse {quote(text)} to a valid duration. It overflows int64")
        return seconds
    try:
        return 0.0 if text == "0" else durations.parse_duration(text)
    except ValueError:
        raise ValueError(f"cannot parse {quote(text)} to a valid duration") from None
