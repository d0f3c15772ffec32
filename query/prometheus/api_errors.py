"""What goes wrong, in the words and with the status codes of Prometheus' API.

    {"status": "error", "errorType": "bad_data", "error": "invalid parameter \\"query\\": 1:3: parse error: ..."}

| errorType | status | when |
|---|---|---|
| bad_data | 400 | a parameter, the query among them, can't be read |
| execution | 422 | the query is sound but can't be answered: its data don't fit, or it costs more than a limit allows |
| canceled | 499 | whoever asked has gone |
| timeout | 503 | it took too long |
| unavailable | 503 | the store can't be reached, or too many queries are being answered |
| not_found | 404 | |
| internal | 500 | a fault of sonde's |
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sonde.query import errors
from sonde.query.prometheus.json_text import json_of
from sonde.query.promql.errors import EvaluationError, ParseError, QueryCancelled, QueryTimeout
from sonde.storage.errors import StoreError

log = logging.getLogger("sonde.query")

STATUS = {
    "bad_data": 400,
    "execution": 422,
    "canceled": 499,
    "timeout": 503,
    "unavailable": 503,
    "not_found": 404,
    "internal": 500,
}


class BadData(Exception):
    """A request that can't be read; the message says what is wrong."""


def invalid(parameter: str, why: object) -> BadData:
    return BadData(f'invalid parameter "{parameter}": {why}')


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it leaves the API."""

    type: str
    message: str

    def response(self) -> Response:
        body = {"status": "error", "errorType": self.type, "error": self.message}
        headers = {"Retry-After": "1"} if self.type == "unavailable" else None
        return Response(json_of(body), STATUS[self.type], headers, "application/json")


def failure_of(error: Exception) -> Failure:
    """What an exception means to whoever asked. The only place that decides."""
    match error:
        case BadData() | ParseError():
            return Failure("bad_data", str(error))
        case QueryTimeout():
            return Failure("timeout", str(error))
        case QueryCancelled():
            return Failure("canceled", str(error))
        case EvaluationError():
            return Failure("execution", str(error))
        case StoreError():
            return failure_of_query(errors.from_store(error))
        case errors.QueryError():
            return failure_of_query(error)
        case RequestValidationError():
            return failure_of_query(errors.from_validation(error))
        case _:
            return failure_of_query(errors.QueryError("Something went wrong in sonde itself."))


def failure_of_query(error: errors.QueryError) -> Failure:
    """Errors that the other paths of the service know, in Prometheus' types."""
    message = f"{error.message} {error.hint}".strip()
    match error.status:
        case 422:
            return Failure("execution", message)
        case 404:
            return Failure("not_found", message)
        case 503:
            return Failure("unavailable", message)
        case status if status < 500:
            return Failure("bad_data", message)
        case _:
            return Failure("internal", message)


class PrometheusRoute(APIRoute):
    """A route whose errors leave in Prometheus' shape, not in that of the service's other paths."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_in_our_shape(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:
                failure = failure_of(error)
                if failure.type == "internal":
                    log.exception("a fault of sonde's at %s", request.url.path)
                return failure.response()

        return handle_in_our_shape
