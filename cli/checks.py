"""What `sonde doctor` looks at. Each check looks and changes nothing; what it finds says what to do about it."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Any

from sonde.cli.api import Api, ApiError, base_url, reachable
from sonde.cli.units import human_bytes
from sonde.ingest.config import IngestConfig
from sonde.query.config import QueryConfig, listen_address
from sonde.storage.config import StorageConfig
from sonde.storage.errors import StoreError, StoreLocked

SECOND = 1_000_000_000
OLD_PENDING_SECONDS = 60.0
CLOCK_SKEW_SECONDS = 5.0


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `advice` says what to do; empty where all is well."""

    check: str
    level: Level
    what: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Setup:
    """What is looked at."""

    storage: StorageConfig
    ingest: IngestConfig
    query: QueryConfig
    file: Path | None

    @property
    def api(self) -> Api:
        return Api(base_url(*listen_address(self.query.query)), timeout_seconds=5.0)


def examine(setup: Setup) -> Iterator[Finding]:
    """Every finding, in the order in which a person would look."""
    yield check_dependencies()
    yield check_settings(setup)
    running = is_running(setup.api)
    yield from check_ports(setup, running)
    yield from met("store", check_store(setup, running))
    yield from met("spool", check_spool(setup.ingest))
    yield from met("ledger", check_ledger(setup.ingest))
    yield from met("clock", check_clock(setup.ingest))


def met(check: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """`findings`; where looking itself fails, that is a finding too: a doctor reports what it meets, and goes on."""
    try:
        yield from findings
    except Exception as error:
        yield Finding(check, Level.FAIL, f"can't be looked at: {error}", "see the message; nothing was changed")


def check_dependencies() -> Finding:
    """The distributions that the server needs, by sonde's own metadata."""
    from packaging.requirements import Requirement

    wrong = []
    for text in metadata.requires("sonde") or ():
        requirement = Requirement(text)
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in ("", "server")):
            continue
        try:
            found = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} {found} is not {requirement.specifier}")
    python = f"Python {platform.python_version()}"
    if wrong:
        return Finding("python", Level.FAIL, f"{python}; {'; '.join(wrong)}", "pip install 'sonde[server]'")
    return Finding("python", Level.OK, f"{python} with every dependency")


def check_settings(setup: Setup) -> Finding:
    variables = sorted(name for name in os.environ if name.startswith("SONDE_") and not name.startswith("SONDE_TEST_"))
    sources = [str(setup.file)] if setup.file else []
    return Finding("settings", Level.OK, f"from {', '.join([*sources, *variables]) or 'the defaults alone'}")


def is_running(api: Api) -> bool:
    """Whether a sonde answers at the query address."""
    try:
        return bool(api.json("/healthz").get("status") == "ok")
    except (ApiError, ValueError, AttributeError):
        return False


def check_ports(setup: Setup, running: bool) -> Iterator[Finding]:
    """With a running sonde its ports must be open, without one they must be free."""
    addresses = [("otlp_grpc", setup.ingest.grpc_address), ("otlp_http", setup.ingest.http_address)]
    places = [(name, address.host, address.port) for name, address in addresses if address is not None]
    places.append(("query", *listen_address(setup.query.query)))
    for name, host, port in places:
        taken = accepts(host, port)
        where = f"{name} {host}:{port}"
        if running and taken:
            yield Finding("port", Level.OK, f"{where} is open")
        elif running:
            advice = "if another sonde or `sonde ingest` has that port by design, ignore this; else restart sonde"
            yield Finding("port", Level.WARN, f"{where} does not answer although a sonde runs", advice)
        elif taken:
            advice = f"stop that process, or choose another port with --{name.replace('_', '-')}"
            yield Finding("port", Level.FAIL, f"{where} is taken by something that is no sonde", advice)
        else:
            yield Finding("port", Level.OK, f"{where} is free (no sonde is running)")


def accepts(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((reachable(host), port), timeout=2.0):
        return True
    return False


def check_store(setup: Setup, running: bool) -> Iterator[Finding]:
    config = setup.storage
    embedded = config.store.startswith("chdb://")
    if embedded and ":memory:" not in config.store and not Path(folder_of(config.store)).exists():
        yield Finding("store", Level.OK, f"{config.store} does not exist yet; the first `sonde serve` creates it")
        return
    from sonde.cli import compose

    try:
        with contextlib.closing(compose.open_configured(config)) as store:
            store.ping()
            yield Finding("store", Level.OK, f"{store.url} answers")
            yield from check_schema(store, config)
            yield from check_store_clock(store)
    except StoreLocked as error:
        if running:
            yield check_ready(setup.api)
        else:
            yield Finding("store", Level.FAIL, str(error), "stop the process that has it open, or run the doctor there")
    except StoreError as error:
        advice = "is the server running, and is --store right?" if not embedded else "see the message"
        yield Finding("store", Level.FAIL, str(error), advice)


def folder_of(url: str) -> str:
    return os.path.expanduser(url.removeprefix("chdb://"))


def check_ready(api: Api) -> Finding:
    """The embedded store, as the sonde that has it open sees it."""
    try:
        api.open("/readyz").close()
    except ApiError as error:
        return Finding("store", Level.FAIL, str(error), "look at what that sonde printed")
    return Finding(
        "store", Level.OK, "open in the running sonde, which says that it answers and that its schema is current"
    )


def check_schema(store: Any, config: StorageConfig) -> Iterator[Finding]:
    from sonde.cli.compose import retention_of
    from sonde.storage.migrate import pending
    from sonde.storage.retention import changes

    cluster = config.cluster or None
    waiting = pending(store, cluster)
    if waiting:
        titles = ", ".join(migration.title for migration in waiting)
        yield Finding(
            "schema", Level.WARN, f"not applied yet: {titles}", "run `sonde migrate`; `sonde serve` does it too"
        )
        return
    yield Finding("schema", Level.OK, "current")
    differing = list(changes(store, retention_of(config), cluster))
    if differing:
        what = f"{len(differing)} tables keep their rows for another time than declared"
        yield Finding("retention", Level.WARN, what, "run `sonde migrate` with the same settings")
    else:
        yield Finding("retention", Level.OK, "as declared")


def check_store_clock(store: Any) -> Iterator[Finding]:
    (row,) = store.rows("SELECT toUnixTimestamp64Nano(now64(9)) AS now")
    apart = abs(time.time_ns() - row["now"]) / SECOND
    if apart > CLOCK_SKEW_SECONDS:
        what = f"the store's clock and this machine's are {apart:.0f} s apart"
        yield Finding("store clock", Level.WARN, what, "let both follow the same time service (NTP)")


def check_spool(config: IngestConfig) -> Iterator[Finding]:
    path = config.spool_path
    place = next(folder for folder in (path, *path.parents) if folder.exists())
    if not place.is_dir() or not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            "spool", Level.FAIL, f"{place} is not a folder this user may write to", "chown it, or choose --spool"
        )
        return
    yield from check_disk(config, place)
    if not path.exists():
        yield Finding("spool", Level.OK, f"{path} does not exist yet; the first start creates it")
        return
    yield from check_segments(path)


