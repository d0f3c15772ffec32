"""What there is to ask for: /series, /labels, /label/NAME/values, /metadata."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from sonde.query.parameters import AskedReader, parts_of
from sonde.query.prometheus import catalogue
from sonde.query.prometheus.answers import TRUNCATED
from sonde.query.prometheus.api_errors import BadData, PrometheusRoute, invalid
from sonde.query.prometheus.envelope import success
from sonde.query.prometheus.form import AskedForm
from sonde.query.prometheus.running import Stop
from sonde.query.promql.quoting import quote
from sonde.query.promql.selector_parser import is_label_name
from sonde.query.reader import Reader

router = APIRouter(route_class=PrometheusRoute, include_in_schema=False)
READ = ["GET", "POST"]
ESCAPED = "U__"
ESCAPE = re.compile(r"_(_|([0-9a-fA-F]{1,6})_)")
T = TypeVar("T")


@router.api_route("/series", methods=READ)
async def series(request: Request, form: AskedForm, reader: AskedReader) -> Response:
    """The labels of every series that a `match[]` selects."""
    if not form.fields.get("match[]"):
        raise BadData("no match[] parameter provided")
    limit, (start_ms, end_ms) = form.limit(), form.range_ms()
    try:
        sets = form.matcher_sets()
    except BadData as error:
        raise invalid("match[]", error) from None
    most = beyond(limit)
    found = await read(request, reader, lambda: catalogue.series(reader, sets, start_ms, end_ms, most))
    return listed(found, limit)


@router.api_route("/labels", methods=READ)
async def labels(request: Request, form: AskedForm, reader: AskedReader) -> Response:
    """The names of labels."""
    limit, (start_ms, end_ms), sets = form.limit(), form.range_ms(), form.matcher_sets()
    most = beyond(limit)
    found = await read(request, reader, lambda: catalogue.label_names(reader, sets, start_ms, end_ms, most))
    return listed(found, limit)


@router.get("/label/{name:path}/values")
async def label_values(request: Request, name: str, form: AskedForm, reader: AskedReader) -> Response:
    """The values of one label. A name that is not letters, digits and underscores may be escaped: `U__http_2e_status`."""
    name = unescaped(name)
    if not is_label_name(name):
        raise BadData(f"invalid label name: {quote(name)}")
    limit, (start_ms, end_ms), sets = form.limit(), form.range_ms(), form.matcher_sets()
    most = beyond(limit)
    found = await read(request, reader, lambda: catalogue.label_values(reader, name, sets, start_ms, end_ms, most))
    return listed(found, limit)


@router.get("/metadata")
async def metadata(request: Request, form: AskedForm, reader: AskedReader) -> Response:
    """Type, help and unit of each metric."""
    metric, limit, per_metric = form.text("metric"), form.limit(), form.limit("limit_per_metric")
    return success(await read(request, reader, lambda: catalogue.metadata(reader, metric, limit, per_metric)))


async def read(request: Request, reader: Reader, ask: Callable[[], T]) -> T:
    """`ask()` on a worker thread, as one of the lookups that may run at once."""

    def asked(stop: Stop) -> T:
        found = ask()
        stop.check()
        return found

    return await parts_of(request).lookups.run(request, asked, reader.config.promql_max_seconds)


def beyond(limit: int) -> int:
    """One more than the limit, to know whether there is more; 0 for none."""
    return limit + 1 if limit else 0


def listed(found: Sequence[Any], limit: int) -> Response:
    if limit and len(found) > limit:
        return success(list(found[:limit]), [TRUNCATED])
    return success(list(found))


def unescaped(name: str) -> str:
    """The label that an escaped name stands for; the name itself where it is not an escaped one.

    Source: https://github.com/prometheus/proposals/blob/main/proposals/0028-utf8.md
    """
    if not name.startswith(ESCAPED):
        return name
    rest = name.removeprefix(ESCAPED)
    parts: list[str] = []
    at = 0
    while (underscore := rest.find("_", at)) >= 0:
        escape = ESCAPE.match(rest, underscore)
        if escape is None:
            return name
        character = character_of(escape[2]) if escape[2] else "_"
        if character is None:
            return name
        parts += (rest[at:underscore], character)
        at = escape.end()
    return "".join([*parts, rest[at:]])


def character_of(digits: str) -> str | None:
    code = int(digits, 16)
    return None if code > 0x10FFFF or 0xD800 <= code < 0xE000 else chr(code)
