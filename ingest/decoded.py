"""What a batch of requests decodes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sonde.storage.columns import Block


@dataclass(frozen=True, slots=True)
class DecodedBlock:
    """Rows of one table, without the column `tenant`."""

    table: str
    block: Block
    rows: int


@dataclass(slots=True)
class Decoded:
    """`records`: records kept (spans, log records, data points): the sum of `Scan.accepted` over the bodies.

    `blocks`: the row tables that got rows.
    `resources`, `scopes`: what the kept records refer to, by fingerprint: the bytes of the Resource or InstrumentationScope
    message and of the schema_url beside it.
    `series`: of metrics alone.
    """

    records: int
    blocks: list[DecodedBlock] = field(default_factory=list)
    resources: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    scopes: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    series: Any = None
