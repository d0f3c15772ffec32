"""Where the commands that talk to a sonde find the one of the settings, and a small client of its query API."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import IO, Any
from urllib.parse import urlencode

from sonde.cli.errors import CommandError, UsageError


class ApiError(CommandError):
    """The API answered with an error (`status` is its HTTP status), or nobody answered (`status` is 0)."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Api:
    """`url` is the query service's base, such as http://127.0.0.1:8318; `tenant` empty means its default."""

    url: str
    tenant: str = ""
    timeout_seconds: float = 10.0

    def open(self, path: str, parameters: Mapping[str, str] = {}) -> IO[bytes]:
        """The response of GET `path`, to be read and closed. ApiError unless it is 200."""
        url = f"{self.url.rstrip('/')}{path}{'?' + urlencode(parameters) if parameters else ''}"
        headers = {"User-Agent": "sonde"} | ({"X-Sonde-Tenant": self.tenant} if self.tenant else {})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            response: IO[bytes] = opener.open(
                urllib.request.Request(url, headers=headers), timeout=self.timeout_seconds
            )
        except urllib.error.HTTPError as error:
            raise ApiError(
                f"{self.url}{path} answered {error.code}: {message_of(error.read(10_000))}", error.code
            ) from error
        except (urllib.error.URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            advice = "start one with `sonde serve`, or say where it is with --url"
            raise ApiError(f"no sonde answers at {self.url} ({reason}); {advice}") from error
        return response

    def json(self, path: str, parameters: Mapping[str, str] = {}) -> Any:
        with self.open(path, parameters) as response:
            return json.load(response)


def message_of(body: bytes) -> str:
    """The sentences in an error answer (see `query/errors.py`), or its beginning where it is something else."""
    try:
        error = json.loads(body)["error"]
        return " ".join(filter(None, (error["message"], error.get("hint"))))
    except (ValueError, KeyError, TypeError, AttributeError):
        return body[:300].decode("utf-8", "replace").strip()


def reachable(host: str) -> str:
    """The host to connect to for a service that listens on `host`: a wildcard is reached on this machine itself."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)


def base_url(host: str, port: int) -> str:
    host = reachable(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def local_api(tenant: str = "") -> Api:
    """The sonde that the settings in the environment and in ./sonde.toml describe."""
    import argparse

    from sonde.cli.settings import load
    from sonde.query.config import QueryConfig, listen_address

    return Api(base_url(*listen_address(load(argparse.Namespace()).build(QueryConfig).query)), tenant)


def local_receiver(protocol: str) -> str:
    """The same sonde's OTLP endpoint for `protocol` ("grpc" or "http"). UsageError where that one is off."""
    import argparse

    from sonde.cli.settings import load
    from sonde.ingest.config import IngestConfig

    config = load(argparse.Namespace()).build(IngestConfig)
    address = config.grpc_address if protocol == "grpc" else config.http_address
    if address is None:
        raise UsageError(f"otlp_{protocol} is off by the settings: say where to send with --endpoint")
    return base_url(address.host, address.port)
