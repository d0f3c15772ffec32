"""The envelope of a success: `{"status": "success", "data": ..., "warnings": [...], "infos": [...]}`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Response
from sonde.query.prometheus.json_text import json_of


def success(data: Any, warnings: Sequence[str] = ()) -> Response:
    """An answer that is small enough to be made whole."""
    return Response(
        b'{"status":"success","data":%b%b}' % (json_of(data), notes(warnings)), media_type="application/json"
    )


def notes(warnings: Sequence[str], infos: Sequence[str] = ()) -> bytes:
    """The fields for warnings and infos, a comma before each; nothing where there are none."""
    found = {"warnings": warnings, "infos": infos}
    return b"".join(b',"%b":%b' % (name.encode(), json_of(list(texts))) for name, texts in found.items() if texts)
