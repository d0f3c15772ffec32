"""Who may ask: checks on the request itself, before any route sees it.

The service has no login; on a laptop it listens on loopback, where any web page in a browser can reach it. So:

* a Host header must be localhost, an IP address, or a name in query_allowed_hosts: a page that points a name of its own at
  127.0.0.1 (DNS rebinding) gets 421;
* a request that a page of another site made in the background (Sec-Fetch-Site: cross-site) gets 403 unless the page's
  origin is in query_cors_origins, and so does a form that it posts; following a link to an answer stays possible;
* the query string has a length.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from sonde.query.errors import ForbiddenOrigin, MisdirectedHost, QueryError, UrlTooLong, response_of
from starlette.datastructures import Headers, MutableHeaders

if TYPE_CHECKING:
    from sonde.query.config import QueryConfig
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, config: QueryConfig) -> None:
        self.app = app
        self.config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = refusal(scope["method"], Headers(scope=scope), scope["query_string"], self.config)
        await (response_of(refused) if refused else self.app)(scope, receive, send_safely)


def refusal(method: str, headers: Headers, query_string: bytes, config: QueryConfig) -> QueryError | None:
    """Why the request is refused, or None."""
    if not host_is_allowed(headers.get("host", ""), config.query_allowed_hosts):
        return MisdirectedHost(
            "This service does not go by the name in the request's Host header.",
            hint="Use localhost or an IP address, or add the name to query_allowed_hosts.",
        )
    if is_foreign(method, headers, config.query_cors_origins):
        return ForbiddenOrigin(
            "A page of another site may not ask here.", hint="Add its origin to query_cors_origins to allow it."
        )
    if len(query_string) > config.query_max_url:
        return UrlTooLong(f"The query string is longer than {config.query_max_url} bytes (query_max_url).")
    return None


def host_is_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    """Whether a Host header names this service. An address can't be rebound: only a name can."""
    name = host_name(host)
    if name is None:
        return False
    if "*" in allowed or name in {entry.lower().rstrip(".") for entry in allowed}:
        return True
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def host_name(host: str) -> str | None:
    """The name or address of a Host header, without port, brackets and final dot; None where it has none."""
    if host.startswith("["):
        name, bracket, rest = host[1:].partition("]")
        if not bracket or (rest and not (rest.startswith(":") and rest[1:].isdecimal())):
            return None
    else:
        name, colon, port = host.partition(":")
        if colon and not port.isdecimal():
            return None
    return name.lower().rstrip(".") or None


def is_foreign(method: str, headers: Headers, origins: tuple[str, ...]) -> bool:
    """Whether a browser says that another site's page makes this request in the background, or posts a form of its own."""
    follows_link = headers.get("sec-fetch-mode") == "navigate" and method in ("GET", "HEAD")
    if headers.get("sec-fetch-site") != "cross-site" or follows_link:
        return False
    return "*" not in origins and headers.get("origin") not in origins
