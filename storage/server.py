"""A ClickHouse server behind HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.httputil import get_pool_manager

CONNECT_SECONDS = 5
ANSWER_SECONDS = 300


def connector(url: str, settings: dict[str, Any]) -> Callable[[], Client]:
    """Opens clients of the server at `url`; they share one connection pool."""
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError(f"{without_password(url)!r} names no host: write http(s)://user:password@host:port/.")
    secure = parts.scheme == "https"
    pool = get_pool_manager(maxsize=64, num_pools=4)

    def connect() -> Client:
        return clickhouse_connect.get_client(
            host=parts.hostname,
            port=parts.port or (8443 if secure else 8123),
            username=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            interface=parts.scheme,
            settings=dict(settings),
            # Sessions would serialize the requests of all clients that share one.
            autogenerate_session_id=False,
            connect_timeout=CONNECT_SECONDS,
            send_receive_timeout=ANSWER_SECONDS,
            compress="lz4",
            pool_mgr=pool,
        )

    return connect


def without_password(url: str) -> str:
    """`url` as it may be shown and logged."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    place = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{place}"))


def insert(
    client: Client, table: str, block: bytes | memoryview, columns: Sequence[str], settings: Mapping[str, Any], fmt: str
) -> None:
    """Insert rows in format `fmt`."""
    client.raw_insert(table, list(columns), bytes(block), settings=dict(settings), fmt=fmt)