def check_disk(config: IngestConfig, place: Path) -> Iterator[Finding]:
    usage = shutil.disk_usage(place)
    free = f"{human_bytes(usage.free)} of {human_bytes(usage.total)} free for the spool"
    if usage.free < config.spool_min_free_bytes:
        advice = f"free some space: sonde leaves {human_bytes(config.spool_min_free_bytes)} untouched and refuses requests now"
        yield Finding("disk", Level.FAIL, free, advice)
    elif usage.free < 4 * config.spool_min_free_bytes:
        yield Finding("disk", Level.WARN, free, "free some space before requests are refused")
    else:
        yield Finding("disk", Level.OK, free)


def check_segments(path: Path) -> Iterator[Finding]:
    """Orphans are open segments whose receiver died; the next start, or the running writer, stores them."""
    from sonde.cli.spool import entries
    from sonde.ingest.spool_folder import SegmentFile, SpoolFolder

    found = list(entries(path))
    waiting = [item for item in found if item.state != "quarantined"]
    folder = SpoolFolder(path)
    orphans = 0
    for item in waiting:
        file = SegmentFile.parse(Path(item.path).name)
        orphans += item.state == "open" and file is not None and not is_held(folder.lock_of(file.receiver))
    oldest = max((item.age_seconds for item in waiting), default=0.0)
    size = human_bytes(sum(item.bytes for item in waiting))
    if oldest > OLD_PENDING_SECONDS or orphans:
        what = f"{len(waiting)} segments ({size}) wait for the store, the oldest for {oldest:.0f} s; {orphans} without an owner"
        yield Finding(
            "spool", Level.WARN, what, "start sonde if it is not running; else see whether the store takes writes"
        )
    else:
        yield Finding("spool", Level.OK, f"{len(waiting)} segments ({size}) wait for the store")
    quarantined = len(found) - len(waiting)
    if quarantined:
        advice = "`sonde spool ls` gives the reasons; once they are gone: sonde spool replay --all"
        yield Finding("quarantine", Level.WARN, f"{quarantined} segments could not be stored", advice)


def is_held(lock: Path) -> bool:
    """Whether a living process holds this lock file; only asks, takes nothing for longer than the question."""
    import fcntl

    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def check_ledger(config: IngestConfig) -> Iterator[Finding]:
    if not config.spool_path.is_dir():
        return
    from sonde.ingest.ledger import read_ledger

    ledger = read_ledger(config.spool_path)
    total = ledger.total
    what = f"{total.received.records:,} records received, {total.stored.records:,} stored, {total.pending.records:,} pending"
    if refused := {reason: count.records for reason, count in total.rejected.items() if count.records}:
        reasons = ", ".join(f"{reason} {records:,}" for reason, records in sorted(refused.items()))
        what += f", {sum(refused.values()):,} rejected ({reasons})"
    if ledger.balanced:
        yield Finding("ledger", Level.OK, f"balanced: {what}")
    else:
        apart = total.difference
        advice = "nothing must go missing: keep the spool folder and report this with `sonde doctor --json`"
        yield Finding("ledger", Level.FAIL, f"out of balance by {apart.records} records: {what}", advice)


def check_clock(config: IngestConfig) -> Iterator[Finding]:
    """A clock that was set back shows in the spool: its segments are named by the time they were opened."""
    from sonde.ingest.spool_folder import SpoolFolder

    segments = SpoolFolder(config.spool_path).list() if config.spool_path.is_dir() else []
    newest = max((file.created_unix_nano for file in segments), default=0)
    ahead = (newest - time.time_ns()) / SECOND
    if ahead > CLOCK_SKEW_SECONDS:
        what = f"the spool has a segment from {ahead:.0f} s in the future: the clock was set back"
        yield Finding("clock", Level.WARN, what, "let the machine follow a time service (NTP)")
    else:
        yield Finding("clock", Level.OK, time.strftime("%Y-%m-%d %H:%M:%S %Z"))
