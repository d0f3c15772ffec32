"""What senders of remote write 1.0 say of metrics apart from their samples, remembered for the samples that follow.

Prometheus sends type, help and unit once a minute, in requests of their own, which may reach another receiver process than
the samples do. So they are kept in a file for each tenant in the spool folder, which every process looks at, and which is
there after a restart.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sonde.ingest.remote_write_series import (
    COUNTER,
    GAUGE_HISTOGRAM,
    HISTOGRAM,
    INFO,
    NOTHING_KNOWN,
    SUMMARY,
    TYPE_NAMES,
    Family,
)

MAX_FAMILIES = 50_000
"""Of one tenant; further ones are not remembered."""
MAX_TEXT_BYTES = 4_096
"""Of a help text or unit; more of it is not remembered."""
MAX_TENANTS = 1_000
LOOK_AGAIN_SECONDS = 1.0
_log = logging.getLogger(__name__)

_PARTS: dict[bytes, tuple[int, ...]] = {
    b"_bucket": (HISTOGRAM, GAUGE_HISTOGRAM),
    b"_count": (HISTOGRAM, SUMMARY),
    b"_sum": (HISTOGRAM, SUMMARY),
    b"_gcount": (GAUGE_HISTOGRAM,),
    b"_gsum": (GAUGE_HISTOGRAM,),
    b"_total": (COUNTER,),
    b"_info": (INFO,),
}
"""Endings of a series' name behind the name of its family, and the types of family that have such series (OpenMetrics)."""


@dataclass(slots=True)
class Families:
    """Of one tenant."""

    path: Path
    known: dict[bytes, Family] = field(default_factory=dict)
    changed: int = 0
    """Goes up whenever what is known does change."""
    _looked: float = 0.0
    _stamp: tuple[int, int] = (0, 0)

    def of(self, name: bytes) -> Family:
        """What is known of the series called `name`."""
        if (family := self.known.get(name)) is not None:
            return family
        stem, underscore, ending = name.rpartition(b"_")
        family = self.known.get(stem, NOTHING_KNOWN)
        return family if family.type in _PARTS.get(underscore + ending, ()) else NOTHING_KNOWN

    def learn(self, told: Mapping[bytes, Family]) -> None:
        """Remember what a sender told, within bounds; for every process, where any of it is new."""
        if all(self.known.get(name) == family for name, family in self._bounded(told)):
            return
        try:
            with self._locked():
                self._read()
                self._take(told)
                self._write()
        except OSError as error:
            _log.warning("what a sender says of its metrics can't be kept in %s: %s", self.path, error)
            self._take(told)

    def look(self) -> None:
        """Take in what other processes learned, where that was not done a moment ago."""
        if (now := time.monotonic()) - self._looked < LOOK_AGAIN_SECONDS and self._looked:
            return
        self._looked = now
        with contextlib.suppress(OSError):
            found = self.path.stat()
            if (found.st_mtime_ns, found.st_ino) != self._stamp:
                self._read()

    def _bounded(self, told: Mapping[bytes, Family]) -> Iterator[tuple[bytes, Family]]:
        for name, family in told.items():
            if (name in self.known or len(self.known) < MAX_FAMILIES) and max(
                len(name), len(family.help), len(family.unit)
            ) <= MAX_TEXT_BYTES:
                yield name, family

    def _take(self, told: Mapping[bytes, Family]) -> None:
        for name, family in self._bounded(told):
            if self.known.get(name) != family:
                self.known[name] = family
                self.changed += 1

    def _read(self) -> None:
        """Take in the file, if there is one. A file of another version, or damaged, is as good as none."""
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                values = json.load(file)
            told = {
                name.encode(): Family(TYPE_NAMES.index(type.encode()), help.encode(), unit.encode())
                for name, (type, help, unit) in values.items()
            }
        except FileNotFoundError:
            return
        except (ValueError, AttributeError, TypeError) as error:
            _log.warning("%s is left aside, for it can't be understood: %s", self.path, error)
            return
        self._stamp = found.st_mtime_ns, found.st_ino
        self._take(told)

    def _write(self) -> None:
        values = {
            name.decode(): (TYPE_NAMES[family.type].decode(), family.help.decode(), family.unit.decode())
            for name, family in self.known.items()
        }
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(values))
        os.replace(new, self.path)
        found = self.path.stat()
        self._stamp = found.st_mtime_ns, found.st_ino

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path.with_suffix(".lock"), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class FamilyMemory:
    """Of all tenants, in the folder `path`. Not thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tenants: dict[str, Families] = {}

    def of(self, tenant: str) -> Families:
        families = self._tenants.get(tenant)
        if families is None:
            if len(self._tenants) >= MAX_TENANTS:
                del self._tenants[next(iter(self._tenants))]  # it can be read again
            families = self._tenants[tenant] = Families(self._path / f"{tenant}.json")
        families.look()
        return families
