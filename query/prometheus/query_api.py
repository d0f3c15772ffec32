"""Queries over HTTP: /query, /query_range, /query_exemplars, and what is about the language alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from sonde.query.parameters import AskedReader, parts_of
from sonde.query.prometheus import answers, exemplars
from sonde.query.prometheus.answers import Answer
from sonde.query.prometheus.api_errors import BadData, PrometheusRoute
from sonde.query.prometheus.envelope import success
from sonde.query.prometheus.form import AskedForm
from sonde.query.prometheus.question import Question, instant_question, parsed, range_question
from sonde.query.prometheus.running import Stop
from sonde.query.prometheus.samples import StoreSource
from sonde.query.promql.errors import ParseError
from sonde.query.promql.parser import parse
from sonde.query.promql.printer import pretty
from sonde.query.promql.syntax import Expr, Matcher, VectorSelector, children
from sonde.query.promql.syntax_json import to_object
from sonde.query.reader import Reader

router = APIRouter(route_class=PrometheusRoute, include_in_schema=False)
READ = ["GET", "POST"]


@router.api_route("/query", methods=READ)
async def query(request: Request, form: AskedForm, reader: AskedReader) -> Response:
    """The value of an expression at one instant."""
    return await answered(request, reader, instant_question(form, reader.config))


@router.api_route("/query_range", methods=READ)
async def query_range(request: Request, form: AskedForm, reader: AskedReader) -> Response:
    """The values of an expression at every step of a range."""
    return await answered(request, reader, range_question(form, reader.config))


@router.api_route("/query_exemplars", methods=READ)
async def query_exemplars(request: Request, form: AskedForm, reader: AskedReader) -> Response:
    """The exemplars of the series that an expression selects."""
    start_ms, end_ms = form.range_ms()
    if end_ms < start_ms:
        raise BadData("end timestamp must not be before start timestamp")
    try:
        selectors = selectors_of(parse(form.text("query")))
    except ParseError as error:
        raise BadData(str(error)) from None

    def found(stop: Stop) -> Response:
        return success(exemplars.query(reader, selectors, start_ms, end_ms))

    return await parts_of(request).lookups.run(request, found, reader.config.promql_max_seconds)


@router.api_route("/format_query", methods=READ)
async def format_query(form: AskedForm) -> Response:
    return success(pretty(parsed(form.text("query"))))


@router.api_route("/parse_query", methods=READ)
async def parse_query(form: AskedForm) -> Response:
    return success(to_object(parsed(form.text("query"))))


async def answered(request: Request, reader: Reader, asked: Question) -> Response:
    """The question's answer; only a large one is sent in pieces."""

    def begun(stop: Stop) -> Response:
        source = StoreSource(reader, max_samples=reader.config.promql_max_samples)
        return response_of(answers.answer(asked, source, stop, reader.config))

    return await parts_of(request).evaluations.run(request, begun, asked.seconds)


def response_of(found: Answer) -> Response:
    pieces = joined(found.pieces())
    first = next(pieces)
    second = next(pieces, None)
    if second is None:
        return Response(first, media_type="application/json")
    return StreamingResponse(chain((first, second), pieces), media_type="application/json")


def joined(pieces: Iterator[bytes], least: int = 1 << 20) -> Iterator[bytes]:
    """The same bytes in pieces of at least that many."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= least:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def selectors_of(expr: Expr) -> list[tuple[Matcher, ...]]:
    """The matchers of every selector in the expression."""
    if isinstance(expr, VectorSelector):
        return [expr.matchers]
    return [found for child in children(expr) for found in selectors_of(child)]
