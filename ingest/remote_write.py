"""Prometheus remote write into OTLP bytes, so that one scan, one spool and one decoder serve both.

The two versions are read by `remote_write_v1.py` and `remote_write_v2.py`; what becomes of what is told, with the reasons, in
docs/decisions/remote-write.md.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sonde.ingest.remote_write_assembly import Assembly
from sonde.ingest.remote_write_families import FamilyMemory
from sonde.ingest.remote_write_prefixes import PrefixCache
from sonde.ingest.remote_write_refusals import Refusals
from sonde.ingest.remote_write_series import request
from sonde.ingest.remote_write_v1 import transcode_v1
from sonde.ingest.remote_write_v2 import transcode_v2, warm

CACHE_BYTES = 256 << 20


class Version(StrEnum):
    """By the name of its message, which Content-Type carries."""

    V1 = "prometheus.WriteRequest"
    V2 = "io.prometheus.write.v2.Request"


@dataclass(frozen=True, slots=True)
class Transcoded:
    """An ExportMetricsServiceRequest, how much of what was sent is in it, and what is not."""

    body: bytes
    samples: int
    histograms: int
    exemplars: int
    refusals: Refusals


class Transcoder:
    """One to a process. Thread-safe, by doing one request at a time: it is Python, which does no more at once anyway.

    `memory`: the folder in which is kept what senders of 1.0 say of metrics apart from their samples.
    """

    def __init__(self, memory: Path, cache_bytes: int = CACHE_BYTES) -> None:
        self._memory = FamilyMemory(memory)
        self._prefixes = PrefixCache(cache_bytes)
        self._turn = threading.Lock()
        warm()

    def transcode(self, version: Version, tenant: str, body: bytes, max_buckets: int) -> Transcoded:
        """Malformed where `body` is not a whole message of this version. Single series, samples and exemplars are refused
        without the rest: `Transcoded.refusals` says why."""
        made = Assembly(body, max_buckets)
        with self._turn:
            families, prefixes = self._memory.of(tenant), self._prefixes.of(tenant)
            prefixes.follow(families.changed)
            if version == Version.V1:
                transcode_v1(made, prefixes, families)
            else:
                transcode_v2(made, prefixes, families)
        return Transcoded(request(made.metrics), made.samples, made.histograms, made.exemplars, made.refusals)
