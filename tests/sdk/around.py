"""Surroundings that a test makes up: variables, and files by their paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sonde.sdk.surroundings import Surroundings


def around(
    environ: Mapping[str, str] = {}, files: Mapping[str, str] = {}, versions: Mapping[str, str] = {}, **more: Any
) -> Surroundings:
    defaults: dict[str, Any] = {
        "folder": "/srv/x",
        "host": "box",
        "machine": "x86_64",
        "pid": 42,
        "parent_pid": 41,
        "executable": "/usr/bin/python3",
        "command": ["python"],
    }
    return Surroundings(environ=environ, read=files.get, version_of=versions.get, **defaults | more)
