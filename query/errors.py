"""What can go wrong with a question, and the one shape in which every error leaves the service.

    {"error": {"code": "invalid_parameter", "message": "...", "hint": "...", "parameter": "start"}}

`code` is for programs, `message` says what and where, `hint` what to do. Deeper code raises `QueryError`s and the
store's own errors; `install` maps those, FastAPI's validation errors and Starlette's 404 and 405 to that shape.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sonde.storage.errors import StoreError, StoreLocked, StoreUnavailable
from starlette.exceptions import HTTPException

log = logging.getLogger("sonde.query")


class QueryError(Exception):
    """Base of every query error. `message` and `hint` are sentences for a person."""

    status = 500
    code = "internal"

    def __init__(self, message: str, *, hint: str = "", parameter: str = "", retry_after_seconds: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.parameter = parameter
        self.retry_after_seconds = retry_after_seconds


class InvalidParameter(QueryError):
    """A parameter that can't be read or makes no sense; `parameter` names it."""

    status = 400
    code = "invalid_parameter"

    def __init__(self, parameter: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint, parameter=parameter)


class InvalidCursor(InvalidParameter):
    """A cursor that this service did not give out, or gave out for another question."""

    code = "invalid_cursor"

    def __init__(self, message: str) -> None:
        super().__init__("cursor", message, hint="Leave `cursor` out to begin with the first page.")


class ForbiddenOrigin(QueryError):
    """A web page of another origin asks, and it is not in query_cors_origins."""

    status = 403
    code = "forbidden_origin"


class NotFound(QueryError):
    status = 404
    code = "not_found"


class UrlTooLong(QueryError):
    status = 414
    code = "url_too_long"


class MisdirectedHost(QueryError):
    """The Host header is a name this service does not go by."""

    status = 421
    code = "misdirected_host"


class TooHeavy(QueryError):
    """The question is sound but costs more than a limit allows; the message names the limit."""

    status = 422
    code = "too_heavy"


class Busy(QueryError):
    """As many questions as allowed are being answered already."""

    status = 503
    code = "busy"


class NotServed(QueryError):
    """This process does not have what was asked for (the ledger, in a query-only process)."""

    status = 503
    code = "not_served"


class NotReady(QueryError):
    status = 503
    code = "not_ready"


class Unavailable(QueryError):
    """The store can't be reached."""

    status = 503
    code = "store_unavailable"


class ErrorDetail(BaseModel):
    code: str = Field(description="for programs", examples=["invalid_parameter"])
    message: str = Field(description="what is wrong, and where", examples=["start is not a time: 'yesterday'"])
    hint: str | None = Field(default=None, description="what to do", examples=["Write 2026-01-31T10:00:00Z, or -15m."])
    parameter: str | None = Field(default=None, description="which parameter", examples=["start"])


class ErrorBody(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorDetail


# Codes of ClickHouse that mean a limit of the statement was reached, and the setting of ours that set it.
LIMITS_BY_CLICKHOUSE_CODE = {
    159: ("query_max_seconds", "took longer than allowed"),
    160: ("query_max_seconds", "would take longer than allowed"),
    241: ("query_max_memory_mib", "needed more memory than allowed"),
    158: ("query_max_rows_read", "read more rows than allowed"),
    307: ("query_max_rows_read", "read more than allowed"),
    396: ("query_max_rows_read", "read more rows than allowed"),
}
TOO_MANY_ROWS = 396
CANNOT_COMPILE_REGEXP = 427
_RE2_COMPLAINT = re.compile(r"cannot compile re2: (?P<pattern>.*), error: (?P<why>.*?)\. Look at", re.DOTALL)


def clickhouse_code(error: StoreError) -> int | None:
    """The ClickHouse error code that a store's error stands for."""
    code = getattr(error.__cause__, "code", None)
    return code if isinstance(code, int) else None


def from_store(error: StoreError) -> QueryError:
    """The query error that a store's error means to whoever asked."""
    code = clickhouse_code(error)
    if limit := LIMITS_BY_CLICKHOUSE_CODE.get(code or 0):
        return TooHeavy(
            f"The store gave up: the question {limit[1]} ({limit[0]}).",
            hint=f"Ask for a shorter time range or add filters, or raise {limit[0]}.",
        )
    if code == CANNOT_COMPILE_REGEXP:
        found = _RE2_COMPLAINT.search(str(error))
        about = f" {found['pattern'][:100]!r}: {found['why']}" if found else ""
        return InvalidParameter(
            "",
            f"A regular expression can't be compiled{about}.",
            hint="Patterns are RE2: github.com/google/re2/wiki/Syntax",
        )
    if isinstance(error, StoreUnavailable | StoreLocked):
        return Unavailable(str(error), hint="Try again in a moment; /readyz says when.", retry_after_seconds=1)
    return QueryError(
        "The store refused the question: this is a fault of sonde's.", hint="The server's log has it whole."
    )


def from_validation(error: RequestValidationError) -> QueryError:
    """The first of FastAPI's complaints, as a sentence."""
    first = error.errors()[0]
    name = str(first["loc"][-1]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        return InvalidParameter(
            name, f"There is no parameter {name!r} here.", hint="/docs lists the parameters of each path."
        )
    if first["type"] == "missing":
        return InvalidParameter(
            name, f"The parameter {name!r} is needed.", hint="/docs lists the parameters of each path."
        )
    return InvalidParameter(name, f"{name}: {first['msg']}.", hint="/docs lists the parameters of each path.")


def from_http(error: HTTPException, path: str, method: str) -> QueryError:
    """Starlette's own 404 and 405 (and whatever else it may raise), in our words."""
    if error.status_code == 404:
        found: QueryError = NotFound(f"Nothing is served at {path[:200]}.", hint="GET / says what is.")
    elif error.status_code == 405:
        found = QueryError(f"{method} is not allowed here.", hint="The query API is read with GET.")
        found.code = "method_not_allowed"
    else:
        found = QueryError(str(error.detail))
    found.status = error.status_code
    return found


def body_of(error: QueryError) -> dict[str, Any]:
    detail = ErrorDetail(
        code=error.code, message=error.message, hint=error.hint or None, parameter=error.parameter or None
    )
    return ErrorBody(error=detail).model_dump(exclude_none=True)


def response_of(error: QueryError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    found = dict(headers or {})
    if error.retry_after_seconds:
        found["Retry-After"] = str(error.retry_after_seconds)
    return JSONResponse(body_of(error), status_code=error.status, headers=found)


def install(app: FastAPI) -> None:
    """Map every exception to the one error shape. The only place that does."""

    @app.exception_handler(QueryError)
    async def query_error(request: Request, error: QueryError) -> JSONResponse:
        return response_of(error)

    @app.exception_handler(StoreError)
    async def store_error(request: Request, error: StoreError) -> JSONResponse:
        found = from_store(error)
        if found.status == 500:
            log.error("the store refused a statement for %s: %s", request.url.path, error)
        return response_of(found)

    @app.exception_handler(RequestValidationError)
    async def validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
        return response_of(from_validation(error))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        return response_of(from_http(error, request.url.path, request.method), error.headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return response_of(
            QueryError("Something went wrong in sonde itself.", hint="The server's log has the traceback.")
        )
