"""Where the resources and scopes of a batch stand: found by kernels, read again when one is to be announced."""

from __future__ import annotations

from typing import Any

import numpy as np
from sonde.ingest.kernel import inline
from sonde.ingest.regions import FILLED, Regions, next_row

IDENTITY, START, LENGTH, SCHEMA_URL, SCHEMA_URL_LENGTH = range(5)
DIMENSION_COLUMNS = 5


@inline
def put_dimension(
    identity: int, start: int, stop: int, schema_url: int, schema_url_stop: int, region: int, out: Any, plan: Any
) -> Any:
    """Note the message in [start, stop) and its schema_url under its fingerprint, unless that was the last one noted."""
    if plan[FILLED + region] == 0 or out[plan[region] + plan[FILLED + region] - 1] != identity:
        at, column = next_row(plan, region)
        out[at + IDENTITY * column] = identity
        out[at + START * column] = start
        out[at + LENGTH * column] = stop - start
        out[at + SCHEMA_URL * column] = schema_url
        out[at + SCHEMA_URL_LENGTH * column] = schema_url_stop - schema_url


def ranges(found: Regions, region: int) -> dict[int, tuple[bytes, bytes]]:
    """The bytes of each message noted in `region` and of its schema_url, by fingerprint."""
    identities, rows = np.unique(found.unsigned(region, IDENTITY), return_index=True)

    def octets(column: int, row: int) -> bytes:
        start, length = int(found.signed(region, column)[row]), int(found.signed(region, column + 1)[row])
        return found.buffer[start : start + length].tobytes()

    return {
        int(identity): (octets(START, row), octets(SCHEMA_URL, row))
        for identity, row in zip(identities, rows, strict=True)
    }
